# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One lab host: a container that boots systemd as a rented server does."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from slipway import controller, engine, image
from slipway.errors import SlipwayError

# Each systemd holds several inotify instances; all containers share root's allowance, which is 128 by default.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_NEEDED = 1024
BOOT_DEADLINE = 90.0  # seconds; about one when the machine is idle


@dataclass(frozen=True)
class Host:
    """`container`: its name in the engine. `names`: other hosts it can resolve, name -> address. `published`: docker's -p."""

    container: str
    distribution: str
    hostname: str
    network: str | None = None
    address: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    published: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def run_command(host: Host, environment: Mapping[str, str], *, podman: bool, resolv_conf: Path | None) -> list[str]:
    """The arguments of `docker run` that start this host.

    The same flags serve cgroup v1, hybrid and v2: with the machine's cgroup namespace the container's own cgroup has the
    same path inside and outside, so that systemd finds and manages just that one. Nothing is privileged.
    """
    command = ["run", "--detach", "--name", host.container, "--hostname", host.hostname]
    if podman:
        command += ["--systemd=always", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096"]
    else:
        command += ["--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run", "--tmpfs", "/run/lock"]
    command += ["--tmpfs", "/tmp:exec", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
    for capability in ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"):
        command += ["--cap-add", capability]
    # The engine's own resolver lives in the host's packet filter and would die with a flush of it.
    if resolv_conf:
        command += ["--volume", f"{resolv_conf}:/etc/resolv.conf:ro"]
    if host.network:
        command += ["--network", host.network]
    if host.address:
        command += ["--ip", host.address]
    for name, address in host.names.items():
        command += ["--add-host", f"{name}:{address}"]
    for published in host.published:
        command += ["--publish", published]
    for key, value in host.labels.items():
        command += ["--label", f"{key}={value}"]
    for name, value in sorted(environment.items()):
        command += ["--env", f"{name}={value}"]
    return [*command, image.name(host.distribution)]


def real_resolv_conf(candidates: Sequence[Path] = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))) -> Path | None:
    """The first file with a name server that another network namespace can reach, or None."""
    for path in candidates:
        if path.is_file():
            servers = [words[1] for line in path.read_text().splitlines() if len(words := line.split()) > 1 and words[0] == "nameserver"]
            if any(not server.startswith(("127.", "::1")) for server in servers):
                return path
    return None


def start(hosts: Sequence[Host]) -> None:
    """Start hosts, a few at a time, and wait until each has finished booting without a failed unit."""
    _raise_inotify_limit()
    environment = controller.current().environment
    podman, resolv_conf = engine.is_podman(), real_resolv_conf()

    def one(host: Host) -> None:
        engine.run(run_command(host, environment, podman=podman, resolv_conf=resolv_conf))
        wait_until_running(host.container)

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(one, hosts))


def _raise_inotify_limit() -> None:
    """With the default, about the twentieth systemd host fails to boot. Without root the default has to do."""
    if INOTIFY.is_file() and int(INOTIFY.read_text()) < INOTIFY_NEEDED and os.access(INOTIFY, os.W_OK):
        INOTIFY.write_text(f"{INOTIFY_NEEDED}\n")
        print(
            f"Raised fs.inotify.max_user_instances to {INOTIFY_NEEDED} until the next boot: every systemd host needs several.", flush=True
        )


def wait_until_running(container: str) -> None:
    """Return when systemd says `running`; a degraded boot is an error that shows the failed units and their last lines."""
    deadline = time.monotonic() + BOOT_DEADLINE
    while (state := engine.run(["exec", container, "systemctl", "is-system-running"], check=False).strip()) != "running":
        if state == "degraded":
            units = engine.run(["exec", container, "systemctl", "--failed", "--plain", "--no-legend"], check=False)
            journal = engine.run(["exec", container, "journalctl", "--boot", "--priority=err", "--no-pager", "--lines=20"], check=False)
            hint = ""
            if "inotify" in journal:
                hint = f"Too many hosts for this machine's limit: sudo sysctl fs.inotify.max_user_instances={INOTIFY_NEEDED}"
            raise SlipwayError(f"{container} booted with failed units:\n{units}{journal}{hint}")
        if time.monotonic() > deadline:
            log = engine.run(["logs", "--tail", "20", container], check=False)
            raise SlipwayError(f"{container} did not finish booting within {BOOT_DEADLINE:.0f} s (state: {state or 'no answer'}).\n{log}")
        time.sleep(0.1)


def remove(containers: Sequence[str]) -> None:
    """Remove containers and their anonymous volumes; one that does not exist is no error."""
    if containers:
        engine.run(["rm", "--force", "--volumes", *containers])


def address(container: str) -> str:
    """The container's IPv4 address on its (only) network."""
    return engine.run(["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container]).strip()
