"""Of every scenario, before its own tests."""

from playbook import Converge


def test_check_mode_finds_nothing_left_to_do(converge: Converge) -> None:
    done = converge("--check", "--diff")
    assert (done.code, done.changed) == (0, set()), done.output
