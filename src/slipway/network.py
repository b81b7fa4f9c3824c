"""The network of a lab: one bridge per checkout, on addresses that nothing else on this machine uses."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from slipway import checkout, engine
from slipway.errors import SlipwayError

LABEL = "slipway.lab"
VARIABLE = "SLIPWAY_LAB_NETWORK"
DEFAULT_PREFIX = "10.203.57"  # first three numbers of a /24; inventories/lab and single have the same default


def prefix(environ: Mapping[str, str]) -> str:
    """The first three numbers of the lab's addresses."""
    return environ.get(VARIABLE) or DEFAULT_PREFIX


def subnet(chosen: str) -> ipaddress.IPv4Network:
    """The /24 of a prefix, or an error that shows what a prefix looks like."""
    try:
        return ipaddress.IPv4Network(f"{chosen}.0/24")
    except ValueError:
        raise SlipwayError(f"{VARIABLE} is {chosen!r}. Allowed: the first three numbers of a network, such as 10.203.58.") from None


def name() -> str:
    """The bridge of this checkout."""
    return f"slipway-{checkout.short_hash()}"


def _subnet_of(bridge: str) -> str:
    """The subnets of a network, separated by blanks; empty when there is no such network."""
    return engine.run(["network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", bridge], check=False).strip()


def ensure(wanted: ipaddress.IPv4Network) -> None:
    """Create the bridge where it is missing; addresses that something else uses are an error that names it."""
    existing = _subnet_of(name())
    if existing == str(wanted):
        return
    if existing:
        raise SlipwayError(f"The lab's network has {existing}, not {wanted}. Remove the lab first: slipway lab down")
    bridges = engine.run(["network", "ls", "--filter", "driver=bridge", "--format", "{{.Name}}"]).split()
    taken = {f"the container network {bridge}": _subnet_of(bridge) for bridge in bridges} | routes(Path("/proc/net/route").read_text())
    if user := first_overlap(wanted, taken):
        raise SlipwayError(
            f"The lab's network {wanted} is in use by {user} ({taken[user]}).\n"
            f"Choose another one for every command of this lab: export {VARIABLE}=10.203.58"
        )
    engine.run(["network", "create", "--subnet", str(wanted), "--label", f"{LABEL}={checkout.short_hash()}", name()])


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
