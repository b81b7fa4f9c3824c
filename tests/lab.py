"""Runs playbooks against lab inventories as a user does, and reads what they did."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from slipway import play

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
LAB = "tests"
PATH = f"{ROOT}/tests/quick:{BIN}:{os.environ['PATH']}"  # first an ansible-playbook that starts in a tenth of a second


def environment(**extra: str) -> dict[str, str]:
    """The checkout's own Ansible, whatever the caller's shell says, and a lab of the tests' own: a running demo is not theirs."""
    return play.environment(ROOT / "ansible.cfg", {"SLIPWAY_LAB": LAB, "PATH": PATH, **extra})


class Run(play.Run):
    """One finished playbook run."""

    def succeeded(self) -> Run:
        """This run, or an assertion that shows its end."""
        assert self.code == 0, self.output[-6000:]
        return self


def slipway(*arguments: str) -> None:
    """A command of the driver, as a user types it."""
    done = subprocess.run([str(BIN / "slipway"), *arguments], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"slipway {' '.join(arguments)}: {done.stdout}{done.stderr}"


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

    def play(self, *arguments: str, playbook: str = "site.yml", checkout: Path = ROOT, **extra: str) -> Run:
        """Run a playbook (of this checkout or of a copy) to its end."""
        run = play.run(
            checkout / playbook, "-i", str(self.inventory), *arguments, folder=ROOT, environment=environment(**extra), time_limit=1500
        )
        (self.logs / f"{self.name}-{time.time():.0f}.log").write_text(run.output)
        # The inventory is judged on the controller, which is no host of the site.
        for counts in (run.changed, run.failed):
            counts.pop("localhost", None)
        return Run(**vars(run))

    def kill_at(self, marker: str, *arguments: str, delay: float = 0.0) -> str:
        """Start site.yml, SIGKILL it and its children `delay` seconds after it printed `marker`; returns what it printed."""
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), str(ROOT / "site.yml"), "-i", str(self.inventory), *arguments],
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

    def through(self, host: str, destination: str, sent: str) -> str:
        """What an address behind a host answers to `sent`, forwarded by its sshd as `ssh -L` does it."""
        folder = ROOT / ".slipway" / "labs" / LAB
        options = ["-i", str(folder / "id_ed25519"), "-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", "BatchMode=yes"]
        command = ["ssh", "-F", "none", *options, "-W", destination, f"operator@{self.hosts()[host]}"]
        return subprocess.run(command, input=sent, capture_output=True, text=True, timeout=60, check=True).stdout


def request(url: str, host: str, body: Any = None, timeout: float = 10) -> httpx.Response:
    """One HTTPS request to an address, with the Host header of the site; the lab's certificate is self-signed."""
    method = "GET" if body is None else "POST"
    return httpx.request(method, url, json=body, headers={"Host": host}, timeout=timeout, verify=False)


def copy_of_the_checkout(target: Path) -> Path:
    """What git knows or would take, in a folder that a test may break."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target


def eventually(probe: Any, seconds: float = 60, pause: float = 0.5) -> Any:
    """The first truthy result of `probe` within `seconds`; its last result otherwise."""
    end = time.monotonic() + seconds
    while not (found := probe()) and time.monotonic() < end:
        time.sleep(pause)
    return found
