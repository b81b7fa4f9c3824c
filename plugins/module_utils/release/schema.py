# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which migrations a database has seen: told apart by the files of the release that migrated it last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from .store import MIGRATED, Store, write_atomic

FILES = ("**/migrations/*.py", "**/migrations/*.sql", "**/versions/*.py")
"""Where Django and Alembic keep them."""


def migrations(source: Path, patterns: Sequence[str]) -> list[Path]:
    """The files in a source folder that are its migrations."""
    return sorted({path for pattern in patterns for path in source.glob(pattern) if path.is_file()})


def digest(source: Path, patterns: Sequence[str]) -> str:
    """Changes exactly when a migration comes, goes or changes; empty where there is none."""
    found = migrations(source, patterns)
    if not found:
        return ""
    whole = hashlib.sha256()
    for path in found:
        whole.update(f"{path.relative_to(source)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def remember(store: Store, identity: str, patterns: Sequence[str]) -> None:
    """Write down that this release has migrated the database."""
    seen = {"release": identity, "files": list(patterns), "digest": digest(store.path(identity) / "source", patterns)}
    write_atomic(store.home / ".schema.json", json.dumps(seen) + "\n")


def beyond(store: Store, identity: str) -> str:
    """The release whose migrations the database has seen, where they are not those of `identity`; empty where they are the same."""
    try:
        seen = json.loads((store.home / ".schema.json").read_text())
    except (FileNotFoundError, ValueError):
        # Migrated before this was written down: the release that did it last may still be there.
        migrated = [name for name in store.complete() if (store.path(name) / MIGRATED).is_file()]
        if not migrated:
            return ""
        last = max(migrated, key=lambda name: (store.path(name) / MIGRATED).stat().st_mtime_ns)
        seen = {"release": last, "files": FILES, "digest": digest(store.path(last) / "source", FILES)}
    same = digest(store.path(identity) / "source", seen["files"]) == seen["digest"]
    return "" if same else str(seen["release"])
