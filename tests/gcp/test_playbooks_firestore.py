# SPDX-License-Identifier: GPL-3.0-or-later
"""firestore_migrate.yml: once, in batches, and again after a run that died."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.playbooks import playbook, small
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

ROOT = "projects/demo/databases/(default)/documents"
MIGRATION = {"name": "add-quality", "version": "2.1.0", "collection": "health_data", "set": {"score": None, "status": "unknown"}}


def test_migration(google: GoogleServer, tmp_path: Path) -> None:
    for number in range(1200):
        name = f"{ROOT}/health_data/{number:05d}"
        fields = {"status": {"stringValue": "validated"}} if number == 7 else {}
        google.world.objects[f"firestore/{name}"] = {"name": name, "fields": fields, "updateTime": "2026-01-01T00:00:00Z"}
    inventory = [small(tmp_path, gcp_firestore={"name": "(default)", "location": "us-central1"}, gcp_firestore_migrations=[MIGRATION])]
    checked = playbook(google, "firestore_migrate", inventory, "shop-production", "--check")
    assert checked.code == 0, checked.message
    assert "POST" not in {request.verb for request in google.world.requests}

    # The second batch is never taken: the run fails, the ledger says nothing, and the next run does what is left.
    google.world.faults = [
        Fault("documents:commit", "race", race=lambda _world: None),  # the first one passes
        Fault("documents:commit", "status", times=99, status=403),
    ]
    died = playbook(google, "firestore_migrate", inventory, "shop-production")
    assert died.code != 0
    google.world.faults = []
    first = len(google.world.requests)
    healed = playbook(google, "firestore_migrate", inventory, "shop-production")
    assert healed.code == 0, healed.message
    sizes = [len(request.body["writes"]) for request in google.world.requests[first:] if request.path.endswith(":commit")]
    assert sizes == [500, 200]
    stored = google.world.objects[f"firestore/{ROOT}/health_data/00007"]["fields"]
    assert stored == {"status": {"stringValue": "validated"}, "score": {"nullValue": "NULL_VALUE"}}
    assert all("score" in item["fields"] for key, item in google.world.objects.items() if "/health_data/" in key)

    first = len(google.world.requests)
    again = playbook(google, "firestore_migrate", inventory, "shop-production")
    assert again.changes == []
    assert [request.verb for request in google.world.requests[first:]] == ["GET"]
    assert google.world.violations == []
