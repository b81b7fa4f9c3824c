"""A rule set that shuts the controller out: the host must come back by itself, with the rules it had.

Each run is played once, on all hosts, and looked at on each.
"""

import subprocess
import time
from collections.abc import Callable

import pytest
from over_ssh import OverSsh
from playbook import Hosts
from testinfra.host import Host

LOCK_OUT = {"firewall_admin_sources": ["203.0.113.0/24"], "firewall_confirm_timeout": 5}
FILE = "/etc/slipway/firewall.nft"


def rules(host: Host) -> str:
    return host.run("nft --stateless list table inet slipway").stdout


def leftovers(host: Host) -> str:
    """What a guard that has done its work must not leave behind."""
    return host.check_output(
        "systemctl list-units --all --plain --no-legend 'slipway-undo-*';"
        " find /var/lib/slipway/undo /etc/systemd -mindepth 1 -name '*-undo-*'"
    )


def each(hosts: Hosts, look: Callable[[Host], str]) -> dict[str, str]:
    return {name: look(host) for name, host in hosts.items()}


def nobody_is_locked_out(over_ssh: OverSsh) -> bool:
    return {over_ssh.ssh(name, "true").returncode for name in over_ssh.hosts} == {0}


def test_the_host_puts_the_old_rules_back(hosts: Hosts, over_ssh: OverSsh) -> None:
    earlier, files = each(hosts, rules), each(hosts, lambda host: host.file(FILE).content_string)
    done = over_ssh.run("firewall", **LOCK_OUT)
    assert done.failed == set(hosts)
    named = ("firewall: no new connection got in within 5 s", "The host put the earlier files back by itself after 5 s and answers again")
    assert done.missing(*named) == []
    assert nobody_is_locked_out(over_ssh)
    assert each(hosts, rules) == earlier
    assert each(hosts, lambda host: host.file(FILE).content_string) == files
    assert set(each(hosts, leftovers).values()) == {""}


def test_a_first_rule_set_that_locks_out_leaves_an_open_host(hosts: Hosts, over_ssh: OverSsh) -> None:
    for host in hosts.values():
        host.check_output(f"cp -a {FILE} /root/kept.nft; rm {FILE}; nft delete table inet slipway")
    done = over_ssh.run("firewall", **LOCK_OUT)
    assert done.failed == set(hosts)
    assert nobody_is_locked_out(over_ssh)
    for host in hosts.values():
        assert host.run("nft list table inet slipway").rc != 0
        assert not host.file(FILE).exists
        host.check_output(f"mv /root/kept.nft {FILE}; systemctl restart slipway-firewall.service")


def test_a_confirmed_change_stays_and_leaves_nothing_behind(hosts: Hosts, over_ssh: OverSsh) -> None:
    rule = {"name": "more", "ports": [8010], "sources": ["192.0.2.7"]}
    done = over_ssh.run("firewall", firewall_rules=[rule], firewall_confirm_timeout=5)
    assert done.code == 0, done.output
    assert [name for name, host in hosts.items() if "192.0.2.7" not in rules(host)] == []
    assert set(each(hosts, leftovers).values()) == {""}
    time.sleep(6)
    assert [name for name, host in hosts.items() if "192.0.2.7" not in rules(host)] == []
    done = over_ssh.run("firewall", firewall_rules=[rule], firewall_confirm_timeout=5)
    assert (done.code, done.changed) == (0, set()), done.output


def test_a_flushed_table_comes_back_with_the_next_run(hosts: Hosts, over_ssh: OverSsh) -> None:
    for host in hosts.values():
        host.check_output("nft flush ruleset")
    done = over_ssh.run("firewall", firewall_confirm_timeout=5)
    assert (done.code, done.changed) == (0, set(hosts)), done.output
    assert [name for name, host in hosts.items() if "policy drop" not in rules(host)] == []


@pytest.mark.parametrize(
    ("make", "undo", "words"),
    [
        (
            "nft add table ip filter; nft add chain ip filter INPUT '{ type filter hook input priority 0; policy accept; }'; "
            "nft add rule ip filter INPUT tcp dport 25 reject",
            "nft delete table ip filter",
            "the chain INPUT of the table ip filter (sudo iptables -P INPUT ACCEPT && sudo iptables -F INPUT)",
        ),
        (
            "nft add table inet hand; nft add chain inet hand in '{ type filter hook input priority 5; policy accept; }'; "
            "nft add rule inet hand in tcp dport 25 drop",
            "nft delete table inet hand",
            "the chain in of the table inet hand (sudo nft delete table inet hand)",
        ),
        ("mkdir -p /etc/ufw; echo ENABLED=yes > /etc/ufw/ufw.conf", "rm -r /etc/ufw", "ufw (sudo ufw disable)"),
    ],
    ids=["iptables", "nft", "ufw"],
)
def test_somebody_elses_filter_is_refused_by_name(hosts: Hosts, over_ssh: OverSsh, make: str, undo: str, words: str) -> None:
    earlier = each(hosts, rules)
    for host in hosts.values():
        host.check_output(make)
    try:
        done = over_ssh.run("firewall", firewall_rules=[{"name": "more", "ports": [8011], "sources": ["any"]}])
        assert done.failed == set(hosts)
        assert done.missing("Another packet filter judges what comes in", words) == [], done.output
        assert each(hosts, rules) == earlier
    finally:
        for host in hosts.values():
            host.check_output(undo)


def test_dockers_chains_and_a_table_without_judgement_are_no_other_filter(hosts: Hosts, over_ssh: OverSsh) -> None:
    for host in hosts.values():
        host.check_output(
            "nft add table ip filter; nft add chain ip filter DOCKER; nft add rule ip filter DOCKER drop; "
            "nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'; "
            "nft add table inet count; nft add chain inet count in '{ type filter hook input priority 5; policy accept; }'; "
            "nft add rule inet count in counter"
        )
    try:
        assert over_ssh.run("firewall", firewall_confirm_timeout=5).code == 0
    finally:
        for host in hosts.values():
            host.check_output("nft delete table ip filter; nft delete table inet count")


def test_a_reboot_before_the_confirmation_brings_the_old_rules(hosts: Hosts, over_ssh: OverSsh) -> None:
    earlier = each(hosts, rules)
    running = over_ssh.start("firewall", firewall_admin_sources=["203.0.113.0/24"], firewall_confirm_timeout=600)
    try:
        for _ in range(300):
            if all("203.0.113" in rules(host) for host in hosts.values()):
                break
            time.sleep(0.1)
        assert [name for name, host in hosts.items() if "203.0.113" not in rules(host)] == []
    finally:
        running.kill()
        running.communicate()
    subprocess.run(["docker", "restart", "--time=5", *(host.backend.name for host in hosts.values())], check=True, capture_output=True)
    for host in hosts.values():
        for _ in range(100):
            if host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}:
                break
            time.sleep(0.1)
    assert each(hosts, rules) == earlier
    assert nobody_is_locked_out(over_ssh)
    assert set(each(hosts, leftovers).values()) == {""}


def test_bad_rules_are_refused_before_anything_is_touched(hosts: Hosts, over_ssh: OverSsh) -> None:
    earlier = each(hosts, rules)
    for source, word in (
        ("db.example.org", "an address or a network"),
        ("10.0.0.999", "an address or a network"),
        ("0.0.0.0", "0.0.0.0/0 for everybody"),
    ):
        done = over_ssh.run("firewall", firewall_rules=[{"name": "x", "ports": [80], "sources": [source]}])
        assert done.failed == set(hosts)
        assert done.missing(f"firewall_rules[0].sources[0] is '{source}'", word) == [], done.output
    assert each(hosts, rules) == earlier
