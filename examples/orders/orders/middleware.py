"""Request identifier, metrics and one log line for every request."""

import json
import logging
import re
import time
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orders import metrics
from orders.logs import request_id

logger = logging.getLogger(__name__)

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
QUIET = ("/health/", "/metrics")


class RequestMiddleware:
    """Plain ASGI: BaseHTTPMiddleware would run the endpoint in another task and lose the context variable."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identifier = incoming_identifier(scope)
        token = request_id.set(identifier)
        started = time.perf_counter()
        status = 0

        async def send_with_identifier(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", identifier.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_identifier)
        except Exception:
            logger.exception("Unhandled error")
            if status:
                raise
            await send_error(send_with_identifier, identifier)
        finally:
            record(scope, status, time.perf_counter() - started)
            request_id.reset(token)


def incoming_identifier(scope: Scope) -> str:
    """Return the proxy's request identifier when it is a plain one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and ACCEPTED_ID.fullmatch(value.decode("latin-1")):
            return value.decode("latin-1")
    return uuid4().hex


async def send_error(send: Send, identifier: str) -> None:
    """Answer 500 without saying what went wrong; the identifier leads to the log line that does."""
    body = json.dumps({"detail": "Internal error", "request_id": identifier}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def record(scope: Scope, status: int, seconds: float) -> None:
    """Count and log a finished request. Labels are route templates and known methods, so their number is bounded."""
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    path = getattr(scope.get("route"), "path", "unmatched")
    metrics.http_requests.labels(method, path, str(status)).inc()
    metrics.http_duration.labels(method, path).observe(seconds)
    level = logging.DEBUG if scope["path"].startswith(QUIET) and status < 400 else logging.INFO
    event = {
        "action": "request",
        "method": method,
        "url": scope["path"],
        "status_code": status,
        "status": "success" if 0 < status < 400 else "error",
        "duration_ms": round(seconds * 1000, 2),
    }
    logger.log(level, "Request completed", extra={"event": event})
