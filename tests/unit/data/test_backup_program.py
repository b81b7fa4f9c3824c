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
