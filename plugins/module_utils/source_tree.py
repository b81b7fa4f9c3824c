# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A folder as an archive: what stays out of it, in the patterns of .gitignore, and equal bytes for equal content."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

try:
    from pathspec import GitIgnoreSpec
except ImportError:  # pragma: no cover - said by `archive`, with the way to mend it
    GitIgnoreSpec = None  # type: ignore[assignment,misc]

# Secrets of a developer (.env), version control, environments and caches have no place on a server or in a build.
ALWAYS_EXCLUDED = (
    ".git", ".hg", ".svn", ".env", ".env.*", ".venv", "venv", "node_modules", "__pycache__", "*.py[co]",
    ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".coverage", "*.egg-info", ".DS_Store",
)  # fmt: skip


class TreeError(Exception):
    """The folder cannot be packed; the message says why."""


def archive(root: Path, patterns: Sequence[str]) -> bytes:
    """The folder as tar without times, owners and stray permissions: equal content gives equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for relative, path in entries(root, patterns):
            entry = tarfile.TarInfo(relative)
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                made.addfile(entry)
            elif path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                made.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size, entry.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
                made.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def entries(root: Path, patterns: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """(path in the archive, path) of all that is packed, sorted. A folder that is left out is not looked into."""
    if GitIgnoreSpec is None:
        raise TreeError("the Python package pathspec is missing on the controller; install it beside ansible-core: pip install pathspec")
    left_out = GitIgnoreSpec.from_lines([*ALWAYS_EXCLUDED, *patterns])
    found: list[tuple[str, Path]] = []
    for folder, names, files in os.walk(root):
        here = Path(folder)
        relative = {name: (here / name).relative_to(root).as_posix() for name in (*names, *files)}
        names[:] = [name for name in names if not left_out.match_file(f"{relative[name]}/") and not left_out.match_file(relative[name])]
        kept = [*names, *(name for name in files if not left_out.match_file(relative[name]))]
        found += [(relative[name], here / name) for name in kept]
    for name, path in sorted(found, key=lambda entry: Path(entry[0]).parts):
        if path.is_symlink():
            target = (path.parent / path.readlink()).resolve()
            if path.readlink().is_absolute() or not target.is_relative_to(root.resolve()):
                raise TreeError(f"the link {path} points outside of the tree; exclude it or make it relative")
        elif not (path.is_file() or path.is_dir()):
            continue  # a socket, a pipe
        yield name, path
