#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_service_account
short_description: Service accounts
description: Creates, changes and deletes a service account. What it may do is the work of M(slipway.stack.gcp_iam_member).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: 'The account''s id, the part before the at sign.', type: str, required: true}
  state: {description: Whether the account exists., type: str, choices: [present, absent], default: present}
  display_name: {description: Name for people., type: str}
  description: {description: What it is for., type: str}
"""

EXAMPLES = r"""
- name: The identity that the API runs as
  slipway.stack.gcp_service_account:
    project: demo
    name: mass-backend-sa
    display_name: API at run time
"""

RETURN = r"""
resource: {description: The account as the API shows it; in check mode as it would be., type: dict, returned: always}
email: {description: 'Its address, known before it exists.', type: str, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Resource, run

ACCOUNT = Resource(
    documentation=DOCUMENTATION,
    api="iam",
    path="v1/projects/{project}/serviceAccounts/{name}@{project}.iam.gserviceaccount.com",
    create=Write("POST", "v1/projects/{project}/serviceAccounts"),
    create_body=lambda params, body: {"accountId": params["name"], "serviceAccount": body},
    update="wrapped:serviceAccount",
    facts=lambda params: {"email": "{name}@{project}.iam.gserviceaccount.com".format(**params)},
)


def main() -> None:
    run(ACCOUNT)


if __name__ == "__main__":
    main()
