"""One deployment at a time: who comes second is told, who was killed is replaced, and everything is written down."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.action.deployment import identity, is_gone
from ansible_collections.slipway.stack.plugins.module_utils.release.store import Store
from ansible_collections.slipway.stack.plugins.modules import deployment

from tests.unit.release.test_store import activate, built


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path, "shop")
    for order, name in enumerate(("one", "two")):
        built(found, name, order)
    activate(found, "one")
    return found


def params(tmp_path: Path, **values: Any) -> dict[str, Any]:
    given = {"run": "laptop:1:1", "owner": "ada@laptop", "reason": "", "action": "deploy", "failure": "", "force": False, "abandoned": ""}
    return {**given, "forget_after": 6, "log": str(tmp_path / "log"), **values}


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_the_second_is_told_who_why_and_since_when(tmp_path: Path, store: Store) -> None:
    assert deployment.begin(params(tmp_path, reason="new checkout"), store, "shop", check=False) == {}
    held = deployment.begin(params(tmp_path, run="desk:7:7", owner="bob@desk"), store, "shop", check=False)
    assert deployment.refusal("shop", held).startswith(
        "shop is being deployed by ada@laptop since 0 s (new checkout); nothing was changed."
    )
    # who has no turn ends nobody's
    deployment.end(params(tmp_path, run="desk:7:7", owner="bob@desk"), store, "shop")
    assert deployment.turn_of(store)["owner"] == "ada@laptop"
    assert not (tmp_path / "log").exists()


def test_what_changed_is_written_down_and_the_turn_is_free(tmp_path: Path, store: Store) -> None:
    deployment.begin(params(tmp_path, reason="new checkout"), store, "shop", check=False)
    activate(store, "two")
    deployment.end(params(tmp_path), store, "shop")
    [line] = lines(tmp_path)
    wanted = {"application": "shop", "action": "deploy", "by": "ada@laptop", "result": "released", "from": "one"}
    assert {key: line[key] for key in wanted} == wanted
    assert (line["to"], line["reason"]) == ("two", "new checkout")
    assert deployment.turn_of(store) == {}


def test_a_run_that_changes_nothing_leaves_no_line_and_a_failure_its_reason(tmp_path: Path, store: Store) -> None:
    deployment.begin(params(tmp_path), store, "shop", check=False)
    deployment.end(params(tmp_path), store, "shop")
    assert not (tmp_path / "log").exists()
    deployment.begin(params(tmp_path), store, "shop", check=False)
    deployment.end(params(tmp_path, failure="app1: not ready"), store, "shop")
    assert [(line["result"], line["why"]) for line in lines(tmp_path)] == [("put back", "app1: not ready")]


def test_an_abandoned_turn_is_taken_over_and_said(tmp_path: Path, store: Store) -> None:
    deployment.begin(params(tmp_path), store, "shop", check=False)
    later = params(tmp_path, run="laptop:2:9", abandoned="laptop:1:1")
    assert deployment.begin(later, store, "shop", check=False) == {}
    assert deployment.turn_of(store)["run"] == "laptop:2:9"
    assert [line["result"] for line in lines(tmp_path)] == ["abandoned"]
    assert deployment.begin(params(tmp_path, run="desk:7:7", force=True), store, "shop", check=False) == {}


def test_check_mode_tells_and_writes_nothing(tmp_path: Path, store: Store) -> None:
    assert deployment.begin(params(tmp_path), store, "shop", check=True) == {}
    assert deployment.turn_of(store) == {}


def test_the_log_is_bounded(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "LINES", 3)
    for number in range(5):
        deployment.begin(params(tmp_path), store, "shop", check=False)
        deployment.end(params(tmp_path, failure=str(number)), store, "shop")
    assert [line["why"] for line in lines(tmp_path)] == ["2", "3", "4"]


def test_a_process_that_ended_is_gone_and_a_running_one_is_not() -> None:
    process = subprocess.Popen(["sleep", "60"])
    run = identity(process.pid)
    assert not is_gone(run)
    assert not is_gone(run.replace(run.split(":")[0], "another-controller"))
    process.kill()
    process.wait()
    assert is_gone(run)
    # the same number, but a process that began at another time
    assert is_gone(identity(os.getpid()).rpartition(":")[0] + ":1")
