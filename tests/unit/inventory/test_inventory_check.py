"""Every kind of bad input, with the sentence its author reads."""

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils import inventory_check as check

RANDOM = "a random secret of at least 16 characters (slipway secrets init makes them)"
GOOD = "kJ3-random-enough-for-a-test"


def sentences(problems: list[check.Problem]) -> list[str]:
    return [problem.sentence() for problem in problems]


def test_a_misspelt_name_gets_the_nearest_known_one() -> None:
    (sentence,) = sentences(check.unknown_variables(["redis_prot"], ["redis_port", "postgres_port"]))
    assert sentence.startswith("redis_prot is a name that no role knows; allowed: did you mean redis_port?")


@pytest.mark.parametrize("name", ["ansible_user", "own_bucket", "secret_orders", "vault_orders", "redis_port"])
def test_known_and_own_names_pass(name: str) -> None:
    assert check.unknown_variables([name], ["redis_port"]) == []


@pytest.mark.parametrize(
    ("value", "option", "expected"),
    [
        ("many", {"type": "int"}, ["x is 'many'; allowed: a whole number"]),
        (True, {"type": "int"}, ["x is True; allowed: a whole number"]),
        ("6379", {"type": "int"}, []),
        ("perhaps", {"type": "bool"}, ["x is 'perhaps'; allowed: true or false"]),
        ("a,b", {"type": "list"}, ["x is 'a,b'; allowed: a list"]),
        ([1, "b"], {"type": "list", "elements": "int"}, ["x[1] is 'b'; allowed: a whole number"]),
        ("trunc", {"choices": ["session", "transaction"]}, ["x is 'trunc'; allowed: session, transaction"]),
        ([{"nam": "a"}], {"type": "list", "elements": "dict", "options": {"name": {"required": True}}},
         ["x[0].nam is an unknown key; allowed: name; did you mean name?", "x[0].name is missing; allowed: text"]),
        ("admin", {"no_log": True}, [f"x is a well-known placeholder; allowed: {RANDOM}"]),
        ([{"password": "short"}], {"type": "list", "elements": "dict", "options": {"password": {"no_log": True}}},
         [f"x[0].password is a secret of 5 characters; allowed: {RANDOM}"]),
        ({"URL": "postgresql://u:dev_password@h/d", "SMTP_USERNAME": "me"}, {"type": "dict", "no_log": True},
         [f"x.URL is a well-known placeholder; allowed: {RANDOM}"]),
        (GOOD, {"no_log": True}, []),
        ("", {"no_log": True}, []),
    ],
)  # fmt: skip
def test_wrong_values(value: Any, option: dict[str, Any], expected: list[str]) -> None:
    assert sentences(check.wrong_values("x", value, option)) == expected


def test_a_secret_is_never_shown() -> None:
    (problem,) = check.wrong_values("x", ["very-secret-value"], {"type": "str", "no_log": True})
    assert "very-secret" not in problem.sentence()


def test_missing_values_say_what_they_are() -> None:
    spec = {"redis_admin_password": {"required": True, "description": "Password of the operator. Never shown."}}
    assert sentences(check.missing_values(spec, [])) == ["redis_admin_password is missing; allowed: text: Password of the operator"]


POOLS = check.Pools(
    max_connections=100,
    superuser_reserved=3,
    pairs=2,
    pool_size=20,
    reserve_pool_size=5,
    poolers=1,
    direct=3,
    max_client_connections=1000,
    clients=100,
)


@pytest.mark.parametrize(
    ("change", "variables"),
    [
        ({}, []),
        ({"pairs": 4}, ["pgbouncer_default_pool_size"]),  # 4 x 25 + 3 > 97
        ({"poolers": 2}, ["pgbouncer_default_pool_size"]),
        ({"max_connections": 54, "superuser_reserved": 1}, []),  # 2 x 25 + 3 = 53: just fits
        ({"max_connections": 53, "superuser_reserved": 1}, ["pgbouncer_default_pool_size"]),
        ({"clients": 1001}, ["pgbouncer_max_client_conn"]),  # MX-27: 100 instances of a pool of 20
    ],
)
def test_pools_against_max_connections(change: dict[str, int], variables: list[str]) -> None:
    """PB-06 and PG-11."""
    assert [problem.variable for problem in replace(POOLS, **change).problems()] == variables


def test_the_same_problem_on_two_hosts_is_said_once() -> None:
    problem = check.Problem("api_port", "'x'", "a whole number")
    (merged,) = check.merge([("app1", problem), ("app2", problem)])
    assert merged.sentence().endswith("(app1, app2)")
