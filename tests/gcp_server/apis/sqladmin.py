# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud SQL: operations with a status, one at a time per instance; settings carry a version."""

from __future__ import annotations

import copy

from ..crud import Kind, status_operation
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
