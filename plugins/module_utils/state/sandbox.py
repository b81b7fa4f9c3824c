# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A unit's sandbox, said in words of intent, as a drop-in of systemd. Runs on the controller.

The table is the strictest sandbox that a network service of a Debian system runs in; `systemd-analyze security` calls
it 0.9 to 1.4. What a program cannot live with is an exception that carries its reason into the drop-in.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAMILIES = {"inet": "AF_INET AF_INET6", "unix": "AF_UNIX", "netlink": "AF_NETLINK", "packet": "AF_PACKET"}
DIRECTIVES = {
    "DevicePolicy": "closed",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProcSubset": "pid",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    # Refused with an error a program can go on; killed it could not.
    "SystemCallErrorNumber": "EPERM",
    "UMask": "0077",
}
REFUSED_CALLS = ("@privileged", "@resources")
"""Groups of system calls that the filter takes out of @system-service."""
MANAGED = "# Managed by Ansible (slipway.stack): changes by hand are overwritten\n"


def problems(wanted: dict[str, Any]) -> list[str]:
    """What is wrong with exceptions, paths and capabilities, one sentence each."""
    found = []
    known = [*DIRECTIVES, *REFUSED_CALLS]
    for name, reason in wanted["except"].items():
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            found.append(f"except has '{name}'{hint}; allowed: {', '.join(known)}")
        elif not isinstance(reason, str) or not reason.strip() or "\n" in reason.strip():
            found.append(f"except.{name} is {reason!r}; allowed: the reason, one line of text")
    for path in wanted["write"]:
        if not re.fullmatch(r"[-+]{0,2}/[^\s\"']*", path):
            found.append(f"write has {path!r}; allowed: an absolute path without blanks")
    for key in ("capabilities", "ambient_capabilities"):
        for name in wanted[key]:
            if not re.fullmatch(r"CAP_[A-Z_]+", name):
                found.append(f"{key} has {name!r}; allowed: names such as CAP_NET_BIND_SERVICE")
    for network in wanted["networks"]:
        if not re.fullmatch(r"any|localhost|link-local|multicast|[0-9.]+(/\d{1,2})?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/\d{1,3})?", network):
            found.append(f"networks has {network!r}; allowed: an address, a network, localhost or any")
    return found


def path_of(unit: str) -> str:
    """The drop-in of a unit; the instances of a template share one."""
    name, dot, kind = unit.rpartition(".")
    template = name.split("@", 1)[0] + "@" if "@" in name else name
    return f"/etc/systemd/system/{template}{dot}{kind}.d/slipway-sandbox.conf"


def drop_in(wanted: dict[str, Any]) -> str:
    """The text of the drop-in."""
    exceptions: dict[str, Any] = wanted["except"]
    ambient = wanted["ambient_capabilities"]
    lines = [MANAGED + "[Service]"]
    lines += [f"# not {name}: {str(reason).strip()}" for name, reason in sorted(exceptions.items())]
    # A list that the unit itself began is emptied first: what is not named here is closed.
    lines += _list("CapabilityBoundingSet", [*wanted["capabilities"], *ambient])
    lines += _list("AmbientCapabilities", ambient)
    lines += [f"{name}={value}" for name, value in DIRECTIVES.items() if name not in exceptions]
    lines += _list("RestrictAddressFamilies", [FAMILIES[name] for name in wanted["families"] if name in FAMILIES])
    lines += _list("SystemCallFilter", ["@system-service"])
    refused = " ".join(name for name in REFUSED_CALLS if name not in exceptions)
    if refused:
        lines.append("SystemCallFilter=~" + refused)
    if "any" not in wanted["networks"]:
        lines += ["IPAddressDeny=any", *_list("IPAddressAllow", wanted["networks"])]
    lines += _list("ReadWritePaths", [])
    lines += [f"ReadWritePaths={path}" for path in wanted["write"]]
    return "\n".join(lines) + "\n"


def _list(directive: str, values: list[str]) -> list[str]:
    """Lines that make `values` the whole list."""
    return [f"{directive}=", *([f"{directive}={' '.join(dict.fromkeys(values))}"] if values else [])]
