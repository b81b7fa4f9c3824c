# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the source of an application and proposes its entry in `applications`: what serves, what works, how it migrates.

Nothing is imported or run: the files are parsed.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pathspec

ASGI = {"FastAPI", "Starlette", "Litestar", "Quart", "BlackSheep", "Sanic"}
WSGI = {"Flask", "Bottle", "Falcon"}
SKIPPED = ["tests/", "test/", "docs/", ".venv/", "venv/", "node_modules/", "build/", "dist/", "migrations/versions/"]
# Drivers of PostgreSQL, and what needs one.
DRIVERS = {"asyncpg", "psycopg", "psycopg2", "psycopg2-binary", "pg8000"}
DATABASES = {*DRIVERS, "sqlalchemy", "django", "sqlmodel", "tortoise-orm", "peewee"}
# How the variables end that carry the parts of an address, and how they begin.
PARTS = {
    "host": ("HOST", "SERVER", "HOSTNAME"),
    "port": ("PORT",),
    "user": ("USER", "USERNAME"),
    "password": ("PASSWORD", "PASS"),
    "database": ("NAME", "DB", "DATABASE", "DBNAME"),
}
PREFIXES = ("DB_", "DATABASE_", "POSTGRES_", "POSTGRESQL_", "PG", "SQL_", "DJANGO_DB_")
GUNICORN = "gunicorn==23.0.0"
STATIC = "/opt/{name}/current/source/static"
# The newest Python that a supported Debian has, as the number after 3.
NEWEST = 13
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "requirements.txt")
# Where the health of an application is asked, the one that says most first.
READY = ("/health/ready", "/ready", "/readyz", "/readiness", "/healthz", "/health", "/api/v1/health", "/api/health")
LIVE = ("/health/live", "/live", "/livez", "/liveness", "/healthz", "/health", "/api/v1/health", "/api/health")


@dataclass
class Found:
    """What the source says. Import paths are those that uvicorn, gunicorn and Celery take."""

    asgi: list[str] = field(default_factory=list)
    wsgi: list[str] = field(default_factory=list)
    celery: list[str] = field(default_factory=list)
    beat: bool = False
    queues: set[str] = field(default_factory=set)
    secret_files: bool = False
    django: str = ""
    alembic: bool = False
    lock: str = ""
    python: str = ""
    packages: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    required: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


def read(root: Path) -> Found:
    """Everything that can be known of a source tree by reading it."""
    found = Found(alembic=(root / "alembic.ini").is_file())
    found.lock = next((name for name in LOCKS if (root / name).is_file()), "uv.lock" if workspace(root) else "")
    found.packages = _packages(root)
    found.python = _python(root)
    for path in _sources(root):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError:
            continue
        _read_module(found, _module(root, path), tree)
    return found


def workspace(root: Path) -> Path | None:
    """The folder above whose uv.lock decides for this one: root is a member of a workspace of uv."""
    for folder in root.resolve().parents:
        if (folder / "uv.lock").is_file() and (folder / "pyproject.toml").is_file():
            project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())
            return folder if "workspace" in project.get("tool", {}).get("uv", {}) else None
        if (folder / ".git").exists():
            return None
    return None


def _sources(root: Path) -> Iterator[Path]:
    ignored = root / ".gitignore"
    lines = [*SKIPPED, *(ignored.read_text().splitlines() if ignored.is_file() else [])]
    patterns = pathspec.GitIgnoreSpec.from_lines(lines)
    for path in sorted(root.rglob("*.py")):
        if not patterns.match_file(str(path.relative_to(root))) and path.stat().st_size < 1_000_000:
            yield path


def _module(root: Path, path: Path) -> str:
    """`shop.main` of src/shop/main.py: a folder `src` is on the import path, not in it."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] == "src":
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read_module(found: Found, module: str, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(_name(base).endswith("Settings") for base in node.bases):
            # pydantic reads each field from the variable of its name.
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
            names = {part: part.target.id.upper() for part in fields if isinstance(part.target, ast.Name)}
            found.variables |= set(names.values())
            found.required |= {name for part, name in names.items() if part.value is None}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.startswith("/") and len(node.value) < 60:
                found.texts.add(node.value)
            elif re.fullmatch(r"[A-Z][A-Z0-9_]{3,}", node.value):
                found.variables.add(node.value)
            found.secret_files = found.secret_files or node.value.endswith("_FILE")
        elif isinstance(node, (ast.Attribute, ast.Name)) and _name(node) == "beat_schedule":
            found.beat = True
        elif isinstance(node, ast.keyword):
            found.beat = found.beat or node.arg == "beat_schedule"
            if node.arg in ("queue", "task_default_queue"):
                found.queues |= _text(node.value)
        elif isinstance(node, ast.Dict):
            for key, item in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in ("queue", "task_default_queue"):
                    found.queues |= _text(item)
    for statement in tree.body:
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        targets = (
            statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
        )
        if not isinstance(value, ast.Call) or not targets or not isinstance(targets[0], ast.Name):
            continue
        made, place = _name(value.func), f"{module}:{targets[0].id}"
        if made in ASGI:
            found.asgi.append(place)
        elif made in WSGI:
            found.wsgi.append(place)
        elif made == "Celery":
            found.celery.append(module if targets[0].id in ("app", "celery") else place)
        elif made == "get_wsgi_application":
            found.django, found.wsgi = module.rpartition(".")[0], [place, *found.wsgi]
        elif made == "get_asgi_application":
            found.django = module.rpartition(".")[0]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def _python(root: Path) -> str:
    """The version of Python that uv has to get, because requires-python leaves out Debian's newest; empty where it does not."""
    if not (root / "pyproject.toml").is_file():
        return ""
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = str(project.get("project", {}).get("requires-python", ""))
    least = max(map(int, re.findall(r"(?:>=|~=|==|>)\s*3\.(\d+)", wanted)), default=0)
    below = min(map(int, re.findall(r"<\s*3\.(\d+)", wanted)), default=NEWEST + 1)
    return f"3.{least}" if least > NEWEST else f"3.{below - 1}" if below <= NEWEST else ""


def _packages(root: Path) -> set[str]:
    """Names of the dependencies that pyproject.toml and requirements.txt name."""
    listed: list[str] = []
    if (root / "pyproject.toml").is_file():
        project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())
        listed += project.get("project", {}).get("dependencies", [])
        listed += list(project.get("tool", {}).get("poetry", {}).get("dependencies", {}))
    if (root / "requirements.txt").is_file():
        listed += (root / "requirements.txt").read_text(errors="replace").splitlines()
    names = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line) for line in listed)
    return {re.sub(r"[-_.]+", "-", name[1]).lower() for name in names if name}


# -- the proposal ------------------------------------------------------------------------------------------------------


def application(found: Found, name: str, source: dict[str, Any]) -> dict[str, Any]:
    """The entry of `applications`, with the connections and processes that the source asks for."""
    entry: dict[str, Any] = {"source": source}
    processes = _processes(found)
    if processes.get("web", {}).get("type") == "wsgi" and "gunicorn" not in found.packages:
        entry["source"] = {**source, "additional": [GUNICORN]}
    if found.python:
        entry["python"] = found.python
    if found.django and "django" in found.packages:
        keys = _secret_keys(found) or ["SECRET_KEY"]
        entry["build"] = {
            "environment": dict.fromkeys(keys, "only-for-the-build"),
            "commands": ["python manage.py collectstatic --noinput"],
        }
        if "STATIC_ROOT" in found.variables:
            entry["build"]["environment"]["STATIC_ROOT"] = "static"
    connections = _connections(found, name)
    if connections:
        entry["connections"] = connections
    entry["environment"] = {"ENVIRONMENT": "production"}
    if found.django:
        entry["environment"] = {"DJANGO_SETTINGS_MODULE": f"{found.django}.settings"}
        if "STATIC_ROOT" in found.variables:
            entry["environment"]["STATIC_ROOT"] = STATIC.format(name=name)
    secrets = _secret_keys(found)
    if secrets:
        entry["secrets"] = {variable: f"{{{{ secret_{name.replace('-', '_')}_{variable.lower()} }}}}" for variable in secrets}
    if not found.secret_files:
        entry["secret_delivery"] = "environment"
    migrate = _migration(found, name)
    if migrate:
        entry["migrate"] = migrate
    ready, live = _path(found, READY), _path(found, LIVE)
    entry["health"] = {"live": live, "ready": ready, **({"metrics": "/metrics"} if "/metrics" in found.texts else {})}
    entry["processes"] = processes
    return entry


def _secret_keys(found: Found) -> list[str]:
    return sorted(variable for variable in found.variables if re.search(r"(SECRET|JWT|ENCRYPTION)_?KEY$", variable))


def doubts(found: Found, entry: dict[str, Any]) -> list[str]:
    """What the source does not answer, each with what to do about it."""
    told = []
    if not found.lock:
        told.append("no lock file: pin the dependencies (uv lock), or every build takes the newest")
    if found.packages & DATABASES and not found.packages & DRIVERS:
        told.append("no driver of PostgreSQL is a dependency: add psycopg[binary], or name it in source.additional with its version")
    # Celery reads this one itself; Django's settings decide for it.
    known = found.variables | (set() if found.django else {"CELERY_BROKER_URL"})
    unread = [variable for variable, given in entry.get("connections", {}).items() if "parts" not in given and variable not in known]
    if unread:
        told.append(f"nothing in the source reads {', '.join(unread)}: take the names that it reads, or its settings have to read these")
    given = {*entry["environment"], *entry.get("secrets", {})}
    for variable, connection in {**entry.get("connections", {}), **entry.get("migrate", {}).get("connections", {})}.items():
        given |= {variable, *connection.get("parts", {}).values()}
    if found.required - given:
        told.append(f"the settings have no default for {', '.join(sorted(found.required - given))}: write them into environment or secrets")
    if "web" in entry["processes"] and entry["health"]["ready"] == "/":
        told.append("no path of health was found: / has to answer 2xx, and a redirect is none; or write another into health")
    if found.django and not allowed_hosts(found):
        told.append("ALLOWED_HOSTS is not read from the environment: the settings have to name the site's name")
    if found.django and not found.variables & {"STATIC_ROOT"} and "whitenoise" not in found.packages:
        told.append("STATIC_ROOT is not read from the environment: nginx serves no static files until it is (docs/processes/django.md)")
    return told


def allowed_hosts(found: Found) -> list[str]:
    """The variables that say to which names a Django site answers."""
    return sorted(variable for variable in found.variables if variable.endswith("ALLOWED_HOSTS"))


def _path(found: Found, known: tuple[str, ...]) -> str:
    return next((path for path in known if path in found.texts), "/")


def _connections(found: Found, name: str) -> dict[str, Any]:
    """By the variables that the source reads; the usual names where it reads none of them."""
    wanted: dict[str, Any] = {}
    if found.packages & DATABASES or "DATABASE_URL" in found.variables:
        entry: dict[str, Any] = {"to": "pgbouncer", "user": f"{name}_app", "database": name}
        driver = "asyncpg" if "asyncpg" in found.packages else "psycopg" if "psycopg" in found.packages else ""
        parts = _parts(found)
        if parts and "DATABASE_URL" not in found.variables:
            wanted["DATABASE"] = {**entry, "parts": parts}
        else:
            if driver and found.packages & {"sqlalchemy", "sqlmodel"}:
                entry["scheme"] = f"postgresql+{driver}"
            wanted["DATABASE_URL"] = entry
    for variable in sorted(found.variables):
        if re.fullmatch(r"\w*(BROKER|CELERY_RESULT_BACKEND|RESULT_BACKEND)\w*(_URL)?", variable) and variable.endswith(("URL", "BACKEND")):
            wanted[variable] = {"to": "redis_broker", "user": name}
        elif re.fullmatch(r"(\w+_)?(REDIS|CACHE)(_\w+)?_URL", variable):
            wanted[variable] = {"to": "redis_cache", "user": name}
    if found.celery and not any(entry["to"] == "redis_broker" for entry in wanted.values()):
        wanted["CELERY_BROKER_URL"] = {"to": "redis_broker", "user": name}
    return wanted


def _parts(found: Found) -> dict[str, str]:
    """The variables that carry host, user and password of the database; empty when the source does not read all three."""
    for prefix in PREFIXES:
        parts = {
            part: next((prefix + ending for ending in endings if prefix + ending in found.variables), "") for part, endings in PARTS.items()
        }
        if parts["host"] and parts["user"] and parts["password"]:
            return {part: variable for part, variable in parts.items() if variable}
    return {}


def _migration(found: Found, name: str) -> dict[str, Any]:
    if found.alembic:
        command = ["alembic", "upgrade", "head"]
    elif found.django:
        command = ["python", "manage.py", "migrate", "--noinput"]
    else:
        return {}
    # As the owner of the tables, straight to PostgreSQL, under the name that the migrations read.
    variable = next(
        (known for known in ("DATABASE_ADMIN_URL", "MIGRATION_DATABASE_URL", "ALEMBIC_DATABASE_URL") if known in found.variables),
        "DATABASE_URL",
    )
    connections = _connections(found, name)
    if "DATABASE" in connections:
        variable = "DATABASE"
    owner = {**connections.get(variable, connections.get("DATABASE_URL", {"database": name})), "to": "postgres", "user": f"{name}_owner"}
    migrate: dict[str, Any] = {"command": command, "connections": {variable: owner}}
    if found.django:
        migrate["check"] = ["python", "manage.py", "migrate", "--check"]
    return migrate


def _processes(found: Found) -> dict[str, Any]:
    processes: dict[str, Any] = {}
    if found.wsgi and (found.django or not found.asgi):
        processes["web"] = {"type": "wsgi", "app": found.wsgi[0], "workers": 2}
    elif found.asgi:
        processes["web"] = {"type": "asgi", "app": found.asgi[0]}
    if found.celery:
        processes["worker"] = {"type": "celery", "app": found.celery[0], "queues": sorted(found.queues) or ["celery"], "concurrency": 2}
        if found.beat or "django-celery-beat" in found.packages:
            processes["beat"] = {"type": "celery_beat", "app": found.celery[0]}
            if "django-celery-beat" in found.packages:
                processes["beat"]["scheduler"] = "django_celery_beat.schedulers:DatabaseScheduler"
    return processes
