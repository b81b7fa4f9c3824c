# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections by name: {to: pgbouncer, user: shop_app, database: shop} becomes a URL with the right address and a quoted password.

Nobody glues an address together: a password with @, / or % in it would name another host, and a user that does not exist would
be found by the application.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

POSTGRES = ("pgbouncer", "postgres")
REDIS = ("redis_broker", "redis_cache")
DEFAULT_SCHEMES = {**dict.fromkeys(POSTGRES, "postgresql"), **dict.fromkeys(REDIS, "redis")}
KEYS = ("to", "user", "database", "scheme", "form", "options")
FORMS = ("url", "parts", "pgpass")


class ConnectionError(ValueError):
    """The connection names something that is not there."""


def _nearest(name: Any, known: Iterable[str], what: str) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    return (
        f"{what} is {str(name)!r}; allowed: "
        + (f"did you mean {near[0]}? There are " if near else "")
        + (", ".join(known) or "none is declared")
    )


def connection(wanted: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    """One connection in the form asked for. Raises ConnectionError that names the key, its value and what is allowed.

    `wanted`: `to` (a service of the wiring), `user`, `database` (a name, or Redis' number), `scheme` (of the URL, such as
    postgresql+asyncpg), `form` (url, parts or pgpass), `options` (query of the URL).
    `table`: {endpoints: {service: {address, port}}, postgres_users, postgres_databases, redis_users}.
    """
    for key in wanted:
        if key not in KEYS:
            raise ConnectionError(_nearest(key, KEYS, "a key of a connection"))
    service = str(wanted.get("to", ""))
    if service not in DEFAULT_SCHEMES or service not in table["endpoints"]:
        raise ConnectionError(_nearest(service, set(DEFAULT_SCHEMES) & set(table["endpoints"]), "`to`"))
    accounts = table["postgres_users"] if service in POSTGRES else table["redis_users"]
    passwords = {str(account["name"]): str(account["password"]) for account in accounts}
    user = str(wanted.get("user", ""))
    if user not in passwords:
        raise ConnectionError(_nearest(user, passwords, f"`user` of the connection to {service}"))
    database = wanted.get("database", 0 if service in REDIS else "")
    if service in POSTGRES and database not in [item["name"] for item in table["postgres_databases"]]:
        raise ConnectionError(
            _nearest(database, [str(item["name"]) for item in table["postgres_databases"]], f"`database` of the connection to {service}")
        )
    if service in REDIS and not str(database).isdigit():
        raise ConnectionError(f"`database` of the connection to {service} is {database!r}; allowed: a number, 0 to 15")
    form = wanted.get("form", "url")
    if form not in FORMS:
        raise ConnectionError(_nearest(form, FORMS, "`form`"))
    address, port = str(table["endpoints"][service]["address"]), int(table["endpoints"][service]["port"])
    parts = {"host": address, "port": port, "user": user, "password": passwords[user], "database": database}
    if form == "parts":
        return parts
    if form == "pgpass":
        return ":".join(
            str(parts[key]).replace("\\", "\\\\").replace(":", "\\:") for key in ("host", "port", "database", "user", "password")
        )
    scheme = str(wanted.get("scheme", DEFAULT_SCHEMES[service]))
    host = f"[{address}]" if ":" in address else address
    options = "&".join(
        f"{quote(str(key), safe='')}={quote(str(value), safe='')}" for key, value in dict(wanted.get("options") or {}).items()
    )
    text = f"{scheme}://{quote(user, safe='')}:{quote(passwords[user], safe='')}@{host}:{port}/{quote(str(database), safe='')}"
    return f"{text}?{options}" if options else text
