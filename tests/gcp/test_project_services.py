# SPDX-License-Identifier: GPL-3.0-or-later
"""Enabling APIs: one request for one, one for many."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle
from tests.gcp_server.server import GoogleServer

BASE = "v1/projects/demo/services"


def test_services(google: GoogleServer, tmp_path: Path) -> None:
    steps = Lifecycle(
        module="gcp_project_services",
        base={"project": "demo", "services": ["run", "sqladmin.googleapis.com"]},
        change={"services": ["run", "sqladmin", "redis"]},
        drift=("POST", f"serviceusage/{BASE}/redis.googleapis.com:disable", {}),
        absent={"services": ["redis"], "state": "absent"},
    ).verify(google, tmp_path)
    assert steps["create"].writes == [f"POST serviceusage {BASE}:batchEnable"]
    assert steps["change"].writes == [f"POST serviceusage {BASE}/redis.googleapis.com:enable"]
    assert steps["absent"].writes == [f"POST serviceusage {BASE}/redis.googleapis.com:disable"]
