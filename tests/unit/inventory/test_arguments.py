"""Types, choices, nested keys and secrets: each mistake with the sentence its author reads."""

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils import arguments

RANDOM = "a random secret of at least 16 characters (slipway secrets init makes them)"
GOOD = "kJ3-random-enough-for-a-test"
USERS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {"name": {"required": True, "description": "Its name. More."}, "password": {"no_log": True}, "limit": {"type": "int"}},
}


def sentences(value: Any, option: dict[str, Any]) -> list[str]:
    return [problem.sentence() for problem in arguments.problems_of("x", value, option)]


@pytest.mark.parametrize(
    ("value", "option", "expected"),
    [
        ("many", {"type": "int"}, ["x is 'many'; allowed: a whole number"]),
        (True, {"type": "int"}, ["x is True; allowed: a whole number"]),
        (2.5, {"type": "int"}, ["x is 2.5; allowed: a whole number"]),
        (3, {"type": "float"}, []),
        # what -e and INI inventories give
        ("6379", {"type": "int"}, []),
        ("0.5", {"type": "float"}, []),
        ("yes", {"type": "bool"}, []),
        # every text is true to a template
        ("no", {"type": "bool"}, ["x is 'no'; allowed: true or false without quotes"]),
        ("false", {"type": "bool"}, ["x is 'false'; allowed: true or false without quotes"]),
        ("perhaps", {"type": "bool"}, ["x is 'perhaps'; allowed: true or false"]),
        (1, {"type": "bool"}, ["x is 1; allowed: true or false"]),
        (None, {"type": "int"}, ["x is empty (null); allowed: a whole number (remove the line for the default)"]),
        (3.1, {"type": "str"}, ["x is 3.1; allowed: text in quotes"]),
        (False, {"type": "str"}, ["x is False; allowed: text in quotes"]),
        (False, {"type": "str", "choices": ["no", "yes"]},
         ["x is False; allowed: no, yes in quotes: YAML makes a truth of a bare no, yes, on, off"]),
        (17, {"type": "str", "choices": ["15", "17"]}, ["x is 17; allowed: 15, 17 in quotes"]),
        ("a,b", {"type": "list"}, ["x is 'a,b'; allowed: a list"]),
        ([1, "b"], {"type": "list", "elements": "int"}, ["x[1] is 'b'; allowed: a whole number"]),
        (["1"], {"type": "list", "elements": "int"}, ["x[0] is '1'; allowed: a whole number without quotes"]),
        ("trunc", {"choices": ["session", "transaction"]}, ["x is 'trunc'; allowed: session, transaction"]),
        ([{"nam": "a"}], USERS, ["x[0].nam is an unknown key; allowed: did you mean name? Keys: name, password, limit",
                                 "x[0].name is missing; allowed: text: Its name"]),
        ([{"name": "a", "limit": None}], USERS, ["x[0].limit is empty (null); allowed: a whole number"]),
        ("admin", {"no_log": True}, [f"x is a well-known placeholder; allowed: {RANDOM}"]),
        ("passwordpassword", {"no_log": True}, [f"x is a well-known placeholder; allowed: {RANDOM}"]),
        ("ChangeThisPassword!", {"no_log": True}, [f"x is a well-known placeholder; allowed: {RANDOM}"]),
        ("a" * 20, {"no_log": True}, [f"x is a secret of 1 different characters; allowed: {RANDOM}"]),
        ([{"name": "a", "password": "short"}], USERS, [f"x[0].password is a secret of 5 characters; allowed: {RANDOM}"]),
        ({"URL": "postgresql://u:dev_password@h/d", "SMTP_USERNAME": "me"}, {"type": "dict", "no_log": True},
         [f"x.URL is a well-known placeholder; allowed: {RANDOM}"]),
        (GOOD, {"no_log": True}, []),
        ("", {"no_log": True}, []),
    ],
)  # fmt: skip
def test_a_value_against_its_option(value: Any, option: dict[str, Any], expected: list[str]) -> None:
    assert sentences(value, option) == expected


@pytest.mark.parametrize(
    ("value", "option"),
    [
        (["very-secret-value"], {"type": "str", "no_log": True}),
        ("shop:very-secret-value", USERS),
        (["shop:very-secret-value"], USERS),
        ({"shop": "very-secret-value"}, USERS),
        (["very-secret-value"], {"type": "dict", "no_log": True}),
    ],
)
def test_a_secret_is_never_shown(value: Any, option: dict[str, Any]) -> None:
    found = sentences(value, option)
    assert found
    assert "very-secret" not in "".join(found)


@pytest.mark.parametrize(
    "value", ["https://oauth2:hidden@git.example.org/x", "https://hidden@git.example.org/x", "-----BEGIN PRIVATE KEY-----\nhidden"]
)
def test_credentials_in_a_plain_value_are_not_shown(value: str) -> None:
    assert "hidden" not in arguments.shown(value, secret=False)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("abcdefghijklmnopqrs", True),
        ("Trustno1Trustno1Trustno1", True),
        ("qwertzuiopasdfghj", True),
        ("k9Fq2mZx7Lw4Rt8V", False),
        ("0123456789abcdef" * 2, False),
    ],
)
def test_a_secret_that_repeats_itself_or_counts(text: str, refused: bool) -> None:
    assert ("x is a secret that repeats itself or counts" in "".join(sentences(text, {"no_log": True}))) is refused


def test_missing_values_say_what_they_are() -> None:
    spec = {"redis_admin_password": {"required": True, "description": "Password of the operator. Never shown."}}
    (problem,) = arguments.missing(spec, [])
    assert problem.sentence() == "redis_admin_password is missing; allowed: text: Password of the operator"


@pytest.mark.parametrize(
    ("value", "kind", "meant"),
    [
        ("2", "int", 2),
        ("0.5", "float", 0.5),
        ("yes", "bool", True),
        ("no", "bool", "no"),
        ("16", "str", "16"),
        (7, "int", 7),
        ("x", "int", "x"),
    ],
)
def test_a_quoted_number_becomes_the_number(value: Any, kind: str, meant: Any) -> None:
    found = arguments.typed(value, kind)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("text", "password"),
    [("redis://u:p@h:1/0", "p"), ("postgresql://u:a:b@h/d", "a:b"), ("https://h/x", None), ("redis://h:6379/0", None), ("plain", None)],
)
def test_the_password_of_a_url(text: str, password: str | None) -> None:
    assert arguments.password_of(text) == password
