"""What several tests of this scenario need: the live release's own tasks, and deployments as a user runs them."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
PASSWORD = "only-for-this-scenario-4be1"
UNITS = ("celery-worker@default.service", "celery-worker@heavy.service")


def python(host: Host, code: str) -> str:
    """Run code with the live release, as a program that sends tasks would."""
    command = f"cd /opt/jobs/current-workers/source && BROKER_URL=redis://:{PASSWORD}@127.0.0.1:6379/0 ../venv/bin/python -c %s"
    return host.check_output(command, "import jobs; " + code)


def versions(host: Host) -> str:
    """The release that answers in the queue default, and the one in heavy."""
    return python(host, "print(jobs.version.delay().get(timeout=40), jobs.heavy_version.delay().get(timeout=40))")


def processes(host: Host) -> list[str]:
    return [host.check_output("systemctl show -p MainPID --value %s", unit) for unit in UNITS]


def deploy(platforms: Iterable[str], **variables: object) -> subprocess.CompletedProcess[str]:
    """Deploy on some hosts at once; standard output holds everything it said."""
    variables = {"jobs_path": str(SCENARIO / "files/jobs"), **variables}
    return subprocess.run(
        ["ansible-playbook", "--limit", ",".join(platforms), "-e", json.dumps(variables), str(SCENARIO / "deploy.yml")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
        env={**os.environ, "ANSIBLE_INVENTORY": os.environ["MOLECULE_INVENTORY_FILE"], "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
