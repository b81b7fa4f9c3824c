"""What monitoring promises when its variables change: each run is played once, on all hosts, and looked at on each."""

import pytest
from playbook import Converge, Hosts
from seen import PORTS, SECRETS, ask, process, value


def processes(hosts: Hosts) -> dict[str, list[str]]:
    return {name: [process(host, unit) for unit in PORTS] for name, host in hosts.items()}


def files(hosts: Hosts) -> dict[str, str]:
    return {name: host.check_output("sha256sum /etc/prometheus/*.yml /etc/prometheus/rules/*") for name, host in hosts.items()}


def test_new_rule_arrives_without_a_restart(hosts: Hosts, converge: Converge) -> None:
    before = processes(hosts)
    done = converge(shop_rules=[{"alert": "Newcomer", "expr": "vector(3)"}])
    assert done.code == 0, done.output
    for host in hosts.values():
        assert "Newcomer" in {rule["name"] for group in ask(host, "rules")["groups"] for rule in group["rules"]}
    assert processes(hosts) == before


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"shop_rules": [{"alert": "Broken", "expr": "sum by ("}]}, ("promtool check config", "rules/shop.yml", "parse error")),
        (
            {"monitoring_receivers": [{"name": "team", "configuration": {"pigeon_configs": []}}]},
            ("amtool check-config", "/etc/prometheus/alertmanager.yml", "not found in type config.plain", "line "),
        ),
    ],
    ids=["rule", "receiver"],
)
def test_broken_configuration_is_refused(hosts: Hosts, converge: Converge, variables: dict[str, object], named: tuple[str, ...]) -> None:
    before = processes(hosts), files(hosts)
    done = converge(**variables)
    assert done.failed == set(hosts)
    assert done.missing(*named) == []
    assert (processes(hosts), files(hosts)) == before
    assert [name for name, host in hosts.items() if value(host, "up", job="node") != 1] == []
    assert not [secret for secret in SECRETS if secret in done.output]


def test_retention_reaches_the_process(hosts: Hosts, converge: Converge) -> None:
    for host in hosts.values():
        assert ask(host, "status/flags")["storage.tsdb.retention.time"] == "30d"
    done = converge(monitoring_retention_days=8, monitoring_retention_gigabytes=2)
    assert done.code == 0, done.output
    for host in hosts.values():
        flags = ask(host, "status/flags")
        assert (flags["storage.tsdb.retention.time"], flags["storage.tsdb.retention.size"]) == ("8d", "2GiB")


def test_nonsense_is_refused_all_at_once(hosts: Hosts, converge: Converge) -> None:
    before = files(hosts)
    done = converge(
        monitoring_exporters=["redis"],
        monitoring_redis_password="",
        monitoring_retention_days=0,
        monitoring_scrape_interval_seconds=600,
        monitoring_alert_error_ratio=5,
        monitoring_receiver_secrets={"../shadow": "x"},
        monitoring_extra_rules={"slipway": []},
    )
    assert done.failed == set(hosts)
    named = (
        "monitoring_exporters is redis; allowed: a list with node",
        "monitoring_redis_password is empty",
        "monitoring_retention_days is 0; allowed: at least 1",
        "monitoring_scrape_interval_seconds is 600; allowed: 1 to 120",
        "monitoring_alert_error_ratio is 5; allowed: a part of 1",
        "the name '../shadow'",
        "monitoring_extra_rules: the name 'slipway'",
        "monitoring_exporters is redis while there are monitoring_probes",
    )
    assert done.missing(*named) == []
    assert files(hosts) == before
