#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_project_info
short_description: What a project is, and whether it is the one that is meant
description: Reads a project. With O(number) it fails where another project answers to the id.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  diff_mode: {support: N/A, details: 'Changes nothing, so there is no difference to show.'}
options:
  number: {description: The project's number; any other one is refused., type: str}
  storage_agent:
    description: Ask for Cloud Storage's own account in the project, which Google makes when it is first asked for.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Is it the project that the inventory means?
  slipway.stack.gcp_project_info:
    project: demo
"""

RETURN = r"""
resource: {description: The project as the API shows it., type: dict, returned: always}
storage_agent: {description: 'Member for grants to the storage agent.', type: str, returned: when O(storage_agent) is true}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, enabled_later, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import argument_spec, start


def storage_agent(client: Client, project: dict[str, Any], check_mode: bool) -> str:
    """Asking is what makes it: until then no grant can name it."""
    address = f"service-{project['projectNumber']}@gs-project-accounts.iam.gserviceaccount.com"
    try:
        answer = client.get("storage", f"storage/v1/projects/{project['projectId']}/serviceAccount") or {}
    except GcpError as error:
        if not enabled_later(error, check_mode):
            raise
        answer = {}
    return f"serviceAccount:{answer.get('email_address', address)}"


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    params = module.params
    try:
        project = client.get("cloudresourcemanager", path_of("v1/projects/{project}", params))
        if project is None or project.get("lifecycleState") != "ACTIVE":
            raise GcpError(f"project {params['project']} does not exist or is being deleted")
        if params["number"] and project["projectNumber"] != params["number"]:
            raise GcpError(f"project {params['project']} has the number {project['projectNumber']}; allowed: {params['number']}")
        found = {"storage_agent": storage_agent(client, project, module.check_mode)} if params["storage_agent"] else {}
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, resource=project, **found)


if __name__ == "__main__":
    main()
