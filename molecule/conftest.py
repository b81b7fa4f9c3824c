"""Testinfra against the hosts that create.yml started: one `docker exec` per command, every test once per host.

Fixtures: `host` (testinfra's, once per host), `platform` (its name, such as "debian13"), `hosts` (all, by name).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

# Fewer tests than this are a sign of a wrong folder or a wrong name, not of a simple role.
MINIMUM_TESTS = 3


def _scenario_hosts() -> dict[str, dict[str, str]]:
    return json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "hosts.json").read_text())


def pytest_configure(config: pytest.Config) -> None:
    """Name the hosts, for Molecule offers those of its inventory through a slower connection."""
    config.option.connection = None
    config.option.hosts = ",".join(f"docker://{found['container']}" for found in _scenario_hosts().values())


@pytest.fixture(scope="session")
def hosts() -> Mapping[str, Host]:
    """All hosts of the scenario by platform name, for tests that need two of them."""
    return {name: testinfra.get_host(f"docker://{found['container']}") for name, found in _scenario_hosts().items()}


@pytest.fixture
def platform(host: Host) -> str:
    """The platform name of the host that this test runs on."""
    by_container = {found["container"]: name for name, found in _scenario_hosts().items()}
    return by_container[host.backend.name]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that proves too little is a failure, and so is a skipped test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed, skipped = (len(reporter.stats.get(outcome, [])) for outcome in ("passed", "skipped"))
    functions = {item.originalname for item in session.items}
    if exitstatus == 0 and (len(functions) < MINIMUM_TESTS or skipped or not passed):
        print(f"\n{len(functions)} test functions (at least {MINIMUM_TESTS}), {skipped} skipped (none allowed): this proves too little.")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
