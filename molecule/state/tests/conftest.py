"""Runs the engine on a host of this scenario, as a playbook of one task would."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import playbook
import pytest
from testinfra.host import Host

from slipway import play

SCENARIO = Path(__file__).resolve().parent.parent
Arguments = dict[str, Any]


class Run:
    """What a playbook of engine tasks did: `result` is that of the first, `output` all that Ansible printed."""

    def __init__(self, done: play.Run) -> None:
        self.output = done.output
        self.results = [dict(result.values) for result in done.results]

    @property
    def result(self) -> Arguments:
        assert self.results, self.output
        return self.results[0]

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
        self.arguments = ["-i", f"{host.backend.name},"]
        self.environment = playbook.environment(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ansible.cfg")
        for name in ("templates", "files"):
            (folder / name).symlink_to(SCENARIO / name)

    def __call__(self, *, check: bool = False, options: tuple[str, ...] = (), task: Arguments | None = None, **arguments: Any) -> Run:
        return self._run([{"slipway.stack.state": arguments, **(task or {})}], (*(["--check"] if check else []), *options))

    def play(self, tasks: list[Arguments]) -> list[Arguments]:
        """Results of all tasks, in one process of Ansible, which is what most of the time goes into."""
        return self._run(tasks, ("--diff",)).results

    def start(self, **arguments: Any) -> subprocess.Popen[str]:
        """Begin, for a test that kills a part of it."""
        command = [Path(sys.executable).parent / "ansible-playbook", *self.arguments, self._write([{"slipway.stack.state": arguments}])]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, start_new_session=True, **pipes)

    def _write(self, tasks: list[Arguments]) -> Path:
        steps = [{"name": f"Step {number}", "ignore_errors": True, **task} for number, task in enumerate(tasks)]
        variables = {"greeting": "hello", "listen": "127.0.0.1:8099", "ansible_connection": "community.docker.docker"}
        path = self.folder / "play.yml"
        path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": steps}]))  # JSON is YAML
        return path

    def _run(self, tasks: list[Arguments], options: tuple[str, ...]) -> Run:
        return Run(
            play.run(self._write(tasks), *self.arguments, *options, folder=self.folder, environment=self.environment, time_limit=180)
        )


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
        # One that never gets well is waited for to the end; for the others the machine may be as slow as it likes.
        "ready": {"http": "http://127.0.0.1:8001/", "timeout": 4 if greeting == "sick" else 60},
    }
    return {"files": [{"path": "/etc/greeter/greeting", "content": f"{greeting}\n"}], "units": [unit], **more}


def answer(host: Host, port: int = 8001) -> str:
    """What the greeter says right now; empty when it does not answer."""
    script = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/', timeout=3).read().decode(), end='')"
    return host.run("python3 -c %s", script).stdout


def main_pid(host: Host, unit: str) -> str:
    return host.check_output(f"systemctl show --value --property=MainPID {unit}")
