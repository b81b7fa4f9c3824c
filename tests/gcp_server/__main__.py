# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the strict Google by itself: `python -m tests.gcp_server --folder DIR` prints what a shell must export in order to find it."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from .server import GoogleServer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="port on loopback; without it the first free one from 22000 on")
    parser.add_argument("--folder", type=Path, required=True, help="where the test authority's certificate goes")
    parser.add_argument("--log", action="store_true", help="write every request to stderr when the server ends")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_arguments: stop.set())
    with GoogleServer(options.folder, options.port) as server:
        for name, value in server.environment().items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        print("export GOOGLE_OAUTH_ACCESS_TOKEN=local", flush=True)
        stop.wait()
    for request in server.world.requests if options.log else []:
        print(f"{request.status} {request}", file=sys.stderr)
    for violation in server.world.violations:
        print(f"violation: {violation}", file=sys.stderr)
    return 1 if server.world.violations else 0


if __name__ == "__main__":
    sys.exit(main())
