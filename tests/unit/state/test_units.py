"""Units: what systemctl says and what is wanted, against what must be done."""

import calendar
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import spec, units

STARTED = "Sun 2026-11-22 00:20:12.250000 UTC"
MOMENT = calendar.timegm((2026, 11, 22, 0, 20, 12)) + 0.25
RUNNING = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "ExecMainStartTimestamp": STARTED}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}
FAILED = {**STOPPED, "ActiveState": "failed"}
MISSING = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
MASKED = {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"}
STATIC = {**STOPPED, "UnitFileState": "static"}


def wanted(**values: Any) -> dict[str, Any]:
    return dict(spec.normalise({"units": [{"name": "x.service", **values}]})["units"][0])


@pytest.mark.parametrize(
    ("want", "have", "changing", "expected"),
    [
        ({"state": "started"}, RUNNING, {}, []),
        ({"state": "started", "enabled": True}, RUNNING, {}, []),
        ({"state": "started", "enabled": True}, STOPPED, {}, ["start", "enable"]),
        ({"state": "started", "enabled": True}, MISSING, {}, ["start", "enable"]),
        ({"state": "started"}, FAILED, {}, ["start"]),
        ({"state": "stopped", "enabled": False}, RUNNING, {}, ["stop", "disable"]),
        ({"state": "stopped", "enabled": False}, MISSING, {}, []),
        ({"enabled": True}, STATIC, {}, []),
        ({"enabled": False}, STATIC, {}, []),
        ({}, STOPPED, {}, []),
        ({"masked": True}, STOPPED, {}, ["mask"]),
        ({"masked": True}, MASKED, {}, []),
        ({"masked": False, "state": "started"}, MASKED, {}, ["unmask", "start"]),
        ({"state": "started", "restart_on": ["/a"]}, RUNNING, {"/a": MOMENT + 1}, ["restart"]),
        ({"state": "started", "restart_on": ["/a"]}, RUNNING, {"/a": MOMENT - 1}, []),
        ({"state": "started", "restart_on": ["/a"]}, RUNNING, {"/b": MOMENT + 1}, []),
        ({"restart_on": ["/etc/x"]}, RUNNING, {"/etc/x/y": MOMENT + 1}, ["restart"]),
        ({"restart_on": ["/etc/x"]}, RUNNING, {"/etc/xy": MOMENT + 1}, []),
        ({"restart_on": ["/a"]}, STOPPED, {"/a": MOMENT + 1}, []),
        ({"reload_on": ["/a"]}, RUNNING, {"/a": MOMENT + 1}, ["reload"]),
        ({"restart_on": ["/a"], "reload_on": ["/a"]}, RUNNING, {"/a": MOMENT + 1}, ["restart"]),
        ({"state": "stopped", "restart_on": ["/a"]}, RUNNING, {"/a": MOMENT + 1}, ["stop"]),
    ],
)
def test_decide(want: dict[str, Any], have: dict[str, str], changing: dict[str, float], expected: list[str]) -> None:
    plan = units.decide(wanted(**want), units.Unit(have), changing, 0.0)
    assert plan.words() == expected
    assert bool(plan.reasons) == bool(expected)


def test_a_reload_is_due_only_after_the_last_one() -> None:
    want = wanted(reload_on=["/a"])
    assert units.decide(want, units.Unit(RUNNING), {"/a": MOMENT + 1}, MOMENT + 2).action == ""
    assert units.decide(want, units.Unit(RUNNING), {"/a": MOMENT + 3}, MOMENT + 2).action == "reload"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STARTED, MOMENT),
        ("Thu 1970-01-01 00:00:00 UTC", 0.0),
        ("Thu 2024-02-29 23:59:59.5 UTC", calendar.timegm((2024, 2, 29, 23, 59, 59)) + 0.5),
        ("Fri 2027-01-01 00:00:00 UTC", calendar.timegm((2027, 1, 1, 0, 0, 0))),
        ("n/a", 0.0),
        ("", 0.0),
    ],
)
def test_timestamp(text: str, expected: float) -> None:
    assert units.timestamp(text) == expected


def test_days_agree_with_the_calendar() -> None:
    for days in range(0, 40000, 13):
        shown = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(days * 86400 + 3661))
        assert units.timestamp(shown) == days * 86400 + 3661


def test_newest_looks_into_directories_but_not_through_links_to_them(tmp_path: Path) -> None:
    folder, release = tmp_path / "conf.d", tmp_path / "release"
    (folder / "deep").mkdir(parents=True)
    release.mkdir()
    (folder / "deep/a.conf").touch()
    (folder / ".slipway-a.conf.0001").touch()
    (release / "code").touch()
    (tmp_path / "current").symlink_to(release)
    for path, moment in ((folder / "deep/a.conf", 500), (folder / ".slipway-a.conf.0001", 900), (release / "code", 900), (release, 900)):
        os.utime(path, (moment, moment))
    for path in (folder / "deep", folder, tmp_path / "current"):
        os.utime(path, (100, 100), follow_symlinks=False)
    assert units.newer([str(folder)], 499, {}) == str(folder)
    assert units.newer([str(folder)], 500, {}) == ""
    assert units.newer([str(tmp_path / "current")], 100, {}) == ""
    assert units.newer([str(tmp_path / "missing")], 0, {}) == ""


def test_a_changed_unit_file_asks_for_a_daemon_reload() -> None:
    have = {"x.service": units.Unit({**RUNNING, "NeedDaemonReload": "yes"}), "y.service": units.Unit(RUNNING)}
    path = "/etc/systemd/system/y.service.d/limits.conf"
    assert units.daemon_reload_reasons({path: 1.0, "/etc/other": 1.0}, {}) == [f"{path} changed"]
    assert units.daemon_reload_reasons({}, have) == ["x.service changed on disk"]
    assert units.daemon_reload_reasons({"/etc/other": 1.0}, {"y.service": have["y.service"]}) == []


JOURNALD = """#!/bin/sh
# As systemd's: what is sent waits in a queue, and one line is read at a time. --sync overtakes the queue.
cd {folder}
case "$0 $*" in
  *systemd-cat*) echo "slipway-state $4" >> queue ;;
  *--sync*) ;;
  *) head --lines=1 queue >> journal; sed --in-place 1d queue
     case "$*" in *--identifier=*) grep slipway-state journal ;; *) grep ^x.service journal ;; esac ;;
esac
"""


def test_the_last_words_of_a_dead_process_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("systemd-cat", "journalctl"):
        (tmp_path / name).write_text(JOURNALD.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    (tmp_path / "journal").write_text("x.service started\n")
    (tmp_path / "queue").write_text("other one\nother two\nx.service last words\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert units.journal("x.service") == ["x.service started", "x.service last words"]
