"""Runs playbooks against lab inventories as a user does, and reads what they print."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
LAB = "tests"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def environment(**extra: str) -> dict[str, str]:
    """The checkout's own Ansible, whatever the caller's shell says, and a lab of the tests' own: a running demo is not theirs."""
    own = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "SLIPWAY_LAB": LAB,
    }
    return os.environ | own | extra


@dataclass
class Run:
    """One finished playbook run: exit `status`, everything it printed, wall time in seconds."""

    status: int
    output: str
    seconds: float
    changed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for host, _, changed, unreachable, failed in RECAP.findall(self.output):
            self.changed[host] = int(changed)
            self.failed[host] = int(unreachable) + int(failed)

    def succeeded(self) -> Run:
        """This run, or an assertion that shows its end."""
        assert self.status == 0, self.output[-6000:]
        return self

    def tasks_changed(self) -> str:
        """The tasks that changed something, for an assertion's message."""
        found, task = [], ""
        for line in self.output.splitlines():
            if line.startswith("TASK ["):
                task = line
            elif line.startswith("changed: "):
                found.append(f"{task} {line}")
        return "\n".join(found)


def slipway(*arguments: str) -> None:
    """A command of the driver, as a user types it."""
    subprocess.run([str(BIN / "slipway"), *arguments], cwd=ROOT, env=environment(), check=True)


class Site:
    """An inventory and the hosts it names."""

    def __init__(self, inventory: str) -> None:
        self.inventory = ROOT / "inventories" / inventory
        self.name = inventory
        self.logs = ROOT / ".slipway" / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    def fresh(self) -> Site:
        """This site on new hosts, with their administrator and nothing else. Any other lab of the checkout goes away."""
        slipway("lab", "down")
        return self.up()

    def up(self) -> Site:
        """This site's hosts as they are; made where they are missing."""
        slipway("lab", "up", "--inventory", self.name)
        slipway("secrets", "init", f"inventories/{self.name}")
        self.play(playbook="playbooks/bootstrap.yml").succeeded()
        return self

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """The command line a user would type."""
        return [str(BIN / "ansible-playbook"), str(ROOT / playbook), "-i", str(self.inventory), *arguments]

    def play(self, *arguments: str, playbook: str = "site.yml", **extra: str) -> Run:
        """Run a playbook to its end."""
        start = time.monotonic()
        done = subprocess.run(
            self.command(playbook, *arguments),
            cwd=ROOT,
            env=environment(**extra),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=1500,
            check=False,
        )
        run = Run(done.returncode, done.stdout + done.stderr, time.monotonic() - start)
        (self.logs / f"{self.name}-{time.time():.0f}.log").write_text(run.output)
        return run

    def kill_at(self, marker: str, *arguments: str, delay: float = 0.0) -> str:
        """Start site.yml, SIGKILL it and its children `delay` seconds after it printed `marker`; returns what it printed."""
        process = subprocess.Popen(
            self.command("site.yml", *arguments),
            cwd=ROOT,
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if marker in line:
                time.sleep(delay)
                os.killpg(process.pid, signal.SIGKILL)
                break
        process.stdout.close()
        process.wait()
        assert process.returncode == -signal.SIGKILL, f"{marker!r} was never reached:\n" + "".join(lines)[-4000:]
        return "".join(lines)

    def hosts(self) -> dict[str, str]:
        """Every host of the inventory and its address, as the driver says."""
        command = [str(BIN / "slipway"), "lab", "hosts", "--inventory", self.name]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
        return {words[0]: words[1] for line in done.stdout.splitlines() if (words := line.split())}

    def shell(self, host: str, script: str, check: bool = True) -> str:
        """Run a script as root on a host over ssh, as `slipway lab ssh` does; standard output."""
        done = subprocess.run(
            [str(BIN / "slipway"), "lab", "ssh", "--inventory", self.name, host, "sudo bash -s"],
            cwd=ROOT,
            env=environment(),
            input=script,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, f"{host}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def request(url: str, host: str, body: Any = None, timeout: float = 10) -> Answer:
    """One HTTPS request to an address, with the Host header of the site; the lab's certificate is self-signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    data = None if body is None else json.dumps(body).encode()
    wanted = urllib.request.Request(url, data=data, headers={"Host": host, "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(wanted, timeout=timeout, context=context) as answer:
            return Answer(answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, {key.lower(): value for key, value in error.headers.items()}, error.read().decode())


def eventually(probe: Any, seconds: float = 60, pause: float = 0.5) -> Any:
    """The first truthy result of `probe` within `seconds`; its last result otherwise."""
    end = time.monotonic() + seconds
    while not (found := probe()) and time.monotonic() < end:
        time.sleep(pause)
    return found
