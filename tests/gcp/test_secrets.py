# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret Manager through its whole life."""

from __future__ import annotations

from pathlib import Path

from gcp_server.server import GoogleServer
from lifecycle import Lifecycle

SECRET = "v1/projects/demo/secrets/jwt-secret-key"


def test_secret(google: GoogleServer, tmp_path: Path) -> None:
    Lifecycle(
        module="gcp_secret",
        base={"project": "demo", "name": "jwt-secret-key", "labels": {"app": "mass", "old": "yes"}},
        change={"annotations": {"owner": "platform"}},
        drop={"labels": {"app": "mass"}},
        drift=("PATCH", f"secretmanager/{SECRET}?updateMask=labels", {"labels": {"app": "other"}}),
        requests={
            "create": [f"GET secretmanager {SECRET}", "POST secretmanager v1/projects/demo/secrets?secretId=jwt-secret-key"],
            "change": [f"GET secretmanager {SECRET}", f"PATCH secretmanager {SECRET}?updateMask=annotations"],
            "create-again": [f"GET secretmanager {SECRET}"],
        },
    ).verify(google, tmp_path)  # fmt: skip
