"""A new release beside the present one: what runs, where requests go, in which steps, and what is refused."""

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract

from tests.unit.applications.test_contract import GROUPS, ROOT, table

OLD, NEW = "/opt/shop/releases/old", "/opt/shop/releases/new"


def shop(**release: Any) -> dict[str, Any]:
    return {
        "shop": {
            "source": {"type": "package", "requirement": "shop==1.4.2"},
            "processes": {
                "web": {"type": "asgi", "app": "shop.main:app"},
                "stream": {"type": "asgi", "app": "shop.stream:app", "port": 8100, "instances": 1},
                "worker": {"type": "celery", "app": "shop.worker"},
            },
            "domains": [{"names": ["shop.example.org"], "paths": [{"path": "/events", "process": "stream"}]}],
            "release": release,
        }
    }


def peers(applications: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Every listener of every host, as nginx reaches it."""
    return {
        name: [{"url": f"{host}:{service['port'] + number}"} for host in GROUPS[service["group"]] for number in range(service["count"])]
        for name, service in contract.services(applications).items()
    }


def built(**hosts: str) -> list[dict[str, Any]]:
    """What the hosts answered that built the new release: host -> what it serves."""
    return [{"item": "shop", "path": NEW, "live": {"current": path} if path else {}} for path in hosts.values()]


def beside(applications: dict[str, Any]) -> dict[str, Any]:
    (found,) = contract.on_host(applications, "api", "app1", GROUPS, {}, table(applications), ["app1"], str(ROOT), beside=True)
    return found


def test_rolling_is_the_default_and_takes_no_ports() -> None:
    assert set(contract.services(shop())) == {"shop-web", "shop-stream"}
    assert contract.steps(shop(), peers(shop()), built(app1=OLD)) == []
    assert contract.on_host(shop(), "api", "app1", GROUPS, {}, {}, ["app1"], str(ROOT), beside=True) == []


def test_what_runs_beside_has_names_ports_and_folders_of_its_own_and_the_same_account() -> None:
    services = contract.services(shop(strategy="canary"))
    assert {name: (entry["port"], entry["count"]) for name, entry in services.items()} == {
        "shop-web": (8000, 2),
        "shop-web-next": (8002, 2),
        "shop-stream": (8100, 1),
        "shop-stream-next": (8101, 1),
    }
    found = beside(shop(strategy="canary"))
    assert (found["name"], found["link"], found["settings"]) == ("shop", "/opt/shop/next", "/etc/shop-next")
    units = [(unit["name"], unit["url"]) for process in found["processes"] for unit in process["units"]]
    assert units == [
        ("shop-web-next@8002.service", "http://127.0.0.1:8002/health/ready"),
        ("shop-web-next@8003.service", "http://127.0.0.1:8003/health/ready"),
        ("shop-stream-next@8101.service", "http://127.0.0.1:8101/health/ready"),
    ]
    assert {process["mark"] for process in found["processes"]} == {"api_next"}
    assert "User=shop" in found["processes"][0]["lines"]
    assert "EnvironmentFile=/etc/shop-next/shop.env" in found["processes"][0]["lines"]


def test_the_steps_of_a_canary() -> None:
    applications = shop(strategy="canary", steps=[10, 100], watch=30)
    steps = contract.steps(applications, peers(applications), built(app1=OLD, app2=OLD))
    assert [(step["application"], step["share"], step["watch"]) for step in steps] == [("shop", 10, 30), ("shop", 100, 30)]
    assert steps[0]["new"] == ["app1:8002", "app1:8003", "app2:8002", "app2:8003", "app1:8101", "app2:8101"]
    assert steps[0]["old"] == ["app1:8000", "app1:8001", "app2:8000", "app2:8001", "app1:8100", "app2:8100"]
    assert steps[0]["units"] == "shop-web-next@.+|shop-stream-next@.+"
    assert [step["share"] for step in contract.steps(shop(strategy="blue_green"), {}, built(app1=OLD))] == [100]


def test_nothing_shifts_where_nothing_changes_or_nothing_was_before() -> None:
    applications = shop(strategy="canary")
    assert contract.steps(applications, {}, built(app1=NEW, app2=NEW)) == []
    assert contract.steps(applications, {}, built(app1="", app2="")) == []
    assert len(contract.steps(applications, {}, built(app1=NEW, app2=OLD))) == 3, "one host is behind"
    failed = {"item": "shop", "failed": True, "msg": "no such version"}
    assert contract.steps(applications, {}, [failed]) == [], "a build that failed has told its own reason"


def test_requests_are_shared_by_weight_and_what_has_none_is_a_reserve() -> None:
    applications = shop(strategy="canary")
    at_rest, shared, over = (contract.sites(applications, peers(applications), shares)[0] for shares in (None, {"shop": 10}, {"shop": 100}))
    assert at_rest["upstreams"] == ["app1:8000", "app1:8001", "app2:8000", "app2:8001"]
    assert "weights" not in at_rest
    assert shared["upstreams"] == [*at_rest["upstreams"], "app1:8002", "app1:8003", "app2:8002", "app2:8003"]
    assert (shared["weights"]["app1:8000"], shared["weights"]["app2:8003"]) == (90, 10)
    assert shared["paths"][0]["upstreams"] == ["app1:8100", "app2:8100", "app1:8101", "app2:8101"]
    assert (shared["weights"]["app1:8100"], shared["weights"]["app1:8101"]) == (90, 10)
    assert (over["weights"]["app1:8000"], over["weights"]["app2:8003"]) == (0, 100)
    assert contract.sites(applications, peers(applications), {"other": 10}) == [at_rest]


def test_pools_are_counted_twice_while_both_run() -> None:
    def clients(**release: Any) -> int:
        applications = shop(**release)
        applications["shop"]["connections"] = {"DATABASE_URL": {"to": "pgbouncer", "user": "shop", "database": "shop"}}
        return contract.database_clients(applications, GROUPS)

    api, workers = 2 * (2 + 1) * 10, 2 * 2  # hosts x instances x pool and overflow, hosts x children
    assert (clients(), clients(strategy="canary")) == (api + workers, 2 * api + workers)


@pytest.mark.parametrize(
    ("release", "changes", "sentence"),
    [
        ({"strategy": "canary", "steps": [50, 10]}, {}, "applications.shop.release.steps is [50, 10]; allowed: growing shares that"),
        ({"strategy": "canary", "steps": [10, 50]}, {}, "applications.shop.release.steps is [10, 50]; allowed: growing shares that"),
        ({"strategy": "canary", "steps": [0, 100]}, {}, "applications.shop.release.steps[0] is 0; allowed: at least 1 and at most 100"),
        ({"strategy": "canari"}, {}, "applications.shop.release.strategy is 'canari'"),
        ({"strategy": "blue_green"}, {"domains": []}, "applications.shop.release.strategy is 'blue_green'; allowed: rolling, or domains"),
        (
            {"strategy": "blue_green"},
            {"processes": {"web": {"type": "asgi", "app": "a:b"}, "web-next": {"type": "asgi", "app": "a:b", "port": 9000}}},
            "applications.shop.processes.web-next is given; allowed: another name: web-next is what runs beside web",
        ),
    ],
)
def test_what_is_refused(release: dict[str, Any], changes: dict[str, Any], sentence: str) -> None:
    applications = shop(**release)
    applications["shop"] |= changes
    told = [problem.sentence() for problem in contract.problems(applications, str(ROOT))]
    assert [line for line in told if line.startswith(sentence)], told
