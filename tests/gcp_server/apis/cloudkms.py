# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud KMS: rings and keys are for ever, and a rotation needs its first date."""

from __future__ import annotations

from ..crud import Kind
from ..discovery import Json
from ..world import ApiError, Call


def on_ring(call: Call, new: Json, old: Json | None) -> None:
    new["createTime"] = call.world.now()


def on_key(call: Call, new: Json, old: Json | None) -> None:
    call.find(call.key.partition("/cryptoKeys")[0])
    for name in [name for name, value in new.items() if value is None]:
        del new[name]
    if not new.get("purpose"):
        raise ApiError(400, "INVALID_ARGUMENT", "purpose must be set")
    if old is not None and new["purpose"] != old["purpose"]:
        raise ApiError(400, "INVALID_ARGUMENT", "purpose is immutable")
    if ("rotationPeriod" in new) != ("nextRotationTime" in new):
        raise ApiError(400, "INVALID_ARGUMENT", "rotation_period and next_rotation_time must be set together")
    if "rotationPeriod" in new:
        if new["purpose"] != "ENCRYPT_DECRYPT":
            raise ApiError(400, "INVALID_ARGUMENT", "only ENCRYPT_DECRYPT keys rotate by themselves")
        if float(new["rotationPeriod"].removesuffix("s")) < 86400:
            raise ApiError(400, "INVALID_ARGUMENT", "rotation_period must be at least 24 hours")
        if new["nextRotationTime"] <= call.world.now():
            raise ApiError(400, "INVALID_ARGUMENT", "next_rotation_time must be in the future")
    template = new.setdefault("versionTemplate", {})
    template.setdefault("protectionLevel", "SOFTWARE")
    template.setdefault("algorithm", "GOOGLE_SYMMETRIC_ENCRYPTION")
    new.setdefault("createTime", call.world.now())
    new.setdefault("primary", {"name": f"{new['name']}/cryptoKeyVersions/1", "state": "ENABLED"})
    new.setdefault("destroyScheduledDuration", "2592000s")


Kind("cloudkms.projects.locations.keyRings", items="keyRings", id_from="keyRingId", on_write=on_ring)
Kind("cloudkms.projects.locations.keyRings.cryptoKeys", items="cryptoKeys", id_from="cryptoKeyId", on_write=on_key)
