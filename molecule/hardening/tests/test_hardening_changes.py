"""What hardening promises when its variables change: each run is played once over ssh, on all hosts, and looked at on each."""

import pytest
from over_ssh import OverSsh
from playbook import Hosts


def role_variables(operator: OverSsh, **more: object) -> dict[str, object]:
    """What converge.yml gives, so that a run changes only what a test asks for."""
    return {
        "hardening_admin_user": "operator",
        "hardening_admin_keys": [operator.key.with_suffix(".pub").read_text().strip()],
        "hardening_confirm_timeout": 5,
        "hardening_fail2ban_max_retry": 3,
        "hardening_sysctl": {"net.ipv4.conf.all.log_martians": 0},
        **more,
    }


def each(hosts: Hosts, command: str) -> dict[str, str]:
    return {name: host.check_output(command) for name, host in hosts.items()}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"hardening_ssh_port": 2222}, "sshd"),  # while the inventory still says 22
        (
            {"hardening_admin_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP9kgkh1rzFZSeA6Xby5s7oHK8kObVKPzFi4qckKFJJz old@example.org"]},
            "admin",
        ),
    ],
    ids=["another port", "a key nobody holds"],
)
def test_a_change_that_locks_ansible_out_is_put_back(hosts: Hosts, operator: OverSsh, change: dict[str, object], where: str) -> None:
    files = "/etc/ssh/sshd_config.d/00-slipway.conf /home/operator/.ssh/authorized_keys"
    state = f"sha256sum {files}; stat -c '%a %U' {files}"
    earlier = each(hosts, state)
    done = operator.run("hardening", **role_variables(operator, **change))
    assert done.failed == set(hosts)
    assert done.missing(f"{where}: no new connection got in within 5 s", "The host put the earlier files back by itself") == []
    assert each(hosts, state) == earlier
    assert {operator.ssh(name, "sudo -n true").returncode for name in hosts} == {0}


def test_a_broken_setting_never_reaches_sshd(hosts: Hosts, operator: OverSsh) -> None:
    state = "sha256sum /etc/ssh/sshd_config.d/00-slipway.conf; pgrep -o sshd"
    earlier = each(hosts, state)
    for setting, words in (
        ({"Ciphers": "rot13"}, ["rot13", "00-slipway.conf"]),
        ({"PasswordAuthentication": "yes"}, ["sshd would still take passwords"]),
    ):
        done = operator.run("hardening", **role_variables(operator, hardening_ssh_settings=setting))
        assert done.failed == set(hosts)
        assert done.missing(*words) == [], done.output
    assert each(hosts, state) == earlier
