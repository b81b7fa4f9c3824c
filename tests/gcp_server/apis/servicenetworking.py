# SPDX-License-Identifier: GPL-3.0-or-later
"""Service Networking: one peering with Google's services per network, over reserved ranges. Networks are named by project number."""

from __future__ import annotations

import copy

from ..crud import done_operation
from ..discovery import Json
from ..world import ApiError, Call, registry

NUMBER = "projects/123456789012/"


def key_of(call: Call, network: str) -> str:
    if not network.startswith(NUMBER):
        raise ApiError(400, "INVALID_ARGUMENT", f"network {network!r}: the project is named by its number here")
    place = network.replace(NUMBER, "projects/demo/")
    if f"compute/{place}" not in call.world.objects:
        raise ApiError(404, "NOT_FOUND", f"{network} does not exist")
    return f"servicenetworking/{place}"


def store(call: Call) -> Json:
    key = key_of(call, call.body["network"])
    for name in call.body["reservedPeeringRanges"]:
        if f"compute/projects/demo/global/addresses/{name}" not in call.world.objects:
            raise ApiError(400, "FAILED_PRECONDITION", f"there is no allocated range {name!r}")

    def finish() -> Json:
        call.world.objects[key] = copy.deepcopy(call.body) | {
            "peering": "servicenetworking-googleapis-com",
            "service": "services/servicenetworking.googleapis.com",
        }
        return copy.deepcopy(call.world.objects[key])

    return call.world.operate(call, {"name": f"operations/pssn.{next(call.world.numbers)}"}, finish, lambda: None)


@registry.method("servicenetworking.services.connections.create")
def create(call: Call) -> Json:
    if key_of(call, call.body["network"]) in call.world.objects:
        raise ApiError(409, "ALREADY_EXISTS", "the connection exists")
    return store(call)


@registry.method("servicenetworking.services.connections.patch")
def patch(call: Call) -> Json:
    old = call.find(key_of(call, call.body["network"]))
    if set(old["reservedPeeringRanges"]) - set(call.body["reservedPeeringRanges"]) and call.query.get("force") != "true":
        raise ApiError(400, "FAILED_PRECONDITION", "ranges cannot be taken away")
    return store(call)


@registry.method("servicenetworking.services.connections.list")
def list_connections(call: Call) -> Json:
    found = call.world.objects.get(key_of(call, call.query["network"]))
    return {"connections": [copy.deepcopy(found)]} if found else {}


registry.method("servicenetworking.operations.get")(done_operation)
