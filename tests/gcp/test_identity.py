# SPDX-License-Identifier: GPL-3.0-or-later
"""Service accounts, their keys, and who may do what."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, elsewhere, play, task
from tests.gcp_server.server import GoogleServer

ACCOUNTS = "v1/projects/demo/serviceAccounts"
EMAIL = "mass-backend-sa@demo.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{EMAIL}"


def test_service_account(google: GoogleServer, tmp_path: Path) -> None:
    steps = Lifecycle(
        module="gcp_service_account",
        base={"project": "demo", "name": "mass-backend-sa", "display_name": "API"},
        change={"description": "runs the API"},
        drift=("PATCH", f"iam/{ACCOUNTS}/{EMAIL}", {"serviceAccount": {"displayName": "other"}, "updateMask": "displayName"}),
        requests={
            "create": [f"GET iam {ACCOUNTS}/{EMAIL}", f"POST iam {ACCOUNTS}"],
            "change": [f"GET iam {ACCOUNTS}/{EMAIL}", f"PATCH iam {ACCOUNTS}/{EMAIL}"],
        },
    ).verify(google, tmp_path)
    assert steps["create-check"].result["email"] == EMAIL


def test_keys(google: GoogleServer, tmp_path: Path) -> None:
    place = {"project": "demo", "name": "mass-backend-sa"}
    steps = play(
        google,
        tmp_path,
        [
            task("account", "gcp_service_account", place),
            elsewhere("key", google, "POST", f"iam/{ACCOUNTS}/{EMAIL}/keys", {}),
            task("young", "gcp_service_account_keys", place | {"old_keys": "disable"}),
            task("report", "gcp_service_account_keys", place | {"max_age": "0s"}),
            task("disable-check", "gcp_service_account_keys", place | {"max_age": "0s", "old_keys": "disable"}, check=True),
            task("disable", "gcp_service_account_keys", place | {"max_age": "0s", "old_keys": "disable"}),
            task("disable-again", "gcp_service_account_keys", place | {"max_age": "0s", "old_keys": "disable"}),
            task("delete", "gcp_service_account_keys", place | {"max_age": "0s", "old_keys": "delete"}),
            task("delete-again", "gcp_service_account_keys", place | {"max_age": "0s", "old_keys": "delete"}),
        ],
    )
    names = ("young", "report", "disable-check", "disable", "disable-again", "delete", "delete-again")
    assert [steps[name].changed for name in names] == [False, False, True, True, False, True, False]
    assert steps["report"].result["keys"][0]["old"] is True
    assert steps["disable-check"].result["diff"] == steps["disable"].result["diff"]
    assert google.world.violations == []


def test_members_of_every_kind_of_resource(google: GoogleServer, tmp_path: Path) -> None:
    """Grant, again, another member beside it, take away: other grants are never touched."""
    image = "us-docker.pkg.dev/demo/r/api@sha256:" + "0" * 64
    place = {"project": "demo", "region": "us-central1"}
    kinds = {
        "project": None,
        "service_account": EMAIL,
        "secret": "jwt",
        "bucket": "demo-models",
        "run_service": "api",
        "repository": "r",
        "topic": "t",
    }
    tasks = [
        task("setup-account", "gcp_service_account", place | {"name": "mass-backend-sa"}),
        task("setup-secret", "gcp_secret", place | {"name": "jwt"}),
        task("setup-bucket", "gcp_storage_bucket", place | {"name": "demo-models"}),
        task("setup-service", "gcp_run_service", place | {"name": "api", "image": image}),
        task("setup-repository", "gcp_artifact_repository", place | {"name": "r"}),
        task("setup-topic", "gcp_pubsub_topic", place | {"name": "t"}),
    ]
    for kind, name in kinds.items():
        grant = place | {"resource_type": kind, "resource": name, "role": "roles/viewer", "members": [MEMBER]}
        tasks += [
            task(f"{kind}-check", "gcp_iam_member", grant, check=True),
            task(f"{kind}-grant", "gcp_iam_member", grant),
            task(f"{kind}-again", "gcp_iam_member", grant),
        ]
    steps = play(google, tmp_path, tasks)
    for kind in kinds:
        assert [steps[f"{kind}-{step}"].changed for step in ("check", "grant", "again")] == [True, True, False], kind
        assert steps[f"{kind}-check"].result["diff"] == steps[f"{kind}-grant"].result["diff"]
        assert steps[f"{kind}-check"].writes == []
        assert len(steps[f"{kind}-grant"].requests) == 3, steps[f"{kind}-grant"].lines
    assert google.world.violations == []


def test_conditions_guard_and_removal(google: GoogleServer, tmp_path: Path) -> None:
    place = {"project": "demo"}
    condition = {"title": "until 2030", "expression": 'request.time < timestamp("2030-01-01T00:00:00Z")'}
    grant = place | {"role": "roles/cloudsql.client", "members": [MEMBER]}
    agent = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
    policy = place | {"bindings": [{"role": "roles/cloudsql.client", "members": [MEMBER]}]}
    steps = play(
        google,
        tmp_path,
        [
            task("plain", "gcp_iam_member", grant),
            task("conditional", "gcp_iam_member", grant | {"condition": condition}),
            task("conditional-again", "gcp_iam_member", grant | {"condition": condition}),
            task("agent", "gcp_iam_member", place | {"role": "roles/pubsub.serviceAgent", "members": [agent]}),
            task("guard", "gcp_iam_policy", policy),
            task("policy-check", "gcp_iam_policy", policy | {"max_removals": 1}, check=True),
            task("policy", "gcp_iam_policy", policy | {"max_removals": 1}),
            task("policy-again", "gcp_iam_policy", policy),
            task("absent", "gcp_iam_member", grant | {"state": "absent"}),
            task("absent-again", "gcp_iam_member", grant | {"state": "absent"}),
            task(
                "nowhere",
                "gcp_iam_member",
                place | {"resource_type": "secret", "resource": "none", "role": "roles/viewer", "members": [MEMBER]},
            ),
        ],
    )
    assert "1 grants would be taken away" in steps["guard"].result["msg"]
    assert "does not exist" in steps["nowhere"].result["msg"]
    names = ("plain", "conditional", "conditional-again", "policy-check", "policy", "policy-again", "absent", "absent-again")
    assert [steps[name].changed for name in names] == [True, True, False, True, True, False, True, False]
    assert google.world.policies["cloudresourcemanager/projects/demo"]["bindings"] == [
        {"role": "roles/pubsub.serviceAgent", "members": [agent]}
    ]
    assert google.world.violations == []
