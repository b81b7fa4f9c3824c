# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who talks to whom: one table of services and flows, and everything that is derived from it.

The inventory says who exists; `playbooks/vars/wiring.yml` says what each group serves and which groups may connect.
`build` turns both into one plain structure. Firewall rules, listen addresses, pg_hba clients, upstreams, Prometheus
targets, the reachability test and the picture in the docs all come from it, so that they can not disagree.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

WORLD = "world"
"""Source word: anybody, any address."""
ADMIN = "admin"
"""Source word: the networks in `firewall_admin_sources`."""
LOOPBACK = "127.0.0.1"


class WiringError(ValueError):
    """The table of services and flows contradicts itself or the inventory: `variable` is `given`, `allowed` is what may stand there."""

    def __init__(self, variable: str, given: str, allowed: str) -> None:
        super().__init__(f"{variable} is {given}; allowed: {allowed}")
        self.variable, self.given, self.allowed = variable, given, allowed


@dataclass(frozen=True)
class Service:
    """One kind of listener.

    `group`: the hosts that run it ("all" for every host). `variable`: the role input that holds its (first) port,
    `port`: that input's default. `count_variable`, `count`: how many consecutive ports it takes.
    `enabled_variable`, `enabled`: the role input that switches it on, and its default.
    `hosts_limit`: only the first N hosts of the group run it (0: all). `one_address`: the program binds a single address.
    `protocol`: tcp or udp.
    """

    name: str
    group: str
    port: int
    variable: str = ""
    count_variable: str = ""
    count: int = 1
    enabled_variable: str = ""
    enabled: bool = True
    hosts_limit: int = 0
    one_address: bool = False
    protocol: str = "tcp"


@dataclass(frozen=True)
class Endpoint:
    """One listener on one host."""

    service: str
    host: str
    address: str
    port: int


def address_of(host: str, variables: Mapping[str, Any]) -> str:
    """The address other hosts reach `host` by: `private_address`, else `ansible_host` when that is an address."""
    for name in ("private_address", "ansible_host"):
        value = variables.get(name)
        if value is None:
            continue
        try:
            found = ipaddress.ip_address(str(value))
        except ValueError:
            if name == "private_address":
                raise WiringError(f"private_address of {host}", repr(str(value)), "an IPv4 or IPv6 address") from None
            continue
        if found.is_unspecified or found.is_multicast:
            raise WiringError(f"{name} of {host}", repr(str(value)), "the address of this one host")
        return str(found)
    raise WiringError(f"private_address of {host}", "missing", "the IPv4 or IPv6 address that the other hosts reach it by")


def port_of(value: Any, name: str, host: str) -> int:
    """`value` as a TCP port. Raises WiringError that names variable and host."""
    try:
        port = int(str(value))
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise WiringError(f"{name} of {host}", repr(str(value)), "a port from 1 to 65535")
    return port


KEYS = [field.name for field in fields(Service) if field.name != "name"]


def _services(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Service]:
    services = {}
    for name, spec in table.items():
        for problem in _service_problems(str(name), spec):
            raise problem
        services[str(name)] = Service(name=str(name), **{str(key): value for key, value in spec.items()})
    return services


def _service_problems(name: str, spec: Any) -> Iterator[WiringError]:
    """What is wrong with one entry of the table of services."""
    variable = f"wiring_extra_services.{name}"
    if not isinstance(spec, Mapping):
        yield WiringError(variable, repr(spec), "a mapping such as {group: api, variable: own_admin_port, port: 9900}")
        return
    for key in spec:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]}? Keys: " if near else ""
            yield WiringError(f"{variable}.{key}", "an unknown key", hint + ", ".join(KEYS))
    for key in ("group", "port"):
        if key not in spec:
            yield WiringError(f"{variable}.{key}", "missing", "the group that runs it" if key == "group" else "a port from 1 to 65535")
    if "port" in spec and not _is_port(spec["port"]):
        yield WiringError(f"{variable}.port", repr(str(spec["port"])), "a port from 1 to 65535")
    for key, least in (("count", 1), ("hosts_limit", 0)):
        if key in spec and (isinstance(spec[key], bool) or not str(spec[key]).isdigit() or int(str(spec[key])) < least):
            yield WiringError(f"{variable}.{key}", repr(spec[key]), f"a whole number of at least {least}")
    for key in ("group", "variable", "count_variable", "enabled_variable"):
        if key in spec and not isinstance(spec[key], str):
            yield WiringError(
                f"{variable}.{key}", repr(spec[key])[:80], "the name of a group" if key == "group" else "the name of a variable"
            )
    for key in ("enabled", "one_address"):
        if key in spec and not isinstance(spec[key], bool):
            yield WiringError(f"{variable}.{key}", repr(spec[key])[:80], "true or false without quotes")
    if spec.get("protocol", "tcp") not in ("tcp", "udp"):
        yield WiringError(f"{variable}.protocol", repr(str(spec["protocol"])), "tcp, udp")


def _is_port(value: Any) -> bool:
    return not isinstance(value, bool) and str(value).isdigit() and 0 < int(str(value)) < 65536


def problems_of(
    services: Any,
    flows: Any,
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    roles: Iterable[str] = (),
) -> list[WiringError]:
    """Everything that is wrong with the table and the addresses of an inventory, at once; `build` would stop at the first.

    `roles`: groups that an inventory may leave out, because it has no use for the role.
    """
    found: list[WiringError] = []
    if not isinstance(services, Mapping):
        return [WiringError("wiring_extra_services", type(services).__name__, "a mapping: name to {group, variable, port}")]
    for name, spec in services.items():
        found += _service_problems(str(name), spec)
    good = {name: spec for name, spec in services.items() if not list(_service_problems(str(name), spec))}
    known = set(groups) | {str(spec["group"]) for spec in good.values()} | {"all"}
    for name, spec in good.items():
        if str(spec["group"]) not in set(groups) | set(roles) | {str(other["group"]) for key, other in good.items() if key != name} | {
            "all"
        }:
            near = difflib.get_close_matches(str(spec["group"]), sorted(groups), n=1)
            found.append(
                WiringError(
                    f"wiring_extra_services.{name}.group", repr(str(spec["group"])), f"did you mean {near[0]}?" if near else "a group"
                )
            )
    good_flows = []
    for flow in flows if isinstance(flows, Sequence) and not isinstance(flows, str) else [flows]:
        wrong = list(_flow_problems(flow, good, known))
        found += wrong
        if not wrong:
            good_flows.append(flow)
    addresses: dict[str, str] = {}
    usable = {}
    for host in groups.get("all", []):
        if host == "localhost" and hostvars[host].get("ansible_connection", "local") == "local" and not has_role(host, groups):
            continue
        try:
            addresses[host] = address_of(host, hostvars[host])
            usable[host] = hostvars[host]
        except WiringError as error:
            found.append(error)
    found += _shared_addresses(addresses, "private_address")
    found += _shared_addresses(
        {host: str(values["ansible_host"]) for host, values in usable.items() if "ansible_host" in values}, "ansible_host"
    )
    if len(usable) == len([host for host in groups.get("all", []) if host in hostvars]):
        try:
            wiring = Wiring(good, good_flows, groups, hostvars)
        except WiringError as error:
            return [*found, error]
        wrong = []
        for service in wiring.services:
            try:
                wiring.endpoints(service)
            except WiringError as error:
                wrong.append(error)
        found += wrong or wiring.conflicts()
    return found


def has_role(host: str, groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether a host is in any group of its own."""
    return any(host in hosts for group, hosts in groups.items() if group not in ("all", "ungrouped"))


def _flow_problems(flow: Any, services: Mapping[str, Any], known: Iterable[str]) -> Iterator[WiringError]:
    if not isinstance(flow, Mapping) or set(flow) - {"to", "from"} or not {"to", "from"} <= set(flow):
        yield WiringError("wiring_extra_flows", repr(flow)[:80], "entries {to: a service, from: [groups, world or admin]}")
        return
    if str(flow["to"]) not in services:
        yield WiringError("wiring_extra_flows", f"a flow to {str(flow['to'])!r}", _nearest(str(flow["to"]), services, "a service"))
    sources = flow["from"]
    if not isinstance(sources, Sequence) or isinstance(sources, str):
        yield WiringError("wiring_extra_flows", f"a flow to {flow['to']} from {sources!r}", "a list of groups, world or admin")
        return
    for source in sources:
        if str(source) not in {WORLD, ADMIN, *known}:
            yield WiringError(
                "wiring_extra_flows",
                f"a flow to {flow['to']} from {str(source)!r}",
                _nearest(str(source), known, "world, admin or a group"),
            )


def _nearest(name: str, known: Iterable[str], what: str) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"{what}: {', '.join(sorted(known))}"


def _shared_addresses(addresses: Mapping[str, str], variable: str) -> list[WiringError]:
    """One address for two hosts."""
    return [
        WiringError(f"{variable} of {host}", f"{address}, which {other} has too", "an address of its own")
        for host, address in addresses.items()
        for other in [next(name for name, taken in addresses.items() if taken == address)]
        if other != host
    ]


def _truth(value: Any) -> bool:
    return str(value).lower() in {"true", "yes", "1", "on"}


class Wiring:
    """The table, resolved against one inventory.

    `groups`: Ansible's groups (name to list of hosts). `hostvars`: name to variables of each host.
    """

    def __init__(
        self,
        services: Mapping[str, Mapping[str, Any]],
        flows: Sequence[Mapping[str, Any]],
        groups: Mapping[str, Sequence[str]],
        hostvars: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.services = _services(services)
        self.groups = {str(name): [str(host) for host in hosts] for name, hosts in groups.items()}
        # Ansible computes a host's variables, and renders each, at every access: once is enough.
        self.hostvars = {host: hostvars[host] for host in self.members("all") if host in hostvars}
        self._addresses: dict[str, str] = {}
        self._endpoints: dict[str, list[Endpoint]] = {}
        self.flows = [(str(flow["to"]), [str(source) for source in flow["from"]]) for flow in flows]
        for to, sources in self.flows:
            if to not in self.services:
                raise WiringError("wiring_extra_flows", f"a flow to {to!r}", f"a service: {', '.join(sorted(self.services))}")
            for source in sources:
                if source not in {WORLD, ADMIN} and source not in self.known_groups():
                    known = ", ".join(sorted(self.known_groups()))
                    raise WiringError("wiring_extra_flows", f"a flow to {to} from {source!r}", f"world, admin or a group: {known}")

    def known_groups(self) -> set[str]:
        """Groups a flow may name: the inventory's, and those that run a service (an environment may leave one empty)."""
        return set(self.groups) | {service.group for service in self.services.values()} | {"all"}

    def members(self, group: str) -> list[str]:
        """Hosts of `group`, in the inventory's order; none when the inventory has no such group."""
        if group == "all":
            return [host for host in self.groups.get("all", []) if host != "localhost" or has_role(host, self.groups)]
        return self.groups.get(group, [])

    def address(self, host: str) -> str:
        """The address other hosts reach `host` by."""
        if host not in self._addresses:
            self._addresses[host] = address_of(host, self.hostvars[host])
        return self._addresses[host]

    def endpoints(self, service: str) -> list[Endpoint]:
        """Every listener of `service`, in the inventory's order."""
        if service not in self._endpoints:
            self._endpoints[service] = self._resolve(service)
        return self._endpoints[service]

    def _resolve(self, service: str) -> list[Endpoint]:
        spec = self.services[service]
        hosts = self.members(spec.group)
        found = []
        for host in hosts[: spec.hosts_limit] if spec.hosts_limit else hosts:
            variables = self.hostvars[host]
            if spec.enabled_variable and not _truth(variables.get(spec.enabled_variable, spec.enabled)):
                continue
            first = port_of(variables.get(spec.variable, spec.port), spec.variable or f"wiring_extra_services.{service}.port", host)
            count = int(str(variables.get(spec.count_variable, spec.count))) if spec.count_variable else spec.count
            found += [Endpoint(service, host, self.address(host), first + offset) for offset in range(count)]
        return found

    def port(self, service: str, host: str) -> int:
        """The port of `service` on `host`; where it does not run there, that of the first listener, or the default."""
        found = self.endpoints(service)
        return next((endpoint.port for endpoint in found if endpoint.host == host), found[0].port if found else self.services[service].port)

    def sources(self, service: str) -> list[str]:
        """Words and hosts that may connect to `service`: 'world', 'admin', host names."""
        found: list[str] = []
        for to, sources in self.flows:
            if to == service:
                for source in sources:
                    found += [source] if source in {WORLD, ADMIN} else self.members(source)
        return list(dict.fromkeys(found))

    def listen(self, service: str, host: str) -> list[str]:
        """Addresses `service` binds on `host`: loopback, and the private address when another host may connect.

        A program that binds one address takes the private one then.
        """
        if WORLD in self.sources(service) or ADMIN in self.sources(service):
            return ["0.0.0.0", "::"]  # the firewall and the service decide who gets in
        if all(source == host for source in self.sources(service)):
            return [LOOPBACK]
        return [self.address(host)] if self.services[service].one_address else [LOOPBACK, self.address(host)]

    def inbound(self, host: str, admin_sources: Sequence[str]) -> list[dict[str, Any]]:
        """Firewall rules of `host`: [{name, ports, sources}], sources are networks or 'any'; loopback needs no rule."""
        rules = []
        for service in self.services:
            ports = [endpoint.port for endpoint in self.endpoints(service) if endpoint.host == host]
            sources: list[str] = []
            for source in self.sources(service):
                if source == WORLD:
                    sources = ["any"]
                    break
                if source == ADMIN:
                    sources += [str(network) for network in admin_sources]
                elif source != host:
                    address = self.address(source)
                    sources.append(f"{address}/{ipaddress.ip_address(address).max_prefixlen}")
            if ports and sources:
                rule: dict[str, Any] = {"name": service, "ports": ports, "sources": list(dict.fromkeys(sources))}
                if self.services[service].protocol != "tcp":
                    rule["protocol"] = self.services[service].protocol
                rules.append(rule)
        return rules

    def seen_from(self, service: str, client: str) -> list[Endpoint]:
        """The listeners of `service` with the address that `client` uses: loopback on the same host where it is bound."""
        return [
            Endpoint(endpoint.service, endpoint.host, LOOPBACK if self._local(endpoint, client) else endpoint.address, endpoint.port)
            for endpoint in self.endpoints(service)
        ]

    def _local(self, endpoint: Endpoint, client: str) -> bool:
        bound = self.listen(endpoint.service, endpoint.host)
        return endpoint.host == client and (LOOPBACK in bound or "0.0.0.0" in bound)

    def clients(self, service: str, host: str) -> list[dict[str, str]]:
        """Hosts that may connect to `service` on `host`: [{name, address}], loopback for itself; for pg_hba and the like."""
        return [
            {"name": source, "address": LOOPBACK if source == host else self.address(source)}
            for source in self.sources(service)
            if source not in {WORLD, ADMIN}
        ]

    def conflicts(self) -> list[WiringError]:
        """Two services on one port of one host."""
        taken: dict[tuple[str, str, int], str] = {}
        found = []
        for service, spec in self.services.items():
            for endpoint in self.endpoints(service):
                key = (endpoint.host, spec.protocol, endpoint.port)
                if key in taken:
                    other = self.services[taken[key]]
                    given = f"{endpoint.port}, which {other.name} has taken ({other.variable})"
                    found.append(WiringError(f"{spec.variable} of {endpoint.host}", given, "a port of its own"))
                taken.setdefault(key, service)
        return found

    def pairs(self) -> list[dict[str, Any]]:
        """Every pair of different hosts on every known port, with what the flows say: [{source, host, address, port, service, allowed}]."""
        hosts = self.members("all")
        found = []
        for service in self.services:
            sources = self.sources(service)
            for endpoint in self.endpoints(service):
                for source in hosts:
                    if source != endpoint.host:
                        allowed = WORLD in sources or source in sources
                        found.append(
                            {
                                "source": source,
                                "host": endpoint.host,
                                "address": endpoint.address,
                                "port": endpoint.port,
                                "service": service,
                                "allowed": allowed,
                            }
                        )
        return found


def build(
    services: Mapping[str, Mapping[str, Any]],
    flows: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    host: str,
    admin_sources: Sequence[str],
) -> dict[str, Any]:
    """Everything `host` needs to know, as plain data.

    Returns {inbound, listen: {service: [address]}, clients: {service: [{name, address}]},
    peers: {service: [{host, address, port, url}]}, first: {service: {host, address, port, url}}, port: {service: port}, serves: [service]}.
    """
    wiring = Wiring(services, flows, groups, hostvars)
    peers = {name: [_plain(endpoint) for endpoint in wiring.seen_from(name, host)] for name in wiring.services}
    return {
        "inbound": wiring.inbound(host, admin_sources),
        "listen": {name: wiring.listen(name, host) for name in wiring.services},
        "clients": {name: wiring.clients(name, host) for name in wiring.services},
        "peers": peers,
        "first": {name: found[0] for name, found in peers.items() if found},
        "port": {name: wiring.port(name, host) for name in wiring.services},
        "serves": [name for name in wiring.services if any(endpoint.host == host for endpoint in wiring.endpoints(name))],
    }


def _plain(endpoint: Endpoint) -> dict[str, Any]:
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return {"host": endpoint.host, "address": endpoint.address, "port": endpoint.port, "url": f"{address}:{endpoint.port}"}
