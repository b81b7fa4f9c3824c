"""A real application server, small enough to read: it tells what it was asked, and does what a path says."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GO = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.talk()
            return
        if self.path == "/events":
            self.stream()
            return
        if self.path == "/events/go":
            GO.set()
        if self.path.startswith("/slow"):
            time.sleep(2)
        status = 503 if self.path == f"/unready-{self.server.server_port}" else 200
        said = {
            "port": self.server.server_port,
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers),
            "body": len(body),
        }
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if self.path.startswith("/own-headers"):
            self.send_header("X-Frame-Options", "SAMEORIGIN")
            self.send_header("Strict-Transport-Security", "max-age=1")
        if self.path.startswith("/api"):
            self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(text)
        print(self.command, self.path, flush=True)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer  # noqa: N815 (the standard library's names)

    def stream(self) -> None:
        """One event at once, the second when /events/go was asked."""
        GO.clear()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.write(b"data: second\n\n" if GO.wait(20) else b"data: never asked\n\n")
        self.close_connection = True

    def talk(self) -> None:
        """Switch protocols and send every line back, as a websocket would its frames."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        while line := self.rfile.readline():
            self.wfile.write(b"echo " + line)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Only what `answer` prints."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
