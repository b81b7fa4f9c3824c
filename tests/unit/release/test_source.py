"""What identifies a source, and what travels to the host."""

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.source import (
    SourceError,
    described,
    excluded,
    packed,
    resolved_commit,
)

CACHE = Path("unused")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "application"
    (root / "package").mkdir(parents=True)
    (root / "package/main.py").write_text("app = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    (root / ".env").write_text("SECRET=1\n")
    (root / "package/__pycache__").mkdir()
    (root / "package/__pycache__/main.cpython-311.pyc").write_bytes(b"x")
    return root


def digest(root: Path, **source: object) -> str:
    return described({"type": "directory", "path": str(root), **source}, root, CACHE).digest


@pytest.mark.parametrize(
    ("path", "patterns", "expected"),
    [
        ("a/.git/config", [".git"], True),
        ("a/b.pyc", ["*.py[co]"], True),
        ("a/b.py", ["*.py[co]"], False),
        ("tests/test_a.py", ["tests/"], True),
        ("a/tests/test_a.py", ["/tests"], False),
        ("tests/test_a.py", ["/tests"], True),
        ("docs/img/a.png", ["docs/img"], True),
        ("environment", [".env"], False),
    ],
)
def test_excluded(path: str, patterns: list[str], expected: bool) -> None:
    assert excluded(path, patterns) is expected


def test_digest_ignores_times_owners_caches_and_private_files(tree: Path) -> None:
    before = digest(tree)
    os.utime(tree / "run.sh", (1, 1))
    (tree / "package/main.py").chmod(0o600)
    (tree / ".env").write_text("SECRET=2\n")
    (tree / "package/__pycache__/main.cpython-311.pyc").write_bytes(b"y")
    assert digest(tree) == before


@pytest.mark.parametrize("change", ["content", "name", "executable", "exclude"])
def test_digest_follows_the_source(tree: Path, change: str) -> None:
    before = digest(tree)
    if change == "content":
        (tree / "package/main.py").write_text("app = 2\n")
    elif change == "name":
        (tree / "package/main.py").rename(tree / "package/other.py")
    elif change == "executable":
        (tree / "run.sh").chmod(0o600)
    assert digest(tree, exclude=["run.sh"] if change == "exclude" else []) != before


def test_archive_holds_the_tree_without_secrets(tree: Path) -> None:
    source = {"type": "directory", "path": str(tree)}
    data = packed(source, described(source, tree, CACHE), tree, CACHE)
    assert data == packed(source, described(source, tree, CACHE), tree, CACHE)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        assert archive.getnames() == ["package", "package/main.py", "run.sh"]
        assert archive.getmember("run.sh").mode == 0o755


def test_link_out_of_the_tree_is_refused(tree: Path) -> None:
    (tree / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="points outside"):
        digest(tree)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"type": "directory", "path": "missing"}, r"source.path: there is no directory .*missing"),
        ({"type": "file", "path": "missing.whl"}, r"source.path: there is no file"),
        ({"type": "package", "requirement": "datasette"}, r"'datasette' names no exact version"),
        ({"type": "package", "requirement": "datasette>=0.6"}, r"names no exact version"),
        ({"type": "package"}, r"source.requirement: '' is not usable"),
        ({"type": "git", "url": "--upload-pack=evil"}, r"source.url: '--upload-pack=evil' is not usable"),
        ({"type": "svn"}, r"'svn' is not one of directory, git, file, package"),
    ],
)
def test_unusable_source(source: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        described(source, tmp_path, CACHE)


def test_package_and_file(tmp_path: Path) -> None:
    package = described({"type": "package", "requirement": "celery[redis] == 5.5.3"}, tmp_path, CACHE)
    assert (package.label, package.digest) == ("celery[redis]-5.5.3", "celery[redis]==5.5.3")
    (tmp_path / "orders-1.2-py3-none-any.whl").write_bytes(b"wheel")
    assert described({"type": "file", "path": "orders-1.2-py3-none-any.whl"}, tmp_path, CACHE).label == "orders-1.2"


def test_git_branch_tag_and_subdirectory(tree: Path, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", "-C", str(tree), *identity, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "package/main.py")
    git("commit", "--quiet", "-m", "one")
    first = git("rev-parse", "HEAD")
    git("tag", "-a", "v1", "-m", "v1")
    (tree / "package/main.py").write_text("app = 2\n")
    git("commit", "--quiet", "-am", "two")
    url = tree.as_uri()
    assert resolved_commit(url, "v1") == first
    assert resolved_commit(url, "main") == git("rev-parse", "HEAD") == resolved_commit(url, "HEAD")
    with pytest.raises(SourceError, match="'v2' is no branch or tag"):
        resolved_commit(url, "v2")
    source = {"type": "git", "url": url, "version": "v1", "subdirectory": "package"}
    payload = described(source, tmp_path, tmp_path / "cache")
    data = packed(source, payload, tmp_path, tmp_path / "cache")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        assert archive.getnames() == ["main.py"]
        content = archive.extractfile("main.py")
        assert content
        assert content.read() == b"app = 1\n"
