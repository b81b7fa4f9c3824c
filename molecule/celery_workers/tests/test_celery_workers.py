"""What the role promises: active means consuming, stops are warm, limits hit one worker, there is one beat."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
PASSWORD = "only-for-this-scenario-4be1"
FLOWER_PASSWORD = "only-for-this-scenario-90fd"
UNITS = ("celery-worker@default.service", "celery-worker@heavy.service")


def python(host: Host, code: str) -> str:
    """Run code with the live release, as a program that sends tasks would."""
    command = f"cd /opt/jobs/current-workers/source && BROKER_URL=redis://:{PASSWORD}@127.0.0.1:6379/0 ../venv/bin/python -c %s"
    return host.check_output(command, "import jobs; " + code)


def main_process(host: Host, unit: str) -> str:
    return host.check_output("systemctl show -p MainPID --value %s", unit)


def deploy(platform: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Deploy as a user would, on one host."""
    variables = {"jobs_path": str(SCENARIO / "files/jobs"), **variables}
    return subprocess.run(
        ["ansible-playbook", "--limit", platform, "-e", json.dumps(variables), str(SCENARIO / "deploy.yml")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240,
        env={**os.environ, "ANSIBLE_INVENTORY": os.environ["MOLECULE_INVENTORY_FILE"], "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the application that a test may change."""
    return Path(shutil.copytree(SCENARIO / "files/jobs", tmp_path / "jobs"))


def test_every_queue_has_its_worker(host: Host) -> None:
    assert python(host, "print(jobs.version.delay().get(timeout=20), jobs.heavy_version.delay().get(timeout=20))") == "1 1"
    for unit, children in zip(UNITS, (2, 1), strict=True):
        assert host.check_output("systemctl show -p StatusText --value %s", unit) == "connected to the broker and consuming"
        assert len(host.check_output("pgrep --parent %s", main_process(host, unit)).split()) == children


def test_secrets_are_nowhere_they_do_not_belong(host: Host) -> None:
    for secret in (PASSWORD, FLOWER_PASSWORD):
        found = host.run(f"grep -rlF {secret} /etc/jobs /etc/systemd /opt /var/lib/jobs-workers /usr/local 2>/dev/null").stdout.split()
        assert [path for path in found if host.file(path).mode & 0o037 or host.file(path).user != "root"] == []
        assert secret not in host.check_output("ps -eo args")
        assert secret not in host.check_output("systemctl show 'celery*'")
        assert host.run(f"journalctl --no-pager -u 'celery*' | grep -F {secret}").rc == 1


def test_units_are_sandboxed(host: Host) -> None:
    for unit in (*UNITS, "celery-beat.service", "celery-flower.service"):
        rated = host.run("systemd-analyze security --no-pager --threshold=10 %s", unit)
        assert rated.rc == 0, rated.stdout


def test_flower_asks_for_the_password(host: Host) -> None:
    def ask(headers: dict[str, str]) -> str:
        request = f"u.Request('http://127.0.0.1:5555/flower/workers', headers={headers!r})"
        return host.run("python3 -c %s 2>&1", f"import urllib.request as u; print(u.urlopen({request}).status)").stdout

    assert "401" in ask({})
    assert ask({"Authorization": "Basic " + base64.b64encode(f"admin:{FLOWER_PASSWORD}".encode()).decode()}) == "200\n"


def test_one_beat_ticks_once_a_second(host: Host) -> None:
    python(host, "jobs.app.backend.client.delete('ticks')")
    time.sleep(5)
    assert 3 <= int(python(host, "print(jobs.app.backend.client.llen('ticks'))")) <= 6


def test_memory_limit_costs_the_greedy_task_alone(host: Host) -> None:
    before = [main_process(host, unit) for unit in UNITS]
    lost = python(host, (
        "from celery.exceptions import WorkerLostError as lost\n"
        "try:\n    print(jobs.greedy.apply_async((400,), retry=False).get(timeout=40))\nexcept lost as error:\n    print('lost', error)"
    ))  # fmt: skip
    assert lost.startswith("lost"), lost
    assert [main_process(host, unit) for unit in UNITS] == before
    assert python(host, "print(jobs.version.delay().get(timeout=20), jobs.heavy_version.delay().get(timeout=20))") == "1 1"


def test_broker_outage_restarts_no_worker_and_active_means_consuming(host: Host) -> None:
    before = [main_process(host, unit) for unit in UNITS]
    host.check_output("systemctl stop redis-server")
    try:
        assert [main_process(host, unit) for unit in UNITS] == before
        host.check_output("systemctl restart --no-block celery-worker@heavy.service")
        time.sleep(6)
        assert host.check_output("systemctl is-active celery-worker@heavy.service || true") == "activating"
    finally:
        host.check_output("systemctl start redis-server")
    assert python(host, "print(jobs.version.delay().get(timeout=40), jobs.heavy_version.delay().get(timeout=40))") == "1 1"
    assert main_process(host, UNITS[0]) == before[0]


def test_new_release_lets_a_task_finish_and_restarts_every_worker(host: Host, platform: str, source: Path) -> None:
    (source / "version.txt").write_text("2\n")
    task = python(host, "print(jobs.long.delay(12).id)")
    done = deploy(platform, jobs_path=str(source))
    assert done.returncode == 0, done.stdout
    assert PASSWORD not in done.stdout
    result = f"jobs.app.AsyncResult('{task}')"
    assert python(host, f"r = {result}; print(r.get(timeout=20), r.status)") == "1 SUCCESS"
    assert python(host, "print(jobs.version.delay().get(timeout=20), jobs.heavy_version.delay().get(timeout=20))") == "2 2"


def test_release_whose_workers_do_not_consume_is_taken_back(host: Host, platform: str, source: Path) -> None:
    before = host.file("/opt/jobs/current-workers").linked_to
    (source / "jobs.py").write_text("raise RuntimeError('this release is broken')\n")
    done = deploy(platform, jobs_path=str(source))
    assert done.returncode != 0
    assert "this release is broken" in done.stdout
    assert host.file("/opt/jobs/current-workers").linked_to == before
    assert python(host, "print(jobs.version.delay().get(timeout=20), jobs.heavy_version.delay().get(timeout=20))") == "2 2"


def test_beat_and_queues_that_are_not_wanted_go_away(host: Host, platform: str) -> None:
    queues = [{"name": "default", "queues": ["default", "heavy"]}]
    done = deploy(platform, celery_workers_beat=False, celery_workers_flower=False, celery_workers_queues=queues)
    assert done.returncode == 0, done.stdout
    assert host.run("pgrep -f '[c]elery.*beat'").rc == 1
    for name in ("celery-beat", "celery-flower", "celery-worker@heavy"):
        assert not host.service(name).is_running
        assert not host.service(name).is_enabled
    assert python(host, "print(jobs.heavy_version.delay().get(timeout=20))") == "1"
