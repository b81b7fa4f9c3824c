#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_alert_policy
short_description: Monitoring alert policies
description: Creates, changes and deletes an alert policy. It is found by its display name, for the server makes the real one.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The display name., type: str, required: true}
  state: {description: Whether the policy exists., type: str, choices: [present, absent], default: present}
  conditions:
    description:
      - All conditions, in the API's words, each with its own C(displayName). Durations may be written as V(5m).
      - A condition keeps its identity, and so its open incidents, as long as its C(displayName) stays.
      - One of another kind needs another name.
    type: list
    elements: dict
  combiner: {description: How conditions combine., type: str, choices: [OR, AND, AND_WITH_MATCHING_RESOURCE], default: OR}
  notification_channels:
    description:
      - Who is told, by display names of channels or by C(projects/P/notificationChannels/ID).
      - Channels are made with M(slipway.stack.gcp_notification_channel).
    type: list
    elements: str
  documentation: {description: 'Text in the notification, in Markdown. The place for a link to the runbook.', type: str}
  subject: {description: Subject of the notification., type: str}
  severity: {description: How bad it is., type: str, choices: [CRITICAL, ERROR, WARNING]}
  auto_close: {description: 'Close an incident after this long without data, such as V(30m).', type: str}
  rate_limit: {description: 'For log conditions, at most one notification in this time, such as V(5m).', type: str}
  enabled: {description: Whether the policy works., type: bool, default: true}
  user_labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: More than 1 percent of the requests fail
  slipway.stack.gcp_alert_policy:
    project: demo
    name: API errors
    severity: CRITICAL
    documentation: See https://example.com/runbooks/api-errors
    conditions:
      - displayName: 5xx
        conditionThreshold:
          filter: >-
            resource.type = "cloud_run_revision" AND metric.type = "run.googleapis.com/request_count"
            AND metric.labels.response_code_class = "5xx"
          comparison: COMPARISON_GT
          thresholdValue: 0.01
          duration: 5m
          aggregations: [{alignmentPeriod: 60s, perSeriesAligner: ALIGN_RATE}]
"""

RETURN = r"""
resource:
  description: 'The policy as the API shows it, with channels by their display names; in check mode as it would be.'
  type: dict
  returned: always
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import functools
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, enabled_later, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import by_display_name, planned, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource, duration, seconds

PARENT = "v3/projects/{project}"
DURATIONS = ("duration", "alignmentPeriod", "evaluationInterval")
LIST = "notificationChannels"


def check(params: Any) -> None:
    if params["state"] == "present" and not params["conditions"]:
        raise GcpError("conditions: a policy needs at least one")
    unnamed = [condition for condition in params["conditions"] or [] if not condition.get("displayName")]
    if unnamed:
        raise GcpError(f"conditions: each needs a displayName, this one has none: {unnamed[0]}")


def durations(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: duration(item) if key in DURATIONS else durations(item) for key, item in value.items()}
    return [durations(item) for item in value] if isinstance(value, list) else value


@functools.cache
def channels(client: Client, check_mode: bool) -> dict[str, str]:
    """Real name -> display name of every channel; read once."""
    try:
        items = list(client.items("monitoring", path_of(PARENT, client.options) + "/" + LIST, LIST))
    except GcpError as error:
        if not enabled_later(error, check_mode):
            raise
        items = []
    return {item["name"]: item.get("displayName", "") for item in items}


def show(client: Client, params: Any, policy: dict[str, Any]) -> dict[str, Any]:
    """People compare display names; so the diff of a check run, when a channel is yet to be made, is that of the real run."""
    return (
        {**policy, LIST: [channels(client, params["check_mode"]).get(name) or name for name in policy[LIST]]}
        if policy.get(LIST)
        else policy
    )


def real(client: Client, params: Any, name: str) -> str:
    names = [path for path, shown in channels(client, params["check_mode"]).items() if name in (shown, path)]
    if len(names) > 1 or (not names and not params["check_mode"]):
        raise GcpError(f"notification_channels: {name!r} is the name of {len(names)} channels, it must be one")
    return names[0] if names else name


def plan(client: Client, params: Any, live: dict[str, Any] | None) -> Plan:
    given = params["notification_channels"]
    shown = [channels(client, params["check_mode"]).get(name) or name for name in given] if given else given
    todo = planned(POLICY)(client, {**params, "notification_channels": shown}, show(client, params, live) if live else live)
    for write in todo.writes:
        if write.body and write.body.get(LIST):
            write.body[LIST] = [real(client, params, name) for name in write.body[LIST]]
    return todo


LIMIT = "conditions[].conditionThreshold"
POLICY = Resource(
    documentation=DOCUMENTATION,
    api="monitoring",
    path=PARENT + "/alertPolicies/{id}",
    create=Write("POST", PARENT + "/alertPolicies"),
    check=check,
    fields={
        "name": Field("displayName"),
        "conditions": Field(key="displayName", convert=durations),
        "notification_channels": Field(unordered=True),
        "documentation": Field("documentation.content"),
        "subject": Field("documentation.subject"),
        "auto_close": Field("alertStrategy.autoClose", convert=duration, normalise=seconds),
        "rate_limit": Field("alertStrategy.notificationRateLimit.period", convert=duration, normalise=seconds),
        "user_labels": Field(exact=True),
    },
    nested={
        LIMIT: Field(drops=("denominatorFilter", "denominatorAggregations", "forecastOptions")),
        f"{LIMIT}.aggregations": Field(closed=True),
        f"{LIMIT}.denominatorAggregations": Field(closed=True),
        "conditions[].conditionAbsent.aggregations": Field(closed=True),
        "conditions[].conditionMatchedLog": Field(drops=("labelExtractors",)),
    },
)


def main() -> None:
    run(POLICY, by_display_name("monitoring", PARENT + "/alertPolicies", "alertPolicies"), plan, show)


if __name__ == "__main__":
    main()
