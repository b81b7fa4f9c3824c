# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP in front of the world: a CONNECT proxy with its own TLS for the real URLs, and plain HTTP below /API/ for overrides."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import access, apis, tls
from .crud import tick
from .discovery import VERSIONS, route
from .validation import check_body, check_query, enum_names
from .world import ApiError, Call, DroppedError, Request, World, registry, unknown

PORTS = range(22000, 22100)

for entry in pkgutil.iter_modules(apis.__path__):
    importlib.import_module(f"{apis.__name__}.{entry.name}")


class GoogleServer(ThreadingHTTPServer):
    """One local Google."""

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.world = World()
        self.bundle, self.context = tls.make(folder)
        for candidate in [port] if port is not None else PORTS:
            try:
                super().__init__(("127.0.0.1", candidate), Handler)
                break
            except OSError:
                if candidate == port or candidate == PORTS[-1]:
                    raise
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What a client needs in order to find this server at Google's real addresses."""
        bundle = str(self.bundle)
        return {
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": bundle,
            "SSL_CERT_FILE": bundle,
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": bundle,
        }

    def __enter__(self) -> GoogleServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news; anything else is."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: GoogleServer
    host = ""

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept in the world, not on stderr."""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        self.send_response(200, "Connection established")
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            raw = self.chunks()
        parts = urlsplit(self.path)
        path = parts.path.lstrip("/")
        host = self.host
        if not host:
            api, _slash, path = path.partition("/")
            host = f"{api}.googleapis.com"
        try:
            headers, answer = self.server_answer(host, path, parts.query, raw)
            self.reply(200, answer, headers)
        except ApiError as error:
            body = {"error": {"code": error.status, "message": error.message, "status": error.reason, "details": error.details}}
            if host.startswith(("storage.", "sqladmin.", "compute.")):
                body["error"]["errors"] = [{"reason": error.reason, "message": error.message, "domain": "global"}]
            self.reply(error.status, body, error.headers)
        except DroppedError:
            self.close_connection = True
            self.connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

    def chunks(self) -> bytes:
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def reply(self, status: int, body: Any, headers: dict[str, str]) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(int(headers.pop(":status", status)))
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Type" not in headers:
            self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def server_answer(self, host: str, path: str, query_text: str, raw: bytes) -> tuple[dict[str, str], Any]:
        world, verb = self.server.world, self.command
        api = host.partition(".")[0]
        many = parse_qs(query_text, keep_blank_values=True)
        query = {name: values[-1] for name, values in many.items()}
        content = self.headers.get("Content-Type", "")
        body = json.loads(raw) if raw and content.startswith("application/json") else raw or None
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with world.lock:
            record = Request(verb, api, path, query, body, token)
            world.requests.append(record)
            try:
                headers, answer = self.behave(world, host, path, many, query, body, raw, token)
                record.status = 200
                return headers, answer
            except ApiError as error:
                record.status = error.status
                raise

    def behave(
        self, world: World, host: str, path: str, many: dict[str, list[str]], query: dict[str, str], body: Any, raw: bytes, token: str
    ) -> tuple[dict[str, str], Any]:
        api = host.partition(".")[0]
        text = f"{self.command} {api} {path}"
        if host.endswith(".run.app"):
            return {}, access.visit(world, host, path, token)
        if api not in VERSIONS:
            raise unknown(f"{self.command} https://{host}/{path}")
        if not token:
            raise ApiError(401, "UNAUTHENTICATED", "Request is missing required authentication credential.")
        known = re.search(r"projects/([^/]+)/", path)
        if known and world.unknown_yet(f"projects/{known[1]}/services/{api}.googleapis.com"):
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
            info["metadata"] = {"service": f"{api}.googleapis.com"}
            message = "If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
            raise ApiError(403, "PERMISSION_DENIED", message, [info])
        tick(world)
        fault = world.fault(text, {"status", "drop_before", "race"})
        if fault and fault.kind == "race" and fault.race:
            fault.race(world)
        elif fault and fault.kind == "status":
            raise ApiError(fault.status, fault.reason, fault.message, fault.details, dict(fault.headers))
        elif fault:
            raise DroppedError
        # The chunks of a resumable upload are PUT to the address that the POST answered.
        found = route(api, "POST" if "upload_id" in query else self.command, path)
        if found is None:
            world.violations.append(f"{text}: no such method")
            raise ApiError(404, "NOT_FOUND", f"{text}: no such method in Google's discovery document")
        method, groups = found
        if "enum-encoding=int" in query.get("$alt", "") and isinstance(body, dict):
            body = enum_names(body, method.schemas[str(method.request)], method.schemas)
        problems = check_query(method, many) + ([] if isinstance(body, bytes) else check_body(method, body))
        if problems and not (method.upload or "upload_id" in query):
            world.violations += [f"{method.id}: {problem}" for problem in problems]
            raise ApiError(400, "INVALID_ARGUMENT", "; ".join(problems))
        handler = registry.handlers.get(method.id)
        if handler is None:
            raise unknown(method.id)
        call = Call(world, method, path, groups, query, body, many, {name.lower(): value for name, value in self.headers.items()}, host)
        answer: Any = handler(call)
        headers: dict[str, str] = {}
        if isinstance(answer, tuple):
            headers, answer = answer
        if world.fault(text, {"drop_after"}):
            raise DroppedError
        return headers, answer
