# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network of a lab: one bridge per lab, on addresses that nothing else on this machine uses."""

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path

from slipway import checkout, engine
from slipway.errors import SlipwayError

LABEL = "slipway.lab"
VARIABLE = "SLIPWAY_LAB_NETWORK"
DEFAULT_PREFIX = "10.203.57"  # first three numbers of a /24; the first that is tried


def prefix(environ: Mapping[str, str]) -> str:
    """The first three numbers of the lab's addresses: what the variable says, else what the lab chose when it came up."""
    return environ.get(VARIABLE) or _remembered() or DEFAULT_PREFIX


def subnet(chosen: str) -> ipaddress.IPv4Network:
    """The /24 of a prefix, or an error that shows what a prefix looks like."""
    try:
        return ipaddress.IPv4Network(f"{chosen}.0/24")
    except ValueError:
        raise SlipwayError(f"{VARIABLE} is {chosen!r}. Allowed: the first three numbers of a network, such as 10.203.58.") from None


def name() -> str:
    """The bridge of this lab."""
    return f"slipway-{checkout.lab_id()}"


def choice_file() -> Path:
    """Where the prefix is remembered; inventories/lab and single read it too."""
    return checkout.lab_dir() / "network"


def _remembered() -> str:
    return choice_file().read_text().strip() if choice_file().is_file() else ""


def _subnet_of(bridge: str) -> str:
    """The subnets of a network, separated by blanks; empty when there is no such network."""
    return engine.run(["network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", bridge], check=False).strip()


def ensure(environ: Mapping[str, str]) -> None:
    """Create the bridge where it is missing and remember its addresses.

    The variable decides; without it the lab keeps the network it has, takes again the one it had, or takes the first free one.
    Addresses that were asked for and that something else uses are an error that names it.
    """
    existing, wanted = _subnet_of(name()), environ.get(VARIABLE)
    if existing and wanted and existing != str(subnet(wanted)):
        raise SlipwayError(f"The lab's network has {existing}, not {subnet(wanted)}. Remove the lab first: slipway lab down")
    if existing:
        chosen = existing.removesuffix(".0/24")
    else:
        taken = _taken()
        chosen = wanted or first_free([_remembered(), DEFAULT_PREFIX], taken)
        if user := first_overlap(subnet(chosen), taken):
            raise SlipwayError(
                f"The lab's network {subnet(chosen)} is in use by {user} ({taken[user]}).\n"
                f"Choose another one, or let the lab choose by itself: unset {VARIABLE}"
            )
        engine.run(["network", "create", "--subnet", str(subnet(chosen)), "--label", f"{LABEL}={checkout.lab_id()}", name()])
    choice_file().write_text(f"{chosen}\n")


def _taken() -> dict[str, str]:
    bridges = engine.run(["network", "ls", "--filter", "driver=bridge", "--format", "{{.Name}}"]).split()
    return {f"the container network {bridge}": _subnet_of(bridge) for bridge in bridges} | routes(Path("/proc/net/route").read_text())


def first_free(preferred: list[str], taken: Mapping[str, str]) -> str:
    """The first prefix whose addresses nobody uses (name -> subnets): a preferred one, else one of 10.203.0 to 10.203.255."""

    def candidates() -> Iterator[str]:
        yield from filter(None, preferred)
        yield from (f"10.203.{(57 + step) % 256}" for step in range(256))

    for candidate in candidates():
        if not first_overlap(subnet(candidate), taken):
            return candidate
    raise SlipwayError(f"No network of 10.203.0 to 10.203.255 is free on this machine. Choose another: export {VARIABLE}=10.57.1")


def remove() -> None:
    """Take the bridge away, if it is there."""
    if _subnet_of(name()):
        engine.run(["network", "rm", name()])


def first_overlap(wanted: ipaddress.IPv4Network, taken: Mapping[str, str]) -> str | None:
    """The first network (name -> subnets) that shares addresses with the wanted one."""
    for user, subnets in taken.items():
        for part in subnets.split():
            other = ipaddress.ip_network(part, strict=False)
            if isinstance(other, ipaddress.IPv4Network) and other.overlaps(wanted):
                return user
    return None


def routes(table: str) -> dict[str, str]:
    """This machine's own networks from /proc/net/route (hexadecimal, little-endian): `interface eth0` -> subnets."""
    found: dict[str, str] = {}
    for line in table.splitlines()[1:]:
        interface, destination, *rest = line.split()
        mask = rest[5]
        if mask != "00000000":
            address, netmask = (ipaddress.IPv4Address(bytes.fromhex(value)[::-1]) for value in (destination, mask))
            key = f"interface {interface}"
            found[key] = f"{found.get(key, '')} {ipaddress.ip_network(f'{address}/{netmask}')}".strip()
    return found
