"""What pgbouncer promises: many clients share few connections, passwords stay in PostgreSQL, and asyncpg works as it is."""

import asyncio
import time

import asyncpg
import pytest
from client import CONFIGURATION, PASSWORDS, address_of, console, many_queries, options_of, through
from testinfra.host import Host

POOLER = "only-for-this-scenario-pooler-77aa"


@pytest.fixture
def address(host: Host) -> str:
    """The pooler's address, as the application on another host sees it."""
    return address_of(host)


def sql(host: Host, statement: str) -> str:
    return host.check_output("runuser -u postgres -- psql -XAtq -d shop -c %s", statement)


def test_asyncpg_shares_few_connections(host: Host, platform: str, address: str) -> None:
    """MX-26: 30 clients, 4 server connections, prepared statements on each."""
    assert through(address, many_queries, **options_of(platform)) == 600
    held = int(sql(host, "select count(*) from pg_stat_activity where usename = 'shop'"))
    assert 1 <= held <= 4


def wait_for_answer(host: Host) -> None:
    """PgBouncer 1.18 may die of many clients that break off at once ("bad client state"); systemd starts it again."""
    deadline = time.monotonic() + 15
    while host.run("runuser -u pgbouncer -- psql -XAtq -h /run/pgbouncer -p 6432 pgbouncer -c 'show version'").rc != 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_prepared_statements_are_the_poolers_work(host: Host, platform: str, address: str) -> None:
    """The proof would mean nothing if the same load passed without the setting."""
    if platform == "debian12":
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            through(address, many_queries)
        wait_for_answer(host)
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
        ("pgbouncer", "", "pgbouncer"),
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
    assert host.run("runuser -u prometheus -- psql -h /run/pgbouncer -p 6432 pgbouncer -c shutdown").rc != 0
    assert host.run("runuser -u nobody -- psql -h /run/pgbouncer -p 6432 -U prometheus pgbouncer -c 'show version'").rc != 0
    assert host.run("runuser -u nobody -- psql -h /run/pgbouncer -p 6432 -U shop shop -c 'select 1'").rc != 0


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
        assert (host.file(path).user, host.file(path).group, oct(host.file(path).mode)) == ("root", "pgbouncer", "0o640")
    found = host.run(f"grep -rlsF {POOLER} /etc /var/log /var/lib/slipway /usr/local").stdout.split()
    assert found == ["/etc/pgbouncer/userlist.txt"]
    for secret in (POOLER, PASSWORDS["shop"]):
        assert host.run(f"journalctl --no-pager | grep -qF {secret}").rc == 1
