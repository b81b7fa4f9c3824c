"""What nginx promises when its variables change: each run is played once, on all hosts, and looked at on each."""

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import INTERNAL, NAME, ask, process, seen
from playbook import Converge, Hosts
from testinfra.host import Host

SHOP = {"name": "shop", "server_names": [NAME, f"www.{NAME}"], "upstreams": ["127.0.0.1:9001", "127.0.0.1:9002"], "tls_mode": "files"}
BROUGHT = {"name": "brought", "server_names": ["brought.example"], "upstreams": ["127.0.0.1:9003"], "tls_mode": "files"}


def served(host: Host, name: str) -> str:
    """The certificate that is shown for a name."""
    return host.check_output(f"echo | openssl s_client -connect {INTERNAL}:443 -servername {name} 2>/dev/null | openssl x509")


def processes(hosts: Hosts) -> dict[str, str]:
    return {name: process(host) for name, host in hosts.items()}


def configurations(hosts: Hosts) -> dict[str, str]:
    return {name: host.check_output("find /etc/nginx -type f | sort | xargs sha256sum") for name, host in hosts.items()}


def all_answer(hosts: Hosts) -> bool:
    return {ask(host, "/").status for host in hosts.values()} == {200}


@pytest.fixture
def restored(converge: Converge) -> Iterator[None]:
    """Return to the scenario's own values after a test that converges with others."""
    yield
    done = converge()
    assert done.code == 0, done.output


def test_changed_values_reach_the_running_process(hosts: Hosts, converge: Converge) -> None:
    """A larger body passes, and a trusted proxy, and nobody else, names the client."""
    before, proxy, stranger = processes(hosts), "127.8.0.1", "127.8.0.2"
    done = converge(nginx_client_max_body_size="30k", nginx_trusted_proxies=[f"{proxy}/32"])
    assert done.code == 0, done.output
    claim = ("--header", "X-Forwarded-For: 198.51.100.1, 203.0.113.7")
    for host in hosts.values():
        deadline = time.monotonic() + 5
        while ask(host, "/", "--data", "x" * 20_000).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert seen(host, *claim, client=proxy)["x-forwarded-for"] == "203.0.113.7"
        assert seen(host, *claim, client=stranger)["x-forwarded-for"] == stranger
        # TLS ended before: no redirect, and the application knows; a stranger is sent to HTTPS.
        over = ("--header", "X-Forwarded-Proto: https")
        answer = ask(host, f"http://{NAME}/orders", *over, client=proxy)
        assert (answer.status, answer.header("strict-transport-security")) == (200, "max-age=63072000; includeSubDomains")
        told = {name.lower(): value for name, value in answer.json["headers"].items()}
        assert (told["x-forwarded-proto"], told["x-forwarded-port"]) == ("https", "443")
        assert ask(host, f"http://{NAME}/metrics", *over, *claim, client=proxy).status == 404
        for answer in (ask(host, f"http://{NAME}/orders", *over, client=stranger), ask(host, f"http://{NAME}/orders", client=proxy)):
            assert (answer.status, answer.header("location")) == (308, f"https://{NAME}/orders")
            assert "strict-transport-security" not in answer.headers
        # The client came by HTTP, though the balancer speaks TLS to us.
        assert ask(host, "/orders", "--header", "X-Forwarded-Proto: http", client=proxy).status == 308
        assert ask(host, f"http://{INTERNAL}/health", name="balancer.example", client=proxy).status == 200
        assert ask(host, f"http://{INTERNAL}/health", name="balancer.example", client=stranger).status == 421
    assert processes(hosts) == before


BALANCED = """
import json, socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def ask(source, said, port, path, more=""):
    connection = socket.create_connection(("127.0.0.9", port), 10, (source, 0))
    connection.sendall(said.encode())
    try:
        if port == 443:
            connection = context.wrap_socket(connection, server_hostname="shop.example")
        connection.sendall(f"GET {path} HTTP/1.1\\r\\nHost: shop.example\\r\\n{more}Connection: close\\r\\n\\r\\n".encode())
        head, _, body = connection.makefile("rb").read().decode().partition("\\r\\n\\r\\n")
        return [head.split()[1], body] if head else ["refused", ""]
    except OSError:
        return ["refused", ""]
print(json.dumps([ask(*arguments) for arguments in json.loads(sys.argv[1])]))
"""


def test_a_balancer_that_passes_connections_on_names_the_client(hosts: Hosts, converge: Converge) -> None:
    """By the PROXY protocol, on both ports; what is not from a trusted network names nobody, and what does not speak it is turned away."""
    done = converge(nginx_http3=False, nginx_proxy_protocol=True, nginx_trusted_proxies=["127.8.0.1/32"])
    assert done.code == 0, done.output
    proxy, stranger, client = "127.8.0.1", "127.8.0.2", "203.0.113.77"
    said, unknown = f"PROXY TCP4 {client} 192.0.2.1 4711 443\r\n", "PROXY UNKNOWN\r\n"
    spoofed = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
    asked = [
        (proxy, said, 443, "/seen", spoofed), (stranger, said, 443, "/seen", spoofed), (proxy, said, 443, "/metrics"),
        (proxy, said, 80, "/seen", spoofed), (proxy, unknown, 80, "/health"), (proxy, unknown, 443, "/seen"),
        (proxy, "", 443, "/seen"), (proxy, "", 80, "/seen"), *[(proxy, said, 443, "/seen")] * 12,
        (proxy, said.replace("77", "78"), 443, "/seen"),
    ]  # fmt: skip
    for host in hosts.values():
        answers = json.loads(host.check_output(f"python3 -c {shlex.quote(BALANCED)} {shlex.quote(json.dumps(asked))}"))
        known, unbelieved, *others = answers[:6]
        for (status, body), address in ((known, client), (unbelieved, stranger), (others[3], proxy)):
            told = {name.lower(): value for name, value in json.loads(body)["headers"].items()}
            seen_as = [told[f"x-{name}"] for name in ("forwarded-for", "real-ip", "forwarded-proto", "forwarded-port")]
            assert (status, seen_as) == ("200", [address, address, "https", "443"])
        assert [status for status, _ in others] == ["404", "308", "308", "200"]
        # Without it: no TLS begins, and plain HTTP is closed or called a bad request.
        assert (answers[6][0], answers[7][0]) in (("refused", "refused"), ("refused", "400"))
        # The client has used up its own limit, not that of all who come through the balancer.
        assert (answers[19][0], answers[20][0]) == ("429", "200")
        assert all_answer({"": host})  # the host itself, at 127.0.0.1
        logged = host.check_output(f'grep --fixed-strings \'"client":"{client}"\' /var/log/nginx/access.log | tail -n 1')
        assert json.loads(logged)["status"] == "429"


def test_broken_configuration_is_put_back(hosts: Hosts, converge: Converge) -> None:
    before = processes(hosts), configurations(hosts)
    done = converge(nginx_client_timeout=99999999999999999999)
    assert done.failed == set(hosts)
    named = ("etc/nginx/nginx.conf.j2", "/etc/nginx/nginx.conf line ", "nginx -t", "invalid value")
    assert done.missing(*named) == []
    assert (processes(hosts), configurations(hosts)) == before
    assert all_answer(hosts)


def test_a_port_that_nginx_cannot_have_is_put_back(hosts: Hosts, converge: Converge) -> None:
    """nginx -t accepts it and the reload reports success; only asking the new port tells."""
    before = configurations(hosts)
    done = converge(nginx_https_port=9003)
    assert done.failed == set(hosts)
    assert done.missing("9003") == []
    assert configurations(hosts) == before
    assert all_answer(hosts)


@pytest.mark.usefixtures("restored")
def test_brought_certificates_are_served_undeclared_sites_go_and_a_wrong_key_is_put_back(
    hosts: Hosts, converge: Converge, tmp_path: Path
) -> None:
    """One site with the contents of its certificate, one with files that somebody else put there; the other sites are gone."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj"]
    for pair, name in (("one", NAME), ("two", NAME), ("three", "brought.example")):
        files = ["-keyout", tmp_path / f"{pair}.key", "-out", tmp_path / f"{pair}.crt"]
        subprocess.run(
            [*make, f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},DNS:www.{name}", *files], check=True, capture_output=True
        )
    pem = {path.name: path.read_text() for path in tmp_path.iterdir()}
    for host in hosts.values():
        for part in ("crt", "key"):
            host.check_output(f"install -D -m 0640 -g www-data /dev/null /etc/own-tls/pair.{part}")
            host.check_output(f"printf %s {shlex.quote(pem[f'three.{part}'])} > /etc/own-tls/pair.{part}")
        host.check_output("chmod 0755 /etc/own-tls")

    shop = {**SHOP, "tls_certificate": pem["one.crt"], "tls_key": pem["one.key"]}
    brought = {**BROUGHT, "tls_certificate_path": "/etc/own-tls/pair.crt", "tls_key_path": "/etc/own-tls/pair.key"}
    done = converge(nginx_sites=[shop, brought])
    assert done.code == 0, done.output
    for host in hosts.values():
        deadline = time.monotonic() + 5
        while served(host, NAME) != pem["one.crt"].strip():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert served(host, "brought.example") == pem["three.crt"].strip()
        assert (host.file("/etc/nginx/tls/sites/shop.key").mode, host.file("/etc/nginx/tls/sites/shop.key").group) == (0o640, "www-data")
        assert [ask(host, "/", name=name).status for name in (NAME, "brought.example", "side.example", "old.example")] == [
            200,
            200,
            421,
            421,
        ]
        assert host.check_output("ls /etc/nginx/conf.d/50-* /etc/nginx/htpasswd").split() == [
            "/etc/nginx/conf.d/50-brought.conf",
            "/etc/nginx/conf.d/50-shop.conf",
            "/etc/nginx/htpasswd:",
        ]

    done = converge(nginx_sites=[{**shop, "tls_key": pem["two.key"]}, brought])
    assert done.failed == set(hosts)
    assert done.missing("nginx_sites[0].tls_key is one that clients would refuse: the key belongs to another certificate") == []
    assert pem["two.key"].splitlines()[1] not in done.output
    for host in hosts.values():
        assert served(host, NAME) == pem["one.crt"].strip()


def test_nonsense_is_refused_all_at_once_before_anything_changes(hosts: Hosts, converge: Converge) -> None:
    before = configurations(hosts)
    nonsense: dict[str, Any] = {
        "nginx_flower_upstream": "10.0.0.5",
        "nginx_trusted_proxies": ["everybody"],
        "nginx_internal_paths": ["metrics"],
        "nginx_security_headers": {"X-Test": 'a" always; #'},
        "nginx_client_max_body_size": "much",
        "nginx_rate_limit_burst": -1,
        "nginx_status_port": 443,
    }
    done = converge(nginx_sites=[{"name": "shop", "server_names": ["shop.example; return 200"]}], nginx_tls_mode="files", **nonsense)
    assert done.failed == set(hosts)
    for variable, value in nonsense.items():
        shown = value[0] if isinstance(value, list) and value else value
        assert done.missing(variable) == []
        assert isinstance(shown, (list, dict)) or done.missing(str(shown)) == []
    assert done.missing("nginx_sites[0].server_names[0]", "shop.example; return 200") == []
    assert done.missing("nginx_sites[0].tls_certificate is empty; allowed: the contents of a PEM file") == []
    assert configurations(hosts) == before


def test_unknown_choice_is_refused(hosts: Hosts, converge: Converge) -> None:
    done = converge(nginx_tls_mode="letsencrypt")
    assert done.failed == set(hosts)
    assert done.missing("nginx_tls_mode", "letsencrypt", "self_signed") == []


def test_a_check_run_of_other_names_is_exact(hosts: Hosts, converge: Converge) -> None:
    """The pair for its names is not there yet, and a candidate that names it can be judged."""
    before = configurations(hosts)
    done = converge("--check", nginx_sites=[{"name": "renamed", "server_names": ["renamed.example"], "upstreams": ["127.0.0.1:9001"]}])
    assert (done.code, done.failed) == (0, set()), done.output
    assert done.changed == set(hosts)
    assert configurations(hosts) == before
