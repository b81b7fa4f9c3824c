"""The sites that the end-to-end tests build, each from bare hosts."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.site import BIN, ROOT, Site


def fresh(name: str) -> Site:
    """A lab of new hosts, with their administrator and nothing else."""
    option = ["--inventory", name] if name != "lab" else []
    for action in ("down", "up"):
        subprocess.run([str(BIN / "slipway"), "lab", action, *option], cwd=ROOT, check=True)
    subprocess.run([str(BIN / "slipway"), "secrets", "init", f"inventories/{name}"], cwd=ROOT, check=True)
    site = Site(name, ROOT / ".slipway" / "logs")
    site.play(playbook="playbooks/bootstrap.yml").succeeded()
    return site


@pytest.fixture(scope="module")
def lab() -> Iterator[Site]:
    """Three bare hosts: edge1, app1, data1. They stay for the fault tests, which take them down."""
    yield fresh("lab")


@pytest.fixture(scope="module")
def single() -> Iterator[Site]:
    """One bare host for everything."""
    site = fresh("single")
    yield site
    subprocess.run([str(BIN / "slipway"), "lab", "down", "--inventory", "single"], cwd=ROOT, check=True)
