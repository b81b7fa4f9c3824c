"""What the role promises over time: stops are warm, a broken release is taken back, an outage restarts nobody."""

import shutil
import threading
import time
from pathlib import Path

import pytest
from deployment import PASSWORD, SCENARIO, processes, python, versions
from playbook import Converge, Hosts, Run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the application that a test may change."""
    return Path(shutil.copytree(SCENARIO / "files/jobs", tmp_path / "jobs"))


def test_broker_outage_restarts_no_worker_and_active_means_consuming(hosts: Hosts) -> None:
    before = {name: processes(host) for name, host in hosts.items()}
    for host in hosts.values():
        host.check_output("systemctl stop redis-server")
    try:
        for host in hosts.values():
            host.check_output("systemctl restart --no-block jobs-heavy@1.service")
        time.sleep(6)
        for host in hosts.values():
            assert host.check_output("systemctl is-active jobs-heavy@1.service || true") == "activating"
    finally:
        for host in hosts.values():
            host.check_output("systemctl start redis-server")
    for name, host in hosts.items():
        assert versions(host) == "1 1"
        assert processes(host)[0] == before[name][0]


def test_new_release_lets_a_task_finish_and_restarts_every_worker(hosts: Hosts, converge: Converge, source: Path) -> None:
    (source / "version.txt").write_text("2\n")
    tasks, shutdowns = {}, {}
    log = "journalctl --no-pager --output=cat -u jobs-default@1.service"
    for name, host in hosts.items():
        shutdowns[name] = host.check_output(log).count("Warm shutdown")
        tasks[name] = python(host, "task = jobs.hold.delay('/opt/jobs/go'); jobs.app.backend.client.blpop('held', 60); print(task.id)")
    finished: list[Run] = []
    deploying = threading.Thread(target=lambda: finished.append(converge(play="deploy.yml", jobs_path=str(source))))
    deploying.start()
    try:
        for name, host in hosts.items():  # the task ends when its worker has been told to stop, however long that takes
            until = f"until test $({log} | grep -c 'Warm shutdown') -gt {shutdowns[name]}; do sleep 0.2; done"
            host.check_output("timeout 280 sh -c %s", until)
            host.check_output("touch /opt/jobs/go")
    finally:
        for host in hosts.values():
            host.run("touch /opt/jobs/go")
    deploying.join()
    assert finished[0].code == 0, finished[0].output
    assert PASSWORD not in finished[0].output
    for name, host in hosts.items():
        assert python(host, f"r = jobs.app.AsyncResult('{tasks[name]}'); print(r.get(timeout=20), r.status)") == "1 SUCCESS"
        lines = host.check_output(log)
        assert 0 < lines.rindex("Warm shutdown") < lines.index(f"Task hold[{tasks[name]}] succeeded")
        assert versions(host) == "2 2"


def test_release_whose_workers_do_not_consume_is_taken_back(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = {name: host.file("/opt/jobs/current-workers").linked_to for name, host in hosts.items()}
    (source / "jobs.py").write_text("raise RuntimeError('this release is broken')\n")
    done = converge(play="deploy.yml", jobs_path=str(source))
    assert done.failed == set(hosts)
    assert done.missing("this release is broken") == []
    for name, host in hosts.items():
        assert host.file("/opt/jobs/current-workers").linked_to == before[name]
        assert versions(host) == "2 2"


def test_release_whose_other_workers_do_not_stay_is_taken_back(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = {name: host.file("/opt/jobs/current-workers").linked_to for name, host in hosts.items()}
    (source / "consumer.py").write_text("import time\n\ntime.sleep(1.5)\nraise SystemExit('this consumer finds no settings')\n")
    done = converge(play="deploy.yml", jobs_path=str(source))
    assert done.failed == set(hosts)
    assert done.missing("this consumer finds no settings") == []
    for name, host in hosts.items():
        assert host.file("/opt/jobs/current-workers").linked_to == before[name]
        assert host.check_output("systemctl is-active jobs-consumer@1.service") == "active"


def test_processes_that_are_not_wanted_go_away(hosts: Hosts, converge: Converge) -> None:
    merged = {"default": {"type": "celery", "app": "jobs", "queues": ["default", "heavy"], "start_timeout": 20, "stop_timeout": 30}}
    done = converge(
        play="deploy.yml",
        jobs_path=str(SCENARIO / "files/jobs"),
        jobs_processes=merged,
        jobs_delivery="environment",
        celery_workers_flower=False,
    )
    assert done.code == 0, done.output
    for host in hosts.values():
        assert host.run("pgrep -f '[c]elery.*beat'").rc == 1
        for name in ("jobs-beat.service", "celery-flower.service", "jobs-heavy@1.service", "jobs-consumer@2.service", "jobs-nightly.timer"):
            assert not host.service(name).is_running
            assert host.run(f"systemctl is-enabled {name}").rc != 0
        delivered = host.file("/etc/jobs/secrets.env")
        assert (delivered.user, delivered.group, delivered.mode) == ("root", "root", 0o600)
        assert host.check_output("cd /etc/systemd/system && echo jobs* celery*") == "jobs-default@.service jobs-default@.service.d celery*"
        assert versions(host) == "1 1"
