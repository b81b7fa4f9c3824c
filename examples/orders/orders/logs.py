"""One JSON object per line on standard error, with the same keys from the API and the workers."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from orders import __version__

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """Formats a record; ``extra={"event": {...}}`` adds or overrides keys."""

    def __init__(self, service: str, environment: str) -> None:
        super().__init__()
        self.service = service
        self.environment = environment

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self.service,
            "version": __version__,
            "environment": self.environment,
            "request_id": request_id.get(),
            "user_id": None,
            "action": record.name,
            "duration_ms": None,
            "status": None,
            "message": record.getMessage(),
            "metadata": {},
        } | getattr(record, "event", {})
        if record.exc_info:
            line["metadata"] = line["metadata"] | {"errors": [self.formatException(record.exc_info)]}
        return json.dumps(line, default=str)


def configure(service: str, environment: str, level: str) -> None:
    """Send every logger of this process through one JSON handler."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(service, environment))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # uvicorn's access lines carry query strings; 'Request completed' replaces them.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    # SQL statements with their parameters never belong in a production log: use PostgreSQL's slow-query log.
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
