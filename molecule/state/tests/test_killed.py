"""A run that dies half-way is healed by the next one, wherever it died."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Engine, answer, greeter
from testinfra.host import Host

SLOW = "/etc/systemd/system/slow.service"


@pytest.fixture(autouse=True)
def _slow(host: Host, engine: Engine) -> Any:
    """A unit that holds the engine up for some seconds, at its start or at its stop, where we can kill it."""
    if answer(host) != "hello\n":
        engine(**greeter())
    yield
    host.run(f"systemctl stop slow.service; rm -f {SLOW} /run/go /etc/greeter/other; systemctl daemon-reload; systemctl reset-failed")


def slow(start: int = 0, stop: int = 0, command: str = "") -> dict[str, Any]:
    begin = f"/bin/sh -c '{command}'" if command else f"/bin/sleep {start}"
    content = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={begin}\nExecStop=/bin/sleep {stop}\n"
    return {"files": [{"path": SLOW, "content": content}], "units": [{"name": "slow.service", "state": "started"}]}


def both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {key: first[key] + second[key] for key in ("files", "units")}


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def waits_for_the_lock(host: Host) -> bool:
    """Two processes have it open: the one that holds it, and one that comes back to it every fifth of a second."""
    return host.run("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c /run/slipway/state.lock").stdout.strip() == "2"


def kill_engine(host: Host, run: subprocess.Popen[str]) -> None:
    """SIGKILL the host's Python; its number is in the lock."""
    host.check_output("kill -KILL $(cat /run/slipway/state.lock)")
    run.communicate(timeout=180)


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


def test_the_host_finishes_when_the_controller_dies_and_the_next_run_waits_for_it(host: Host, engine: Engine) -> None:
    """The first run stands still until the second one waits at the lock: which of them is quicker does not matter."""
    wanted = both(slow(command="until test -e /run/go; do sleep 0.1; done"), greeter("finished"))
    run = engine.start(**wanted)
    until(lambda: is_state(host, "activating"))
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate(timeout=180)
    with ThreadPoolExecutor() as pool:
        second = pool.submit(engine, **wanted)
        try:
            until(lambda: second.done() or waits_for_the_lock(host))
            assert not second.done(), second.result().result
            assert host.file("/etc/greeter/greeting").content_string == "finished\n"
            assert answer(host) == "hello\n"
        finally:
            host.check_output("touch /run/go")
        assert second.result(timeout=180).result["changed"] is False
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
