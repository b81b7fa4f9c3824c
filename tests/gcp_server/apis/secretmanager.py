# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret Manager: versions are numbered, values have checksums, destroyed values are gone."""

from __future__ import annotations

import base64
import copy

import google_crc32c

from ..crud import Kind, fresh_etag, page
from ..discovery import Json
from ..world import ApiError, Call, not_found, registry


def on_secret(call: Call, new: Json, old: Json | None) -> None:
    if old is None:
        if not new.get("replication"):
            raise ApiError(400, "INVALID_ARGUMENT", "secret.replication is required")
        new["createTime"] = call.world.now()
    elif new.get("replication") != old["replication"]:
        raise ApiError(400, "INVALID_ARGUMENT", "replication is immutable")
    rotation = new.get("rotation", {})
    if rotation.get("rotationPeriod") and not rotation.get("nextRotationTime"):
        raise ApiError(400, "INVALID_ARGUMENT", "rotation_period needs next_rotation_time")
    if rotation and not new.get("topics"):
        raise ApiError(400, "INVALID_ARGUMENT", "rotation needs at least one topic")


Kind("secretmanager.projects.secrets", items="secrets", id_from="secretId", etag="etag", on_write=on_secret)


@registry.method("secretmanager.projects.secrets.addVersion")
def add_version(call: Call) -> Json:
    secret = call.key
    call.find(secret)
    payload = call.body.get("payload", {})
    data = base64.b64decode(payload.get("data", ""))
    crc = google_crc32c.value(data)
    if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != crc:
        raise ApiError(400, "INVALID_ARGUMENT", "The checksum of the payload does not match.")
    number = len(call.world.children(f"{secret}/versions")) + 1
    key = f"{secret}/versions/{number}"
    version: Json = {
        "name": key.partition("/")[2],
        "createTime": call.world.now(),
        "state": "ENABLED",
        "replicationStatus": {"automatic": {}},
    }
    if "dataCrc32c" in payload:
        version["clientSpecifiedPayloadChecksum"] = True
    version["etag"] = fresh_etag(version)
    call.world.objects[key] = version
    call.world.secrets[key] = payload.get("data", "")
    return copy.deepcopy(version)


def version_key(call: Call) -> str:
    """`latest` is the newest version, whatever its state."""
    if not call.key.endswith("/latest"):
        return call.key
    parent = call.key.removesuffix("/latest")
    found = call.world.children(parent)
    if not found:
        raise not_found(call.key.partition("/")[2])
    newest = max(int(item["name"].rpartition("/")[2]) for item in found)
    return f"{parent}/{newest}"


@registry.method("secretmanager.projects.secrets.versions.access")
def access(call: Call) -> Json:
    key = version_key(call)
    version = call.find(key)
    if version["state"] != "ENABLED":
        raise ApiError(400, "FAILED_PRECONDITION", f"Secret Version [{version['name']}] is in {version['state']} state.")
    data = call.world.secrets[key]
    return {"name": version["name"], "payload": {"data": data, "dataCrc32c": str(google_crc32c.value(base64.b64decode(data)))}}


@registry.method("secretmanager.projects.secrets.versions.get")
def get_version(call: Call) -> Json:
    return copy.deepcopy(call.find(version_key(call)))


@registry.method("secretmanager.projects.secrets.versions.list")
def list_versions(call: Call) -> Json:
    call.find(call.key.removesuffix("/versions"))
    found = sorted(call.world.children(call.key), key=lambda item: -int(item["name"].rpartition("/")[2]))
    wanted = call.query.get("filter", "")
    if wanted:
        state = wanted.removeprefix("state:").removeprefix("state=").strip('"')
        found = [item for item in found if item["state"] == state]
    result = page(call, "versions", found)
    return result | ({"totalSize": len(found)} if found else {})


@registry.method(*(f"secretmanager.projects.secrets.versions.{verb}" for verb in ("enable", "disable", "destroy")))
def change_state(call: Call) -> Json:
    version = call.find()
    verb = call.method.name.rpartition(".")[2]
    if (call.body or {}).get("etag") not in (None, "", version["etag"]):
        raise ApiError(409, "ABORTED", "The etag provided does not match the current etag.")
    if version["state"] == "DESTROYED" and verb != "destroy":
        raise ApiError(400, "FAILED_PRECONDITION", f"Secret Version [{version['name']}] is destroyed.")
    version["state"] = {"enable": "ENABLED", "disable": "DISABLED", "destroy": "DESTROYED"}[verb]
    if verb == "destroy":
        version["destroyTime"] = call.world.now()
        call.world.secrets.pop(call.key, None)
    version["etag"] = fresh_etag(version)
    return copy.deepcopy(version)
