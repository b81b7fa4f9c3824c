"""What postgres promises: listed hosts get in with TLS and a password, roles have their rights and no more, mistakes are put back."""

import asyncio
import re
from collections.abc import Callable

import asyncpg
import pytest
from server import PASSWORDS, POOLER, address_of, as_role, query, unit
from testinfra.host import Host

Sql = Callable[..., str]


@pytest.fixture
def address(host: Host) -> str:
    """The host's own address; it is a listed client of itself."""
    return address_of(host)


@pytest.fixture
def sql(host: Host) -> Sql:
    """Ask the server as the superuser, through the unix socket."""
    return lambda *words: query(host, *words)


def test_answers_over_tls_with_scram(host: Host, address: str, sql: Sql) -> None:
    code, answer = as_role(host, "shop", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", address)
    assert (code, answer) == (0, "t")
    assert sql("select count(*) from pg_authid where rolpassword is not null and rolpassword not like 'SCRAM-SHA-256$%'") == "0"


def test_wrong_password_is_refused(host: Host, address: str) -> None:
    code, answer = as_role(host, "shop", "select 1", address, password="not-the-password")
    assert code != 0
    assert "password authentication failed" in answer


def test_plain_connection_is_refused(host: Host, address: str) -> None:
    code, answer = as_role(host, "shop", "select 1", address, tls="disable")
    assert code != 0
    assert "no encryption" in answer


def test_stranger_is_refused(address: str) -> None:
    """The controller is not in postgres_clients; its password is right."""
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="rejects connection for host"):
        asyncio.run(asyncpg.connect(host=address, user="shop", password=PASSWORDS["shop"], database="shop", ssl="require"))


def test_role_stays_out_of_other_databases(host: Host, address: str) -> None:
    for database in ("report", "postgres", "template1"):
        code, answer = as_role(host, "shop", "select 1", address, database=database)
        assert code != 0
        assert "rejects connection" in answer


def test_other_system_users_do_not_get_in(host: Host) -> None:
    for role in ("postgres", "shop"):
        assert host.run(f"runuser -u nobody -- psql -XAtq -U {role} -d shop -c 'select 1'").rc != 0


def test_owner_migrates_and_application_uses(host: Host, address: str) -> None:
    """PG-15: what the owner creates after the role ran belongs to the application's daily work, no more."""
    code, answer = as_role(
        host,
        "shop_owner",
        "drop schema if exists more cascade; drop table if exists item; create table item (id serial, name text);"
        "create schema more; create table more.item (id bigserial)",
        address,
    )
    assert code == 0, answer
    for statement in (
        "insert into item (name) values ('a') returning name",
        "update item set name = 'b'",
        "select name from item",
        "insert into more.item default values",
        "create temporary table t (i int)",
        "delete from item",
    ):
        code, answer = as_role(host, "shop", statement, address)
        assert code == 0, answer
    for statement in (
        "create table mine (i int)",
        "drop table item",
        "truncate item",
        "alter table item add x int",
        "create schema mine",
        "create extension hstore",
        "select * from pg_authid",
        "select pgbouncer.get_auth('shop')",
    ):
        code, answer = as_role(host, "shop", statement, address)
        assert (code, "permission denied" in answer or "must be owner" in answer) == (1, True), f"{statement}: {answer}"


def test_pooler_reads_verifiers_of_plain_roles_only(host: Host, address: str) -> None:
    code, answer = as_role(
        host, "pgbouncer_auth", "select username, left(password, 13) from pgbouncer.get_auth('shop')", address, password=POOLER
    )
    assert (code, answer) == (0, "shop|SCRAM-SHA-256")
    assert as_role(host, "pgbouncer_auth", "select * from pgbouncer.get_auth('postgres')", address, password=POOLER) == (0, "")
    assert as_role(host, "pgbouncer_auth", "select * from pg_authid", address, password=POOLER)[0] != 0


def test_exporter_reads_statistics_through_the_socket(host: Host) -> None:
    host.run_test("id prometheus || useradd --system prometheus")
    told = host.check_output("runuser -u prometheus -- psql -XAtq -d postgres -c 'select count(*) > 0 from pg_stat_statements'")
    assert told == "t"
    assert host.run("runuser -u prometheus -- psql -XAtq -d shop -c 'select * from public.item'").rc != 0


def test_server_is_set_up_as_promised(sql: Sql) -> None:
    settings = dict(line.split("|") for line in sql("select name, setting from pg_settings").splitlines() if line.count("|") == 1)
    assert settings["data_checksums"] == "on"
    assert settings["server_encoding"] == "UTF8"
    assert settings["jit"] == "off"
    assert settings["max_connections"] == "60"
    assert settings["log_min_duration_statement"] == "1000"
    assert settings["shared_preload_libraries"] == "pg_stat_statements"
    assert int(settings["shared_buffers"]) * 8 // 1024 >= 128
    assert sql("select count(*) from pg_extension where extname in ('pg_trgm', 'pg_stat_statements')", "shop") == "2"
    assert sql("select count(*) from pg_settings where pending_restart") == "0"


def test_static_list_of_restart_parameters_is_complete(host: Host, platform: str, sql: Sql) -> None:
    """A parameter that needs a restart but lies in the reload file would never take effect."""
    folder = f"/etc/postgresql/{unit(platform).split('@')[1].replace('-', '/').removesuffix('.service')}/conf.d"
    written = {
        path: set(re.findall(r"^([a-z_.]+) =", host.file(f"{folder}/{path}").content_string, re.MULTILINE))
        for path in ("slipway.conf", "slipway-restart.conf")
    }
    restart = set(sql("select name from pg_settings where context = 'postmaster'").splitlines())
    assert written["slipway.conf"] & restart == set()
    assert written["slipway-restart.conf"] <= restart


def test_sandbox(host: Host, platform: str) -> None:
    goal = {"debian12": 13, "debian13": 11}[platform]
    assert host.run(f"systemd-analyze security --no-pager --threshold={goal} {unit(platform)}").rc == 0


def test_secrets_are_nowhere_else(host: Host, platform: str) -> None:
    for secret in (*PASSWORDS.values(), POOLER):
        assert host.run(f"grep -rqsF {secret} /etc /var/log /var/lib/postgresql /var/lib/slipway /usr/local").rc == 1
        assert host.run(f"journalctl --no-pager | grep -qF {secret}").rc == 1
    verifiers = host.run("grep -rlsE 'SCRAM-SHA-256.[0-9]+:' /var/log /etc")
    assert verifiers.stdout == ""
    version = {"debian12": 15, "debian13": 17}[platform]
    key = host.file(f"/etc/postgresql/{version}/main/self-signed.key")
    assert (key.user, oct(key.mode)) == ("postgres", "0o600")
