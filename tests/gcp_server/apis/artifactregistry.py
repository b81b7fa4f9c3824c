# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifact Registry: creating and deleting take an operation, changing does not."""

from __future__ import annotations

from ..crud import Kind, done_operation
from ..discovery import Json
from ..world import ApiError, Call, registry


def on_repository(call: Call, new: Json, old: Json | None) -> None:
    region, project = new["name"].split("/")[3], new["name"].split("/")[1]
    for name, policy in new.get("cleanupPolicies", {}).items():
        if policy.get("id") != name:
            raise ApiError(400, "INVALID_ARGUMENT", f"cleanup policy {name!r}: the id must be the same")
    if old is None:
        if not new.get("format"):
            raise ApiError(400, "INVALID_ARGUMENT", "format must be set")
        new |= {"mode": new.get("mode", "STANDARD_REPOSITORY"), "createTime": call.world.now()}
        new["registryUri"] = f"{region}-docker.pkg.dev/{project}/{new['name'].rpartition('/')[2]}"
    elif (new.get("format"), new.get("kmsKeyName")) != (old.get("format"), old.get("kmsKeyName")):
        raise ApiError(400, "INVALID_ARGUMENT", "format and kms_key_name are immutable")
    new["updateTime"] = call.world.now()


Kind(
    "artifactregistry.projects.locations.repositories",
    items="repositories",
    type_name="google.devtools.artifactregistry.v1.Repository",
    id_from="repositoryId",
    operation="done",
    patch_operation=False,
    on_write=on_repository,
)
registry.method("artifactregistry.projects.locations.operations.get")(done_operation)
