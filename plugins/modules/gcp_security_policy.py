#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_security_policy
short_description: Cloud Armor security policies
description:
  - Creates, changes and deletes a global policy with all of its rules.
  - A policy protects only what comes through a load balancer. A Cloud Run service behind it needs ingress
    V(INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER) and no default address, or everybody walks around the policy.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The policy's name., type: str, required: true}
  state:
    description: Whether the policy exists. One that is attached is never deleted.
    type: str
    choices: [present, absent]
    default: present
  description: {description: What it is for., type: str}
  adaptive_protection: {description: Let Google learn and report attacks on layer 7., type: bool}
  default_action:
    description: What happens to everything that no rule names.
    type: str
    choices: [allow, deny(403), deny(404), deny(502)]
    default: allow
  rules:
    description: All rules. One that is not named is removed.
    type: list
    elements: dict
    default: []
    suboptions:
      priority: {description: 'Order, lowest first; also the rule''s identity.', type: int, required: true}
      action:
        description: What happens to what matches.
        type: str
        required: true
        choices: [allow, deny(403), deny(404), deny(502), throttle, rate_based_ban]
      expression: {description: 'Matches by an expression, such as C(true) or C(origin.region_code == "XX").', type: str}
      source_ranges: {description: 'Matches by address, in place of O(rules[].expression). V(*) is everybody.', type: list, elements: str}
      description: {description: Why., type: str, default: ''}
      preview: {description: Log what would happen and let it pass., type: bool, default: false}
      count: {description: 'For V(throttle) and V(rate_based_ban), how many requests.', type: int}
      interval: {description: 'In how many seconds.', type: int}
      ban_duration: {description: 'For V(rate_based_ban), how many seconds the ban lasts.', type: int}
      exceed_action: {description: What happens above the limit. Below it requests pass., type: str, default: deny(429)}
      enforce_on_key: {description: 'Whose requests are counted together, such as V(IP), V(XFF_IP) or V(ALL).', type: str, default: IP}
"""

EXAMPLES = r"""
- name: 100 requests a minute, or ten minutes outside
  slipway.stack.gcp_security_policy:
    project: demo
    name: mass-backend-policy
    rules:
      - {priority: 1000, action: rate_based_ban, expression: "true", count: 100, interval: 60, ban_duration: 600}
"""

RETURN = r"""
resource: {description: The policy as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource, at, overlay
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import plan as plan_resource

POLICIES = "compute/v1/projects/{project}/global/securityPolicies"
LAST = 2147483647
RATES = ("throttle", "rate_based_ban")
EXCLUSIVE = ("match.expr", "match.versionedExpr", "match.config", "rateLimitOptions")
SAME = {"match.config.srcIpRanges": Field(unordered=True)}


def check(params: Any) -> None:
    seen: set[int] = set()
    for entry in params["rules"]:
        needed = {"throttle": ["count", "interval"], "rate_based_ban": ["count", "interval", "ban_duration"]}.get(entry["action"], [])
        wrong = [name for name in ("count", "interval", "ban_duration") if bool(entry[name]) != (name in needed)]
        if wrong:
            raise GcpError(f"rules: {entry['action']} at {entry['priority']} needs exactly {needed or 'no limits'}, look at {wrong}")
        if bool(entry["expression"]) == bool(entry["source_ranges"]):
            raise GcpError(f"rules: {entry['priority']} needs one of expression and source_ranges")
        if entry["priority"] in seen or not 0 <= entry["priority"] < LAST:
            raise GcpError(
                f"rules: priority {entry['priority']} is there twice, or not between 0 and {LAST - 1} (default_action is the last)"
            )
        seen.add(entry["priority"])


POLICY = Resource(
    documentation=DOCUMENTATION,
    api="compute",
    path=POLICIES + "/{name}",
    create=Write("POST", POLICIES),
    initial={"name": "{name}"},
    update="merge",
    etag="fingerprint",
    check=check,
    fields={
        "adaptive_protection": Field("adaptiveProtectionConfig.layer7DdosDefenseConfig.enable"),
        "default_action": Field(path=None),
        "rules": Field(path=None),
    },
)


def match(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["expression"]:
        return {"expr": {"expression": entry["expression"]}}
    return {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": entry["source_ranges"]}}


def rule(entry: dict[str, Any]) -> dict[str, Any]:
    body = {"priority": entry["priority"], "action": entry["action"], "preview": entry["preview"], "description": entry["description"]}
    body["match"] = match(entry)
    if entry["action"] in RATES:
        body["rateLimitOptions"] = {
            "conformAction": "allow",
            "exceedAction": entry["exceed_action"],
            "enforceOnKey": entry["enforce_on_key"],
            "rateLimitThreshold": {"count": entry["count"], "intervalSec": entry["interval"]},
            **({"banDurationSec": entry["ban_duration"]} if entry["action"] == "rate_based_ban" else {}),
        }
    return body


def wanted(params: Any) -> dict[int, dict[str, Any]]:
    last = {"priority": LAST, "action": params["default_action"], "expression": None, "source_ranges": ["*"], "preview": False}
    return {entry["priority"]: rule(entry) for entry in [*params["rules"], {**last, "description": ""}]}


def changes(path: str, want: dict[int, dict[str, Any]], have: dict[int, dict[str, Any]]) -> tuple[list[Write], dict[int, dict[str, Any]]]:
    """New rules first and old ones last, so that at no time less is refused than before or after."""
    writes, after = [], {}
    for priority, new in want.items():
        old = have.get(priority)
        after[priority] = new
        if old is None:
            writes.append(Write("POST", f"{path}/addRule", body=new))
            continue
        gone = [name for name in EXCLUSIVE if at(old, name) is not None and at(new, name) is None]
        after[priority] = overlay(new, old, SAME) if not gone else new
        if after[priority] != old:
            query = {"priority": priority, **({"updateMask": ",".join(gone)} if gone else {})}
            writes.append(Write("POST", f"{path}/patchRule", query, new, repeatable=True))
    writes += [Write("POST", f"{path}/removeRule", {"priority": priority}) for priority in have if priority not in want]
    return writes, after


def view(rules: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """For the diff."""
    return {str(number): {key: value for key, value in rules[number].items() if key != "kind"} for number in sorted(rules)}


def plan(params: Any, live: dict[str, Any] | None) -> Plan:
    todo = plan_resource(POLICY, params, live)
    if params["state"] == "absent":
        return todo
    path, want = path_of(POLICY.path, params), wanted(params)
    have = {item["priority"]: item for item in (live or {}).get("rules", [])}
    writes, after = changes(path, want, have)
    if live is None:
        for write in todo.writes:
            write.body["rules"] = [want[priority] for priority in sorted(want)]
    else:
        todo.writes += writes
    todo.predicted = {**todo.predicted, "rules": [after[priority] for priority in sorted(after)]}
    todo.before, todo.after = {**todo.before, "rules": view(have)}, {**todo.after, "rules": view(after)}
    return todo


def main() -> None:
    run(
        POLICY, lambda client, params: client.get("compute", path_of(POLICY.path, params)), lambda _client, params, live: plan(params, live)
    )


if __name__ == "__main__":
    main()
