"""Testinfra against the hosts that create.yml started: one `docker exec` per command, every test once per host.

Fixtures: `host` (testinfra's, once per host), `platform` (its name, such as "debian13"), `hosts` (all, by name),
`converge` (play once more, on all hosts at once), `over_ssh` (roles and commands over real ssh, on all hosts).
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import playbook
import pytest
import testinfra
from over_ssh import OverSsh
from playbook import Converge, Hosts
from testinfra.host import Host

# Fewer tests than this are a sign of a wrong folder or a wrong name, not of a simple role.
MINIMUM_TESTS = 3
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])


playbook.without_molecules_settings()


def _scenario_hosts() -> dict[str, dict[str, str]]:
    return json.loads((EPHEMERAL / "hosts.json").read_text())


def pytest_configure(config: pytest.Config) -> None:
    """Name the hosts, for Molecule offers those of its inventory through a slower connection."""
    config.option.connection = None
    config.option.hosts = ",".join(f"docker://{found['container']}" for found in _scenario_hosts().values())


@pytest.fixture(scope="session")
def hosts() -> Hosts:
    """All hosts of the scenario by platform name, for tests that need two of them, or that change all at once."""
    return {name: testinfra.get_host(f"docker://{found['container']}") for name, found in _scenario_hosts().items()}


@pytest.fixture
def platform(host: Host) -> str:
    """The platform name of the host that this test runs on."""
    by_container = {found["container"]: name for name, found in _scenario_hosts().items()}
    return by_container[host.backend.name]


@pytest.fixture(scope="session")
def converge(hosts: Hosts) -> Converge:
    """`converge("--check", some_variable=2)` plays converge.yml on all hosts in one process; `play=` another file."""

    def run(*options: str, play: str = "converge.yml", **variables: Any) -> playbook.Run:
        arguments = ["-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", ",".join(hosts), *options]
        return playbook.run(SCENARIO / play, arguments, EPHEMERAL / "ansible.cfg", SCENARIO, hosts, **variables)

    return run


@pytest.fixture
def over_ssh(hosts: Hosts, tmp_path: Path) -> OverSsh:
    """All hosts by ssh as root, with a key made for this test."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for host in hosts.values():
        host.check_output("printf '%%s\\n' %s >> /root/.ssh/authorized_keys", key.with_suffix(".pub").read_text().strip())
    return OverSsh(hosts, tmp_path, "root", key)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that proves too little is a failure, and so is a skipped test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed, skipped = (len(reporter.stats.get(outcome, [])) for outcome in ("passed", "skipped"))
    functions = {item.originalname for item in session.items}
    if exitstatus == 0 and (len(functions) < MINIMUM_TESTS or skipped or not passed):
        print(f"\n{len(functions)} test functions (at least {MINIMUM_TESTS}), {skipped} skipped (none allowed): this proves too little.")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
