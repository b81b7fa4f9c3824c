#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_project_services
short_description: The APIs that a project may use
description: Enables APIs, many of them in one request, or disables them. APIs that are not named are left alone.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  services:
    description: APIs, with or without C(.googleapis.com).
    type: list
    elements: str
    required: true
  state:
    description: V(absent) disables them, and fails where something still depends on one.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: What the backend needs
  slipway.stack.gcp_project_services:
    project: demo
    services: [run, sqladmin, redis, secretmanager, storage, artifactregistry]
"""

RETURN = r"""
resource: {description: Each API's state, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, argument_spec, converge, start

BATCH_READ, BATCH_WRITE = 30, 20


def full(name: str) -> str:
    return name if "." in name else f"{name}.googleapis.com"


def read(client: Client, project: str, names: list[str]) -> dict[str, Any]:
    states = {}
    for first in range(0, len(names), BATCH_READ):
        asked = [f"projects/{project}/services/{name}" for name in names[first : first + BATCH_READ]]
        answer = client.get("serviceusage", f"v1/projects/{project}/services:batchGet", {"names": asked}) or {}
        states.update({item["name"].rpartition("/")[2]: item.get("state") for item in answer.get("services", [])})
    return {name: states.get(name) or "DISABLED" for name in names}


def plan(project: str, state: str, live: dict[str, Any]) -> Plan:
    """One request for one API or for twenty; disabling goes one by one."""
    wanted = "ENABLED" if state == "present" else "DISABLED"
    after = dict.fromkeys(live, wanted)
    todo = [name for name in live if live[name] != wanted]
    base = f"v1/projects/{project}/services"
    if wanted == "DISABLED":
        writes = [Write("POST", f"{base}/{name}:disable", body={"checkIfServiceHasUsage": "CHECK"}, repeatable=True) for name in todo]
    elif len(todo) == 1:
        writes = [Write("POST", f"{base}/{todo[0]}:enable", body={}, repeatable=True)]
    else:
        batches = [todo[first : first + BATCH_WRITE] for first in range(0, len(todo), BATCH_WRITE)]
        writes = [Write("POST", f"{base}:batchEnable", body={"serviceIds": batch}, repeatable=True) for batch in batches]
    return Plan(writes, after, live, after)


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    project, names = module.params["project"], sorted({full(name) for name in module.params["services"]})
    try:
        result = converge(
            module,
            client,
            "serviceusage",
            lambda: read(client, project, names),
            lambda live: plan(project, module.params["state"], live or {}),
        )
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
