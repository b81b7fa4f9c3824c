"""What pgbouncer promises when its variables change: each run is played once, on all hosts, and looked at on each."""

from client import CONFIGURATION, address_of, console, many_queries, options_of, through
from playbook import Converge, Hosts


def test_a_changed_pool_reaches_the_process_without_a_restart(hosts: Hosts, converge: Converge) -> None:
    def processes() -> dict[str, str]:
        return {name: host.check_output("systemctl show --value -p MainPID pgbouncer") for name, host in hosts.items()}

    before = processes()
    for variables, size in (({"pgbouncer_default_pool_size": 7}, 7), ({}, 4)):
        done = converge(**variables)
        assert done.code == 0, done.output
        for host in hosts.values():
            assert f"default_pool_size|{size}|" in console(host, "show config")
    assert processes() == before


def test_broken_setting_is_put_back(hosts: Hosts, converge: Converge) -> None:
    def files() -> dict[tuple[str, str], str]:
        return {(name, path): host.file(path).content_string for name, host in hosts.items() for path in CONFIGURATION}

    before = files()
    for wrong in ({"server_lifetyme": "5"}, {"server_lifetime": "soon"}):
        done = converge(pgbouncer_settings=wrong)
        assert done.failed == set(hosts)
        assert done.missing(*wrong) == []
        assert files() == before
        for name, host in hosts.items():
            assert through(address_of(host), many_queries, **options_of(name)) == 600
    done = converge()
    assert (done.code, done.changed) == (0, set()), done.output


def test_mistakes_are_named(hosts: Hosts, converge: Converge) -> None:
    mistakes = {
        "pgbouncer_users": ["postgres"],
        "pgbouncer_databases": [{"name": "pgbouncer"}],
        "pgbouncer_settings": {"pool_mode": "session"},
    }
    for variables, words in (
        (
            mistakes,
            ["pgbouncer_users[0] is 'postgres'", "pgbouncer_databases[0].name is 'pgbouncer'", "pgbouncer_settings.pool_mode is set"],
        ),
        ({"pgbouncer_client_tls_mode": "disable"}, ["pgbouncer_client_tls_mode", "require, prefer"]),
    ):
        done = converge("--check", **variables)
        assert done.failed == set(hosts)
        assert done.missing(*words) == [], done.output
