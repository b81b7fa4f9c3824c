"""The newest ansible-core that the pins carry: a controller with Debian 13's Python runs the unit tests and a site.yml.

It runs after test_lab.py, on the three hosts that one left.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.release import __version__ as core_here

from slipway import checkout, engine
from tests.lab import ROOT, Site, copy_of_the_checkout

LAB_FILES = ("id_ed25519", "id_ed25519.pub", "known_hosts", "network")
PROGRAMS = "git openssh-client python3-venv"


class Controller:
    """A container of the lab with a checkout of its own, beside this machine's network."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, script: str, check: bool = True) -> str:
        """Run a script in the checkout; all it printed."""
        command = ["docker", "exec", "--workdir", "/checkout", "--env", "NO_COLOR=1", self.name, "bash", "-c", script]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500, check=False)
        assert not check or done.returncode == 0, f"{script}\n{done.stdout[-6000:]}"
        return done.stdout

    def site(self) -> dict[str, str]:
        """Play site.yml on the lab; each host's line of the recap."""
        recap = self.run(".venv/bin/ansible-playbook site.yml -i inventories/lab --diff").rpartition("PLAY RECAP")[2]
        return {line.split()[0]: line for line in recap.splitlines()[1:] if ":" in line and not line.startswith("localhost")}


@pytest.fixture(scope="module")
def lab() -> Site:
    """The three hosts as the tests before left them, converged by the core of this checkout."""
    site = Site("lab").up()
    site.play().succeeded()
    return site


@pytest.fixture(scope="module")
def controller(lab: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A checkout in a container of the Debian 13 image: `scripts/setup` has made its environment from the pins."""
    folder = copy_of_the_checkout(tmp_path_factory.mktemp("newest") / "checkout")
    kept = folder / ".slipway/labs/main"
    kept.mkdir(parents=True, mode=0o700)
    for name in LAB_FILES:
        shutil.copy2(ROOT / ".slipway/labs/tests" / name, kept / name)
    secrets = Path("inventories/lab/group_vars/all/secrets.yml")
    shutil.copy2(ROOT / secrets, folder / secrets)
    name = f"slipway-{checkout.short_hash(ROOT)}-tests-controller"
    engine.run(["rm", "--force", name], check=False)
    label = f"slipway.lab={checkout.short_hash(ROOT)}-tests"  # `slipway lab down` takes it away too
    # As every lab host has it: a build on it reaches what this machine reaches.
    engine.run(["run", "--detach", "--rm", "--name", name, "--network", "host", "--label", label, "--volume", f"{folder}:/checkout",
                "--entrypoint", "sleep", "slipway-host:debian13", "infinity"])  # fmt: skip
    try:
        found = Controller(name)
        found.run(f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {PROGRAMS} && scripts/setup")
        yield found
    finally:
        engine.run(["exec", name, "chown", "--recursive", f"{folder.stat().st_uid}", "/checkout"], check=False)
        engine.run(["rm", "--force", name], check=False)


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def test_the_core_is_newer_than_the_controllers_own_or_the_same(controller: Controller) -> None:
    """2.21 on Python 3.13, while Python 3.11 has 2.19."""
    there = controller.run(".venv/bin/python -c 'from ansible.release import __version__; print(__version__)'").strip()
    assert version(there) >= (2, 21)
    assert version(there) >= version(core_here)


def test_the_unit_tests_pass(controller: Controller) -> None:
    """The engine's among them."""
    controller.run("git init --quiet && git add --all")  # one of them asks git for the checkout's files
    output = controller.run("PATH=$PWD/.venv/bin:$PATH .venv/bin/python -m pytest -q tests/unit", check=False)
    assert " passed" in output.splitlines()[-1], output[-6000:]
    assert "failed" not in output.splitlines()[-1], output[-6000:]


def test_it_heals_what_drifted_and_each_host_by_its_own_facts(controller: Controller, lab: Site) -> None:
    lab.shell("data1", "systemctl stop redis-server@cache && rm /etc/ssh/sshd_config.d/00-slipway.conf")
    recap = controller.site()
    assert {name: "changed=0" in line for name, line in recap.items()} == {"edge1": True, "app1": True, "data1": False}, recap
    assert all("failed=0" in line for line in recap.values()), recap
    assert lab.shell("data1", "systemctl is-active redis-server@cache").strip() == "active"
    kinds = {host: "mlkem768x25519-sha256" in lab.shell(host, "sshd -T | grep ^kexalgorithms") for host in ("edge1", "app1", "data1")}
    assert kinds == {"edge1": False, "app1": True, "data1": True}  # Debian 12 and 13


def test_the_second_run_changes_nothing(controller: Controller) -> None:
    recap = controller.site()
    assert {name for name, line in recap.items() if "changed=0" in line and "failed=0" in line} == {"edge1", "app1", "data1"}, recap
