#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_dashboard
short_description: Monitoring dashboards
description: Creates, changes and deletes a dashboard. It is found by its display name, for the server makes the real one.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The display name., type: str, required: true}
  state: {description: Whether the dashboard exists., type: str, choices: [present, absent], default: present}
  definition:
    description:
      - 'The layout, in the API''s words: one of C(gridLayout), C(mosaicLayout), C(rowLayout), C(columnLayout).'
      - C(dashboardFilters) and what else a dashboard has can stand beside it.
      - The JSON of a dashboard that was exported works as it stands; its C(name), C(etag) and C(displayName) are left out.
    type: dict
  labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: How the API does
  slipway.stack.gcp_dashboard:
    project: demo
    name: API
    definition:
      gridLayout:
        columns: "2"
        widgets:
          - title: Requests
            xyChart:
              dataSets:
                - plotType: LINE
                  timeSeriesQuery:
                    timeSeriesFilter:
                      filter: metric.type = "run.googleapis.com/request_count"
                      aggregation: {alignmentPeriod: 60s, perSeriesAligner: ALIGN_RATE}
"""

RETURN = r"""
resource: {description: The dashboard as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import by_display_name, planned, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource

COLLECTION = "v1/projects/{project}/dashboards"
LAYOUTS = ("gridLayout", "mosaicLayout", "rowLayout", "columnLayout")
WIDGETS = ("gridLayout.widgets[]", "mosaicLayout.tiles[].widget", "rowLayout.rows[].widgets[]", "columnLayout.columns[].widgets[]")


def definition(params: Any) -> dict[str, Any]:
    """One layout excludes the others, so the others are cleared."""
    given = params["definition"] or {}
    kept = {key: value for key, value in given.items() if key not in ("name", "etag", "displayName")}
    return kept | ({layout: None for layout in LAYOUTS if layout not in kept} if kept else {})


def check(params: Any) -> None:
    named = [layout for layout in LAYOUTS if layout in (params["definition"] or {})]
    if params["state"] == "present" and len(named) != 1:
        raise GcpError(f"definition: exactly one of {', '.join(LAYOUTS)} is needed, there is {' and '.join(named) or 'none'}")


DASHBOARD = Resource(
    documentation=DOCUMENTATION,
    api="monitoring",
    path=COLLECTION + "/{id}",
    create=Write("POST", COLLECTION),
    create_body=lambda _params, body: {key: value for key, value in body.items() if value is not None},
    update="put",
    etag="etag",
    build=definition,
    check=check,
    nested={path: Field(exact=True) for path in WIDGETS},
    fields={"name": Field("displayName"), "labels": Field(exact=True)},
)


def plan(client: Client, params: Any, live: dict[str, Any] | None) -> Plan:
    """An empty object such as `blank` means something here, so what is sent is what the user wrote."""
    todo = planned(DASHBOARD)(client, params, live)
    for write in todo.writes:
        if live is not None and write.body:
            write.body.update(definition(params))
            todo.predicted = {**(todo.predicted or {}), **definition(params)}
    return todo


def main() -> None:
    run(DASHBOARD, by_display_name("monitoring", COLLECTION, "dashboards"), plan)


if __name__ == "__main__":
    main()
