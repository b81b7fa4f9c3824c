# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's own Python clients do the same work on our server: it answers as they expect, or they complain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import redis_v1, run_v2, secretmanager, storage
from google.oauth2.credentials import Credentials

from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

PARENT = "projects/demo/locations/us-central1"
Make = Callable[..., Any]


@pytest.fixture
def client(google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> Make:
    for name, value in google.environment().items():
        monkeypatch.setenv(name, value)
    return lambda kind, **options: kind(credentials=Credentials("from-google-client"), **options)


def test_secret_manager(google: GoogleServer, client: Make) -> None:
    secrets = client(secretmanager.SecretManagerServiceClient, transport="rest")
    made = secrets.create_secret(parent="projects/demo", secret_id="jwt", secret={"replication": {"automatic": {}}, "labels": {"a": "1"}})
    version = secrets.add_secret_version(parent=made.name, payload={"data": b"value"})
    assert secrets.access_secret_version(name=f"{made.name}/versions/latest").payload.data == b"value"
    changed = secrets.update_secret(secret={"name": made.name, "labels": {"a": "2"}, "etag": made.etag}, update_mask={"paths": ["labels"]})
    assert dict(changed.labels) == {"a": "2"}
    with pytest.raises(exceptions.Conflict):
        secrets.update_secret(secret={"name": made.name, "labels": {}, "etag": made.etag}, update_mask={"paths": ["labels"]})
    assert secrets.disable_secret_version(name=version.name).state.name == "DISABLED"
    assert [item.name for item in secrets.list_secret_versions(parent=made.name)] == [version.name]
    secrets.delete_secret(name=made.name)
    with pytest.raises(exceptions.NotFound):
        secrets.get_secret(name=made.name)
    assert google.world.violations == []


def test_run(google: GoogleServer, client: Make) -> None:
    services = client(run_v2.ServicesClient, transport="rest")
    service: dict[str, Any] = {"template": {"containers": [{"image": "api@sha256:1"}]}}
    made = services.create_service(parent=PARENT, service=service, service_id="api").result(timeout=30)
    assert made.latest_ready_revision.startswith(f"{PARENT}/services/api/revisions/")
    made.template.containers[0].image = "api@sha256:2"
    services.update_service(service={"name": made.name, "template": made.template}, update_mask={"paths": ["template"]}).result(timeout=30)
    revisions = client(run_v2.RevisionsClient, transport="rest")
    assert len(list(revisions.list_revisions(parent=made.name))) == 2
    jobs = client(run_v2.JobsClient, transport="rest")
    job = jobs.create_job(parent=PARENT, job={"template": {"template": {"containers": [{"image": "api"}]}}}, job_id="migrate").result(
        timeout=30
    )
    assert jobs.run_job(name=job.name).result(timeout=30).succeeded_count == 1
    services.delete_service(name=made.name).result(timeout=30)
    assert google.world.violations == []


def test_redis(google: GoogleServer, client: Make) -> None:
    instances = client(redis_v1.CloudRedisClient, transport="rest")
    made = instances.create_instance(parent=PARENT, instance_id="cache", instance={"tier": "BASIC", "memory_size_gb": 1}).result(timeout=30)
    assert (made.port, made.state.name) == (6379, "READY")
    google.world.faults += [Fault("PATCH redis", "operation_fails", message="no memory left")]
    with pytest.raises(exceptions.GoogleAPICallError, match="no memory left"):
        instances.update_instance(instance={"name": made.name, "memory_size_gb": 2}, update_mask={"paths": ["memory_size_gb"]}).result(
            timeout=30
        )


def test_storage(google: GoogleServer, client: Make) -> None:
    store = client(storage.Client, project="demo")
    bucket = store.create_bucket("demo-models", location="us-central1")
    bucket.labels = {"a": "1"}
    bucket.patch()
    bucket.reload()
    assert (bucket.labels, bucket.location) == ({"a": "1"}, "US-CENTRAL1")
    assert [item.name for item in store.list_buckets()] == ["demo-models"]
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    bucket.set_iam_policy(policy)
    assert bucket.get_iam_policy(requested_policy_version=3).bindings[0]["role"] == "roles/storage.objectViewer"
    bucket.delete()
    assert google.world.violations == []
