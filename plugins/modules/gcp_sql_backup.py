#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_backup
short_description: On-demand backups of a Cloud SQL instance
description:
  - Makes sure that a recent enough successful backup exists, lists all of them, and deletes surplus on-demand ones.
  - Daily backups belong to M(slipway.stack.gcp_sql_instance) and are never deleted here.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: partial, details: 'A backup is made whenever the newest is older than O(max_age).'}
options:
  instance: {description: The instance., type: str, required: true}
  max_age:
    description: Back up now unless a successful backup, daily or on demand, is younger than this. V(0s) always backs up.
    type: str
  description: {description: 'Description of a new backup, such as the release that follows.', type: str, default: made by slipway}
  keep: {description: How many on-demand backups stay. 0 keeps all., type: int, default: 0}
"""

EXAMPLES = r"""
- name: No deployment without a backup of the last hour
  slipway.stack.gcp_sql_backup:
    project: demo
    instance: mass-db
    max_age: 1h
    keep: 7
"""

RETURN = r"""
backups: {description: 'All backups, newest first: id, type, status, end_time, description.', type: list, elements: dict, returned: always}
resource: {description: The ids of on-demand backups that are or would be kept., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import datetime
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, argument_spec, converge, duration, start


def read(client: Client, path: str) -> dict[str, Any]:
    runs = sorted(client.items("sqladmin", path, "items"), key=lambda run: run.get("enqueuedTime", ""), reverse=True)
    return {"runs": runs}


def age(run: dict[str, Any]) -> float:
    ended = datetime.datetime.fromisoformat(run["endTime"].replace("Z", "+00:00"))
    return (datetime.datetime.now(datetime.UTC) - ended).total_seconds()


def plan(params: dict[str, Any], path: str, runs: list[dict[str, Any]]) -> Plan:
    names = {"id": "id", "type": "type", "status": "status", "endTime": "end_time", "description": "description"}
    backups = [{word: run.get(name) for name, word in names.items()} for run in runs]
    good = [run for run in runs if run["status"] == "SUCCESSFUL"]
    kept = [str(run["id"]) for run in good if run["type"] == "ON_DEMAND"]
    before, writes = {"on_demand": list(kept)}, []
    if params["max_age"] and all(age(run) >= float(duration(params["max_age"])[:-1]) for run in good):
        writes.append(Write("POST", path, body={"description": params["description"]}))
        kept.insert(0, "new")
    if params["keep"]:
        writes += [Write("DELETE", f"{path}/{identifier}") for identifier in kept[params["keep"] :] if identifier != "new"]
        kept = kept[: params["keep"]]
    after = {"on_demand": kept}
    return Plan(writes, after, before, after, {"backups": backups})


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    params = module.params
    try:
        path = path_of("sql/v1beta4/projects/{project}/instances/{instance}/backupRuns", params)
        result = converge(
            module, client, "sqladmin", lambda: read(client, path), lambda live: plan(params, path, (live or {"runs": []})["runs"])
        )
        if result["changed"] and not module.check_mode:
            result["backups"] = plan({**params, "max_age": None, "keep": 0}, path, read(client, path)["runs"]).facts["backups"]
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{**result, "resource": result["diff"]["after"]})


if __name__ == "__main__":
    main()
