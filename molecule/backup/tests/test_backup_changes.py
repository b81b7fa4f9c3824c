"""What backup promises when its variables change: each run is played once, on all hosts, and looked at on each."""

from playbook import Converge, Hosts
from store import CREDENTIAL, back_up, kept, metric


def test_a_failure_is_loud_and_loses_nothing(hosts: Hosts, converge: Converge) -> None:
    assert [name for name, host in hosts.items() if back_up(host, "postgres") != 0] == []
    before = {name: (kept(host, "postgres"), metric(host, "postgres", "last_success_timestamp_seconds")) for name, host in hosts.items()}
    done = converge(backup_postgres_databases=["shop", "not_there"])
    assert done.code == 0, done.output
    for name, host in hosts.items():
        assert back_up(host, "postgres") != 0
        assert host.run("systemctl is-failed slipway-backup@postgres.service").stdout.strip() == "failed"
        assert 'database "not_there" does not exist' in host.check_output("journalctl --no-pager -u slipway-backup@postgres")
        assert metric(host, "postgres", "last_run_exit_code") == 1
        assert (kept(host, "postgres"), metric(host, "postgres", "last_success_timestamp_seconds")) == before[name]
    done = converge()
    assert done.code == 0, done.output
    assert [name for name, host in hosts.items() if back_up(host, "postgres") != 0] == []


def test_a_job_without_work_loses_its_timer(hosts: Hosts, converge: Converge) -> None:
    before = {name: kept(host, "files") for name, host in hosts.items()}
    done = converge(backup_paths=[])
    assert done.code == 0, done.output
    for name, host in hosts.items():
        assert host.run("systemctl list-timers --all | grep slipway-backup-files").rc == 1
        assert kept(host, "files") == before[name]
    done = converge(backup_paths=[])
    assert (done.code, done.changed) == (0, set()), done.output
    done = converge()
    assert done.code == 0, done.output
    for host in hosts.values():
        assert host.run("systemctl list-timers | grep slipway-backup-files").rc == 0


def test_mistakes_are_named(hosts: Hosts, converge: Converge) -> None:
    for variables, words in (
        ({"backup_schedule": "every tuesday"}, ["backup_schedule", "every tuesday", "cron's five fields"]),
        ({"backup_remote_path": "elsewhere:x"}, ["backup_remote_path", "elsewhere", "offsite"]),
        ({"backup_remote_config": ""}, ["backup_remote_config is empty while the other one is given"]),
        ({"backup_jobs": {"postgress": {"keep_days": 3}}}, ["backup_jobs", "postgress"]),
    ):
        done = converge(**variables)
        assert done.failed == set(hosts)
        assert done.missing(*words) == [], done.output
        assert CREDENTIAL not in done.output
