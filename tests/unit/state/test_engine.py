"""The engine's order of work: what must be on the disk before the next step, and what systemd must be told on the way back.

The files are real. In the place of systemctl stands a program that behaves as systemd does: it runs what it has loaded, and
loads a unit file only when told to.
"""

import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import engine, spec, transaction, units
from ansible_collections.slipway.stack.plugins.module_utils.state.host import StepError

OWNER = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
SYSTEMCTL = """#!/bin/sh
cd {folder}
echo "$*" >> log
case "$1" in
  daemon-reload) cp {unit} loaded ;;
  restart) cp loaded running; grep -q good running ;;
  show)
    echo LoadState=loaded; echo UnitFileState=enabled; echo "ExecMainStartTimestamp=Sun 2026-01-04 00:00:00.000000 UTC"
    if grep -q good running; then echo ActiveState=active; else echo ActiveState=failed; fi
    if cmp -s {unit} loaded; then echo NeedDaemonReload=no; else echo NeedDaemonReload=yes; fi ;;
esac
"""


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A running unit whose file says `good`; a new file that does not say it cannot start."""
    file = tmp_path / "system/x.service"
    for folder in ("system", "bin", "rollback"):
        (tmp_path / folder).mkdir()
    for path in (file, tmp_path / "loaded", tmp_path / "running"):
        path.write_text("good\n")
    program = tmp_path / "bin/systemctl"
    program.write_text(SYSTEMCTL.format(folder=tmp_path, unit=file))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(units, "UNIT_FOLDERS", (f"{tmp_path}/system/",))
    monkeypatch.setattr(units, "journal", lambda name: [])
    monkeypatch.setattr(transaction, "ROLLBACK", str(tmp_path / "rollback"))
    return file


def converge(files: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> engine.Engine:
    payload = spec.normalise({"files": [{**OWNER, **file} for file in files], "units": wanted})
    made = engine.Engine({**payload, "check": False, "diff": False})
    made.predict()
    made.apply()
    return made


def test_a_unit_file_that_was_put_back_is_loaded_again(unit: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=f"put back: {unit}"):
        converge([{"path": str(unit), "content": "bad\n"}], [{"name": "x.service", "state": "started", "restart_on": [str(unit)]}])
    assert unit.read_text() == "good\n"
    assert (tmp_path / "loaded").read_text() == "good\n"
    assert (tmp_path / "running").read_text() == "good\n"


def test_before_the_first_swap_the_journal_on_the_disk_names_every_file(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may go at any moment from here on."""
    paths = [str(tmp_path / "one"), str(tmp_path / "two")]
    (tmp_path / "two").write_text("old\n")
    seen: list[dict[str, Any]] = []

    def swap(self: transaction.Transaction, staged: str, path: str) -> str:
        seen.append(json.loads(Path(self.folder, "journal.json").read_text()))
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(transaction.Transaction, "swap", swap)
    with pytest.raises(OSError, match="Input/output"):
        converge([{"path": path, "content": "new\n"} for path in paths], [])
    assert seen[0]["phase"] == "forward"
    assert {entry["path"]: entry["kind"] for entry in seen[0]["entries"]} == {paths[0]: "none", paths[1]: "file"}
    assert len(seen[0]["temporary"]) == 2
    assert (tmp_path / "two").read_text() == "old\n" and not (tmp_path / "one").exists()
