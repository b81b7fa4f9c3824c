# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud SQL through its whole life."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle
from tests.gcp_server.server import GoogleServer

PARENT = "sql/v1beta4/projects/demo/instances"
CANARY = "canary-root-password-Jx8"


def test_instance(google: GoogleServer, tmp_path: Path) -> None:
    steps = Lifecycle(
        module="gcp_sql_instance",
        base={
            "project": "demo",
            "region": "us-central1",
            "name": "mass-db",
            "database_version": "POSTGRES_16",
            "edition": "ENTERPRISE",
            "tier": "db-custom-2-7680",
            "availability_type": "REGIONAL",
            "backup_enabled": True,
            "backup_start_time": "03:00",
            "point_in_time_recovery": True,
            "maintenance_day": 7,
            "maintenance_hour": 4,
            "database_flags": {"max_connections": 100},
            "ipv4_enabled": False,
            "private_network": "projects/demo/global/networks/default",
            "ssl_mode": "ENCRYPTED_ONLY",
            "labels": {"app": "mass", "old": "yes"},
            "root_password": CANARY,
        },
        change={"database_flags": {"log_min_duration_statement": 1000}, "tier": "db-custom-4-15360"},
        drop={"labels": {"app": "mass"}},
        drift=(
            "PATCH",
            f"sqladmin/{PARENT}/mass-db",
            {"settings": {"backupConfiguration": {"enabled": False, "pointInTimeRecoveryEnabled": False}}},
        ),
        requests={
            "create-again": [f"GET sqladmin {PARENT}/mass-db"],
            "change": [
                f"GET sqladmin {PARENT}/mass-db",
                "GET sqladmin sql/v1beta4/flags?databaseVersion=POSTGRES_16",
                f"PATCH sqladmin {PARENT}/mass-db",
                "GET sqladmin sql/v1beta4/projects/demo/operations/operation-2",
                f"GET sqladmin {PARENT}/mass-db",
            ],
        },
        secrets=(CANARY,),
    ).verify(google, tmp_path)
    assert steps["change-check"].result["restart"] == steps["change"].result["restart"] == ["tier"]
    flags = steps["change"].result["resource"]["settings"]["databaseFlags"]
    assert {flag["name"]: flag["value"] for flag in flags} == {"max_connections": "100", "log_min_duration_statement": "1000"}
    patch = next(request for request in steps["change"].requests if request.verb == "PATCH")
    assert set(patch.body["settings"]) == {"databaseFlags", "tier", "settingsVersion"}
