#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_database
short_description: Databases of a Cloud SQL instance
description: Creates and deletes a database.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The database's name., type: str, required: true}
  instance: {description: The instance., type: str, required: true}
  state:
    description: Whether the database exists. V(absent) deletes it with all it holds.
    type: str
    choices: [present, absent]
    default: present
  charset: {description: Character set. Cannot change later., type: str}
  collation: {description: Collation. Cannot change later., type: str}
"""

EXAMPLES = r"""
- name: The application's database
  slipway.stack.gcp_sql_database:
    project: demo
    instance: mass-db
    name: mass_db
"""

RETURN = r"""
resource: {description: The database as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, run

DATABASE = Resource(
    documentation=DOCUMENTATION,
    api="sqladmin",
    path="sql/v1beta4/projects/{project}/instances/{instance}/databases/{name}",
    create=Write("POST", "sql/v1beta4/projects/{project}/instances/{instance}/databases"),
    initial={"name": "{name}", "instance": "{instance}", "project": "{project}"},
    update="merge",
    fields={"charset": Field(immutable=True), "collation": Field(immutable=True)},
)


def main() -> None:
    run(DATABASE)


if __name__ == "__main__":
    main()
