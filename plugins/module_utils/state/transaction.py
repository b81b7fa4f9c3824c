# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stage beside the destination, keep the earlier version, swap, and put back: also after the run was killed.

The journal /var/lib/slipway/rollback/<id>/journal.json says, before anything is touched, what was there.
phase 'forward': a killed run left new files whose services were not proven; the next call on those paths adopts
the earlier versions as its own. phase 'back': a killed put-back; the next call of any kind finishes it first.
"""

from __future__ import annotations

import errno
import json
import os
import time

from . import files
from .host import LIB_DIR, StepError, remove_if_there, remove_tree, staged_name, sync_folder, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROLLBACK = LIB_DIR + "/rollback"
KEEP_SECONDS = 7 * 86400


class Transaction:
    """Files of one call. Every method that changes the host has written its journal first."""

    def __init__(self) -> None:
        self.folder = ""
        self.moment = time.time()  # of the swap: a process started later has read the new files
        self.entries: list[dict[str, Any]] = []
        self.temporary: list[str] = []
        self.units: dict[str, bool] = {}
        self.folder_times: dict[str, int] = {}
        self.adopted: list[Journal] = []

    def adopt(self, journal: Journal, paths: set[str]) -> None:
        """A killed run's earlier versions of these paths are what a failure of this call returns to."""
        self.adopted.append(journal)
        known = {entry["path"] for entry in self.entries}
        for entry in journal.data["entries"]:
            if entry["path"] in paths and entry["path"] not in known:
                self.entries.append(entry)

    def unproven(self) -> dict[str, float]:
        """Paths that an adopted run changed without proving their services, with the time of that."""
        return {path: journal.time for journal in self.adopted for path in journal.changed_paths()}

    def begin(self) -> None:
        os.makedirs(ROLLBACK, 0o700, exist_ok=True)
        os.chmod(ROLLBACK, 0o700)
        self.folder = f"{ROLLBACK}/{int(time.time())}-{os.urandom(4).hex()}"
        os.mkdir(self.folder, 0o700)
        self.write_journal("forward")

    def write_journal(self, phase: str) -> None:
        data = {
            "phase": phase,
            "time": self.moment,
            "entries": self.entries,
            "temporary": self.temporary,
            "units": self.units,
            "folder_times": self.folder_times,
        }
        staged = staged_name(self.folder + "/journal.json")
        write_new(staged, json.dumps(data).encode(), 0o600, os.getuid(), os.getgid())
        os.rename(staged, self.folder + "/journal.json")
        sync_folder(self.folder)

    def remember(self, path: str, have: files.OnDisk) -> dict[str, Any]:
        """Keep what is at `path` now, unless an earlier version is already kept."""
        for entry in self.entries:
            if entry["path"] == path:
                return entry
        entry = {"path": path, "kind": have.kind, "mode": have.mode, "uid": have.uid, "gid": have.gid, "mtime_ns": have.mtime_ns}
        if have.kind == "link":
            entry["target"] = have.target
        elif have.kind == "file":
            entry["saved"] = f"{self.folder}/{len(self.entries)}"
            write_new(entry["saved"], files.read(path), 0o600, os.getuid(), os.getgid())
        self.entries.append(entry)
        return entry

    def stage(self, want: dict[str, Any], uid: int, gid: int) -> str:
        """Write the candidate beside its destination, complete with owner and mode; returns its name."""
        self.make_parents(want["path"])
        parent = os.path.dirname(want["path"])
        self.folder_times.setdefault(parent, os.stat(parent).st_mtime_ns)
        staged = staged_name(want["path"])
        self.temporary.append(staged)
        self.write_journal("forward")
        if files.kind_of(want) == "link":
            os.symlink(want["link"], staged)
            os.lchown(staged, uid, gid)
        else:
            write_new(staged, files.data_of(want), int(want["mode"], 8), uid, gid)
        return staged

    def swap(self, staged: str, path: str) -> str:
        """Move a candidate into place; says 'in place' when it had to be written, for nothing can be renamed onto a mount point."""
        try:
            os.rename(staged, path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            status = os.stat(staged)
            _overwrite(path, files.read(staged), status.st_mode & 0o7777, status.st_uid, status.st_gid)
            os.unlink(staged)
            return "in place"
        return "renamed"

    def make_folder(self, path: str, have: files.OnDisk, mode: int, uid: int, gid: int) -> None:
        if have.kind == "none":
            self.make_parents(path)
        self.remember(path, have)
        self.write_journal("forward")
        if have.kind == "none":
            os.mkdir(path, 0o700)
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    def make_parents(self, path: str) -> None:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            self.make_folder(parent, files.OnDisk(parent), 0o755, 0, 0)

    def take_away(self, path: str, have: files.OnDisk) -> None:
        """Move a directory aside, within its own folder; `finish` removes it, `put_back` returns it."""
        if os.path.ismount(path):
            raise StepError(f"directories: {path} is a mount point: refused to remove it")
        entry = self.remember(path, have)
        entry["aside"] = staged_name(path)
        self.write_journal("forward")
        os.rename(path, entry["aside"])

    def turn_back(self) -> None:
        """Say in the journal that the earlier state is wanted again. A disk too full for that must not hinder the way back."""
        for staged in self.temporary:
            remove_if_there(staged)
        try:
            self.write_journal("back")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def put_back(self) -> list[str]:
        """Return every path to its earlier version, in reverse order."""
        return restore(self.entries, self.temporary, self.folder_times)

    def finish(self) -> None:
        """The new state is proven: forget the earlier one."""
        paths = {entry["path"] for entry in self.entries}
        for journal in self.adopted:
            journal.forget(paths)
        for entry in self.entries:
            if entry.get("aside") and os.path.isdir(entry["aside"]):
                remove_tree(entry["aside"])
        if self.folder:
            remove_tree(self.folder)
            self.folder = ""


class Journal:
    """What a killed run left behind."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open(folder + "/journal.json", encoding="utf-8") as handle:
            self.data: dict[str, Any] = json.load(handle)
        self.time: float = self.data["time"]

    def paths(self) -> set[str]:
        return {entry["path"] for entry in self.data["entries"]}

    def changed_paths(self) -> set[str]:
        """Paths that no longer are what was kept: the killed run had got that far."""
        return {entry["path"] for entry in self.data["entries"] if not _as_kept(entry, files.OnDisk(entry["path"]))}

    def clean_temporary(self) -> None:
        for staged in self.data["temporary"]:
            remove_if_there(staged)

    def put_back(self) -> list[str]:
        return restore(self.data["entries"], self.data["temporary"], self.data["folder_times"])

    def forget(self, paths: set[str]) -> None:
        """Drop the entries a later call has taken over; the last one removes the folder."""
        left = [entry for entry in self.data["entries"] if entry["path"] not in paths]
        for entry in self.data["entries"]:
            if entry not in left and entry.get("aside"):
                remove_tree(entry["aside"])
        if not left:
            remove_tree(self.folder)
            return
        self.data["entries"] = left
        staged = staged_name(self.folder + "/journal.json")
        write_new(staged, json.dumps(self.data).encode(), 0o600, os.getuid(), os.getgid())
        os.rename(staged, self.folder + "/journal.json")


def left_behind(clean: bool) -> list[Journal]:
    """Journals of runs that did not end, oldest first. clean: remove what is of no use any more."""
    try:
        names = sorted(os.listdir(ROLLBACK))
    except OSError:
        return []
    journals = []
    for name in names:
        folder = f"{ROLLBACK}/{name}"
        try:
            journal = Journal(folder)
            useless = time.time() - journal.time > KEEP_SECONDS and journal.data["phase"] == "forward"
        except (OSError, ValueError, KeyError):  # killed before its first journal was complete: nothing had been touched
            useless = True
        if not useless:
            journals.append(journal)
        elif clean:
            remove_tree(folder)
    return journals


def restore(entries: list[dict[str, Any]], temporary: list[str], folder_times: dict[str, int]) -> list[str]:
    """Put the kept versions back; safe to repeat."""
    for staged in temporary:  # first, or the folders made for them could not go
        remove_if_there(staged)
    restored = []
    for entry in reversed(entries):
        path, have = entry["path"], files.OnDisk(entry["path"])
        if entry["kind"] == "none":
            changed = _remove_new(path, have)
        elif entry["kind"] == "directory":
            changed = _restore_directory(entry, have)
        else:
            changed = _restore_file(entry, have)
        if changed:
            restored.append(path)
    _restore_times(folder_times)
    return restored


def _remove_new(path: str, have: files.OnDisk) -> bool:
    if have.kind == "none":
        return False
    if have.kind != "directory":
        os.unlink(path)
        return True
    try:
        os.rmdir(path)
    except OSError:  # somebody keeps something in it by now
        return False
    return True


def _restore_directory(entry: dict[str, Any], have: files.OnDisk) -> bool:
    path, changed = entry["path"], False
    if entry.get("aside") and os.path.isdir(entry["aside"]) and have.kind == "none":
        os.rename(entry["aside"], path)
        changed = True
    elif have.kind == "none":
        os.mkdir(path)
        changed = True
    if (have.mode, have.uid, have.gid) != (entry["mode"], entry["uid"], entry["gid"]):
        os.chown(path, entry["uid"], entry["gid"])
        os.chmod(path, entry["mode"])
        changed = True
    return changed


def _as_kept(entry: dict[str, Any], have: files.OnDisk) -> bool:
    if entry["kind"] in ("none", "directory"):
        return bool(entry["kind"] == have.kind)
    return (have.kind, have.mtime_ns, have.mode, have.uid, have.gid) == tuple(
        entry[key] for key in ("kind", "mtime_ns", "mode", "uid", "gid")
    )


def _restore_file(entry: dict[str, Any], have: files.OnDisk) -> bool:
    path = entry["path"]
    if _as_kept(entry, have):
        return False
    staged = staged_name(path)
    if entry["kind"] == "link":
        os.symlink(entry["target"], staged)
        os.lchown(staged, entry["uid"], entry["gid"])
    else:
        write_new(staged, files.read(entry["saved"]), entry["mode"], entry["uid"], entry["gid"])
    os.utime(staged, ns=(entry["mtime_ns"], entry["mtime_ns"]), follow_symlinks=False)
    try:
        os.rename(staged, path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _overwrite(path, files.read(staged), entry["mode"], entry["uid"], entry["gid"])
        os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
        os.unlink(staged)
    sync_folder(os.path.dirname(path))
    return True


def _overwrite(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    with open(path, "r+b") as handle:
        handle.write(data)
        handle.truncate()
        os.fchown(handle.fileno(), uid, gid)
        os.fchmod(handle.fileno(), mode)
        os.fsync(handle.fileno())


def _restore_times(folder_times: dict[str, int]) -> None:
    for folder, mtime_ns in folder_times.items():
        try:
            os.utime(folder, ns=(mtime_ns, mtime_ns))
        except FileNotFoundError:
            pass
