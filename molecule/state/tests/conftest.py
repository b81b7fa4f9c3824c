"""Runs the engine on a host of this scenario, as a playbook of one task would."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parent.parent
Arguments = dict[str, Any]


class Run:
    """One ansible-playbook process. `result` is the engine's, `output` all that Ansible printed."""

    def __init__(self, process: subprocess.Popen[str], results: Path) -> None:
        self.process = process
        self.results = results

    def wait(self) -> "Run":
        self.output, _ = self.process.communicate(timeout=180)
        return self

    @property
    def result(self) -> Arguments:
        return self.results_of_all()[0]

    def results_of_all(self) -> list[Arguments]:
        assert self.results.exists(), self.output
        return json.loads(self.results.read_text())

    def items(self, *, changed_only: bool = True) -> list[tuple[str, str, str]]:
        """(section, name, action) of what changed, without validations."""
        return [
            (item["section"], item["name"], item["action"])
            for item in self.result["items"]
            if item["section"] != "validate" and (item["changed"] or not changed_only)
        ]


class Engine:
    """`engine(files=[...], units=[...])` runs and waits; `engine.start(...)` only starts; `engine.play([...])` runs several tasks."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.count = 0
        for name in ("templates", "files"):
            (folder / name).symlink_to(SCENARIO / name)

    def __call__(self, *, check: bool = False, options: tuple[str, ...] = (), task: Arguments | None = None, **arguments: Any) -> Run:
        return self.start(check=check, options=options, task=task, **arguments).wait()

    def start(self, *, check: bool = False, options: tuple[str, ...] = (), task: Arguments | None = None, **arguments: Any) -> Run:
        return self._begin([{"slipway.stack.state": arguments, **(task or {})}], (*(["--check"] if check else []), *options))

    def play(self, tasks: list[Arguments]) -> list[Arguments]:
        """Results of all tasks, in one process of Ansible, which is what most of the time goes into."""
        return self._begin(tasks, ("--diff",)).wait().results_of_all()

    def _begin(self, tasks: list[Arguments], options: tuple[str, ...]) -> Run:
        self.count += 1
        results = self.folder / f"results{self.count}.json"
        # JSON is YAML.
        playbook = self.folder / f"play{self.count}.yml"
        steps = [
            {"name": f"Step {number}", "register": f"found{number}", "ignore_errors": True, **task} for number, task in enumerate(tasks)
        ]
        keep = {
            "name": "Keep the results",
            "ansible.builtin.copy": {
                "content": "{{ [" + ", ".join(step["register"] for step in steps) + "] | to_json }}",
                "dest": str(results),
            },
            "delegate_to": "localhost",
            "check_mode": False,
            "no_log": True,
            "vars": {"ansible_connection": "local"},
        }
        variables = {"greeting": "hello", "listen": "127.0.0.1:8099", "ansible_connection": "community.docker.docker"}
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [*steps, keep]}]))
        process = subprocess.Popen(
            ["ansible-playbook", "-i", f"{self.host.backend.name},", str(playbook), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "NO_COLOR": "1"},
            start_new_session=True,
        )
        return Run(process, results)


@pytest.fixture
def engine(host: Host, tmp_path: Path) -> Callable[..., Run]:
    return Engine(host, tmp_path)


def greeter(greeting: str = "hello", **more: Any) -> Arguments:
    """The part of converge.yml that makes greeter@8001 greet so."""
    unit = {
        "name": "greeter@8001.service",
        "state": "started",
        "enabled": True,
        "restart_on": ["/etc/greeter/greeting"],
        "reload_on": ["/etc/greeter/conf.d"],
        "ready": {"http": "http://127.0.0.1:8001/", "timeout": 4},
    }
    return {"files": [{"path": "/etc/greeter/greeting", "content": f"{greeting}\n"}], "units": [unit], **more}


def answer(host: Host, port: int = 8001) -> str:
    """What the greeter says right now; empty when it does not answer."""
    script = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/', timeout=3).read().decode(), end='')"
    return host.run("python3 -c %s", script).stdout


def main_pid(host: Host, unit: str) -> str:
    return host.check_output(f"systemctl show --value --property=MainPID {unit}")
