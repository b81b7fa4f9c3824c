# SPDX-License-Identifier: GPL-3.0-or-later
"""Memorystore for Redis."""

from __future__ import annotations

from ..crud import Kind, done_operation
from ..discovery import Json
from ..world import ApiError, Call, registry

FIXED = ("tier", "redisVersion", "authorizedNetwork", "connectMode", "reservedIpRange", "transitEncryptionMode")


def on_instance(call: Call, new: Json, old: Json | None) -> None:
    if old is None:
        region = new["name"].split("/")[3]
        for name, value in {
            "tier": "BASIC",
            "redisVersion": "REDIS_7_0",
            "connectMode": "DIRECT_PEERING",
            "transitEncryptionMode": "DISABLED",
            "authorizedNetwork": f"projects/{new['name'].split('/')[1]}/global/networks/default",
            "reservedIpRange": "10.0.0.0/29",
        }.items():
            new.setdefault(name, value)
        if not new.get("memorySizeGb"):
            raise ApiError(400, "INVALID_ARGUMENT", "memory_size_gb must be set")
        port = 6378 if new["transitEncryptionMode"] == "SERVER_AUTHENTICATION" else 6379
        new |= {
            "host": "10.0.0.3",
            "port": port,
            "createTime": call.world.now(),
            "locationId": f"{region}-a",
            "currentLocationId": f"{region}-a",
        }
        if port == 6378:
            new["serverCaCerts"] = [{"cert": f"-----BEGIN CERTIFICATE-----\n{new['name'].rpartition('/')[2]}\n-----END CERTIFICATE-----"}]
    else:
        changed = [name for name in FIXED if new.get(name) != old.get(name)]
        if changed:
            raise ApiError(400, "INVALID_ARGUMENT", f"{changed[0]} cannot be updated")


Kind(
    "redis.projects.locations.instances",
    items="instances",
    type_name="google.cloud.redis.v1.Instance",
    id_from="instanceId",
    operation="done",
    busy={"state": "CREATING"},
    busy_update={"state": "UPDATING"},
    ready={"state": "READY"},
    on_write=on_instance,
)
registry.method("redis.projects.locations.operations.get")(done_operation)


@registry.method("redis.projects.locations.instances.getAuthString")
def auth_string(call: Call) -> Json:
    """One for each instance; none where it does not ask for it."""
    instance = call.find(call.key.removesuffix("/authString"))
    if not instance.get("authEnabled"):
        raise ApiError(400, "FAILED_PRECONDITION", "AUTH is disabled for this instance")
    return {"authString": f"auth-of-{instance['name'].rpartition('/')[2]}"}
