# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a resource, played by the real ansible-playbook against the strict server. A module's test is its data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway import play as playing
from tests.gcp.interpreter import quick_python
from tests.gcp_server.crud import UNWATCHED_SECONDS
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Request
from tests.lab import PATH, ROOT

Json = dict[str, Any]
# The server's own clocks and counters; everything else must be predicted.
VOLATILE = {
    "etag",
    "updateTime",
    "updated",
    "generation",
    "observedGeneration",
    "metageneration",
    "settingsVersion",
    "fingerprint",
    "latestCreatedRevision",
    "latestReadyRevision",
    "lastModifier",
    "versionRetentionPeriod",
    "mutationRecord",
    "conditions",
    "terminalCondition",
    "trafficStatuses",
}


@dataclass
class Step:
    """What one task did: Ansible's result and the requests that carried this step's token."""

    result: Json
    requests: list[Request] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [str(request) for request in self.requests]

    @property
    def changed(self) -> bool:
        assert not self.result.get("failed"), self.result.get("msg")
        return bool(self.result["changed"])

    @property
    def writes(self) -> list[str]:
        asks = (":getIamPolicy", "/wait")
        return [str(request) for request in self.requests if request.verb != "GET" and not request.path.endswith(asks)]


def task(name: str, module: str, arguments: Json, check: bool = False) -> Json:
    return {
        "name": name,
        f"slipway.stack.{module}": {**arguments, "access_token": token(name)},
        "check_mode": check,
        "diff": True,
        "ignore_errors": True,
    }


def token(name: str) -> str:
    return f"test-token-of-{name}-step"


def elsewhere(name: str, server: GoogleServer, method: str, path: str, body: Json | None) -> Json:
    """Another client: a plain request past our modules, through the endpoint override."""
    request: Json = {
        "url": f"{server.url}/{path}",
        "method": method,
        "status_code": [200],
        "headers": {"Authorization": "Bearer someone-else"},
    }
    if body is not None:
        request |= {"body_format": "json", "body": body}
    return {"name": name, "ansible.builtin.uri": request}


def play(
    server: GoogleServer, folder: Path, tasks: list[Json], environment: dict[str, str] | None = None, arguments: tuple[str, ...] = ()
) -> dict[str, Step]:
    """Run the tasks in one ansible-playbook and return each by name."""
    header = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": {"ansible_python_interpreter": quick_python()}}
    first = len(server.world.requests)
    variables = playing.environment(ROOT / "ansible.cfg", {**server.environment(), "PATH": PATH, **(environment or {})})
    # a busy machine takes its time
    run = playing.run([{**header, "tasks": tasks}], "-i", "localhost,", *arguments, folder=ROOT, environment=variables, time_limit=300)
    output = run.output + json.dumps([result.values for result in run.results])
    (folder / "output.txt").write_text(output)
    assert run.results, output
    steps = {result.task: Step(dict(result.values)) for result in run.results}
    for request in server.world.requests[first:]:
        for name, step in steps.items():
            if request.token == token(name):
                step.requests.append(request)
    assert "Traceback" not in output, output
    return steps


@dataclass
class Lifecycle:
    """One resource's life as data. Paths of `drift` are those of Google, with the API's name in front."""

    module: str
    base: Json
    change: Json
    drop: Json | None = None  # an option with one entry fewer than `base` or `change` gave it
    drift: tuple[str, str, Json | None] | None = None
    requests: dict[str, list[str]] = field(default_factory=dict)  # step -> the exact requests
    setup: list[Json] = field(default_factory=list)
    absent: Json | None = field(default_factory=lambda: {"state": "absent"})
    secrets: tuple[str, ...] = ()  # values that must appear nowhere

    def tasks(self, server: GoogleServer) -> list[Json]:
        changed = self.base | self.change
        dropped = changed | (self.drop or {})
        plan: list[tuple[str, Json]] = [("create", self.base), ("change", changed)]
        if self.drop:
            plan.append(("drop", dropped))
        if self.drift:
            plan.append(("heal", dropped))
        if self.absent:
            identity = {name: self.base[name] for name in ("project", "region", "name", "instance", "location") if name in self.base}
            plan.append(("absent", identity | self.absent))
        tasks = list(self.setup)
        for name, arguments in plan:
            if name == "heal" and self.drift:
                tasks.append(elsewhere("drift", server, *self.drift))
                # Nobody polls the other client's operation: it ends by itself.
                tasks.append({"name": "meanwhile", "ansible.builtin.wait_for": {"timeout": math.ceil(UNWATCHED_SECONDS)}})
            tasks += [
                task(f"{name}-check", self.module, arguments, check=True),
                task(name, self.module, arguments),
                task(f"{name}-again", self.module, arguments),
            ]
            if name == "change":
                tasks.append(task("change-again-check", self.module, arguments, check=True))
        return tasks

    def verify(self, server: GoogleServer, folder: Path) -> dict[str, Step]:
        steps = play(server, folder, self.tasks(server), arguments=("-vvv",) if self.secrets else ())
        names = [name for name in ("create", "change", "drop", "heal", "absent") if name in steps]
        for name in names:
            check, real, again = (steps[name + suffix] for suffix in ("-check", "", "-again"))
            assert check.changed, f"{name}: check mode saw nothing to do"
            assert real.changed, f"{name}: nothing changed"
            assert not again.changed, f"{name}: changed again: {again.result.get('writes')}"
            assert check.writes == again.writes == [], f"{name}: wrote where it must not"
            assert check.result["diff"] == real.result["diff"], f"{name}: the diff differs between check and real mode"
            assert check.result["diff"]["before"] != check.result["diff"]["after"], f"{name}: an empty diff"
            assert check.result["writes"] == real.result["writes"], f"{name}: check mode announced other requests"
            differences = unlike(check.result.get("resource"), real.result.get("resource"))
            assert not differences, f"{name}: check mode predicted otherwise: {differences}"
        assert not steps["change-again-check"].changed, "check mode would change again"
        for name, expected in self.requests.items():
            assert steps[name].lines == expected, f"{name}: {steps[name].lines}"
        assert server.world.violations == []
        output = (folder / "output.txt").read_text()
        for secret in self.secrets:
            assert secret not in output
        return steps


def unlike(predicted: Any, real: Any, path: str = "") -> list[str]:
    """Where the real object is not as predicted. The server may know more (defaults), never otherwise."""
    if isinstance(predicted, dict) and isinstance(real, dict):
        return [found for key in predicted if key not in VOLATILE for found in unlike(predicted[key], real.get(key), f"{path}.{key}")]
    if isinstance(predicted, list) and isinstance(real, list) and len(predicted) == len(real):
        return [found for place, item in enumerate(predicted) for found in unlike(item, real[place], f"{path}[{place}]")]
    if not predicted and not real:
        return []
    return [] if str(predicted) == str(real) else [f"{path}: predicted {predicted!r}, got {real!r}"]
