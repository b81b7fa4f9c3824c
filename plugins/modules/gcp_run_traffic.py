#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_run_traffic
short_description: Traffic between the revisions of a Cloud Run service
description: Says which revision gets how much traffic and under which tag it can be reached. The template is not touched.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The service's name., type: str, required: true}
  traffic:
    description: The whole split. Percents add up to 100.
    type: list
    elements: dict
    required: true
    suboptions:
      revision:
        description:
          - A revision's name, V(latest) or V(previous).
          - V(latest) becomes the name of the newest ready revision, so that a later deployment gets no traffic by itself.
          - V(previous) becomes the newest ready revision before that one, so that a second run changes nothing.
          - V(follow) alone keeps following whatever revision is the latest.
        type: str
        required: true
      percent: {description: Share of the traffic., type: int, default: 0}
      tag: {description: Name in front of the address under which this revision alone answers., type: str}
"""

EXAMPLES = r"""
- name: A tenth of the traffic to the new revision
  slipway.stack.gcp_run_traffic:
    project: demo
    region: us-central1
    name: mass-backend
    traffic:
      - {revision: previous, percent: 90}
      - {revision: latest, percent: 10, tag: canary}
"""

RETURN = r"""
resource: {description: The service as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, argument_spec, converge, start
from ansible_collections.slipway.stack.plugins.module_utils.gcp.revisions import newest_first, ready, short

TYPE = "TRAFFIC_TARGET_ALLOCATION_TYPE_"


def read(client: Client, path: str) -> dict[str, Any] | None:
    """The service with its ready revisions, newest first."""
    service = client.get("run", path)
    if service is not None:
        revisions = newest_first(client.items("run", f"{path}/revisions", "revisions"))
        service["readyRevisions"] = [short(revision) for revision in revisions if ready(revision)]
    return service


def target(entry: dict[str, Any], revisions: list[str]) -> dict[str, Any]:
    """One entry in the API's words."""
    name = entry["revision"]
    place = {"latest": 0, "previous": 1}.get(name)
    if place is not None and len(revisions) <= place:
        raise GcpError(f"traffic: there is no {name} revision that is ready; ready are {revisions or 'none'}")
    found: dict[str, Any] = {"type": f"{TYPE}LATEST"} if name == "follow" else {"type": f"{TYPE}REVISION", "revision": name}
    if place is not None:
        found["revision"] = revisions[place]
    return found | {key: entry[key] for key in ("percent", "tag") if entry.get(key)}


def ordered(traffic: list[dict[str, Any]]) -> list[tuple[str, str, int, str]]:
    """For comparing: order means nothing, 0 and "" are the same as missing."""
    return sorted((item.get("type", ""), item.get("revision", ""), item.get("percent", 0), item.get("tag", "")) for item in traffic)


def plan(params: dict[str, Any], live: dict[str, Any] | None, check_mode: bool) -> Plan:
    path = path_of("v2/projects/{project}/locations/{region}/services/{name}", params)
    total = sum(entry["percent"] for entry in params["traffic"])
    if total != 100:
        raise GcpError(f"traffic: the percents add up to {total}, not to 100")
    if live is None and not check_mode:
        raise GcpError(f"{path} does not exist: make it with slipway.stack.gcp_run_service first")
    if live is None:
        asked = {"traffic": params["traffic"]}
        return Plan([Write("PATCH", path, {"updateMask": "traffic"}, asked)], asked, {"traffic": []}, asked)
    revisions = live.pop("readyRevisions")
    wanted = [target(entry, revisions) for entry in params["traffic"]]
    before = {"traffic": live.get("traffic", [])}
    if ordered(wanted) == ordered(before["traffic"]):
        return Plan([], live, before, before)
    after = {"traffic": wanted}
    return Plan([Write("PATCH", path, {"updateMask": "traffic"}, {**after, "etag": live["etag"]})], live | after, before, after)


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    try:
        path = path_of("v2/projects/{project}/locations/{region}/services/{name}", module.params)
        result = converge(
            module, client, "run", lambda: read(client, path), lambda live: plan(module.params, live, module.check_mode), answers=True
        )
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
