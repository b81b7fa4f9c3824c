"""Every kind of bad input, with the sentence its author reads."""

from dataclasses import replace

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils import inventory_check as check


def sentences(problems: list[check.Problem]) -> list[str]:
    return [problem.sentence() for problem in problems]


def test_a_misspelt_name_gets_the_nearest_known_one() -> None:
    (sentence,) = sentences(check.unknown_variables(["redis_prot"], ["redis_port", "postgres_port"]))
    assert sentence.startswith("redis_prot is a name that no role knows; allowed: did you mean redis_port?")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ansible_usr", "ansible_usr is a name that Ansible does not know; allowed: did you mean ansible_user?"),
        ("ansible_prot", "ansible_prot is a name that Ansible does not know; allowed: did you mean ansible_port?"),
    ],
)
def test_a_misspelt_name_of_ansibles_own_is_found(name: str, sentence: str) -> None:
    assert sentences(check.unknown_variables([name], ["redis_port"])) == [sentence]


@pytest.mark.parametrize("name", ["ansible_network_os", "ansible_winrm_scheme"])
def test_a_name_of_another_connection_passes(name: str) -> None:
    assert check.unknown_variables([name], ["redis_port"]) == []


def test_foreign_names_pass_by_their_beginning() -> None:
    assert check.unknown_variables(["ec2_tags", "redis_prot"], ["redis_port"], ["ec2_"])[0].variable == "redis_prot"


def test_a_group_that_is_nearly_a_roles_is_found() -> None:
    groups = {"postgresql": ["a"], "web": ["a"], "all": ["a"], "api": ["a"]}
    assert sentences(check.unknown_groups(groups, ["postgres", "api"], ["all"])) == [
        "group postgresql is the name of no role; allowed: did you mean postgres?"
    ]


@pytest.mark.parametrize("name", ["ansible_user", "own_bucket", "secret_orders", "vault_orders", "redis_port"])
def test_known_and_own_names_pass(name: str) -> None:
    assert check.unknown_variables([name], ["redis_port"]) == []


SIZES = "pgbouncer_default_pool_size, pgbouncer_databases[].pool_size"
POOLS = check.Pools(
    max_connections=100,
    superuser_reserved=3,
    users=2,
    sizes=[20],
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
        ({"users": 4}, [SIZES]),  # 4 x 25 + 3 > 97
        ({"sizes": [20, 20]}, [SIZES]),  # each database has a pool for each user
        ({"poolers": 2}, [SIZES]),
        ({"max_connections": 54, "superuser_reserved": 1}, []),  # 2 x 25 + 3 = 53: just fits
        ({"max_connections": 53, "superuser_reserved": 1}, [SIZES]),
        ({"poolers": 0, "clients": 94}, []),  # without pools the clients go straight: 94 + 3 = 97
        ({"poolers": 0, "clients": 95}, ["applications{}.connections{}.pool"]),
        ({"clients": 1001}, ["pgbouncer_max_client_conn"]),  # MX-27: 100 instances of a pool of 20
    ],
)
def test_pools_against_max_connections(change: dict[str, int], variables: list[str]) -> None:
    assert [problem.variable for problem in replace(POOLS, **change).problems()] == variables


def test_the_same_problem_on_two_hosts_is_said_once() -> None:
    problem = check.Problem("api_port", "'x'", "a whole number")
    (merged,) = check.merge([("app1", problem), ("app2", problem)])
    assert merged.sentence().endswith("(app1, app2)")
