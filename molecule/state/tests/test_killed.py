"""A run that dies half-way is healed by the next one, wherever it died."""

import os
import signal
import time
from typing import Any

import pytest
from conftest import Engine, Run, answer, greeter
from testinfra.host import Host

SLOW = "/etc/systemd/system/slow.service"


@pytest.fixture(autouse=True)
def _slow(host: Host, engine: Engine) -> Any:
    """A unit that holds the engine up for some seconds, at its start or at its stop, where we can kill it."""
    if answer(host) != "hello\n":
        engine(**greeter())
    yield
    host.run(f"systemctl stop slow.service; rm -f {SLOW}; systemctl daemon-reload")


def slow(start: int = 0, stop: int = 0) -> dict[str, Any]:
    content = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep {start}\nExecStop=/bin/sleep {stop}\n"
    return {"files": [{"path": SLOW, "content": content}], "units": [{"name": "slow.service", "state": "started"}]}


def both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {key: first[key] + second[key] for key in ("files", "units")}


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kill_engine(host: Host, run: Run) -> None:
    """SIGKILL the host's Python; its number is in the lock."""
    host.check_output("kill -KILL $(cat /run/slipway/state.lock)")
    run.wait()


def is_state(host: Host, state: str) -> bool:
    return host.run("systemctl show --value --property=ActiveState slow.service").stdout.strip() == state


def killed_between_swap_and_restart(host: Host, engine: Engine, greeting: str) -> dict[str, Any]:
    wanted = both(slow(start=6), greeter(greeting))
    run = engine.start(**wanted)
    until(lambda: is_state(host, "activating"))
    kill_engine(host, run)
    assert host.file("/etc/greeter/greeting").content_string == f"{greeting}\n"
    assert answer(host) == "hello\n"
    until(lambda: is_state(host, "active"))
    return wanted


def test_the_next_run_restarts_what_a_killed_one_had_written(host: Host, engine: Engine) -> None:
    wanted = killed_between_swap_and_restart(host, engine, "written")
    predicted = engine(check=True, **wanted)
    done = engine(**wanted)
    assert predicted.items() == done.items() == [("units", "greeter@8001.service", "restart")]
    assert answer(host) == "written\n"
    assert engine(**wanted).result["changed"] is False
    assert host.file("/var/lib/slipway/rollback").listdir() == []


def test_the_next_run_returns_to_before_the_killed_one_if_that_was_broken(host: Host, engine: Engine) -> None:
    wanted = killed_between_swap_and_restart(host, engine, "sick")
    # A call of another role in between neither heals nor forgets it.
    assert engine(files=[{"path": "/etc/greeter/other", "content": "x\n"}]).result["changed"]
    result = engine(**wanted).result
    assert result["failed"] and "/etc/greeter/greeting" in result["put_back"]
    assert host.file("/etc/greeter/greeting").content_string == "hello\n" and answer(host) == "hello\n"
    assert host.file("/var/lib/slipway/rollback").listdir() == []
    engine(files=[{"path": "/etc/greeter/other", "state": "absent"}])


def test_a_killed_put_back_is_completed_by_the_next_run_of_anything(host: Host, engine: Engine) -> None:
    wanted = both(slow(stop=6), greeter("sick"))
    wanted["units"][1]["ready"]["timeout"] = 1
    run = engine.start(**wanted)
    until(lambda: is_state(host, "deactivating"))
    kill_engine(host, run)
    assert answer(host) == ""
    until(lambda: is_state(host, "inactive"))
    done = engine(files=[{"path": "/etc/greeter/greeting", "content": "hello\n"}])
    assert [item["section"] for item in done.result["items"] if item["changed"]] == ["recovery"]
    until(lambda: answer(host) == "hello\n")
    assert not host.file(SLOW).exists
    assert engine(**greeter()).result["changed"] is False


def test_the_host_finishes_when_the_controller_dies(host: Host, engine: Engine) -> None:
    wanted = both(slow(start=4), greeter("finished"))
    run = engine.start(**wanted)
    until(lambda: is_state(host, "activating"))
    os.killpg(run.process.pid, signal.SIGKILL)
    run.wait()
    assert engine(**wanted).result["changed"] is False  # it waited for the lock
    assert answer(host) == "finished\n"


def test_leftovers_beside_the_files_go(host: Host, engine: Engine) -> None:
    wanted = greeter("staged")
    wanted["files"][0]["validate"] = "sh -c 'sleep 6; test -e %s'"
    run = engine.start(**wanted)
    until(lambda: host.run("ls -A /etc/greeter | grep slipway").rc == 0)
    kill_engine(host, run)
    assert host.run("ls -A /etc/greeter | grep slipway").rc == 0
    assert engine(**greeter()).result["changed"] is False
    assert host.run("ls -A /etc/greeter | grep slipway").rc == 1
