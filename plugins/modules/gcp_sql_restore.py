#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_restore
short_description: Restore a backup into a Cloud SQL instance
description:
  - Overwrites all data of an instance with a backup. Each run restores again.
  - To look at old data without losing the new, use M(slipway.stack.gcp_sql_clone).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: none, details: Every run restores.}
options:
  instance: {description: The instance that is overwritten., type: str, required: true}
  backup_id: {description: 'The backup, from M(slipway.stack.gcp_sql_backup).', type: str, required: true}
  source: {description: The instance that the backup was made of. Without it O(instance) itself., type: str}
  confirm_overwrite: {description: The name of the instance once more. Anything else is refused., type: str, required: true}
"""

EXAMPLES = r"""
- name: Back to this morning
  slipway.stack.gcp_sql_restore:
    project: demo
    instance: mass-db
    backup_id: "1700000000001"
    confirm_overwrite: mass-db
"""

RETURN = r"""
resource: {description: The restored instance, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, act, argument_spec, start


def plan(client: Client, params: dict[str, Any]) -> Plan:
    instance, source = params["instance"], params["source"] or params["instance"]
    if params["confirm_overwrite"] != instance:
        raise GcpError(f"confirm_overwrite is {params['confirm_overwrite']!r}: write {instance!r} to overwrite all of its data")
    base = "sql/v1beta4/projects/{project}/instances/{instance}"
    path = path_of(base, params)
    backup = client.get("sqladmin", path_of(base + "/backupRuns/{backup_id}", {**params, "instance": source}))
    live = client.get("sqladmin", path)
    if backup is None or backup["status"] != "SUCCESSFUL":
        raise GcpError(f"instance {source} has no successful backup {params['backup_id']}")
    if live is None:
        raise GcpError(f"{path} does not exist: make the instance first")
    context = {"backupRunId": params["backup_id"], "instanceId": source, "project": params["project"]}
    write = Write("POST", f"{path}/restoreBackup", body={"restoreBackupContext": context})
    after = {"data": f"backup {params['backup_id']} of {source}, finished {backup.get('endTime')}"}
    return Plan([write], live, {"data": "current"}, after)


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    act(module, client, "sqladmin", lambda: plan(client, module.params))


if __name__ == "__main__":
    main()
