# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Run v2: every new template is a revision, traffic goes to revisions, and defaults are filled in."""

from __future__ import annotations

import copy
import hashlib
import uuid
from typing import Any

from .. import access
from ..crud import Kind, done_operation, start_operation
from ..discovery import Json
from ..world import ApiError, Call, registry

LATEST, REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
READY: Json = {"type": "Ready", "state": "CONDITION_SUCCEEDED"}


def invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_ARGUMENT", message)


def fill(template: Json) -> None:
    """What Cloud Run fills in and shows in every later answer."""
    template.setdefault("maxInstanceRequestConcurrency", 80)
    template.setdefault("timeout", "300s")
    template.setdefault("serviceAccount", "1-compute@developer.gserviceaccount.com")
    template.setdefault("scaling", {}).setdefault("maxInstanceCount", 100)
    volumes = {volume["name"] for volume in template.get("volumes", [])}
    for container in template.get("containers", []):
        if not container.get("image"):
            raise invalid("template.containers[0].image: must be set")
        # CPU is taken away between requests by default, but not where resources are named without saying so.
        container.setdefault("resources", {"cpuIdle": True}).setdefault("limits", {})
        container["resources"]["limits"] = {"cpu": "1000m", "memory": "512Mi"} | container["resources"]["limits"]
        if not any(item.get("ports") for item in template["containers"]):
            container["ports"] = [{"name": "http1", "containerPort": 8080}]
        container.setdefault(
            "startupProbe", {"timeoutSeconds": 240, "periodSeconds": 240, "failureThreshold": 1, "tcpSocket": {"port": 8080}}
        )
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                raise invalid(f"volumeMounts: there is no volume {mount['name']!r}")
        for variable in container.get("env", []):
            if "value" in variable and "valueSource" in variable:
                raise invalid(f"env {variable['name']}: value and valueSource exclude each other")


def on_service(call: Call, new: Json, old: Json | None) -> None:
    if call.query.get("validateOnly"):
        raise ApiError(501, "UNIMPLEMENTED", "validateOnly")
    path = new["name"]
    name = path.rpartition("/")[2]
    new.setdefault("ingress", "INGRESS_TRAFFIC_ALL")
    new.setdefault("launchStage", "GA")
    if "containers" not in new.get("template", {}):
        raise invalid("template.containers: at least one container is required")
    fill(new["template"])
    new["generation"] = str(int((old or {}).get("generation", "0")) + 1)
    new["observedGeneration"] = new["generation"]
    if old is None:
        digest = hashlib.sha256(path.encode()).hexdigest()[:10]
        region = path.split("/")[3]
        new |= {
            "uid": str(uuid.uuid4()),
            "createTime": call.world.now(),
            "creator": "tester@example.com",
            "uri": f"https://{name}-{digest}-{region}.a.run.app",
        }
        new["urls"] = [new["uri"]]
    new["updateTime"] = call.world.now()
    if old is None or new["template"] != old["template"]:
        add_revision(call, new, name)
    new.setdefault("traffic", [{"type": LATEST, "percent": 100}])
    check_traffic(call, new)
    new["terminalCondition"] = READY
    created = call.world.objects[f"run/{new['latestCreatedRevision']}"]
    if created["conditions"] != [READY]:
        new["terminalCondition"] = created["conditions"][0]
    new.pop("reconciling", None)


def ended(service: Json) -> None:
    """The operation of a revision that does not get ready ends in an error, and the service stays as it was written."""
    condition = service["terminalCondition"]
    if condition["state"] == "CONDITION_FAILED":
        raise ApiError(400, "FAILED_PRECONDITION", condition["message"])


def add_revision(call: Call, service: Json, name: str) -> None:
    revision = service["template"].pop("revision", None) or f"{name}-{int(service['generation']):05d}-{uuid.uuid4().hex[:3]}"
    path = f"{service['name']}/revisions/{revision}"
    if f"run/{path}" in call.world.objects:
        raise ApiError(409, "ALREADY_EXISTS", f"Revision named '{revision}' with different configuration already exists.")
    content = copy.deepcopy(service["template"])
    trouble = access.trouble(call.world, content)
    failed: Json = {"type": "Ready", "state": "CONDITION_FAILED", "message": f"Revision '{revision}' is not ready: {trouble}"}
    call.world.objects[f"run/{path}"] = content | {
        "name": path,
        "createTime": call.world.now(),
        "generation": service["generation"],
        "service": service["name"],
        "conditions": [failed if trouble else READY],
        "etag": '"revision"',
    }
    service["latestCreatedRevision"] = path
    if not trouble:
        service["latestReadyRevision"] = path


def check_traffic(call: Call, service: Json) -> None:
    total = sum(target.get("percent", 0) for target in service["traffic"])
    if total != 100:
        raise invalid(f"traffic: the percents add up to {total}, they must add up to 100")
    tags = [target["tag"] for target in service["traffic"] if target.get("tag")]
    if len(tags) != len(set(tags)):
        raise invalid("traffic: a tag is used twice")
    statuses = []
    for target in service["traffic"]:
        if target.get("type") == REVISION and f"run/{service['name']}/revisions/{target.get('revision')}" not in call.world.objects:
            raise ApiError(400, "FAILED_PRECONDITION", f"Revision '{target.get('revision')}' is not found.")
        status: dict[str, Any] = {key: value for key, value in target.items() if value}
        if target.get("type") != REVISION:
            if "latestReadyRevision" not in service:
                continue  # nothing serves yet
            status["revision"] = service["latestReadyRevision"].rpartition("/")[2]
        if target.get("tag"):
            status["uri"] = service["uri"].replace("https://", f"https://{target['tag']}---")
        statuses.append(status)
    service["trafficStatuses"] = statuses


Kind(
    "run.projects.locations.services",
    items="services",
    type_name="google.cloud.run.v2.Service",
    delete_answers=True,
    id_from="serviceId",
    etag="etag",
    operation="done",
    without_mask="replace",
    busy={"reconciling": True},
    busy_update={"reconciling": True},
    on_write=on_service,
    on_finish=ended,
)
Kind("run.projects.locations.services.revisions", items="revisions", operation="done", verbs=("get", "list", "delete"))
registry.method("run.projects.locations.operations.get")(done_operation)


# -- jobs ------------------------------------------------------------------------------------------------------------------


def on_job(call: Call, new: Json, old: Json | None) -> None:
    task = new.get("template", {}).get("template", {})
    if "containers" not in task:
        raise invalid("template.template.containers: exactly one container is required")
    task.setdefault("maxRetries", 3)
    task.setdefault("timeout", "600s")
    task.setdefault("serviceAccount", "1-compute@developer.gserviceaccount.com")
    new["template"].setdefault("taskCount", 1)
    for container in task["containers"]:
        limits = container.setdefault("resources", {}).setdefault("limits", {})
        container["resources"]["limits"] = {"cpu": "1000m", "memory": "512Mi"} | limits
    new["generation"] = str(int((old or {}).get("generation", "0")) + 1)
    new["updateTime"] = call.world.now()
    new.setdefault("createTime", new["updateTime"])
    new.setdefault("uid", str(uuid.uuid4()))
    new.setdefault("launchStage", "GA")
    new["terminalCondition"] = READY


Kind(
    "run.projects.locations.jobs",
    items="jobs",
    type_name="google.cloud.run.v2.Job",
    delete_answers=True,
    id_from="jobId",
    etag="etag",
    operation="done",
    without_mask="replace",
    presence=("maxRetries",),
    busy={"reconciling": True},
    busy_update={"reconciling": True},
    on_write=on_job,
)
Kind("run.projects.locations.jobs.executions", items="executions", operation="done", verbs=("get", "list", "delete"))


@registry.method("run.projects.locations.jobs.run")
def run_job(call: Call) -> Json:
    """An execution copies the job's template; its operation ends when the execution does."""
    job = call.find()
    name = f"{job['name']}/executions/{job['name'].rpartition('/')[2]}-{uuid.uuid4().hex[:5]}"
    created = call.world.now()
    execution: Json = {
        "name": name,
        "job": job["name"],
        "createTime": created,
        "template": copy.deepcopy(job["template"]["template"]),
        "taskCount": 1,
    }
    call.world.objects[f"run/{name}"] = execution
    job["latestCreatedExecution"] = {"name": name, "createTime": created, "completionStatus": "EXECUTION_RUNNING"}
    trouble = access.trouble(call.world, execution["template"])

    def finish() -> Json:
        if trouble:
            undo()
            raise ApiError(400, "FAILED_PRECONDITION", trouble)
        ended = call.world.now()
        execution.update(completionTime=ended, succeededCount=1, conditions=[{"type": "Completed", "state": "CONDITION_SUCCEEDED"}])
        job["latestCreatedExecution"] |= {"completionTime": ended, "completionStatus": "EXECUTION_SUCCEEDED"}
        return {"@type": "type.googleapis.com/google.cloud.run.v2.Execution", **copy.deepcopy(execution)}

    def undo() -> None:
        execution.update(completionTime=call.world.now(), failedCount=1, conditions=[{"type": "Completed", "state": "CONDITION_FAILED"}])
        job["latestCreatedExecution"] |= {"completionTime": call.world.now(), "completionStatus": "EXECUTION_FAILED"}

    return start_operation(call, "done", call.key, finish, undo)
