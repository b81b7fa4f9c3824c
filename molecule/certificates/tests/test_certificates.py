"""What certificates promises of a host at rest: what was issued is served, and what could not be is left alone."""

from shown import LIVE, SITES, metric, orders, served, trusted
from testinfra.host import Host


def test_every_name_is_served_with_a_chain_that_clients_trust(host: Host) -> None:
    assert {name: trusted(host, name) for names in SITES.values() for name in names} == dict.fromkeys(
        [name for names in SITES.values() for name in names], True
    )
    for site, names in SITES.items():
        kept = host.check_output(f"openssl x509 -noout -fingerprint -sha256 -in {LIVE}/{site}/cert.pem")
        assert {served(host, name) for name in names} == {kept}


def test_a_name_that_leads_elsewhere_keeps_the_stand_in_and_asks_for_nothing(host: Host) -> None:
    assert host.check_output("readlink /var/lib/slipway/tls/served/astray").startswith("/var/lib/slipway/tls/self-signed-")
    assert not trusted(host, "astray.lab.test")
    assert (metric(host, "stand_in", "astray"), metric(host, "names_elsewhere", "astray"), metric(host, "failures", "astray")) == (1, 1, 0)
    assert host.run("journalctl --unit pebble --grep astray").rc != 0
    assert orders(host) > 0


def test_the_timer_finds_nothing_to_do_and_says_what_waits(host: Host) -> None:
    """With the sandbox that it has."""
    before = (served(host, "shop.lab.test"), orders(host))
    host.check_output("systemctl start slipway-certificates.service")
    said = host.check_output("journalctl --unit slipway-certificates --output cat --lines 5")
    assert "astray.lab.test leads to 127.0.0.80 (another server answers), not to this host. Let its A and AAAA records lead" in said
    assert (served(host, "shop.lab.test"), orders(host)) == before
    assert host.service("slipway-certificates.timer").is_running
    assert host.check_output("systemctl is-enabled slipway-certificates.timer certbot.timer || true").split() == ["enabled", "masked"]


def test_keys_and_credentials_are_readable_by_those_who_need_them(host: Host) -> None:
    key = host.file("/var/lib/slipway/tls/served/shop/privkey.pem")
    assert (key.user, key.group, key.mode) == ("root", "www-data", 0o640)
    assert host.file("/etc/slipway/certificates/dns").mode == 0o600
    assert host.run("runuser -u nobody -- ls /var/lib/slipway/tls /var/lib/slipway/certbot /etc/slipway/certificates").stdout == ""


def test_the_metrics_tell_the_lifetime_of_every_site(host: Host) -> None:
    for site in ("shop", "wild", "astray", "own"):
        assert 0 < metric(host, "not_before_timestamp_seconds", site) < metric(host, "not_after_timestamp_seconds", site)
    assert (metric(host, "stand_in", "shop"), metric(host, "failures", "shop")) == (0, 0)
