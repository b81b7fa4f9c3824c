"""What only a program of the host can make: once, in order, and not without its proof."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import commands, engine, spec
from ansible_collections.slipway.stack.plugins.module_utils.state.host import Deadline, StepError


def wanted(folder: Path, *scripts: str) -> list[dict[str, Any]]:
    """One command for each shell script, which is to make the file of its number; all of them note that they ran."""
    return [
        {"argv": ["sh", "-c", f"cd {folder}; echo {number} >> log; {script}"], "creates": f"{folder}/{number}"}
        for number, script in enumerate(scripts)
    ]


def test_they_run_in_order_where_their_path_is_missing(tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    wants = wanted(tmp_path, "touch 0", "false", "test -e 0 && touch 2")
    commands.apply(wants, Deadline(60))
    assert (tmp_path / "log").read_text() == "0\n2\n"
    commands.apply(wants, Deadline(60))
    assert (tmp_path / "log").read_text() == "0\n2\n"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [("echo no room; exit 3", "exited 3:\nno room"), ("echo all is well", "sh ended well and made no {0}/0: all is well")],
)
def test_one_that_made_nothing_has_failed(script: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as error:
        commands.apply(wanted(tmp_path, script, "touch 1"), Deadline(60))
    assert sentence.format(tmp_path) in str(error.value)
    assert not (tmp_path / "1").exists()


def test_check_mode_says_what_would_be_made(tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    payload = spec.normalise({"commands": wanted(tmp_path, "touch 0", "touch 1")})
    result = engine.Engine({**payload, "check": True, "diff": True}).run()
    found = [(item["section"], item["name"], item["changed"], item["action"]) for item in result["items"]]
    assert found == [("commands", f"{tmp_path}/0", True, "create"), ("commands", f"{tmp_path}/1", False, "")]
    assert result["changed"]
    assert [diff["after"] for diff in result["diff"]] == [f"{tmp_path}/0\n"]
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"argv": []}, "argv is empty; allowed: a program and its arguments"),
        ({"creates": "there"}, "path 'there' must be absolute"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(spec.SpecError) as error:
        spec.normalise({"commands": [{"argv": ["true"], "creates": "/x", **change}]})
    assert sentence in str(error.value)
