# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The container engine: found, installed where that is safe, started, and called."""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from slipway import lock
from slipway.errors import SlipwayError

LOG = Path("/var/log/slipway-dockerd.log")
START_DEADLINE = 60.0  # seconds


def run(arguments: Sequence[str], *, stdin: bytes | None = None, check: bool = True, quiet: bool = True) -> str:
    """Call `docker ...` and return what it printed; with `quiet=False` its messages pass straight to the terminal."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            check=False,
        )
    except FileNotFoundError:
        raise SlipwayError("The command docker is missing. Run `slipway engine` (as root), or install Docker.") from None
    if check and done.returncode != 0:
        message = (done.stderr or b"").decode(errors="replace").strip()
        raise SlipwayError(f"docker {arguments[0]} failed with exit code {done.returncode}: {message}")
    return done.stdout.decode(errors="replace")


def program(command: Sequence[str], **environment: str) -> str:
    """Call another program and return what it printed; its own last words are the error."""
    done = subprocess.run(command, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise SlipwayError(f"{shlex.join(command[:3])} failed with exit code {done.returncode}:\n{last}")
    return done.stdout


def is_podman() -> bool:
    """Podman stands in for Docker through its package podman-docker; a systemd host then starts with other flags."""
    return "podman" in run(["--version"]).lower()


def ensure() -> None:
    """Make sure that an engine answers: start it, or install Debian's on a Debian or Ubuntu machine where we are root."""
    if _problem() is None:
        return
    with lock.held("engine"):
        _ensure()


def _ensure() -> None:
    problem = _problem()
    if problem is None:
        return
    if "permission denied" in problem.lower():
        raise SlipwayError(
            f"Docker runs, but this user may not use it: {problem}\n"
            "Run the command as root, or add yourself to the group: sudo usermod -aG docker $USER (then log in again)."
        )
    if os.geteuid() != 0:
        raise SlipwayError(
            f"No container engine answers: {problem}\n"
            "Slipway starts its hosts as containers and needs Docker. Start it with `sudo systemctl start docker`, or install it with\n"
            "  sudo apt-get install docker.io && sudo usermod -aG docker $USER\n"
            "(log in again afterwards), or run this command as root and Slipway does it."
        )
    if not (shutil.which("docker") and shutil.which("dockerd")):
        _install()
    _start()


def _problem() -> str | None:
    """Why no engine answers, or None when one does."""
    if not shutil.which("docker"):
        return "the command docker is not installed."
    done = subprocess.run(["docker", "info", "--format", "{{.ID}}"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 and done.stdout.strip() else (done.stderr.strip() or "docker info gave no answer.")


def _install() -> None:
    if not shutil.which("apt-get"):
        raise SlipwayError(
            "No container engine is installed and this machine has no apt to install one.\n"
            "Install Docker Engine 20.10 or newer (or Podman with podman-docker), start it, and run the command again."
        )
    print("Installing docker.io from the distribution: the lab's hosts are containers.", flush=True)
    _apt("update", "-q")
    # From Debian 13 on the command docker is a package of its own.
    client = subprocess.run(["apt-cache", "show", "docker-cli"], capture_output=True, check=False)
    _apt("install", "-y", "-q", "--no-install-recommends", "docker.io", "iptables", *(["docker-cli"] if client.returncode == 0 else []))


def apt_install(package: str, purpose: str) -> None:
    """Install one package of the distribution on this machine, or say what to install."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SlipwayError(f"{purpose} needs the program {package}. Install it (sudo apt-get install {package}) and run the command again.")
    with lock.held("engine"):
        print(f"Installing {package}: {purpose}.", flush=True)
        _apt("update", "-q")
        _apt("install", "-y", "-q", "--no-install-recommends", package)


def _apt(*arguments: str) -> None:
    program(["apt-get", *arguments], DEBIAN_FRONTEND="noninteractive")


def _start() -> None:
    if Path("/run/systemd/system").is_dir():
        print("Starting Docker through systemd.", flush=True)
        subprocess.run(["systemctl", "start", "docker"], check=False)
        where = "journalctl -u docker"
    else:
        print("Starting dockerd in the background: no systemd runs on this machine.", flush=True)
        with LOG.open("ab") as log:
            subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        where = str(LOG)
    deadline = time.monotonic() + START_DEADLINE
    while (problem := _problem()) is not None:
        if time.monotonic() > deadline:
            raise SlipwayError(f"Docker did not answer within {START_DEADLINE:.0f} s: {problem}\nIts own account is in: {where}")
        time.sleep(0.3)
