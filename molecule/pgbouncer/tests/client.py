"""Clients of this scenario's pooler: an application with asyncpg, and an administrator at the console."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from testinfra.host import Host

PASSWORDS = {
    "shop_owner": "only-for-this-scenario-owner-91c2",
    "shop": "only-for-this-scenario-shop-1b2c",
    "other": "only-for-this-scenario-other-5d6e",
}
CONFIGURATION = ("/etc/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/pools.ini", "/etc/pgbouncer/userlist.txt", "/etc/pgbouncer/hba.conf")
Pooled = Callable[[asyncpg.Pool], Awaitable[Any]]


def address_of(host: Host) -> str:
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


def console(host: Host, statement: str, user: str = "pgbouncer") -> str:
    return host.check_output(f"runuser -u {user} -- psql -XAtq -h /run/pgbouncer -p 6432 pgbouncer -c %s", statement)


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
