"""The engine's order of work: what must be on the disk before the next step, and what systemd must be told on the way back.

The files are real. In the place of systemctl stands a program that behaves as systemd does: it runs what it has loaded, and
loads a unit file only when told to.
"""

import grp
import json
import os
import pwd
import socket
import time
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
  restart) cp loaded running; if test -e breaks; then touch outage; fi; grep -q -e good -e loops running ;;
  show)
    echo LoadState=loaded; echo UnitFileState=enabled; echo "ExecMainStartTimestamp=Sun 2026-01-04 00:00:00.000000 UTC"
    if grep -q good running && ! test -e outage; then echo ActiveState=active
    elif grep -q loops running; then echo x >> restarts; echo ActiveState=activating; echo Result=exit-code
      echo "NRestarts=$(wc -l < restarts)"
    else echo ActiveState=failed; fi
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


def test_a_put_back_that_does_not_serve_says_so_first(unit: Path, tmp_path: Path) -> None:
    """As when a password was changed in the database as well: the earlier files do not fit it any more."""
    (tmp_path / "breaks").touch()
    with pytest.raises(StepError) as caught:
        converge([{"path": str(unit), "content": "bad\n"}], [{"name": "x.service", "restart_on": [str(unit)]}])
    lines = str(caught.value).splitlines()
    assert lines[1] == "The earlier files are back and DO NOT WORK EITHER: x.service failed (success) after its start"
    assert lines[-1] == f"put back: {unit}"


def test_a_unit_that_ends_again_and_again_is_given_up(unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "CRASH_SECONDS", 1.0)
    begun = time.monotonic()
    answers = socket.create_server(("127.0.0.1", 0))
    ready = {"tcp": f"127.0.0.1:{answers.getsockname()[1]}", "timeout": 20}
    expected = r"x.service does not stay up: it ended \d+ times within \d s \(exit-code\)"
    with answers, pytest.raises(StepError, match=expected):
        converge([{"path": str(unit), "content": "loops\n"}], [{"name": "x.service", "restart_on": [str(unit)], "ready": ready}])
    assert 1 <= time.monotonic() - begun < 30


def test_what_the_sandbox_refused_is_hinted_at(unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "journal", lambda name: ["PermissionError: [Errno 1] Operation not permitted"])
    with pytest.raises(StepError, match=r"hint: 'Operation not permitted' may be the sandbox of x.service; name the path"):
        converge([{"path": str(unit), "content": "bad\n"}], [{"name": "x.service", "restart_on": [str(unit)]}])


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
