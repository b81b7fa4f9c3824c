"""What postgres promises when its variables change: each run is played once, on all hosts, and looked at on each."""

import pytest
from playbook import Converge, Hosts
from server import PASSWORDS, address_of, as_role, query

VERSIONS = {"debian12": ("15", "bookworm"), "debian13": ("17", "trixie")}


def asked(hosts: Hosts, statement: str) -> dict[str, str]:
    """The servers' answers."""
    return {name: query(host, statement) for name, host in hosts.items()}


def everywhere(hosts: Hosts, value: str) -> dict[str, str]:
    return dict.fromkeys(hosts, value)


def test_reload_reaches_the_running_server(hosts: Hosts, converge: Converge) -> None:
    started = asked(hosts, "select pg_postmaster_start_time()")
    done = converge(postgres_log_min_duration=250, postgres_settings={"work_mem": "9MB"})
    assert done.code == 0, done.output
    assert asked(hosts, "show log_min_duration_statement") == everywhere(hosts, "250ms")
    assert asked(hosts, "show work_mem") == everywhere(hosts, "9MB")
    assert asked(hosts, "select pg_postmaster_start_time()") == started


def test_run_killed_before_the_restart_is_healed(hosts: Hosts, converge: Converge) -> None:
    """The file is there, the process is older: the next run restarts, though it changes no file."""
    before = asked(hosts, "select pg_postmaster_start_time()")
    for name, host in hosts.items():
        host.check_output(f"touch /etc/postgresql/{VERSIONS[name][0]}/main/conf.d/slipway-restart.conf")
    done = converge()
    assert done.code == 0, done.output
    after = asked(hosts, "select pg_postmaster_start_time()")
    assert [name for name in hosts if after[name] <= before[name]] == []
    assert asked(hosts, "show log_min_duration_statement") == everywhere(hosts, "1s")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shared_buffers": "lots"}, 'invalid value for parameter "shared_buffers": "lots"'),
        (
            {"work_memm": "4MB"},
            "postgres_settings.work_memm is a name that PostgreSQL does not know; allowed: a parameter; did you mean work_mem?",
        ),
    ],
)
def test_broken_setting_is_refused(hosts: Hosts, converge: Converge, wrong: dict[str, str], words: str) -> None:
    """The server's own parser names it, with file and line, before a file is touched."""
    done = converge(postgres_settings=wrong)
    assert done.failed == set(hosts)
    assert done.missing(words) == []
    assert asked(hosts, "select count(*) from pg_file_settings where error is not null") == everywhere(hosts, "0")


def test_server_that_cannot_start_is_put_back(hosts: Hosts, converge: Converge) -> None:
    """Syntax is right, but no machine has that much memory: only the start can tell."""
    done = converge(postgres_settings={"shared_buffers": "8000GB", "huge_pages": "off"}, postgres_start_timeout=8)
    assert done.failed == set(hosts)
    assert done.missing("postgresql@") == []
    assert asked(hosts, "select 1") == everywhere(hosts, "1")
    done = converge()
    assert (done.code, done.changed) == (0, set()), done.output


def test_new_password_replaces_the_old_one(hosts: Hosts, converge: Converge) -> None:
    new = "another-password-2f4e6a"

    def code(name: str, password: str = "") -> int:
        return as_role(hosts[name], "report", "select 1", address_of(hosts[name]), database="report", password=password)[0]

    users = [{"name": name, "password": password} for name, password in PASSWORDS.items()]
    users[2]["password"] = new
    done = converge("--diff", postgres_users=users)
    assert done.code == 0, done.output
    assert new not in done.output
    assert done.missing("alter role report: password (secret)") == []
    for name in hosts:
        assert code(name) != 0
        assert code(name, new) == 0
    assert converge().code == 0
    assert [name for name in hosts if code(name) != 0] == []


def test_pgdg_is_a_signed_source_of_its_own(hosts: Hosts, converge: Converge) -> None:
    own = {name: version for name, (version, _) in VERSIONS.items()}
    done = converge(
        "--check", "--diff", postgres_repository="pgdg", postgres_version="{{ own_version[inventory_hostname] }}", own_version=own
    )
    assert done.code == 0, done.output
    key = "/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc"
    assert done.missing("+URIs: https://apt.postgresql.org/pub/repos/apt", f"+Signed-By: {key}") == []
    for name, host in hosts.items():
        assert f"+Suites: {VERSIONS[name][1]}-pgdg" in done.told[name]
        assert host.file(key).contains("BEGIN PGP PUBLIC KEY BLOCK")


def test_mistakes_are_named(hosts: Hosts, converge: Converge) -> None:
    for variables, words in (
        ({"postgres_version": "14"}, ["postgres_version", "14", "15, 16, 17, 18"]),
        ({"postgres_version": "16"}, ["postgres_version is 16", "an upgrade with its data"]),
        ({"postgres_memory_share": 3}, ["postgres_memory_share is 3", "at most 1"]),
        ({"postgres_databases": [{"name": "shop", "owner": "nobody_knows"}]}, ["nobody_knows", "shop_owner"]),
    ):
        done = converge("--check", **variables)
        assert done.failed == set(hosts)
        assert done.missing(*words) == [], done.output


def test_a_creation_that_was_killed_is_begun_again(hosts: Hosts, converge: Converge) -> None:
    """Half of a data directory and of its configuration, as initdb leaves them at a SIGKILL."""
    for name, host in hosts.items():
        version = VERSIONS[name][0]
        proof = f"/var/lib/slipway/postgres-{version}-main"
        host.check_output(
            f"pg_dropcluster --stop {version} main && mkdir -p /var/lib/postgresql/{version}/main/base /etc/postgresql/{version}/main"
            f" && echo {version} > /var/lib/postgresql/{version}/main/PG_VERSION && mv {proof} {proof}.begun"
        )
    done = converge()
    assert done.code == 0, done.output
    assert asked(hosts, "select datcollate from pg_database where datname = 'shop'") == everywhere(hosts, "C.UTF-8")
    assert {host.run("ls /var/lib/slipway/postgres-*.begun").rc for host in hosts.values()} == {2}


def test_a_cluster_that_served_is_never_begun_again(hosts: Hosts, converge: Converge) -> None:
    for name, host in hosts.items():
        proof = f"/var/lib/slipway/postgres-{VERSIONS[name][0]}-main"
        host.check_output(f"mv {proof} {proof}.begun")
    done = converge()
    assert done.failed == set(hosts)
    assert done.missing("a server has run on it since", "look at it, then remove /var/lib/slipway/postgres-") == []
    for name, host in hosts.items():
        assert query(host, "select count(*) from pg_database where datname = 'shop'") == "1"
        proof = f"/var/lib/slipway/postgres-{VERSIONS[name][0]}-main"
        host.check_output(f"mv {proof}.begun {proof}")
