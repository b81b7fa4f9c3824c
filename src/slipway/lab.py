# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab: the hosts of an inventory as containers on one network, reached by ssh as rented servers are."""

import ipaddress
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from slipway import checkout, engine, host, image, lock, network
from slipway.errors import SlipwayError

LABEL = "slipway.lab"
PORT_BASE_VARIABLE = "SLIPWAY_LAB_PORT_BASE"
DEFAULT_PORT_BASE = 8000
PUBLIC_PORTS = (80, 443)
DEFAULT_DISTRIBUTION = "debian13"


@dataclass(frozen=True)
class LabHost:
    """One host of the inventory. `public`: it is in the group nginx, and the user's browser wants to see it."""

    name: str
    address: str
    distribution: str
    user: str
    public: bool

    @property
    def container(self) -> str:
        """The container's name, different in every checkout and in each of its labs."""
        return f"slipway-{checkout.lab_id()}-{self.name}"


@dataclass(frozen=True)
class Lab:
    """The hosts of one inventory and the network they share."""

    inventory: Path
    subnet: ipaddress.IPv4Network
    hosts: Sequence[LabHost]

    def host(self, name: str) -> LabHost:
        """The host of this name, or an error that lists them."""
        for known in self.hosts:
            if known.name == name:
                return known
        raise SlipwayError(f"{self.inventory} has no host {name!r}. There are: {', '.join(known.name for known in self.hosts)}.")


def inventory_path(chosen: str) -> Path:
    """`lab` or a path -> the inventory's folder."""
    for path in (checkout.root() / "inventories" / chosen, Path(chosen)):
        if (path / "hosts.yml").is_file():
            return path
    raise SlipwayError(f"No inventory {chosen!r}: neither inventories/{chosen}/hosts.yml nor {chosen}/hosts.yml exists.")


def read(inventory: Path, environ: Mapping[str, str]) -> Lab:
    """Read hosts, addresses and groups from hosts.yml. (Asking Ansible would take a second.)"""
    path = inventory / "hosts.yml"
    tree = yaml.safe_load(path.read_text())
    prefix = network.prefix(environ)
    subnet = network.subnet(prefix)
    variables: dict[str, dict[str, Any]] = {}
    groups: dict[str, set[str]] = {}
    for group, name, values in _walk("all", tree.get("all") or {}):
        variables.setdefault(name, {}).update(values)
        groups.setdefault(name, set()).add(group)
    default_user = ((tree.get("all") or {}).get("vars") or {}).get("ansible_user", "root")
    hosts = []
    for name, values in variables.items():
        written = str(values.get("ansible_host", ""))
        address = written.replace("{{ own_lab_network }}", prefix)
        try:
            inside = ipaddress.IPv4Address(address) in subnet
        except ValueError:
            inside = False
        if not inside:
            raise SlipwayError(
                f"{path}: {name} has ansible_host {written!r}, which the lab cannot give to a container.\n"
                f'Allowed: an address in {subnet}, best written "{{{{ own_lab_network }}}}.11".'
            )
        distribution = str(values.get("lab_image", DEFAULT_DISTRIBUTION))
        image.name(distribution)
        user = str(values.get("ansible_user", default_user))
        hosts.append(LabHost(name, address, distribution, user, public="nginx" in groups[name]))
    return Lab(inventory, subnet, hosts)


def _walk(group: str, content: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(group, host, variables) for each place a host is written at."""
    for name, values in (content.get("hosts") or {}).items():
        yield group, name, values or {}
    for child, inner in (content.get("children") or {}).items():
        yield from _walk(child, inner or {})


def up(inventory: Path, environ: Mapping[str, str]) -> Lab:
    """Bring every host up: start what is missing or stopped, leave alone what runs. Under a second when all is well.

    The lab chooses a free network and free ports by itself and remembers them; the variables of the environment win.
    """
    # Between finding something free and taking it, no other lab may find it too.
    with lock.held("lab"):
        network.ensure(environ)
        lab = read(inventory, environ)
        _start(lab, environ)
    return lab


def _start(lab: Lab, environ: Mapping[str, str]) -> None:
    states = _states()
    # A host enters known_hosts when it has booted; one that never did is started afresh.
    states = {known.container: states.get(known.container, "missing") for known in lab.hosts if known.address in _known_addresses()}
    stopped = [known for known in lab.hosts if states.get(known.container) == "exited"]
    missing = [known for known in lab.hosts if states.get(known.container) not in {"running", "exited"}]
    image.ensure(sorted({known.distribution for known in lab.hosts}))
    if missing or stopped:
        _ensure_key()
        print(f"Starting {', '.join(known.name for known in [*missing, *stopped])}.", flush=True)
    if stopped:
        engine.run(["start", *(known.container for known in stopped)])
        for known in stopped:
            host.wait_until_running(known.container)
    if missing:
        base = _choose_ports(environ)
        host.remove([known.container for known in missing])
        host.start([_definition(lab, known, base) for known in missing])
        for known in missing:
            _authorize(known)
        _know(missing)


def _definition(lab: Lab, known: LabHost, base: int | None) -> host.Host:
    ports = PUBLIC_PORTS if known.public and base else ()
    return host.Host(
        container=known.container,
        distribution=known.distribution,
        hostname=known.name,
        network=network.name(),
        address=known.address,
        names={other.name: other.address for other in lab.hosts if other is not known},
        published=[f"127.0.0.1:{base + port}:{port}" for port in ports if base],
        labels={LABEL: checkout.lab_id()},
    )


def down() -> None:
    """Remove the hosts and the network of this lab. Its key, network and ports stay; the next one uses them again."""
    with lock.held("lab"):
        host.remove(list(_states()))
        network.remove()
        _known_hosts().unlink(missing_ok=True)
        # ssh connections that Ansible keeps open would otherwise be tried on the next lab's hosts.
        shutil.rmtree(checkout.lab_dir() / "cp", ignore_errors=True)


def states(lab: Lab) -> list[tuple[LabHost, str]]:
    """Each host with what its systemd says, or the container's state when it does not run."""
    containers = _states()
    found = []
    for known in lab.hosts:
        state = containers.get(known.container, "missing")
        if state == "running":
            state = engine.run(["exec", known.container, "systemctl", "is-system-running"], check=False).strip() or "no answer"
        found.append((known, state))
    return found


def ssh_command(known: LabHost, command: Sequence[str]) -> list[str]:
    """The ssh call that Ansible makes too: the lab's key, and host keys that are checked."""
    options = [
        "-i",
        str(_key()),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        f"UserKnownHostsFile={_known_hosts()}",
        "-o",
        "StrictHostKeyChecking=yes",
    ]
    return ["ssh", *options, f"{known.user}@{known.address}", *command]


def exec_command(known: LabHost, command: Sequence[str], *, terminal: bool) -> list[str]:
    """A way in that needs no sshd, for the day a firewall rule closes it."""
    return ["docker", "exec", "--interactive", *(["--tty"] if terminal else []), known.container, *(command or ["bash"])]


def _states() -> dict[str, str]:
    """Containers of this lab: name -> running, exited, created, ..."""
    listed = engine.run(["ps", "--all", "--filter", f"label={LABEL}={checkout.lab_id()}", "--format", "{{.Names}} {{.State}}"])
    return dict(line.split(" ", 1) for line in listed.splitlines())


def _key() -> Path:
    return checkout.lab_dir() / "id_ed25519"


def _known_hosts() -> Path:
    return checkout.lab_dir() / "known_hosts"


def _ensure_key() -> None:
    if _key().exists():
        return
    if not shutil.which("ssh-keygen"):
        engine.apt_install("openssh-client", "ssh to the lab's hosts")
    # Whoever is killed in between leaves no half of a pair: the private key comes last.
    with TemporaryDirectory(dir=checkout.lab_dir()) as folder:
        made = Path(folder) / _key().name
        engine.program(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway lab", "-f", str(made)])
        made.with_suffix(".pub").replace(_key().with_suffix(".pub"))
        made.replace(_key())


def _authorize(known: LabHost) -> None:
    """Put the lab's key where a provider puts its customer's."""
    script = "umask 077 && mkdir -p /root/.ssh && cat > /root/.ssh/authorized_keys"
    engine.run(["exec", "--interactive", known.container, "sh", "-c", script], stdin=_key().with_suffix(".pub").read_bytes())


def _known_addresses() -> set[str]:
    path = _known_hosts()
    return {line.split(",")[0] for line in path.read_text().splitlines()} if path.exists() else set()


def _know(fresh: Sequence[LabHost]) -> None:
    """Write the fresh hosts' keys to known_hosts, in place of the ones their forerunners had."""
    path = _known_hosts()
    replaced = {known.address for known in fresh}
    lines = [line for line in path.read_text().splitlines() if line.split(",")[0] not in replaced] if path.exists() else []
    for known in fresh:
        keys = engine.run(["exec", known.container, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"])
        lines += [f"{known.address},{known.name} {' '.join(key.split()[:2])}" for key in keys.splitlines()]
    candidate = path.with_suffix(".new")
    candidate.write_text("".join(f"{line}\n" for line in lines))
    candidate.replace(path)


def _choose_ports(environ: Mapping[str, str]) -> int | None:
    """The port base of hosts that are about to start, remembered; None where the ports that were asked for are taken."""
    remembered = checkout.lab_dir() / "ports"
    if environ.get(PORT_BASE_VARIABLE):
        base = port_base(environ[PORT_BASE_VARIABLE])
        taken = [base + port for port in PUBLIC_PORTS if not _port_is_free(base + port)]
        if taken:
            print(f"  Port {taken[0]} of this machine is taken: the web server answers at its own address only (see {PORT_BASE_VARIABLE}).")
            return None
    else:
        before = remembered.read_text().strip() if remembered.is_file() else ""
        base = first_free_base([port_base(before)] if before else [], _port_is_free)
    remembered.write_text(f"{base}\n")
    return base


def first_free_base(preferred: Sequence[int], is_free: Callable[[int], bool]) -> int:
    """The first port base with both ports free: a preferred one, else 8000, 8100, ... 63900."""
    candidates: list[int] = [*preferred, *range(DEFAULT_PORT_BASE, 64000, 100)]
    for base in candidates:
        if all(is_free(base + port) for port in PUBLIC_PORTS):
            return base
    raise SlipwayError(f"No two ports N+80 and N+443 of this machine are free. Choose N yourself: export {PORT_BASE_VARIABLE}=N")


def port_base(written: str) -> int:
    """What is added to 80 and 443 for the ports of this machine that lead to the lab's web server."""
    highest = 65535 - max(PUBLIC_PORTS)
    if not written.isdigit() or not 1024 <= int(written) <= highest:
        raise SlipwayError(f"{PORT_BASE_VARIABLE} is {written!r}. Allowed: 1024 to {highest}; 80 and 443 are added to it.")
    return int(written)


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
