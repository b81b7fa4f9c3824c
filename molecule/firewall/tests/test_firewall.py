"""What the filter lets through, seen from a second network stack with its own IPv4 and IPv6 addresses, and from the controller."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

ALLOWED = {4: "192.0.2.2", 6: "2001:db8::2"}  # inside the sources of the rule `strangers`
FOREIGN = {4: "198.51.100.2", 6: "fd00:f::2"}
TARGET = {4: "192.0.2.1", 6: "2001:db8::1"}
FOREIGN_TARGET = {4: "198.51.100.1", 6: "fd00:f::1"}
OPEN, NEIGHBOURS, STRANGERS, NOBODY, UNKNOWN = 8001, 8002, 8004, 8005, 9999

NETWORK = """
ip netns add outside
ip link add slip0 type veth peer name slip1 netns outside
sysctl -q -w net.ipv6.conf.slip0.disable_ipv6=0
ip netns exec outside sysctl -q -w net.ipv6.conf.all.disable_ipv6=0
ip addr add 192.0.2.1/24 dev slip0
ip addr add 198.51.100.1/24 dev slip0
ip addr add 2001:db8::1/64 dev slip0 nodad
ip addr add fd00:f::1/64 dev slip0 nodad
ip link set slip0 up
ip -n outside addr add 192.0.2.2/24 dev slip1
ip -n outside addr add 198.51.100.2/24 dev slip1
ip -n outside addr add 2001:db8::2/64 dev slip1 nodad
ip -n outside addr add fd00:f::2/64 dev slip1 nodad
ip -n outside link set slip1 up
ip -n outside link set lo up
"""
LISTEN = """
import selectors, socket
waiting = selectors.DefaultSelector()
for port in (8001, 8002, 8004, 8005, 9999):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    waiting.register(server, selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5, source_address=(sys.argv[3], 0))"


def boot_and_listen(host: Host) -> None:
    """Put up what a reboot takes away: the second network stack and the listeners."""
    host.check_output("systemctl stop listeners.service; ip netns delete outside; ip link delete slip0; true")
    host.check_output("set -e\n" + NETWORK)
    host.check_output("systemctl reset-failed listeners; systemd-run --quiet --unit=listeners python3 -c %s", LISTEN)
    for _ in range(50):
        if host.run("ss -Hltn 'sport = :9999' | grep -q LISTEN").rc == 0:
            return
        time.sleep(0.1)
    raise AssertionError(host.check_output("systemctl status listeners.service"))


@pytest.fixture(autouse=True, scope="module")
def listeners(request: pytest.FixtureRequest) -> Iterator[None]:
    """Listeners on allowed and forbidden ports of every host."""
    hosts = request.getfixturevalue("hosts").values()
    for host in hosts:
        boot_and_listen(host)
    yield
    for host in hosts:
        host.run("systemctl stop listeners; ip netns delete outside")


def connects(host: Host, target: str, port: int, source: str) -> bool:
    return host.run("ip netns exec outside python3 -c %s %s %s %s", CONNECT, target, str(port), source).rc == 0


@pytest.mark.parametrize("version", [4, 6])
def test_only_the_rules_let_somebody_in(host: Host, version: int) -> None:
    reached = {
        (source, port): connects(host, target[version], port, source)
        for source, target in ((ALLOWED[version], TARGET), (FOREIGN[version], FOREIGN_TARGET))
        for port in (22, OPEN, NEIGHBOURS, STRANGERS, NOBODY, UNKNOWN)
    }
    assert {key for key, reachable in reached.items() if reachable} == {
        (ALLOWED[version], 22),
        (FOREIGN[version], 22),
        (ALLOWED[version], OPEN),
        (FOREIGN[version], OPEN),
        (ALLOWED[version], STRANGERS),
    }


def test_the_controller_reaches_only_the_open_ports(host: Host) -> None:
    address = host.check_output("hostname -I").split()[0]
    reached = set()
    for port in (22, OPEN, NEIGHBOURS, STRANGERS, NOBODY, UNKNOWN):
        with socket.socket() as client:
            client.settimeout(1.5)
            if client.connect_ex((address, port)) == 0:
                reached.add(port)
    assert reached == {22, OPEN}


def test_hosts_of_a_source_list_reach_each_other(hosts: dict[str, Host]) -> None:
    for client in hosts.values():
        for server in hosts.values():
            address = server.check_output("hostname -I").split()[0]
            own = client.check_output("hostname -I").split()[0]
            assert client.run("python3 -c %s %s %s %s", CONNECT, address, str(NEIGHBOURS), own).rc == 0


def test_the_host_itself_gets_out_and_to_its_loopback(host: Host) -> None:
    host.check_output("python3 -c %s 127.0.0.1 %s 127.0.0.1", CONNECT, str(UNKNOWN))
    host.check_output("getent hosts deb.debian.org || ip route get 192.0.2.2")
    assert host.run("ip netns exec outside ping -c1 -W2 192.0.2.1 || ip netns exec outside python3 -c %s 192.0.2.1 22 192.0.2.2", CONNECT).rc == 0


def test_dropped_packets_are_counted(host: Host) -> None:
    def dropped() -> int:
        rules = json.loads(host.check_output("nft -j list chain inet slipway input"))["nftables"]
        (rule,) = [entry["rule"] for entry in rules if entry.get("rule", {}).get("comment") == "dropped"] or [None]
        return next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)

    before = dropped()
    assert not connects(host, TARGET[4], UNKNOWN, ALLOWED[4])
    assert dropped() > before


def test_other_tables_survive_and_connections_stay(host: Host) -> None:
    host.check_output("nft add table inet other; nft add set inet other bans '{ type ipv4_addr; }'; nft add element inet other bans '{ 203.0.113.9 }'")
    host.check_output("systemctl restart slipway-firewall.service; systemctl reload slipway-firewall.service")
    assert "203.0.113.9" in host.check_output("nft list set inet other bans")
    host.check_output("nft delete table inet other")


def test_stopping_the_unit_does_not_open_the_host(host: Host) -> None:
    host.check_output("systemctl stop slipway-firewall.service")
    assert not connects(host, TARGET[4], UNKNOWN, ALLOWED[4])
    host.check_output("systemctl start slipway-firewall.service")


def test_a_restart_of_debians_own_filter_service_keeps_our_table(host: Host) -> None:
    host.check_output("systemctl start nftables.service; systemctl restart nftables.service")
    assert not connects(host, TARGET[4], UNKNOWN, ALLOWED[4])
    host.check_output("systemctl reload nftables.service")
    for _ in range(20):
        if host.run("nft list table inet slipway").rc == 0:
            break
        time.sleep(0.1)
    assert not connects(host, TARGET[4], UNKNOWN, ALLOWED[4])
    host.check_output("systemctl disable --quiet nftables.service")


def test_the_filter_is_there_after_a_reboot_before_the_network_services(host: Host) -> None:
    subprocess.run(["docker", "restart", "--time=5", host.backend.name], check=True, capture_output=True)
    for _ in range(100):
        if host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}:
            break
        time.sleep(0.1)
    assert host.check_output("systemctl is-active slipway-firewall.service") == "active"
    loaded, served = (
        int(host.check_output("systemctl show --property=%s --value %s", name, unit))
        for name, unit in (("ExecMainExitTimestampMonotonic", "slipway-firewall.service"), ("ExecMainStartTimestampMonotonic", "ssh.service"))
    )
    assert loaded < served
    boot_and_listen(host)
    assert connects(host, TARGET[4], OPEN, ALLOWED[4])
    assert not connects(host, TARGET[4], UNKNOWN, ALLOWED[4])
