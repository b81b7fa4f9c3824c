# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plays a playbook with ansible-runner and keeps what it did: per host and task, and what each host was told."""

import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIME_LIMIT = 3600  # seconds for one playbook
# Event of ansible-runner -> what became of the task on the host.
ENDS = {"runner_on_ok": "ok", "runner_on_failed": "failed", "runner_on_unreachable": "unreachable", "runner_on_skipped": "skipped"}


@dataclass(frozen=True)
class Result:
    """One task on one host. `status`: ok, changed, failed, unreachable or skipped; `ignored`: it failed and was allowed to.

    `values` is what the module answered (a loop has its items in `results`).
    """

    host: str
    task: str
    status: str
    values: Mapping[str, Any]
    ignored: bool


@dataclass
class Run:
    """One playbook to its end: exit `code`, all it printed, wall time in seconds.

    `results` in order; `told`: host -> all that was printed about it, differences included; `changed`, `failed`: number of
    tasks for every host that played.
    """

    code: int = 0
    output: str = ""
    seconds: float = 0.0
    results: list[Result] = field(default_factory=list)
    told: defaultdict[str, str] = field(default_factory=lambda: defaultdict(str))
    changed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def tasks_changed(self) -> list[str]:
        """`host: task` of everything that changed."""
        return [f"{result.host}: {result.task}" for result in self.results if result.status == "changed"]

    def failures(self) -> list[str]:
        """`host: task: message` of everything that failed and was not allowed to."""
        return [
            f"{result.host}: {result.task}: {result.values.get('msg', '')}"
            for result in self.results
            if result.status in {"failed", "unreachable"} and not result.ignored
        ]

    def take(self, event: Mapping[str, Any]) -> None:
        """Keep one event of ansible-runner."""
        data, text = event.get("event_data", {}), event.get("stdout", "").replace("\r\n", "\n")
        if text:
            self.output += f"{text}\n"
            if host := data.get("host"):
                self.told[host] += f"{text}\n"
        if status := ENDS.get(event["event"]):
            values = data.get("res") or {}
            if status == "ok" and values.get("changed"):
                status = "changed"
            if status == "failed":
                values = {"failed": True, **values}  # as a register holds it
            self.results.append(Result(data["host"], data["task"], status, values, bool(data.get("ignore_errors"))))
        elif event["event"] == "playbook_on_stats":
            for host in data["processed"]:
                self.changed[host] = data["changed"].get(host, 0)
                self.failed[host] = data["failures"].get(host, 0) + data["dark"].get(host, 0)


def environment(configuration: Path, extra: Mapping[str, str] | None = None, *, color: bool = False) -> dict[str, str]:
    """The environment of a playbook: this one's, its programs first, with an ansible.cfg, and colours only where wanted."""
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(configuration),
        # ansible-runner would switch it off.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_FORCE_COLOR": "1" if color else "0",
    }
    return os.environ | own | ({} if color else {"ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}) | dict(extra or {})


def run(
    playbook: Path | Sequence[Mapping[str, Any]],
    *arguments: str | Path,
    folder: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, Any] | None = None,
    show: bool = False,
    time_limit: int = TIME_LIMIT,
) -> Run:
    """Play a file, or plays given as data, to the end. `arguments` are those of ansible-playbook, `folder` is where it runs.

    `show` prints as it goes. After `time_limit` seconds it is ended: exit code 254. Ctrl-C ends it too, and goes on as
    KeyboardInterrupt. What ansible-runner writes (it may hold secrets) is private and gone afterwards.
    """
    import ansible_runner  # takes a fifth of a second, which other commands need not pay

    found, start = Run(), time.monotonic()

    def handle(event: Mapping[str, Any]) -> bool:
        found.take(event)
        if show and event.get("stdout"):
            print(event["stdout"].replace("\r\n", "\n"), flush=True)
        return False  # nobody reads it from the disk

    with tempfile.TemporaryDirectory(prefix="slipway-play-") as private, _handlers_kept():
        path = playbook if isinstance(playbook, Path) else Path(private) / "play.yml"
        if not isinstance(playbook, Path):
            path.write_text(json.dumps(playbook))  # JSON is YAML
        (Path(private) / "variables.json").write_text(json.dumps(variables or {}))
        done = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(folder),
            playbook=str(path),
            cmdline=shlex.join([*map(str, arguments), *(["-e", f"@{private}/variables.json"] if variables else [])]),
            envvars=dict(environment),
            event_handler=handle,
            fact_cache_type="memory",
            quiet=True,
            suppress_env_files=True,
            timeout=time_limit,
        )
    if done.status == "canceled":
        raise KeyboardInterrupt
    found.code, found.seconds = int(done.rc), time.monotonic() - start
    if done.status == "timeout":
        found.code = 254
        found.output += f"no end after {time_limit} s\n"
    return found


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """ansible-runner puts handlers of its own in the place of this process's, and leaves them there."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            try:
                signal.signal(number, handler)
            except ValueError:  # not the main thread: it changed nothing either
                return
