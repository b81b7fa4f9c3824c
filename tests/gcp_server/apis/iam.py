# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM: service accounts and their keys."""

from __future__ import annotations

import copy

from ..crud import Kind, masked
from ..discovery import Json
from ..world import ApiError, Call, registry


def account(call: Call, name: str) -> Json:
    project, identifier = name.split("/")[1], name.rpartition("/")[2].partition("@")[0]
    email = f"{identifier}@{project}.iam.gserviceaccount.com"
    return {
        "name": f"projects/{project}/serviceAccounts/{email}",
        "projectId": project,
        "email": email,
        "uniqueId": str(10**20 + next(call.world.numbers)),
        "oauth2ClientId": "1",
        "etag": "MDEwMjE5MjA=",
    }


@registry.method("iam.projects.serviceAccounts.create")
def create(call: Call) -> Json:
    identifier = call.body["accountId"]
    if not 6 <= len(identifier) <= 30:
        raise ApiError(400, "INVALID_ARGUMENT", "The account ID must be between 6 and 30 characters.")
    made = account(call, f"{call.key.partition('/')[2]}/{identifier}") | call.body.get("serviceAccount", {})
    if f"iam/{made['name']}" in call.world.objects:
        raise ApiError(409, "ALREADY_EXISTS", f"Service account {identifier} already exists within project {made['projectId']}.")
    call.world.objects[f"iam/{made['name']}"] = made
    call.world.young[made["email"]] = call.world.delay
    return copy.deepcopy(made)


@registry.method("iam.projects.serviceAccounts.patch")
def patch(call: Call) -> Json:
    old = call.find()
    if call.body.get("serviceAccount", {}).get("name", old["name"]) != old["name"]:
        raise ApiError(400, "INVALID_ARGUMENT", "the name does not belong to this account")
    call.world.objects[call.key] = masked(old, call.body.get("serviceAccount", {}), call.body["updateMask"])
    return copy.deepcopy(call.world.objects[call.key])


Kind("iam.projects.serviceAccounts", items="accounts", verbs=("get", "list", "delete", "getIamPolicy", "setIamPolicy"))


@registry.method("iam.projects.serviceAccounts.keys.list")
def list_keys(call: Call) -> Json:
    call.find(call.key.removesuffix("/keys"))
    wanted = call.many.get("keyTypes", [])
    found = [key for key in call.world.children(call.key) if not wanted or key["keyType"] in wanted]
    return {"keys": found} if found else {}


@registry.method("iam.projects.serviceAccounts.keys.create")
def create_key(call: Call) -> Json:
    call.find(call.key.removesuffix("/keys"))
    name = f"{call.key.partition('/')[2]}/{next(call.world.numbers):040x}"
    key = {
        "name": name,
        "keyType": "USER_MANAGED",
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyAlgorithm": "KEY_ALG_RSA_2048",
        "validAfterTime": call.world.now(),
    }
    call.world.objects[f"iam/{name}"] = key
    return {**key, "privateKeyData": "e30="}


@registry.method("iam.projects.serviceAccounts.keys.disable", "iam.projects.serviceAccounts.keys.enable")
def switch_key(call: Call) -> Json:
    key = call.find()
    key.pop("disabled", None)
    if call.method.name.endswith("disable"):
        key["disabled"] = True
    return {}


@registry.method("iam.projects.serviceAccounts.keys.delete")
def delete_key(call: Call) -> Json:
    call.find()
    del call.world.objects[call.key]
    return {}
