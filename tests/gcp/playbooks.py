# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of playbooks/gcp against the strict server, and a backend that answers at Cloud Run's addresses."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from slipway import play
from tests.gcp.interpreter import quick_python
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import ApiError
from tests.lab import BIN, PATH, ROOT

Json = dict[str, Any]
CANARY = "canary-value-that-nobody-may-see"
OUTSIDE = ("OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "SUPABASE_URL", "SUPABASE_SERVICE_KEY", "SUPABASE_ANON_KEY")
OUTSIDE += ("CLAUDE_API_KEY", "SMTP_USERNAME", "SMTP_PASSWORD")


def image(number: int) -> str:
    return f"us-central1-docker.pkg.dev/demo/shop/api@sha256:{number:064d}"


@dataclass
class Run:
    """One run of a playbook: its exit code, text, and what every task did on every host."""

    code: int
    output: str
    results: list[tuple[str, str, Json]] = field(default_factory=list)  # task, host, result

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Task and host of everything that changed; for loops, item by item."""
        return [(task, host) for task, host, result in self.results if result.get("changed")]

    @property
    def diffs(self) -> Json:
        """Every diff by task, host and item."""
        found: Json = {}
        for task, host, result in self.results:
            for item in result.get("results", [result]):
                if item.get("changed"):
                    found[f"{task} {host} {json.dumps(item.get('item'), sort_keys=True)}"] = item.get("diff")
        return found

    @property
    def message(self) -> str:
        parts = [item for _task, _host, result in self.results for item in result.get("results", [result])]
        return " ".join(str(item.get("msg", "")) for item in parts if item.get("failed"))


def playbook(server: GoogleServer, name: str, inventories: list[Path], target: str, *arguments: str, **variables: Any) -> Run:
    server.world.access = True
    extra = {
        **server.environment(),
        **{variable: f"{CANARY}-{variable.lower()}" for variable in OUTSIDE},
        "GOOGLE_OAUTH_ACCESS_TOKEN": "test-token-of-playbooks",
        "ANSIBLE_FORKS": "5",
        "PATH": PATH,
        **variables.pop("environment", {}),
    }
    environment = play.environment(ROOT / "ansible.cfg", extra)
    kill_when: Callable[[], bool] | None = variables.pop("kill_when", None)
    file = ROOT / "playbooks/gcp" / f"{name}.yml"
    options = ["--diff", *(word for inventory in inventories for word in ("-i", str(inventory))), *arguments]
    variables["target"] = target
    if kill_when:
        return killed([str(BIN / "ansible-playbook"), str(file), *options, "-e", json.dumps(variables)], environment, kill_when)
    done = play.run(file, *options, folder=ROOT, environment=environment, variables=variables, time_limit=600)
    assert done.results, done.output
    results = [(result.task, result.host, dict(result.values)) for result in done.results]
    # Whatever may not be seen must not be in a result either.
    return Run(done.code, done.output + json.dumps(results), results)


def killed(command: list[str], environment: dict[str, str], when: Callable[[], bool]) -> Run:
    """SIGKILL to the playbook and its children as soon as `when` is true."""
    run = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    while run.poll() is None and not when():
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGKILL)
    output, _ = run.communicate(timeout=600)
    return Run(run.returncode, output)


def outside(google: GoogleServer, address: str) -> int:
    """The status of a request of somebody on the internet, through the server's proxy."""
    proxies, bundle = {"https": google.url}, str(google.bundle)
    return requests.get(f"{address}/health", proxies=proxies, verify=bundle, timeout=30).status_code


def secret(google: GoogleServer, name: str, project: str = "demo") -> str:
    """The newest value of a secret."""
    versions = [key for key in google.world.secrets if f"/{project}/secrets/{name}/versions/" in key]
    return base64.b64decode(google.world.secrets[max(versions, key=lambda key: int(key.rpartition("/")[2]))]).decode()


class Backend:
    """What runs behind the addresses of Cloud Run: each revision answers as its image does."""

    def __init__(self, server: GoogleServer) -> None:
        self.world = server.world
        self.sick: set[str] = set()
        self.asked: list[str] = []
        self.world.site = self.answer

    def service(self) -> Json:
        return next(item for key, item in self.world.objects.items() if re.fullmatch(r"run/.*/services/[^/]+", key))

    def traffic(self) -> list[tuple[str, int, str]]:
        """Image number, percent, tag."""
        return [(self.image_of(item["revision"])[-1], item.get("percent", 0), item.get("tag", "")) for item in self.service()["traffic"]]

    def image_of(self, revision: str) -> str:
        found = next(item for key, item in self.world.objects.items() if key.endswith(f"/revisions/{revision}"))
        return str(found["containers"][0]["image"])

    def answer(self, host: str, path: str) -> Json:
        tag = host.partition("---")[0] if "---" in host else ""
        statuses = self.service()["trafficStatuses"]
        entry = next(item for item in statuses if (item.get("tag") == tag if tag else item.get("percent")))
        picture = self.image_of(entry["revision"])
        self.asked.append(f"{tag} /{path} {picture[-1]}")
        if picture in self.sick:
            raise ApiError(503, "UNAVAILABLE", "unhealthy")
        return {"status": "healthy", "database": "connected"}

    def performs(self, number: int, good: int, bad: int, p95_ms: float = 120.0) -> None:
        """What Monitoring knows of the revisions with this image."""
        self.world.objects[f"metrics/{image(number)}"] = {"requests": {"2xx": good, "5xx": bad}, "p95_ms": p95_ms}


def small(folder: Path, environment: str = "production", **variables: Any) -> Path:
    """An inventory with a database, one secret of each kind, and quick waits."""
    base: Json = {
        "gcp_app": "shop",
        "gcp_project": "demo",
        "gcp_region": "us-central1",
        "gcp_environment": environment,
        "gcp_apis": ["sqladmin"],
        "gcp_accounts": [{"name": "shop-sa"}],
        "gcp_network": {"network": "default", "subnetwork": "default"},
        "gcp_run": {"name": "shop", "service_account": "shop-sa", "public": True, "secrets": {"DATABASE_URL": "db-url"}},
        "gcp_migrate": {"name": "shop-migrate", "command": ["alembic", "upgrade", "head"]},
        "gcp_sql": {"name": "shop-db", "databases": ["shop"], "users": [{"name": "shop", "secret": "db-password"}]},
        "gcp_secrets": [{"name": "db-password", "generate": 32}, {"name": "db-url", "dsn": {"user": "shop", "database": "shop"}}],
        "gcp_health": {"retries": 1, "delay_seconds": 0},
        "gcp_canary": {"watch_seconds": 0, "when_quiet": "fail"},
        "ansible_connection": "local",
        "ansible_pipelining": True,
        "ansible_python_interpreter": quick_python(),
    }
    file = folder / f"{environment}.yml"
    file.write_text(yaml.safe_dump({"gcp": {"hosts": {f"shop-{environment}": base | variables}}}))
    return file
