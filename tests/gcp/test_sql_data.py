# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives in a Cloud SQL instance: databases, users, backups, clones, dumps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gcp.lifecycle import Json, play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

PLACE = {"project": "demo", "instance": "mass-db"}
SOURCE = "sql/v1beta4/projects/demo/instances/mass-db"
INSTANCE: Json = {
    "project": "demo",
    "region": "us-central1",
    "name": "mass-db",
    "database_version": "POSTGRES_16",
    "tier": "db-custom-2-7680",
    "backup_enabled": True,
    "point_in_time_recovery": True,
}
CANARY = "canary-user-password-Kd2"


def test_databases_and_users(google: GoogleServer, tmp_path: Path) -> None:
    user = PLACE | {"name": "mass_app_user", "password": CANARY}
    steps = play(
        google,
        tmp_path,
        [
            task("instance", "gcp_sql_instance", INSTANCE),
            task("database-check", "gcp_sql_database", PLACE | {"name": "mass_db"}, check=True),
            task("database", "gcp_sql_database", PLACE | {"name": "mass_db"}),
            task("database-again", "gcp_sql_database", PLACE | {"name": "mass_db", "charset": "UTF8"}),
            task("database-charset", "gcp_sql_database", PLACE | {"name": "mass_db", "charset": "LATIN1"}),
            task("user-check", "gcp_sql_user", user, check=True),
            task("user", "gcp_sql_user", user),
            task("user-again", "gcp_sql_user", user),
            task("user-always", "gcp_sql_user", user | {"password": CANARY + "2", "update_password": "always"}),
            task("iam-user", "gcp_sql_user", PLACE | {"name": "api@demo.iam", "type": "CLOUD_IAM_SERVICE_ACCOUNT"}),
            task("user-absent", "gcp_sql_user", PLACE | {"name": "mass_app_user", "state": "absent"}),
            task("user-absent-again", "gcp_sql_user", PLACE | {"name": "mass_app_user", "state": "absent"}),
            task("database-absent", "gcp_sql_database", PLACE | {"name": "mass_db", "state": "absent"}),
            task("database-absent-again", "gcp_sql_database", PLACE | {"name": "mass_db", "state": "absent"}),
        ],
        arguments=("-vvv",),
    )
    changed = {name: step.changed for name, step in steps.items() if name != "database-charset"}
    assert changed == {name: not name.endswith("again") for name in changed}
    assert "charset" in steps["database-charset"].result["msg"]
    assert steps["database-check"].result["diff"] == steps["database"].result["diff"]
    assert steps["user-check"].result["diff"] == steps["user"].result["diff"]
    assert steps["user-always"].writes == [f"PUT sqladmin {SOURCE}/users?name=mass_app_user"]
    assert google.world.violations == []
    assert CANARY not in (tmp_path / "output.txt").read_text()


def test_backup_restore_clone_and_dump(google: GoogleServer, tmp_path: Path) -> None:
    backup = PLACE | {"max_age": "1h", "keep": 1}
    clone = {"project": "demo", "source": "mass-db", "name": "mass-db-recovery", "point_in_time": "2026-11-01T10:30:00Z"}
    dump = PLACE | {"uri": "gs://demo-backups/a/mass_db.sql.gz", "databases": ["mass_db"]}
    restore = PLACE | {"backup_id": "{{ backed.backups[0].id }}", "confirm_overwrite": "mass-db"}
    load = PLACE | {"uri": dump["uri"], "database": "mass_db", "confirm_import": "mass-db"}
    steps = play(
        google,
        tmp_path,
        [
            task("instance", "gcp_sql_instance", INSTANCE),
            task("bucket", "gcp_storage_bucket", {"project": "demo", "name": "demo-backups"}),
            task("backup-check", "gcp_sql_backup", backup, check=True),
            task("backup", "gcp_sql_backup", backup) | {"register": "backed"},
            task("backup-again", "gcp_sql_backup", backup),
            task("restore-refused", "gcp_sql_restore", restore | {"confirm_overwrite": "yes"}),
            task("restore-check", "gcp_sql_restore", restore, check=True),
            task("restore", "gcp_sql_restore", restore),
            task("prune", "gcp_sql_backup", PLACE | {"max_age": "0s", "keep": 1}),
            task("clone-check", "gcp_sql_clone", clone, check=True),
            task("clone", "gcp_sql_clone", clone),
            task("clone-again", "gcp_sql_clone", clone),
            task("export-check", "gcp_sql_export", dump, check=True),
            task("export", "gcp_sql_export", dump),
            task("export-again", "gcp_sql_export", dump),
            task("import-refused", "gcp_sql_import", load | {"confirm_import": "mass"}),
            task("import-check", "gcp_sql_import", load, check=True),
            task("import", "gcp_sql_import", load),
        ],
    )
    changed = {name: step.changed for name, step in steps.items() if not name.endswith("refused")}
    assert changed == {name: not name.endswith("again") for name in changed}
    for name in ("backup", "restore", "clone", "export", "import"):
        assert steps[f"{name}-check"].result["diff"] == steps[name].result["diff"], name
        assert steps[f"{name}-check"].writes == [], name
    assert "write 'mass-db'" in steps["restore-refused"].result["msg"]
    assert steps["restore-refused"].requests == steps["import-refused"].requests == []
    assert steps["restore"].writes == [f"POST sqladmin {SOURCE}/restoreBackup"]
    assert len(steps["prune"].writes) == 2
    assert steps["clone"].writes == [f"POST sqladmin {SOURCE}/clone"]
    assert google.world.objects["sqladmin/projects/demo/instances/mass-db-recovery"]["state"] == "RUNNABLE"
    assert google.world.violations == []


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_restore_is_never_sent_twice(google: GoogleServer, tmp_path: Path, kind: str) -> None:
    backup = PLACE | {"max_age": "1h"}
    restore = PLACE | {"backup_id": "{{ backed.backups[0].id }}", "confirm_overwrite": "mass-db"}
    google.world.faults += [Fault("restoreBackup", kind)]
    made = [task("instance", "gcp_sql_instance", INSTANCE), task("backup", "gcp_sql_backup", backup) | {"register": "backed"}]
    steps = play(google, tmp_path, [*made, task("restore", "gcp_sql_restore", restore)])
    assert "It may have been taken" in steps["restore"].result["msg"]
    assert len(steps["restore"].writes) == 1
