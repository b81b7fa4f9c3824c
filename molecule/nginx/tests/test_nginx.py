"""What nginx promises: HTTPS for our names, nothing internal for strangers, no error when one instance is gone, no gap at a change."""

import itertools
import json
import shlex
import time
from pathlib import Path

import pytest
from client import CLIENTS, INTERNAL, NAME, ask, ask_often, process, seen, start
from playbook import Hosts
from testinfra.host import Host

HEADERS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "content-security-policy": "frame-ancestors 'none'; base-uri 'self'; object-src 'none'",
}
WEBSOCKET = """
import socket, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 5), server_hostname="shop.example")
connection.sendall(b"GET /ws HTTP/1.1\\r\\nHost: shop.example\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n")
stream = connection.makefile("rb")
print(stream.readline().decode().split()[1])
while stream.readline().strip():
    pass
connection.sendall(b"hello\\n")
print(stream.readline().decode().strip())
"""


def test_https_with_the_certificate_and_http_2(host: Host) -> None:
    trusted = host.check_output("grep --no-filename --max-count 1 -o '/etc/nginx/tls/self-signed.*crt' /etc/nginx/conf.d/50-shop.conf")
    for name in (NAME, "www.shop.example"):
        command = f"curl --silent --output /dev/null --cacert {trusted} --resolve {name}:443:{INTERNAL}"
        assert host.check_output(f"{command} --write-out '%{{http_code}} %{{http_version}}' https://{name}/") == "200 2"
    assert host.run(f"curl --silent --cacert {trusted} --resolve other.example:443:{INTERNAL} https://other.example/").rc == 60


def test_http_3_where_this_nginx_has_it(host: Host) -> None:
    """Told to whoever comes by HTTP/2, and answered: the site itself, with its limits and what its application sees."""
    has_it = "--with-http_v3_module" in host.check_output("nginx -V 2>&1")
    listening = host.check_output("ss --udp --listening --numeric --no-header").splitlines()
    found = {line.split()[3] for line in listening if line.split()[3].endswith(":443")}
    assert found == ({"0.0.0.0:443", "[::]:443"} if has_it else set())
    assert ask(host, "/").header("alt-svc") == ('h3=":443"; ma=86400' if has_it else "")
    assert ask(host, f"http://{NAME}/").header("alt-svc") == ""
    if not has_it:
        return
    assert " HTTP3" in host.check_output("curl --version")
    client = next(CLIENTS)
    answers = ask_often(host, 8, "/seen", "--http3-only", client=client)
    told = {name.lower(): value for name, value in answers[0].json["headers"].items()}
    assert (told["x-forwarded-for"], told["x-forwarded-proto"], told["host"]) == (client, "https", NAME)
    assert (answers[0].status, answers[-1].status) == (200, 429)
    assert {name: answers[0].header(name) for name in HEADERS} == HEADERS
    assert ask(host, "/", "--http3-only", name="side.example").json["port"] == 9003
    assert ask(host, "/metrics", "--http3-only").status == 404
    assert ask(host, "/", "--http3-only", name="stranger.example").status == 421
    line = host.check_output(f"grep --fixed-strings '\"{client}\"' /var/log/nginx/access.log | head -n 1")
    assert json.loads(line)["protocol"] == "HTTP/3.0"


def test_http_leads_to_https(host: Host) -> None:
    answer = ask(host, f"http://{NAME}/orders?page=2", "--request", "POST")
    assert (answer.status, answer.header("location")) == (308, f"https://{NAME}/orders?page=2")
    assert "strict-transport-security" not in answer.headers


def test_acme_challenges_are_answered_over_http(host: Host) -> None:
    host.check_output(
        "mkdir -p /var/lib/slipway/acme/.well-known/acme-challenge && echo proof > /var/lib/slipway/acme/.well-known/acme-challenge/token"
    )
    assert ask(host, f"http://{NAME}/.well-known/acme-challenge/token").body.strip() == "proof"
    assert ask(host, "http://new.example/.well-known/acme-challenge/token", name="new.example").body.strip() == "proof"
    assert ask(host, f"http://{NAME}/.well-known/acme-challenge/other").status == 404


def test_a_challenge_that_another_host_asked_for_is_answered(host: Host, hosts: Hosts) -> None:
    """Whichever address an authority takes. What nobody has is not asked for in a circle."""
    folder, here = "/var/lib/slipway/acme/.well-known/acme-challenge", host.check_output("hostname")
    others = [other for other in hosts.values() if other.check_output("hostname") != here]
    for other in others:
        other.check_output(f"mkdir -p {folder} && hostname > {folder}/of-another-host")
    host.check_output(f"rm -f {folder}/of-another-host")
    for name in (NAME, "old.example", "new.example"):
        answer = ask(host, f"http://{name}/.well-known/acme-challenge/of-another-host", name=name)
        assert (answer.status, answer.body) == ((200, others[0].check_output("hostname") + "\n") if others else (404, answer.body))
        assert ask(host, f"http://{name}/.well-known/acme-challenge/nobody-has", name=name).status == 404
    for other in others:
        other.check_output(f"rm {folder}/of-another-host")


def test_headers_are_on_every_answer(host: Host) -> None:
    answers = [ask(host, "/"), ask(host, "/metrics"), ask(host, "/", name="stranger.example"), ask(host, "/", "--data", "x" * 20_000)]
    assert [answer.status for answer in answers] == [200, 404, 421, 413]
    for answer in answers:
        assert {name: answer.header(name) for name in HEADERS} == HEADERS
        assert answer.header("server") in ("", "nginx")


def test_application_may_send_its_own_headers_but_not_weaken_https(host: Host) -> None:
    answer = ask(host, "/own-headers")
    assert answer.header("x-frame-options") == "SAMEORIGIN"
    assert answer.header("strict-transport-security") == HEADERS["strict-transport-security"]


def test_unknown_name_gets_nothing_but_health(host: Host) -> None:
    assert ask(host, "/orders", name="stranger.example").status == 421
    assert ask(host, "http://stranger.example/", name="stranger.example").status == 421
    assert ask(host, f"https://{INTERNAL}/health").json["path"] == "/health"


@pytest.mark.parametrize(
    "path",
    [
        "/metrics", "/metrics/", "//metrics", "/%6detrics", "/orders/../metrics", "/x%2f..%2fmetrics", "/METRICS", "/metrics?x=1",
        "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/health/detailed", "/health/test/database", "/flower", "/flower/",
    ],
)  # fmt: skip
def test_internal_paths_are_closed_to_the_public(host: Host, path: str) -> None:
    answer = ask(host, path)
    assert (answer.status, answer.json) == (404, {"detail": "Not Found"})
    assert ask(host, path, client=INTERNAL).status in (200, 301)  # nginx itself leads /flower to /flower/


def test_only_whole_path_segments_are_internal(host: Host) -> None:
    for path in ("/metricsx", "/health", "/documents", "/v1/metrics", "/openapixjson"):
        assert ask(host, path).status == 200


def test_flower_is_behind_its_path(host: Host) -> None:
    answer = ask(host, "/flower/tasks", client=INTERNAL)
    assert (answer.json["port"], answer.json["path"]) == (9003, "/flower/tasks")


def test_application_sees_the_real_client(host: Host) -> None:
    client = next(CLIENTS)
    spoofed = [
        "X-Forwarded-For: 203.0.113.7",
        "X-Real-IP: 203.0.113.7",
        "Forwarded: for=203.0.113.7",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil",
    ]
    headers = seen(host, *itertools.chain.from_iterable(("--header", line) for line in spoofed), client=client)
    assert (headers["x-forwarded-for"], headers["x-real-ip"]) == (client, client)
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"], headers["x-forwarded-port"], headers["host"]) == (
        "https",
        NAME,
        "443",
        NAME,
    )
    assert "203.0.113.7" not in str(headers)
    assert len(headers["x-request-id"]) == 32


def test_a_client_is_limited_and_nobody_else(host: Host) -> None:
    client = next(CLIENTS)
    answers = ask_often(host, 12, "/", client=client)
    codes = [answer.status for answer in answers]
    assert codes[:6] == [200] * 6
    assert codes[-1] == 429
    assert (answers[-1].header("content-type"), answers[-1].header("retry-after")) == ("application/json", "60")
    assert answers[-1].json == {"detail": "Too many requests, try again in a minute"}
    assert answers[-1].header("strict-transport-security") == HEADERS["strict-transport-security"]
    assert answers[0].header("retry-after") == ""
    assert ask(host, "/").status == 200
    assert {answer.status for answer in ask_often(host, 12, "/", client=INTERNAL)} == {200}


def test_an_hour_lets_through_what_it_says(host: Host) -> None:
    """1000 an hour: never more in any hour, nearly all of them in the first, and after an idle one again."""
    source = shlex.quote((Path(__file__).parent / "hours.py").read_text())
    library = host.check_output("dpkg --listfiles libfaketime | grep --max-count 1 /libfaketime.so.1")
    hours = ("asks", "asks", "asks", "rests", "asks")
    passed = json.loads(host.check_output(f"python3 -c {source} /etc/nginx/conf.d/50-shop.conf shop {library} {' '.join(hours)}"))
    assert len(passed) == 60 * len(hours)
    assert max(sum(passed[minute : minute + 60]) for minute in range(len(passed))) <= 1000
    first, second, third, idle, again = (sum(passed[hour * 60 : hour * 60 + 60]) for hour in range(len(hours)))
    assert (first >= 950, second >= 700, third == second, idle, again == first) == (True, True, True, 0, True), passed


def test_what_a_page_brings_along_is_not_counted(host: Host) -> None:
    client = next(CLIENTS)
    assert {answer.status for answer in ask_often(host, 12, "/static/page.css", client=client)} == {200}
    assert ask(host, "/statics", client=client).status == 200


def test_nobody_but_a_trusted_proxy_says_that_a_client_came_by_https(host: Host) -> None:
    for client in (next(CLIENTS), INTERNAL):
        answer = ask(host, f"http://{NAME}/", "--header", "X-Forwarded-Proto: https", client=client)
        assert (answer.status, answer.header("location")) == (308, f"https://{NAME}/")


def test_too_large_a_body_is_refused(host: Host) -> None:
    assert ask(host, "/", "--data", "x" * 9_000).json["body"] == 9_000
    answer = ask(host, "/", "--data", "x" * 11_000)
    assert (answer.status, answer.json) == (413, {"detail": "Request body too large"})


def test_too_large_headers_are_refused(host: Host) -> None:
    assert ask(host, "/", "--http1.1", "--header", f"X-Long: {'x' * 7_000}").status == 200
    answer = ask(host, "/", "--http1.1", "--header", f"X-Long: {'x' * 9_000}")
    assert (answer.status, answer.json) == (431, {"detail": "Request headers too large"})
    assert {name: answer.header(name) for name in HEADERS} == HEADERS


def test_a_dead_instance_is_not_noticed(host: Host) -> None:
    assert {answer.json["port"] for answer in ask_often(host, 8, "/", client=INTERNAL)} == {9001, 9002}
    host.check_output("systemctl stop upstream-9002")
    try:
        assert {answer.json["port"] for answer in ask_often(host, 12, "/", client=INTERNAL)} == {9001}
        host.check_output("systemctl stop upstream-9001")
        answer = ask(host, "/")
        assert (answer.status, answer.json) == (502, {"detail": "The application does not answer"})
        assert answer.header("strict-transport-security") == HEADERS["strict-transport-security"]
    finally:
        start(host, 9001)
        start(host, 9002)
    # The instance that failed is left alone for the time of fail_timeout.
    deadline = time.monotonic() + 20
    while {answer.json["port"] for answer in ask_often(host, 8, "/", client=INTERNAL)} != {9001, 9002}:
        assert time.monotonic() < deadline


def test_an_unready_instance_is_passed_over_and_a_post_is_sent_once(host: Host) -> None:
    codes = [answer.status for answer in ask_often(host, 6, "/unready-9002", "--request", "POST", client=INTERNAL)]
    assert set(codes) == {200, 503}
    sent = host.check_output(
        "journalctl --no-pager --output cat --unit upstream-9001 --unit upstream-9002 | grep --count 'POST /unready-9002'"
    )
    assert int(sent) % 6 == 0
    assert {answer.json["port"] for answer in ask_often(host, 6, "/unready-9002", client=INTERNAL)} == {9001}


def test_old_tls_and_weak_ciphers_are_refused(host: Host) -> None:
    connect = f"echo | openssl s_client -connect {INTERNAL}:443 -servername {NAME}"
    assert "alert protocol version" in host.run(f"{connect} -tls1_1 -cipher DEFAULT@SECLEVEL=0 2>&1").stdout
    assert "alert handshake failure" in host.run(f"{connect} -tls1_2 -cipher AES128-SHA:AES256-GCM-SHA384 2>&1").stdout
    for version in ("tls1_2", "tls1_3"):
        assert host.run(f"{connect} -{version} 2>&1").rc == 0


def test_keys_are_for_nginx_alone(host: Host) -> None:
    keys = host.check_output("ls /etc/nginx/tls/*.key").split()
    assert len(keys) == 4
    for key in map(host.file, keys):
        assert (key.user, key.group, key.mode) == ("root", "www-data", 0o640)
        assert host.run(f"runuser --user nobody -- cat {key.path}").rc != 0
    line = shlex.quote(host.file(keys[0]).content_string.splitlines()[1])
    assert host.check_output(f"grep --recursive --files-with-matches {line} /etc /var /usr/local") == keys[0]


def test_access_log_is_json_without_query_strings(host: Host) -> None:
    client = next(CLIENTS)
    ask(host, "/orders?token=molecule-token", "--user-agent", 'curl "quoted"', client=client)
    line = host.check_output(f"grep --fixed-strings {client} /var/log/nginx/access.log | tail -n 1")
    entry = json.loads(line)
    assert (entry["path"], entry["status"], entry["client"], entry["host"]) == ("/orders", "200", client, NAME)
    assert entry["user_agent"] == 'curl "quoted"'
    assert (entry["site"], entry["upstream"] in ("127.0.0.1:9001", "127.0.0.1:9002"), entry["upstream_status"]) == ("shop", True, "200")
    assert 0 <= float(entry["upstream_seconds"]) <= entry["seconds"]
    told = seen(host, client=client)["x-request-id"]
    assert json.loads(host.check_output(f"grep --fixed-strings {client} /var/log/nginx/access.log | tail -n 1"))["request_id"] == told
    assert host.run("grep --recursive molecule-token /var/log/nginx").rc == 1


def test_log_goes_on_after_rotation(host: Host) -> None:
    host.check_output("logrotate --force /etc/logrotate.d/nginx")
    client = next(CLIENTS)
    deadline = time.monotonic() + 5
    while ask(host, "/", client=client) and host.run(f"grep --quiet {client} /var/log/nginx/access.log").rc:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_websocket(host: Host) -> None:
    assert host.check_output(f"python3 -c {shlex.quote(WEBSOCKET)}").splitlines() == ["101", "echo hello"]


def test_status_is_for_the_exporter_on_this_host(host: Host) -> None:
    assert "Active connections" in host.check_output("curl --silent http://127.0.0.1:8088/nginx_status")
    listening = host.check_output("ss --tcp --listening --numeric --no-header").splitlines()
    found = {line.split()[3] for line in listening if line.split()[3].endswith((":80", ":443", ":8088"))}
    assert found == {"0.0.0.0:80", "[::]:80", "0.0.0.0:443", "[::]:443", "127.0.0.1:8088"}


def test_sandbox(host: Host) -> None:
    verdict = host.check_output("systemd-analyze security --no-pager nginx.service").splitlines()[-1]
    assert float(verdict.split(":")[1].split()[0]) <= 1.5, verdict
    assert set(host.check_output("ps -C nginx -o user=").split()) == {"www-data"}
    inside = f"nsenter --target {process(host)} --mount --root"
    assert host.run(f"{inside} /usr/bin/touch /etc/nginx/molecule /usr/molecule /var/lib/molecule").rc != 0
    assert host.run(f"{inside} /usr/bin/touch /var/log/nginx/molecule").rc == 0


def test_reload_drops_nothing(host: Host) -> None:
    loop = (
        "import http.client, ssl, time\n"
        "context = ssl.create_default_context()\n"
        "context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
        "codes, until = [], time.monotonic() + 4\n"
        "while time.monotonic() < until:\n"
        "    connection = http.client.HTTPSConnection('127.0.0.1', 443, context=context, timeout=5)\n"
        "    connection.request('GET', '/', headers={'Host': 'shop.example'})\n"
        "    codes.append(connection.getresponse().status)\n"
        "    connection.close()\n"
        "print(len(codes), *set(codes))\n"
    )
    before = process(host)
    reloads = "for reload in 1 2 3 4; do sleep 0.8; systemctl reload nginx.service; done"
    count, *codes = host.check_output(f"({reloads}) & python3 -c {shlex.quote(loop)}").split()
    assert codes == ["200"]
    assert int(count) >= 8  # two for each reload, however slow the machine
    assert process(host) == before


def test_a_long_answer_survives_a_reload(host: Host) -> None:
    answer = host.check_output(
        f"curl --silent --insecure --resolve {NAME}:443:{INTERNAL} https://{NAME}/slow & sleep 0.5; systemctl reload nginx.service; wait"
    )
    assert json.loads(answer)["path"] == "/slow"
