"""The table of services and flows, resolved: who listens where, who may connect, what contradicts itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.plugin_utils.wiring import Wiring, WiringError, build

SERVICES: dict[str, dict[str, Any]] = {
    "https": {"group": "edge", "variable": "nginx_https_port", "port": 443},
    "api": {
        "group": "app",
        "variable": "api_port",
        "port": 8000,
        "count_variable": "api_instances",
        "count": 2,
        "one_address": True,
    },
    "flower": {"group": "app", "variable": "flower_port", "port": 5555, "enabled_variable": "flower", "enabled": False, "hosts_limit": 1},
    "postgres": {"group": "data", "variable": "postgres_port", "port": 5432},
    "ssh": {"group": "all", "variable": "ssh_port", "port": 22},
}
FLOWS = [
    {"to": "https", "from": ["world"]},
    {"to": "api", "from": ["edge"]},
    {"to": "postgres", "from": ["app"]},
    {"to": "ssh", "from": ["admin"]},
]
THREE = {"all": ["edge1", "app1", "data1"], "edge": ["edge1"], "app": ["app1"], "data": ["data1"]}
ONE = {"all": ["box"], "edge": ["box"], "app": ["box"], "data": ["box"]}


def wiring(groups: dict[str, list[str]], **variables: dict[str, Any]) -> Wiring:
    """The table over `groups`; hosts get 10.0.0.1, 10.0.0.2, ... and `variables` of their own."""
    hosts = {host: {"private_address": f"10.0.0.{number}"} | variables.get(host, {}) for number, host in enumerate(groups["all"], 1)}
    return Wiring(SERVICES, FLOWS, groups, hosts)


@pytest.mark.parametrize(
    ("groups", "host", "service", "addresses"),
    [
        (THREE, "data1", "postgres", ["127.0.0.1", "10.0.0.3"]),
        (THREE, "app1", "api", ["10.0.0.2"]),
        (THREE, "edge1", "https", ["0.0.0.0", "::"]),
        (ONE, "box", "postgres", ["127.0.0.1"]),
        (ONE, "box", "api", ["127.0.0.1"]),
    ],
)
def test_a_service_binds_what_its_flows_need(groups: dict[str, list[str]], host: str, service: str, addresses: list[str]) -> None:
    assert wiring(groups).listen(service, host) == addresses


@pytest.mark.parametrize(
    ("host", "rules"),
    [
        ("data1", [("postgres", [5432], ["10.0.0.2/32"]), ("ssh", [22], ["192.0.2.0/24"])]),
        ("app1", [("api", [8000, 8001], ["10.0.0.1/32"]), ("ssh", [22], ["192.0.2.0/24"])]),
        ("edge1", [("https", [443], ["any"]), ("ssh", [22], ["192.0.2.0/24"])]),
    ],
)
def test_only_the_flows_are_let_in(host: str, rules: list[tuple[str, list[int], list[str]]]) -> None:
    found = wiring(THREE).inbound(host, ["192.0.2.0/24"])
    assert [(rule["name"], rule["ports"], rule["sources"]) for rule in found] == rules


def test_one_host_needs_no_rule_for_itself() -> None:
    assert [rule["name"] for rule in wiring(ONE).inbound("box", ["any"])] == ["https", "ssh"]


def test_a_changed_port_reaches_everyone() -> None:
    changed = wiring(THREE, data1={"postgres_port": 5433})
    assert changed.inbound("data1", ["any"])[0]["ports"] == [5433]
    assert [endpoint.port for endpoint in changed.seen_from("postgres", "app1")] == [5433]


def test_instances_take_consecutive_ports() -> None:
    assert [endpoint.port for endpoint in wiring(THREE, app1={"api_instances": 3}).endpoints("api")] == [8000, 8001, 8002]


def test_the_port_of_a_service_that_runs_elsewhere_is_known_too() -> None:
    changed = wiring(THREE, data1={"postgres_port": 5433})
    assert {changed.port("postgres", host) for host in THREE["all"]} == {5433}
    assert changed.port("flower", "app1") == 5555


def test_peers_on_the_same_host_are_loopback() -> None:
    assert {endpoint.address for endpoint in wiring(ONE).seen_from("api", "box")} == {"127.0.0.1"}
    assert {endpoint.address for endpoint in wiring(THREE).seen_from("api", "edge1")} == {"10.0.0.2"}


def test_a_switched_off_service_does_not_listen() -> None:
    assert wiring(THREE).endpoints("flower") == []
    assert len(wiring(THREE, app1={"flower": True}).endpoints("flower")) == 1


def test_pairs_cover_every_host_and_port() -> None:
    pairs = wiring(THREE).pairs()
    allowed = {(pair["source"], pair["host"], pair["port"]) for pair in pairs if pair["allowed"]}
    inside = {("edge1", "app1", 8000), ("edge1", "app1", 8001), ("app1", "data1", 5432)}
    assert allowed == inside | {("app1", "edge1", 443), ("data1", "edge1", 443)}
    # 1 https, 2 api, 1 postgres, 3 ssh listeners, each tried from the two other hosts
    assert len(pairs) == 14


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"app1": {"private_address": "app1.example"}}, "private_address of app1 is 'app1.example'; allowed: an IPv4 or IPv6 address"),
        ({"app1": {"private_address": None}}, "private_address of app1 is missing"),
        ({"data1": {"postgres_port": "http"}}, "postgres_port of data1 is 'http'; allowed: a port from 1 to 65535"),
        ({"data1": {"postgres_port": 70000}}, "postgres_port of data1 is '70000'"),
    ],
)
def test_nonsense_is_named(variables: dict[str, dict[str, Any]], sentence: str) -> None:
    with pytest.raises(WiringError, match=sentence):
        wiring(THREE, **variables).pairs()


@pytest.mark.parametrize(
    ("flow", "sentence"),
    [
        ({"to": "postgresql", "from": ["app"]}, "wiring_extra_flows is a flow to 'postgresql'; allowed: a service: api, flower"),
        ({"to": "api", "from": ["egde"]}, "wiring_extra_flows is a flow to api from 'egde'; allowed: world, admin or a group"),
    ],
)
def test_flows_to_nowhere_are_refused(flow: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WiringError, match=sentence):
        Wiring(SERVICES, [flow], THREE, {host: {} for host in THREE["all"]})


def test_two_services_on_one_port() -> None:
    (error,) = wiring(ONE, box={"api_port": 5431}).conflicts()
    assert str(error) == "postgres_port of box is 5432, which api has taken (api_port); allowed: a port of its own"


def test_ipv6_addresses_are_bracketed_in_urls() -> None:
    hosts = {"edge1": {"private_address": "fd00::1"}, "app1": {"private_address": "fd00::2"}, "data1": {"private_address": "fd00::3"}}
    built = build(SERVICES, FLOWS, THREE, hosts, "app1", ["any"])
    assert built["first"]["postgres"]["url"] == "[fd00::3]:5432"
    assert built["inbound"][0]["sources"] == ["fd00::1/128"]


@pytest.mark.parametrize(
    ("on", "rules"), [(False, []), (True, [{"name": "http3", "ports": [8443], "protocol": "udp", "sources": ["any"]}])]
)
def test_http_3_is_open_by_udp_at_the_port_of_https(on: bool, rules: list[dict[str, Any]]) -> None:
    table = yaml.safe_load((Path(__file__).resolve().parents[3] / "playbooks/vars/wiring.yml").read_text())
    groups = {"all": ["edge1"], "nginx": ["edge1"]}
    hosts = {"edge1": {"private_address": "10.0.0.1", "nginx_http3": on, "nginx_https_port": 8443}}
    found = Wiring(table["wiring_base_services"], table["wiring_base_flows"], groups, hosts).inbound("edge1", ["any"])
    assert [rule for rule in found if rule.get("protocol") == "udp"] == rules
