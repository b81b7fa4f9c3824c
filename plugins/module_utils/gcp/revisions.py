# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cloud Run revisions: their order, their names, and whether they can serve."""

from __future__ import annotations

from collections.abc import Iterable

from .client import Json


def newest_first(revisions: Iterable[Json]) -> list[Json]:
    """By time; where the clock ties, by the generation of the service that made them."""
    return sorted(revisions, key=lambda revision: (revision["createTime"], int(revision.get("generation", 0))), reverse=True)


def serving_place(containers: list[Json]) -> int:
    """Which of them takes the requests: the one with a port."""
    return next((place for place, item in enumerate(containers) if item.get("ports")), 0)


def image(revision: Json) -> str | None:
    containers = revision.get("containers") or [{}]
    found = containers[serving_place(containers)].get("image")
    return None if found is None else str(found)


def short(revision: Json) -> str:
    return str(revision["name"]).rpartition("/")[2]


def ready(revision: Json) -> bool:
    return any(item.get("type") == "Ready" and item.get("state") == "CONDITION_SUCCEEDED" for item in revision.get("conditions", []))
