# SPDX-License-Identifier: GPL-3.0-or-later
"""Memorystore and Artifact Registry through their whole lives."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer

PARENT = "v1/projects/demo/locations/us-central1"
REDIS = {
    "project": "demo",
    "region": "us-central1",
    "name": "mass-redis",
    "tier": "STANDARD_HA",
    "memory_size_gb": 5,
    "redis_version": "REDIS_7_0",
}


def test_redis(google: GoogleServer, tmp_path: Path) -> None:
    Lifecycle(
        module="gcp_redis_instance",
        base={
            **REDIS,
            "auth_enabled": True,
            "transit_encryption_mode": "SERVER_AUTHENTICATION",
            "labels": {"app": "mass", "old": "yes"},
            "redis_configs": {"maxmemory-policy": "allkeys-lru"},
            "maintenance_day": "SUNDAY",
            "maintenance_hour": 4,
        },
        change={"memory_size_gb": 10, "auth_enabled": False},
        drop={"labels": {"app": "mass"}},
        drift=(
            "PATCH",
            f"redis/{PARENT}/instances/mass-redis?updateMask=redis_configs",
            {"redisConfigs": {"maxmemory-policy": "noeviction"}},
        ),
        requests={
            "create": [
                f"GET redis {PARENT}/instances/mass-redis",
                f"POST redis {PARENT}/instances?instanceId=mass-redis",
                f"GET redis {PARENT}/operations/operation-1",
            ],
            "create-again": [f"GET redis {PARENT}/instances/mass-redis"],
        },
    ).verify(google, tmp_path)


def test_redis_tier_never_changes(google: GoogleServer, tmp_path: Path) -> None:
    steps = play(
        google,
        tmp_path,
        [task("one", "gcp_redis_instance", REDIS), task("two", "gcp_redis_instance", REDIS | {"tier": "BASIC"}, check=True)],
    )
    assert "tier of" in steps["two"].result["msg"]
    assert steps["two"].writes == []


def test_repository(google: GoogleServer, tmp_path: Path) -> None:
    Lifecycle(
        module="gcp_artifact_repository",
        base={
            "project": "demo",
            "region": "us-central1",
            "name": "mass-backend",
            "labels": {"app": "mass", "old": "yes"},
            "immutable_tags": True,
            "cleanup_policies": {
                "newest": {"action": "KEEP", "mostRecentVersions": {"keepCount": 10}},
                "old": {"action": "DELETE", "condition": {"olderThan": "30d"}},
            },
        },
        change={"cleanup_policies": {"newest": {"action": "KEEP", "mostRecentVersions": {"keepCount": 5}}}, "description": "images"},
        drop={"labels": {"app": "mass"}},
        drift=("PATCH", f"artifactregistry/{PARENT}/repositories/mass-backend?updateMask=description", {"description": "other"}),
        requests={
            "change": [
                f"GET artifactregistry {PARENT}/repositories/mass-backend",
                f"PATCH artifactregistry {PARENT}/repositories/mass-backend?updateMask=cleanupPolicies,description",
            ],
        },
    ).verify(google, tmp_path)
