# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Run's domain mappings: version 1, on a regional host."""

from __future__ import annotations

import copy

from ..discovery import Json
from ..world import ApiError, Call, not_found, registry

PREFIX = "run.namespaces.domainmappings"


def key_of(call: Call, name: str) -> str:
    return f"{call.method.api}/{call.path.partition('/v1/')[2].partition('/domainmappings')[0]}/domainmappings/{name}"


def find(call: Call) -> Json:
    key = key_of(call, call.path.rpartition("/")[2])
    if key not in call.world.objects:
        raise not_found(key)
    return call.world.objects[key]


@registry.method(f"{PREFIX}.create")
def create(call: Call) -> Json:
    new = copy.deepcopy(call.body)
    key = key_of(call, new["metadata"]["name"])
    if key in call.world.objects:
        raise ApiError(409, "ALREADY_EXISTS", f"Resource '{new['metadata']['name']}' already exists.")
    region = call.method.api.removesuffix("-run")
    service = f"run/projects/{new['metadata']['namespace']}/locations/{region}/services/{new['spec']['routeName']}"
    if service not in call.world.objects:
        raise ApiError(400, "INVALID_ARGUMENT", f"route {new['spec']['routeName']} does not exist")
    new["spec"].setdefault("certificateMode", "AUTOMATIC")
    label = new["metadata"]["name"].partition(".")[0]
    new["status"] = {
        "mappedRouteName": new["spec"]["routeName"],
        "resourceRecords": [{"name": label, "type": "CNAME", "rrdata": "ghs.googlehosted.com."}],
        "conditions": [{"type": "Ready", "status": "Unknown", "reason": "CertificatePending"}],
    }
    call.world.objects[key] = new
    return copy.deepcopy(new)


@registry.method(f"{PREFIX}.get")
def get(call: Call) -> Json:
    return copy.deepcopy(find(call))


@registry.method(f"{PREFIX}.delete")
def delete(call: Call) -> Json:
    find(call)
    del call.world.objects[key_of(call, call.path.rpartition("/")[2])]
    return {"status": "Success"}
