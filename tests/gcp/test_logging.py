# SPDX-License-Identifier: GPL-3.0-or-later
"""Log metrics, log buckets, and sinks whose writer may write."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer

PARENT = "v2/projects/demo"


def test_metric(google: GoogleServer, tmp_path: Path) -> None:
    path = f"{PARENT}/metrics/api%2Ferrors"
    Lifecycle(
        module="gcp_log_metric",
        base={
            "project": "demo",
            "name": "api/errors",
            "filter": "severity>=ERROR",
            "labels": {"route": "EXTRACT(jsonPayload.route)", "old": "EXTRACT(jsonPayload.old)"},
        },
        change={"filter": "severity>=CRITICAL", "description": "what fails"},
        drop={"labels": {"route": "EXTRACT(jsonPayload.route)"}},
        drift=("PUT", f"logging/{path}", {"name": "api/errors", "filter": "severity>=INFO"}),
        requests={
            "create": [f"GET logging {path}", f"POST logging {PARENT}/metrics"],
            "create-again": [f"GET logging {path}"],
            "change": [f"GET logging {path}", f"PUT logging {path}"],
        },
    ).verify(google, tmp_path)


def test_bucket(google: GoogleServer, tmp_path: Path) -> None:
    """Absent counts from the request on, and present brings the bucket back."""
    path = f"{PARENT}/locations/global/buckets/audit"
    bucket = {"project": "demo", "name": "audit", "location": "global", "retention_days": 365}
    Lifecycle(
        module="gcp_log_bucket",
        base=bucket,
        change={"retention_days": 400, "description": "who did what"},
        drift=("PATCH", f"logging/{path}?updateMask=retentionDays", {"retentionDays": 1}),
        requests={
            "create": [f"GET logging {path}", f"POST logging {PARENT}/locations/global/buckets?bucketId=audit"],
            "change": [f"GET logging {path}", f"PATCH logging {path}?updateMask=description,retentionDays"],
        },
    ).verify(google, tmp_path)
    default = {"project": "demo", "name": "_Default", "retention_days": 90}
    steps = play(
        google,
        tmp_path,
        [
            task("back-check", "gcp_log_bucket", bucket, check=True),
            task("back", "gcp_log_bucket", bucket),
            task("back-again", "gcp_log_bucket", bucket),
            task("default", "gcp_log_bucket", default),
            task("default-again", "gcp_log_bucket", default),
        ],
    )
    assert [steps[name].changed for name in ("back-check", "back", "back-again", "default", "default-again")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert steps["back-check"].result["diff"] == steps["back"].result["diff"]
    assert steps["back"].result["resource"]["retentionDays"] == 365
    assert google.world.violations == []


def test_sink(google: GoogleServer, tmp_path: Path) -> None:
    """The writer's grant comes and goes with the sink, and comes back when somebody takes it away."""
    path = f"{PARENT}/sinks/errors"
    sink = {"project": "demo", "name": "errors", "destination": "storage.googleapis.com/demo-archive"}
    steps = Lifecycle(
        module="gcp_log_sink",
        setup=[task("bucket", "gcp_storage_bucket", {"project": "demo", "name": "demo-archive"})],
        base=sink | {"filter": "severity>=ERROR", "exclusions": [{"name": "health", "filter": "a=1"}, {"name": "old", "filter": "b=1"}]},
        change={"filter": "severity>=WARNING"},
        drop={"exclusions": [{"name": "health", "filter": "a=1"}]},
        drift=("PUT", "storage/storage/v1/b/demo-archive/iam", {"bindings": []}),
        requests={
            "create": [
                f"GET logging {path}",
                f"POST logging {PARENT}/sinks?uniqueWriterIdentity=true",
                "GET storage storage/v1/b/demo-archive/iam?optionsRequestedPolicyVersion=3",
                "PUT storage storage/v1/b/demo-archive/iam",
                "GET storage storage/v1/b/demo-archive/iam?optionsRequestedPolicyVersion=3",
            ],
            "change": [
                f"GET logging {path}",
                f"PATCH logging {path}?uniqueWriterIdentity=true&updateMask=filter",
                "GET storage storage/v1/b/demo-archive/iam?optionsRequestedPolicyVersion=3",
            ],
        },
    ).verify(google, tmp_path)
    writer = steps["create"].result["resource"]["writerIdentity"]
    assert steps["heal"].requests[2].body["bindings"] == [{"role": "roles/storage.objectCreator", "members": [writer]}]
    assert google.world.policies["storage/b/demo-archive/iam"]["bindings"] == []


def test_sink_elsewhere(google: GoogleServer, tmp_path: Path) -> None:
    """Inside the project no grant is needed; a destination that does not exist is an error, not lost entries."""
    inside = "logging.googleapis.com/projects/demo/locations/global/buckets/audit"
    steps = play(
        google,
        tmp_path,
        [
            task("inside", "gcp_log_sink", {"project": "demo", "name": "a", "destination": inside}),
            task("inside-again", "gcp_log_sink", {"project": "demo", "name": "a", "destination": inside}),
            task("nowhere", "gcp_log_sink", {"project": "demo", "name": "b", "destination": "storage.googleapis.com/none"}),
            task(
                "nowhere-check", "gcp_log_sink", {"project": "demo", "name": "c", "destination": "storage.googleapis.com/none"}, check=True
            ),
            task("wrong", "gcp_log_sink", {"project": "demo", "name": "d", "destination": "s3://bucket"}),
        ],
    )
    assert (steps["inside"].changed, steps["inside-again"].changed, steps["nowhere-check"].changed) == (True, False, True)
    assert len(steps["inside"].requests) == 2
    assert "does not exist: make it first" in steps["nowhere"].result["msg"]
    assert "storage.googleapis.com/" in steps["wrong"].result["msg"]
    assert google.world.violations == []
