#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection google.cloud and this one do the same work on the strict server: `python -m tests.gcp.compare_google_cloud`.

Prints the table of docs/gcp/comparison.md. Not a test: it says what a release of somebody else's collection does.
"""

from __future__ import annotations

import re
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.gcp.lifecycle import Json, Step, play, token
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

PLACE = {"project": "demo", "region": "us-central1"}
REDIS = {"name": "cache", "tier": "STANDARD_HA", "memory_size_gb": 5, "redis_version": "REDIS_7_0"}
SQL = {"name": "db", "database_version": "POSTGRES_16"}
# What both make: its key on the server, where its labels are, ours and theirs, each with and without a second label.
Pair = tuple[str, str, dict[str, tuple[str, Json, Json]]]
ONE, TWO = {"app": "mass"}, {"app": "mass", "team": "platform"}
PAIRS: dict[str, Pair] = {
    "topic": (
        "pubsub/projects/demo/topics/jobs",
        "labels",
        {
            "google.cloud": ("google.cloud.gcp_pubsub_topic", {"name": "jobs", "labels": ONE}, {"labels": TWO}),
            "slipway.stack": ("slipway.stack.gcp_pubsub_topic", {"name": "jobs", "labels": ONE}, {"labels": TWO}),
        },
    ),
    "bucket": (
        "storage/b/demo-models",
        "labels",
        {
            "google.cloud": ("google.cloud.gcp_storage_bucket", {"name": "demo-models", "labels": ONE}, {"labels": TWO}),
            "slipway.stack": ("slipway.stack.gcp_storage_bucket", {"name": "demo-models", "labels": ONE}, {"labels": TWO}),
        },
    ),
    "redis": (
        "redis/projects/demo/locations/us-central1/instances/cache",
        "labels",
        {
            "google.cloud": ("google.cloud.gcp_redis_instance", PLACE | REDIS | {"labels": ONE}, {"labels": TWO}),
            "slipway.stack": ("slipway.stack.gcp_redis_instance", PLACE | REDIS | {"labels": ONE}, {"labels": TWO}),
        },
    ),
    "sql": (
        "sqladmin/projects/demo/instances/db",
        "settings.userLabels",
        {
            "google.cloud": (
                "google.cloud.gcp_sql_instance",
                PLACE | SQL | {"settings": {"tier": "db-custom-2-7680", "user_labels": ONE}},
                {"settings": {"tier": "db-custom-2-7680", "user_labels": TWO}},
            ),
            "slipway.stack": (
                "slipway.stack.gcp_sql_instance",
                PLACE | SQL | {"tier": "db-custom-2-7680", "labels": ONE},
                {"labels": TWO},
            ),
        },
    ),
}
HEADER = ["resource", "collection", "check mode", "diff", "create", "again", "label added", "one 503", "requests with unknown fields"]


def said(step: Step) -> str:
    if step.result.get("failed"):
        text = str(step.result.get("msg", ""))
        inner = re.search(r"""'message': (["'])(.+?)\1[,}]""", text)
        return f"fails: {' '.join((inner[2] if inner else text).split())[:90]}"
    if step.result.get("skipped"):
        return "skipped"
    return f"changed={str(step.result['changed']).lower()}, {len(step.requests)} requests"


def row(kind: str, collection: str) -> list[str]:
    key, path, sides = PAIRS[kind]
    module, base, more = sides[collection]
    base = {"project": "demo"} | base

    def task(name: str, arguments: Json, check: bool = False) -> Json:
        credentials = {"access_token": token(name)} | ({"auth_kind": "accesstoken"} if collection == "google.cloud" else {})
        return {"name": name, module: arguments | credentials, "check_mode": check, "diff": True, "ignore_errors": True}

    with tempfile.TemporaryDirectory() as folder, GoogleServer(Path(folder) / "tls") as google:
        steps = play(google, Path(folder), [task("check", base, check=True), task("create", base)])
        if key not in google.world.objects:
            ours, options, _more = sides["slipway.stack"]
            made = {"name": "made", ours: {"project": "demo", "access_token": "else"} | options}
            assert play(google, Path(folder), [made])["made"].changed
        refused = len(google.world.violations)
        steps |= play(google, Path(folder), [task("again", base), task("label", base | more)])
        labels: Json = google.world.objects.get(key, {})
        for part in path.split("."):
            labels = labels.get(part, {})
        google.world.faults += [Fault(f"GET {key.partition('/')[0]}", "status")]
        broken = play(google, Path(folder), [task("503", base | more)])["503"]
        diff = steps["create"].result.get("diff") or {}
        return [
            kind,
            collection,
            said(steps["check"]),
            "yes" if diff.get("before") != diff.get("after") else "none",
            said(steps["create"]),
            said(steps["again"]),
            f"{said(steps['label'])}; on the server: {'yes' if 'team' in labels else 'no'}",
            said(broken),
            str(refused),
        ]


def main() -> None:
    print(f"ansible {version('ansible')}, the google.cloud collection that it carries\n")
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for kind, (_key, _path, sides) in PAIRS.items():
        for collection in sides:
            print(f"| {' | '.join(cell.replace('|', '/') for cell in row(kind, collection))} |", flush=True)


if __name__ == "__main__":
    main()
