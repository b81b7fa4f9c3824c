# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Run: the service's life, and traffic between revisions."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

PARENT = "v2/projects/demo/locations/us-central1"
SERVICE = f"{PARENT}/services/mass-backend"
IMAGE = "us-central1-docker.pkg.dev/demo/mass-backend/api@sha256:"
BASE = {
    "project": "demo",
    "region": "us-central1",
    "name": "mass-backend",
    "image": IMAGE + "0" * 64,
    "port": 8080,
    "cpu": "2",
    "memory": "4Gi",
    "min_instances": 1,
    "max_instances": 10,
    "concurrency": 80,
    "timeout": "5m",
    "service_account": "mass-backend-sa@demo.iam.gserviceaccount.com",
    "env": {"ENVIRONMENT": "production", "OLD": "yes"},
    "secrets": {"DATABASE_URL": "db-url:3"},
    "cloudsql_instances": ["demo:us-central1:mass-db"],
    "network": "default",
    "subnetwork": "default",
    "egress": "PRIVATE_RANGES_ONLY",
    "ingress": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
    "execution_environment": "gen2",
    "labels": {"app": "mass"},
    "startup_probe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 5},
    "buckets": {"/app/models": "demo-models"},
}


def test_service(google: GoogleServer, tmp_path: Path) -> None:
    steps = Lifecycle(
        module="gcp_run_service",
        base=BASE,
        change={"cpu": "4", "memory": "8Gi", "min_instances": 0, "secrets": {"DATABASE_URL": "db-url:4"}},
        drop={"env": {"ENVIRONMENT": "production"}},
        drift=("PATCH", f"run/{SERVICE}?updateMask=labels", {"labels": {"app": "other"}}),
        requests={
            "create": [
                f"GET run {SERVICE}",
                f"POST run {PARENT}/services?serviceId=mass-backend",
                f"GET run {PARENT}/operations/operation-1",
            ],
            "create-again": [f"GET run {SERVICE}"],
            "change": [f"GET run {SERVICE}", f"PATCH run {SERVICE}?updateMask=template", f"GET run {PARENT}/operations/operation-2"],
        },
    ).verify(google, tmp_path)
    assert steps["drop"].result["resource"]["traffic"] == [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]


def test_traffic(google: GoogleServer, tmp_path: Path) -> None:
    place = {"project": "demo", "region": "us-central1", "name": "mass-backend"}
    canary = {"traffic": [{"revision": "previous", "percent": 90}, {"revision": "latest", "percent": 10, "tag": "canary"}]}
    back = {"traffic": [{"revision": "previous", "percent": 100}]}
    steps = play(
        google,
        tmp_path,
        [
            task("before-there-is-one", "gcp_run_traffic", place | back),
            task("before-check", "gcp_run_traffic", place | back, check=True),
            task("first", "gcp_run_service", BASE),
            task("none", "gcp_run_traffic", place | back),
            task("second", "gcp_run_service", BASE | {"image": IMAGE + "1" * 64}),
            task("canary-check", "gcp_run_traffic", place | canary, check=True),
            task("canary", "gcp_run_traffic", place | canary),
            task("canary-again", "gcp_run_traffic", place | canary),
            task("sum", "gcp_run_traffic", place | {"traffic": [{"revision": "latest", "percent": 50}]}),
            task("back", "gcp_run_traffic", place | back),
            task("back-again", "gcp_run_traffic", place | back),
            task("template-unharmed", "gcp_run_service", BASE | {"image": IMAGE + "1" * 64}),
        ],
    )
    assert "does not exist" in steps["before-there-is-one"].result["msg"]
    assert steps["before-check"].changed
    assert "no previous revision" in steps["none"].result["msg"]
    assert "add up to 50" in steps["sum"].result["msg"]
    assert [steps[name].changed for name in ("canary-check", "canary", "canary-again", "back", "back-again")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert steps["canary-check"].result["diff"] == steps["canary"].result["diff"]
    assert steps["canary"].writes == [f"PATCH run {SERVICE}?updateMask=traffic"]
    assert steps["canary-check"].writes == []
    statuses = steps["canary"].result["resource"]["trafficStatuses"]
    assert [status["percent"] for status in statuses] == [90, 10]
    assert statuses[1]["uri"].startswith("https://canary---mass-backend")
    assert not steps["template-unharmed"].changed
    assert google.world.violations == []


JOB = {
    "project": "demo",
    "region": "us-central1",
    "name": "mass-migrate",
    "image": IMAGE + "0" * 64,
    "command": ["alembic", "upgrade", "head"],
    "secrets": {"DATABASE_URL": "db-url:3"},
    "max_retries": 0,
    "timeout": "10m",
    "labels": {"app": "mass", "old": "yes"},
}


def test_job(google: GoogleServer, tmp_path: Path) -> None:
    Lifecycle(
        module="gcp_run_job",
        base=JOB,
        change={"image": IMAGE + "1" * 64, "memory": "1Gi"},
        drop={"labels": {"app": "mass"}},
        drift=(
            "PATCH",
            f"run/{PARENT}/jobs/mass-migrate",
            {"template": {"template": {"containers": [{"image": "other"}]}}},
        ),
        requests={"create-again": [f"GET run {PARENT}/jobs/mass-migrate"]},
    ).verify(google, tmp_path)


def test_job_runs_once_per_template(google: GoogleServer, tmp_path: Path) -> None:
    """Killed between change and run, or failed: the next run makes up for it. Done already: nothing."""
    once = JOB | {"execute": "once"}
    newer = once | {"image": IMAGE + "1" * 64}
    google.world.faults += [Fault("mass-migrate:run", "operation_fails", message="exit code 1")]
    steps = play(
        google,
        tmp_path,
        [
            task("defined", "gcp_run_job", JOB),
            task("check", "gcp_run_job", once, check=True),
            task("failed", "gcp_run_job", once),
            task("once", "gcp_run_job", once),
            task("again", "gcp_run_job", once),
            task("newer", "gcp_run_job", newer),
            task("newer-again", "gcp_run_job", newer),
            task("always", "gcp_run_job", newer | {"execute": "always"}),
        ],
    )
    assert "exit code 1" in steps["failed"].result["msg"]
    names = ("check", "once", "again", "newer", "newer-again", "always")
    assert [steps[name].changed for name in names] == [True, True, False, True, False, True]
    assert steps["check"].writes == []
    assert steps["check"].result["diff"] == steps["once"].result["diff"]
    assert steps["always"].writes == [f"POST run {PARENT}/jobs/mass-migrate:run"]
    assert google.world.violations == []


def test_revision_info(google: GoogleServer, tmp_path: Path) -> None:
    place = {"project": "demo", "region": "us-central1", "name": "mass-backend"}
    steps = play(
        google,
        tmp_path,
        [
            task("none", "gcp_run_revision_info", place),
            task("first", "gcp_run_service", BASE),
            task("one", "gcp_run_revision_info", place),
            task("second", "gcp_run_service", BASE | {"image": IMAGE + "1" * 64}),
            task("back", "gcp_run_traffic", place | {"traffic": [{"revision": "previous", "percent": 100}]}),
            task("two", "gcp_run_revision_info", place),
        ],
    )
    assert "does not exist" in steps["none"].result["msg"]
    assert steps["one"].result["previous"] is None
    two = steps["two"].result
    assert two["serving"] == two["revisions"][1]["name"]
    assert two["latest"] == two["revisions"][0]["name"]
    assert two["previous"] is None
    assert two["revisions"][0]["image"] == IMAGE + "1" * 64
