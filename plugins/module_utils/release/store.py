# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The folder of an application's releases: names, marks of completion, history, and what may be removed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MANIFEST = "release.json"
MIGRATED = "migrated.json"


class StoreError(Exception):
    """The folder cannot be used; the message says why and what to do."""


def release_id(label: str, recipe: Mapping[str, object]) -> str:
    """A readable name that differs exactly when what is built differs."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.")[:40]
    return f"{readable}-{digest[:12]}"


def prunable(complete: Sequence[str], keep: int, protected: frozenset[str]) -> list[str]:
    """Which of the complete releases (oldest first) go, so that `keep` stay; protected ones stay and count."""
    surplus = len(complete) - keep
    return [name for name in complete if name not in protected][: max(surplus, 0)]


class Store:
    """/opt/<name>: `releases/`, the links that make one of them live, and the record of what was live before."""

    def __init__(self, root: Path, name: str) -> None:
        self.home = root / name
        self.releases = self.home / "releases"
        self._history = self.home / ".history.json"

    def path(self, identity: str) -> Path:
        return self.releases / identity

    def complete(self) -> list[str]:
        """Releases whose build ended, oldest first."""
        if not self.releases.is_dir():
            return []
        found = [path for path in self.releases.iterdir() if (path / MANIFEST).is_file()]
        return [path.name for path in sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime_ns)]

    def unfinished(self) -> list[str]:
        """Folders of builds that were killed: the manifest is written last."""
        if not self.releases.is_dir():
            return []
        return sorted(path.name for path in self.releases.iterdir() if not (path / MANIFEST).is_file())

    def live(self) -> dict[str, str]:
        """Which release each link of the application means, e.g. {"current": "datasette-0.65.1-0123456789ab"}."""
        if not self.home.is_dir():
            return {}
        return {
            path.name: path.readlink().name
            for path in sorted(self.home.iterdir())
            if path.is_symlink() and path.readlink().parent.name == "releases"
        }

    def history(self) -> dict[str, list[str]]:
        """Per link what it meant, oldest first, with the present at the end (also when nobody wrote it down yet)."""
        try:
            recorded: dict[str, list[str]] = json.loads(self._history.read_text())
        except (FileNotFoundError, ValueError):
            recorded = {}
        for link, identity in self.live().items():
            past = [name for name in recorded.get(link, []) if name != identity]
            recorded[link] = [*past[-9:], identity]
        return recorded

    def remember(self) -> None:
        """Write the history down; it is bookkeeping for rollbacks and never counts as a change."""
        known = self.history()
        text = json.dumps(known, indent=1) + "\n"
        if known and (not self._history.is_file() or self._history.read_text() != text):
            write_atomic(self._history, text)

    def protected(self) -> frozenset[str]:
        """The present and the previous release of every link."""
        return frozenset(identity for past in self.history().values() for identity in past[-2:])

    def remove(self, identity: str) -> None:
        # Without its manifest the folder is unfinished, so a removal that is killed is finished by the next run.
        (self.path(identity) / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.path(identity))

    @contextlib.contextmanager
    def locked(self, seconds: int) -> Iterator[int]:
        """Hold the application's lock. Build commands inherit it: what outlives a killed run still holds the next one off."""
        self.releases.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(self.home / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StoreError(f"another run has been building in {self.home} for more than {seconds} s") from None
                    time.sleep(0.5)
            yield descriptor
        finally:
            os.close(descriptor)


def write_atomic(path: Path, text: str) -> None:
    candidate = path.with_name(path.name + ".new")
    with candidate.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    candidate.replace(path)
