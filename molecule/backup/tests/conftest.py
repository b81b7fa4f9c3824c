"""What the tests of this scenario share."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from testinfra.host import Host


class Run(NamedTuple):
    """How a playbook ended: exit code, whether it changed anything, and all it said, with single spaces."""

    code: int
    changed: bool
    told: str


Converge = Callable[..., Run]


@pytest.fixture
def converge(platform: str) -> Converge:
    """Run the scenario's playbook once more on this host, with other values of its variables."""

    def run(*options: str, **variables: Any) -> Run:
        folder = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
        command = [
            "ansible-playbook",
            "-i",
            os.environ["MOLECULE_INVENTORY_FILE"],
            "--limit",
            platform,
            "-e",
            json.dumps(variables),
            *options,
        ]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
        }
        done = subprocess.run([*command, str(folder / "converge.yml")], env=environment, capture_output=True, text=True, check=False)
        return Run(done.returncode, not re.search(r"changed=0 ", done.stdout), re.sub(r"\s+", " ", done.stdout + done.stderr))

    return run


@pytest.fixture
def sql(host: Host) -> Callable[..., str]:
    """Ask the server as the superuser, through the unix socket."""

    def ask(statement: str, database: str = "postgres") -> str:
        return host.check_output(f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d {database} -c %s", statement)

    return ask
