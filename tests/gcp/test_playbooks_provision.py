# SPDX-License-Identifier: GPL-3.0-or-later
"""The five example inventories from nothing to ready, all in one run, and again without a change."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.gcp.interpreter import quick_python
from tests.gcp.playbooks import CANARY, ROOT, Json, Run, image, outside, playbook, secret, small
from tests.gcp_server.server import GoogleServer

EXAMPLES = {
    "mass-backend": "production",
    "ssr-api": "production",
    "clarity-backend": "production",
    "ai-backend": "production",
    "fineman-west-backend": "production",
}
# The figures of the guides of the five backends, written by hand: what is sent must hold them, whatever an inventory or a profile says.
SERVICES = {  # processors, memory, requests at once, fewest and most instances, time limit, port
    "mass-backend": ("2", "4Gi", 80, 1, 10, "300s", 8080),
    "ssr-api": ("2", "4Gi", 100, 1, 10, "3600s", 8000),
    "clarity-backend-production": ("4", "4Gi", 200, 0, 100, "300s", 8000),
    "ai-backend": ("4", "8Gi", 100, 3, 25, "60s", 8000),
    "fineman-west-production": ("4", "8Gi", 1000, 1, 100, "60s", 8080),
}
DATABASES = {  # size, availability, disk in GB, backup at, backups kept, maintenance day and hour, flags
    "mass-db": ("db-custom-2-7680", "REGIONAL", "10", "03:00", 7, 7, 4, {"max_connections": "100", "log_min_duration_statement": "1000"}),
    "ssr-db": ("db-custom-4-15360", "REGIONAL", "500", "02:00", 30, 7, 4, {"max_connections": "200"}),
    "fineman-west-db": ("db-custom-2-4096", "REGIONAL", "100", "02:00", 7, 7, 4, {"max_connections": "100"}),
}
CACHES = {"mass-redis": ("STANDARD_HA", 5), "ai-redis": ("STANDARD_HA", 5), "ssr-redis": ("STANDARD_HA", 8)}
ALERTS = {  # above which value, for how long
    "mass-backend: error rate": (0.05, "300s"),
    "ssr-api: error rate": (0.05, "300s"),
    "clarity-backend-production: error rate": (0.05, "300s"),
    "ai-backend: error rate": (0.01, "300s"),
    "fineman-west-production: error rate": (0.05, "300s"),
    "mass-backend: slow": (1000, "600s"),
    "ai-backend: slow": (2000, "600s"),
    "fineman-west-production: slow": (5000, "600s"),
    "ai-backend: memory": (0.8, "600s"),
    "fineman-west-production: memory": (0.9, "600s"),
    "mass-db: connections": (80, "60s"),
    "ssr-db: connections": (160, "60s"),
    "fineman-west-db: connections": (80, "60s"),
}
TOPICS = {"health-data-processing": "86400s", "insights-generation": "86400s", "health-check": "86400s"}


def sent(google: GoogleServer, pattern: str) -> dict[str, Json]:
    """The objects at Google whose key matches, by the last part of it."""
    return {key.rpartition("/")[2]: item for key, item in google.world.objects.items() if re.fullmatch(pattern, key)}


def check_figures(google: GoogleServer) -> None:
    services = {}
    for name, service in sent(google, "run/.*/services/[^/]+").items():
        template, container = service["template"], service["template"]["containers"][0]
        limits, scaling = container["resources"]["limits"], template["scaling"]
        instances = (scaling.get("minInstanceCount", 0), scaling["maxInstanceCount"])
        at_once, port = template["maxInstanceRequestConcurrency"], container["ports"][0]["containerPort"]
        services[name] = (limits["cpu"], limits["memory"], at_once, *instances, template["timeout"], port)
    assert services == SERVICES
    databases = {}
    for name, instance in sent(google, "sqladmin/projects/[^/]+/instances/[^/]+").items():
        found = instance["settings"]
        if name in DATABASES:  # replicas have no backups of their own
            backup, window = found["backupConfiguration"], found["maintenanceWindow"]
            kept = (backup["startTime"], backup["backupRetentionSettings"]["retainedBackups"], window["day"], window["hour"])
            flags = {flag["name"]: flag["value"] for flag in found["databaseFlags"]}
            databases[name] = (found["tier"], found["availabilityType"], found["dataDiskSizeGb"], *kept, flags)
    assert databases == DATABASES
    assert {name: (item["tier"], item["memorySizeGb"]) for name, item in sent(google, "redis/.*/instances/[^/]+").items()} == CACHES
    thresholds = {}
    for policy in sent(google, "monitoring/.*/alertPolicies/[^/]+").values():
        limit = policy["conditions"][0].get("conditionThreshold", {})
        thresholds[policy["displayName"]] = (limit.get("thresholdValue"), limit.get("duration"))
    assert {name: thresholds.get(name) for name in ALERTS} == ALERTS
    topics = sent(google, "pubsub/.*/topics/[^/]+")
    assert {name: topics[name]["messageRetentionDuration"] for name in TOPICS} == TOPICS
    # Dead letters are moved by Google's own account, and stay until somebody takes them.
    project = "pubsub/projects/clarity-loop-prod"
    assert sent(google, f"{project}/subscriptions/dead-letters-kept")["dead-letters-kept"]["topic"].endswith("/topics/dead-letters")
    agent = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    grants = {
        f"{project}/topics/dead-letters": {"role": "roles/pubsub.publisher", "members": [agent]},
        f"{project}/subscriptions/health-data-worker": {"role": "roles/pubsub.subscriber", "members": [agent]},
    }
    assert {key: google.world.policies[key]["bindings"] for key in grants} == {key: [grant] for key, grant in grants.items()}
    assert sent(google, ".*/cryptoKeys/storage-key")["storage-key"]["rotationPeriod"] == "7776000s"
    limit = sent(google, ".*/securityPolicies/[^/]+")["mass-backend-policy"]["rules"][0]["rateLimitOptions"]
    assert (limit["rateLimitThreshold"], limit["banDurationSec"]) == ({"count": 100, "intervalSec": 60}, 600)


def test_examples(google: GoogleServer, tmp_path: Path) -> None:
    inventories = [ROOT / "inventories/examples" / name for name in EXAMPLES]
    target = ",".join(f"{name}-{environment}" for name, environment in EXAMPLES.items())

    def provision(*arguments: str) -> tuple[list[str], Run]:
        begin, first = time.monotonic(), len(google.world.requests)
        run = playbook(
            google, "provision", inventories, target, *arguments, release_image=image(1), ansible_python_interpreter=quick_python()
        )
        assert run.code == 0, run.message
        assert CANARY not in run.output
        requests = google.world.requests[first:]
        writes = [str(item) for item in requests if item.verb != "GET" and not item.path.endswith((":getIamPolicy", "/wait"))]
        print(f"{' '.join(arguments) or 'run'}: {time.monotonic() - begin:.0f} s, {len(requests)} requests, {len(writes)} writes")
        return writes, run

    google.world.site = lambda _host, _path: {"status": "healthy", "message": "success"}
    writes, predicted = provision("--check")
    assert writes == []
    writes, real = provision("-vvv")
    check_figures(google)
    # Each is answered, by its own cache where it has one.
    services = sent(google, "run/.*/services/[^/]+")
    assert {name: outside(google, service["uri"]) for name, service in services.items()} == dict.fromkeys(SERVICES, 200)
    for project, name in (("unseenedgeai", "mass-redis"), ("ssr-prod", "ssr-redis"), ("ai-backend-production", "ai-redis")):
        address = f"rediss://:auth-of-{name}@10.0.0.3:6378/0?ssl_cert_reqs=required&ssl_ca_certs=/secrets/redis/authorities.pem"
        assert (secret(google, "redis-url", project), name in secret(google, "redis-authorities", project)) == (address, True)
    # Environments are worked on side by side, and end in any order.
    assert sorted(predicted.changes) == sorted(real.changes)
    # The one thing that nobody can know before: the name of a revision that does not exist yet.
    known = {key for key in real.diffs if not key.startswith("All traffic to the first revision")}
    assert {key: predicted.diffs[key] for key in known} == {key: real.diffs[key] for key in known}
    writes, again = provision()
    assert (again.changes, writes) == ([], [])
    writes, after = provision("--check")
    assert (after.changes, writes) == ([], [])
    assert google.world.violations == []


def test_refused_before_any_request(google: GoogleServer, tmp_path: Path) -> None:
    inventory = [small(tmp_path, gcp_sql={"name": "shop-db", "tier": "db-f1-micro", "profil": "small"}, gcp_regoin="x")]
    run = playbook(google, "provision", inventory, "shop-production")
    assert run.code != 0
    assert "gcp_regoin" in run.message and "profil" in run.message
    inventory = [small(tmp_path, gcp_run={"name": "shop", "service_account": "shop-sa", "env": {"DB_PASSWORD": "x"}})]
    run = playbook(google, "provision", inventory, "shop-production")
    assert "gcp_run.env.DB_PASSWORD is a plain value; allowed: for secrets" in run.message
    assert google.world.requests == []


def test_another_project_answers(google: GoogleServer, tmp_path: Path) -> None:
    run = playbook(google, "provision", [small(tmp_path, gcp_project_number="42")], "shop-production")
    assert "has the number 123456789012; allowed: 42" in run.message
    assert [request.verb for request in google.world.requests] == ["GET"]
