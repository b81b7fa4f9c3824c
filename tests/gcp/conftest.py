# SPDX-License-Identifier: GPL-3.0-or-later
"""One strict Google per test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gcp_server.server import GoogleServer


@pytest.fixture(autouse=True, scope="session")
def no_project_of_the_caller() -> None:
    """What the developer's own shell says about Google must not decide here."""
    for variable in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"):
        os.environ.pop(variable, None)


@pytest.fixture
def google(tmp_path: Path) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path / "tls") as server:
        yield server
