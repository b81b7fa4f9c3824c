#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_canary_gate
short_description: Watches a Cloud Run revision, and fails when it does badly
description:
  - Reads the revision's error rate and latency from Monitoring for a while and fails at the first bad reading. Changes nothing.
  - Monitoring shows requests with a delay of up to three minutes; a shorter watch sees little. See O(when_quiet).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  check_mode: {support: partial, details: Takes one reading and does not wait for more.}
  diff_mode: {support: N/A, details: 'Changes nothing, so there is no difference to show.'}
options:
  service: {description: The Cloud Run service., type: str, required: true}
  revision: {description: The revision that is on trial., type: str, required: true}
  watch_seconds: {description: How long to watch. 0 judges once., type: int, default: 300}
  interval_seconds: {description: Pause between two readings., type: int, default: 30}
  since: {description: 'Only what happened after this moment (RFC 3339) counts. Without it the watch begins now.', type: str}
  max_error_rate: {description: Largest share of 5xx answers., type: float, default: 0.05}
  max_p95_ms: {description: Largest 95th percentile of the latency in milliseconds., type: float, default: 5000}
  min_requests: {description: Fewer requests than this prove nothing., type: int, default: 20}
  when_quiet:
    description: What fewer requests than O(min_requests) by the end of the watch mean.
    type: str
    choices: [pass, fail]
    default: fail
"""

EXAMPLES = r"""
- name: Does the new revision do well?
  slipway.stack.gcp_canary_gate:
    project: demo
    service: mass-backend
    revision: mass-backend-00002-abc
    watch_seconds: 0
    when_quiet: pass
"""

RETURN = r"""
requests: {description: How many requests were judged., type: int, returned: always}
error_rate: {description: Share of 5xx answers., type: float, returned: always}
p95_ms: {description: 95th percentile of the latency; nothing where there was no request., type: float, returned: always}
"""

import datetime
import time
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import argument_spec, start

COUNT, LATENCY = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"
SHORTEST = 60  # Monitoring's smallest alignment period


def series(client: Client, params: dict[str, Any], metric: str, since: datetime.datetime, **aggregation: str) -> list[dict[str, Any]]:
    now = datetime.datetime.now(datetime.UTC)
    begin = min(since, now - datetime.timedelta(seconds=SHORTEST))
    query = {
        "filter": f'metric.type = "{metric}" AND resource.type = "cloud_run_revision" AND '
        f'resource.labels.service_name = "{params["service"]}" AND resource.labels.revision_name = "{params["revision"]}"',
        "view": "FULL",
        "interval.startTime": begin.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "interval.endTime": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "aggregation.alignmentPeriod": f"{max(SHORTEST, round((now - begin).total_seconds()))}s",
        **{f"aggregation.{name}": value for name, value in aggregation.items()},
    }
    return list(client.items("monitoring", path_of("v3/projects/{project}/timeSeries", params), "timeSeries", query))


def reading(client: Client, params: dict[str, Any], since: datetime.datetime) -> dict[str, Any]:
    """Requests, share of errors, latency."""
    counts = {"2xx": 0, "5xx": 0}
    group = "metric.labels.response_code_class"
    answers = series(client, params, COUNT, since, perSeriesAligner="ALIGN_DELTA", crossSeriesReducer="REDUCE_SUM", groupByFields=group)
    for item in answers:
        kind = item.get("metric", {}).get("labels", {}).get("response_code_class", "")
        counts[kind] = counts.get(kind, 0) + sum(int(point["value"].get("int64Value", 0)) for point in item.get("points", []))
    total = sum(counts.values())
    slow = series(client, params, LATENCY, since, perSeriesAligner="ALIGN_DELTA", crossSeriesReducer="REDUCE_PERCENTILE_95")
    values = [float(point["value"].get("doubleValue", 0)) for item in slow for point in item.get("points", [])]
    return {"requests": total, "error_rate": counts["5xx"] / total if total else 0.0, "p95_ms": max(values, default=None)}


def fault(params: dict[str, Any], found: dict[str, Any]) -> str:
    """What is wrong with this reading, or nothing."""
    if found["requests"] < max(1, params["min_requests"]):
        return ""
    if found["error_rate"] > params["max_error_rate"]:
        return f"error rate {found['error_rate']:.1%}, allowed {params['max_error_rate']:.1%}"
    if found["p95_ms"] is not None and found["p95_ms"] > params["max_p95_ms"]:
        return f"95th percentile {found['p95_ms']:.0f} ms, allowed {params['max_p95_ms']:.0f} ms"
    return ""


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    params = module.params
    try:
        text = params["since"]
        since = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else datetime.datetime.now(datetime.UTC)
        deadline = time.monotonic() + params["watch_seconds"]
        while True:
            found = reading(client, params, since)
            bad = fault(params, found)
            if bad:
                module.fail_json(msg=f"{params['revision']}: {bad} over {found['requests']} requests", **found)
            rest = deadline - time.monotonic()
            if rest <= 0 or module.check_mode:
                break
            time.sleep(min(rest, max(1, params["interval_seconds"])))
        if found["requests"] < params["min_requests"] and params["when_quiet"] == "fail" and not module.check_mode:
            wanted = params["min_requests"]
            module.fail_json(msg=f"{params['revision']}: only {found['requests']} requests, {wanted} are needed to judge it", **found)
    except (GcpError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
