# SPDX-License-Identifier: GPL-3.0-or-later
"""Pub/Sub subscriptions."""

from __future__ import annotations

from ..crud import Kind
from ..discovery import Json
from ..world import ApiError, Call

FIXED = ("topic", "filter", "enableMessageOrdering")


def on_subscription(call: Call, new: Json, old: Json | None) -> None:
    for name in [name for name, value in new.items() if value is None]:
        del new[name]
    if f"pubsub/{new.get('topic', '')}" not in call.world.objects:
        raise ApiError(404, "NOT_FOUND", f"Resource not found (resource={new.get('topic')}).")
    changed = [name for name in FIXED if old is not None and (new.get(name) or None) != (old.get(name) or None)]
    if changed:
        raise ApiError(400, "INVALID_ARGUMENT", f"{changed[0]} is immutable")
    dead = new.get("deadLetterPolicy")
    if dead is not None:
        if f"pubsub/{dead.get('deadLetterTopic', '')}" not in call.world.objects:
            raise ApiError(404, "NOT_FOUND", f"Resource not found (resource={dead.get('deadLetterTopic')}).")
        if not 5 <= dead.setdefault("maxDeliveryAttempts", 5) <= 100:
            raise ApiError(400, "INVALID_ARGUMENT", "max_delivery_attempts must be between 5 and 100")
    new["ackDeadlineSeconds"] = new.get("ackDeadlineSeconds") or 10
    if not 10 <= new["ackDeadlineSeconds"] <= 600:
        raise ApiError(400, "INVALID_ARGUMENT", "ack_deadline_seconds must be between 10 and 600")
    new.setdefault("messageRetentionDuration", "604800s")
    new.setdefault("expirationPolicy", {"ttl": "2678400s"})
    if "retryPolicy" in new:
        new["retryPolicy"] = {"minimumBackoff": "10s", "maximumBackoff": "600s"} | new["retryPolicy"]
    new["state"] = "ACTIVE"


Kind("pubsub.projects.subscriptions", items="subscriptions", wrapper="subscription", on_write=on_subscription)
