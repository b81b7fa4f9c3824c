# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert policies, channels, uptime checks and dashboards: found by display name, for the server makes their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

DEMO = {"project": "demo"}
FIRST = "v3/projects/demo/{}/1000000000000000001"
CHANNEL = {**DEMO, "name": "On call", "type": "email", "labels": {"email_address": "oncall@example.com"}}
COUNT = 'resource.type = "cloud_run_revision" AND metric.type = "run.googleapis.com/request_count"'


def threshold(name: str, value: float) -> dict[str, Any]:
    return {
        "displayName": name,
        "conditionThreshold": {"filter": COUNT, "comparison": "COMPARISON_GT", "thresholdValue": value, "duration": "5m"},
    }


def test_channel(google: GoogleServer, tmp_path: Path) -> None:
    path = FIRST.format("notificationChannels")
    Lifecycle(
        module="gcp_notification_channel",
        base={
            **DEMO,
            "name": "Chat",
            "type": "slack",
            "labels": {"channel_name": "#alerts"},
            "secret_labels": {"auth_token": "xoxb-canary-Kq9"},
            "user_labels": {"team": "platform", "old": "yes"},
        },
        change={"labels": {"channel_name": "#incidents"}, "enabled": False},
        drop={"user_labels": {"team": "platform"}},
        drift=("PATCH", f"monitoring/{path}?updateMask=enabled", {"enabled": True}),
        requests={
            "create": ["GET monitoring v3/projects/demo/notificationChannels", "POST monitoring v3/projects/demo/notificationChannels"],
            "create-again": ["GET monitoring v3/projects/demo/notificationChannels"],
            "change": ["GET monitoring v3/projects/demo/notificationChannels", f"PATCH monitoring {path}?updateMask=enabled,labels"],
            "absent": ["GET monitoring v3/projects/demo/notificationChannels", f"DELETE monitoring {path}"],
        },
        secrets=("xoxb-canary-Kq9",),
    ).verify(google, tmp_path)
    assert google.world.secrets == {f"{path[3:]}/auth_token": "xoxb-canary-Kq9"}


def test_policy(google: GoogleServer, tmp_path: Path) -> None:
    """A condition that stays keeps its identity; channels are called by their display names."""
    path = "v3/projects/demo/alertPolicies/1000000000000000002"
    steps = Lifecycle(
        module="gcp_alert_policy",
        setup=[task("channel", "gcp_notification_channel", CHANNEL)],
        base={
            **DEMO,
            "name": "API errors",
            "conditions": [threshold("5xx", 0.01)],
            "notification_channels": ["On call"],
            "user_labels": {"team": "platform", "old": "yes"},
        },
        change={"conditions": [threshold("slow", 2), threshold("5xx", 0.05)], "severity": "CRITICAL", "auto_close": "30m"},
        drop={"user_labels": {"team": "platform"}},
        drift=("PATCH", f"monitoring/{path}?updateMask=notificationChannels", {"notificationChannels": []}),
        requests={
            "change": [
                "GET monitoring v3/projects/demo/alertPolicies",
                "GET monitoring v3/projects/demo/notificationChannels",
                f"PATCH monitoring {path}?updateMask=alertStrategy,conditions,severity",
            ]
        },
    ).verify(google, tmp_path)
    first, second = (
        {item["displayName"]: item["name"] for item in steps[name].result["resource"]["conditions"]} for name in ("create", "change")
    )
    assert first["5xx"] == second["5xx"]
    assert steps["create"].requests[-1].body["notificationChannels"] == ["projects/demo/notificationChannels/1000000000000000001"]


def test_names(google: GoogleServer, tmp_path: Path) -> None:
    """In check mode a channel may be missing, as on a virgin project; in a real run it is an error. Two of a name are never guessed at."""
    policy = {**DEMO, "name": "API errors", "conditions": [threshold("5xx", 0.01)], "notification_channels": ["On call"]}
    google.world.faults += [Fault("POST monitoring .*Channels", "drop_after")]
    steps = play(
        google,
        tmp_path,
        [
            task("check", "gcp_alert_policy", policy, check=True),
            task("missing", "gcp_alert_policy", policy),
            task("channel", "gcp_notification_channel", CHANNEL),
            task("real", "gcp_alert_policy", policy),
            task("used", "gcp_notification_channel", {**CHANNEL, "state": "absent"}),
            task("unnamed", "gcp_alert_policy", {**policy, "conditions": [{"conditionThreshold": {}}]}),
        ],
    )
    assert "'On call' is the name of 0 channels" in steps["missing"].result["msg"]
    assert steps["check"].result["diff"] == steps["real"].result["diff"]
    assert [key for key in google.world.objects if "Channels" in key] == [
        "monitoring/projects/demo/notificationChannels/1000000000000000001"
    ]
    assert "is used by the policy 'API errors'" in steps["used"].result["msg"]
    assert "needs a displayName" in steps["unnamed"].result["msg"]
    assert google.world.violations == []


def test_uptime_check(google: GoogleServer, tmp_path: Path) -> None:
    collection, path = "v3/projects/demo/uptimeCheckConfigs", FIRST.format("uptimeCheckConfigs")
    Lifecycle(
        module="gcp_uptime_check",
        base={**DEMO, "name": "API health", "host": "api.example.com", "path": "/health", "user_labels": {"a": "1", "old": "yes"}},
        change={"accepted_status": ["200", "3xx"], "content": "healthy", "timeout": "20", "headers": {"X-Probe": "uptime"}},
        drop={"user_labels": {"a": "1"}},
        drift=("PATCH", f"monitoring/{path}?updateMask=period", {"period": "900s"}),
        requests={
            "create": [f"GET monitoring {collection}", f"POST monitoring {collection}"],
            "change": [f"GET monitoring {collection}", f"PATCH monitoring {path}?updateMask=contentMatchers,httpCheck,timeout"],
        },
    ).verify(google, tmp_path)


def test_dashboard(google: GoogleServer, tmp_path: Path) -> None:
    """Another layout replaces the one before; a widget that becomes of another kind is no mixture of both."""
    path = "v1/projects/demo/dashboards/1000000000000000001"
    grid = {"gridLayout": {"columns": "2", "widgets": [{"title": "a", "text": {"content": "x"}}, {"title": "b", "text": {"content": "y"}}]}}
    other = {"gridLayout": {"columns": "2", "widgets": [{"title": "a", "blank": {}}]}}
    steps = Lifecycle(
        module="gcp_dashboard",
        base={**DEMO, "name": "API", "definition": grid},
        change={"definition": other, "labels": {"team": "platform", "old": "yes"}},
        drop={"labels": {"team": "platform"}, "definition": {"columnLayout": {"columns": [{"widgets": [{"blank": {}}]}]}}},
        drift=("PATCH", f"monitoring/{path}", {"displayName": "API", **grid}),
    ).verify(google, tmp_path)
    assert steps["change"].result["resource"]["gridLayout"]["widgets"] == other["gridLayout"]["widgets"]
    assert steps["heal"].requests[-1].body["gridLayout"] is None
