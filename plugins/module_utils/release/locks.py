# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What decides the versions of a release: the lock of uv, poetry or pdm, a file of pinned requirements, or nothing."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
REQUIREMENTS = "requirements.txt"
# Tools that only read their own lock file, with the packages that do it.
EXPORTERS = {
    "poetry.lock": ("poetry", ("poetry==2.5.1", "poetry-plugin-export==1.10.1")),
    "pdm.lock": ("pdm", ("pdm==2.29.4",)),
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# Version control, a folder, or a file of the source: what has no hash an index could confirm.
_WITHOUT_HASH = re.compile(r"^(-e\s|\.{0,2}/|file:|[\w.\[\],-]+\s*@\s*(git\+|hg\+|file:))")


class LockError(Exception):
    """A file that decides versions cannot be used; the message names it."""


def candidates(named: str) -> list[str]:
    """Names of the deciding file, the strongest first: the one that was named, else locks, else requirements.txt."""
    return [named] if named else [*LOCKS, REQUIREMENTS]


def folder_of_lock_above(has: Callable[[str], bool], subdirectory: str, named: str) -> str | None:
    """Folder above `subdirectory` whose uv.lock decides (a workspace), relative to the tree; None when there is none.

    `has` says whether the tree holds a file."""
    own = PurePosixPath(subdirectory)
    if named not in ("", "uv.lock") or any(has(str(own / name)) for name in candidates(named)):
        return None
    return next((str(parent) for parent in own.parents if has(str(parent / "uv.lock"))), None)


def deciding_file(source: Path, named: str, top: Path) -> Path | None:
    """The file in `source` that decides, or the uv.lock of a workspace, in a folder up to `top`."""
    for name in candidates(named):
        if (source / name).is_file():
            return source / name
    if named in ("", "uv.lock"):
        real = source.resolve()
        for parent in real.parents:
            if not parent.is_relative_to(top.resolve()):
                break
            if (parent / "uv.lock").is_file():
                return parent / "uv.lock"
    if named:
        raise LockError(f"source.requirements: there is no file '{named}' in the source")
    return None


def read_text(path: Path) -> str:
    """A text file in any Unicode encoding that says so itself; UTF-8 when it does not."""
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise LockError(f"{path.name} ({path}) is not text in UTF-8; save it as UTF-8") from None


def split(exported: str, base: Path) -> tuple[str, str]:
    """Requirements as (those an index gives, those from folders and version control); paths start at `base`."""
    indexed, others = [], []
    logical = exported.replace("\\\r\n", "\\\n").replace("\\\n", "\0")
    for line in logical.splitlines():
        text = line.strip()
        if not _WITHOUT_HASH.match(text):
            indexed.append(line.replace("\0", "\\\n"))
            continue
        text = re.sub(r"\0\s*--hash=\S+", "", text).replace("\0", " ")
        text = re.sub(r"^-e\s+", "", text)
        if text.startswith("."):
            path, marker, rest = text.partition(" ;")
            text = f"{(base / path.strip()).resolve()}{marker}{rest}"
        others.append(text)
    return "\n".join(indexed) + "\n", "".join(f"{line}\n" for line in others)


def is_project(pyproject: str) -> bool:
    """Whether the text of a pyproject.toml says that the folder is a package to be installed."""
    switched_off = re.search(r"^\s*(package-mode|package|distribution)\s*=\s*false\b", pyproject, re.MULTILINE)
    return bool(re.search(r"^\[build-system\]", pyproject, re.MULTILINE)) and not switched_off
