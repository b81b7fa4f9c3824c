#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_log_metric
short_description: Metrics made from logs
description: Creates, changes and deletes a metric that counts log entries, or takes a number out of them.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: 'The metric''s name; it may hold slashes.', type: str, required: true}
  state: {description: Whether the metric exists., type: str, choices: [present, absent], default: present}
  filter: {description: Which entries., type: str}
  description: {description: What it is for., type: str}
  value_extractor:
    description:
      - Where the number is, such as C(EXTRACT(jsonPayload.latency_ms\)). Without it entries are counted.
      - Whether there is one cannot change later.
    type: str
  labels: {description: 'All labels of the metric: name and extractor, such as C(EXTRACT(jsonPayload.route\)).', type: dict}
  unit: {description: 'Unit of the number, such as V(ms).', type: str}
  bucket_options: {description: 'The distribution''s buckets, in the API''s words.', type: dict}
  disabled: {description: Do not measure., type: bool}
"""

EXAMPLES = r"""
- name: Errors by route
  slipway.stack.gcp_log_metric:
    project: demo
    name: api/errors
    filter: resource.type="cloud_run_revision" AND severity>=ERROR
    labels:
      route: EXTRACT(jsonPayload.route)
"""

RETURN = r"""
resource: {description: The metric as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, run


def descriptor(params: Any) -> dict[str, Any]:
    """The kind of metric follows from what is measured; every label is text."""
    body: dict[str, Any] = {"metricKind": "DELTA", "valueType": "DISTRIBUTION" if params["value_extractor"] else "INT64"}
    if params["unit"] is not None:
        body["unit"] = params["unit"]
    if params["labels"] is not None:
        body["labels"] = [{"key": name, "valueType": "STRING"} for name in params["labels"]]
    return {"metricDescriptor": body} if params["state"] == "present" else {}


METRIC = Resource(
    documentation=DOCUMENTATION,
    api="logging",
    path="v2/projects/{project}/metrics/{name}",
    create=Write("POST", "v2/projects/{project}/metrics"),
    initial={"name": "{name}"},
    update="put",
    update_method="PUT",
    output_only=("createTime", "updateTime", "resourceName"),
    build=descriptor,
    required_if=(("state", "present", ("filter",)),),
    nested={
        "metricDescriptor.labels": Field(key="key"),
        "metricDescriptor.labels[].valueType": Field(normalise=lambda kind: None if kind == "STRING" else kind),
    },
    fields={
        "filter": Field(),
        "description": Field(),
        "value_extractor": Field(),
        "labels": Field("labelExtractors", exact=True),
        "bucket_options": Field(whole=True),
        "disabled": Field(),
    },
)


def main() -> None:
    run(METRIC)


if __name__ == "__main__":
    main()
