"""A rule set that shuts the controller out: the host must come back by itself, with the rules it had."""

import subprocess
import time

from conftest import OverSsh
from testinfra.host import Host

LOCK_OUT = {"firewall_admin_sources": ["203.0.113.0/24"], "firewall_confirm_timeout": 5}


def rules(host: Host) -> str:
    return host.run("nft --stateless list table inet slipway").stdout


def leftovers(host: Host) -> str:
    """What a guard that has done its work must not leave behind."""
    return host.check_output(
        "systemctl list-units --all --plain --no-legend 'slipway-undo-*';"
        " find /var/lib/slipway/undo /etc/systemd -mindepth 1 -name '*-undo-*'"
    )


def test_the_host_puts_the_old_rules_back(host: Host, over_ssh: OverSsh) -> None:
    earlier, file = rules(host), host.file("/etc/slipway/firewall.nft").content_string
    code, output = over_ssh.run("firewall", **LOCK_OUT)
    assert code != 0
    assert "firewall: no new connection got in within 5 s" in output
    assert "The host put the earlier files back by itself after 5 s and answers again" in output
    assert over_ssh.ssh("true").returncode == 0
    assert rules(host) == earlier
    assert host.file("/etc/slipway/firewall.nft").content_string == file
    assert leftovers(host) == ""


def test_a_first_rule_set_that_locks_out_leaves_an_open_host(host: Host, over_ssh: OverSsh) -> None:
    host.check_output("cp -a /etc/slipway/firewall.nft /root/kept.nft; rm /etc/slipway/firewall.nft; nft delete table inet slipway")
    code, _ = over_ssh.run("firewall", **LOCK_OUT)
    assert code != 0
    assert over_ssh.ssh("true").returncode == 0
    assert host.run("nft list table inet slipway").rc != 0
    assert not host.file("/etc/slipway/firewall.nft").exists
    host.check_output("mv /root/kept.nft /etc/slipway/firewall.nft; systemctl restart slipway-firewall.service")


def test_a_confirmed_change_stays_and_leaves_nothing_behind(host: Host, over_ssh: OverSsh) -> None:
    rule = {"name": "more", "ports": [8010], "sources": ["192.0.2.7"]}
    code, output = over_ssh.run("firewall", firewall_rules=[rule], firewall_confirm_timeout=5)
    assert code == 0, output
    assert "192.0.2.7" in rules(host)
    assert leftovers(host) == ""
    time.sleep(6)
    assert "192.0.2.7" in rules(host)
    code, output = over_ssh.run("firewall", firewall_rules=[rule], firewall_confirm_timeout=5)
    assert (code, "changed=0" in output) == (0, True), output


def test_a_flushed_table_comes_back_with_the_next_run(host: Host, over_ssh: OverSsh) -> None:
    host.check_output("nft flush ruleset")
    code, output = over_ssh.run("firewall", firewall_confirm_timeout=5)
    assert (code, "changed=0" in output) == (0, False), output
    assert "policy drop" in rules(host)


def test_a_reboot_before_the_confirmation_brings_the_old_rules(host: Host, over_ssh: OverSsh) -> None:
    earlier = rules(host)
    running = over_ssh.start("firewall", firewall_admin_sources=["203.0.113.0/24"], firewall_confirm_timeout=600)
    try:
        for _ in range(300):
            if "203.0.113" in rules(host):
                break
            time.sleep(0.1)
        assert "203.0.113" in rules(host)
    finally:
        running.kill()
        running.wait()
    subprocess.run(["docker", "restart", "--time=5", host.backend.name], check=True, capture_output=True)
    for _ in range(100):
        if host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}:
            break
        time.sleep(0.1)
    assert rules(host) == earlier
    over_ssh.address = over_ssh.current_address()
    assert over_ssh.ssh("true").returncode == 0
    assert leftovers(host) == ""


def test_bad_rules_are_refused_before_anything_is_touched(host: Host, over_ssh: OverSsh) -> None:
    earlier = rules(host)
    code, output = over_ssh.run("firewall", firewall_rules=[{"name": "x", "ports": [80], "sources": ["db.example.org"]}])
    assert (code != 0, "db.example.org" in output) == (True, True)
    code, output = over_ssh.run("firewall", firewall_rules=[{"name": "x", "ports": [80], "sources": ["10.0.0.999"]}])
    assert (code != 0, "/etc/slipway/firewall.nft" in output and "10.0.0.999" in output) == (True, True), output
    assert rules(host) == earlier
