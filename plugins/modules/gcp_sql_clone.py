#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_clone
short_description: Clones of a Cloud SQL instance, also at a point in time
description: Makes a new instance from another one as it is now or as it was at a moment. An instance of that name is left alone.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The new instance., type: str, required: true}
  source: {description: The instance to clone., type: str, required: true}
  point_in_time:
    description: The moment in RFC 3339, such as V(2024-12-01T10:30:00Z). Needs point-in-time recovery on the source.
    type: str
"""

EXAMPLES = r"""
- name: The database as it was before the accident
  slipway.stack.gcp_sql_clone:
    project: demo
    source: mass-db
    name: mass-db-recovery
"""

RETURN = r"""
resource: {description: The new instance as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, run

CLONE = Resource(
    documentation=DOCUMENTATION,
    api="sqladmin",
    path="sql/v1beta4/projects/{project}/instances/{name}",
    create=Write("POST", "sql/v1beta4/projects/{project}/instances/{source}/clone"),
    create_body=lambda params, body: {"cloneContext": {**body, "destinationInstanceName": params["name"]}},
    update="none",
    pending=lambda live: live.get("state") == "PENDING_CREATE",
    fields={"source": Field(path=None), "point_in_time": Field(write_only=True)},
)


def main() -> None:
    run(CLONE)


if __name__ == "__main__":
    main()
