"""What pgbouncer promises: many clients share few connections, passwords stay in PostgreSQL, and asyncpg works as it is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from testinfra.host import Host

PASSWORDS = {
    "shop_owner": "only-for-this-scenario-owner-91c2",
    "shop": "only-for-this-scenario-shop-1b2c",
    "other": "only-for-this-scenario-other-5d6e",
}
POOLER = "only-for-this-scenario-pooler-77aa"
CONFIGURATION = ("/etc/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/pools.ini", "/etc/pgbouncer/userlist.txt", "/etc/pgbouncer/hba.conf")
Pooled = Callable[[asyncpg.Pool], Awaitable[Any]]


@pytest.fixture
def address(host: Host) -> str:
    """The pooler's address, as the application on another host sees it."""
    return host.check_output("hostname -I").split()[0]


def through(address: str, work: Pooled, user: str = "shop", **options: Any) -> Any:
    """Run `work` with a pool of 30 connections to the pooler, from the controller, with asyncpg as an application uses it."""

    async def run() -> Any:
        async with asyncpg.create_pool(
            host=address,
            port=6432,
            user=user,
            password=PASSWORDS[user],
            database="shop",
            min_size=30,
            max_size=30,
            ssl="require",
            **options,
        ) as pool:
            return await work(pool)

    return asyncio.run(run())


def sql(host: Host, statement: str) -> str:
    return host.check_output("runuser -u postgres -- psql -XAtq -d shop -c %s", statement)


def console(host: Host, statement: str, user: str = "postgres") -> str:
    return host.check_output(f"runuser -u {user} -- psql -XAtq -h /run/postgresql -p 6432 pgbouncer -c %s", statement)


async def many_queries(pool: asyncpg.Pool) -> int:
    """600 queries of 40 kinds from 60 tasks: each one prepared by asyncpg, on whatever server connection is free."""

    async def one(number: int) -> int:
        found = 0
        for round_ in range(10):
            kind = (number + round_) % 40
            found += await pool.fetchval(f"select count(*) from generate_series(1, $1) as kind_{kind}", kind) == kind
        return found

    return sum(await asyncio.gather(*(one(number) for number in range(60))))


def options_of(platform: str) -> dict[str, Any]:
    """What the README tells applications on Debian 12, whose PgBouncer does not know prepared statements."""
    return {"statement_cache_size": 0} if platform == "debian12" else {}


def test_asyncpg_shares_few_connections(host: Host, platform: str, address: str) -> None:
    """MX-26: 30 clients, 4 server connections, prepared statements on each."""
    assert through(address, many_queries, **options_of(platform)) == 600
    held = int(sql(host, "select count(*) from pg_stat_activity where usename = 'shop'"))
    assert 1 <= held <= 4


def test_prepared_statements_are_the_poolers_work(host: Host, platform: str, address: str) -> None:
    """The proof would mean nothing if the same load passed without the setting."""
    if platform == "debian12":
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            through(address, many_queries)
        return
    console(host, "set max_prepared_statements = 0")
    try:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            through(address, many_queries)
    finally:
        console(host, "reload")
    assert console(host, "show config").count("max_prepared_statements|200|") == 1


def test_transactions_keep_their_connection(address: str, platform: str) -> None:
    async def work(pool: asyncpg.Pool) -> bool:
        async def one() -> bool:
            async with pool.acquire() as connection, connection.transaction():
                before = await connection.fetchval("select pg_backend_pid()")
                await asyncio.sleep(0.02)
                return bool(before == await connection.fetchval("select pg_backend_pid()"))

        return all(await asyncio.gather(*(one() for _ in range(30))))

    assert through(address, work, **options_of(platform))


def test_both_hops_are_encrypted(host: Host, address: str, platform: str) -> None:
    async def work(pool: asyncpg.Pool) -> bool:
        return bool(await pool.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()"))

    assert through(address, work, **options_of(platform))
    done = host.run(f"PGPASSWORD={PASSWORDS['shop']} psql 'host={address} port=6432 dbname=shop user=shop sslmode=disable' -c 'select 1'")
    assert done.rc != 0
    assert "SSL required" in done.stderr


@pytest.mark.parametrize(
    ("user", "password", "database"),
    [
        ("shop", "wrong", "shop"),
        ("nobody", "", "shop"),
        ("other", PASSWORDS["other"], "shop"),
        ("shop", PASSWORDS["shop"], "postgres"),
        ("postgres", "", "shop"),
        ("postgres", "", "pgbouncer"),
        ("prometheus", "", "pgbouncer"),
        ("prometheus", "", "shop"),
        ("pgbouncer_auth", POOLER, "shop"),
    ],
)
def test_refused(address: str, user: str, password: str, database: str) -> None:
    """Wrong password, unknown role, role that is not listed, other database, and every door to the console."""
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        asyncio.run(asyncpg.connect(host=address, port=6432, user=user, password=password, database=database, ssl="require", timeout=10))


def test_console_is_for_system_users_of_the_same_name(host: Host) -> None:
    host.run_test("id prometheus || useradd --system prometheus")
    assert "PgBouncer" in console(host, "show version") + console(host, "show version", "prometheus")
    assert host.run("runuser -u prometheus -- psql -h /run/postgresql -p 6432 pgbouncer -c shutdown").rc != 0
    assert host.run("runuser -u nobody -- psql -h /run/postgresql -p 6432 -U prometheus pgbouncer -c 'show version'").rc != 0
    assert host.run("runuser -u nobody -- psql -h /run/postgresql -p 6432 -U shop shop -c 'select 1'").rc != 0


def test_a_new_password_needs_nothing_here(host: Host, address: str, platform: str) -> None:
    """The verifier is asked for in PostgreSQL each time: nobody has to tell the pooler."""
    sql(host, "alter role other password 'a-brand-new-one-81f2'; alter role other rename to shop_guest")
    sql(host, "alter role shop_guest rename to other")
    sql(host, "alter role shop password 'a-brand-new-one-81f2'")
    with pytest.raises(asyncpg.PostgresError):
        asyncio.run(asyncpg.connect(host=address, port=6432, user="shop", password=PASSWORDS["shop"], database="shop", ssl="require"))
    sql(host, f"alter role shop password '{PASSWORDS['shop']}'")
    assert through(address, many_queries, **options_of(platform)) == 600


def test_file_limit_and_sandbox(host: Host, platform: str) -> None:
    """PB-06: each client is an open file."""
    limit = host.check_output("systemctl show --value -p LimitNOFILE pgbouncer")
    assert int(limit) >= 1000 + 4 * 2
    assert (
        host.run(f"systemd-analyze security --no-pager --threshold={ {'debian12': 13, 'debian13': 11}[platform] } pgbouncer.service").rc
        == 0
    )


def test_secrets_are_nowhere_else(host: Host) -> None:
    for path in CONFIGURATION:
        assert (host.file(path).user, host.file(path).group, oct(host.file(path).mode)) == ("root", "postgres", "0o640")
    found = host.run(f"grep -rlsF {POOLER} /etc /var/log /var/lib/slipway /usr/local").stdout.split()
    assert found == ["/etc/pgbouncer/userlist.txt"]
    for secret in (POOLER, PASSWORDS["shop"]):
        assert host.run(f"journalctl --no-pager | grep -qF {secret}").rc == 1


def test_a_changed_pool_reaches_the_process_without_a_restart(host: Host, converge: Callable[..., Any]) -> None:
    process = host.check_output("systemctl show --value -p MainPID pgbouncer")
    assert converge(pgbouncer_default_pool_size=7).code == 0
    assert "default_pool_size|7|" in console(host, "show config")
    assert host.check_output("systemctl show --value -p MainPID pgbouncer") == process
    assert converge().code == 0
    assert "default_pool_size|4|" in console(host, "show config")


def test_broken_setting_is_put_back(host: Host, converge: Callable[..., Any], address: str, platform: str) -> None:
    before = {path: host.file(path).content_string for path in CONFIGURATION}
    for wrong in ({"server_lifetyme": "5"}, {"server_lifetime": "soon"}):
        done = converge(pgbouncer_settings=wrong)
        assert done.code != 0
        assert next(iter(wrong)) in done.told
        assert {path: host.file(path).content_string for path in CONFIGURATION} == before
        assert through(address, many_queries, **options_of(platform)) == 600
    assert converge()[:2] == (0, False)


def test_mistakes_are_named(converge: Callable[..., Any]) -> None:
    mistakes = {
        "pgbouncer_users": ["postgres"],
        "pgbouncer_databases": [{"name": "pgbouncer"}],
        "pgbouncer_settings": {"pool_mode": "session"},
    }
    for variables, words in (
        (mistakes, ["pgbouncer_users: 'postgres'", "pgbouncer_databases", "administration console", "pgbouncer_settings: 'pool_mode'"]),
        ({"pgbouncer_client_tls_mode": "disable"}, ["pgbouncer_client_tls_mode", "require, prefer"]),
    ):
        done = converge("--check", **variables)
        assert done.code != 0
        assert [word for word in words if word not in done.told] == [], done.told
