"""What a release and an image's build send: gitignore's patterns, nothing private, the same bytes for the same content."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.source_tree import TreeError, archive

PRIVATE = [
    ".env", ".env.production", "config/.env.local", ".git/config", "a/.git", ".hg/x", ".venv/bin/python", "venv/x", "node_modules/x/y.js",
    "a/__pycache__/b.pyc", "a/b.pyo", ".pytest_cache/x", ".mypy_cache/x", ".ruff_cache/x", ".tox/x", ".coverage", "shop.egg-info/PKG-INFO",
    "img/.DS_Store",
]  # fmt: skip


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def packed(root: Path, *patterns: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive(root, patterns))) as tar:
        return [entry.name for entry in tar if not entry.isdir()]


def test_nothing_private_is_sent(tmp_path: Path) -> None:
    made(tmp_path, *PRIVATE, "environment", "a/b.py", ".envrc.d/x")
    assert packed(tmp_path) == [".envrc.d/x", "a/b.py", "environment"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("tests/", ["a/b.py", "docs/img/a.png", "tests"]),
        ("/tests", ["a/b.py", "a/tests/t.py", "docs/img/a.png"]),
        ("docs/img", ["a/b.py", "a/tests/t.py", "tests"]),
        ("docs/**", ["a/b.py", "a/tests/t.py", "tests"]),
        ("*.png", ["a/b.py", "a/tests/t.py", "tests"]),
        ("# tests", ["a/b.py", "a/tests/t.py", "docs/img/a.png", "tests"]),
    ],
)
def test_patterns_mean_what_they_mean_to_git(pattern: str, left: list[str], tmp_path: Path) -> None:
    made(tmp_path, "a/b.py", "a/tests/t.py", "docs/img/a.png", "tests")
    assert packed(tmp_path, pattern) == left


def test_a_later_pattern_takes_a_file_back(tmp_path: Path) -> None:
    made(tmp_path, "a.log", "keep.log")
    assert packed(tmp_path, "*.log", "!keep.log") == ["keep.log"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "b", "a/x"), made(tmp_path / "two", "a/x", "b")
    os.utime(two / "b", (1, 1))
    (two / "b").chmod(0o600)
    assert archive(one, []) == archive(two, [])
    (two / "b").chmod(0o700)
    assert archive(one, []) != archive(two, [])


def test_a_link_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    (made(tmp_path, "a") / "out").symlink_to("/etc/passwd")
    with pytest.raises(TreeError, match="points outside of the tree"):
        archive(tmp_path, [])
    assert packed(tmp_path, "/out") == ["a"]
