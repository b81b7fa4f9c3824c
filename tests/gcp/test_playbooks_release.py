# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy.yml, promote.yml and rollback.yml: healthy, unhealthy, killed, and back again."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gcp.playbooks import Backend, image, playbook, small
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

HOST = "shop-production"


KEPT = ("objects", "policies", "secrets")


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GoogleServer, dict[str, Any]]]:
    """One environment that runs image 1, made once; every test starts from it."""
    folder = tmp_path_factory.mktemp("provisioned")
    with GoogleServer(folder / "tls") as server:
        Backend(server)
        run = playbook(server, "provision", [small(folder)], HOST, release_image=image(1))
        assert run.code == 0, run.message
        yield server, {name: copy.deepcopy(getattr(server.world, name)) for name in KEPT}


@pytest.fixture
def google(provisioned: tuple[GoogleServer, dict[str, Any]]) -> GoogleServer:
    server, state = provisioned
    server.world.reset()
    for name, value in state.items():
        setattr(server.world, name, copy.deepcopy(value))
    server.world.access = True
    return server


@pytest.fixture
def backend(google: GoogleServer) -> Backend:
    backend = Backend(google)
    for number in range(1, 5):
        backend.performs(number, 1000, 0)
    return backend


def patches(google: GoogleServer, first: int) -> list[list[tuple[int, str]]]:
    """Percent and tag of every traffic that was asked for."""
    asked = [request.body["traffic"] for request in google.world.requests[first:] if request.query.get("updateMask") == "traffic"]
    return [[(item.get("percent", 0), item.get("tag", "")) for item in traffic] for traffic in asked]


def test_the_life_of_a_service(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    inventory = [small(tmp_path)]
    # A healthy release reaches all traffic, in steps, with one backup and one migration.
    start = len(google.world.requests)
    healthy = playbook(google, "deploy", inventory, HOST, release_image=image(2))
    assert healthy.code == 0, healthy.message
    assert patches(google, start) == [
        [(100, ""), (0, "candidate")],
        [(90, ""), (10, "candidate")],
        [(50, ""), (50, "candidate")],
        [(100, ""), (0, "previous")],
    ]
    assert backend.traffic() == [("2", 100, ""), ("1", 0, "previous")]
    writes = [str(request) for request in google.world.requests[start:] if request.verb == "POST"]
    assert sum(write.endswith("shop-migrate:run") for write in writes) == 1
    again = playbook(google, "deploy", inventory, HOST, release_image=image(2))
    assert (again.code, again.changes) == (0, [])

    # An unhealthy one is put back at the first bad step, with traffic exactly as before.
    before = backend.service()["traffic"]
    backend.performs(3, 900, 100)
    start = len(google.world.requests)
    errors = playbook(google, "deploy", inventory, HOST, release_image=image(3))
    assert errors.code != 0
    assert "error rate 10.0%, allowed 5.0%" in errors.message
    assert "with 10 % of the traffic" in errors.message
    assert [asked[0][0] for asked in patches(google, start)] == [100, 90, 100]
    assert backend.service()["traffic"] == before

    # One that does not even start well never sees a request of a user.
    backend.sick.add(image(4))
    start = len(google.world.requests)
    sick = playbook(google, "deploy", inventory, HOST, release_image=image(4))
    assert sick.code != 0
    assert "Health of" in sick.message
    assert [asked[0][0] for asked in patches(google, start)] == [100, 100]
    assert backend.service()["traffic"] == before

    # Back to the revision before, not to one of the failed ones. What somebody else tagged keeps its address.
    service = backend.service()
    other = {"type": service["traffic"][0]["type"], "revision": service["traffic"][0]["revision"], "tag": "pr-12"}
    service["traffic"].append(other)
    service["trafficStatuses"].append(other | {"uri": service["uri"].replace("https://", "https://pr-12---")})
    back = playbook(google, "rollback", inventory, HOST, rollback_wait_seconds=1)
    assert back.code == 0, back.message
    assert backend.traffic() == [("1", 100, ""), ("2", 0, "pr-12")]
    again = playbook(google, "rollback", inventory, HOST, rollback_revision=backend.service()["traffic"][0]["revision"])
    assert (again.code, again.changes) == (0, [])
    assert google.world.violations == []


def test_killed_between_two_steps(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    """The candidate is left with a tenth of the traffic; the next run takes it from there."""
    slow = [small(tmp_path, gcp_canary={"watch_seconds": 60})]
    playbook(google, "deploy", slow, HOST, release_image=image(2), kill_when=lambda: ("2", 10, "candidate") in backend.traffic())
    assert backend.traffic() == [("1", 90, ""), ("2", 10, "candidate")]
    start = len(google.world.requests)
    healed = playbook(google, "deploy", [small(tmp_path)], HOST, release_image=image(2))
    assert healed.code == 0, healed.message
    assert patches(google, start)[0] == [(100, "")]
    assert backend.traffic() == [("2", 100, ""), ("1", 0, "previous")]
    assert not [request for request in google.world.requests[start:] if request.path.endswith(":run")], "migrated twice"


def test_promote(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    inventory = [small(tmp_path, gcp_canary={"steps": [10, 100], "watch_seconds": 0, "promote": False})]
    assert playbook(google, "deploy", inventory, HOST, release_image=image(2)).code == 0
    promoted = playbook(google, "promote", inventory, HOST)
    assert promoted.code == 0, promoted.message
    assert backend.traffic() == [("2", 100, ""), ("1", 0, "previous")]
    assert playbook(google, "promote", inventory, HOST).changes == []


def test_a_first_release_serves_at_once(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    for key in [key for key in google.world.objects if "/services/shop" in key]:
        del google.world.objects[key]
    first = playbook(google, "deploy", [small(tmp_path)], HOST, release_image=image(1))
    assert first.code == 0, first.message
    assert backend.traffic() == [("1", 100, "")]


def test_a_failed_migration_changes_no_traffic(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    inventory = [small(tmp_path)]
    google.world.faults.append(Fault("shop-migrate:run", "operation_fails", message="exit code 1"))
    failed = playbook(google, "deploy", inventory, HOST, release_image=image(2))
    assert failed.code != 0
    assert "exit code 1" in failed.message
    assert backend.traffic() == [("1", 100, "")]
    assert len([key for key in google.world.objects if "/revisions/" in key]) == 1


def test_built_and_foretold(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    """A check run names every change of the real one and sends none; the image is built once and used by its digest."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM scratch\n")
    repository = "projects/demo/locations/us-central1/repositories/shop"
    google.world.objects[f"artifactregistry/{repository}"] = {"name": repository, "format": "DOCKER"}
    google.world.objects["storage/b/demo_cloudbuild"] = {"name": "demo_cloudbuild", "kind": "storage#bucket"}
    inventory = [small(tmp_path, gcp_registry={"name": "shop"}, gcp_canary={"watch_seconds": 0})]
    release = {"release_source": {"tag": "4f2c1d7", "directory": str(source)}}
    before = copy.deepcopy(google.world.objects)
    foretold = playbook(google, "deploy", inventory, HOST, "--check", **release)
    assert foretold.code == 0, foretold.message
    assert google.world.objects == before
    real = playbook(google, "deploy", inventory, HOST, **release)
    assert real.code == 0, real.message
    assert foretold.changes == real.changes
    assert "Back up the database before the release" in str(real.changes) and "All traffic to the new revision" in str(real.changes)
    tag = google.world.objects[f"artifactregistry/{repository}/packages/api/tags/4f2c1d7"]
    digest = tag["version"].rpartition("/")[2]
    assert backend.image_of(backend.service()["traffic"][0]["revision"]) == f"us-central1-docker.pkg.dev/demo/shop/api@{digest}"
    again = playbook(google, "deploy", inventory, HOST, **release)
    assert (again.code, again.changes) == (0, [])
    assert sum(request.verb == "POST" and request.api == "cloudbuild" for request in google.world.requests) == 1
    assert google.world.violations == []


def test_the_digest_of_another_environment(google: GoogleServer, backend: Backend, tmp_path: Path) -> None:
    shop = "run/projects/demo/locations/us-central1/services/shop"
    found = json.dumps({key: item for key, item in google.world.objects.items() if key.startswith(shop)})
    staging = json.loads(re.sub(r"(services/|revisions/|\"revision\": \")shop", r"\1shop-staging", found))
    next(item for key, item in staging.items() if "/revisions/" in key)["containers"][0]["image"] = image(2)
    google.world.objects |= staging
    # A second inventory file of its own: the environment that the image comes from.
    other = small(tmp_path, "staging", gcp_run={"name": "shop-staging", "service_account": "shop-sa"})
    inventory = [small(tmp_path, gcp_canary={"steps": [100]}), other]
    for variables, message in (
        ({"release_from": "shop-stagin"}, "release_from is 'shop-stagin'; allowed: shop-staging"),
        (
            {"release_from": "shop-staging", "release_image": image(1)},
            "is more than one of them; allowed: one of them",
        ),
        ({"release_source": {"tag": "1", "directory": "."}}, "gcp_registry is missing; allowed: the repository"),
    ):
        refused = playbook(google, "deploy", inventory, HOST, **variables)
        assert refused.code != 0
        assert message in refused.message
    assert google.world.requests == []
    taken = playbook(google, "deploy", inventory, HOST, release_from="shop-staging")
    assert taken.code == 0, taken.message
    assert backend.traffic() == [("2", 100, ""), ("1", 0, "previous")]
    after = {key: item for key, item in google.world.objects.items() if "/services/shop-staging" in key}
    assert after == staging
    assert google.world.violations == []


def test_refusals(google: GoogleServer, tmp_path: Path) -> None:
    development = [small(tmp_path, "development")]
    refused = playbook(google, "rollback", development, "shop-development")
    assert refused.code != 0
    assert "development; allowed: staging, production" in refused.message
    for name, target, variables, message in (
        ("rollback", "shop-prodution", {}, 'target is "shop-prodution"; allowed: shop-development'),
        ("deploy", "shop-development", {"release_imgae": "x"}, "release_imgae"),
        ("deploy", "shop-development", {"gcp_environment": "prod"}, "development, staging, production"),
        ("deploy", "shop-development", {"gcp_canary": {"steps": [50, 10]}}, "gcp_canary.steps is [50, 10]; allowed: rising percents"),
        (
            "deploy",
            "shop-development",
            {"environment": {"CLOUDSDK_CORE_PROJECT": "other"}},
            "gcp_project is demo, but the",
        ),
        ("deploy", "shop-development", {"release_image": "shop:latest"}, "release_image is 'shop:latest'; allowed: NAME@sha256:DIGEST"),
    ):
        run = playbook(google, name, development, target, **variables)
        assert run.code != 0
        assert message in run.message, run.message
    assert google.world.requests == []
