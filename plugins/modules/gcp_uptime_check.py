#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_uptime_check
short_description: Monitoring uptime checks
description: Creates, changes and deletes a check of an HTTP address from several regions. It is found by its display name.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The display name., type: str, required: true}
  state: {description: Whether the check exists., type: str, choices: [present, absent], default: present}
  host: {description: Host name to ask. Cannot change later., type: str}
  path: {description: Path to ask., type: str, default: /}
  port: {description: Port., type: int}
  use_ssl: {description: HTTPS., type: bool, default: true}
  validate_ssl: {description: A wrong or expired certificate counts as down., type: bool, default: true}
  headers: {description: 'Headers to send. No secrets: anybody who may look at the check sees them.', type: dict}
  accepted_status:
    description: Status codes that count as up, such as V(200) or a class such as V(2xx).
    type: list
    elements: str
  content: {description: Text that the answer must contain., type: str}
  period: {description: How often., type: str, choices: [60s, 300s, 600s, 900s], default: 60s}
  timeout: {description: 'How long an answer may take, at most 60 s.', type: str, default: 10s}
  regions: {description: 'Where from, at least three, such as V(USA) or V(EUROPE). Everywhere if left out.', type: list, elements: str}
  user_labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: Is the API up?
  slipway.stack.gcp_uptime_check:
    project: demo
    name: API health
    host: api.example.com
    path: /health
    content: '"status":"healthy"'
    accepted_status: ["200"]
"""

RETURN = r"""
resource: {description: The check as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import by_display_name, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, duration, seconds

COLLECTION = "v3/projects/{project}/uptimeCheckConfigs"


def status(values: list[str]) -> list[dict[str, Any]]:
    return [
        {"statusValue": int(text)} if text.isdigit() else {"statusClass": f"STATUS_CLASS_{'ANY' if text == 'any' else text.upper()}"}
        for text in values
    ]


def target(params: Any) -> dict[str, Any]:
    if not params["host"]:
        return {}
    return {"monitoredResource": {"type": "uptime_url", "labels": {"project_id": params["project"], "host": params["host"]}}}


def check(params: Any) -> None:
    if not 1 <= float(seconds(params["timeout"])) <= 60:
        raise GcpError(f"timeout {params['timeout']!r}: between 1s and 60s")
    if params["regions"] and len(params["regions"]) < 3:
        raise GcpError(f"regions {params['regions']}: Google wants at least three, or none for everywhere")


CHECK = Resource(
    documentation=DOCUMENTATION,
    api="monitoring",
    path=COLLECTION + "/{id}",
    create=Write("POST", COLLECTION),
    build=target,
    check=check,
    required_if=(("state", "present", ("host",)),),
    nested={"httpCheck.acceptedResponseStatusCodes[]": Field(whole=True)},
    fields={
        "name": Field("displayName"),
        "path": Field("httpCheck.path"),
        "port": Field("httpCheck.port"),
        "use_ssl": Field("httpCheck.useSsl"),
        "validate_ssl": Field("httpCheck.validateSsl"),
        "headers": Field("httpCheck.headers", exact=True),
        "accepted_status": Field("httpCheck.acceptedResponseStatusCodes", convert=status),
        "content": Field("contentMatchers", convert=lambda text: [{"content": text, "matcher": "CONTAINS_STRING"}] if text else []),
        "period": Field(),
        "timeout": Field(convert=duration, normalise=seconds),
        "regions": Field("selectedRegions", unordered=True),
        "user_labels": Field(exact=True),
    },
)


def main() -> None:
    run(CHECK, by_display_name("monitoring", COLLECTION, "uptimeCheckConfigs"))


if __name__ == "__main__":
    main()
