"""Builds one release: source, virtual environment, checks. Runs on the host."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL_LINES = 25
UV_HOME = Path("/opt/slipway/uv")
PYTHON_HOME = Path("/opt/slipway/python")
CACHE = Path("/var/cache/slipway")


class CommandError(Exception):
    """A command of the build ended badly; the message carries its last lines."""


@dataclass(frozen=True)
class Runner:
    """Runs commands with one environment; the lock's descriptor goes along (see Store.locked)."""

    environment: Mapping[str, str]
    lock: int
    seconds: int

    def run(self, argv: Sequence[str], *, cwd: Path, purpose: str, extra: Mapping[str, str] | None = None, user: str = "") -> str:
        """Output of the command. As another `user` it gets that user's groups and nothing of our environment."""
        environment = {**self.environment, **(extra or {})}
        identity: dict[str, object] = {}
        if user:
            account = pwd.getpwnam(user)
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": os.getgrouplist(user, account.pw_gid)}
            environment = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp", **(extra or {})}
        process = subprocess.Popen(  # type: ignore[call-overload]
            list(argv), cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True, pass_fds=(self.lock,), **identity,
        )  # fmt: skip
        try:
            output: str = process.communicate(timeout=self.seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0]
            raise CommandError(_message(f"{purpose} took longer than {self.seconds} s", argv, output)) from None
        if process.returncode != 0:
            raise CommandError(_message(f"{purpose} failed with exit code {process.returncode}", argv, output))
        return output


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a release contains."""

    kind: str
    requirement: str
    requirements: str
    requirements_text: str
    additional: Sequence[str]
    install_project: bool | None
    python: str
    installer: str
    uv_version: str
    post_install: Sequence[str]


class Build:
    """One release folder in the making."""

    def __init__(self, folder: Path, plan: Plan, runner: Runner) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.venv = folder / "venv"
        self._plan = plan
        self._runner = runner
        self._uv = ""

    def unpack(self, payload: Path | None) -> None:
        self.source.mkdir(parents=True)
        if self._plan.kind == "archive" and payload:
            with tarfile.open(payload) as archive:
                _extract(archive, self.source)

    def make_environment(self) -> None:
        python = self._plan.python
        if self._plan.installer == "uv":
            self._uv = installed_uv(self._plan.uv_version, self._runner)
            managed = python[0].isdigit()
            if managed:
                self._install_python(python)
            interpreter = python if managed else _system_python(python)
            preference = "only-managed" if managed else "only-system"
            self._run("the virtual environment", [self._uv, "venv", "--no-project", "--python", interpreter, str(self.venv)],
                      {"UV_PYTHON_PREFERENCE": preference})  # fmt: skip
        else:
            self._run("the virtual environment", [_system_python(python), "-m", "venv", str(self.venv)])

    def install(self, payload: Path | None) -> None:
        plan = self._plan
        requirements = self._requirements_file()
        if requirements:
            self._pip("the requirements", *_hashes(requirements), "-r", str(requirements))
        target = {"archive": str(self.source), "file": str(payload), "package": plan.requirement}[plan.kind]
        wants_project = plan.install_project if plan.install_project is not None else plan.kind != "archive" or not requirements
        if wants_project:
            if plan.kind == "archive" and not any((self.source / name).is_file() for name in ("pyproject.toml", "setup.py")):
                raise CommandError(
                    f"the source has neither {plan.requirements or 'requirements'} nor pyproject.toml: nothing says what to install"
                )
            self._pip("the application", *(["--no-deps"] if requirements else []), target, *plan.additional)
        elif plan.additional:
            self._pip("the additional packages", *plan.additional)
        if plan.kind == "archive" and not wants_project:
            # The real path, not the link `current`: a running process keeps importing from its own release.
            (self._site_packages() / "slipway_source.pth").write_text(f"{self.source}\n")
            self._run("byte-compiling the source", [str(self.venv / "bin/python"), "-m", "compileall", "-q", "-f", str(self.source)])

    def finish(self) -> list[str]:
        """Check the set of packages, run the user's commands, and give the list of what is installed."""
        python = str(self.venv / "bin/python")
        checker = [self._uv, "pip", "check", "--python", python] if self._uv else [python, "-m", "pip", "check"]
        self._run("the check of the installed packages", checker)
        for command in self._plan.post_install:
            self._run("post_install", words(command, self.venv), activated(self.venv))
        lister = [self._uv, "pip", "freeze", "--python", python] if self._uv else [python, "-m", "pip", "freeze", "--all"]
        listed = self._run("the list of installed packages", lister)
        harden(self.folder)
        return [line for line in listed.splitlines() if "==" in line or " @ " in line]

    def _requirements_file(self) -> Path | None:
        plan = self._plan
        if plan.requirements_text:
            path = self.folder / "requirements.txt"
            path.write_text(plan.requirements_text)
            return path
        if plan.kind != "archive" or not plan.requirements:
            return None
        path = self.source / plan.requirements
        if path.is_file() and path.name == "uv.lock":
            exported = self.folder / "requirements.txt"
            uv = self._uv or installed_uv(plan.uv_version, self._runner)
            self._run("reading uv.lock", [uv, "export", "--project", str(self.source), "--frozen", "--no-dev", "--no-emit-project",
                                          "--quiet", "--output-file", str(exported)])  # fmt: skip
            return exported
        return path if path.is_file() else None

    def _pip(self, purpose: str, *arguments: str) -> None:
        python = str(self.venv / "bin/python")
        if self._uv:
            argv = [self._uv, "pip", "install", "--python", python, "--compile-bytecode", *arguments]
        else:
            argv = [python, "-m", "pip", "install", *arguments]
        self._run(f"installing {purpose}", argv)

    def _install_python(self, version: str) -> None:
        try:
            self._run(f"getting Python {version}", [self._uv, "python", "install", version])
        except CommandError as error:
            raise CommandError(
                f"{error}\nPython {version} is downloaded by uv; a host without access to its source needs UV_PYTHON_INSTALL_MIRROR "
                "in /etc/environment, or python: python3 (the distribution's)"
            ) from None

    def _site_packages(self) -> Path:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        return Path(self._run("finding site-packages", [str(self.venv / "bin/python"), "-c", code]).strip())

    def _run(self, purpose: str, argv: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
        return self._runner.run(argv, cwd=self.source, purpose=purpose, extra=extra)


def installed_uv(version: str, runner: Runner) -> str:
    """Path of uv: ours in the wanted version, else the machine's, else installed now."""
    ours = UV_HOME / "bin/uv"
    if ours.is_file() and (UV_HOME / f".complete-{version}").is_file():
        return str(ours)
    if not ours.is_file():
        theirs = shutil.which("uv", path="/usr/local/bin:/usr/bin")
        if theirs:
            return theirs
    UV_HOME.mkdir(parents=True, exist_ok=True)
    runner.run([_system_python("python3"), "-m", "venv", "--clear", str(UV_HOME)], cwd=UV_HOME, purpose="the environment of uv")
    runner.run([str(UV_HOME / "bin/python"), "-m", "pip", "install", f"uv=={version}"], cwd=UV_HOME, purpose=f"installing uv {version}")
    (UV_HOME / f".complete-{version}").touch()
    return str(ours)


def activated(venv: Path) -> dict[str, str]:
    return {"VIRTUAL_ENV": str(venv), "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin"}


def words(command: str | Sequence[str], venv: Path) -> list[str]:
    """A command as a list whose program comes from the virtual environment, when that has one of this name."""
    argv = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    program = venv / "bin" / argv[0]
    return [str(program) if "/" not in argv[0] and program.exists() else argv[0], *argv[1:]]


def harden(folder: Path) -> None:
    """Root owns what root obeys: nobody else may write, everybody may read and enter."""
    for path in (folder, *folder.rglob("*")):
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            continue
        readable = 0o555 if stat.S_ISDIR(state.st_mode) or state.st_mode & 0o100 else 0o444
        wanted = (stat.S_IMODE(state.st_mode) | readable) & ~0o7022
        if wanted != stat.S_IMODE(state.st_mode):
            path.chmod(wanted)
        if (state.st_uid, state.st_gid) != (0, 0) and os.geteuid() == 0:
            os.chown(path, 0, 0)


def check_user(user: str) -> None:
    try:
        grp.getgrgid(pwd.getpwnam(user).pw_gid)
    except KeyError:
        raise CommandError(f"user: '{user}' does not exist on this host") from None


def manifest(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """The archive is ours; yet a name that leaves the folder is refused on every Python."""
    with contextlib.suppress(AttributeError):  # Python before 3.9.17 has no filters
        archive.extraction_filter = tarfile.data_filter
    for member in archive.getmembers():
        if member.name.startswith("/") or ".." in Path(member.name).parts:
            raise CommandError(f"the archive holds the unsafe name {member.name!r}")
    archive.extractall(target)


def _hashes(requirements: Path) -> list[str]:
    return ["--require-hashes"] if "--hash=" in requirements.read_text() else []


def _system_python(python: str) -> str:
    path = python if python.startswith("/") else f"/usr/bin/{python}"
    if not os.access(path, os.X_OK):
        raise CommandError(f"python: there is no interpreter {path} on this host")
    return path


def _message(what: str, argv: Sequence[str], output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()][-TAIL_LINES:]
    return "\n".join([f"{what}: {shlex.join(argv)}", *(f"  {line}" for line in lines)])
