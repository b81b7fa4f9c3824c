# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does the service answer? One attempt per call; the caller repeats until its deadline."""

from __future__ import annotations

import socket

from .host import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ATTEMPT = 5.0


def describe(ready: dict[str, Any]) -> str:
    if ready["http"] is not None:
        return str(ready["http"])
    for key in ("tcp", "unix", "command"):
        if ready[key] is not None:
            return f"{key} {ready[key]}"
    return "unit active"


def attempt(ready: dict[str, Any]) -> str:
    """Empty when the service answers as wanted, else what it answered."""
    if ready["tcp"] is not None:
        host, port = ready["tcp"].rsplit(":", 1)
        return _connect(host.strip("[]"), int(port))
    if ready["unix"] is not None:
        return _connect_unix(ready["unix"])
    if ready["http"] is not None:
        return _http(ready)
    if ready["command"] is not None:
        return _command(ready)
    return ""  # unit_active: the caller has just seen that


def _connect(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), ATTEMPT).close()
    except OSError as error:
        return str(error)
    return ""


def _connect_unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ATTEMPT)
        try:
            client.connect(path)
        except OSError as error:
            return str(error)
    return ""


def _http(ready: dict[str, Any]) -> str:
    import http.client
    import ssl
    from urllib.parse import urlsplit

    url = urlsplit(ready["http"])
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context()
        if ready["insecure"]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=ATTEMPT, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=ATTEMPT)
    try:
        path = (url.path or "/") + ("?" + url.query if url.query else "")
        connection.request("GET", path, headers={"Host": ready["host"]} if ready["host"] else {})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    wanted = ready["status"]
    if status == wanted or (wanted is None and 200 <= status < 300):
        return ""
    return f"status {status}, wanted {wanted or '2xx'}"


def _command(ready: dict[str, Any]) -> str:
    import shlex

    done = command(shlex.split(ready["command"]), ATTEMPT * 2)
    if done.code != 0:
        return f"exit {done.code}: {done.tail(3)}"
    if ready["expect"] is not None and ready["expect"] not in done.output:
        return "answer without {!r}: {}".format(ready["expect"], done.tail(3))
    return ""
