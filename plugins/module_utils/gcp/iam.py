# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""IAM policies: where each kind of resource keeps its own, and how bindings are compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .client import Client, GcpError, Json, Write, path_of
from .resource import Plan, argument_spec, converge, start

# kind -> service, path. Buckets and service accounts have verbs of their own.
KINDS = {
    "project": ("cloudresourcemanager", "v1/projects/{project}"),
    "service_account": ("iam", "v1/projects/{project}/serviceAccounts/{resource}"),
    "secret": ("secretmanager", "v1/projects/{project}/secrets/{resource}"),
    "bucket": ("storage", "storage/v1/b/{resource}/iam"),
    "run_service": ("run", "v2/projects/{project}/locations/{region}/services/{resource}"),
    "run_job": ("run", "v2/projects/{project}/locations/{region}/jobs/{resource}"),
    "repository": ("artifactregistry", "v1/projects/{project}/locations/{region}/repositories/{resource}"),
    "topic": ("pubsub", "v1/projects/{project}/topics/{resource}"),
    "subscription": ("pubsub", "v1/projects/{project}/subscriptions/{resource}"),
    "kms_key": ("cloudkms", "v1/projects/{project}/locations/{region}/keyRings/{key_ring}/cryptoKeys/{key}"),
}
CASE_MATTERS = ("principal", "principalSet", "principalHierarchy")
Binding = tuple[str, str]  # role and canonical condition


def place(params: Mapping[str, Any]) -> tuple[str, str]:
    """The service and the path of the resource whose policy is meant."""
    kind = params["resource_type"]
    api, path = KINDS[kind]
    values = dict(params)
    if kind == "kms_key":
        values["key_ring"], _slash, values["key"] = str(params["resource"] or "").partition("/")
    return api, path_of(path, values)


def read(client: Client, params: Mapping[str, Any]) -> Json | None:
    """The policy in version 3, the only one that shows conditions; None where the resource does not exist."""
    api, path = place(params)
    kind = params["resource_type"]
    if kind == "bucket":
        return client.get(api, path, {"optionsRequestedPolicyVersion": 3})
    if kind not in ("project", "service_account"):
        return client.get(api, f"{path}:getIamPolicy", {"options.requestedPolicyVersion": 3})
    ask = Write("POST", f"{path}:getIamPolicy", repeatable=True)
    if kind == "project":
        ask = Write("POST", ask.path, body={"options": {"requestedPolicyVersion": 3}}, repeatable=True)
    else:
        ask = Write("POST", ask.path, {"options.requestedPolicyVersion": 3}, repeatable=True)
    try:
        return client.call(api, ask)
    except GcpError as error:
        if error.status == 404:
            return None
        raise


def write(params: Mapping[str, Any], live: Json, bindings: dict[Binding, set[str]]) -> Write:
    """The whole policy with the etag that was read: who wrote in between makes it fail with 409, and it is read again."""
    api, path = place(params)
    policy: Json = {key: value for key, value in live.items() if key in ("auditConfigs", "etag")}
    policy["bindings"] = untabled(bindings, live)
    policy["version"] = 3 if any("condition" in binding for binding in policy["bindings"]) else 1
    if params["resource_type"] == "bucket":
        return Write("PUT", path, body=policy, api=api)
    return Write("POST", f"{path}:setIamPolicy", body={"policy": policy}, api=api, repeatable=True)


def condition_text(condition: Mapping[str, Any] | None) -> str:
    """Two conditions are the same where all of their parts are. What YAML's blocks end with is none."""
    parts = ("title", "expression", "description")
    found = {name: str(condition[name]).strip() for name in parts if condition.get(name)} if condition else {}
    return json.dumps(found) if found else ""


def canonical(member: str) -> str:
    """The member as Google keeps it: addresses in small letters, but for identities of federations."""
    kind, colon, rest = member.partition(":")
    if kind == "deleted":
        return f"deleted:{canonical(rest)}"
    return member if kind in CASE_MATTERS or not colon else f"{kind}:{rest.lower()}"


def spelled(members: Iterable[str], known: Iterable[str] = ()) -> set[str]:
    """These members in Google's spelling, or in the one that the policy has."""
    there = {canonical(member): member for member in known}
    return {there.get(canonical(member), canonical(member)) for member in members}


def tabled(policy: Json | None) -> dict[Binding, set[str]]:
    table: dict[Binding, set[str]] = {}
    for binding in (policy or {}).get("bindings", []):
        table.setdefault((binding["role"], condition_text(binding.get("condition"))), set()).update(binding.get("members", []))
    return table


def untabled(table: dict[Binding, set[str]], live: Json | None = None) -> list[Json]:
    """Bindings as the API writes them, in a fixed order."""
    known = {
        condition_text(binding["condition"]): binding["condition"] for binding in (live or {}).get("bindings", []) if "condition" in binding
    }
    found = []
    for role, text in sorted(table):
        if table[role, text]:
            binding: Json = {"role": role, "members": sorted(table[role, text])}
            found.append(binding | ({"condition": known.get(text) or json.loads(text)} if text else {}))
    return found


def run(documentation: str, plan: Callable[[Mapping[str, Any], Json | None, bool], Plan]) -> None:
    """The whole of a module's main(). `plan` takes the options, the policy as it is, and whether this is a check run."""
    module, client = start(lambda: argument_spec(documentation))
    try:
        result = converge(
            module, client, "iam", lambda: read(client, module.params), lambda live: plan(module.params, live, module.check_mode)
        )
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{**result, "resource": result["diff"]["after"]})
