"""Planner of roles, databases and rights: live server and wanted state in, steps out."""

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils import postgres

# RFC 7677: user "user", password "pencil", this salt, 4096 rounds.
VERIFIER = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
USER = {"name": "shop", "password": "pencil", "login": True, "connection_limit": -1}
ROLE = {"login": True, "connection_limit": -1, "powers": False, "monitor": False, "verifier": VERIFIER}


def steps(users: list[dict[str, Any]], live: dict[str, Any], **wanted: Any) -> list[str]:
    parameters = {"users": users, "databases": [], "pooler_user": "", "pooler_password": "", "monitoring_user": "", **wanted}
    return postgres.make_plan(parameters, {**postgres.EMPTY_SERVER, "roles": live}, {}).steps


@pytest.mark.parametrize(
    ("password", "verifier", "same"),
    [("pencil", VERIFIER, True), ("pencils", VERIFIER, False), ("pencil", None, False), ("pencil", "md5c1b2", False)],
)
def test_passwords_are_compared_by_verifier(password: str, verifier: str | None, same: bool) -> None:
    assert postgres.same_password(password, verifier) is same


@pytest.mark.parametrize(
    ("user", "live", "expected"),
    [
        (USER, {}, ["create role shop"]),
        (USER, {"shop": ROLE}, []),
        ({**USER, "password": "pen"}, {"shop": ROLE}, ["alter role shop: password (secret)"]),
        (
            {**USER, "connection_limit": 5},
            {"shop": ROLE},
            ["alter role shop: login connection limit 5, nosuperuser nocreatedb nocreaterole noreplication nobypassrls"],
        ),
        (
            USER,
            {"shop": {**ROLE, "powers": True}},
            ["alter role shop: login connection limit -1, nosuperuser nocreatedb nocreaterole noreplication nobypassrls"],
        ),
    ],
)
def test_roles(user: dict[str, Any], live: dict[str, Any], expected: list[str]) -> None:
    assert steps([user], live) == expected


def test_secrets_are_in_no_step() -> None:
    parameters = {"users": [USER], "databases": [], "pooler_user": "pool", "pooler_password": "pencil2", "monitoring_user": "prometheus"}
    plan = postgres.make_plan(parameters, postgres.EMPTY_SERVER, {})
    told = "\n".join(plan.steps)
    assert len(plan.secrets) == 2
    assert not any(secret in told for secret in [*plan.secrets, "pencil"])
    assert "pencil" not in "\n".join(plan.script)


def test_a_new_database_has_the_rights_of_its_users() -> None:
    """PG-15."""
    database = {"name": "shop", "owner": "shop_owner", "application_users": ["shop"], "extensions": ["pg_trgm"], "connection_limit": -1}
    assert steps([], {}, databases=[database]) == [
        "create database shop owned by shop_owner",
        "database shop: nobody else connects",
        "database shop: grant connect, temporary to shop",
        "shop: create extension pg_trgm",
        "shop: shop gets select, insert, update, delete on tables that shop_owner creates",
        "shop: shop gets usage, select, update on sequences that shop_owner creates",
        "shop: shop gets usage on schemas that shop_owner creates",
    ]


@pytest.mark.parametrize(
    ("users", "databases", "words"),
    [
        ([{**USER, "name": "pg_shop"}], [], "users[].name is 'pg_shop'; allowed"),
        ([{**USER, "name": 'a"; drop'}], [], "allowed: a letter or _"),
        ([{**USER, "name": "postgres"}], [], "users[].name is 'postgres'"),
        ([USER, USER], [], "'shop' is listed twice"),
        ([{**USER, "password": "schlüssel"}], [], "outside printable ASCII"),
        ([USER], [{"name": "d", "owner": "shopp", "application_users": []}], "databases[d].owner is 'shopp'; allowed: shop"),
        ([USER], [{"name": "d", "owner": "shop", "application_users": ["shop"]}], "holds the owner 'shop'"),
    ],
)
def test_mistakes_are_named(users: list[dict[str, Any]], databases: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(postgres.ObjectsError) as caught:
        postgres.check_input(users, databases, "", "")
    assert words in str(caught.value)
