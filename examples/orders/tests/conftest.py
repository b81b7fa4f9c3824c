"""One set of servers and one application for all tests."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from orders_stack import Process, Stack, build_environment, find_programs, free_ports, start_servers


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Start everything once; every process ends with the session."""
    programs = find_programs()
    python = build_environment(request.config.rootpath / ".pytest_cache" / "orders")
    # Servers refuse to run as root; pytest's own temporary folders are closed to other users.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="orders-"))
    if user:
        shutil.chown(folder, user)
    names = ("postgres", "redis", "pgbouncer", "api", "second_api")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    started: list[Process] = []
    try:
        stack = start_servers(programs, python, folder, ports, user, started)
        stack.run("alembic", "upgrade", "head")
        stack.api = stack.start_api(ports["api"])
        started.append(stack.api)
        stack.worker = stack.start_worker()
        started.append(stack.worker)
        yield stack
    finally:
        for process in reversed(started):
            process.stop(signal.SIGINT if process.name == "postgres" else signal.SIGTERM)
        shutil.rmtree(folder)
