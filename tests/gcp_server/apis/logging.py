# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Logging: metrics, sinks with a writer of their own, buckets that outlive their deletion by a week."""

from __future__ import annotations

import copy
from urllib.parse import quote

from ..crud import Kind
from ..discovery import Json
from ..world import ApiError, Call, registry


def invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_ARGUMENT", message)


# -- metrics: PUT creates and replaces ------------------------------------------------------------------------------------


def store_metric(call: Call, key: str) -> Json:
    new = copy.deepcopy(call.body)
    old = call.world.objects.get(key, {})
    if not new.get("name") or not new.get("filter"):
        raise invalid("name and filter must be set")
    if not key.endswith("/" + quote(new["name"], safe="")):
        raise invalid("the name does not belong to this metric")
    descriptor = new.setdefault("metricDescriptor", {})
    if old and any(descriptor.get(name) != old["metricDescriptor"].get(name) for name in ("metricKind", "valueType")):
        raise invalid("metricKind and valueType cannot be changed")
    descriptor.setdefault("metricKind", "DELTA")
    descriptor.setdefault("valueType", "INT64")
    if descriptor["valueType"] == "DISTRIBUTION" and not new.get("valueExtractor"):
        raise invalid("a distribution needs a value_extractor")
    if {label["key"] for label in descriptor.get("labels", [])} != set(new.get("labelExtractors", {})):
        raise invalid("labels and label_extractors must name the same labels")
    project = key.split("/")[2]
    descriptor |= {
        "name": f"projects/{project}/metricDescriptors/logging.googleapis.com/user/{new['name']}",
        "type": f"logging.googleapis.com/user/{new['name']}",
    }
    new |= {"createTime": old.get("createTime", call.world.now()), "updateTime": call.world.now()}
    new["resourceName"] = f"projects/{project}/metrics/{new['name']}"
    call.world.objects[key] = new
    return METRICS.show(call, new)


@registry.method("logging.projects.metrics.create")
def create_metric(call: Call) -> Json:
    key = f"{call.key}/{quote(call.body['name'], safe='')}"
    if key in call.world.objects:
        raise ApiError(409, "ALREADY_EXISTS", f"Metric {call.body['name']} already exists")
    return store_metric(call, key)


@registry.method("logging.projects.metrics.update")
def update_metric(call: Call) -> Json:
    return store_metric(call, call.key)


METRICS = Kind("logging.projects.metrics", items="metrics", verbs=("get", "list", "delete"))


# -- sinks ----------------------------------------------------------------------------------------------------------------


def on_sink(call: Call, new: Json, old: Json | None) -> None:
    if not new.get("destination"):
        raise invalid("destination must be set")
    if call.query.get("uniqueWriterIdentity") != "true":
        raise invalid("this server knows sinks with a writer of their own only")
    inside = new["destination"].startswith(f"logging.googleapis.com/projects/{call.key.split('/')[2]}/")
    new.pop("writerIdentity", None)
    if not inside:
        new["writerIdentity"] = (old or {}).get("writerIdentity") or (
            f"serviceAccount:service-1-{next(call.world.numbers)}@gcp-sa-logging.iam.gserviceaccount.com"
        )
    new.setdefault("createTime", call.world.now())
    new["updateTime"] = call.world.now()


Kind("logging.projects.sinks", items="sinks", id_from="body.name", full_name=False, without_mask="required", on_write=on_sink)


# -- buckets --------------------------------------------------------------------------------------------------------------


def on_bucket(call: Call, new: Json, old: Json | None) -> None:
    if old and old["lifecycleState"] != "ACTIVE":
        raise ApiError(400, "FAILED_PRECONDITION", "The bucket is being deleted.")
    if old and old.get("locked") and new.get("retentionDays") != old.get("retentionDays"):
        raise ApiError(400, "FAILED_PRECONDITION", "The bucket is locked: its retention cannot be changed.")
    if old and old.get("analyticsEnabled") and not new.get("analyticsEnabled"):
        raise invalid("analytics cannot be switched off")
    new["retentionDays"] = new.get("retentionDays") or 30
    new.setdefault("lifecycleState", "ACTIVE")
    new.setdefault("createTime", call.world.now())
    new["updateTime"] = call.world.now()


class Buckets(Kind):
    """Every project has _Default, and a deleted bucket can be brought back for seven days."""

    def get(self, call: Call) -> Json:
        self.born(call)
        return super().get(call)

    def patch(self, call: Call) -> Json:
        self.born(call)
        return super().patch(call)

    def delete(self, call: Call) -> Json:
        old = call.find()
        if call.key.endswith("/_Default"):
            raise invalid("_Default cannot be deleted")
        old["lifecycleState"] = "DELETE_REQUESTED"
        return {}

    def born(self, call: Call) -> None:
        if call.key.endswith("/locations/global/buckets/_Default"):
            name = call.key.partition("/")[2]
            call.world.objects.setdefault(call.key, {"name": name, "retentionDays": 30, "lifecycleState": "ACTIVE"})


Buckets("logging.locations.buckets", items="buckets", id_from="bucketId", on_write=on_bucket)


@registry.method("logging.projects.locations.buckets.undelete", "logging.locations.buckets.undelete")
def undelete(call: Call) -> Json:
    call.find()["lifecycleState"] = "ACTIVE"
    return {}
