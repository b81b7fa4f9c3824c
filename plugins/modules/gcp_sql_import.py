#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_import
short_description: Import a dump from Cloud Storage into Cloud SQL
description: Runs a dump into a database. Each run imports again; what is in the database already is not taken away first.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: none, details: Every run imports.}
options:
  instance: {description: The instance., type: str, required: true}
  uri: {description: 'Where from, C(gs://BUCKET/OBJECT).', type: str, required: true}
  database: {description: Into which database., type: str, required: true}
  user: {description: The PostgreSQL user that runs the dump., type: str}
  confirm_import: {description: The name of the instance once more. Anything else is refused., type: str, required: true}
"""

EXAMPLES = r"""
- name: The dump into the rehearsal's database
  slipway.stack.gcp_sql_import:
    project: demo
    instance: mass-db-drill
    uri: gs://demo-backups/2026-11/mass_db.sql.gz
    database: mass_db
    confirm_import: mass-db-drill
"""

RETURN = r"""
resource: {description: The instance, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, act, argument_spec, start


def plan(client: Client, params: dict[str, Any]) -> Plan:
    instance = params["instance"]
    if params["confirm_import"] != instance:
        raise GcpError(f"confirm_import is {params['confirm_import']!r}: write {instance!r} to change its data")
    path = path_of("sql/v1beta4/projects/{project}/instances/{instance}", params)
    live = client.get("sqladmin", path)
    if live is None:
        raise GcpError(f"{path} does not exist")
    context = {"uri": params["uri"], "fileType": "SQL", "database": params["database"], "importUser": params["user"]}
    write = Write("POST", f"{path}/import", body={"importContext": {key: value for key, value in context.items() if value}})
    return Plan([write], live, {"imported": None}, {"imported": f"{params['uri']} into {params['database']}"})


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    act(module, client, "sqladmin", lambda: plan(client, module.params))


if __name__ == "__main__":
    main()
