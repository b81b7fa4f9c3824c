"""The backup program's rules that need no server."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[3] / "roles/backup/files/slipway_backup.py"
SPECIFICATION = importlib.util.spec_from_file_location("slipway_backup", FILE)
assert SPECIFICATION
assert SPECIFICATION.loader
program = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(program)

NOW = 1_795_309_517  # 2026-11-22
OLD, OLDER, NEW = "20261001T020000Z", "20260901T020000Z", "20261121T020000Z"


@pytest.mark.parametrize(
    ("names", "keep_days", "expected"),
    [
        ([OLD, NEW, OLDER], 30, [OLDER, OLD]),
        ([OLDER, OLD], 30, [OLDER]),  # the newest stays, however old it is
        ([OLD], 30, []),
        ([], 30, []),
        ([OLDER, OLD, NEW], 0, []),
        ([OLDER, OLD, NEW], 60, [OLDER]),
        ([OLD, "notes", ".partial-20260901T020000Z", NEW], 30, [OLD]),  # only what is a complete backup counts, or goes
    ],
)
def test_the_newest_is_never_expired(names: list[str], keep_days: int, expected: list[str]) -> None:
    assert program.expired(names, keep_days, NOW) == expected


def store_of(tmp_path: Path, *names: str, size: int = 100) -> Path:
    store = tmp_path / "files"
    for name in names:
        (store / name).mkdir(parents=True)
        (store / name / "files.tar.gz").write_bytes(b"x" * size)
    return store


def job(**more: object) -> dict[str, object]:
    return {"name": "files", "keep_days": 30, "remote": {"path": "", "keep_days": 0}, **more}


def left(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir())


class Disk:
    """A disk on which what is removed from the store becomes free."""

    def __init__(self, store: Path, size: int, patch: pytest.MonkeyPatch) -> None:
        self.store, self.size = store, size
        patch.setattr(program, "free_bytes", lambda _folder: self.free())

    def free(self) -> int:
        return self.size - sum(path.stat().st_size for path in self.store.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1000, [OLDER, OLD, NEW]),  # room enough: nothing goes before there is a new one
        (350, [OLD, NEW]),  # the oldest goes first, and no more than needed
        (250, [NEW]),
    ],
)
def test_expired_ones_make_room(size: int, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path, OLDER, OLD, NEW)
    Disk(store, size, monkeypatch)
    program.make_room(job(), store, NOW)
    assert left(store) == sorted(expected)


def test_without_room_nothing_is_written_and_the_last_good_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path, OLD, NEW)
    Disk(store, 150, monkeypatch)
    with pytest.raises(program.BackupError, match="50 bytes free, and the last backup took 100: nothing was written"):
        program.make_room(job(), store, NOW)
    assert left(store) == [NEW]


def test_what_is_not_elsewhere_yet_does_not_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path, OLDER, OLD, NEW)
    Disk(store, 350, monkeypatch)
    monkeypatch.setattr(program, "listed_elsewhere", lambda _job: [OLD])
    program.make_room(job(remote={"path": "offsite:x", "keep_days": 0}), store, NOW)
    assert left(store) == [OLDER, NEW]


@pytest.mark.parametrize(("code", "kept"), [(1, True), (2, False)])
def test_a_file_that_changes_while_it_is_read_is_a_warning(
    code: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive is tar's own; only its exit code is that of a busy folder (1) or of an error (2)."""
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin/tar"
    stand_in.write_text(
        f'#!/bin/sh\n/bin/tar "$@" || exit 3\ncase "$1" in --create) echo "file changed as we read it" >&2; exit {code};; esac\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_text("x")
    store = tmp_path / "files"
    store.mkdir()
    wanted = job(type="files", paths=[f"{tmp_path}/data"])
    if kept:
        assert (program.write_backup(wanted, store) / "files.tar.gz").stat().st_size > 0
        assert "warning: tar" in capsys.readouterr().err
    else:
        with pytest.raises(program.BackupError, match="exit code 2"):
            program.write_backup(wanted, store)
        assert left(store) == []
