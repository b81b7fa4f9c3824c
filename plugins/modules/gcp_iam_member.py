#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_iam_member
short_description: Single grants in an IAM policy
description:
  - Gives members a role on one resource, or takes it from them. All other grants stay as they are.
  - For a policy that must hold nothing else use M(slipway.stack.gcp_iam_policy).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  resource_type:
    description: What the role is granted on.
    type: str
    default: project
    choices: [project, service_account, secret, bucket, run_service, run_job, repository, topic, subscription, kms_key]
  resource: {description: 'Its name, or e-mail, or C(RING/KEY). Nothing for the project itself.', type: str}
  role: {description: The role., type: str, required: true}
  members:
    description: Who, such as C(serviceAccount:api@demo.iam.gserviceaccount.com). Capital letters of addresses mean nothing.
    type: list
    elements: str
    required: true
  condition:
    description: Grant it under this condition alone.
    type: dict
    suboptions:
      title: {description: Name of the condition., type: str, required: true}
      expression: {description: What must hold., type: str, required: true}
      description: {description: Why., type: str}
  state: {description: Whether the members have the role., type: str, choices: [present, absent], default: present}
"""

EXAMPLES = r"""
- name: The API may read this one secret
  slipway.stack.gcp_iam_member:
    project: demo
    resource_type: secret
    resource: jwt-secret-key
    role: roles/secretmanager.secretAccessor
    members: ["serviceAccount:mass-backend-sa@demo.iam.gserviceaccount.com"]
"""

RETURN = r"""
resource: {description: The role's binding, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp import iam
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan


def plan(params: dict[str, Any], live: dict[str, Any] | None, check_mode: bool) -> Plan:
    present = params["state"] == "present"
    if live is None and present and not check_mode:
        raise GcpError(f"{iam.place(params)[1]} does not exist: make it before granting on it")
    table = iam.tabled(live)
    key = (params["role"], iam.condition_text(params["condition"]))
    before = set(table.get(key, set()))
    members = iam.spelled(params["members"], before)
    after = before | members if present else before - members
    views = [{"role": params["role"], "members": sorted(side)} for side in (before, after)]
    if before == after:
        return Plan([], views[0], views[0], views[0])
    table[key] = after
    return Plan([iam.write(params, live or {}, table)], views[1], views[0], views[1])


def main() -> None:
    iam.run(DOCUMENTATION, plan)


if __name__ == "__main__":
    main()
