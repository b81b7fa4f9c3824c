# SPDX-License-Identifier: GPL-3.0-or-later
"""One strict Google per test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from gcp_server.server import GoogleServer


@pytest.fixture
def google(tmp_path: Path) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path / "tls") as server:
        yield server
