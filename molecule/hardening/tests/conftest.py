"""The administrator of this scenario."""

import os
from pathlib import Path

import pytest
from over_ssh import OverSsh
from playbook import Hosts


@pytest.fixture
def operator(hosts: Hosts, tmp_path: Path) -> OverSsh:
    """The hosts by ssh as the administrator."""
    return OverSsh(hosts, tmp_path, "operator", Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "operator")
