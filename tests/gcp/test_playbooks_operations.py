# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore, drill, rotation, audit and maintenance on an environment that runs."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gcp.playbooks import Backend, image, playbook, small
from tests.gcp_server.server import GoogleServer

HOST = "shop-production"
CHECK = {"gcp_restore_check": ["python", "-m", "app.check_restore"]}
# What the audit wants beside what `small` says, and the job of every month.
READY = {
    "gcp_channels": [{"name": "On call", "type": "email", "labels": {"email_address": "oncall@example.com"}}],
    "gcp_security_policy": {"name": "edge", "requests": 100, "per_seconds": 60},
    "gcp_vacuum": ["python", "-m", "app.vacuum"],
}


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    folder = tmp_path_factory.mktemp("provisioned")
    with GoogleServer(folder / "tls") as server:
        backend = Backend(server)
        for number in (1, 2):
            backend.performs(number, 1000, 0)
        run = playbook(server, "provision", [small(folder)], HOST, release_image=image(1))
        assert run.code == 0, run.message
        yield server


def value(google: GoogleServer, name: str) -> str:
    versions = [key for key in google.world.secrets if f"/secrets/{name}/versions/" in key]
    return google.world.secrets[max(versions, key=lambda key: int(key.rpartition("/")[2]))]


def state(google: GoogleServer) -> Any:
    return copy.deepcopy(google.world.objects)


def test_restore_beside_and_switch(provisioned: GoogleServer, tmp_path: Path) -> None:
    google, inventory = provisioned, [small(tmp_path, **CHECK)]
    moment = {"restore_point_in_time": "2026-11-22T00:30:00Z", "restore_instance": "shop-db-recovery"}
    over = playbook(google, "restore", inventory, HOST, **{**moment, "restore_instance": "shop-db"})
    assert "allowed: a name that gcp_sql does not use" in over.message
    proved = playbook(google, "restore", inventory, HOST, **moment)
    assert proved.code == 0, proved.message
    clone = next(request for request in google.world.requests if request.path.endswith("/clone"))
    assert clone.body["cloneContext"]["pointInTime"].startswith("2026-11-22T00:30:00")
    assert "shop-restore-check" in str([key for key in google.world.objects if "/jobs/" in key])
    assert "shop-db-recovery" not in str(Backend(google).service()["template"])
    switched = playbook(google, "restore", inventory, HOST, restore_switch=True, **moment)
    assert switched.code == 0, switched.message
    service = Backend(google).service()
    assert "shop-db-recovery" in str(service["template"])
    assert service["traffic"][0]["percent"] == 100
    assert google.world.violations == []


def test_drill(provisioned: GoogleServer, tmp_path: Path) -> None:
    Backend(provisioned)
    inventory = [small(tmp_path, **CHECK)]
    none = playbook(provisioned, "dr_drill", inventory, HOST)
    assert "0 backups" in none.message
    made = {"gcp_canary": {"watch_seconds": 0}}
    playbook(provisioned, "deploy", [small(tmp_path, **CHECK, **made)], HOST, release_image=image(1))
    drill = playbook(provisioned, "dr_drill", [small(tmp_path, **CHECK)], HOST)
    assert drill.code == 0, drill.message
    assert "database restored and proved in" in drill.output
    assert not [key for key in provisioned.world.objects if key.endswith("/shop-db-drill")]
    late = playbook(provisioned, "dr_drill", [small(tmp_path, **CHECK, gcp_recovery={"rto_minutes": 0})], HOST)
    assert "RTO 0 min" in late.message


def test_rotation(provisioned: GoogleServer, tmp_path: Path) -> None:
    Backend(provisioned)
    old = value(provisioned, "db-password")
    run = playbook(provisioned, "rotate_secrets", [small(tmp_path)], HOST, "-vvv")
    assert run.code == 0, run.message
    assert value(provisioned, "db-password") != old
    assert old not in run.output and value(provisioned, "db-password") not in run.output


def test_a_key_that_encrypts_data_is_rotated_by_name_only(provisioned: GoogleServer, tmp_path: Path) -> None:
    Backend(provisioned)
    url = {"name": "db-url", "dsn": {"user": "shop", "database": "shop"}}
    kept = [{"name": "db-password", "generate": 32}, url, {"name": "data-key", "generate": 32, "encrypts": True}]
    inventory = [small(tmp_path, gcp_secrets=kept)]
    made = playbook(provisioned, "provision", inventory, HOST, release_image=image(1))
    assert made.code == 0, made.message
    password, key = value(provisioned, "db-password"), value(provisioned, "data-key")
    assert playbook(provisioned, "rotate_secrets", inventory, HOST).code == 0
    assert value(provisioned, "data-key") == key
    assert value(provisioned, "db-password") != password
    for _ in range(3):
        asked = playbook(provisioned, "rotate_secrets", inventory, HOST, rotate_only=["data-key"])
        assert asked.code == 0, asked.message
    assert value(provisioned, "data-key") != key
    versions = {name: found["state"] for name, found in provisioned.world.objects.items() if "/secrets/data-key/versions/" in name}
    assert list(versions.values()) == ["ENABLED"] * 4, "what was written with an old key can still be read"


def test_audit(provisioned: GoogleServer, tmp_path: Path) -> None:
    Backend(provisioned)
    attested = {"gcp_attestations": [{"id": "team-trained", "owner": "Ada", "date": "2020-01-01"}]}
    report = tmp_path / "audit.md"
    run = playbook(provisioned, "audit", [small(tmp_path, **attested)], HOST, audit_report=str(report))
    assert run.code != 0
    assert "alerts: []" in run.message and "edge-limits: no policy" in run.message
    assert "secrets-in-manager" not in run.message
    text = report.read_text()
    assert "| The people on call have rolled back once | Ada | 2020-01-01 (too old) |" in text
    assert "| The runbook and the API's documentation are current | nobody | MISSING |" in text


def test_smoke_leaves_nothing_behind(google: GoogleServer, tmp_path: Path) -> None:
    inventory = [small(tmp_path, "staging")]
    refused = playbook(google, "smoke", inventory, "shop-staging", smoke_confirm="other")
    assert "smoke_confirm is other" in refused.message
    run = playbook(google, "smoke", inventory, "shop-staging", smoke_confirm="demo")
    assert run.code == 0, run.message
    left = [key for key in google.world.objects if "slipway-smoke" in key and "/versions/" not in key]
    assert left == []
    assert google.world.violations == []


def writes(google: GoogleServer, first: int) -> list[str]:
    """Every request that could change something."""
    requests = google.world.requests[first:]
    return [str(request) for request in requests if request.verb != "GET" and not request.path.endswith(":getIamPolicy")]


@pytest.fixture
def looked_after(provisioned: GoogleServer) -> Iterator[GoogleServer]:
    """The environment with a backup of now; what a test breaks is whole again after it."""
    google = provisioned
    before = state(google)
    for key in [key for key in google.world.objects if "/backupRuns/" in key]:
        del google.world.objects[key]
    google.world.objects |= backups(google, "SUCCESSFUL", 0)
    yield google
    google.world.objects = before
    assert google.world.violations == []


def backups(google: GoogleServer, status: str, hours: float, number: int = 1) -> dict[str, Any]:
    """A daily backup that Cloud SQL made so many hours ago."""
    ended = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
    instance = next(key for key in google.world.objects if key.endswith("/instances/shop-db"))
    times = dict.fromkeys(("enqueuedTime", "startTime", "endTime"), ended)
    found = {"kind": "sql#backupRun", "id": str(number), "instance": "shop-db", "type": "AUTOMATED", "status": status}
    return {f"{instance}/backupRuns/{number}": found | times}


def test_daily(looked_after: GoogleServer, tmp_path: Path) -> None:
    google, backend, inventory = looked_after, Backend(looked_after), [small(tmp_path)]
    first = len(google.world.requests)
    run = playbook(google, "maintenance_daily", inventory, HOST)
    assert run.code == 0, run.message
    assert "1000 requests, 0.0 % errors, p95 120.0 ms" in run.output
    assert (run.changes, writes(google, first)) == ([], [])

    # A quiet eye is worth nothing: each thing that it looks at is broken once.
    google.world.objects |= backups(google, "SUCCESSFUL", 30)
    old = playbook(google, "maintenance_daily", inventory, HOST)
    assert "the newest successful backup of shop-db is 20" in old.message
    backend.performs(1, 900, 100)
    failing = playbook(google, "maintenance_daily", inventory, HOST)
    backend.performs(1, 1000, 0)
    assert "error rate 10.0%, allowed 5.0% over 1000 requests" in failing.message


def test_weekly(looked_after: GoogleServer, tmp_path: Path) -> None:
    google, inventory = looked_after, [small(tmp_path, **READY)]
    Backend(google)
    report = tmp_path / "audit.md"
    run = playbook(google, "maintenance_weekly", inventory, HOST, audit_report=str(report))
    assert run.code == 0, run.message
    assert run.changes == [] and "| pass |" in report.read_text() and "| FAIL |" not in report.read_text()
    account = next(key for key in google.world.objects if "/serviceAccounts/shop-sa@" in key)
    google.world.objects |= backups(google, "FAILED", 1, 2)
    failed = playbook(google, "maintenance_weekly", inventory, HOST)
    assert "of the last seven backups of shop-db these failed: 20" in failed.message
    name = f"{account.removeprefix('iam/')}/keys/abc"
    google.world.objects[f"iam/{name}"] = {"name": name, "keyType": "USER_MANAGED", "validAfterTime": "2020-01-01T00:00:00Z"}
    aged = playbook(google, "maintenance_weekly", inventory, HOST)
    assert "shop-sa has keys of 90 days and more: abc" in aged.message


def test_monthly(looked_after: GoogleServer, tmp_path: Path) -> None:
    google, first = looked_after, len(looked_after.world.requests)
    Backend(google)
    run = playbook(google, "maintenance_monthly", [small(tmp_path, **CHECK, **READY)], HOST)
    assert run.code == 0, run.message
    ran = [path for path in writes(google, first) if path.endswith(":run")]
    assert [path.rpartition("/")[2] for path in ran] == ["shop-vacuum:run", "shop-restore-check:run"]
    job = next(item for key, item in google.world.objects.items() if key.endswith("/jobs/shop-vacuum"))
    container = job["template"]["template"]["containers"][0]
    assert (container["command"], container["image"]) == (READY["gcp_vacuum"], image(1))
    assert not [key for key in google.world.objects if key.endswith("/shop-db-drill")]
    assert "database restored and proved in" in run.output
    assert run.results[-1][0] == "Everything that a machine can prove is right"
