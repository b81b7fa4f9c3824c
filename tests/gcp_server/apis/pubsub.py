# SPDX-License-Identifier: GPL-3.0-or-later
"""Pub/Sub: topics and subscriptions are made by PUT and answer at once."""

from __future__ import annotations

from ..crud import Kind
from ..discovery import Json
from ..world import ApiError, Call


def on_topic(call: Call, new: Json, old: Json | None) -> None:
    new["state"] = "ACTIVE"
    if old is not None and new.get("kmsKeyName") != old.get("kmsKeyName"):
        raise ApiError(400, "INVALID_ARGUMENT", "kmsKeyName is immutable")


Kind("pubsub.projects.topics", items="topics", wrapper="topic", on_write=on_topic)
