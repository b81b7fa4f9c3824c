"""What several tests of this scenario need: where it is, and the live release's own tasks."""

from pathlib import Path

from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
PASSWORD = "only-for-this-scenario-4be1"
UNITS = ("jobs-default@1.service", "jobs-heavy@1.service")
BEAT = "jobs-beat.service"


def python(host: Host, code: str) -> str:
    """Run code with the live release, as a program that sends tasks would."""
    command = f"cd /opt/jobs/current-workers/source && BROKER_URL=redis://:{PASSWORD}@127.0.0.1:6379/0 ../venv/bin/python -c %s"
    return host.check_output(command, "import jobs; " + code)


def versions(host: Host) -> str:
    """The release that answers in the queue default, and the one in heavy."""
    return python(host, "print(jobs.version.delay().get(timeout=40), jobs.heavy_version.delay().get(timeout=40))")


def processes(host: Host) -> list[str]:
    return [host.check_output("systemctl show -p MainPID --value %s", unit) for unit in UNITS]
