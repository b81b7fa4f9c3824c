# SPDX-License-Identifier: GPL-3.0-or-later
"""Firestore's administration: databases, and indexes whose names the server makes."""

from __future__ import annotations

import copy
from collections.abc import Callable

from ..crud import Kind, done_operation, page
from ..discovery import Json
from ..world import ApiError, Call, registry

PREFIX = "firestore.projects.databases"


class OwnOperations(Kind):
    """Operations live below the database they are about."""

    def answer(self, call: Call, key: str, finish: Callable[[], Json], undo: Callable[[], None]) -> Json:
        database = "/".join(key.split("/")[1:5])
        return call.world.operate(call, {"name": f"{database}/operations/operation-{next(call.world.numbers)}"}, finish, undo)


def on_database(call: Call, new: Json, old: Json | None) -> None:
    if old is not None:
        changed = [name for name in ("locationId", "databaseEdition", "cmekConfig") if new.get(name) != old.get(name)]
        if changed:
            raise ApiError(400, "INVALID_ARGUMENT", f"{changed[0]} cannot be changed")
    else:
        new |= {"uid": "1", "createTime": call.world.now()}
        new.setdefault("concurrencyMode", "PESSIMISTIC")
        new.setdefault("databaseEdition", "STANDARD")
    new.setdefault("pointInTimeRecoveryEnablement", "POINT_IN_TIME_RECOVERY_DISABLED")
    new.setdefault("deleteProtectionState", "DELETE_PROTECTION_DISABLED")
    recovery = new["pointInTimeRecoveryEnablement"] == "POINT_IN_TIME_RECOVERY_ENABLED"
    new["versionRetentionPeriod"] = "604800s" if recovery else "3600s"
    new["updateTime"] = call.world.now()


def on_database_delete(call: Call, old: Json) -> None:
    if old["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED":
        raise ApiError(400, "FAILED_PRECONDITION", "Delete protection is enabled for this database.")


OwnOperations(
    PREFIX,
    items="databases",
    id_from="databaseId",
    etag="etag",
    on_write=on_database,
    on_delete=on_database_delete,
    verbs=("create", "get", "list", "patch", "delete"),
)
registry.method(f"{PREFIX}.operations.get")(done_operation)
INDEXES = OwnOperations(
    f"{PREFIX}.collectionGroups.indexes", busy={"state": "CREATING"}, ready={"state": "READY"}, verbs=("get",), items="indexes"
)


@registry.method(f"{PREFIX}.collectionGroups.indexes.create")
def create_index(call: Call) -> Json:
    call.find(call.key.partition("/collectionGroups")[0])
    new = copy.deepcopy(call.body)
    if len(new.get("fields", [])) < 2 and not any("vectorConfig" in item for item in new.get("fields", [])):
        raise ApiError(400, "INVALID_ARGUMENT", "this index is not necessary, configure using single field index controls")
    if new["fields"][-1]["fieldPath"] != "__name__" and "vectorConfig" not in new["fields"][-1]:
        new["fields"].append({"fieldPath": "__name__", "order": new["fields"][-1].get("order", "ASCENDING")})
    same = [item for item in call.world.children(call.key) if (item["fields"], item["queryScope"]) == (new["fields"], new["queryScope"])]
    if same:
        raise ApiError(409, "ALREADY_EXISTS", "index already exists")
    key = f"{call.key}/CICA{next(call.world.numbers):08d}"
    return INDEXES.store(call, key, new | {"name": key.partition("/")[2], "density": "SPARSE_ALL"}, None)


@registry.method(f"{PREFIX}.collectionGroups.indexes.list")
def list_indexes(call: Call) -> Json:
    return page(call, "indexes", [INDEXES.show(call, item) for item in call.world.children(call.key)])


@registry.method(f"{PREFIX}.collectionGroups.indexes.delete")
def delete_index(call: Call) -> Json:
    call.find()
    del call.world.objects[call.key]
    return {}
