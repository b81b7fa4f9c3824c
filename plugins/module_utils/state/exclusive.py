# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is on the host beyond what was declared, where a call says that it declares everything: such things go."""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatchcase

from . import files
from .host import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SYSTEM = "/etc/systemd/system"
MARK = "X-Slipway"
"""A key in the section [Unit], which systemd passes over."""


def add_undeclared(wanted: dict[str, Any], patterns: list[str]) -> None:
    """Complete the payload with files, folders and units to take away. `patterns`: of unit names."""
    asked = _ask_active(patterns)
    declared = {want["path"] for want in wanted["files"] + wanted["directories"]}
    for want in list(wanted["directories"]):
        if want["exclusive"]:
            wanted["files"] += [_absent_file(path) for path in _undeclared_files(want["path"], want["exclusive"], declared)]
    if patterns:
        _add_undeclared_units(wanted, patterns, declared, _active(asked))


def patterns(units: list[dict[str, Any]]) -> list[str]:
    """The patterns of unit names that the items with `exclusive` mean; a marked one means the marked files that are there."""
    found = []
    for want in units:
        if want["exclusive"] and not want["marked"]:
            found.append(want["exclusive"])
        elif want["exclusive"]:
            names = [
                os.path.basename(path) for path in sorted(glob.glob(f"{SYSTEM}/{want['exclusive']}")) if _is_marked(path, want["marked"])
            ]
            # with a template come its instances
            found += [name.replace("@.", "@*.") for name in names]
    return found


def _is_marked(path: str, mark: str) -> bool:
    """Whether a unit file says that it is of this kind."""
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, errors="replace") as file:
        return f"{MARK}={mark}" in file.read().splitlines()


def _undeclared_files(folder: str, pattern: str, declared: set[str]) -> list[str]:
    """Files and links in `folder` that match and that nobody declares. Folders in it are left alone."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        entry.path
        for entry in entries
        if fnmatchcase(entry.name, pattern) and entry.path not in declared and not entry.is_dir(follow_symlinks=False)
    ]


def _add_undeclared_units(wanted: dict[str, Any], patterns: list[str], declared: set[str], active: list[str]) -> None:
    named = {want["name"] for want in wanted["units"]}
    found = set(active)
    for pattern in patterns:
        for path in sorted(glob.glob(f"{SYSTEM}/{pattern}") + glob.glob(f"{SYSTEM}/*.wants/{pattern}")):
            name = os.path.basename(path)
            if path not in declared and name not in named and (_is_own_file(path) or not os.path.exists(path)):
                wanted["files"].append(_absent_file(path))
            found.add(name)
        for folder in sorted(glob.glob(f"{SYSTEM}/{pattern}.d")):
            if not any(path == folder or path.startswith(folder + "/") for path in declared):
                wanted["directories"].append(_absent_folder(folder))
                found.add(os.path.basename(folder)[: -len(".d")])
    # a template, such as api@.service, is no unit that could be stopped
    gone = sorted(name for name in found - named if "@." not in name)
    # stopped before the declared units start: what they need is free then
    wanted["units"][:0] = [_absent_unit(name) for name in gone]


def _is_own_file(path: str) -> bool:
    """A unit file, not the link by which a unit is enabled, which `systemctl disable` takes away."""
    return os.path.dirname(path) == SYSTEM


def _ask_active(patterns: list[str]) -> Running | None:
    if not patterns:
        return None
    return Running(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full", "--", *patterns])


def _active(asked: Running | None) -> list[str]:
    """Names of loaded units that run or have failed; one that is only named by another unit is not there."""
    rows = [line.split() for line in asked.output(60).splitlines()] if asked else []
    return [row[0] for row in rows if len(row) >= 4 and row[1] != "not-found" and row[2] != "inactive"]


def _absent_file(path: str) -> dict[str, Any]:
    return files.wanted(path, state="absent", secret=not _readable_by_all(path))


def _readable_by_all(path: str) -> bool:
    """Whether its earlier content may be shown in a diff."""
    try:
        return bool(os.lstat(path).st_mode & 0o004)
    except OSError:
        return False


def _absent_folder(path: str) -> dict[str, Any]:
    return {"path": path, "state": "absent", "owner": "root", "group": "root", "mode": "0755", "exclusive": False}


def _absent_unit(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "enabled": False,
        "state": "stopped",
        "masked": None,
        "restart_on": [],
        "reload_on": [],
        "reload_command": None,
        "ready": None,
    }
