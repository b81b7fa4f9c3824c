# SPDX-License-Identifier: GPL-3.0-or-later
"""Service Usage: APIs are on or off; switching them takes an operation."""

from __future__ import annotations

import copy

from ..crud import done_operation, start_operation
from ..discovery import Json
from ..world import ApiError, Call, registry

HOST = ".googleapis.com"


def show(call: Call, name: str) -> Json:
    """Google knows every API of its own, switched on or not."""
    if not name.endswith(HOST):
        raise ApiError(403, "PERMISSION_DENIED", f"Not found or permission denied for service(s): {name.rpartition('/')[2]}.")
    stored = call.world.objects.get(f"serviceusage/{name}")
    return copy.deepcopy(
        stored
        or {"name": name, "parent": name.rpartition("/services/")[0], "config": {"name": name.rpartition("/")[2]}, "state": "DISABLED"}
    )


def switch(call: Call, names: list[str], state: str) -> Json:
    before = {name: show(call, name) for name in names}

    def finish() -> Json:
        for name in names:
            call.world.objects[f"serviceusage/{name}"] = show(call, name) | {"state": state}
            call.world.young[name] = call.world.delay if state == "ENABLED" else 0
        return {"services": [show(call, name) for name in names]} if len(names) > 1 else {"service": show(call, names[0])}

    def undo() -> None:
        for name, old in before.items():
            call.world.objects[f"serviceusage/{name}"] = old

    return start_operation(call, "done", call.key, finish, undo)


@registry.method("serviceusage.services.batchGet")
def batch_get(call: Call) -> Json:
    names = call.many["names"]
    if len(names) > 30:
        raise ApiError(400, "INVALID_ARGUMENT", "at most 30 names")
    return {"services": [show(call, name) for name in names]}


@registry.method("serviceusage.services.get")
def get(call: Call) -> Json:
    return show(call, call.key.partition("/")[2])


@registry.method("serviceusage.services.enable")
def enable(call: Call) -> Json:
    return switch(call, [call.key.partition("/")[2]], "ENABLED")


@registry.method("serviceusage.services.disable")
def disable(call: Call) -> Json:
    name = call.key.partition("/")[2].rpartition("/")[2]
    if name in call.world.used and call.body.get("checkIfServiceHasUsage") == "CHECK":
        raise ApiError(400, "FAILED_PRECONDITION", f"The service {name} has been used in the last 30 days.")
    return switch(call, [call.key.partition("/")[2]], "DISABLED")


@registry.method("serviceusage.services.batchEnable")
def batch_enable(call: Call) -> Json:
    if not 1 <= len(call.body.get("serviceIds", [])) <= 20:
        raise ApiError(400, "INVALID_ARGUMENT", "between 1 and 20 service_ids")
    return switch(call, [f"{call.key.partition('/')[2]}/{name}" for name in call.body["serviceIds"]], "ENABLED")


registry.method("serviceusage.operations.get")(done_operation)
