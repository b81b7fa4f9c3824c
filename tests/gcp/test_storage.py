# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Storage through its whole life."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle
from tests.gcp_server.server import GoogleServer

BUCKET = "storage/v1/b/demo-models"


def test_bucket(google: GoogleServer, tmp_path: Path) -> None:
    steps = Lifecycle(
        module="gcp_storage_bucket",
        base={
            "project": "demo",
            "name": "demo-models",
            "location": "us-central1",
            "labels": {"app": "mass", "old": "yes"},
            "versioning": True,
            "public_access_prevention": "enforced",
            "lifecycle_rules": [{"action": {"type": "Delete"}, "condition": {"numNewerVersions": 5}}],
        },
        change={"storage_class": "NEARLINE", "lifecycle_rules": [{"action": {"type": "Delete"}, "condition": {"age": 30}}]},
        drop={"labels": {"app": "mass"}},
        drift=("PATCH", f"storage/{BUCKET}", {"iamConfiguration": {"publicAccessPrevention": "inherited"}}),
        requests={
            "create": [f"GET storage {BUCKET}", "POST storage storage/v1/b?project=demo"],
            "change": [f"GET storage {BUCKET}", f"PATCH storage {BUCKET}?ifMetagenerationMatch=1"],
            "create-again": [f"GET storage {BUCKET}"],
        },
    ).verify(google, tmp_path)
    patch = next(request for request in steps["drop"].requests if request.verb == "PATCH")
    assert patch.body == {"labels": {"old": None}}
