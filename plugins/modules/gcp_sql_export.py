#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_export
short_description: Export Cloud SQL data to Cloud Storage
description: Writes a dump into a bucket. Where the object exists already, nothing happens, unless O(overwrite) is set.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: partial, details: Every run with O(overwrite) exports.}
options:
  instance: {description: The instance., type: str, required: true}
  uri:
    description: Where to, C(gs://BUCKET/OBJECT); C(.gz) compresses. The instance's service account must be allowed to write there.
    type: str
    required: true
  databases: {description: Which databases. PostgreSQL takes exactly one., type: list, elements: str}
  offload: {description: Use a temporary instance so that this one is not slowed down., type: bool, default: false}
  overwrite: {description: Export even where the object exists., type: bool, default: false}
"""

EXAMPLES = r"""
- name: The monthly dump
  slipway.stack.gcp_sql_export:
    project: demo
    instance: mass-db
    uri: gs://demo-backups/2026-11/mass_db.sql.gz
    databases: [mass_db]
    offload: true
"""

RETURN = r"""
resource: {description: The object in the bucket, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import re
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, act, argument_spec, start


def plan(client: Client, params: dict[str, Any]) -> Plan:
    match = re.fullmatch(r"gs://([^/]+)/(.+)", params["uri"])
    if not match:
        raise GcpError(f"uri {params['uri']!r}: write gs://BUCKET/OBJECT")
    place = path_of("storage/v1/b/{bucket}/o/{object}", {"bucket": match[1], "object": match[2]})
    live = client.get("storage", place)
    before = {"uri": params["uri"], "state": "present" if live else "absent"}
    if live and not params["overwrite"]:
        return Plan([], live, before, before)
    context = {"uri": params["uri"], "fileType": "SQL", "offload": params["offload"], "databases": params["databases"]}
    body = {"exportContext": {key: value for key, value in context.items() if value}}
    write = Write("POST", path_of("sql/v1beta4/projects/{project}/instances/{instance}/export", params), body=body)
    return Plan([write], {"name": match[2], "bucket": match[1]}, before, {"uri": params["uri"], "state": "present, exported now"})


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    act(module, client, "sqladmin", lambda: plan(client, module.params))


if __name__ == "__main__":
    main()
