#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_log_bucket
short_description: Log buckets and how long they keep
description:
  - Creates, changes and deletes a log bucket. V(_Default) exists in every project; its retention can be set like that of any other.
  - A deleted bucket is kept by Google for seven days. V(present) within that time brings it back with its entries.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The bucket's id., type: str, required: true}
  state: {description: Whether the bucket exists., type: str, choices: [present, absent], default: present}
  location: {description: Where it is. Cannot change later., type: str, default: global}
  retention_days: {description: How long entries are kept., type: int}
  description: {description: What it is for., type: str}
  locked: {description: 'Retention can never change again, and the bucket not go before its entries do. There is no way back.', type: bool}
  analytics_enabled: {description: SQL on logs. Cannot be switched off again., type: bool}
"""

EXAMPLES = r"""
- name: A year of logs
  slipway.stack.gcp_log_bucket:
    project: demo
    name: audit
    retention_days: 365
- name: Everything else for 30 days
  slipway.stack.gcp_log_bucket:
    project: demo
    name: _Default
    retention_days: 30
"""

RETURN = r"""
resource: {description: The bucket as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import planned, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource

BUCKET = Resource(
    documentation=DOCUMENTATION,
    api="logging",
    path="v2/projects/{project}/locations/{location}/buckets/{name}",
    create=Write("POST", "v2/projects/{project}/locations/{location}/buckets", {"bucketId": "{name}"}),
    fields={"locked": Field(), "retention_days": Field(), "description": Field(), "analytics_enabled": Field()},
)


def read(client: Client, params: Any) -> dict[str, Any] | None:
    live = client.get("logging", path_of(BUCKET.path, params))
    gone = live is not None and live.get("lifecycleState") == "DELETE_REQUESTED"
    return None if gone and params["state"] == "absent" else live


def plan(client: Client, params: Any, live: dict[str, Any] | None) -> Plan:
    if live is None or live.get("lifecycleState") != "DELETE_REQUESTED":
        return planned(BUCKET)(client, params, live)
    restored = {**live, "lifecycleState": "ACTIVE"}
    todo = planned(BUCKET)(client, params, restored)
    todo.writes.insert(0, Write("POST", path_of(BUCKET.path, params) + ":undelete", body={}, repeatable=True))
    todo.before = {**todo.before, "state": "deleted"}
    todo.after = {**todo.after, "state": "present"}
    return todo


def main() -> None:
    run(BUCKET, read, plan)


if __name__ == "__main__":
    main()
