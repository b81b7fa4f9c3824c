# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring: what the requests to a Cloud Run revision looked like. Tests say it by image, below `metrics/IMAGE`."""

from __future__ import annotations

import re

from ..discovery import Json
from ..world import ApiError, Call, registry, unknown

LABEL = re.compile(r'(metric\.type|resource\.type|resource\.labels\.\w+) = "([^"]+)"')
NEEDED = ("filter", "interval.endTime")


@registry.method("monitoring.projects.timeSeries.list")
def series(call: Call) -> Json:
    missing = [name for name in NEEDED if name not in call.query]
    if missing:
        raise ApiError(400, "INVALID_ARGUMENT", f"{missing[0]} must be set")
    if int(call.query["aggregation.alignmentPeriod"].removesuffix("s")) < 60:
        raise ApiError(400, "INVALID_ARGUMENT", "aggregation.alignmentPeriod must be at least 60s")
    wanted = dict(LABEL.findall(call.query["filter"]))
    how = tuple(call.query.get(f"aggregation.{name}") for name in ("perSeriesAligner", "crossSeriesReducer", "groupByFields"))
    metric = wanted["metric.type"]
    suffix = f"/services/{wanted['resource.labels.service_name']}/revisions/{wanted['resource.labels.revision_name']}"
    revision = next((item for key, item in call.world.objects.items() if key.startswith("run/") and key.endswith(suffix)), None)
    if revision is None:
        return {}
    found = call.world.objects.get(f"metrics/{revision['containers'][0]['image']}", {})
    end = {"endTime": call.query["interval.endTime"], "startTime": call.query["interval.startTime"]}
    if metric.endswith("/request_count") and how == ("ALIGN_DELTA", "REDUCE_SUM", "metric.labels.response_code_class"):
        return {
            "timeSeries": [
                {
                    "metric": {"type": metric, "labels": {"response_code_class": kind}},
                    "resource": {"type": "cloud_run_revision"},
                    "metricKind": "DELTA",
                    "valueType": "INT64",
                    "points": [{"interval": end, "value": {"int64Value": str(count)}}],
                }
                for kind, count in found.get("requests", {}).items()
            ]
        }
    if metric.endswith("/request_latencies") and how == ("ALIGN_DELTA", "REDUCE_PERCENTILE_95", None):
        points = [{"interval": end, "value": {"doubleValue": found["p95_ms"]}}] if found else []
        return (
            {"timeSeries": [{"metric": {"type": metric}, "metricKind": "GAUGE", "valueType": "DOUBLE", "points": points}]} if points else {}
        )
    raise unknown(f"aggregate {metric} by {how}")
