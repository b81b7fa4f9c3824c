# SPDX-License-Identifier: GPL-3.0-or-later
"""The gcloud CLI drives the server: its typed decoder rejects wrong answers, and its requests are what ours should be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gcp_server.server import GoogleServer

SECRET = "secretmanager v1/projects/demo/secrets"
SQL = "sqladmin sql/v1beta4/projects/demo"
REDIS = "redis v1/projects/demo/locations/us-central1"
COMMANDS = [
    ("secrets create jwt --replication-policy=automatic", [f"POST {SECRET}?alt=json&secretId=jwt"]),
    ("secrets versions add jwt --data-file={file}", [f"POST {SECRET}/jwt:addVersion?alt=json"]),
    ("secrets versions access latest --secret=jwt", [f"GET {SECRET}/jwt/versions/latest:access?alt=json"]),
    ("pubsub topics create jobs --labels=a=1", ["PUT pubsub v1/projects/demo/topics/jobs?alt=json"]),
    (
        "storage buckets create gs://demo-models --location=us-central1",
        ["POST storage storage/v1/b?alt=json&enableObjectRetention=False&project=demo&projection=noAcl"],
    ),
    (
        "sql instances create db --database-version=POSTGRES_16 --tier=db-custom-2-7680 --region=us-central1",
        [f"POST {SQL}/instances?alt=json", f"GET {SQL}/operations/operation-1?alt=json", f"GET {SQL}/instances/db?alt=json"],
    ),
    (
        "redis instances create cache --region=us-central1 --size=5 --tier=standard",
        [
            f"POST {REDIS}/instances?alt=json&instanceId=cache",
            f"GET {REDIS}/operations/operation-2?alt=json",
            f"GET {REDIS}/instances/cache?alt=json",
        ],
    ),
]


@pytest.mark.skipif(not shutil.which("gcloud"), reason="the gcloud CLI is not installed")
def test_gcloud(google: GoogleServer, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("from-a-file")
    settings = {"CORE_PROJECT": "demo", "AUTH_ACCESS_TOKEN": "from-gcloud", "CONFIG": str(tmp_path / "config"), "CORE_DISABLE_PROMPTS": "1"}
    settings |= {"CORE_DISABLE_USAGE_REPORTING": "1", "COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1"}
    environment = {**os.environ, **google.environment(), **{f"CLOUDSDK_{name}": value for name, value in settings.items()}}
    outputs = []
    for command, expected in COMMANDS:
        google.world.requests.clear()
        arguments = ["gcloud", *command.format(file=file).split()]
        run = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert run.returncode == 0, run.stderr
        assert [str(request) for request in google.world.requests] == expected
        outputs.append(run.stdout)
    assert outputs[2] == "from-a-file"
    assert google.world.violations == []
