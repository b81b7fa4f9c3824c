#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_iam_policy
short_description: A resource's IAM policy as a whole
description:
  - Makes the policy hold these bindings and no others. Grants that are not named are taken away, up to O(max_removals).
  - Google's own service agents keep their grants on a project unless O(keep_service_agents) is false.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  resource_type:
    description: What the policy belongs to.
    type: str
    default: project
    choices: [project, service_account, secret, bucket, run_service, run_job, repository, topic, subscription, kms_key]
  resource: {description: 'Its name, or e-mail, or C(RING/KEY). Nothing for the project itself.', type: str}
  bindings:
    description: Who has which role.
    type: list
    elements: dict
    required: true
    suboptions:
      role: {description: The role., type: str, required: true}
      members: {description: Who has it., type: list, elements: str, required: true}
      condition:
        description: Under this condition alone.
        type: dict
        suboptions:
          title: {description: Name of the condition., type: str, required: true}
          expression: {description: What must hold., type: str, required: true}
          description: {description: Why., type: str}
  scope:
    description: V(policy) rules over every role, V(roles) over the roles named in O(bindings) only.
    type: str
    choices: [policy, roles]
    default: policy
  max_removals: {description: How many grants may be taken away. More make the module fail and list them., type: int, default: 0}
  keep_service_agents: {description: Leave the grants of Google's own service agents alone., type: bool, default: true}
"""

EXAMPLES = r"""
- name: Nobody but the API reads this secret
  slipway.stack.gcp_iam_policy:
    project: demo
    resource_type: secret
    resource: jwt-secret-key
    max_removals: 5
    bindings:
      - role: roles/secretmanager.secretAccessor
        members: ["serviceAccount:mass-backend-sa@demo.iam.gserviceaccount.com"]
"""

RETURN = r"""
resource: {description: The policy's bindings, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import re
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp import iam
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan

SERVICE_AGENT = re.compile(r"^serviceAccount:(service-\d+@.*\.iam\.gserviceaccount\.com|\d+@cloudservices\.gserviceaccount\.com)$")


def plan(params: dict[str, Any], live: dict[str, Any] | None, check_mode: bool) -> Plan:
    path = iam.place(params)[1]
    if live is None and not check_mode:
        raise GcpError(f"{path} does not exist: make it before granting on it")
    old, asked = iam.tabled(live), iam.tabled({"bindings": params["bindings"]})
    wanted = {key: iam.spelled(members, old.get(key, set())) for key, members in asked.items()}
    roles = {role for role, _condition in wanted}
    for key, members in old.items():
        kept = {member for member in members if params["keep_service_agents"] and SERVICE_AGENT.match(member)}
        wanted.setdefault(key, set()).update(members if params["scope"] == "roles" and key[0] not in roles else kept)
    removed = [f"{role}: {member}" for (role, text), members in sorted(old.items()) for member in sorted(members - wanted[role, text])]
    if len(removed) > params["max_removals"]:
        raise GcpError(f"{path}: {len(removed)} grants would be taken away, max_removals is {params['max_removals']}: {'; '.join(removed)}")
    views = [{"bindings": iam.untabled(side, live)} for side in (old, wanted)]
    if views[0] == views[1]:
        return Plan([], views[0], views[0], views[0])
    return Plan([iam.write(params, live or {}, wanted)], views[1], views[0], views[1])


def main() -> None:
    iam.run(DOCUMENTATION, plan)


if __name__ == "__main__":
    main()
