# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of a release: what the source is, and the archive that travels to the host."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ansible_collections.slipway.stack.plugins.module_utils import source_tree
from ansible_collections.slipway.stack.plugins.module_utils.release import locks
from ansible_collections.slipway.stack.plugins.module_utils.release.git import (
    GitError,
    Repository,
    described_version,
    public_address,
    working_tree_version,
)

PINNED = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,. -]+\])?==[\w.!+-]+$")
# Build backends that ask version control for the version, which does not travel.
VERSION_FROM_GIT = re.compile(rb"setuptools[_-]scm|hatch-vcs|uv-dynamic-versioning|\[tool\.pdm\.version\]\s+source\s*=\s*.scm")


class SourceError(Exception):
    """The source cannot be used; the message names the option, its value and what is allowed."""


@dataclass(frozen=True)
class Payload:
    """What the host is told about the source; `digest` changes exactly when the source does."""

    kind: str  # archive, file or package
    label: str
    digest: str
    filename: str = ""
    requirements_text: str = ""


@dataclass(frozen=True)
class Packed:
    """What travels: `member` is the application's folder in the archive, `version` what its build cannot find out there."""

    data: bytes
    member: str = ""
    version: str = ""


def described(source: Mapping[str, object], base: Path, cache: Path) -> Payload:
    """Say what `source` is now, without moving it. `base` is where relative paths start."""
    kind = str(source.get("type"))
    if kind == "directory":
        top, member, patterns = tree_of(source, base)
        digest = hashlib.sha256(_tree_archive(top, patterns)).hexdigest()
        return Payload("archive", "tree", f"{digest}:{member}" if member else digest)
    if kind == "git":
        try:
            commit = Repository(_required(source, "url"), cache).commit(str(source.get("version") or "HEAD"))
        except GitError as error:
            raise SourceError(str(error)) from None
        return Payload("archive", commit[:12], f"{commit}:{_subdirectory(source)}")
    if kind == "file":
        path = _existing(source, "path", base, want_directory=False)
        if not path.name.endswith((".whl", ".tar.gz", ".zip")):
            raise SourceError(f"source.path: '{path}' is neither a wheel (.whl) nor an sdist (.tar.gz, .zip)")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        label = re.sub(r"(\.whl|\.tar\.gz|\.zip)$", "", path.name)
        return Payload("file", "-".join(label.split("-")[:2]), digest, path.name, _requirements(source, base))
    if kind == "package":
        requirement = _required(source, "requirement").replace(" ", "")
        if not PINNED.match(requirement):
            raise SourceError(
                f"source.requirement: '{requirement}' names no exact version; write name==version, "
                "so that the same inventory always gives the same release"
            )
        return Payload("package", requirement.replace("==", "-"), requirement, "", _requirements(source, base))
    raise SourceError(f"source.type: '{kind}' is not one of directory, git, file, package")


def packed(source: Mapping[str, object], payload: Payload, base: Path, cache: Path) -> Packed:
    """The bytes that travel: a reproducible .tar.gz of a tree, or the file itself."""
    if payload.kind == "file":
        return Packed(_existing(source, "path", base, want_directory=False).read_bytes())
    if source.get("type") == "git":
        try:
            return _packed_commit(source, payload.digest.partition(":")[0], cache)
        except GitError as error:
            raise SourceError(str(error)) from None
    top, member, patterns = tree_of(source, base)
    archive = _tree_archive(top, patterns)
    version = ""
    if _asks_for_version(archive, member):
        # A folder outside of version control has no other version than its content.
        version = working_tree_version(top / member) or f"0.0.0+{payload.digest[:12]}"
    return Packed(gzip.compress(archive, mtime=0), member, version)


def public(source: Mapping[str, object]) -> dict[str, object]:
    """The source as it may be sent and shown: without the credentials of its address."""
    return {**source, "url": public_address(str(source["url"]))} if source.get("url") else dict(source)


def _packed_commit(source: Mapping[str, object], commit: str, cache: Path) -> Packed:
    repository = Repository(_required(source, "url"), cache)
    repository.fetch(commit)
    subdirectory = _subdirectory(source)
    named = str(source.get("requirements") or "")
    top = locks.folder_of_lock_above(lambda path: repository.has(commit, path), subdirectory, named)
    member = "" if top is None else str(PurePosixPath(subdirectory).relative_to(top))
    archive = repository.archive(commit, subdirectory if top is None else top.strip("."))
    version = described_version(repository.describe(commit), commit) if _asks_for_version(archive, member) else ""
    return Packed(gzip.compress(archive, mtime=0), member, version)


def tree_of(source: Mapping[str, object], base: Path) -> tuple[Path, str, list[str]]:
    """(folder that travels, the application's folder in it, patterns to leave out) of a source.type directory."""
    root = _existing(source, "path", base, want_directory=True)
    patterns, subdirectory, named = _excludes(source), _subdirectory(source), str(source.get("requirements") or "")
    if subdirectory:
        tree = base / Path(str(source["path"])).expanduser()
        top = locks.folder_of_lock_above(lambda path: (tree / path).is_file(), subdirectory, named)
        if top is not None:
            return tree / top, str(PurePosixPath(subdirectory).relative_to(top)), patterns
    if named and not (root / named).is_file():
        raise SourceError(f"source.requirements: there is no file '{named}' in {root}")
    decides = next((root / name for name in locks.candidates(named) if (root / name).is_file()), None)
    if decides is None:
        _refuse_member_alone(root)
    elif decides.name not in locks.LOCKS:
        try:
            locks.read_text(decides)
        except locks.LockError as error:
            raise SourceError(f"source.requirements: {error}") from None
    return root, "", patterns


def _refuse_member_alone(root: Path) -> None:
    """The lock of a workspace would stay behind, and the newest versions would be taken in its place."""
    for parent in root.resolve().parents:
        pyproject = parent / "pyproject.toml"
        if (parent / "uv.lock").is_file() and pyproject.is_file() and "[tool.uv.workspace]" in pyproject.read_text(errors="replace"):
            member = root.resolve().relative_to(parent)
            raise SourceError(
                f"source.path: '{root}' belongs to the workspace {parent}, whose uv.lock decides its versions; "
                f"write path: {parent} and subdirectory: {member}"
            )
        if (parent / ".git").exists():
            return


def _asks_for_version(archive: bytes, member: str) -> bool:
    """Whether the application's build takes its version from version control."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for name in ("pyproject.toml", "setup.py", "setup.cfg"):
            with contextlib.suppress(KeyError):
                content = tar.extractfile(str(PurePosixPath(member) / name))
                if content and VERSION_FROM_GIT.search(content.read()):
                    return True
    return False


def _tree_archive(root: Path, patterns: Sequence[str]) -> bytes:
    try:
        return bytes(source_tree.archive(root, patterns))
    except source_tree.TreeError as error:
        raise SourceError(f"source.path: {error}") from None


def _subdirectory(source: Mapping[str, object]) -> str:
    return str(source.get("subdirectory") or "").strip("/")


def _excludes(source: Mapping[str, object]) -> list[str]:
    extra = source.get("exclude") or []
    if not isinstance(extra, Sequence) or isinstance(extra, str):
        raise SourceError(f"source.exclude: {extra!r} is not a list of patterns")
    return [str(pattern) for pattern in extra]


def _requirements(source: Mapping[str, object], base: Path) -> str:
    name = str(source.get("requirements") or "")
    if not name:
        return ""
    try:
        return str(locks.read_text(_existing(source, "requirements", base, want_directory=False)))
    except locks.LockError as error:
        raise SourceError(f"source.requirements: {error}") from None


def _required(source: Mapping[str, object], key: str) -> str:
    value = str(source.get(key) or "")
    if not value or value.startswith("-"):
        raise SourceError(f"source.{key}: '{value}' is not usable; source.type {source.get('type')} needs it")
    return value


def _existing(source: Mapping[str, object], key: str, base: Path, *, want_directory: bool) -> Path:
    path = base / Path(_required(source, key)).expanduser()
    if key == "path" and want_directory and source.get("subdirectory"):
        path = path / str(source["subdirectory"])
    if not (path.is_dir() if want_directory else path.is_file()):
        kind = "directory" if want_directory else "file"
        raise SourceError(f"source.{key}: there is no {kind} '{path}' on the controller (relative paths start at {base})")
    return path
