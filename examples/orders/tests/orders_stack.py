"""A private PostgreSQL, Redis and pgbouncer (transaction mode, three server connections), and the application's processes."""

import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).parents[1]
PASSWORD = "pw-3f9c1e7ad2"
SERVER_CONNECTIONS = 3


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Return the first true result of ``condition``, or fail naming ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for: {what}")


def answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(0.5)
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, below the range that outgoing connections use."""
    ports = []
    for port in range(21000, 21100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports between 21000 and 21099")


@dataclass
class Process:
    """A program that can be stopped and started again; its output goes to one file."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    running: subprocess.Popen | None = None

    def start(self, ready: Callable[[], Any]) -> None:
        account = pwd.getpwnam(self.user) if self.user else None
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                self.command, cwd=PROJECT if not self.user else "/", env=os.environ | self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **identity,
            )  # fmt: skip
        try:
            wait_for(f"{self.name} to start", lambda: self.running.poll() is not None or ready())
        except AssertionError:
            self.stop(signal.SIGKILL)
            raise AssertionError(f"{self.name} is not ready:\n{self.log.read_text()[-3000:]}") from None
        assert self.running.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the program, and answer with its exit status."""
        if self.running.poll() is None:
            self.running.send_signal(number)
        try:
            return self.running.wait(15)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
            raise AssertionError(f"{self.name} did not stop:\n{self.log.read_text()[-3000:]}") from None


@dataclass
class Answer:
    status: int
    headers: Any
    body: Any


def call(port: int, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 15) -> Answer:
    """Send one request; the body is JSON both ways where the answer says so."""
    method = "GET" if body is None else "POST"
    response = httpx.request(method, f"http://127.0.0.1:{port}{path}", json=body, headers=headers, timeout=timeout)
    is_json = response.headers.get("content-type", "").startswith("application/json")
    return Answer(response.status_code, response.headers, response.json() if is_json else response.text)


@dataclass
class Stack:
    """Everything a test talks to."""

    folder: Path
    python: Path
    postgres: Process
    redis: Process
    pgbouncer: Process
    pgbouncer_version: tuple[int, ...]
    ports: dict[str, int]
    environment: dict[str, str]
    api: Process = None
    worker: Process = None

    def get(self, path: str, **options: Any) -> Answer:
        return call(self.ports["api"], path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return call(self.ports["api"], path, body, **options)

    def sql(self, statement: str, role: str = "owner", server: str = "postgres") -> str:
        """Run a statement, directly in PostgreSQL unless told otherwise; fails with psql's message."""
        return subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(self.ports[server]), "-U", role, "-d",
             "postgres" if role == "admin" else "orders", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement],
            env=os.environ | {"PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    @contextmanager
    def holding(self, statement: str) -> Iterator[Callable[[], None]]:
        """Keep the locks of a statement until the yielded function is called."""
        session = subprocess.Popen(
            ["psql", "-h", "127.0.0.1", "-p", str(self.ports["postgres"]), "-U", "owner", "-d", "orders", "-XAtq"],
            env=os.environ | {"PGPASSWORD": PASSWORD}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        session.stdin.write(f"begin;\n{statement};\n\\echo held\n")
        session.stdin.flush()
        try:
            while session.stdout.readline() != "held\n":
                assert session.poll() is None, statement
            yield session.stdin.close
        finally:
            session.stdin.close()
            session.wait(5)
            session.stdout.close()

    def is_blocked(self, since: str = "-infinity") -> bool:
        """Whether a statement of the application, begun after ``since``, waits for a lock."""
        waiting = f"select 1 from pg_stat_activity where wait_event_type = 'Lock' and usename = 'app' and query_start > '{since}'"
        return self.sql(waiting, role="admin") != ""

    def children(self, process: Process) -> set[int]:
        """Return the numbers of the processes that this one started."""
        listed = subprocess.run(["ps", "--ppid", str(process.running.pid), "-o", "pid="], capture_output=True, text=True)
        return {int(number) for number in listed.stdout.split()}

    def run(self, *command: str, **environment: str) -> str:
        """Run one of the release's programs to its end, in the release folder, and return what it printed."""
        done = subprocess.run(
            [self.python.parent / command[0], *command[1:]], cwd=PROJECT, text=True,
            env=os.environ | self.environment | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start_api(self, port: int, name: str = "api", **environment: str) -> Process:
        command = [str(self.python.parent / "uvicorn"), "orders.main:app", "--host", "127.0.0.1", "--port", str(port),
                   "--proxy-headers"]  # fmt: skip
        api = Process(name, command, self.folder / f"{name}.log", self.environment | environment)
        api.start(lambda: answers(port))
        return api

    def start_worker(self, name: str = "worker", queues: str = "default,reports", **environment: str) -> Process:
        ready = self.folder / f"{name}.ready"
        ready.write_text("left behind by a crash")
        command = [str(self.python.parent / "celery"), "-A", "orders.worker", "worker", "-Q", queues, "-c", "2",
                   "-n", f"{name}@test"]  # fmt: skip
        worker = Process(name, command, self.folder / f"{name}.log",
                         self.environment | {"WORKER_READY_FILE": str(ready)} | environment)  # fmt: skip
        worker.start(lambda: ready.exists() and ready.stat().st_size == 0)
        return worker


def find_programs() -> dict[str, str]:
    """Return the paths of Debian's server programs, installing their packages when root may."""

    def look() -> dict[str, str]:
        newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=Path("/"))
        path = f"{newest}:/usr/sbin:/usr/bin"
        return {name: shutil.which(name, path=path) or "" for name in ("postgres", "initdb", "redis-server", "pgbouncer")}

    programs = look()
    if not all(programs.values()) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "postgresql", "redis-server", "pgbouncer"]):
            subprocess.run(["apt-get", "-q", *command], env=quiet, check=True, stdout=subprocess.DEVNULL)
        programs = look()
    missing = [name for name, path in programs.items() if not path]
    assert not missing, f"missing: {missing}; apt-get install postgresql redis-server pgbouncer"
    return programs


def build_environment(folder: Path) -> Path:
    """Return the python of a virtual environment with exactly requirements.txt; built again when that file changes."""
    requirements = PROJECT / "requirements.txt"
    fingerprint = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    target = folder / f"venv-{fingerprint}"
    python = target / "bin" / "python"
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        if uv := shutil.which("uv"):
            commands = [uv, "venv", "-q", "-p", sys.executable, target], [uv, "pip", "install", "-q", "-p", python]
        else:
            commands = [sys.executable, "-m", "venv", target], [python, "-m", "pip", "install", "-q"]
        subprocess.run(commands[0], check=True)
        subprocess.run([*commands[1], "--require-hashes", "-r", requirements], check=True)
        (target / "complete").touch()
    return python


def start_servers(
    programs: dict[str, str], python: Path, folder: Path, ports: dict[str, int], user: str | None, started: list[Process]
) -> Stack:
    """Start PostgreSQL, Redis and pgbouncer, and create the roles as the platform does."""

    def server(name: str, *command: str) -> Process:
        process = Process(name, list(command), folder / f"{name}.log", user=user)
        process.start(lambda: answers(ports[name]))
        started.append(process)
        return process

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(text)
        path.chmod(0o640)
        if user:
            shutil.chown(path, user)
        return path

    data = str(folder / "data")
    password_file = write("password", PASSWORD)
    subprocess.run(
        [programs["initdb"], "-D", data, "-U", "admin", "-A", "scram-sha-256", "--pwfile", password_file, "-N", "-E", "UTF8"],
        check=True, stdout=subprocess.DEVNULL, user=user, cwd="/",
    )  # fmt: skip
    postgres = server("postgres", programs["postgres"], "-D", data, "-p", str(ports["postgres"]), "-c",
                      "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")  # fmt: skip
    redis = server("redis", programs["redis-server"], "--port", str(ports["redis"]), "--bind", "127.0.0.1", "--dir",
                   str(folder), "--save", "", "--requirepass", PASSWORD)  # fmt: skip
    version = subprocess.run([programs["pgbouncer"], "--version"], capture_output=True, text=True, check=True).stdout
    pgbouncer_version = tuple(int(part) for part in version.split()[1].split(".")[:2])
    userlist = write("userlist.txt", f'"app" "{PASSWORD}"\n')
    prepared = "max_prepared_statements = 100\n" if pgbouncer_version >= (1, 21) else ""
    configuration = write(
        "pgbouncer.ini",
        f"[databases]\norders = host=127.0.0.1 port={ports['postgres']} dbname=orders\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {ports['pgbouncer']}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {userlist}\npool_mode = transaction\n"
        f"default_pool_size = {SERVER_CONNECTIONS}\nserver_login_retry = 1\n{prepared}",
    )
    pgbouncer = server("pgbouncer", programs["pgbouncer"], str(configuration))
    # As systemd hands secrets over, and one in a file of its own: none is in the environment.
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "DATABASE_ADMIN_URL").write_text(f"postgresql://owner:{PASSWORD}@127.0.0.1:{ports['postgres']}/orders\n")
    (credentials / "REDIS_CACHE_URL").write_text(f"redis://:{PASSWORD}@127.0.0.1:{ports['redis']}/1")
    (credentials / "CELERY_BROKER_URL").write_text(f"redis://:{PASSWORD}@127.0.0.1:{ports['redis']}/0")
    (folder / "database").write_text(f"postgresql://app:{PASSWORD}@127.0.0.1:{ports['pgbouncer']}/orders")
    environment = {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "DATABASE_URL_FILE": str(folder / "database"),
        "DATABASE_COMMAND_TIMEOUT": "3",
        "ENVIRONMENT": "test",
    }
    stack = Stack(folder, python, postgres, redis, pgbouncer, pgbouncer_version, ports, environment)
    stack.sql(f"create role owner login password '{PASSWORD}'", role="admin")
    stack.sql(f"create role app login password '{PASSWORD}'", role="admin")
    stack.sql("create database orders owner owner", role="admin")
    for statement in (
        "revoke all on schema public from public; grant usage on schema public to app",
        "alter default privileges grant select, insert, update, delete on tables to app",
        "alter default privileges grant usage, select on sequences to app",
    ):
        stack.sql(statement)
    return stack
