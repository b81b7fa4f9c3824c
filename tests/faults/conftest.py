"""The lab that the end-to-end tests left running; built here when it is not there, and taken down at the end."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.site import BIN, ROOT, Site


@pytest.fixture(scope="session")
def lab() -> Iterator[Site]:
    """Three converged hosts."""
    subprocess.run([str(BIN / "slipway"), "lab", "up"], cwd=ROOT, check=True)
    subprocess.run([str(BIN / "slipway"), "secrets", "init", "inventories/lab"], cwd=ROOT, check=True)
    site = Site("lab", ROOT / ".slipway" / "logs")
    site.play(playbook="playbooks/bootstrap.yml").succeeded()
    site.play().succeeded()
    yield site
    subprocess.run([str(BIN / "slipway"), "lab", "down"], cwd=ROOT, check=True)
