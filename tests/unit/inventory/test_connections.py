"""Connections by name: what a library reads out of the URL is what was meant."""

from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils.connections import ConnectionError, connection

NASTY = "p@ss:w/o%41r#d é?&"
TABLE: dict[str, Any] = {
    "endpoints": {
        "pgbouncer": {"address": "10.0.0.5", "port": 6432},
        "postgres": {"address": "fd00::5", "port": 5432},
        "redis_broker": {"address": "127.0.0.1", "port": 6379},
        "redis_cache": {"address": "10.0.0.6", "port": 6380},
    },
    "postgres_users": [{"name": "shop_app", "password": NASTY}, {"name": "shop_owner", "password": "owner"}],
    "postgres_databases": [{"name": "shop"}],
    "redis_users": [{"name": "shop", "password": NASTY}],
}


def read(**wanted: Any) -> SplitResult:
    return urlsplit(connection(wanted, TABLE))


def test_a_password_with_every_mark_is_read_back() -> None:
    url = read(to="pgbouncer", user="shop_app", database="shop", scheme="postgresql+asyncpg")
    assert (url.scheme, url.hostname, url.port, url.username, url.path) == ("postgresql+asyncpg", "10.0.0.5", 6432, "shop_app", "/shop")
    assert unquote(url.password or "") == NASTY
    assert url.fragment == url.query == ""


def test_an_ipv6_address_is_in_brackets() -> None:
    url = read(to="postgres", user="shop_owner", database="shop", options={"sslmode": "require"})
    assert (url.netloc, parse_qs(url.query)) == ("shop_owner:owner@[fd00::5]:5432", {"sslmode": ["require"]})


def test_redis_has_numbers_for_databases() -> None:
    assert [read(to="redis_cache", user="shop", database=number).path for number in (0, 1)] == ["/0", "/1"]
    url = read(to="redis_broker", user="shop")
    assert (url.scheme, url.hostname, url.port, url.username, unquote(url.password or ""), url.path) == (
        "redis", "127.0.0.1", 6379, "shop", NASTY, "/0",
    )  # fmt: skip


def test_parts_and_pgpass() -> None:
    wanted = {"to": "pgbouncer", "user": "shop_app", "database": "shop"}
    assert connection({**wanted, "form": "parts"}, TABLE) == {
        "host": "10.0.0.5", "port": 6432, "user": "shop_app", "password": NASTY, "database": "shop",
    }  # fmt: skip
    assert connection({**wanted, "form": "pgpass"}, TABLE) == "10.0.0.5:6432:shop:shop_app:p@ss\\:w/o%41r#d é?&"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"to": "pgbouncr"},
            "`to` is 'pgbouncr'; allowed: did you mean pgbouncer? There are pgbouncer, postgres, redis_broker, redis_cache",
        ),
        (
            {"user": "shop_ap"},
            "`user` of the connection to pgbouncer is 'shop_ap'; allowed: did you mean shop_app? There are shop_app, shop_owner",
        ),
        ({"database": "shp"}, "`database` of the connection to pgbouncer is 'shp'; allowed: did you mean shop? There are shop"),
        ({"form": "uri"}, "`form` is 'uri'; allowed: did you mean url? There are parts, pgpass, url"),
        ({"usr": "x"}, "a key of a connection is 'usr'; allowed: did you mean user?"),
        ({"to": "redis_cache", "user": "shop", "database": "a"}, "`database` of the connection to redis_cache is 'a'; allowed: a number"),
    ],
)
def test_a_name_that_is_not_there_is_said(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConnectionError) as error:
        connection({"to": "pgbouncer", "user": "shop_app", "database": "shop", **change}, TABLE)
    assert sentence in str(error.value)
    assert NASTY not in str(error.value)
