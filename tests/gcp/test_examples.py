# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of every module runs as it stands, and runs again without a change."""

from __future__ import annotations

import importlib
from pathlib import Path

import yaml

from tests.gcp.lifecycle import ROOT, Json, play
from tests.gcp_server.server import GoogleServer

PLACE = {"project": "demo", "region": "us-central1"}
INSTANCE = PLACE | {"database_version": "POSTGRES_16", "tier": "db-custom-2-7680", "backup_enabled": True, "point_in_time_recovery": True}
SETUP: list[tuple[str, Json]] = [
    ("gcp_secret", PLACE | {"name": "db-password"}),
    ("gcp_storage_bucket", PLACE | {"name": "demo-backups"}),
    ("gcp_sql_instance", INSTANCE | {"name": "mass-db-drill"}),
    ("gcp_run_service", PLACE | {"name": "mass-backend", "image": "us-docker.pkg.dev/demo/r/api@sha256:" + "f" * 64}),
]
# Each run of these acts again: that is what they are for.
ACTIONS = {"gcp_sql_restore", "gcp_sql_import"}


def examples(folder: Path) -> list[Json]:
    """The tasks of every module's examples; what they keep beside their playbook is in `folder`."""
    tasks = []
    for file in sorted((ROOT / "plugins/modules").glob("gcp_*.py")):
        module = importlib.import_module(f"ansible_collections.slipway.stack.plugins.modules.{file.stem}")
        for number, task in enumerate(yaml.safe_load(module.EXAMPLES.replace("{{ playbook_dir }}", str(folder)))):
            tasks.append(task | {"name": f"{file.stem} {number}", "ignore_errors": True})
    return tasks


def test_examples_run_twice(google: GoogleServer, tmp_path: Path) -> None:
    """Examples stand in the order of the alphabet, so those that miss something in the first round come again."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "Dockerfile").write_text("FROM scratch\n")
    token = {"GOOGLE_OAUTH_ACCESS_TOKEN": "examples"}
    setup = [{"name": f"setup {number}", f"slipway.stack.{module}": options} for number, (module, options) in enumerate(SETUP)]
    play(google, tmp_path, setup, token)
    backup = {"kind": "sql#backupRun", "id": "1700000000001", "instance": "mass-db", "type": "ON_DEMAND", "status": "SUCCESSFUL"}
    moment = {"enqueuedTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:01:00Z"}
    google.world.objects["sqladmin/projects/demo/instances/mass-db/backupRuns/1700000000001"] = backup | moment
    first = play(google, tmp_path, examples(beside), token)
    play(google, tmp_path, [task for task in examples(beside) if first[task["name"]].result.get("failed")], token)
    steps = play(google, tmp_path, examples(beside), token)
    assert {name: step.result.get("msg") for name, step in steps.items() if step.result.get("failed")} == {}
    changed = {name.partition(" ")[0] for name, step in steps.items() if step.changed}
    assert changed == ACTIONS
    assert google.world.violations == []
