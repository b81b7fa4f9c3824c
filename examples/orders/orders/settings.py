"""Settings, read once from the environment, from files, or from systemd credentials."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path


def read(name: str, default: str | None = None) -> str:
    """Return the value of one setting.

    Looked for in this order: the file named by ``<name>_FILE``, the file ``<name>`` in systemd's
    ``$CREDENTIALS_DIRECTORY``, the variable ``<name>``, the default. A file keeps a secret out of the
    environment, which child processes inherit and crash reports print.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials, name) if credentials else None
    if file_name := os.environ.get(f"{name}_FILE"):
        value = read_file(name, Path(file_name))
    elif credential and credential.exists():
        value = read_file(name, credential)
    else:
        value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise SystemExit(
            f"orders: {name} is not set. Set {name}, or {name}_FILE to the path of a file that holds it, "
            f"or pass the systemd credential {name}."
        )
    return default


def read_file(name: str, path: Path) -> str:
    """Return the stripped content of the file that holds the setting ``name``."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SystemExit(f"orders: cannot read {name} from {path}: {error.strerror}") from None


def read_number(name: str, default: float, minimum: float = 0) -> float:
    """Return a numeric setting, refusing what is not a number or is below ``minimum``."""
    text = read(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not minimum <= number < float("inf"):
        raise SystemExit(f"orders: {name} is {text!r}; a number of at least {minimum:g} is needed.")
    return number


def read_flag(name: str) -> bool:
    """Return a yes-or-no setting; the default is no."""
    text = read(name, "false").lower()
    if text not in {"true", "false", "1", "0", "yes", "no"}:
        raise SystemExit(f"orders: {name} is {text!r}; allowed: true, false.")
    return text in {"true", "1", "yes"}


@dataclass(frozen=True)
class Settings:
    """All settings of the running application; times are in seconds."""

    database_url: str
    database_pool_size: int
    database_max_overflow: int
    database_pool_timeout: float
    database_pool_recycle: int
    database_command_timeout: float
    database_statement_cache_size: int
    redis_cache_url: str
    cache_ttl: int
    broker_url: str
    visibility_timeout: int
    task_time_limit: int
    requeue_after: float
    expire_after: float
    shutdown_drain: float
    worker_ready_file: str
    environment: str
    log_level: str
    docs_enabled: bool


@cache
def settings() -> Settings:
    """Return the settings; stop the process with one clear line when one is missing or wrong."""
    log_level = read("LOG_LEVEL", "INFO").upper()
    if log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SystemExit(f"orders: LOG_LEVEL is {log_level!r}; allowed: DEBUG, INFO, WARNING, ERROR.")
    result = Settings(
        database_url=read("DATABASE_URL"),
        database_pool_size=int(read_number("DATABASE_POOL_SIZE", 10, minimum=1)),
        database_max_overflow=int(read_number("DATABASE_MAX_OVERFLOW", 0)),
        database_pool_timeout=read_number("DATABASE_POOL_TIMEOUT", 5),
        database_pool_recycle=int(read_number("DATABASE_POOL_RECYCLE", 1800)),
        database_command_timeout=read_number("DATABASE_COMMAND_TIMEOUT", 10),
        database_statement_cache_size=int(read_number("DATABASE_STATEMENT_CACHE_SIZE", 0)),
        redis_cache_url=read("REDIS_CACHE_URL"),
        cache_ttl=int(read_number("CACHE_TTL_SECONDS", 60, minimum=1)),
        broker_url=read("CELERY_BROKER_URL"),
        visibility_timeout=int(read_number("CELERY_VISIBILITY_TIMEOUT", 3600, minimum=60)),
        task_time_limit=int(read_number("CELERY_TASK_TIME_LIMIT", 300, minimum=1)),
        requeue_after=read_number("ORDER_REQUEUE_SECONDS", 300),
        expire_after=read_number("ORDER_EXPIRE_SECONDS", 86400),
        shutdown_drain=read_number("SHUTDOWN_DRAIN_SECONDS", 0),
        worker_ready_file=read("WORKER_READY_FILE", ""),
        environment=read("ENVIRONMENT", "production"),
        log_level=log_level,
        docs_enabled=read_flag("DOCS_ENABLED"),
    )
    if result.task_time_limit >= result.visibility_timeout:
        raise SystemExit(
            f"orders: CELERY_TASK_TIME_LIMIT ({result.task_time_limit}) must be below CELERY_VISIBILITY_TIMEOUT "
            f"({result.visibility_timeout}), or Redis hands a running task to a second worker."
        )
    return result
