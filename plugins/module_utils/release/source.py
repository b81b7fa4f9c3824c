"""The controller's half of a release: what the source is, and the archive that travels to the host."""

from __future__ import annotations

import fcntl
import fnmatch
import gzip
import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Secrets of a developer (.env), version control, environments and caches have no place on a server.
ALWAYS_EXCLUDED = (
    ".git", ".hg", ".svn", ".env", ".env.*", ".venv", "venv", "node_modules", "__pycache__", "*.py[co]",
    ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".coverage", "*.egg-info", ".DS_Store",
)  # fmt: skip
PINNED = re.compile(r"^[A-Za-z0-9][\w.-]*(\[[\w,. -]+\])?==[\w.!+-]+$")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
GIT_SECONDS = 600


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


def described(source: Mapping[str, object], base: Path, cache: Path) -> Payload:
    """Say what `source` is now, without moving it. `base` is where relative paths start."""
    kind = str(source.get("type"))
    if kind == "directory":
        root = _existing(source, "path", base, want_directory=True)
        return Payload("archive", "tree", _tree_digest(root, _excludes(source)))
    if kind == "git":
        commit = resolved_commit(_required(source, "url"), str(source.get("version") or "HEAD"))
        return Payload("archive", commit[:12], f"{commit}:{source.get('subdirectory') or ''}")
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


def packed(source: Mapping[str, object], payload: Payload, base: Path, cache: Path) -> bytes:
    """The bytes that travel: a reproducible .tar.gz of a tree, or the file itself."""
    if payload.kind == "file":
        return _existing(source, "path", base, want_directory=False).read_bytes()
    if source.get("type") == "git":
        commit, _, subdirectory = payload.digest.partition(":")
        return gzip.compress(_git_archive(_required(source, "url"), commit, subdirectory, cache), mtime=0)
    root = _existing(source, "path", base, want_directory=True)
    return gzip.compress(_tree_archive(root, _excludes(source)), mtime=0)


def excluded(relative: str, patterns: Sequence[str]) -> bool:
    """Whether a path is left out: a pattern with a slash means the path from the root, else any part of it."""
    path = "/" + relative
    for raw in patterns:
        pattern = raw.rstrip("/")
        if "/" in pattern:
            anchored = "/" + pattern.lstrip("/")
            if fnmatch.fnmatchcase(path, anchored) or fnmatch.fnmatchcase(path, anchored + "/*"):
                return True
        elif any(fnmatch.fnmatchcase(part, pattern) for part in relative.split("/")):
            return True
    return False


def resolved_commit(url: str, version: str) -> str:
    """The commit a branch, tag or (full) commit id means right now."""
    if COMMIT.match(version):
        return version
    found: dict[str, str] = {}
    for line in _git(["ls-remote", "--", url], url).decode().splitlines():
        commit, _, reference = line.partition("\t")
        found[reference] = commit
    # An annotated tag is listed twice; the ^{} line is the commit it points to.
    for name in (f"refs/tags/{version}^{{}}", f"refs/tags/{version}", f"refs/heads/{version}", version):
        if name in found:
            return found[name]
    raise SourceError(f"source.version: '{version}' is no branch or tag of {url}; a commit must be given with all 40 digits")


def _tree(root: Path, patterns: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        if excluded(relative, patterns):
            continue
        if path.is_symlink():
            target = (path.parent / path.readlink()).resolve()
            if path.readlink().is_absolute() or not target.is_relative_to(root.resolve()):
                raise SourceError(f"source.path: the link {path} points outside of the tree; exclude it or make it relative")
        elif not (path.is_file() or path.is_dir()):
            continue
        yield relative, path


def _tree_archive(root: Path, patterns: Sequence[str]) -> bytes:
    """The tree as tar without times, owners and stray permissions: equal content gives equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for relative, path in _tree(root, patterns):
            entry = tarfile.TarInfo(relative)
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                archive.addfile(entry)
            elif path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size, entry.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _tree_digest(root: Path, patterns: Sequence[str]) -> str:
    return hashlib.sha256(_tree_archive(root, patterns)).hexdigest()


def _git_archive(url: str, commit: str, subdirectory: str, cache: Path) -> bytes:
    mirror = cache / hashlib.sha256(url.encode()).hexdigest()[:24]
    mirror.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (mirror / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # hosts of one run share the mirror
        repository = str(mirror / "git")
        if not (mirror / "git").exists():
            _git(["init", "--quiet", "--bare", repository], url)
        present = subprocess.run(
            ["git", "-C", repository, "cat-file", "-e", f"{commit}^{{commit}}"],
            capture_output=True, check=False,
        )  # fmt: skip
        if present.returncode != 0:
            # Not every server hands out a bare commit id; then all branches and tags are needed.
            try:
                _git(["-C", repository, "fetch", "--quiet", "--depth=1", "--", url, commit], url)
            except SourceError:
                _git(["-C", repository, "fetch", "--quiet", "--", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"], url)
        return _git(["-C", repository, "archive", "--format=tar", f"{commit}:{subdirectory.strip('/')}"], url)


def _git(arguments: Sequence[str], url: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True, check=False, timeout=GIT_SECONDS, env=_git_environment(),
        )  # fmt: skip
    except FileNotFoundError:
        raise SourceError("source.type git needs the program git on the controller") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"source.url: {url} did not answer within {GIT_SECONDS} s") from None
    if done.returncode != 0:
        raise SourceError(f"source.url: git cannot read {url}: {done.stderr.decode(errors='replace').strip()[-800:]}")
    return done.stdout


def _git_environment() -> dict[str, str]:
    # A question at the terminal would hang the run.
    return {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _excludes(source: Mapping[str, object]) -> list[str]:
    extra = source.get("exclude") or []
    if not isinstance(extra, Sequence) or isinstance(extra, str):
        raise SourceError(f"source.exclude: {extra!r} is not a list of patterns")
    return [*ALWAYS_EXCLUDED, *(str(pattern) for pattern in extra)]


def _requirements(source: Mapping[str, object], base: Path) -> str:
    name = str(source.get("requirements") or "")
    if not name:
        return ""
    return _existing(source, "requirements", base, want_directory=False).read_text()


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
