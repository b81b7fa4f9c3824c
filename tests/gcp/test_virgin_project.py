# SPDX-License-Identifier: GPL-3.0-or-later
"""A check run of a whole new environment: an earlier task would enable the APIs, and each module still says what it would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gcp.lifecycle import play, task
from tests.gcp.test_faults import DISABLED
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

CONDITION = {"displayName": "x", "conditionThreshold": {"filter": "f", "comparison": "COMPARISON_GT", "duration": "60s"}}
MODULES: dict[str, dict[str, Any]] = {
    "gcp_alert_policy": {"name": "a", "conditions": [CONDITION], "notification_channels": ["On call"]},
    "gcp_build": {"image": "us-docker.pkg.dev/demo/r/api:1", "directory": "{{ playbook_dir }}/tls"},
    "gcp_firestore_index": {
        "collection": "c",
        "fields": [{"field_path": "a", "order": "ASCENDING"}, {"field_path": "b", "order": "ASCENDING"}],
    },
    "gcp_kms_key": {"key_ring": "r", "name": "k", "rotation_period": "90d"},
    "gcp_log_bucket": {"name": "b"},
    "gcp_log_sink": {"name": "s", "destination": "storage.googleapis.com/archive"},
    "gcp_pubsub_subscription": {"name": "s", "topic": "t"},
    "gcp_run_domain": {"name": "api.example.com", "service": "api"},
    "gcp_security_policy": {"name": "p"},
    "gcp_vpc_access": {"network": "n", "subnetwork": "s", "subnetwork_range": "10.8.0.0/24", "services_range": "managed"},
}


def test_check_run_before_any_api_is_enabled(google: GoogleServer, tmp_path: Path) -> None:
    google.world.faults += [Fault(".", "status", times=999, **DISABLED)]
    place = {"project": "demo", "region": "us-central1"}
    steps = play(google, tmp_path, [task(name, name, place | options, check=True) for name, options in MODULES.items()])
    assert {name: step.result.get("msg") for name, step in steps.items() if step.result.get("failed") or not step.result["changed"]} == {}
    assert [step.writes for step in steps.values() if step.writes] == []
