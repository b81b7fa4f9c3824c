# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring: the server makes the names, secrets of channels are never shown again, dashboards are replaced whole."""

from __future__ import annotations

import copy
from collections.abc import Callable

from ..crud import Hook, Kind
from ..discovery import Json
from ..world import ApiError, Call, registry

SECRET_LABELS = ("auth_token", "password", "service_key")


def invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_ARGUMENT", message)


def known_channels(call: Call, policy: Json) -> None:
    for name in policy.get("notificationChannels", []):
        if f"monitoring/{name}" not in call.world.objects:
            raise ApiError(404, "NOT_FOUND", f"Notification channel {name} does not exist.")


def on_policy(call: Call, new: Json, old: Json | None) -> None:
    if not new.get("conditions") or not new.get("combiner"):
        raise invalid("conditions and combiner must be set")
    known_channels(call, new)
    for condition in new["conditions"]:
        kinds = [key for key in condition if key.startswith("condition")]
        if len(kinds) != 1:
            raise invalid(f"a condition is of one kind, not {kinds}")
        names = [item["name"] for item in (old or {}).get("conditions", [])]
        if "name" in condition and condition["name"] not in names:
            raise invalid(f"there is no condition {condition['name']}")
        condition.setdefault("name", f"{new['name']}/conditions/{next(call.world.numbers)}")
    new.setdefault("enabled", True)
    record = {"mutateTime": call.world.now(), "mutatedBy": "tester@example.com"}
    new["mutationRecord"] = record
    new.setdefault("creationRecord", record)


def on_channel(call: Call, new: Json, old: Json | None) -> None:
    if not new.get("type"):
        raise invalid("type must be set")
    if old is not None and new["type"] != old["type"]:
        raise invalid("type cannot be changed")
    secrets = {key: new["labels"].pop(key) for key in SECRET_LABELS if key in new.get("labels", {})}
    call.world.secrets.update({f"{new['name']}/{key}": value for key, value in secrets.items()})
    needed = {"email": "email_address", "slack": "channel_name", "webhook_tokenauth": "url"}.get(new["type"])
    if needed and needed not in new.get("labels", {}):
        raise invalid(f"a channel of type {new['type']} needs the label {needed}")
    new.setdefault("enabled", True)


def on_channel_delete(call: Call, old: Json) -> None:
    users = [item for item in call.world.objects.values() if old["name"] in item.get("notificationChannels", [])]
    if users and call.query.get("force") != "true":
        raise ApiError(400, "FAILED_PRECONDITION", f"The channel is used by the policy {users[0]['displayName']!r}.")


def on_check(call: Call, new: Json, old: Json | None) -> None:
    if not new.get("displayName") or not new.get("timeout"):
        raise invalid("displayName and timeout must be set")
    if old is not None and new.get("monitoredResource") != old.get("monitoredResource"):
        raise invalid("monitored_resource cannot be changed")
    if new.get("selectedRegions") and len(new["selectedRegions"]) < 3:
        raise invalid("at least three regions")
    http = new.get("httpCheck", {})
    if http:
        http.setdefault("port", 443 if http.get("useSsl") else 80)
        http.setdefault("requestMethod", "GET")
        http.setdefault("path", "/")
    new.setdefault("period", "60s")
    new.setdefault("checkerType", "STATIC_IP_CHECKERS")


def on_dashboard(call: Call, new: Json, old: Json | None) -> None:
    for key in [key for key, value in new.items() if value is None]:
        del new[key]
    layouts = [key for key in new if key.endswith("Layout")]
    if len(layouts) != 1 or not new.get("displayName"):
        raise invalid(f"displayName and exactly one layout must be set, not {layouts}")


def made(kind: Kind) -> Callable[[Call], Json]:
    """A creation for which the server makes up the name."""

    def create(call: Call) -> Json:
        key = f"{call.key}/{10**18 + next(call.world.numbers)}"
        return kind.store(call, key, copy.deepcopy(call.body) | {"name": key.partition("/")[2]}, None)

    return create


def named_by_server(
    collection: str, on_write: Hook, style: str = "required", etag: str = "", on_delete: Callable[[Call, Json], None] | None = None
) -> None:
    prefix = f"monitoring.projects.{collection}"
    kind = Kind(
        prefix,
        items=collection,
        etag=etag,
        without_mask=style,
        on_write=on_write,
        on_delete=on_delete,
        verbs=("get", "list", "patch", "delete"),
    )
    registry.method(f"{prefix}.create")(made(kind))


named_by_server("alertPolicies", on_policy)
named_by_server("notificationChannels", on_channel, on_delete=on_channel_delete)
named_by_server("uptimeCheckConfigs", on_check)
named_by_server("dashboards", on_dashboard, style="replace", etag="etag")
