"""The sandbox of a unit: a drop-in from words of intent."""

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import spec

UNIT = {"name": "api@8000.service", "restart_on": ["/etc/x"]}


def payload(**sandbox: Any) -> dict[str, Any]:
    return spec.normalise({"units": [{**UNIT, "sandbox": sandbox}]})


def lines(**sandbox: Any) -> list[str]:
    (file,) = payload(**sandbox)["files"]
    return str(file["content"]).splitlines()


def test_the_instances_of_a_template_share_one_drop_in_and_restart_on_it() -> None:
    units = [{"name": f"api@{port}.service", "state": "started", "sandbox": {"write": ["/var/lib/api"]}} for port in (8000, 8001)]
    done = spec.normalise({"units": units})
    assert [file["path"] for file in done["files"]] == ["/etc/systemd/system/api@.service.d/slipway-sandbox.conf"]
    assert [unit["restart_on"] for unit in done["units"]] == [["/etc/systemd/system/api@.service.d/slipway-sandbox.conf"]] * 2


def test_an_ordinary_unit_has_its_own_drop_in() -> None:
    done = spec.normalise({"units": [{"name": "nginx.service", "sandbox": {}}]})
    assert [file["path"] for file in done["files"]] == ["/etc/systemd/system/nginx.service.d/slipway-sandbox.conf"]


def test_a_job_that_a_timer_starts_is_not_restarted() -> None:
    (unit,) = payload()["units"]
    assert unit["restart_on"] == ["/etc/x"]


def test_the_strictest_is_what_nobody_opened() -> None:
    assert lines() == [
        "# Managed by Ansible (slipway.stack): changes by hand are overwritten",
        "[Service]",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "DevicePolicy=closed",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "PrivateTmp=yes",
        "PrivateUsers=yes",
        "ProcSubset=pid",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHome=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "ProtectSystem=strict",
        "RemoveIPC=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallErrorNumber=EPERM",
        "UMask=0077",
        "RestrictAddressFamilies=",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "ReadWritePaths=",
    ]


@pytest.mark.parametrize(
    ("sandbox", "there", "gone"),
    [
        ({"write": ["/var/lib/x", "-/srv"]}, ["ReadWritePaths=/var/lib/x", "ReadWritePaths=-/srv"], []),
        ({"families": ["netlink"]}, ["RestrictAddressFamilies=AF_NETLINK"], ["RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"]),
        ({"networks": ["localhost", "10.0.0.0/24"]}, ["IPAddressDeny=any", "IPAddressAllow=localhost 10.0.0.0/24"], []),
        ({"networks": ["10.0.0.0/24", "any"]}, [], ["IPAddressDeny=any"]),
        ({"capabilities": ["CAP_KILL"]}, ["CapabilityBoundingSet=CAP_KILL", "AmbientCapabilities="], []),
        (
            {"ambient_capabilities": ["CAP_NET_BIND_SERVICE"]},
            ["CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"],
            [],
        ),
        ({"except": {"MemoryDenyWriteExecute": "a JIT"}}, ["# not MemoryDenyWriteExecute: a JIT"], ["MemoryDenyWriteExecute=yes"]),
        ({"except": {"@resources": "nice"}}, ["SystemCallFilter=~@privileged"], ["SystemCallFilter=~@privileged @resources"]),
        (
            {"except": {"@resources": "nice", "@privileged": "setuid"}},
            ["SystemCallFilter=@system-service"],
            ["SystemCallFilter=~@privileged @resources", "SystemCallFilter=~@privileged", "SystemCallFilter=~"],
        ),
    ],
)
def test_what_is_said_is_opened(sandbox: dict[str, Any], there: list[str], gone: list[str]) -> None:
    found = lines(**sandbox)
    assert [line for line in there if line not in found] == []
    assert [line for line in gone if line in found] == []


@pytest.mark.parametrize(
    ("sandbox", "sentence"),
    [
        ({"wirte": []}, "unknown key 'wirte' (did you mean 'write'?)"),
        ({"families": ["ipv4"]}, "families has 'ipv4'; allowed: inet, unix, netlink, packet"),
        ({"except": {"ProtectHomes": "x"}}, "except has 'ProtectHomes' (did you mean ProtectHome?)"),
        ({"except": {"ProtectHome": True}}, "except.ProtectHome is True; allowed: the reason, one line of text"),
        ({"except": {"ProtectHome": "x\nExecStart=/bin/sh"}}, "allowed: the reason, one line of text"),
        ({"write": ["var/lib"]}, "write has 'var/lib'; allowed: an absolute path without blanks"),
        ({"write": ["/a\nUser=root"]}, "allowed: an absolute path without blanks"),
        ({"capabilities": ["NET_ADMIN"]}, "capabilities has 'NET_ADMIN'; allowed: names such as CAP_NET_BIND_SERVICE"),
        ({"networks": ["internal"]}, "networks has 'internal'; allowed: an address, a network, localhost or any"),
    ],
)
def test_a_mistake_names_unit_key_and_value(sandbox: dict[str, Any], sentence: str) -> None:
    with pytest.raises(spec.SpecError) as error:
        payload(**sandbox)
    assert sentence in str(error.value)
    assert "api@8000.service" in str(error.value)


def test_instances_cannot_differ() -> None:
    units = [{"name": f"api@{port}.service", "sandbox": {"write": [f"/var/{port}"]}} for port in (8000, 8001)]
    with pytest.raises(spec.SpecError, match=r"api@8001.service\): its sandbox differs from that of another instance"):
        spec.normalise({"units": units})
