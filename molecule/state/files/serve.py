#!/usr/bin/python3
"""Answers with the greeting it read when it started, and with the notes it read at its last reload."""

import http.server
import pathlib
import signal
import sys

GREETING = pathlib.Path("/etc/greeter/greeting").read_text()
if GREETING.startswith("crash"):
    print("cannot greet with:", GREETING)
    sys.exit(3)
notes = ""


def read_notes(*_signal: object) -> None:
    global notes
    notes = "".join(path.read_text() for path in sorted(pathlib.Path("/etc/greeter/conf.d").glob("*.conf")))


class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if GREETING.startswith("sick") else 200)
        self.end_headers()
        self.wfile.write((GREETING + notes).encode())


read_notes()
signal.signal(signal.SIGHUP, read_notes)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Greeter).serve_forever()
