# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that arrive at Google as they were meant: what is there in the end decides, not what a task says of itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gcp.lifecycle import Json, Step, play, task
from tests.gcp_server.server import GoogleServer

DEMO = {"project": "demo", "region": "us-central1"}
IMAGE = "us-central1-docker.pkg.dev/demo/shop/api@sha256:"
Play = Callable[..., dict[str, Step]]


@pytest.fixture
def plays(google: GoogleServer, tmp_path: Path) -> Play:
    """Tasks by name, each a module and its options; one named `...-check` is a check run."""

    def run(**tasks: tuple[str, Json]) -> dict[str, Step]:
        named = [task(name, module, DEMO | options, check=name.endswith("_check")) for name, (module, options) in tasks.items()]
        steps = play(google, tmp_path, named)
        assert google.world.violations == []
        return steps

    return run


def at(google: GoogleServer, key: str) -> Any:
    return google.world.objects[key]


def test_a_disk_that_grew_by_itself_stays(google: GoogleServer, plays: Play) -> None:
    base = {"name": "db", "database_version": "POSTGRES_17", "tier": "db-custom-2-7680", "disk_size_gb": 500}
    sql, key = "gcp_sql_instance", "sqladmin/projects/demo/instances/db"
    plays(made=(sql, base))
    at(google, key)["settings"]["dataDiskSizeGb"] = "620"
    steps = plays(
        left_check=(sql, base),
        left=(sql, base),
        said=(sql, base | {"disk_autoresize": True}),
        fixed_check=(sql, base | {"disk_autoresize": False}),
        fixed=(sql, base | {"disk_autoresize": False}),
    )
    assert [steps[name].changed for name in ("left_check", "left", "said")] == [False] * 3
    # A size that cannot be had is refused in a check run as well.
    for name in ("fixed_check", "fixed"):
        assert "disk_size_gb is 620 and cannot become 500" in steps[name].result["msg"]
        assert steps[name].writes == []
    assert at(google, key)["settings"]["dataDiskSizeGb"] == "620"
    assert plays(grow=(sql, base | {"disk_size_gb": 700}))["grow"].changed
    assert at(google, key)["settings"]["dataDiskSizeGb"] == "700"


def test_flags_keep_their_type(google: GoogleServer, plays: Play) -> None:
    """0 and 1 are numbers, true and false are on and off."""
    flags = {"log_temp_files": 0, "max_parallel_workers_per_gather": 1, "cloudsql.iam_authentication": True}
    base = {"name": "db", "database_version": "POSTGRES_17", "tier": "db-custom-2-7680", "database_flags": flags}
    steps = plays(made=("gcp_sql_instance", base), again=("gcp_sql_instance", base))
    assert not steps["again"].changed
    sent = at(google, "sqladmin/projects/demo/instances/db")["settings"]["databaseFlags"]
    wanted = {"log_temp_files": "0", "max_parallel_workers_per_gather": "1", "cloudsql.iam_authentication": "on"}
    assert {flag["name"]: flag["value"] for flag in sent} == wanted


def test_members_in_any_spelling(google: GoogleServer, plays: Play) -> None:
    """Google keeps addresses in small letters; identities of federations keep theirs."""
    pool = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/Pool/subject/Main"
    grant = {"role": "roles/viewer", "members": ["user:Jane.Doe@Example.com", pool]}
    gone = {"role": "roles/viewer", "members": ["user:JANE.DOE@example.com"], "state": "absent"}
    policy = {"bindings": [{"role": "roles/viewer", "members": [pool, "group:Team@Example.com"]}], "max_removals": 1}
    member, whole = "gcp_iam_member", "gcp_iam_policy"
    steps = plays(
        grant_check=(member, grant),
        grant=(member, grant),
        again=(member, grant),
        gone=(member, gone),
        gone_again=(member, gone),
        whole=(whole, policy),
        whole_again=(whole, policy),
    )
    names = ("grant_check", "grant", "again", "gone", "gone_again", "whole", "whole_again")
    assert [steps[name].changed for name in names] == [True, True, False, True, False, True, False]
    assert steps["grant_check"].result["diff"] == steps["grant"].result["diff"]
    assert google.world.policies["cloudresourcemanager/projects/demo"]["bindings"] == [
        {"role": "roles/viewer", "members": ["group:team@example.com", pool]}
    ]


def test_a_condition_of_two_lines(google: GoogleServer, plays: Play) -> None:
    expression = 'resource.type = "a" ||\nresource.type = "b=c"'
    grant = {"role": "roles/viewer", "members": ["user:a@example.com"], "condition": {"title": "two", "expression": expression + "\n"}}
    steps = plays(grant=("gcp_iam_member", grant), again=("gcp_iam_member", grant))
    assert [steps[name].changed for name in ("grant", "again")] == [True, False]
    [binding] = google.world.policies["cloudresourcemanager/projects/demo"]["bindings"]
    assert binding["condition"] == {"title": "two", "expression": expression}


def test_an_account_of_a_moment_ago(google: GoogleServer, plays: Play) -> None:
    """IAM does not know it yet: that is waited for, and what stays unknown is said with how long."""
    google.world.delay = 2
    account = "serviceAccount:young-one@demo.iam.gserviceaccount.com"
    grant = {"role": "roles/viewer", "members": [account]}
    steps = plays(
        account=("gcp_service_account", {"name": "young-one"}),
        granted=("gcp_iam_member", grant),
        again=("gcp_iam_member", grant),
    )
    assert [steps[name].changed for name in ("granted", "again")] == [True, False]
    assert google.world.policies["cloudresourcemanager/projects/demo"]["bindings"][0]["members"] == [account]
    google.world.young["young-one@demo.iam.gserviceaccount.com"] = 999
    late = plays(late=("gcp_iam_member", grant | {"role": "roles/editor", "propagation_timeout": 1}))["late"]
    assert "does not exist" in late.result["msg"] and "Waited 1 s for it to be known everywhere" in late.result["msg"]


def test_an_api_of_a_moment_ago(google: GoogleServer, plays: Play) -> None:
    """Waited for where a playbook has just enabled it; said at once where nobody asked to wait."""
    google.world.delay = 3
    cache = {"name": "cache", "tier": "BASIC", "memory_size_gb": 1}
    steps = plays(
        on=("gcp_project_services", {"services": ["redis"]}),
        at_once=("gcp_redis_instance", cache),
        waited=("gcp_redis_instance", cache | {"api_propagation_timeout": 60}),
    )
    assert "services: [redis.googleapis.com]" in steps["at_once"].result["msg"] and len(steps["at_once"].requests) == 1
    assert [request.status for request in steps["waited"].requests[:3]] == [403, 403, 404]
    assert at(google, "redis/projects/demo/locations/us-central1/instances/cache")["memorySizeGb"] == 1


def test_rules_mean_what_they_leave_out(google: GoogleServer, plays: Play) -> None:
    """Neither a neighbour's rule nor an earlier one of ours shines through."""
    archive = {
        "action": {"type": "SetStorageClass", "storageClass": "NEARLINE"},
        "condition": {"age": 30, "matchesStorageClass": ["STANDARD"]},
    }
    delete = {"action": {"type": "Delete"}, "condition": {"age": 365}}
    logs = {"action": {"type": "Delete"}, "condition": {"age": 365, "matchesPrefix": ["logs/"]}}
    steps = {}
    for name, rules in (("one", [archive, delete]), ("two", [logs]), ("three", [delete]), ("again", [delete])):
        steps |= plays(**{name: ("gcp_storage_bucket", {"name": "logs", "lifecycle_rules": rules})})
        assert at(google, "storage/b/logs")["lifecycle"]["rule"] == rules
    assert [step.changed for step in steps.values()] == [True, True, True, False]
    policies = {"old": {"action": "DELETE", "condition": {"olderThan": "30d", "tagState": "UNTAGGED"}}}
    plain = {"old": {"action": "DELETE", "condition": {"olderThan": "30d"}}}
    repository = "gcp_artifact_repository"
    done = plays(
        tagged=(repository, {"name": "r", "cleanup_policies": policies}),
        plain=(repository, {"name": "r", "cleanup_policies": plain}),
        plain_again=(repository, {"name": "r", "cleanup_policies": plain}),
    )
    assert [done[name].changed for name in ("plain", "plain_again")] == [True, False]
    found = at(google, "artifactregistry/projects/demo/locations/us-central1/repositories/r")["cleanupPolicies"]["old"]
    assert found["condition"] == {"olderThan": "2592000s"}


def test_an_alert_that_is_no_ratio_any_more(google: GoogleServer, plays: Play) -> None:
    filters = 'metric.type = "run.googleapis.com/request_count"'
    limit = {"filter": filters, "comparison": "COMPARISON_GT", "thresholdValue": 5, "duration": "60s"}
    ratio = limit | {
        "denominatorFilter": filters,
        "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_RATE", "crossSeriesReducer": "REDUCE_SUM"}],
    }
    simple = limit | {"aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_RATE"}]}
    tasks = {
        name: ("gcp_alert_policy", {"name": "errors", "conditions": [{"displayName": "5xx", "conditionThreshold": condition}]})
        for name, condition in (("ratio", ratio), ("simple", simple), ("again", simple))
    }
    steps = plays(**tasks)
    assert [step.changed for step in steps.values()] == [True, True, False]
    [policy] = [item for key, item in google.world.objects.items() if "/alertPolicies/" in key]
    condition = policy["conditions"][0]["conditionThreshold"]
    assert "denominatorFilter" not in condition
    assert condition["aggregations"] == simple["aggregations"]


def test_a_bucket_that_is_there_keeps_its_access(google: GoogleServer, plays: Play) -> None:
    bucket = "gcp_storage_bucket"
    plays(new=(bucket, {"name": "new"}), open=(bucket, {"name": "open", "public_access_prevention": "inherited"}))
    uniform = {name: at(google, f"storage/b/{name}")["iamConfiguration"] for name in ("new", "open")}
    assert [item["publicAccessPrevention"] for item in uniform.values()] == ["enforced", "inherited"]
    assert [item["uniformBucketLevelAccess"]["enabled"] for item in uniform.values()] == [True, True]
    old = at(google, "storage/b/open")
    old["iamConfiguration"]["uniformBucketLevelAccess"] = {"enabled": False}
    before = copy.deepcopy(old["iamConfiguration"])
    assert plays(adopt=(bucket, {"name": "open", "labels": {"app": "shop"}}))["adopt"].changed
    assert (at(google, "storage/b/open")["iamConfiguration"], at(google, "storage/b/open")["labels"]) == (before, {"app": "shop"})


def test_the_container_with_the_port_is_ours(google: GoogleServer, plays: Play) -> None:
    """What somebody else put beside it stays, with its volume; the processor is paid while it works."""
    base = {"name": "shop", "image": IMAGE + "1" * 64, "cpu": "2", "memory": "4Gi", "port": 8000}
    service, key = "gcp_run_service", "run/projects/demo/locations/us-central1/services/shop"
    plays(made=(service, base))
    template = at(google, key)["template"]
    assert template["containers"][0]["resources"] == {"limits": {"cpu": "2", "memory": "4Gi"}, "cpuIdle": True}
    collector = {"name": "otel", "image": "otel/collector:1", "volumeMounts": [{"name": "conf", "mountPath": "/etc/otel"}]}
    template["containers"].insert(0, collector)
    template["volumes"] = [{"name": "conf", "emptyDir": {}}]
    steps = plays(
        same=(service, base),
        newer=(service, base | {"image": IMAGE + "2" * 64, "buckets": {"/models": "models"}}),
        whole_life=(service, base | {"image": IMAGE + "2" * 64, "cpu_throttling": False}),
        info=("gcp_run_revision_info", {"name": "shop"}),
        wrong=(service, base | {"cpu": "two"}),
    )
    assert [steps[name].changed for name in ("same", "newer", "whole_life")] == [False, True, True]
    template = at(google, key)["template"]
    assert {name: template["containers"][0][name] for name in collector} == collector
    assert template["containers"][1]["image"] == IMAGE + "2" * 64
    assert not template["containers"][1]["resources"].get("cpuIdle")
    assert {volume["name"] for volume in template["volumes"]} == {"bucket-models", "conf"}
    assert steps["info"].result["revisions"][0]["image"] == IMAGE + "2" * 64
    assert "cpu is 'two': write processors" in steps["wrong"].result["msg"]


def test_an_api_in_use_is_not_switched_off(google: GoogleServer, plays: Play) -> None:
    google.world.used.add("redis.googleapis.com")
    services = "gcp_project_services"
    steps = plays(on=(services, {"services": ["redis"]}), off=(services, {"services": ["redis"], "state": "absent"}))
    assert "has been used in the last 30 days" in steps["off"].result["msg"]
    assert at(google, "serviceusage/projects/demo/services/redis.googleapis.com")["state"] == "ENABLED"


def test_objects_called_operations(google: GoogleServer, plays: Play) -> None:
    """Only what is an operation is polled."""
    ring = {"key_ring": "operations", "name": "key"}
    steps = plays(
        ring=("gcp_kms_key_ring", {"name": "operations"}),
        key=("gcp_kms_key", ring),
        secret=("gcp_secret", {"name": "operations"}),
        value=("gcp_secret_version", {"name": "operations", "value": "canary-Pw4"}),
        metric=("gcp_log_metric", {"name": "operations/errors", "filter": "severity>=ERROR"}),
    )
    assert [step.changed for step in steps.values()] == [True] * 5
    assert [request for request in google.world.requests if request.status == 404 and "operations/operations" in request.path] == []
    assert steps["value"].result["version"] == "1"


def test_files_say_what_they_are(google: GoogleServer, plays: Play, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    names = {
        "index.html": "text/html",
        "a.json": "application/json",
        "model.pkl": "application/octet-stream",
        "b.tar.gz": "application/gzip",
    }
    for name in names:
        (folder / name).write_text("x")
    plays(
        bucket=("gcp_storage_bucket", {"name": "site"}),
        sync=("gcp_storage_sync", {"directory": str(folder), "bucket": "site"}),
    )
    assert {name: at(google, f"storage/b/site/o/{name}")["contentType"] for name in names} == names


def test_a_subscription_stops_pushing(google: GoogleServer, plays: Play) -> None:
    push = {"name": "s", "topic": "t", "push_endpoint": "https://a.example.com/", "push_service_account": "p@demo.iam.gserviceaccount.com"}
    pull = {"name": "s", "topic": "t", "push_endpoint": ""}
    subscription = "gcp_pubsub_subscription"
    steps = plays(
        topic=("gcp_pubsub_topic", {"name": "t"}), push=(subscription, push), pull=(subscription, pull), again=(subscription, pull)
    )
    assert [steps[name].changed for name in ("push", "pull", "again")] == [True, True, False]
    assert "oidcToken" not in at(google, "pubsub/projects/demo/subscriptions/s")["pushConfig"]
