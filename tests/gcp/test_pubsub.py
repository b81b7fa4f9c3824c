# SPDX-License-Identifier: GPL-3.0-or-later
"""Pub/Sub through its whole life."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle
from tests.gcp_server.server import GoogleServer

TOPIC = "v1/projects/demo/topics/health-data-processing"


def test_topic(google: GoogleServer, tmp_path: Path) -> None:
    Lifecycle(
        module="gcp_pubsub_topic",
        base={
            "project": "demo",
            "name": "health-data-processing",
            "message_retention_duration": "24h",
            "labels": {"app": "clarity", "old": "yes"},
        },
        change={"message_retention_duration": "2d"},
        drop={"labels": {"app": "clarity"}},
        drift=("PATCH", f"pubsub/{TOPIC}", {"topic": {"name": TOPIC[3:], "labels": {"app": "other"}}, "updateMask": "labels"}),
        requests={
            "create": [f"GET pubsub {TOPIC}", f"PUT pubsub {TOPIC}"],
            "change": [f"GET pubsub {TOPIC}", f"PATCH pubsub {TOPIC}"],
            "absent": [f"GET pubsub {TOPIC}", f"DELETE pubsub {TOPIC}"],
        },
    ).verify(google, tmp_path)
