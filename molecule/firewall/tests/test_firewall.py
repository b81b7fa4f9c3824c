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
CONNECT = """
import concurrent.futures, socket, sys
def reached(port):
    try:
        socket.create_connection((sys.argv[1], int(port)), timeout=4, source_address=(sys.argv[2], 0)).close()
    except TimeoutError:
        return []
    return [port]
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    print(*sum(pool.map(reached, sys.argv[3:]), []))
"""
PORTS = (22, OPEN, NEIGHBOURS, STRANGERS, NOBODY, UNKNOWN)


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


def address_of(host: Host) -> str:
    return host.check_output("ip -4 -o address show dev eth0").split()[3].split("/")[0]


def reached(host: Host, target: str, source: str, *ports: int, outside: bool = True) -> set[int]:
    """The ports that answer; silence is a drop. A refusal would be an error here: then nobody listened."""
    command = "ip netns exec outside python3 -c %s %s %s" if outside else "python3 -c %s %s %s"
    return {int(port) for port in host.check_output(command + " %s" * len(ports), CONNECT, target, source, *map(str, ports)).split()}


def is_closed(host: Host) -> bool:
    return reached(host, TARGET[4], ALLOWED[4], OPEN, UNKNOWN) == {OPEN}


@pytest.mark.parametrize("version", [4, 6])
def test_only_the_rules_let_somebody_in(host: Host, version: int) -> None:
    assert reached(host, TARGET[version], ALLOWED[version], *PORTS) == {22, OPEN, STRANGERS}
    assert reached(host, FOREIGN_TARGET[version], FOREIGN[version], *PORTS) == {22, OPEN}


def test_the_machine_outside_reaches_only_the_open_ports(host: Host) -> None:
    """The machine that runs the containers is in no source list, and comes through the ordinary interface."""
    found = set()
    for port in PORTS:
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex((address_of(host), port)) == 0:
                found.add(port)
    assert found == {22, OPEN}


def test_hosts_of_a_source_list_reach_each_other(hosts: dict[str, Host]) -> None:
    for here, client in hosts.items():
        for there, server in hosts.items():
            found = reached(client, address_of(server), address_of(client), NEIGHBOURS, outside=False)
            told = f"{here} -> {there}: {address_of(client)} -> {address_of(server)}\n"
            assert found == {NEIGHBOURS}, told + server.check_output("nft list table inet slipway; ss -tln; ss -s; ip neighbour; nstat -az")


def test_the_host_itself_gets_out_and_to_its_loopback(host: Host) -> None:
    assert reached(host, "127.0.0.1", "127.0.0.1", UNKNOWN, outside=False) == {UNKNOWN}
    host.check_output("systemd-run --quiet --collect --property=NetworkNamespacePath=/run/netns/outside python3 -m http.server 8080")
    host.check_output("for try in 1 2 3 4 5 6 7 8 9; do python3 -c %s 192.0.2.2 192.0.2.1 8080 && exit 0; sleep 0.2; done; exit 1", CONNECT)


def test_dropped_packets_are_counted(host: Host) -> None:
    def dropped() -> int:
        rules = json.loads(host.check_output("nft -j list chain inet slipway input"))["nftables"]
        (rule,) = [entry["rule"] for entry in rules if entry.get("rule", {}).get("comment") == "dropped"] or [None]
        return next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)

    before = dropped()
    assert is_closed(host)
    assert dropped() > before


def test_other_tables_survive_a_new_load(host: Host) -> None:
    host.check_output(
        "nft add table inet other; nft add set inet other bans '{ type ipv4_addr; }'; nft add element inet other bans '{ 203.0.113.9 }'"
    )
    host.check_output("systemctl restart slipway-firewall.service; systemctl reload slipway-firewall.service")
    assert "203.0.113.9" in host.check_output("nft list set inet other bans")
    host.check_output("nft delete table inet other")


def test_stopping_the_unit_does_not_open_the_host(host: Host) -> None:
    host.check_output("systemctl stop slipway-firewall.service")
    assert is_closed(host)
    host.check_output("systemctl start slipway-firewall.service")


def test_debians_own_filter_service_does_not_open_the_host(host: Host) -> None:
    """It empties all tables whenever it is told something."""
    for verb in ("start", "restart", "reload", "stop"):
        host.check_output("systemctl %s nftables.service", verb)
        assert is_closed(host), verb


def test_the_filter_is_there_after_a_reboot_before_the_network_services(host: Host) -> None:
    subprocess.run(["docker", "restart", "--time=5", host.backend.name], check=True, capture_output=True)
    for _ in range(100):
        if host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}:
            break
        time.sleep(0.1)
    assert host.check_output("systemctl is-active slipway-firewall.service") == "active"
    loaded, served = (
        int(host.check_output("systemctl show --property=%s --value %s", name, unit))
        for name, unit in (
            ("ExecMainExitTimestampMonotonic", "slipway-firewall.service"),
            ("ExecMainStartTimestampMonotonic", "ssh.service"),
        )
    )
    assert loaded < served
    boot_and_listen(host)
    assert is_closed(host)
