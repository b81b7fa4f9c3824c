# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The comparison behind the module `postgres_objects`: live roles, databases and rights against the wanted ones.

`make_plan` is pure: live server and wanted state in, statements out. `Server` is the only way to psql.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
RESERVED = {"all", "sameuser", "samerole", "samegroup", "replication", "public", "none", "user", "template0", "template1"}
ITERATIONS = 4096
# The server must not write our statements, which carry verifiers, to its log or to its statistics.
SESSION = " ".join(
    f"-c {setting}"
    for setting in (
        "log_statement=none",
        "log_min_duration_statement=-1",
        "log_min_error_statement=panic",
        "track_activities=off",
        "pg_stat_statements.track=none",
        "client_min_messages=warning",
    )
)
TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
SEQUENCE_RIGHTS = ("USAGE", "SELECT", "UPDATE")
DEFAULT_RIGHTS = (("r", "TABLES", TABLE_RIGHTS), ("S", "SEQUENCES", SEQUENCE_RIGHTS), ("n", "SCHEMAS", ("USAGE",)))
AUTH_BODY = """
  select rolname::text, case when rolvaliduntil < now() then null else rolpassword end
  from pg_catalog.pg_authid
  where rolname = wanted and rolcanlogin and not rolsuper and not rolreplication
"""

SERVER_QUERY = """
select json_build_object(
  'roles', (select coalesce(json_object_agg(rolname, json_build_object(
      'login', rolcanlogin, 'connection_limit', rolconnlimit, 'verifier', rolpassword,
      'powers', rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls,
      'monitor', exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid
                         where m.member = a.oid and g.rolname = 'pg_monitor'))), '{}') from pg_authid a),
  'databases', (select json_object_agg(datname, json_build_object(
      'owner', pg_get_userbyid(datdba), 'connection_limit', datconnlimit,
      'public', exists (select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0),
      'granted', (select coalesce(json_agg(distinct pg_get_userbyid(grantee)::text || ':' || privilege_type), '[]')
                  from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee <> 0)))
    from pg_database));
"""

# :owner and :users (an array of names) are set before this runs. Rights that are missing come back as statements.
DATABASE_QUERY = """
with app as (select n as name, r.oid from unnest(:'users'::text[]) n left join pg_roles r on r.rolname = n),
  space as (select oid, nspname from pg_namespace
            where nspowner = (select oid from pg_roles where rolname = :'owner') or nspname = 'public')
select json_build_object(
  'extensions', (select json_agg(extname) from pg_extension),
  'public_create', exists (select from pg_namespace, aclexplode(nspacl) x
                           where nspname = 'public' and x.grantee = 0 and x.privilege_type = 'CREATE'),
  'owner_create', coalesce(has_schema_privilege((select oid from pg_roles where rolname = :'owner'), 'public', 'CREATE'), false),
  'defaults', (select coalesce(json_agg(d.defaclobjtype::text || ':' || pg_get_userbyid(x.grantee)::text || ':' || x.privilege_type), '[]')
               from pg_default_acl d, aclexplode(d.defaclacl) x
               where d.defaclnamespace = 0 and pg_get_userbyid(d.defaclrole) = :'owner'),
  'missing', (select coalesce(json_agg(s order by s), '[]') from (
      select format('grant usage on schema %I to %I', nspname, app.name) s from space, app
        where not coalesce(has_schema_privilege(app.oid, space.oid, 'USAGE'), false)
      union all
      select format('grant select, insert, update, delete on table %I.%I to %I', n.nspname, c.relname, app.name)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, app
        where c.relkind in ('r', 'p', 'v', 'm', 'f') and pg_get_userbyid(c.relowner) = :'owner' and :'owner' <> 'postgres'
          and not coalesce(has_table_privilege(app.oid, c.oid, 'SELECT') and has_table_privilege(app.oid, c.oid, 'INSERT')
            and has_table_privilege(app.oid, c.oid, 'UPDATE') and has_table_privilege(app.oid, c.oid, 'DELETE'), false)
      union all
      select format('grant usage, select, update on sequence %I.%I to %I', n.nspname, c.relname, app.name)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, app
        where c.relkind = 'S' and pg_get_userbyid(c.relowner) = :'owner' and :'owner' <> 'postgres'
          and not coalesce(has_sequence_privilege(app.oid, c.oid, 'USAGE') and has_sequence_privilege(app.oid, c.oid, 'SELECT')
            and has_sequence_privilege(app.oid, c.oid, 'UPDATE'), false)) m),
  'auth', (select json_build_object('body', p.prosrc, 'granted',
                  (select coalesce(json_agg(pg_get_userbyid(x.grantee)), '[]')
                   from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x where x.grantee <> 0),
                  'public', exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x where x.grantee = 0))
           from pg_proc p join pg_namespace n on n.oid = p.pronamespace
           where n.nspname = 'pgbouncer' and p.proname = 'get_auth'));
"""
FRESH_DATABASE: dict[str, Any] = {
    "extensions": ["plpgsql"],
    "public_create": False,
    "owner_create": True,
    "defaults": [],
    "missing": [],
    "auth": None,
}
EMPTY_SERVER: dict[str, Any] = {
    "roles": {"postgres": {}},
    "databases": {"postgres": {"owner": "postgres", "connection_limit": -1, "public": True, "granted": []}},
}


class ObjectsError(Exception):
    """Input that can not be right, or a server that does not do as it is told."""


@dataclass
class Plan:
    """Statements in their order, with what a person is told of each. `secrets` are never shown."""

    steps: list[str] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def add(self, step: str, statement: str) -> None:
        """Note one statement and its description."""
        self.steps.append(step)
        self.script.append(statement + ";")


def identifier(name: str) -> str:
    """`name` quoted as an SQL identifier; psql understands the same form."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` quoted as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def scram(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The verifier PostgreSQL stores for `password`."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def same_password(password: str, verifier: str | None) -> bool:
    """Whether `verifier` was made from `password`."""
    found = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:.+", verifier or "")
    if not found:
        return False
    return hmac.compare_digest(scram(password, base64.b64decode(found[2]), int(found[1])), verifier or "")


def check_input(users: list[dict[str, Any]], databases: list[dict[str, Any]], pooler: str, monitoring: str) -> None:
    """Raise ObjectsError with every contradiction in the input, each with its variable, value and what is allowed."""
    problems = []
    names = [user["name"] for user in users]
    known = {*names, pooler, monitoring} - {""}
    for variable, name in [
        *[("users[].name", name) for name in names],
        *[("databases[].name", database["name"]) for database in databases],
        *[("pooler_user", name) for name in [pooler] if name],
        *[("monitoring_user", name) for name in [monitoring] if name],
    ]:
        if not NAME.fullmatch(name) or name in RESERVED or name.startswith("pg_"):
            problems.append(
                f"{variable} is {name!r}; allowed: a letter or _, then lower-case letters, digits, _ and - (63 at most), "
                f"no word reserved by PostgreSQL ({', '.join(sorted(RESERVED))}, pg_...)"
            )
    for name in sorted({name for name in [*names, pooler, monitoring] if name and [*names, pooler, monitoring].count(name) > 1}):
        problems.append(f"the role {name!r} is listed twice; allowed: one entry for each role")
    for user in users:
        if not re.fullmatch(r"[ -~]+", user["password"]):
            problems.append(f"the password of {user['name']!r} holds a character outside printable ASCII, or is empty")
        if user["name"] == "postgres":
            problems.append("users[].name is 'postgres'; allowed: any other role, the superuser has no password here")
    for database in databases:
        where = f"databases[{database['name']}]"
        if database["owner"] not in known | {"postgres"}:
            problems.append(f"{where}.owner is {database['owner']!r}; allowed: {', '.join(sorted(known))}")
        for name in database["application_users"]:
            if name not in known:
                problems.append(f"{where}.application_users holds {name!r}; allowed: {', '.join(sorted(known))}")
            if name == database["owner"]:
                problems.append(f"{where}.application_users holds the owner {name!r}; allowed: roles that own nothing")
    if problems:
        raise ObjectsError("; ".join(problems))


def plan_role(plan: Plan, name: str, live: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    """`wanted`: login, connection_limit, password (None: a role that can not log in by password)."""
    options = f"{'login' if wanted['login'] else 'nologin'} connection limit {wanted['connection_limit']}"
    password = wanted["password"]
    verifier = scram(password, os.urandom(16)) if password is not None else ""
    if verifier:
        plan.secrets.append(verifier)
    if live is None:
        clause = f" password {literal(verifier)}" if verifier else ""
        plan.add(f"create role {name}", f"create role {identifier(name)} with {options}{clause}")
        return
    if (live["login"], live["connection_limit"], live["powers"]) != (wanted["login"], wanted["connection_limit"], False):
        harmless = "nosuperuser nocreatedb nocreaterole noreplication nobypassrls"
        plan.add(f"alter role {name}: {options}, {harmless}", f"alter role {identifier(name)} with {options} {harmless}")
    if password is not None and not same_password(password, live["verifier"]):
        plan.add(f"alter role {name}: password (secret)", f"alter role {identifier(name)} with password {literal(verifier)}")


def plan_database(plan: Plan, database: dict[str, Any], live: dict[str, Any] | None, grants: dict[str, tuple[str, ...]]) -> None:
    """The database itself: owner, limit and who may connect. `grants`: role to rights."""
    name, owner, limit = database["name"], database["owner"], database["connection_limit"]
    quoted = identifier(name)
    if live is None:
        plan.add(
            f"create database {name} owned by {owner}",
            f"create database {quoted} owner {identifier(owner)} template template0 connection limit {limit}",
        )
        live = {"owner": owner, "connection_limit": limit, "public": True, "granted": []}
    if live["owner"] != owner:
        plan.add(f"alter database {name}: owner {owner}", f"alter database {quoted} owner to {identifier(owner)}")
    if live["connection_limit"] != limit:
        plan.add(f"alter database {name}: connection limit {limit}", f"alter database {quoted} connection limit {limit}")
    if live["public"]:
        plan.add(f"database {name}: nobody else connects", f"revoke all on database {quoted} from public")
    for role, rights in grants.items():
        missing = [right for right in rights if f"{role}:{right}" not in live["granted"]]
        if missing:
            words = ", ".join(missing).lower()
            plan.add(f"database {name}: grant {words} to {role}", f"grant {words} on database {quoted} to {identifier(role)}")


def plan_contents(plan: Plan, database: dict[str, Any], live: dict[str, Any], pooler: str) -> None:
    """Extensions, rights and pgbouncer's function inside one database."""
    name, owner, users = database["name"], database["owner"], database["application_users"]
    inside = Plan()
    for extension in database["extensions"]:
        if extension not in live["extensions"]:
            inside.add(f"{name}: create extension {extension}", f"create extension if not exists {identifier(extension)} cascade")
    if live["public_create"]:
        inside.add(f"{name}: nobody else creates in schema public", "revoke create on schema public from public")
    if not live["owner_create"]:
        inside.add(f"{name}: {owner} creates in schema public", f"grant create, usage on schema public to {identifier(owner)}")
    for statement in live["missing"]:
        inside.add(f"{name}: {statement}", statement)
    for role in users:
        for kind, words, rights in DEFAULT_RIGHTS:
            if any(f"{kind}:{role}:{right}" not in live["defaults"] for right in rights):
                listed = ", ".join(rights).lower()
                inside.add(
                    f"{name}: {role} gets {listed} on {words.lower()} that {owner} creates",
                    f"alter default privileges for role {identifier(owner)} grant {listed} on {words} to {identifier(role)}",
                )
    if pooler and owner != "postgres":
        plan_auth_function(inside, name, live["auth"], pooler)
    if inside.script:
        plan.steps += inside.steps
        plan.script += [f"\\connect {identifier(name)}", "begin;", *inside.script, "commit;"]


def plan_auth_function(plan: Plan, name: str, live: dict[str, Any] | None, pooler: str) -> None:
    """The only door through which pgbouncer reads a verifier, and only of roles that are no superuser."""
    if live and live["body"] == AUTH_BODY and pooler in live["granted"] and not live["public"]:
        return
    plan.add(
        f"{name}: function pgbouncer.get_auth for {pooler}",
        "create schema if not exists pgbouncer;\n"
        "create or replace function pgbouncer.get_auth(wanted text, out username text, out password text) returns setof record\n"
        f"language sql stable security definer set search_path = pg_catalog, pg_temp as $auth${AUTH_BODY}$auth$;\n"
        "revoke all on schema pgbouncer from public;\n"
        "revoke all on function pgbouncer.get_auth(text) from public;\n"
        f"grant usage on schema pgbouncer to {identifier(pooler)};\n"
        f"grant execute on function pgbouncer.get_auth(text) to {identifier(pooler)}",
    )


class Server:
    """The local server, through psql. Raises ObjectsError with psql's own words."""

    def __init__(self, port: int, socket_directory: str) -> None:
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "PGHOST": socket_directory,
            "PGPORT": str(port),
            "PGDATABASE": "postgres",
            "PGOPTIONS": SESSION,
        }

    def run(self, script: str, secrets: list[str]) -> str:
        """Run `script` and give its rows; stops at the first error."""
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        try:
            done = subprocess.run(
                command,
                input=script,
                env=self.environment,
                cwd="/",
                user="postgres",
                group="postgres",
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
        except (LookupError, FileNotFoundError) as error:
            raise ObjectsError(f"PostgreSQL is not installed here: {error}") from error
        if done.returncode:
            message = done.stderr.strip()
            for secret in secrets:
                message = message.replace(secret, "(secret)")
            raise ObjectsError(f"psql: {message}")
        return done.stdout

    def live(self, databases: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The server's roles and databases, and the contents of those of `databases` that exist."""
        server = json.loads(self.run(SERVER_QUERY, []))
        there = [database for database in databases if database["name"] in server["databases"]]
        script = ""
        for database in there:
            users = "{" + ",".join(identifier(name) for name in database["application_users"]) + "}"
            script += f"\\connect {identifier(database['name'])}\n\\set owner {literal(database['owner'])}\n"
            script += f"\\set users {literal(users)}\n{DATABASE_QUERY}\n\\echo '--'\n"
        answers = self.run(script, []).split("\n--\n") if there else []
        return server, {database["name"]: json.loads(answers[place]) for place, database in enumerate(there)}


def make_plan(parameters: dict[str, Any], server: dict[str, Any], contents: dict[str, Any]) -> Plan:
    """Everything that separates the live server from `parameters`."""
    plan = Plan()
    pooler, monitoring = parameters["pooler_user"], parameters["monitoring_user"]
    roles = {user["name"]: user for user in parameters["users"]}
    if pooler:
        roles[pooler] = {"login": True, "connection_limit": -1, "password": parameters["pooler_password"]}
    if monitoring:
        roles[monitoring] = {"login": True, "connection_limit": -1, "password": None}
    for name, wanted in roles.items():
        plan_role(plan, name, server["roles"].get(name), wanted)
    if monitoring and not server["roles"].get(monitoring, {}).get("monitor"):
        plan.add(f"grant pg_monitor to {monitoring}", f"grant pg_monitor to {identifier(monitoring)}")
    for database in parameters["databases"]:
        name = database["name"]
        grants: dict[str, tuple[str, ...]] = dict.fromkeys(database["application_users"], ("CONNECT", "TEMPORARY"))
        if pooler and database["owner"] != "postgres":
            grants[pooler] = ("CONNECT",)
        if monitoring:
            grants[monitoring] = ("CONNECT",)
        plan_database(plan, database, server["databases"].get(name), grants)
        plan_contents(plan, database, contents.get(name, FRESH_DATABASE), pooler)
    return plan
