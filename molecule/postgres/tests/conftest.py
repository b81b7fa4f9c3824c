"""What the tests of this scenario share."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

Converge = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def converge(platform: str) -> Converge:
    """Run the scenario's playbook once more on this host, with other values of its variables."""

    def run(*options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        folder = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
        command = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", platform, "-e", json.dumps(variables), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run([*command, str(folder / "converge.yml")], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def sql(host: Host) -> Callable[..., str]:
    """Ask the server as the superuser, through the unix socket."""

    def ask(statement: str, database: str = "postgres") -> str:
        return host.check_output(f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d {database} -c %s", statement)

    return ask
