# SPDX-License-Identifier: GPL-3.0-or-later
"""Firestore databases and their indexes."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

DATABASES = "v1/projects/demo/databases"


def test_database(google: GoogleServer, tmp_path: Path) -> None:
    path = f"{DATABASES}/(default)"
    steps = Lifecycle(
        module="gcp_firestore_database",
        base={"project": "demo", "name": "(default)", "location": "nam5"},
        change={"point_in_time_recovery": True, "deletion_protection": False},
        drift=("PATCH", f"firestore/{path}?updateMask=pointInTimeRecoveryEnablement", {}),
        requests={"create-again": [f"GET firestore {path}"]},
    ).verify(google, tmp_path)
    assert steps["create"].lines[:2] == [f"GET firestore {path}", f"POST firestore {DATABASES}?databaseId=(default)"]
    assert steps["change"].lines[1] == f"PATCH firestore {path}?updateMask=deleteProtectionState,pointInTimeRecoveryEnablement"


def test_index(google: GoogleServer, tmp_path: Path) -> None:
    """An index is known by its fields; while somebody's is being built, ours waits and makes no second one."""
    fields = [{"field_path": "patient", "order": "ASCENDING"}, {"field_path": "created", "order": "DESCENDING"}]
    index = {"project": "demo", "collection": "records", "fields": fields}
    other = index | {"fields": [fields[0], {"field_path": "tags", "array_config": "CONTAINS"}]}
    lost = index | {"collection": "lost"}
    slow = Fault("POST firestore .*lost/indexes", "operation_slow", seconds=3)
    google.world.faults += [slow, Fault("POST firestore .*lost/indexes", "drop_after")]
    names = ("create-check", "create", "create-again", "other", "other-again", "absent-check", "absent", "absent-again", "lost")
    steps = play(
        google,
        tmp_path,
        [
            task("database", "gcp_firestore_database", {"project": "demo", "location": "nam5"}),
            task("create-check", "gcp_firestore_index", index, check=True),
            task("create", "gcp_firestore_index", index),
            task("create-again", "gcp_firestore_index", index),
            task("other", "gcp_firestore_index", other),
            task("other-again", "gcp_firestore_index", other),
            task("absent-check", "gcp_firestore_index", index | {"state": "absent"}, check=True),
            task("absent", "gcp_firestore_index", index | {"state": "absent"}),
            task("absent-again", "gcp_firestore_index", index | {"state": "absent"}),
            task("lost", "gcp_firestore_index", lost),
            task("wrong", "gcp_firestore_index", index | {"fields": [{"field_path": "patient"}]}),
        ],
    )
    assert [steps[name].changed for name in names] == [True, True, False, True, False, True, True, False, True]
    for name in ("create", "absent"):
        assert steps[f"{name}-check"].result["diff"] == steps[name].result["diff"]
        assert steps[f"{name}-check"].writes == []
    assert steps["create-check"].result["resource"]["fields"] == steps["create"].result["resource"]["fields"]
    assert steps["lost"].result["resource"]["state"] == "READY"
    assert len([key for key in google.world.objects if "/lost/indexes/" in key]) == 1
    assert "'patient' needs one of order" in steps["wrong"].result["msg"]
    assert google.world.violations == []
