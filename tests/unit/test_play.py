"""The one way in which Python starts a playbook."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway import play

LOCAL = ["-i", "one,two,", "--connection=local", "--diff"]


def run(tmp_path: Path, tasks: list[dict[str, Any]], **options: Any) -> play.Run:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = true\n")
    environment = play.environment(tmp_path / "ansible.cfg", {"ANSIBLE_PYTHON_INTERPRETER": sys.executable})
    plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    return play.run(plays, *LOCAL, folder=tmp_path, environment=environment, **options)


def test_a_run_says_what_every_task_did_to_every_host(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    done = run(
        tmp_path,
        [
            {"name": "Write", "ansible.builtin.copy": {"dest": f"{tmp_path}/{{{{ inventory_hostname }}}}", "content": "{{ word }}\n"}},
            {"name": "Skip", "ansible.builtin.meta": "noop"},
            {"name": "Not here", "ansible.builtin.debug": {"msg": "x"}, "when": False},
            {"name": "May fail", "ansible.builtin.fail": {"msg": "allowed"}, "ignore_errors": True},
            {"name": "Hide", "ansible.builtin.debug": {"msg": "{{ secret }}"}, "no_log": True},
            {"name": "Fail on one", "ansible.builtin.fail": {"msg": "not {{ word }}"}, "when": "inventory_hostname == 'two'"},
        ],
        variables={"word": "it's $HOME", "secret": "canary-1b7e"},
    )
    assert {(result.host, result.task, result.status, result.ignored) for result in done.results} == {
        *((host, "Write", "changed", False) for host in ("one", "two")),
        *((host, "Not here", "skipped", False) for host in ("one", "two")),
        *((host, "May fail", "failed", True) for host in ("one", "two")),
        *((host, "Hide", "ok", False) for host in ("one", "two")),
        ("one", "Fail on one", "skipped", False),
        ("two", "Fail on one", "failed", False),
    }
    assert done.code == 2
    assert (done.changed, done.failed) == ({"one": 1, "two": 1}, {"one": 0, "two": 1})
    assert done.failures() == ["two: Fail on one: not it's $HOME"]
    assert sorted(done.tasks_changed()) == ["one: Write", "two: Write"]
    assert (tmp_path / "one").read_text() == "it's $HOME\n"
    assert f"+++ after: {tmp_path}/two\n" in done.told["two"] and f"{tmp_path}/one" not in done.told["two"]
    assert "+it's $HOME\n" in done.told["one"]
    assert "not it's $HOME" in done.told["two"] and "not it's" not in done.told["one"]
    assert "canary-1b7e" not in f"{done.output}{done.results}"
    assert "\r" not in done.output and "\x1b" not in done.output
    assert capfd.readouterr().out == ""
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_has_an_end_and_keeps_the_settings_of_its_ansible(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ask = {"name": "Ask", "ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.config', 'HOST_KEY_CHECKING') }}"}}
    wait = {"name": "Wait", "ansible.builtin.command": "sleep 61"}
    done = run(tmp_path, [ask, wait], time_limit=8, show=True)
    assert done.code == 254 and "no end after 8 s" in done.output
    assert {result.values["msg"] for result in done.results} == {True}
    assert "TASK [Ask]" in capfd.readouterr().out
