# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd units: one `systemctl show` to read; the running process, not the file, decides what must happen."""

from __future__ import annotations

import os
import re
import time

from .host import RUN_DIR, Deadline, Running, StepError, command, must, walk_newest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RELOADED = RUN_DIR + "/reloaded"
UNIT_FOLDERS = (
    "/etc/systemd/system/",
    "/run/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
    "/usr/local/lib/systemd/system/",
)
_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,Result,NeedDaemonReload,ExecMainStartTimestamp,ActiveEnterTimestamp,NRestarts"
)
# So often a unit may end and be restarted by systemd while it is waited for: once or twice is a database that is late.
CRASHES = 3
CRASH_SECONDS = 5.0
# What a process says when its sandbox holds it back.
_HELD_BACK = re.compile("Operation not permitted|Read-only file system|/proc/(meminfo|cpuinfo|stat|loadavg)")
OPPOSITES = {"enable": "disable", "disable": "enable", "mask": "unmask", "unmask": "mask"}
# enabling cannot change these: somebody else starts them, or a generator made them
_NOT_ENABLEABLE = ("static", "generated", "indirect", "transient")


class Unit:
    """A unit as systemd sees it. started: seconds since the epoch, 0.0 when it does not run."""

    __slots__ = ("active", "enabled_state", "load", "needs_daemon_reload", "restarts", "result", "started", "sub")

    def __init__(self, properties: dict[str, str]) -> None:
        self.load = properties.get("LoadState", "not-found")
        self.active = properties.get("ActiveState", "inactive")
        self.sub = properties.get("SubState", "")
        self.result = properties.get("Result", "success")
        self.enabled_state = properties.get("UnitFileState", "")
        self.needs_daemon_reload = properties.get("NeedDaemonReload") == "yes"
        self.restarts = int(properties.get("NRestarts") or 0)
        self.started = 0.0
        if self.running:
            self.started = timestamp(properties.get("ExecMainStartTimestamp", "")) or timestamp(properties.get("ActiveEnterTimestamp", ""))

    @property
    def running(self) -> bool:
        return self.active in ("active", "reloading", "activating")

    @property
    def masked(self) -> bool:
        return self.load == "masked" or self.enabled_state in ("masked", "masked-runtime")

    @property
    def enabled(self) -> bool:
        return self.enabled_state in ("enabled", "alias")


def timestamp(text: str) -> float:
    """'Sun 2026-11-22 00:20:12.123456 UTC' in seconds since the epoch; 0.0 for 'n/a' and empty."""
    fields = text.split()
    if len(fields) != 4:
        return 0.0
    year, month, day = (int(part) for part in fields[1].split("-"))
    hour, minute, second = fields[2].split(":")
    # days since the epoch without the imports of datetime: the year begins in March, so that the leap day is its last
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
    return days * 86400.0 + int(hour) * 3600 + int(minute) * 60 + float(second)


def ask(names: list[str]) -> Running | None:
    """Start reading the state of units; `answer` takes what this returns."""
    if not names:
        return None
    return Running(["systemctl", "show", "--no-pager", "--timestamp=us+utc", "--property=" + _PROPERTIES, "--", *names])


def answer(asked: Running | None, names: list[str]) -> dict[str, Unit]:
    """State of every named unit, in the order asked; one that systemd does not know is 'not-found'."""
    if asked is None:
        return {}
    text = asked.output(60).strip()
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")] if text else []
    if len(blocks) != len(names):
        raise StepError(f"systemctl show answered for {len(blocks)} of {len(names)} units: is systemd running on this host?")
    return {name: Unit(block) for name, block in zip(names, blocks)}


def show(names: list[str]) -> dict[str, Unit]:
    return answer(ask(names), names)


def daemon_reload_reasons(changing: dict[str, float], have: dict[str, Unit]) -> list[str]:
    """Unit files of this call, or those that an earlier run changed without telling systemd."""
    changed = [path for path in changing if path.startswith(UNIT_FOLDERS)]
    stale = [name for name, unit in have.items() if unit.needs_daemon_reload]
    return [f"{path} changed" for path in changed] or [f"{name} changed on disk" for name in stale]


def reloaded_at(name: str) -> float:
    try:
        return os.stat(f"{RELOADED}/{name}").st_mtime
    except OSError:
        return 0.0


def record_reload(name: str, moment: float) -> None:
    os.makedirs(RELOADED, 0o755, exist_ok=True)
    path = f"{RELOADED}/{name}"
    with open(path, "wb"):
        os.utime(path, (moment, moment))


def covers(watched: str, path: str) -> bool:
    """`path` is the watched file, or lies below the watched directory."""
    return path == watched or path.startswith(watched.rstrip("/") + "/")


def newer(watched: list[str], moment: float, changing: dict[str, float]) -> str:
    """The first watched path that changed after `moment`; `changing` are paths known to change, with their time."""
    for item in watched:
        for path, when in changing.items():
            if when > moment and covers(item, path):
                return path
        if walk_newest(item) > moment:
            return item
    return ""


class Plan:
    """What one unit needs. action: '', start, stop, restart, reload."""

    __slots__ = ("action", "enable", "mask", "name", "reasons")

    def __init__(self, name: str) -> None:
        self.name = name
        self.action = ""
        self.enable = ""
        self.mask = ""
        self.reasons: list[str] = []

    def words(self) -> list[str]:
        return [word for word in (self.mask, self.action, self.enable) if word]


def decide(want: dict[str, Any], have: Unit, changing: dict[str, float], reloaded: float) -> Plan:
    """Compare a unit with what is wanted. `changing`: paths of this call that change -> time (infinite when planned)."""
    plan = Plan(want["name"])
    if want["masked"] is not None and want["masked"] != have.masked:
        plan.mask = "mask" if want["masked"] else "unmask"
        plan.reasons.append("masked" if have.masked else "not masked")
    if want["enabled"] is not None and want["enabled"] != have.enabled:
        if want["enabled"] and have.enabled_state not in _NOT_ENABLEABLE:
            plan.enable = "enable"
        elif not want["enabled"] and have.enabled_state in ("enabled-runtime", "linked", "linked-runtime", "enabled", "alias"):
            plan.enable = "disable"
        if plan.enable:
            plan.reasons.append(have.enabled_state or "not enabled")
    if want["state"] == "stopped":
        if have.running:
            plan.action = "stop"
            plan.reasons.append(have.active)
        return plan
    if not have.running:
        if want["state"] == "started":
            plan.action = "start"
            plan.reasons.append(have.active if have.load != "not-found" else "not there yet")
        return plan
    stale = newer(want["restart_on"], have.started, changing)
    if stale:
        plan.action = "restart"
        plan.reasons.append(f"{stale} is newer than the running process")
        return plan
    stale = newer(want["reload_on"], max(have.started, reloaded), changing)
    if stale:
        plan.action = "reload"
        plan.reasons.append(f"{stale} is newer than the last reload")
    return plan


def daemon_reload(deadline: Deadline) -> None:
    must(["systemctl", "daemon-reload"], "systemctl daemon-reload", deadline.at_most(90))


def perform(want: dict[str, Any], action: str, deadline: Deadline) -> None:
    """Start, restart, reload or stop, then wait until the unit answers; StepError says why it does not."""
    from shlex import split

    name = want["name"]
    if action == "stop":
        must(["systemctl", "stop", name], "stopping " + name, deadline.left())
        command(["systemctl", "reset-failed", name], 30)
        return
    moment = time.time()
    argv = ["systemctl", action, name]
    if action == "reload" and want["reload_command"]:
        argv = split(want["reload_command"])
    elif action != "reload":
        command(["systemctl", "reset-failed", name], 30)
    done = command(argv, deadline.left())
    if done.code != 0:
        raise StepError(f"{name}: '{' '.join(argv)}' exited {done.code}: {done.tail(5)}", unit=name)
    if action == "reload":
        record_reload(name, moment)
    await_ready(want, deadline)


def await_ready(want: dict[str, Any], deadline: Deadline) -> None:
    from . import probe

    name, ready = want["name"], want["ready"]
    limit = time.monotonic() + deadline.at_most(ready["timeout"] if ready else 5)
    settle = ready["settle"] if ready else 0.4  # without a probe: long enough to see a process that dies at once
    answering = 0.0  # since when
    begun, restarts = time.monotonic(), -1
    while True:
        have = show([name])[name]
        restarts = have.restarts if restarts < 0 else restarts
        if have.restarts - restarts >= CRASHES and time.monotonic() >= begun + CRASH_SECONDS:
            seconds, ended = round(time.monotonic() - begun), have.restarts - restarts
            raise StepError(f"{name} does not stay up: it ended {ended} times within {seconds} s ({have.result})", unit=name)
        if have.active == "failed":
            raise StepError(f"{name} failed ({have.result}) after its start", unit=name)
        if have.active == "active" or (have.active == "inactive" and not ready):
            answer = probe.attempt(ready) if ready else ""
            answering = 0.0 if answer else answering or time.monotonic()
            if not answer and time.monotonic() >= answering + settle:
                return
        else:
            answering = 0.0
            answer = "unit is " + have.active
        if time.monotonic() > limit and not answering:
            if not ready:
                raise StepError(f"{name} is {have.active} ({have.sub})", unit=name)
            raise StepError(f"{name} is not ready: {probe.describe(ready)} did not answer within {ready['timeout']} s: {answer}", unit=name)
        time.sleep(0.1)


def journal(name: str, lines: int = 20) -> list[str]:
    wait_for_last_words(name)
    done = command(["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={lines}", "--unit=" + name], 15)
    return done.output.strip().splitlines()


def hint(name: str, lines: list[str]) -> str:
    """What to try when a unit's last lines look like its sandbox; empty when they do not."""
    said = next((match[0] for match in map(_HELD_BACK.search, lines) if match), "")
    return (
        f"hint: '{said}' may be the sandbox of {name}; name the path it writes to, or the exception it needs with its reason"
        if said
        else ""
    )


def wait_for_last_words(name: str) -> None:
    """Return when the journal holds what a process that just died had written.

    `journalctl --sync` does not promise that: it overtakes what still waits in the services' own streams. journald takes the
    streams in turn, so when it holds a line that was sent after the process died, it holds all that came before.
    """
    mark = f"reading the journal of {name} ({os.getpid()}.{time.monotonic_ns()})"
    sent = command(["systemd-cat", "--identifier=slipway-state", "--priority=info", "echo", mark], 15)
    limit = time.monotonic() + 10
    while sent.code == 0 and time.monotonic() < limit:
        if mark in command(["journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=5", "--identifier=slipway-state"], 15).output:
            return
        time.sleep(0.1)


def systemctl(verb: str, name: str, deadline: Deadline) -> None:
    must(["systemctl", verb, name], f"{verb} {name}", deadline.at_most(60))
