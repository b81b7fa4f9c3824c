# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Debian packages: one dpkg-query to read, one apt-get to install, no service started by dpkg."""

from __future__ import annotations

import os
import re
import time

from .host import LIB_DIR, Deadline, Running, StepError, command, remove_if_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

POLICY = "/usr/sbin/policy-rc.d"
POLICY_SAVED = "/usr/sbin/policy-rc.d.slipway-saved"
POLICY_MARK = "slipway.stack.state"
UPDATED = LIB_DIR + "/apt-updated"
GONE = ("not-installed", "")
ABSENT = ("not-installed", "config-files")
PROVIDED = "provided"
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
    "UCF_FORCE_CONFFOLD": "1",
}
_OPTIONS = [
    "-o",
    "DPkg::Lock::Timeout=120",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
]


def ask(names: list[str]) -> Running | None:
    """Start reading the state of packages; `answer` takes what this returns."""
    if not names:
        return None
    return Running(["dpkg-query", "-W", "-f", "${Package}\\t${Architecture}\\t${db:Status-Status}\\t${Version}\\n", "--", *names])


def answer(asked: Running | None, names: list[str]) -> dict[str, tuple[str, str]]:
    """name -> (dpkg status such as 'installed', version); packages that dpkg does not know are not in it."""
    known: dict[str, tuple[str, str]] = {}
    for line in asked.output(60).splitlines() if asked else []:
        name, architecture, status, version = line.split("\t")
        known[name] = known[f"{name}:{architecture}"] = (status, version)
    return {**known, **_provided([name for name in names if known.get(name, GONE)[0] in ABSENT])}


def _provided(names: list[str]) -> dict[str, tuple[str, str]]:
    """Of names that are not installed, those that only an installed package provides, with its version.

    A library gets another name when its ABI changes (libmagic1t64), and the one that everybody writes is a virtual package from
    then on. A name that the lists have as a package is that package, whoever else provides it."""
    if not names:
        return {}
    listed = command(["dpkg-query", "-W", "-f", "${db:Status-Status}\\t${Version}\\t${Provides}\\n"], 60).output
    found: dict[str, tuple[str, str]] = {}
    for line in listed.splitlines():
        status, version, provides = line.split("\t")
        for name in (entry.split("(")[0].strip() for entry in provides.split(",")):
            if status == "installed" and name in names:
                found[name] = (PROVIDED, version)
    policy = command(["apt-cache", "policy", "--", *found], 60).output if found else ""
    virtual = re.findall(r"(?m)^(\S+):\n  Installed: \(none\)\n  Candidate: \(none\)$", policy)
    return {name: entry for name, entry in found.items() if name in virtual}


def installed(names: list[str]) -> dict[str, tuple[str, str]]:
    return answer(ask(names), names)


def decide(want: dict[str, Any], known: dict[str, tuple[str, str]]) -> str:
    """Why the package must change; empty when it need not."""
    status, version = known.get(want["name"], GONE)
    if want["state"] == "absent":
        return "" if status in (*ABSENT, PROVIDED) else "installed, to be removed"
    if status in ABSENT or (status == PROVIDED and want["version"]):
        return "not installed"
    if status == PROVIDED:
        return ""
    if status != "installed":
        return "dpkg says " + status
    if want["version"] and want["version"] != version:
        return "version {}, wanted {}".format(version, want["version"])
    return ""


LOCKED = re.compile(r"(?:Could not get lock|Unable to acquire|Unable to lock|frontend lock was locked by)[^\n]*")
LOCK_SECONDS = 300
LOCK_PAUSE = 3.0


class QuietServices:
    """While dpkg works, it may restart what already runs but starts nothing new: its configuration is not there yet.

    The guard asks whether the run that wrote it still lives, so a killed run leaves nothing that matters."""

    def __enter__(self) -> None:
        self.clean()
        if os.path.lexists(POLICY):
            os.rename(POLICY, POLICY_SAVED)
        handle = os.open(POLICY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
        script = (
            "#!/bin/sh\n# %s: put there while packages are installed\nkill -0 %d 2>/dev/null || exit 0\n"
            'case "$2" in *start*) systemctl --quiet is-active "$1" || exit 101 ;; esac\nexit 0\n'
        )
        os.write(handle, (script % (POLICY_MARK, os.getpid())).encode())
        os.fchmod(handle, 0o755)
        os.close(handle)

    def __exit__(self, *_details: object) -> None:
        self.clean()

    @staticmethod
    def clean() -> None:
        """Remove our guard, a killed run's too, and give the host its own policy back."""
        try:
            with open(POLICY, encoding="utf-8", errors="replace") as handle:
                ours = POLICY_MARK in handle.read(400)
        except OSError:
            ours = False
        if ours:
            remove_if_there(POLICY)
        if os.path.lexists(POLICY_SAVED) and not os.path.lexists(POLICY):
            os.rename(POLICY_SAVED, POLICY)


def lists_are_stale(cache_valid_time: int) -> bool:
    """Package lists are missing, older than cache_valid_time seconds, or older than a sources file."""
    lists = "/var/lib/apt/lists"
    try:
        if not any(name.endswith(("_Packages", "_Packages.lz4", "_Packages.gz", "_Packages.xz")) for name in os.listdir(lists)):
            return True
        age = os.stat(lists).st_mtime
    except OSError:
        return True
    for stamp in (UPDATED, "/var/lib/apt/periodic/update-success-stamp"):
        if os.path.exists(stamp):
            age = max(age, os.stat(stamp).st_mtime)
    newest = 0.0
    for source in ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/preferences.d"):
        if os.path.exists(source):
            newest = max(newest, os.stat(source).st_mtime)
        if os.path.isdir(source):
            newest = max([newest] + [entry.stat().st_mtime for entry in os.scandir(source)])
    return newest > age or time.time() - age > cache_valid_time


def apply(wanted: list[dict[str, Any]], cache_valid_time: int, deadline: Deadline) -> list[str]:
    """Make the packages that need it present or absent; returns what was installed, as name=version."""
    known = installed([want["name"] for want in wanted])
    install = [want for want in wanted if want["state"] == "present" and decide(want, known)]
    remove = [want["name"] for want in wanted if want["state"] == "absent" and decide(want, known)]
    if not install and not remove:
        return []
    with QuietServices():
        if _interrupted():
            _manage(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"], "finishing an interrupted dpkg run", deadline)
        if remove:
            _manage(["apt-get", "remove", "-q", "-y", *_OPTIONS, *remove], "removing packages", deadline)
        if install:
            fresh = lists_are_stale(cache_valid_time)
            if fresh:
                update(deadline)
            try:
                _install(install, deadline)
            except StepError:
                if fresh:
                    raise
                update(deadline)  # the lists were old enough to name files that are gone
                _install(install, deadline)
    now = installed([want["name"] for want in install])
    return ["{}={}".format(want["name"], now.get(want["name"], ("", "?"))[1]) for want in install]


def update(deadline: Deadline) -> None:
    _manage(["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"], "updating the package lists", deadline)
    os.makedirs(LIB_DIR, 0o755, exist_ok=True)
    with open(UPDATED, "wb"):
        os.utime(UPDATED)


def _install(wanted: list[dict[str, Any]], deadline: Deadline) -> None:
    groups: dict[tuple[bool, str], list[str]] = {}
    for want in wanted:
        name = want["name"] + ("=" + want["version"] if want["version"] else "")
        groups.setdefault((want["recommends"], want["default_release"] or ""), []).append(name)
    for (recommends, release), names in groups.items():
        argv = ["apt-get", "install", "-q", "-y", *_OPTIONS, "--install-recommends" if recommends else "--no-install-recommends"]
        if any("=" in name for name in names):
            argv.append("--allow-downgrades")
        if release:
            argv += ["-t", release]
        _manage([*argv, *names], "installing packages", deadline)


def _manage(argv: list[str], what: str, deadline: Deadline) -> None:
    """Run apt-get or dpkg; while somebody else holds one of their locks, as a first boot does, wait and try again."""
    began = time.monotonic()
    while True:
        done = command(argv, deadline.left(), None, _ENVIRONMENT)
        if done.code == 0:
            return
        holder = LOCKED.search(done.output)
        if not holder:
            raise StepError(f"{what} failed: '{' '.join(argv)}' exited {done.code}:\n{done.tail()}")
        waited = time.monotonic() - began
        if waited > LOCK_SECONDS or deadline.left() < 2 * LOCK_PAUSE:
            raise StepError(f"{what}: the package manager is in use ({holder[0].strip()}); waited {waited:.0f} s, nothing was installed")
        time.sleep(LOCK_PAUSE)


def _interrupted() -> bool:
    if any(name.isdigit() for name in os.listdir("/var/lib/dpkg/updates")):
        return True
    return bool(command(["dpkg", "--audit"], 60).output.strip())
