"""What site.yml sends to inventories/prod is what was reviewed: every package, account, file with its text, mode and owner, and unit.

The expected payloads are checked in. A change of a role shows here as the change on the hosts; `make rendered` takes it over,
and the commit shows it to the reader. That it works is what the Molecule scenarios prove.
"""

import difflib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "prod"
NAMES = [
    "api-app1", "backup-data1", "celery_workers-app1", "certificates-edge1", "firewall-app1", "firewall-data1", "firewall-edge1",
    "hardening-data1",
    "hardening-edge1", "monitoring-data1", "monitoring-edge1", "nginx-edge1", "pgbouncer-data1", "postgres-data1", "redis-data1",
]  # fmt: skip


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Today's payloads, in a folder."""
    folder = tmp_path_factory.mktemp("sent")
    command = [sys.executable, str(FOLDER / "desired.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_role_is_among_them(sent: Path) -> None:
    found = sorted(path.stem for path in sent.glob("*.json"))
    assert found == NAMES, f"new: {set(found) - set(NAMES)}, gone: {set(NAMES) - set(found)}. Wanted so? Change NAMES, and `make rendered`."


@pytest.mark.parametrize("name", NAMES)
def test_a_host_gets_what_was_reviewed(sent: Path, name: str) -> None:
    expected, found = ((folder / f"{name}.json").read_text().splitlines() for folder in (EXPECTED, sent))
    difference = "\n".join(difflib.unified_diff(expected, found, "reviewed", "sent today", lineterm="", n=1))
    assert difference == "", f"{difference}\n\nWanted so? `make rendered`, and read the difference of tests/unit/rendered/prod."
