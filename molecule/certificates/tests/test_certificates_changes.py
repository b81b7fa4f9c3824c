"""What certificates promises when a certificate is due, when the authority is in trouble, and when sites change."""

import shlex
from collections.abc import Callable

import pytest
from playbook import Converge, Hosts
from shown import age, main_process, metric, orders, served, trusted
from testinfra.host import Host

SHOP = "shop.lab.test"
# New connections one after the other until told to stop; each must be answered by TLS and HTTP.
LOAD = """
import pathlib, socket, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
asked = failed = 0
shown = set()
while not pathlib.Path("/run/load-stop").exists():
    asked += 1
    try:
        with socket.create_connection(("127.0.0.1", 443), 20) as plain, context.wrap_socket(plain, server_hostname="shop.lab.test") as tls:
            shown.add(tls.getpeercert(binary_form=True))
            tls.sendall(b"GET /static/x HTTP/1.1\\r\\nHost: shop.lab.test\\r\\nConnection: close\\r\\n\\r\\n")
            failed += not tls.recv(100).startswith(b"HTTP/1.1 503")  # no application behind this site
    except OSError:
        failed += 1
    pathlib.Path("/run/load").write_text(f"{asked} {failed} {len(shown)}")
"""


def start_load(host: Host) -> None:
    host.check_output("rm -f /run/load-stop /run/load")
    host.check_output(f"systemd-run --quiet --collect --unit=load python3 -c {shlex.quote(LOAD)}")
    host.check_output("until test -s /run/load; do sleep 0.05; done")


def stop_load(host: Host) -> tuple[int, int, int]:
    """(requests, failed, certificates that were shown)."""
    host.check_output("touch /run/load-stop; while systemctl is-active --quiet load; do sleep 0.05; done")
    asked, failed, shown = host.check_output("cat /run/load").split()
    return int(asked), int(failed), int(shown)


def test_two_thirds_are_over_while_requests_come(hosts: Hosts, converge: Converge) -> None:
    before = {name: (main_process(host), served(host, SHOP)) for name, host in hosts.items()}
    for host in hosts.values():
        age(host, "shop", 67, 34)  # hours of a short life
    done = converge("--check", "--diff")
    assert "shop: renew" not in done.output
    for host in hosts.values():
        age(host, "shop", 68, 32)
    done = converge("--check", "--diff")
    assert (done.code, done.changed) == (0, set(hosts))
    assert done.missing("shop: renew (two thirds of its lifetime are over)") == []
    for name, host in hosts.items():
        assert served(host, SHOP) == before[name][1]
        start_load(host)
        host.check_output("systemctl start slipway-certificates.service")
        asked, failed, shown = stop_load(host)
        print(f"{name}: {asked} requests, {failed} failed, {shown} certificates")
        assert (failed, shown) == (0, 2)
        assert asked > 20
        assert (main_process(host), trusted(host, SHOP)) == (before[name][0], True)
        assert served(host, SHOP) != before[name][1]
    assert converge("--check").changed == set()


def expired(host: Host) -> None:
    age(host, "shop", 100, -1)


def revoked(host: Host) -> None:
    """As an administrator does it whose key was stolen."""
    folder = "--config-dir /var/lib/slipway/certbot --server https://127.0.0.1:14000/dir"
    asked = f"certbot revoke --non-interactive --cert-name shop --no-delete-after-revoke {folder}"
    host.check_output(f"REQUESTS_CA_BUNDLE=/root/acme/ca.pem {asked}")


@pytest.mark.parametrize(("spoil", "reason"), [(expired, "it has expired"), (revoked, "the authority wants it renewed")])
def test_one_that_clients_refuse_is_renewed_at_once(spoil: Callable[[Host], None], reason: str, hosts: Hosts, converge: Converge) -> None:
    before = {name: served(host, SHOP) for name, host in hosts.items()}
    for host in hosts.values():
        spoil(host)
    done = converge("--diff")
    assert (done.code, done.changed) == (0, set(hosts)), done.output
    assert done.missing(f"shop: renew ({reason})") == []
    for name, host in hosts.items():
        assert served(host, SHOP) != before[name]
        assert trusted(host, SHOP)


LIMIT = (
    '{"type": "urn:ietf:params:acme:error:rateLimited", "status": 429, "detail": "too many certificates (5) already issued for this exact '
    'set of identifiers in the last 168h0m0s, retry after 2031-05-06 07:08:09 UTC: see https://letsencrypt.org/docs/rate-limits/"}'
)
# nginx itself, in front of the authority, answers as Let's Encrypt does when a limit is reached.
FRONT = """
server {
    listen 127.0.0.1:14443 ssl;
    server_name _;
    ssl_certificate /srv/front/server.pem;
    ssl_certificate_key /srv/front/server.key;
    location = /order-plz {
        default_type application/problem+json;
        return 429 '@LIMIT@';
    }
    location / {
        proxy_pass https://127.0.0.1:14000;
        proxy_set_header Host $http_host;
    }
}
"""


def test_an_authority_that_is_down_is_a_warning_and_the_timer_waits(hosts: Hosts, converge: Converge) -> None:
    before = {name: (served(host, SHOP), orders(host)) for name, host in hosts.items()}
    done = converge(scenario_directory_url="https://127.0.0.1:14999/dir")
    assert (done.code, done.failed) == (0, set()), done.output
    assert (
        done.missing("shop: the ACME server https://127.0.0.1:14999/dir does not answer", "Meanwhile nginx serves the certificate that is")
        == []
    )
    for name, host in hosts.items():
        assert metric(host, "failures", "shop") == 1
        host.check_output("systemctl start slipway-certificates.service")
        said = host.check_output("journalctl --unit slipway-certificates --output cat --lines 8")
        assert "shop: no certificate is asked for before" in said
        assert metric(host, "failures", "shop") == 1
        assert (served(host, SHOP), orders(host)) == before[name]


def test_a_rate_limit_is_a_warning_and_nobody_asks_before_its_time(hosts: Hosts, converge: Converge) -> None:
    before = {name: served(host, SHOP) for name, host in hosts.items()}
    for host in hosts.values():
        host.check_output("install -d -o www-data /srv/front && install -o www-data -m 0600 /root/acme/server.* /srv/front")
        host.check_output(
            f"printf %s {shlex.quote(FRONT.replace('@LIMIT@', LIMIT))} > /etc/nginx/conf.d/98-front.conf && systemctl reload nginx"
        )
        host.check_output("timeout 30 sh -c 'until curl --silent --fail --insecure https://127.0.0.1:14443/dir; do sleep 0.1; done'")
    limited = {"scenario_directory_url": "https://127.0.0.1:14443/dir"}
    done = converge(**limited)
    assert (done.code, done.failed) == (0, set()), done.output
    said = "shop: the ACME server limits the rate of requests:"
    assert done.missing(said, "too many certificates (5)", "The next attempt is made after 2031-05-06 07:08 UTC") == []
    asked = {name: host.check_output("grep --count /order-plz /var/log/nginx/access.log") for name, host in hosts.items()}
    done = converge(**limited)
    assert (done.code, done.failed) == (0, set())
    assert done.missing("shop: no certificate is asked for before 2031-05-06 07:08 UTC") == []
    for name, host in hosts.items():
        assert host.check_output("grep --count /order-plz /var/log/nginx/access.log") == asked[name] == "2"
        assert served(host, SHOP) == before[name]
        host.check_output("rm /etc/nginx/conf.d/98-front.conf && systemctl reload nginx")
    assert converge().code == 0
    assert [metric(host, "failures", "shop") for host in hosts.values()] == [0] * len(hosts)


def test_nginx_that_does_not_take_the_new_one_is_an_error_that_says_so(hosts: Hosts) -> None:
    for host in hosts.values():
        before = served(host, SHOP)
        host.check_output("echo 'broken' > /etc/nginx/conf.d/99-broken.conf")
        age(host, "shop", 80, 20)
        assert host.run("systemctl start slipway-certificates.service").rc != 0
        said = host.check_output("journalctl --unit slipway-certificates --output cat --lines 8")
        assert "nginx still serves the certificate" in said and f"for {SHOP}" in said
        assert served(host, SHOP) == before
        host.check_output("rm /etc/nginx/conf.d/99-broken.conf && systemctl start slipway-certificates.service")
        assert served(host, SHOP) != before
        assert trusted(host, SHOP)


def test_a_name_that_leads_here_now_gets_its_certificate_and_a_site_that_goes_is_not_renewed(hosts: Hosts, converge: Converge) -> None:
    for host in hosts.values():
        address = host.check_output("dig +short shop.lab.test")
        update = f"server 127.0.0.1\nupdate delete astray.lab.test A\nupdate add astray.lab.test 1 A {address}\nsend\n"
        host.check_output(f"printf '{update}' | nsupdate -y hmac-sha256:acme:b25seS1mb3ItdGhpcy1zY2VuYXJpbw==")
    sites = [{"name": name, "server_names": [f"{name}.lab.test"], "tls_mode": "acme"} for name in ("shop", "astray")]
    done = converge("--diff", scenario_sites=sites)
    assert (done.code, done.changed) == (0, set(hosts)), done.output
    assert done.missing("astray: issue (there is none)", "shop: renew (it is for", "wild: remove (no site has it)") == []
    for host in hosts.values():
        assert trusted(host, "astray.lab.test")
        assert trusted(host, SHOP)
        assert host.check_output("ls /var/lib/slipway/certbot/renewal").split() == ["astray.conf", "shop.conf"]
        left = {
            line.rpartition("-")[0] for line in host.check_output("ls /var/lib/slipway/tls | grep -v self-signed | grep -v served").split()
        }
        assert left == {"astray", "shop"}
    assert converge("--check", scenario_sites=sites).changed == set()
