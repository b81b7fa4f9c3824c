#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_log_sink
short_description: Log sinks, with the grant that their writer needs
description:
  - Creates, changes and deletes a sink, and lets its writer write to the destination.
  - A sink whose writer may not write loses entries in silence.
  - Deleting a sink takes the grant away first.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The sink's name., type: str, required: true}
  state: {description: Whether the sink exists., type: str, choices: [present, absent], default: present}
  destination:
    description:
      - Where entries go, V(storage.googleapis.com/BUCKET), V(pubsub.googleapis.com/projects/P/topics/T),
        V(bigquery.googleapis.com/projects/P/datasets/D) or V(logging.googleapis.com/projects/P/locations/L/buckets/B).
      - A log bucket of the same project needs no grant.
    type: str
  filter: {description: Which entries; all if left out., type: str}
  description: {description: What it is for., type: str}
  disabled: {description: Do not export., type: bool}
  exclusions:
    description: All exclusions by name.
    type: list
    elements: dict
    suboptions:
      name: {description: Its name., type: str, required: true}
      filter: {description: Which entries to leave out., type: str, required: true}
      description: {description: Why., type: str}
      disabled: {description: Do not exclude., type: bool}
  grant: {description: Let the writer write., type: bool, default: true}
"""

EXAMPLES = r"""
- name: A bucket for the archive
  slipway.stack.gcp_storage_bucket: {project: demo, name: demo-archive, location: us-central1}
- name: Errors go into the archive
  slipway.stack.gcp_log_sink:
    project: demo
    name: errors
    destination: storage.googleapis.com/demo-archive
    filter: severity>=ERROR
"""

RETURN = r"""
resource: {description: The sink as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import functools
import re
from dataclasses import replace
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp import iam
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource, converge, start
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import plan as plan_resource

PARENT = "v2/projects/{project}/sinks"
UNIQUE = {"uniqueWriterIdentity": "true"}
# destination -> the resource whose policy needs the role
PLACES = {
    r"storage\.googleapis\.com/(?P<resource>[^/]+)": ("bucket", "roles/storage.objectCreator"),
    r"pubsub\.googleapis\.com/projects/(?P<project>[^/]+)/topics/(?P<resource>[^/]+)": ("topic", "roles/pubsub.publisher"),
    r"bigquery\.googleapis\.com/projects/(?P<project>[^/]+)/datasets/[^/]+": ("project", "roles/bigquery.dataEditor"),
    r"logging\.googleapis\.com/projects/(?P<project>[^/]+)/locations/[^/]+/buckets/[^/]+": ("project", "roles/logging.bucketWriter"),
}

SINK = Resource(
    documentation=DOCUMENTATION,
    api="logging",
    path=PARENT + "/{name}",
    create=Write("POST", PARENT, UNIQUE),
    initial={"name": "{name}"},
    required_if=(("state", "present", ("destination",)),),
    fields={"grant": Field(path=None), "exclusions": Field(key="name")},
)


def place(params: Any, destination: str) -> dict[str, Any]:
    """The policy that decides whether the writer may write, and the role it needs there."""
    for pattern, (kind, role) in PLACES.items():
        match = re.fullmatch(pattern, destination)
        if match:
            return {"resource": None, **params, **match.groupdict(), "resource_type": kind, "role": role}
    raise GcpError(f"destination {destination!r}: write one of {', '.join(PLACES)}".replace("\\", ""))


def plan(params: Any, live: dict[str, Any] | None) -> Plan:
    todo = plan_resource(SINK, params, live)
    todo.writes = [replace(write, query={**write.query, **UNIQUE}) if write.method == "PATCH" else write for write in todo.writes]
    return todo


def grant(where: dict[str, Any], policy: dict[str, Any] | None, writer: str, check_mode: bool) -> Plan:
    """The writer of a sink that is yet to be made is not known; it holds nothing so far."""
    if policy is None and where["state"] == "present" and not check_mode:
        raise GcpError(f"destination {where['destination']!r} does not exist: make it first, for its entries are lost until then")
    table, key = iam.tabled(policy), (where["role"], "")
    holders = table.get(key, set())
    table[key] = holders | {writer} if where["state"] == "present" else holders - {writer}
    before, after = ({"writer_grant": where["role"]} if writer in members else {} for members in (holders, table[key]))
    return Plan([] if table[key] == holders else [iam.write(where, policy or {}, table)], after, before, after)


def main() -> None:
    module, client = start(lambda: SINK.spec, required_if=SINK.required_if)
    params, results = module.params, []

    def sink() -> dict[str, Any]:
        path = path_of(SINK.path, params)
        results.append(
            converge(module, client, "logging", lambda: client.get("logging", path), lambda live: plan(params, live), answers=True)
        )
        return results[-1]["resource"] or {}

    def allow(live: dict[str, Any]) -> None:
        destination = params["destination"] or live.get("destination", "")
        inside = destination.startswith(f"logging.googleapis.com/projects/{params['project']}/")
        if params["grant"] and destination and not inside:
            where, writer = place(params, destination), live.get("writerIdentity", "")
            read = functools.partial(iam.read, client, where)
            results.append(converge(module, client, "iam", read, lambda policy: grant(where, policy, writer, module.check_mode)))

    try:
        if params["state"] == "present":
            allow(sink())
        else:
            allow(client.get("logging", path_of(SINK.path, params)) or {})
            sink()
    except GcpError as error:
        module.fail_json(msg=str(error))
    writes = [write for result in results for write in result["writes"]]
    diff = {side: {key: value for result in results for key, value in result["diff"][side].items()} for side in ("before", "after")}
    resource = results[0 if params["state"] == "present" else -1]["resource"]
    module.exit_json(changed=bool(writes), writes=writes, diff=diff, resource=resource)


if __name__ == "__main__":
    main()
