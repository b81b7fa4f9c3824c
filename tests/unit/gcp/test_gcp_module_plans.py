# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that plan by themselves, as tables: options and the server's objects in, requests out."""

from __future__ import annotations

import datetime
import io
import tarfile
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.module_utils.gcp import transfer
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import planned
from ansible_collections.slipway.stack.plugins.modules import (
    gcp_build,
    gcp_dashboard,
    gcp_firestore_index,
    gcp_kms_key,
    gcp_log_sink,
    gcp_security_policy,
    gcp_uptime_check,
    gcp_vpc_access,
)

DEMO = {"project": "demo", "region": "us-central1", "state": "present"}


def fresh(module: Any, **given: Any) -> dict[str, Any]:
    """A module's options as Ansible would hand them over."""
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    return {name: option.get("default") for name, option in options.items()} | DEMO | given


# -- Firestore: when are two indexes the same ------------------------------------------------------------------------------

UP, DOWN = {"fieldPath": "a", "order": "ASCENDING"}, {"fieldPath": "b", "order": "DESCENDING"}
NAME = {"fieldPath": "__name__", "order": "DESCENDING"}


@pytest.mark.parametrize(
    ("live", "same"),
    [
        ([UP, DOWN, NAME], True),
        ([UP, DOWN], True),
        ([DOWN, UP, NAME], False),
        ([UP, NAME], False),
        ([UP, {**DOWN, "order": "ASCENDING"}], False),
    ],
)
def test_index_identity(live: list[dict[str, Any]], same: bool) -> None:
    assert (gcp_firestore_index.essence(live) == gcp_firestore_index.essence([UP, DOWN])) is same


# -- KMS: a rotation needs its first date, once ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "live", "expected"),
    [
        (None, {"rotationPeriod": "7776000s"}, {}),
        ("90d", {"rotationPeriod": "7776000s"}, {}),
        ("90d", {"rotationPeriod": "7776000.0s"}, {}),
        ("0", {}, {}),
        ("0", {"rotationPeriod": "7776000s"}, {"rotationPeriod": None, "nextRotationTime": None}),
    ],
)
def test_rotation(period: str | None, live: dict[str, Any], expected: dict[str, Any]) -> None:
    assert gcp_kms_key.rotation({"rotation_period": period}, live) == expected


def test_first_rotation_is_in_the_future() -> None:
    found = gcp_kms_key.rotation({"rotation_period": "24h"}, {})
    first = datetime.datetime.fromisoformat(found["nextRotationTime"].replace("Z", "+00:00"))
    assert datetime.timedelta() < first - datetime.datetime.now(datetime.UTC) <= datetime.timedelta(days=1)


# -- sinks: who has to let the writer write --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "kind", "project", "role"),
    [
        ("storage.googleapis.com/archive", "bucket", "demo", "roles/storage.objectCreator"),
        ("pubsub.googleapis.com/projects/other/topics/logs", "topic", "other", "roles/pubsub.publisher"),
        ("bigquery.googleapis.com/projects/other/datasets/logs", "project", "other", "roles/bigquery.dataEditor"),
        ("logging.googleapis.com/projects/other/locations/global/buckets/b", "project", "other", "roles/logging.bucketWriter"),
    ],
)
def test_sink_places(destination: str, kind: str, project: str, role: str) -> None:
    where = gcp_log_sink.place(fresh(gcp_log_sink), destination)
    assert (where["resource_type"], where["project"], where["role"]) == (kind, project, role)


@pytest.mark.parametrize(
    ("holders", "state", "writes", "members"),
    [
        ([], "present", 1, ["serviceAccount:other", "serviceAccount:w"]),
        (["serviceAccount:w"], "present", 0, None),
        (["serviceAccount:w"], "absent", 1, ["serviceAccount:other"]),
        ([], "absent", 0, None),
    ],
)
def test_grant_leaves_others_alone(holders: list[str], state: str, writes: int, members: list[str] | None) -> None:
    where = gcp_log_sink.place(fresh(gcp_log_sink, state=state, destination="x"), "storage.googleapis.com/archive")
    policy = {"bindings": [{"role": where["role"], "members": ["serviceAccount:other", *holders]}], "etag": "e"}
    plan = gcp_log_sink.grant(where, policy, "serviceAccount:w", check_mode=False)
    assert len(plan.writes) == writes
    assert [binding["members"] for write in plan.writes for binding in write.body["bindings"]] == ([members] if members else [])
    assert all(write.body["etag"] == "e" for write in plan.writes)


# -- Cloud Armor -----------------------------------------------------------------------------------------------------------

EMPTY = dict.fromkeys(("expression", "source_ranges", "count", "interval", "ban_duration"))
RULE = EMPTY | {"preview": False, "description": "", "exceed_action": "deny(429)", "enforce_on_key": "IP"}
THROTTLE = RULE | {"priority": 10, "action": "throttle", "expression": "true", "count": 5, "interval": 60}
OFFICE = RULE | {"priority": 20, "action": "allow", "source_ranges": ["192.0.2.0/24", "198.51.100.0/24"]}


def rules(*entries: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return gcp_security_policy.wanted({"rules": list(entries), "default_action": "allow"})


@pytest.mark.parametrize(
    ("have", "want", "writes"),
    [
        (rules(OFFICE), rules(OFFICE | {"source_ranges": ["198.51.100.0/24", "192.0.2.0/24"]}), []),
        (rules(THROTTLE), rules(THROTTLE | {"count": 6}), ["POST p/patchRule?priority=10"]),
        (rules(THROTTLE), rules(OFFICE), ["POST p/addRule", "POST p/removeRule?priority=10"]),
        (
            rules(THROTTLE),
            rules(THROTTLE | RULE | {"priority": 10, "action": "allow", "expression": "true"}),
            ["POST p/patchRule?priority=10&updateMask=rateLimitOptions"],
        ),
        (
            rules(OFFICE),
            rules(OFFICE | {"source_ranges": None, "expression": "true"}),
            ["POST p/patchRule?priority=20&updateMask=match.versionedExpr,match.config"],
        ),
    ],
)
def test_rules(have: dict[int, Any], want: dict[int, Any], writes: list[str]) -> None:
    assert [write.summary() for write in gcp_security_policy.changes("p", want, have)[0]] == writes


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (THROTTLE | {"count": None}, "throttle at 10 needs exactly"),
        (OFFICE | {"interval": 60}, "needs exactly no limits"),
        (OFFICE | {"expression": "true"}, "needs one of expression and source_ranges"),
        (OFFICE | {"priority": 2147483647}, "priority 2147483647"),
    ],
)
def test_wrong_rules(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(GcpError, match=words):
        gcp_security_policy.check({"rules": [entry]})


# -- networks --------------------------------------------------------------------------------------------------------------

NETWORK = "projects/demo/global/networks/mass"
LIVE = {"network": f"https://www.googleapis.com/compute/v1/{NETWORK}", "ipCidrRange": "10.8.0.0/26", "privateIpGoogleAccess": True}


@pytest.mark.parametrize(
    ("cidr", "access", "last"),
    [("10.8.0.0/26", True, []), ("10.8.0.0/24", True, ["expandIpCidrRange"]), ("10.8.0.0/26", False, ["setPrivateIpGoogleAccess"])],
)
def test_subnetwork(cidr: str, access: bool, last: list[str]) -> None:
    params = fresh(gcp_vpc_access, subnetwork="run", subnetwork_range=cidr, private_google_access=access)
    _after, writes = gcp_vpc_access.subnetwork(params, LIVE, NETWORK)
    assert [write.path.rpartition("/")[2] for write in writes] == last


@pytest.mark.parametrize("cidr", ["10.8.0.0/27", "10.9.0.0/24", "fd00::/64"])
def test_subnetwork_that_cannot_become_so(cidr: str) -> None:
    with pytest.raises(GcpError, match=r"subnetwork_range is '10.8.0.0/26' and cannot become"):
        gcp_vpc_access.subnetwork(fresh(gcp_vpc_access, subnetwork="run", subnetwork_range=cidr), LIVE, NETWORK)


# -- Monitoring ------------------------------------------------------------------------------------------------------------


def test_dashboard_widget_of_another_kind() -> None:
    live = {
        "name": "projects/1/dashboards/2",
        "displayName": "API",
        "etag": "e",
        "gridLayout": {"widgets": [{"title": "a", "text": {"content": "x"}}]},
    }
    params = fresh(gcp_dashboard, name="API", definition={"gridLayout": {"widgets": [{"title": "a", "blank": {}}]}})
    (write,) = gcp_dashboard.plan(None, params, live).writes
    assert write.path == "v1/projects/demo/dashboards/2"
    assert (write.body["gridLayout"], write.body["etag"]) == ({"widgets": [{"title": "a", "blank": {}}]}, "e")
    assert planned(gcp_dashboard.DASHBOARD)(None, fresh(gcp_dashboard, name="API", definition=live), live).writes == []


@pytest.mark.parametrize(
    ("given", "sent"),
    [("200", {"statusValue": 200}), ("3xx", {"statusClass": "STATUS_CLASS_3XX"}), ("any", {"statusClass": "STATUS_CLASS_ANY"})],
)
def test_status(given: str, sent: dict[str, Any]) -> None:
    assert gcp_uptime_check.status([given]) == [sent]


# -- files and images ------------------------------------------------------------------------------------------------------


def test_packing_is_reproducible(tmp_path: Any) -> None:
    for place, name in (("one", "b"), ("one", "a"), ("two", "a"), ("two", "b")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / name).write_text(name)
    first, second = (gcp_build.pack(tmp_path / place, []) for place in ("one", "two"))
    assert first == second
    assert gcp_build.pack(tmp_path / "one", ["b"]) != first


def test_a_gcloudignore_counts_and_no_env_file_is_sent(tmp_path: Any) -> None:
    for name in ("Dockerfile", ".env.production", "notes.txt", "big.bin", "kept.bin"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("*.bin\n!kept.bin\n")
    (tmp_path / ".gcloudignore").write_text(".gcloudignore\n#!include:.gitignore\n.gitignore\n")
    with tarfile.open(fileobj=io.BytesIO(gcp_build.pack(tmp_path, ["notes.txt"]))) as tar:
        assert tar.getnames() == ["Dockerfile", "kept.bin"]


@pytest.mark.parametrize(
    "image", ["api:1", "us-docker.pkg.dev/demo/r/api", "us-docker.pkg.dev/demo/r/api:latest", "us-docker.pkg.dev/demo/r/api@sha256:1"]
)
def test_images_that_say_too_little(image: str) -> None:
    with pytest.raises(GcpError, match="a tag that names the content"):
        gcp_build.tag_path(image)


def test_image_in_a_folder() -> None:
    assert gcp_build.tag_path("us-docker.pkg.dev/demo/r/a/b:1").endswith("/packages/a%2Fb/tags/1")


def test_checksum_of_a_file(tmp_path: Any) -> None:
    (tmp_path / "nine").write_bytes(b"123456789")
    assert transfer.checksum(tmp_path / "nine") == "4waSgw=="
