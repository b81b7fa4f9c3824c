"""What stands behind nginx in this scenario."""

import shlex
from pathlib import Path

import pytest
from client import start
from playbook import Hosts


@pytest.fixture(scope="session", autouse=True)
def upstreams(hosts: Hosts) -> None:
    """Two instances of an application, and something that stands where Flower would."""
    source = (Path(__file__).parent / "upstream.py").read_text()
    for host in hosts.values():
        host.check_output(
            "dpkg --listfiles curl libfaketime || DEBIAN_FRONTEND=noninteractive"
            " apt-get install --yes --quiet --no-install-recommends curl libfaketime"
        )
        host.check_output(f"printf %s {shlex.quote(source)} > /root/upstream.py")
        for port in (9001, 9002, 9003):
            start(host, port)
