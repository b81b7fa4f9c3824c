# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on the way to Google, and that nothing is lost or made twice by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import converge, plan, settled
from ansible_collections.slipway.stack.plugins.modules.gcp_sql_instance import INSTANCE

from tests.gcp.lifecycle import Json, Step, play, task
from tests.gcp_server.crud import fresh_etag
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault, World

PROJECT = {"project": "demo"}
SQL = {"project": "demo", "region": "us-central1", "tier": "db-custom-2-7680", "database_version": "POSTGRES_16"}
Play = Callable[..., Step]


@pytest.fixture
def one(google: GoogleServer, tmp_path: Path) -> Play:
    def run(module: str, arguments: Json, check: bool = False) -> Step:
        step = play(google, tmp_path, [task("it", module, PROJECT | arguments, check=check)])["it"]
        assert google.world.violations == []
        return step

    return run


def test_storm(google: GoogleServer, one: Play) -> None:
    """429 and 503 are waited out, and Retry-After is a minimum."""
    google.world.faults += [
        Fault("PUT pubsub", "status", status=429, reason="RESOURCE_EXHAUSTED", headers={"Retry-After": "2"}),
        Fault("PUT pubsub", "status", times=2, status=503),
        Fault("GET pubsub", "status", times=2, status=500, reason="INTERNAL"),
    ]
    step = one("gcp_pubsub_topic", {"name": "storm"})
    assert step.changed
    assert [request.status for request in step.requests] == [500, 500, 404, 429, 503, 503, 200]


def test_post_is_not_repeated_after_500(google: GoogleServer, one: Play) -> None:
    google.world.faults += [Fault("POST secretmanager", "status", status=500, reason="INTERNAL", message="boom")]
    step = one("gcp_secret", {"name": "broken"})
    assert [request.verb for request in step.requests] == ["GET", "POST"]
    assert "boom" in step.result["msg"]
    assert "demo" in step.result["msg"]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_lost_connection_makes_no_second_secret(google: GoogleServer, one: Play, kind: str) -> None:
    google.world.faults += [Fault("POST secretmanager .*secrets$", kind)]
    assert one("gcp_secret", {"name": "lost", "labels": {"app": "mass"}}).changed
    assert [item["labels"] for item in google.world.objects.values()] == [{"app": "mass"}]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_lost_connection_makes_no_second_version(google: GoogleServer, one: Play, kind: str) -> None:
    one("gcp_secret", {"name": "lost"})
    google.world.faults += [Fault("addVersion", kind)]
    assert one("gcp_secret_version", {"name": "lost", "value": "canary-Lm3"}).changed
    assert [key for key in google.world.objects if "/versions/" in key] == ["secretmanager/projects/demo/secrets/lost/versions/1"]


def test_two_writers_lose_nothing(google: GoogleServer, one: Play) -> None:
    """The other client writes between our read and our write: both changes are there in the end."""

    def other(world: World) -> None:
        secret = world.objects["secretmanager/projects/demo/secrets/shared"]
        secret["annotations"] = {"other": "was here"}
        secret["etag"] = fresh_etag(secret)

    one("gcp_secret", {"name": "shared", "labels": {"a": "1"}})
    google.world.faults += [Fault("PATCH secretmanager", "race", race=other)]
    step = one("gcp_secret", {"name": "shared", "labels": {"a": "2"}})
    assert step.changed
    assert [request.status for request in step.requests] == [200, 409, 200, 200]
    secret = google.world.objects["secretmanager/projects/demo/secrets/shared"]
    assert (secret["labels"], secret["annotations"]) == ({"a": "2"}, {"other": "was here"})


def test_two_writers_of_a_bucket(google: GoogleServer, one: Play) -> None:
    def other(world: World) -> None:
        world.objects["storage/b/shared"].update(storageClass="NEARLINE", metageneration="7")

    one("gcp_storage_bucket", {"name": "shared"})
    google.world.faults += [Fault("PATCH storage", "race", race=other)]
    step = one("gcp_storage_bucket", {"name": "shared", "labels": {"a": "2"}})
    assert [request.status for request in step.requests] == [200, 412, 200, 200]
    assert google.world.objects["storage/b/shared"]["storageClass"] == "NEARLINE"


def test_operation_that_fails(google: GoogleServer, one: Play) -> None:
    google.world.faults += [Fault("POST sqladmin", "operation_fails", reason="INTERNAL_ERROR", message="no capacity in this zone")]
    step = one("gcp_sql_instance", SQL | {"name": "unlucky"})
    assert "no capacity in this zone" in step.result["msg"]
    assert one("gcp_sql_instance", SQL | {"name": "unlucky"}).changed


def test_operation_that_outlives_the_deadline(google: GoogleServer, one: Play) -> None:
    """The run gives up, says so, and the next one picks up where the operation stands."""
    google.world.faults += [Fault("POST sqladmin", "operation_slow", seconds=6)]
    step = one("gcp_sql_instance", SQL | {"name": "slow", "operation_timeout": 1})
    assert "still runs after 1 s" in step.result["msg"]
    again = one("gcp_sql_instance", SQL | {"name": "slow"})
    assert not again.changed
    assert again.result["resource"]["state"] == "RUNNABLE"
    assert len([request for request in google.world.requests if request.verb == "POST"]) == 1


DISABLED = {
    "status": 403,
    "reason": "PERMISSION_DENIED",
    "message": "Secret Manager API has not been used in project demo before or it is disabled.",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "metadata": {"service": "secretmanager.googleapis.com"},
        }
    ],
}


def test_disabled_api(google: GoogleServer, one: Play) -> None:
    """A real run says which API to enable; a check run of a whole new project goes on, for an earlier task would enable it."""
    google.world.faults += [Fault("secretmanager", "status", times=9, **DISABLED)]
    real = one("gcp_secret", {"name": "early"})
    assert "gcp_project_services, services: [secretmanager.googleapis.com]" in real.result["msg"]
    assert one("gcp_secret", {"name": "early"}, check=True).changed


def test_denied_and_exhausted(google: GoogleServer, one: Play) -> None:
    message = "Permission 'secretmanager.secrets.get' denied on resource (or it may not exist)."
    google.world.faults += [Fault("secretmanager", "status", status=403, reason="PERMISSION_DENIED", message=message)]
    assert "Grant the caller secretmanager.secrets.get" in one("gcp_secret", {"name": "mine"}).result["msg"]
    google.world.faults += [Fault("secretmanager", "status", times=2, status=429, reason="RESOURCE_EXHAUSTED", message="Quota exceeded")]
    assert "Quota" in one("gcp_secret", {"name": "mine", "retries": 1}).result["msg"]


def test_pages(google: GoogleServer, one: Play) -> None:
    """A list in pages of one is still a whole list."""
    one("gcp_secret", {"name": "many"})
    for number in range(3):
        one("gcp_secret_version", {"name": "many", "value": f"canary-{number}"})
    google.world.faults += [Fault("GET secretmanager .*versions$", "partial_page", times=1)]
    step = one("gcp_secret_version", {"name": "many", "value": "canary-2", "keep": 1})
    assert step.result["resource"]["enabled"] == [3]
    assert len(step.writes) == 2


def test_immutable_field(google: GoogleServer, one: Play) -> None:
    one("gcp_pubsub_topic", {"name": "sealed", "kms_key_name": "projects/demo/locations/us/keyRings/r/cryptoKeys/one"})
    step = one("gcp_pubsub_topic", {"name": "sealed", "kms_key_name": "projects/demo/locations/us/keyRings/r/cryptoKeys/two"})
    assert "kms_key_name" in step.result["msg"]
    assert "cannot become" in step.result["msg"]
    assert step.writes == []


def test_waiting_for_somebody_elses_sql_operation(google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cloud SQL refuses a second operation with 409: the module queues, for as long as an operation may take."""
    for name, value in google.environment().items():
        monkeypatch.setenv(name, value)
    params = (
        dict.fromkeys(INSTANCE.spec) | PROJECT | SQL | {"name": "queue", "state": "present", "access_token": "x", "operation_timeout": 1800}
    )
    pauses: list[float] = []
    client = Client(params, sleep=lambda pause: pauses.append(pause))
    module = SimpleNamespace(check_mode=False)

    def converged() -> Json:
        return converge(module, client, "sqladmin", lambda: settled(INSTANCE, client, params), lambda live: plan(INSTANCE, params, live))

    assert converged()["changed"]
    params["tier"] = "db-custom-4-15360"
    google.world.faults += [Fault("PATCH sqladmin", "status", times=12, status=409, reason="operationInProgress")]
    assert converged()["resource"]["settings"]["tier"] == "db-custom-4-15360"
    params["tier"] = "db-custom-8-30720"
    google.world.faults += [Fault("PATCH sqladmin", "status", times=12, status=409, reason="invalidState", message="for ever")]
    with pytest.raises(GcpError, match="for ever"):
        converged()
    assert len(pauses) < 30


def test_other_endpoints(google: GoogleServer, tmp_path: Path) -> None:
    """Without the proxy: by the option with {api} in it, or by the variables that gcloud knows."""
    bare = dict.fromkeys(google.environment(), "")
    option = task("option", "gcp_pubsub_topic", PROJECT | {"name": "t", "api_endpoint": google.url + "/{api}"})
    assert play(google, tmp_path, [option], bare)["option"].changed
    overrides = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_SQL": f"{google.url}/sqladmin/"}
    overrides["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] = f"{google.url}/storage/storage/v1/"
    tasks = [task("sql", "gcp_sql_instance", SQL | {"name": "db"}), task("storage", "gcp_storage_bucket", PROJECT | {"name": "bucket"})]
    steps = play(google, tmp_path, tasks, bare | overrides)
    assert steps["sql"].changed
    assert steps["storage"].changed


def test_retry_after_is_a_minimum(google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds and as a date; without it the pauses are jittered below a limit that doubles."""
    for name, value in google.environment().items():
        monkeypatch.setenv(name, value)
    soon = formatdate(time.time() + 60, usegmt=True)
    for header, lowest, highest in (({"Retry-After": "7"}, 7, 7), ({"Retry-After": soon}, 50, 61), ({}, 0, 0.5)):
        pauses: list[float] = []
        google.world.faults += [Fault("GET pubsub", "status", status=429, headers=header)]
        client = Client({"project": "demo", "access_token": "x", "retries": 1}, sleep=pauses.append)
        assert client.get("pubsub", "v1/projects/demo/topics/none") is None
        assert lowest <= pauses[0] <= highest
    for header, waited in (({"Retry-After": "7200"}, False), ({"Retry-After": "tomorrow"}, True)):
        pauses = []
        google.world.faults += [Fault("GET pubsub", "status", status=429, headers=header)]
        client = Client({"project": "demo", "access_token": "x", "retries": 1, "operation_timeout": 600}, sleep=pauses.append)
        if waited:
            assert client.get("pubsub", "v1/projects/demo/topics/none") is None
            assert pauses[0] <= 0.5
        else:
            with pytest.raises(GcpError, match=r"come back in 7200 s .* operation_timeout \(600 s\)"):
                client.get("pubsub", "v1/projects/demo/topics/none")
            assert pauses == []
    assert google.world.violations == []
