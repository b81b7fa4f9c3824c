# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Self-signed pairs, made once on the host that keeps the key. A pair is two files of the call like any other."""

from __future__ import annotations

import re

from . import files
from .host import StepError, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_COMMON_NAME = 64
"""Of X.509. Clients read the names in the extension, so a longer one is in there only."""


def add_files(wanted: dict[str, Any]) -> None:
    """Two files for each pair: left alone where both are there, else new ones. Without openssl they stay empty until `complete`."""
    for want in wanted["certificates"]:
        there = _there(want)
        pair = ("", "") if there else _make(want)
        for name, content, mode in zip(("certificate", "key"), pair, ("0644", want["mode"])):
            owner = {"owner": want["owner"], "group": want["group"], "mode": mode}
            wanted["files"].append(files.wanted(want[name], content=content, secret=name == "key", force=not there, **owner))


def complete(wanted: dict[str, Any]) -> None:
    """Make the pairs that could not be made before this call installed openssl, or that a command of this call has taken away."""
    by_path = {want["path"]: want for want in wanted["files"]}
    for want in wanted["certificates"]:
        certificate, key = by_path[want["certificate"]], by_path[want["key"]]
        there = _there(want)
        if not certificate["content"] and (certificate["force"] or not there):
            certificate["content"], key["content"] = _make(want)
            certificate["force"] = key["force"] = True
            if not certificate["content"]:
                raise StepError(f"{want['certificate']}: openssl is not installed; name it among the packages")


def _there(want: dict[str, Any]) -> bool:
    return all(files.OnDisk(want[name]).kind == "file" for name in ("certificate", "key"))


def _make(want: dict[str, Any]) -> tuple[str, str]:
    """(certificate, key) in PEM; both empty where there is no openssl."""
    names = ["IP:" + name if re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", name) else "DNS:" + name for name in want["names"]]
    common = want["names"][0] if len(want["names"][0]) <= LONGEST_COMMON_NAME else "self-signed"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]
    argv += ["-days", str(want["days"]), "-subj", "/CN=" + common, "-addext", "subjectAltName=" + ",".join(names)]
    # Both to the output: the key is nowhere on the disk before it is staged with its owner and mode.
    done = command([*argv, "-keyout", "/dev/stdout", "-out", "/dev/stdout"], 60)
    if done.code == 127:
        return "", ""
    found = {block[1]: block[0] for block in re.finditer(r"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----\n", done.output, re.DOTALL)}
    if done.code != 0 or "CERTIFICATE" not in found or "PRIVATE KEY" not in found:
        said = re.sub(r"(?s)-----BEGIN .*?-----END [A-Z ]+-----", "", done.output).strip()
        raise StepError(f"{want['certificate']}: openssl made no certificate: {said[-500:]}")
    return found["CERTIFICATE"], found["PRIVATE KEY"]
