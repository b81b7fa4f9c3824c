# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches a service, and whether it can start at all: the server answers as Google's access model says."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gcp.playbooks import Backend, Json, image, outside, playbook, secret, small
from tests.gcp_server.server import GoogleServer

HOST = "shop-production"
DEPLOYER = "deployer@demo.iam.gserviceaccount.com"
CACHE: Json = {
    "gcp_apis": ["sqladmin", "redis"],
    "gcp_redis": {"name": "shop-redis", "tier": "BASIC", "memory_size_gb": 1, "url_secret": "redis-url"},
    "gcp_run": {
        "name": "shop",
        "service_account": "shop-sa",
        "public": True,
        "secrets": {"DATABASE_URL": "db-url", "REDIS_URL": "redis-url"},
    },
    "gcp_secrets": [
        {"name": "db-password", "generate": 32},
        {"name": "db-url", "dsn": {"user": "shop", "database": "shop"}},
        {"name": "redis-url"},
    ],
}


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GoogleServer, Json]]:
    """One environment with a cache that runs image 1, made once; every test starts from it."""
    folder = tmp_path_factory.mktemp("provisioned")
    with GoogleServer(folder / "tls") as server:
        Backend(server)
        run = playbook(server, "provision", [small(folder, **CACHE)], HOST, release_image=image(1))
        assert run.code == 0, run.message
        yield server, {name: copy.deepcopy(getattr(server.world, name)) for name in ("objects", "policies", "secrets")}


@pytest.fixture
def shop(provisioned: tuple[GoogleServer, Json]) -> Backend:
    server, kept = provisioned
    server.world.reset()
    for name, value in kept.items():
        setattr(server.world, name, copy.deepcopy(value))
    server.world.access = True
    backend = Backend(server)
    for number in range(1, 5):
        backend.performs(number, 1000, 0)
    return backend


def variable(service: Json, name: str) -> Any:
    return next(item for item in service["template"]["containers"][0]["env"] if item["name"] == name)["valueSource"]["secretKeyRef"]


def test_everybody_is_answered(provisioned: tuple[GoogleServer, Json], shop: Backend) -> None:
    """And the server knows who is not: without the grant, without the ingress, for an address that is off, and where nothing is."""
    google = provisioned[0]
    service = shop.service()
    assert outside(google, service["uri"]) == 200
    policies = copy.deepcopy(google.world.policies)
    google.world.policies.clear()
    assert outside(google, service["uri"]) == 403
    google.world.policies.update(policies)
    service["ingress"] = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert outside(google, service["uri"]) == 404
    service |= {"ingress": "INGRESS_TRAFFIC_ALL", "defaultUriDisabled": True}
    assert outside(google, service["uri"]) == 404
    assert outside(google, "https://nobody-123-us-central1.a.run.app") == 404


def test_closed_to_the_public_and_still_released(provisioned: tuple[GoogleServer, Json], shop: Backend, tmp_path: Path) -> None:
    """The deploying account is let in and asks with its own identity; nobody else is."""
    google = provisioned[0]
    closed = {"gcp_run": CACHE["gcp_run"] | {"public": False}, "gcp_impersonate_service_account": DEPLOYER}
    inventory = [small(tmp_path, **CACHE | closed)]
    for name, variables in (("provision", {}), ("deploy", {"release_image": image(2)})):
        run = playbook(google, name, inventory, HOST, "-vvv", **variables)
        assert run.code == 0, run.message
        assert "identity-of-" not in run.output
    assert shop.traffic() == [("2", 100, ""), ("1", 0, "previous")]
    assert outside(google, shop.service()["uri"]) == 403
    # Everything goes as the account that is impersonated, lookups included.
    asked = [request for request in google.world.requests if request.api in ("run", "redis", "secretmanager", "sqladmin")]
    assert {request.token.partition("-for-")[0] for request in asked} == {"deployer"}
    assert google.world.violations == []


def test_the_cache_has_one_address(provisioned: tuple[GoogleServer, Json], shop: Backend, tmp_path: Path) -> None:
    """Whoever writes the secret writes what a client can connect to: host, port, password, TLS."""
    google, inventory = provisioned[0], [small(tmp_path, **CACHE)]
    right = "rediss://:auth-of-shop-redis@10.0.0.3:6378/0"
    assert secret(google, "redis-url") == right
    for name, variables in (("deploy", {"release_image": image(2)}), ("rotate_secrets", {})):
        run = playbook(google, name, inventory, HOST, **variables)
        assert run.code == 0, run.message
        assert (secret(google, "redis-url"), variable(shop.service(), "REDIS_URL")["version"]) == (right, "1"), name
    for key in [key for key in google.world.objects if key.endswith("/instances/shop-redis")]:
        del google.world.objects[key]
    lost = playbook(google, "deploy", inventory, HOST, release_image=image(3))
    assert "gcp_redis.name is shop-redis, which does not exist in demo" in lost.message
    assert secret(google, "redis-url") == right


def test_a_revision_that_does_not_start_never_passes(provisioned: tuple[GoogleServer, Json], shop: Backend, tmp_path: Path) -> None:
    """Every run says so, the earlier revision serves on, and the same image is taken as soon as it starts."""
    google, inventory = provisioned[0], [small(tmp_path, **CACHE)]
    google.world.unready[image(2)] = "The user-provided container failed to start and listen on the port defined provided by the PORT=8080"
    for _attempt in range(2):
        failed = playbook(google, "deploy", inventory, HOST, release_image=image(2))
        assert failed.code != 0 and "failed to start and listen on the port" in failed.message, failed.message
        assert shop.traffic() == [("1", 100, "")]
    # Provisioning keeps what serves, and brings the service back to it.
    kept = playbook(google, "provision", inventory, HOST)
    assert kept.code == 0, kept.message
    assert shop.service()["template"]["containers"][0]["image"] == image(1)
    google.world.unready.clear()
    healed = playbook(google, "deploy", inventory, HOST, release_image=image(2))
    assert healed.code == 0, healed.message
    assert [share[:2] for share in shop.traffic() if share[1]] == [("2", 100)]


def test_a_first_release_that_does_not_serve(google: GoogleServer, tmp_path: Path) -> None:
    """Neither a revision that fails nor one that is not healthy stays open, and the next run with a good one goes on."""
    backend, inventory = Backend(google), [small(tmp_path)]
    backend.sick.add(image(3))
    google.world.unready[image(2)] = "exit code 1"
    for number, message in ((2, "exit code 1"), (3, "The first release failed at 'Health of")):
        failed = playbook(google, "provision" if number == 2 else "deploy", inventory, HOST, release_image=image(number))
        assert failed.code != 0 and message in failed.message, failed.message
        if number == 3:
            assert outside(google, backend.service()["uri"]) == 403
    backend.performs(4, 1000, 0)
    good = playbook(google, "deploy", inventory, HOST, release_image=image(4))
    assert good.code == 0, good.message
    assert [share[:2] for share in backend.traffic() if share[1]] == [("4", 100)]
    assert outside(google, backend.service()["uri"]) == 200
    assert google.world.violations == []
