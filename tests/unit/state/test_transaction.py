"""The journal: put back after a failure, after a kill, twice, and by a later call."""

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import files, spec, transaction

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
OWNER = (os.getuid(), os.getgid())


@pytest.fixture(autouse=True)
def _rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "ROLLBACK", str(tmp_path / "rollback"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One of each: a file with an old date, a link, a directory."""
    root = tmp_path / "tree"
    (root / "folder").mkdir(parents=True)
    (root / "file").write_text("old\n")
    (root / "file").chmod(0o640)
    os.utime(root / "file", (1000, 1000))
    (root / "link").symlink_to("/old")
    return root


def snapshot(root: Path) -> dict[str, Any]:
    """Everything below root that a restore must bring back, times of files included."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        text = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
        found[str(path)] = (text, status.st_mode, status.st_mtime_ns if path.is_file() else 0)
    return found


def change(root: Path, upto: str = "swapped") -> transaction.Transaction:
    """What the engine does with files, as far as `upto`: staged, swapped."""
    wants = spec.normalise(
        {
            "files": [
                {"path": f"{root}/file", "content": "new\n", "mode": "0600", **ME},
                {"path": f"{root}/link", "link": "/new", **ME},
                {"path": f"{root}/made/deep/file", "content": "made\n", **ME},
            ]
        }
    )["files"]
    call = transaction.Transaction()
    call.begin()
    seen = {want["path"]: files.OnDisk(want["path"]) for want in wants}
    staged = {want["path"]: call.stage(want, *OWNER) for want in wants}
    for path, have in seen.items():
        call.remember(path, have)
    call.write_journal("forward")
    if upto == "swapped":
        for path, name in staged.items():
            assert call.swap(name, path) == "renamed"
        call.take_away(f"{root}/folder", files.OnDisk(f"{root}/folder"))
    return call


@pytest.fixture(autouse=True)
def _parents_are_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parents are made for root; a test may run as somebody else."""
    if os.getuid() != 0:
        monkeypatch.setattr(transaction.os, "chown", lambda *_arguments, **_keywords: None)


@pytest.mark.parametrize("upto", ["staged", "swapped"])
def test_put_back_returns_everything(tree: Path, upto: str) -> None:
    before, time = snapshot(tree), tree.stat().st_mtime_ns
    call = change(tree, upto)
    call.put_back()
    assert snapshot(tree) == before
    assert tree.stat().st_mtime_ns == time  # or a unit that watches the folder would restart for nothing
    call.finish()
    assert transaction.left_behind(clean=True) == []


def test_finish_keeps_the_new_and_forgets_the_old(tree: Path) -> None:
    change(tree).finish()
    assert (tree / "file").read_text() == "new\n" and (tree / "file").stat().st_mode & 0o777 == 0o600
    assert (tree / "link").readlink() == Path("/new") and (tree / "made/deep/file").exists() and not (tree / "folder").exists()
    assert not list(tree.rglob(".slipway-*")) and transaction.left_behind(clean=True) == []


def test_a_killed_run_is_put_back_from_its_journal_and_twice_does_no_harm(tree: Path) -> None:
    before = snapshot(tree)
    change(tree)  # and never finished
    (journal,) = transaction.left_behind(clean=True)
    assert journal.data["phase"] == "forward"
    assert journal.changed_paths() >= {f"{tree}/file", f"{tree}/link", f"{tree}/made/deep/file", f"{tree}/folder"}
    assert journal.put_back() and journal.put_back() == []
    assert snapshot(tree) == before


def test_a_run_killed_before_its_swap_has_changed_nothing_but_leftovers(tree: Path) -> None:
    change(tree, "staged")
    (journal,) = transaction.left_behind(clean=True)
    assert journal.changed_paths() <= {f"{tree}/made", f"{tree}/made/deep"}
    journal.clean_temporary()
    assert not list(tree.rglob(".slipway-*"))


def test_a_later_call_returns_to_before_the_killed_one(tree: Path) -> None:
    before = snapshot(tree)[f"{tree}/file"]
    change(tree)
    (journal,) = transaction.left_behind(clean=True)
    later = transaction.Transaction()
    later.adopt(journal, {f"{tree}/file"})
    assert later.unproven()[f"{tree}/file"] == journal.time
    later.begin()
    later.remember(f"{tree}/file", files.OnDisk(f"{tree}/file"))  # the killed run's file is not what we return to
    later.put_back()
    assert snapshot(tree)[f"{tree}/file"] == before
    later.finish()
    (journal,) = transaction.left_behind(clean=True)  # the rest still waits for a call on its paths
    assert f"{tree}/file" not in journal.paths() and f"{tree}/link" in journal.paths()


def test_a_journal_that_was_never_complete_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "rollback/1-x").mkdir(parents=True)
    (tmp_path / "rollback/1-x/journal.json").write_text('{"phase": ')
    assert transaction.left_behind(clean=True) == [] and not (tmp_path / "rollback/1-x").exists()


def test_what_is_kept_is_for_nobody_else(tree: Path, tmp_path: Path) -> None:
    change(tree)
    assert (tmp_path / "rollback").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "rollback").glob("*/*")} == {0o600}
