#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_secret_version
short_description: Values of Secret Manager secrets
description:
  - Adds a version when the value differs from the newest enabled one, and retires old versions.
  - The value appears in no log, diff or result.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The secret's id. It must exist already., type: str, required: true}
  value: {description: The value., type: str}
  generate:
    description: In place of O(value), how many random characters (URL-safe) to make up when the secret has no enabled version.
    type: int
  max_age:
    description: With O(generate), make a new value when the newest one is older, such as V(90d).
    type: str
  keep:
    description: How many versions stay enabled, the newest of them. Two let old and new live side by side during a rotation. 0 keeps all.
    type: int
    default: 0
  retire:
    description: What happens to older versions.
    type: str
    choices: [disable, destroy]
    default: disable
"""

EXAMPLES = r"""
- name: A database password that nobody ever saw, renewed every 90 days
  slipway.stack.gcp_secret_version:
    project: demo
    name: db-password
    generate: 32
    max_age: 90d
    keep: 2
  register: password   # password.version goes into gcp_run_service: secrets
"""

RETURN = r"""
version: {description: Number of the newest enabled version; in check mode the one it would get., type: str, returned: always}
resource: {description: 'The versions that are or would be enabled, newest first.', type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import base64
import datetime
import secrets
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.checksum import crc32c
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import MASK, Plan, argument_spec, converge, duration, start

NOTHING: dict[str, Any] = {"versions": [], "enabled": [], "value": None}


def number(version: dict[str, Any]) -> int:
    return int(version["name"].rpartition("/")[2])


def read(client: Client, path: str) -> dict[str, Any]:
    """All versions, newest first, and the newest enabled value."""
    versions = sorted(client.items("secretmanager", f"{path}/versions", "versions"), key=number, reverse=True)
    enabled = [version for version in versions if version["state"] == "ENABLED"]
    answer = client.get("secretmanager", f"{path}/versions/{number(enabled[0])}:access") if enabled else None
    value = base64.b64decode(answer["payload"].get("data", "")) if answer else None
    return {"versions": versions, "enabled": enabled, "value": value}


def wanted(params: dict[str, Any], live: dict[str, Any]) -> bytes | None:
    """The value to add, or None where the newest is right."""
    if params["value"] is not None:
        value = str(params["value"]).encode()
        return None if value == live["value"] else value
    if live["enabled"]:
        made = datetime.datetime.fromisoformat(live["enabled"][0]["createTime"].replace("Z", "+00:00"))
        limit = float(duration(params["max_age"])[:-1]) if params["max_age"] else float("inf")
        if (datetime.datetime.now(datetime.UTC) - made).total_seconds() < limit:
            return None
    return secrets.token_urlsafe(params["generate"])[: params["generate"]].encode()


def plan(params: dict[str, Any], live: dict[str, Any]) -> Plan:
    path = path_of("v1/projects/{project}/secrets/{name}", params)
    value = wanted(params, live)
    numbers = [number(version) for version in live["enabled"]]
    before = {"enabled": numbers}
    writes = []
    if value is not None:
        payload = {"data": base64.b64encode(value).decode(), "dataCrc32c": str(crc32c(value))}
        writes.append(Write("POST", f"{path}:addVersion", body={"payload": payload}))
        numbers = [max([number(version) for version in live["versions"]], default=0) + 1, *numbers]
    kept = numbers[: params["keep"]] if params["keep"] else numbers
    for old in live["enabled"]:
        if number(old) not in kept:
            writes.append(Write("POST", f"{path}/versions/{number(old)}:{params['retire']}", body={"etag": old["etag"]}, repeatable=True))
    after = {"enabled": kept} | ({"value": f"{MASK} (new)"} if value is not None else {})
    return Plan(writes, {"enabled": kept}, before, after, {"version": str(kept[0])})


def main() -> None:
    module, client = start(
        lambda: argument_spec(DOCUMENTATION, {"value"}), mutually_exclusive=[("value", "generate")], required_one_of=[("value", "generate")]
    )
    try:
        path = path_of("v1/projects/{project}/secrets/{name}", module.params)
        result = converge(module, client, "secretmanager", lambda: read(client, path), lambda live: plan(module.params, live or NOTHING))
    except GcpError as error:
        module.fail_json(msg=str(error))
    result["resource"] = {"name": module.params["name"], "enabled": (result["diff"]["after"])["enabled"]}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
