# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Storage: JSON merge patches, metageneration, and answers that keep their defaults."""

from __future__ import annotations

import copy
import datetime

from ..crud import Kind, store_policy
from ..discovery import Json
from ..world import PROJECT_NUMBER, ApiError, Call, registry


def on_bucket(call: Call, new: Json, old: Json | None) -> None:
    check_generation(call, old)
    now = call.world.now()
    name = new["name"]
    if old is None:
        new.setdefault("location", "US")
        new["location"] = new["location"].upper()
        new |= {
            "kind": "storage#bucket",
            "id": name,
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
            "projectNumber": "1",
            "timeCreated": now,
            "locationType": "multi-region" if new["location"] in ("US", "EU", "ASIA") else "region",
        }
        new.setdefault("storageClass", "STANDARD")
        access = new.setdefault("iamConfiguration", {})
        access.setdefault("publicAccessPrevention", "inherited")
        access.setdefault("uniformBucketLevelAccess", {"enabled": False})
        new.setdefault("softDeletePolicy", {"retentionDurationSeconds": "604800"})["effectiveTime"] = now
    elif new["location"].upper() != old["location"]:
        raise ApiError(400, "invalid", "The location of a bucket cannot be changed.")
    uniform = new["iamConfiguration"]["uniformBucketLevelAccess"]
    if uniform.get("enabled"):
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=90)
        uniform.setdefault("lockedTime", later.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    if "retentionPolicy" in new:
        new["retentionPolicy"].setdefault("effectiveTime", now)
    if not new.get("labels"):
        new.pop("labels", None)
    if not new.get("lifecycle", {}).get("rule"):
        new.pop("lifecycle", None)
    new["updated"] = now
    new["metageneration"] = str(int((old or {}).get("metageneration", "0")) + 1)
    new["etag"] = f"CA{new['metageneration']}="


def check_generation(call: Call, old: Json | None) -> None:
    wanted = call.query.get("ifMetagenerationMatch")
    if wanted is not None and wanted != (old or {}).get("metageneration", "0"):
        raise ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def on_delete(call: Call, old: Json) -> None:
    check_generation(call, old)
    if call.world.children(f"{call.key}/o"):
        raise ApiError(409, "conflict", "The bucket you tried to delete is not empty.")


Kind(
    "storage.buckets",
    items="items",
    id_from="body.name",
    full_name=False,
    without_mask="merge",
    keep_defaults=True,
    verbs=("create", "get", "list", "patch", "delete"),
    on_write=on_bucket,
    on_delete=on_delete,
)


@registry.method("storage.buckets.getIamPolicy")
def get_iam(call: Call) -> Json:
    call.find(call.key.removesuffix("/iam"))
    return copy.deepcopy(call.world.policies.get(call.key, {"kind": "storage#policy", "version": 1, "etag": "CAE="}))


@registry.method("storage.buckets.setIamPolicy")
def set_iam(call: Call) -> Json:
    return store_policy(call, get_iam(call), call.body) | {"kind": "storage#policy"}


@registry.method("storage.projects.serviceAccount.get")
def storage_agent(call: Call) -> Json:
    """Asking for the agent makes it."""
    number = PROJECT_NUMBER
    address = f"service-{number}@gs-project-accounts.iam.gserviceaccount.com"
    call.world.agents.add(address)
    return {"email_address": address, "kind": "storage#serviceAccount"}


@registry.method("storage.objects.get")
def get_object(call: Call) -> Json:
    found = call.find()
    if call.query.get("alt") == "media":
        content, kind = call.world.blobs[call.key], {"Content-Type": "application/octet-stream"}
        first = call.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
        return (kind, content) if not first else (kind | {":status": "206"}, content[int(first) :])  # type: ignore[return-value]
    return copy.deepcopy(found)
