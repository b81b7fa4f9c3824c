# SPDX-License-Identifier: GPL-3.0-or-later
"""Firestore's documents: get, list by name, patch, and commits that are refused as a whole when a precondition fails."""

from __future__ import annotations

import copy

from ..crud import page
from ..discovery import Json
from ..world import ApiError, Call, registry, unknown

PREFIX = "firestore.projects.databases.documents"


@registry.method(f"{PREFIX}.get")
def get(call: Call) -> Json:
    return copy.deepcopy(call.find())


@registry.method(f"{PREFIX}.list", f"{PREFIX}.listDocuments")
def children(call: Call) -> Json:
    if call.query.get("orderBy") not in (None, "__name__"):
        raise unknown(f"order documents by {call.query['orderBy']}")
    return page(call, "documents", call.world.children(call.key))


def store(call: Call, name: str, fields: Json) -> Json:
    moment = call.world.now()
    old = call.world.objects.get(f"firestore/{name}", {"createTime": moment})
    document = {**old, "name": name, "fields": fields, "updateTime": moment}
    call.world.objects[f"firestore/{name}"] = document
    return document


@registry.method(f"{PREFIX}.patch")
def patch(call: Call) -> Json:
    if "updateMask.fieldPaths" in call.query:
        raise unknown("patch a document by mask")
    return copy.deepcopy(store(call, call.key.partition("/")[2], call.body["fields"]))


@registry.method(f"{PREFIX}.commit")
def commit(call: Call) -> Json:
    writes = call.body["writes"]
    if len(writes) > 500:
        raise ApiError(400, "INVALID_ARGUMENT", "maximum 500 writes allowed per request")
    for write in writes:
        live = call.world.objects.get(f"firestore/{write['update']['name']}")
        if live is None or live["updateTime"] != write["currentDocument"]["updateTime"]:
            raise ApiError(400, "FAILED_PRECONDITION", "the stored version does not match the required base version")
    for write in writes:
        name, mask = write["update"]["name"], write["updateMask"]["fieldPaths"]
        fields = {key: value for key, value in call.world.objects[f"firestore/{name}"]["fields"].items() if key not in mask}
        store(call, name, fields | write["update"].get("fields", {}))
    return {"commitTime": call.world.now(), "writeResults": [{"updateTime": call.world.now()} for _write in writes]}
