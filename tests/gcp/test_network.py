# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds a service: private access, Cloud Armor, domains."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

DEMO = {"project": "demo", "region": "us-central1"}
COMPUTE = "compute/v1/projects/demo"
VPC = {**DEMO, "network": "mass", "subnetwork": "mass-run", "subnetwork_range": "10.8.0.0/26", "services_range": "managed"}
BAN = {"priority": 1000, "action": "rate_based_ban", "expression": "true", "count": 100, "interval": 60, "ban_duration": 600}
CONNECTIONS = "v1/services/servicenetworking.googleapis.com/connections"


def test_vpc_access(google: GoogleServer, tmp_path: Path) -> None:
    subnetwork = f"{COMPUTE}/regions/us-central1/subnetworks/mass-run"
    steps = Lifecycle(
        module="gcp_vpc_access",
        base=VPC,
        change={"subnetwork_range": "10.8.0.0/24"},
        drift=("POST", f"compute/{subnetwork}/setPrivateIpGoogleAccess", {"privateIpGoogleAccess": False}),
        absent=None,
    ).verify(google, tmp_path)
    assert steps["create"].result["writes"] == [
        f"POST {COMPUTE}/global/networks",
        f"POST {COMPUTE}/regions/us-central1/subnetworks",
        f"POST {COMPUTE}/global/addresses",
        f"POST {CONNECTIONS}",
    ]
    assert steps["change"].result["writes"] == [f"POST {subnetwork}/expandIpCidrRange"]
    assert len(steps["create-again"].requests) == 5
    more = play(
        google,
        tmp_path,
        [
            task("second", "gcp_vpc_access", {**VPC, "subnetwork_range": "10.8.0.0/24", "services_range": "more"}),
            task("shrink", "gcp_vpc_access", {**VPC, "subnetwork_range": "10.8.0.0/25"}),
            task("tiny", "gcp_vpc_access", {**VPC, "subnetwork_range": "10.8.0.0/28"}),
        ],
    )
    assert more["second"].writes[-1] == f"PATCH servicenetworking {CONNECTIONS}/-?force=true&updateMask=reservedPeeringRanges"
    assert google.world.objects["servicenetworking/projects/demo/global/networks/mass"]["reservedPeeringRanges"] == ["managed", "more"]
    assert "cannot become '10.8.0.0/25'" in more["shrink"].result["msg"]
    assert "/26 or larger" in more["tiny"].result["msg"]
    assert google.world.violations == []


def test_security_policy(google: GoogleServer, tmp_path: Path) -> None:
    """Rules come, change their kind, and go; what somebody else added goes too; the last rule is the default."""
    path = f"{COMPUTE}/global/securityPolicies/mass"
    office = {"priority": 900, "action": "allow", "source_ranges": ["192.0.2.0/24"]}
    steps = Lifecycle(
        module="gcp_security_policy",
        base={"project": "demo", "name": "mass", "rules": [BAN, office]},
        change={"rules": [{"priority": 1000, "action": "deny(403)", "source_ranges": ["198.51.100.0/24"]}, office], "description": "edge"},
        drop={"rules": [BAN], "default_action": "deny(404)"},
        drift=(
            "POST",
            f"compute/{path}/addRule",
            {"priority": 5, "action": "allow", "match": {"expr": {"expression": "true"}}},
        ),
    ).verify(google, tmp_path)
    assert steps["create"].writes == [f"POST compute {COMPUTE}/global/securityPolicies"]
    assert steps["change"].writes == [
        f"PATCH compute {path}",
        f"POST compute {path}/patchRule?priority=1000&updateMask=match.expr,rateLimitOptions",
    ]
    assert steps["drop"].writes[-1] == f"POST compute {path}/removeRule?priority=900"
    assert steps["heal"].result["writes"] == [f"POST {path}/removeRule?priority=5"]
    limits = steps["create"].requests[1].body["rules"][1]["rateLimitOptions"]
    assert (limits["conformAction"], limits["exceedAction"], limits["enforceOnKey"]) == ("allow", "deny(429)", "IP")


def test_security_policy_refusals(google: GoogleServer, tmp_path: Path) -> None:
    def rules(name: str, **changes: object) -> dict[str, object]:
        return task(name, "gcp_security_policy", {"project": "demo", "name": "mass", "rules": [{**BAN, **changes}]})

    google.world.faults += [Fault("POST compute .*securityPolicies$", "drop_after")]
    steps = play(
        google, tmp_path, [rules("unlimited", count=None), rules("unmatched", expression=None), rules("lost"), rules("lost-again")]
    )
    assert "rate_based_ban at 1000 needs exactly ['count', 'interval', 'ban_duration']" in steps["unlimited"].result["msg"]
    assert "1000 needs one of expression and source_ranges" in steps["unmatched"].result["msg"]
    assert (steps["lost"].changed, steps["lost-again"].changed) == (True, False)
    assert google.world.violations == []


def test_domain(google: GoogleServer, tmp_path: Path) -> None:
    image = "us-central1-docker.pkg.dev/demo/r/api@sha256:" + "0" * 64
    domain = {**DEMO, "name": "api.example.com", "service": "api"}
    steps = play(
        google,
        tmp_path,
        [
            task("service", "gcp_run_service", {**DEMO, "name": "api", "image": image}),
            task("create-check", "gcp_run_domain", domain, check=True),
            task("create", "gcp_run_domain", domain),
            task("create-again", "gcp_run_domain", domain),
            task("other", "gcp_run_domain", {**domain, "service": "other"}),
            task("absent-check", "gcp_run_domain", {**domain, "state": "absent"}, check=True),
            task("absent", "gcp_run_domain", {**domain, "state": "absent"}),
            task("absent-again", "gcp_run_domain", {**domain, "state": "absent"}),
        ],
    )
    names = ("create-check", "create", "create-again", "absent-check", "absent", "absent-again")
    assert [steps[name].changed for name in names] == [True, True, False, True, True, False]
    assert steps["create-check"].result["diff"] == steps["create"].result["diff"]
    assert steps["create-check"].writes == steps["absent-check"].writes == []
    assert steps["create-again"].result["records"] == [{"name": "api", "type": "CNAME", "rrdata": "ghs.googlehosted.com."}]
    assert "service of " in steps["other"].result["msg"]
    assert steps["create"].lines == [
        "GET us-central1-run apis/domains.cloudrun.com/v1/namespaces/demo/domainmappings/api.example.com",
        "POST us-central1-run apis/domains.cloudrun.com/v1/namespaces/demo/domainmappings",
    ]
    assert google.world.violations == []
