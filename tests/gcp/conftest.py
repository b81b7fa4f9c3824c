# SPDX-License-Identifier: GPL-3.0-or-later
"""One strict Google per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gcp_server.server import GoogleServer


@pytest.fixture
def google(tmp_path: Path) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path / "tls") as server:
        yield server
