"""What the role promises of a host at rest: active means consuming, limits hit one worker, secrets stay unseen."""

import base64

from deployment import BEAT, PASSWORD, UNITS, processes, python, versions
from testinfra.host import Host

FLOWER_PASSWORD = "only-for,this:scenario%90$fd#\\"


def test_every_queue_has_its_worker(host: Host) -> None:
    assert versions(host) == "1 1"
    for unit, process, children in zip(UNITS, processes(host), (2, 1), strict=True):
        assert host.check_output("systemctl show -p StatusText --value %s", unit) == "connected to the broker and consuming"
        assert len(host.check_output("pgrep --parent %s", process).split()) == children


def test_secrets_are_nowhere_they_do_not_belong(host: Host) -> None:
    for secret in (PASSWORD, FLOWER_PASSWORD):
        written = secret.replace("\\", "")  # a backslash is written twice
        folders = "/etc/jobs /etc/celery-flower /etc/systemd /opt /var/lib/jobs /usr/local"
        found = host.run(f"grep -rlF -e %s {folders} 2>/dev/null", written).stdout.split()
        assert found
        assert [path for path in found if host.file(path).mode & 0o037 or host.file(path).user != "root"] == []
        assert written not in host.check_output("ps -eo args")
        assert written not in host.check_output("systemctl show 'jobs-*' 'celery-flower*'")
        assert host.run("journalctl --no-pager -u 'jobs-*' -u 'celery-flower*' | grep -F -e %s", written).rc == 1


def test_secret_files_belong_to_root_and_only_their_service_reads_them(host: Host) -> None:
    modes = {
        path: (host.file(path).user, host.file(path).group, host.file(path).mode)
        for path in ("/etc/jobs/secrets", "/etc/jobs/secrets/BROKER_URL", "/etc/celery-flower/flower.env", "/etc/celery-flower/flower.py")
    }
    assert modes == {
        "/etc/jobs/secrets": ("root", "jobs", 0o750),
        "/etc/jobs/secrets/BROKER_URL": ("root", "jobs", 0o640),
        "/etc/celery-flower/flower.env": ("root", "root", 0o600),
        "/etc/celery-flower/flower.py": ("root", "celery-flower", 0o640),
    }


def test_a_command_runs_as_the_workers_do(host: Host) -> None:
    assert "jobs-default-1@" in host.check_output("slipway-run jobs-default@1 celery --app=jobs inspect ping")


def test_every_unit_comes_back_and_keeps_its_folder_closed(host: Host) -> None:
    for unit in (*UNITS, BEAT, "celery-flower.service"):
        shown = host.check_output("systemctl show --property=Restart,StateDirectoryMode %s", unit)
        assert shown.split() == ["Restart=always", "StateDirectoryMode=0750"]


def test_units_are_sandboxed(host: Host) -> None:
    for unit in (*UNITS, BEAT, "celery-flower.service"):
        rated = host.run("systemd-analyze security --no-pager --threshold=10 %s", unit)
        assert rated.rc == 0, rated.stdout


def test_flower_asks_for_the_password(host: Host) -> None:
    def ask(headers: dict[str, str]) -> str:
        request = f"u.Request('http://127.0.0.1:5555/flower/workers', headers={headers!r})"
        return host.run("python3 -c %s 2>&1", f"import urllib.request as u; print(u.urlopen({request}).status)").stdout

    assert "401" in ask({})
    wrong = base64.b64encode(f"admin:{FLOWER_PASSWORD.split(',')[0]}".encode()).decode()
    assert "401" in ask({"Authorization": f"Basic {wrong}"})
    assert ask({"Authorization": "Basic " + base64.b64encode(f"admin:{FLOWER_PASSWORD}".encode()).decode()}) == "200\n"


def test_one_beat_ticks(host: Host) -> None:
    ticks = python(host, "c = jobs.app.backend.client; c.delete('ticks'); print(len([c.blpop('ticks', 60) for _ in range(3)]))")
    assert ticks == "3"
    assert len(host.check_output("pgrep -f '[c]elery.*beat'").split()) == 1


def test_memory_limit_costs_the_greedy_task_alone(host: Host) -> None:
    before = processes(host)
    lost = python(host, (
        "from celery.exceptions import WorkerLostError as lost\n"
        "try:\n    print(jobs.greedy.apply_async((400,), retry=False).get(timeout=40))\nexcept lost as error:\n    print('lost', error)"
    ))  # fmt: skip
    assert lost.startswith("lost"), lost
    assert processes(host) == before
    assert versions(host) == "1 1"


def test_a_command_is_a_worker_of_any_kind(host: Host) -> None:
    """Two consumers of a list, with the settings of their process alone, take each parcel once."""
    code = (
        "c = jobs.app.backend.client; c.delete('delivered'); c.rpush('parcels', *range(20));"
        "print(sorted(int(c.blpop('delivered', 60)[1]) for _ in range(20)) == list(range(20)))"
    )
    assert python(host, code) == "True"
    assert host.file("/etc/jobs/consumer.env").content_string.endswith('CONSUMES="parcels"\n')
    for unit in ("jobs-consumer@1.service", "jobs-consumer@2.service"):
        assert host.service(unit).is_running
        rated = host.run("systemd-analyze security --no-pager --threshold=10 %s", unit)
        assert rated.rc == 0, rated.stdout


def test_a_scheduled_command_runs_by_the_clock_and_never_twice_at_a_time(host: Host) -> None:
    assert host.check_output("systemctl is-active jobs-nightly.timer") == "active"
    assert host.check_output("systemctl show -p TimersCalendar --value jobs-nightly.timer").startswith("{ OnCalendar=*-*-* 03:00:00 ;")
    assert host.run("systemctl is-enabled jobs-nightly.service").stdout.strip() == "static"
    # Both at once: systemd joins the second start to the job that runs.
    host.check_output("rm -f /var/lib/jobs/nightly.txt; systemctl start jobs-nightly.service & systemctl start jobs-nightly.service; wait")
    assert host.file("/var/lib/jobs/nightly.txt").content_string == "50% of $HOME\n"
