# SPDX-License-Identifier: GPL-3.0-or-later
"""Pub/Sub subscriptions."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, task
from tests.gcp_server.server import GoogleServer

PATH = "v1/projects/demo/subscriptions/worker"


def test_subscription(google: GoogleServer, tmp_path: Path) -> None:
    """Dead letters come and go, and what belongs together (push and its token) is sent together."""
    steps = Lifecycle(
        module="gcp_pubsub_subscription",
        setup=[task(name, "gcp_pubsub_topic", {"project": "demo", "name": name}) for name in ("jobs", "dead")],
        base={
            "project": "demo",
            "name": "worker",
            "topic": "jobs",
            "dead_letter_topic": "dead",
            "expiration": "never",
            "labels": {"app": "mass", "old": "yes"},
        },
        change={
            "max_delivery_attempts": 10,
            "minimum_backoff": "20s",
            "push_endpoint": "https://worker.example.com/",
            "push_service_account": "push@demo.iam.gserviceaccount.com",
        },
        drop={"labels": {"app": "mass"}, "dead_letter_topic": "", "expiration": "31d"},
        drift=(
            "PATCH",
            f"pubsub/{PATH}",
            {
                "subscription": {"name": PATH[3:], "topic": "projects/demo/topics/jobs", "ackDeadlineSeconds": 10, "labels": {}},
                "updateMask": "labels",
            },
        ),
        requests={
            "create": [f"GET pubsub {PATH}", f"PUT pubsub {PATH}"],
            "create-again": [f"GET pubsub {PATH}"],
            "change": [f"GET pubsub {PATH}", f"PATCH pubsub {PATH}"],
            "absent": [f"GET pubsub {PATH}", f"DELETE pubsub {PATH}"],
        },
    ).verify(google, tmp_path)
    assert steps["create"].result["resource"]["expirationPolicy"] == {}
    assert steps["change"].requests[-1].body["updateMask"] == "deadLetterPolicy,pushConfig,retryPolicy"
    assert "deadLetterPolicy" not in steps["drop"].result["resource"]
