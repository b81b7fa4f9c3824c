# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud SQL: operations with a status, one at a time per instance; settings carry a version."""

from __future__ import annotations

import copy
from urllib.parse import quote

from ..crud import Kind, page, start_operation, status_operation
from ..discovery import Json
from ..world import ApiError, Call, registry

SETTINGS: Json = {
    "kind": "sql#settings",
    "activationPolicy": "ALWAYS",
    "pricingPlan": "PER_USE",
    "replicationType": "SYNCHRONOUS",
    "storageAutoResize": True,
    "storageAutoResizeLimit": "0",
    "dataDiskType": "PD_SSD",
    "dataDiskSizeGb": "10",
    "availabilityType": "ZONAL",
    "deletionProtectionEnabled": False,
    "connectorEnforcement": "NOT_REQUIRED",
    "edition": "ENTERPRISE",
    "ipConfiguration": {"ipv4Enabled": True, "requireSsl": False, "sslMode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED"},
    "backupConfiguration": {
        "kind": "sql#backupConfiguration",
        "enabled": False,
        "startTime": "12:00",
        "pointInTimeRecoveryEnabled": False,
        "transactionLogRetentionDays": 7,
        "backupRetentionSettings": {"retentionUnit": "COUNT", "retainedBackups": 7},
    },
}
FLAGS = {
    "max_connections": True,
    "shared_buffers": True,
    "log_min_duration_statement": False,
    "cloudsql.iam_authentication": True,
    "work_mem": False,
    "log_temp_files": False,
    "max_parallel_workers_per_gather": False,
}


def invalid(message: str) -> ApiError:
    return ApiError(400, "invalid", message)


def busy(call: Call, name: str) -> None:
    for operation in call.world.operations.values():
        answer = operation.answer
        if answer.get("kind") == "sql#operation" and answer["targetId"] == name and answer["status"] != "DONE":
            raise ApiError(409, "operationInProgress", "Operation failed because another operation was already in progress.")


def on_instance(call: Call, new: Json, old: Json | None) -> None:
    project, name = call.groups["project"], new["name"]
    sent = (call.body or {}).get("settings", {}).get("settingsVersion")
    if old is not None and sent is not None and str(sent) != old["settings"]["settingsVersion"]:
        raise ApiError(412, "conditionNotMet", "Condition does not match.")
    busy(call, name)
    settings = new.setdefault("settings", {})
    if not settings.get("tier"):
        raise invalid("Missing parameter: settings.tier.")
    if old is None:
        for key, value in SETTINGS.items():
            settings[key] = {**value, **settings.get(key, {})} if isinstance(value, dict) else settings.get(key, value)
        new.setdefault("databaseVersion", "POSTGRES_16")
        new.setdefault("region", "us-central1")
        new |= {
            "kind": "sql#instance",
            "project": project,
            "connectionName": f"{project}:{new['region']}:{name}",
            "backendType": "SECOND_GEN",
            "selfLink": f"https://sqladmin.googleapis.com/sql/v1beta4/projects/{project}/instances/{name}",
            "createTime": call.world.now(),
            "instanceType": "READ_REPLICA_INSTANCE" if new.get("masterInstanceName") else "CLOUD_SQL_INSTANCE",
            "gceZone": f"{new['region']}-a",
            "serviceAccountEmailAddress": "p1-abc@gcp-sa-cloud-sql.iam.gserviceaccount.com",
        }
        call.world.secrets[f"{call.key}/{name}/rootPassword"] = new.pop("rootPassword", "")
    elif new["region"] != old["region"] or new.get("masterInstanceName") != old.get("masterInstanceName"):
        raise invalid("The region and the primary of an instance cannot be changed.")
    elif int(settings["dataDiskSizeGb"]) < int(old["settings"]["dataDiskSizeGb"]):
        raise invalid("The disk size of an instance cannot be decreased.")
    for flag in settings.get("databaseFlags", []):
        if flag["name"] not in FLAGS:
            raise ApiError(400, "INVALID_ARGUMENT", f"Invalid flag name: {flag['name']}.")
    if settings["backupConfiguration"].get("pointInTimeRecoveryEnabled") and not settings["backupConfiguration"].get("enabled"):
        raise invalid("Point-in-time recovery needs backups to be enabled.")
    if not settings["ipConfiguration"].get("ipv4Enabled") and not settings["ipConfiguration"].get("privateNetwork"):
        raise invalid("At least one of Public IP, Private IP or PSC connectivity must be enabled.")
    network = settings["ipConfiguration"]
    addresses = [{"type": "PRIMARY", "ipAddress": "203.0.113.10"}] if network.get("ipv4Enabled") else []
    new["ipAddresses"] = addresses + ([{"type": "PRIVATE", "ipAddress": "10.9.0.3"}] if network.get("privateNetwork") else [])
    settings["settingsVersion"] = str(int((old or {}).get("settings", {}).get("settingsVersion", "0")) + 1)
    if not settings.get("userLabels"):
        settings.pop("userLabels", None)


def on_delete(call: Call, old: Json) -> None:
    busy(call, old["name"])
    if old["settings"].get("deletionProtectionEnabled"):
        raise invalid("The instance is protected. Please disable the deletion protection and try again.")


INSTANCES = Kind(
    "sql.instances",
    items="items",
    id_from="body.name",
    full_name=False,
    without_mask="merge",
    operation="status",
    keep_defaults=True,
    busy={"state": "PENDING_CREATE"},
    ready={"state": "RUNNABLE"},
    on_write=on_instance,
    on_delete=on_delete,
)
registry.method("sql.operations.get")(status_operation)


@registry.method("sql.flags.list")
def flags(call: Call) -> Json:
    found = [{"name": name, "type": "STRING", "kind": "sql#flag", "requiresRestart": restart} for name, restart in FLAGS.items()]
    return {"kind": "sql#flagsList", "items": copy.deepcopy(found)}


# -- what hangs below an instance ------------------------------------------------------------------------------------------


def on_database(call: Call, new: Json, old: Json | None) -> None:
    parent(call)
    new.setdefault("charset", "UTF8")
    new.setdefault("collation", "en_US.UTF8")
    new |= {"kind": "sql#database", "project": call.groups["project"], "instance": call.groups["instance"]}


def parent(call: Call) -> str:
    """The instance that the request is about; nothing happens to it while an operation is under way."""
    key = f"sqladmin/projects/{call.groups['project']}/instances/{call.groups['instance']}"
    if key not in call.world.objects:
        raise ApiError(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.")
    if call.method.verb != "GET":
        busy(call, call.groups["instance"])
    return key


Kind(
    "sql.databases",
    items="items",
    id_from="body.name",
    full_name=False,
    without_mask="merge",
    operation="status",
    keep_defaults=True,
    on_write=on_database,
)


@registry.method("sql.users.list")
def list_users(call: Call) -> Json:
    parent(call)
    return {"kind": "sql#usersList", "items": call.world.children(call.key)}


@registry.method("sql.users.insert", "sql.users.update", "sql.users.delete")
def change_user(call: Call) -> Json:
    """Update and delete name the user in the query, on the collection."""
    instance = parent(call)
    verb = call.method.name.rpartition(".")[2]
    name = call.body["name"] if verb == "insert" else call.query["name"]
    key = f"{instance}/users/{name}"
    if (key in call.world.objects) == (verb == "insert"):
        raise (
            ApiError(409, "userAlreadyExists", f"User '{name}' already exists.")
            if verb == "insert"
            else ApiError(404, "notFound", f"User '{name}'.")
        )

    def finish() -> Json:
        if verb == "delete":
            call.world.objects.pop(key)
            return {}
        stored = call.world.objects.setdefault(key, {"kind": "sql#user", "etag": "user", "host": ""})
        stored |= {field: value for field, value in call.body.items() if field != "password"}
        stored |= {"name": name, "project": call.groups["project"], "instance": call.groups["instance"]}
        if call.body.get("password"):
            call.world.secrets[key] = call.body["password"]
        return {}

    return start_operation(call, "status", instance, finish, lambda: None)


@registry.method("sql.backupRuns.insert")
def back_up(call: Call) -> Json:
    instance = parent(call)
    number = str(1700000000000 + next(call.world.numbers))
    now = call.world.now()

    def finish() -> Json:
        call.world.objects[f"{instance}/backupRuns/{number}"] = {
            "kind": "sql#backupRun",
            "id": number,
            "instance": call.groups["instance"],
            "type": "ON_DEMAND",
            "status": "SUCCESSFUL",
            "description": (call.body or {}).get("description", ""),
            "enqueuedTime": now,
            "startTime": now,
            "endTime": call.world.now(),
        }
        call.world.blobs[f"{instance}/backupRuns/{number}"] = call.world.blobs.get(instance, b"")
        return {}

    return start_operation(call, "status", instance, finish, lambda: None)


@registry.method("sql.backupRuns.list")
def list_backups(call: Call) -> Json:
    parent(call)
    found = page(call, "items", sorted(call.world.children(call.key), key=lambda item: item["id"], reverse=True))
    return {"kind": "sql#backupRunsList", **found}


@registry.method("sql.backupRuns.get")
def get_backup(call: Call) -> Json:
    return copy.deepcopy(call.find())


@registry.method("sql.backupRuns.delete")
def delete_backup(call: Call) -> Json:
    call.find()
    instance = parent(call)

    def finish() -> Json:
        call.world.objects.pop(call.key)
        return {}

    return start_operation(call, "status", instance, finish, lambda: None)


@registry.method("sql.instances.clone")
def clone(call: Call) -> Json:
    """The new instance has the old one's settings and data; a point in time needs the log."""
    source = parent(call)
    context = call.body["cloneContext"]
    name = context["destinationInstanceName"]
    old = call.world.objects[source]
    if context.get("pointInTime") and not old["settings"]["backupConfiguration"].get("pointInTimeRecoveryEnabled"):
        raise invalid("Point in time recovery is not enabled for the source instance.")
    key = f"{source.rpartition('/')[0]}/{name}"
    if key in call.world.objects:
        raise ApiError(409, "instanceAlreadyExists", f"The Cloud SQL instance {name} already exists.")
    project = call.groups["project"]
    call.world.objects[key] = copy.deepcopy(old) | {
        "name": name,
        "state": "PENDING_CREATE",
        "connectionName": f"{project}:{old['region']}:{name}",
        "createTime": call.world.now(),
        "selfLink": f"https://sqladmin.googleapis.com/sql/v1beta4/projects/{project}/instances/{name}",
    }
    call.world.blobs[key] = call.world.blobs.get(source, b"")

    def finish() -> Json:
        call.world.objects[key]["state"] = "RUNNABLE"
        return {}

    return start_operation(call, "status", key, finish, lambda: call.world.objects.pop(key) and None)


@registry.method("sql.instances.restoreBackup")
def restore(call: Call) -> Json:
    target = parent(call)
    context = call.body["restoreBackupContext"]
    backup = f"{target.rpartition('/')[0]}/{context['instanceId']}/backupRuns/{context['backupRunId']}"
    call.find(backup)
    call.world.objects[target]["state"] = "MAINTENANCE"

    def finish() -> Json:
        call.world.objects[target]["state"] = "RUNNABLE"
        call.world.blobs[target] = call.world.blobs.get(backup, b"")
        return {}

    return start_operation(call, "status", target, finish, lambda: None)


@registry.method("sql.instances.export", "sql.instances.import")
def transfer(call: Call) -> Json:
    """Dumps are bytes that travel between the instance and an object."""
    instance = parent(call)
    exporting = call.method.name.endswith("export")
    context = call.body["exportContext" if exporting else "importContext"]
    bucket, _slash, name = context["uri"].removeprefix("gs://").partition("/")
    place = f"storage/b/{bucket}/o/{quote(name, safe='')}"
    if f"storage/b/{bucket}" not in call.world.objects or (not exporting and place not in call.world.objects):
        raise ApiError(404, "notFound", f"{context['uri']} does not exist.")

    def finish() -> Json:
        if exporting:
            call.world.blobs[place] = call.world.blobs.get(instance, b"")
            call.world.objects[place] = {"kind": "storage#object", "bucket": bucket, "name": name, "timeCreated": call.world.now()}
        else:
            call.world.blobs[instance] = call.world.blobs[place]
        return {}

    return start_operation(call, "status", instance, finish, lambda: None)
