"""What several tests of this scenario need: the application's own account of itself, and deployments as a user runs them."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
PORTS = (8000, 8001)


def about(host: Host, port: int = 8000, header: tuple[str, str] = ("X-None", "0")) -> dict[str, Any]:
    request = f"u.Request('http://127.0.0.1:{port}/about', headers=dict([{header!r}]))"
    return json.loads(host.check_output("python3 -c %s", f"import urllib.request as u; print(u.urlopen({request}).read().decode())"))


def deploy(platforms: Iterable[str], playbook: str = "deploy.yml", **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the scenario on some hosts at once; standard output holds everything it said."""
    return subprocess.run(
        ["ansible-playbook", "--limit", ",".join(platforms), "-e", json.dumps(variables), str(SCENARIO / playbook)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240,
        env={**os.environ, "ANSIBLE_INVENTORY": os.environ["MOLECULE_INVENTORY_FILE"], "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
