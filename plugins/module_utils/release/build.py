# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Builds one release: source, virtual environment, checks. Runs on the host."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.stack.plugins.module_utils.release import locks

TAIL_LINES = 25
REASON_LINES = 12
# Lines that carry the reason of a failure, wherever a tool prints them.
_REASON = re.compile(r"^\W*(error|fatal|exception|caused by|failed to|building wheel for|[\w.]*(Error|Exception)\b)", re.IGNORECASE)
TOOLS = Path("/opt/slipway")
UV_HOME = TOOLS / "uv"
PYTHON_HOME = TOOLS / "python"
CACHE = Path("/var/cache/slipway")
TERM_SECONDS = 20
# Run by the virtual environment's Python; silent where its version fits.
WANTED_PYTHON = """
import platform
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
from pip._vendor.packaging.specifiers import SpecifierSet
try:
    wanted = tomllib.load(open("pyproject.toml", "rb")).get("project", {}).get("requires-python", "")
    if not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        print(wanted.replace(" ", ""), platform.python_version())
except (OSError, ValueError):
    pass  # who installs it says what is wrong with it
"""
# What a failing build says when a Debian package is missing, and what to do about it.
HINTS = (
    (r"(gcc|g\+\+|\bcc\b|c\+\+|clang).*(No such file|not found|failed)|Python\.h|No working compiler", "build-essential and python3-dev"),
    (r"pg_config|libpq-fe\.h", "libpq-dev and build-essential (or depend on psycopg[binary])"),
    (r"mysql_config|mysqlclient", "default-libmysqlclient-dev, pkg-config and build-essential"),
    (r"(cargo|rustc).*(not found|not installed|No such file)", "cargo (or pin a version that has a wheel)"),
)


class CommandError(Exception):
    """A command of the build ended badly; the message carries its last lines."""


@dataclass(frozen=True)
class Runner:
    """Runs commands with one environment; the lock's descriptor goes along (see Store.locked)."""

    environment: Mapping[str, str]
    lock: int
    seconds: int

    def run(self, argv: Sequence[str], *, cwd: Path, purpose: str, extra: Mapping[str, str] | None = None, user: str = "",
            seconds: int = 0) -> str:  # fmt: skip
        """Output of the command. As another `user` it gets that user's groups and nothing of our environment."""
        environment = {**self.environment, **(extra or {})}
        identity: dict[str, object] = {}
        limit = seconds or self.seconds
        if user:
            account = pwd.getpwnam(user)
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": os.getgrouplist(user, account.pw_gid)}
            home = account.pw_dir if Path(account.pw_dir).is_dir() else "/tmp"
            environment = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": home, **(extra or {})}
        process = subprocess.Popen(  # type: ignore[call-overload]
            list(argv), cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True, pass_fds=(self.lock,), **identity,
        )  # fmt: skip
        try:
            output: str = process.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            output = _end(process)
            raise CommandError(_message(f"{purpose} took longer than {limit} s and was ended", argv, output)) from None
        if process.returncode != 0:
            raise CommandError(_message(f"{purpose} failed with exit code {process.returncode}", argv, output))
        return output


def _end(process: subprocess.Popen[str]) -> str:
    """End a command and its children: asked first, so that a database takes an open transaction back."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        return process.communicate(timeout=TERM_SECONDS)[0]
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


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
    strict: bool = False
    member: str = ""
    version: str = ""


class Build:
    """One release folder in the making."""

    def __init__(self, folder: Path, plan: Plan, runner: Runner) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.venv = folder / "venv"
        self.warnings: list[str] = []
        self._top = folder / "workspace" if plan.member else self.source
        self._plan = plan
        self._runner = runner
        self._uv = ""

    def unpack(self, payload: Path | None) -> None:
        """Lay the source out. Of a workspace all travels, and `source` is a link to the application's folder in it."""
        self._top.mkdir(parents=True)
        if self._plan.member:
            self.source.symlink_to(Path("workspace") / self._plan.member)
        if self._plan.kind == "archive" and payload:
            with tarfile.open(payload) as archive:
                _extract(archive, self._top)

    def make_environment(self) -> None:
        python = self._plan.python
        if self._plan.installer == "uv":
            self._uv = self._installed_uv()
            managed = python[0].isdigit()
            if managed:
                self._install_python(python)
            interpreter = python if managed else _system_python(python)
            preference = "only-managed" if managed else "only-system"
            # With pip in it: commands such as `python -m spacy download` call it.
            self._run("the virtual environment", [self._uv, "venv", "--seed", "--no-project", "--python", interpreter, str(self.venv)],
                      {"UV_PYTHON_PREFERENCE": preference})  # fmt: skip
        else:
            self._run("the virtual environment", [_system_python(python), "-m", "venv", str(self.venv)])

    def install(self, payload: Path | None) -> None:
        plan = self._plan
        decides = self._deciding_file()
        pinned = bool(decides or plan.requirements_text)
        wants_project = plan.install_project if plan.install_project is not None else self._is_wanted(decides, pinned)
        if plan.kind == "archive" and (wants_project or (decides and decides.name in locks.LOCKS)):
            self._check_python()
        if decides and decides.name in locks.LOCKS:
            self._install_locked(decides)
        elif pinned:
            self._install_requirements(decides)
        target = {"archive": str(self.source.resolve()), "file": str(payload), "package": plan.requirement}[plan.kind]
        if wants_project:
            if plan.kind == "archive" and not any((self.source / name).is_file() for name in ("pyproject.toml", "setup.py")):
                missing = " nor ".join(locks.candidates(plan.requirements))
                raise CommandError(f"the source has neither {missing} nor pyproject.toml: nothing says what to install")
            if plan.version:
                target = self._wheel()
            if not pinned:
                self.warnings.append(
                    f"nothing pins what {plan.requirement or 'the application'} needs: the newest versions were taken. "
                    f"Add {'source.requirements' if plan.kind != 'archive' else ', '.join(locks.LOCKS) + ' or ' + locks.REQUIREMENTS}."
                )
            self._pip("the application", *(["--no-deps"] if pinned else []), target, *plan.additional)
        elif plan.additional:
            self._pip("the additional packages", *plan.additional)
        if plan.kind == "archive" and not wants_project:
            # The real path, not the link `current`: a running process keeps importing from its own release.
            (self._site_packages() / "slipway_source.pth").write_text(f"{self.source.resolve()}\n")
            compiler = [str(self.venv / "bin/python"), "-m", "compileall", "-q", "-f", str(self.source.resolve())]
            self._tolerate("byte-compiling the source", compiler)

    def _check_python(self) -> None:
        """A Python that the source does not want ends in what looks like another mistake: a package without a file for it."""
        found = self._run("reading requires-python", [str(self.venv / "bin/python"), "-c", WANTED_PYTHON]).split()
        if found:
            wanted, here = found
            raise CommandError(
                f"the source wants Python {wanted} (requires-python in pyproject.toml), and {self._plan.python} is {here} here: "
                'say python: a version that fits, such as "3.14", which uv gets'
            )

    def finish(self, environment: Mapping[str, str]) -> list[str]:
        """Check the set of packages, run the user's commands in `environment`, and give the list of what is installed."""
        python = str(self.venv / "bin/python")
        checker = [self._uv, "pip", "check", "--python", python] if self._uv else [python, "-m", "pip", "check"]
        self._tolerate("the check of the installed packages", checker)
        for command in self._plan.post_install:
            self._run("post_install", words(command, self.venv), environment)
        lister = [self._uv, "pip", "freeze", "--python", python] if self._uv else [python, "-m", "pip", "freeze", "--all"]
        listed = self._run("the list of installed packages", lister)
        harden(self.folder)
        return [line for line in listed.splitlines() if "==" in line or " @ " in line]

    def _is_wanted(self, decides: Path | None, pinned: bool) -> bool:
        """Whether the source itself is installed: always without pins, as its pyproject.toml says with a lock."""
        if self._plan.kind != "archive" or not pinned:
            return True
        pyproject = self.source / "pyproject.toml"
        locked = bool(decides and decides.name in locks.LOCKS)
        return locked and pyproject.is_file() and locks.is_project(pyproject.read_text(errors="replace"))

    def _deciding_file(self) -> Path | None:
        plan = self._plan
        if plan.kind != "archive":
            return None
        try:
            decides: Path | None = locks.deciding_file(self.source, plan.requirements, self._top)
        except locks.LockError as error:
            raise CommandError(str(error)) from None
        if decides and decides.name in locks.LOCKS and not plan.requirements and (self.source / locks.REQUIREMENTS).is_file():
            self.warnings.append(f"{decides.name} decides the versions, not {locks.REQUIREMENTS} (source.requirements names another file)")
        return decides

    def _install_requirements(self, path: Path | None) -> None:
        try:
            text = locks.read_text(path) if path else self._plan.requirements_text
        except locks.LockError as error:
            raise CommandError(f"source.requirements: {error}") from None
        if path is None:
            path = self.folder / "requirements.txt"
        if not path.is_file() or path.read_bytes() != text.encode():
            path.write_text(text)  # uv reads UTF-8 only
        self._pip("the requirements", *(["--require-hashes"] if "--hash=" in text else []), "-r", str(path))

    def _install_locked(self, lock: Path) -> None:
        """What the lock names, with its hashes; members of the workspace, folders and git have none and come after."""
        indexed, others = locks.split(self._exported(lock), lock.parent)
        files = {}
        for name, text in (("requirements.txt", indexed), ("requirements-without-hash.txt", others)):
            files[name] = self.folder / name
            files[name].write_text(text)
        hashes = ["--require-hashes"] if "--hash=" in indexed else []
        self._pip(f"what {lock.name} names", *hashes, "--no-deps", "-r", str(files["requirements.txt"]))
        if others:
            self._pip(f"folders and repositories that {lock.name} names", "--no-deps", "-r", str(files["requirements-without-hash.txt"]))

    def _exported(self, lock: Path) -> str:
        """The lock as requirements, as its own tool writes them."""
        source = str(self.source.resolve())
        if lock.name == "uv.lock":
            argv = [self._uv or self._installed_uv(), "export", "--project", source, "--frozen", "--no-dev", "--no-editable",
                    "--no-emit-project", "--no-header", "--no-annotate", "--quiet", "--output-file"]  # fmt: skip
        else:
            tool, packages = locks.EXPORTERS[lock.name]
            program = installed_tool(tool, packages, self._runner)
            argv = [program, "export", "--only=main", "--format=requirements.txt", "--output"] if tool == "poetry" else [
                program, "export", "--production", "--no-extras", "--format=requirements", "--output"]  # fmt: skip
        exported = self.folder / "exported.txt"
        self._run(f"reading {lock.name}", [*argv, str(exported)])
        text = exported.read_text()
        exported.unlink()
        return text

    def _wheel(self) -> str:
        """The application as a wheel, built with the version that git would have told: only it, for the variables reach every build."""
        folder = self.folder / "dist"
        version = self._plan.version
        told = {"SETUPTOOLS_SCM_PRETEND_VERSION": version, "PDM_BUILD_SCM_VERSION": version, "UV_DYNAMIC_VERSIONING_BYPASS": version}
        python = str(self.venv / "bin/python")
        if self._uv:
            argv = [self._uv, "build", "--wheel", "--python", python, "--out-dir", str(folder), str(self.source.resolve())]
        else:
            argv = [python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(self.source.resolve())]
        self._run("building the application", argv, told)
        return str(next(folder.glob("*.whl")))

    def _tolerate(self, purpose: str, argv: Sequence[str]) -> None:
        """What need not hinder the application is a warning, unless the plan is strict."""
        try:
            self._run(purpose, argv)
        except CommandError as error:
            if self._plan.strict:
                raise
            self.warnings.append(f"{error}\nThe release goes on; strict makes this an error.")

    def _installed_uv(self) -> str:
        return installed_uv(self._plan.uv_version, self._runner)

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
    if not (UV_HOME / "bin/uv").is_file():
        theirs = shutil.which("uv", path="/usr/local/bin:/usr/bin")
        if theirs:
            return theirs
    return installed_tool("uv", [f"uv=={version}"], runner)


def installed_tool(name: str, packages: Sequence[str], runner: Runner) -> str:
    """Path of a program of those exact packages, in an environment of its own that applications share."""
    home = TOOLS / name
    mark = home / (".complete-" + "-".join(package.replace("==", "-") for package in packages))
    if not mark.is_file():
        home.mkdir(parents=True, exist_ok=True)
        runner.run([_system_python("python3"), "-m", "venv", "--clear", str(home)], cwd=home, purpose=f"the environment of {name}")
        runner.run([str(home / "bin/python"), "-m", "pip", "install", *packages], cwd=home, purpose=f"installing {name}")
        mark.touch()
    return str(home / "bin" / name)


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


def _system_python(python: str) -> str:
    path = python if python.startswith("/") else f"/usr/bin/{python}"
    if not os.access(path, os.X_OK):
        raise CommandError(f"python: there is no interpreter {path} on this host")
    return path


def _message(what: str, argv: Sequence[str], output: str) -> str:
    """What failed, the lines that say why wherever they stand, the last lines, and what to do when that is known."""
    lines = [line for line in output.splitlines() if line.strip()]
    earlier, tail = lines[:-TAIL_LINES], lines[-TAIL_LINES:]
    reasons = [line for line in earlier if _REASON.match(line)][:REASON_LINES]
    cut = ["  ..."] if earlier else []
    hints = [
        f"hint: the build lacks Debian packages, name {packages} in packages of the application"
        for pattern, packages in HINTS
        if re.search(pattern, output, re.IGNORECASE)
    ]
    if re.search("No module named '?(pkg_resources|setuptools)", output):
        hints.append("hint: name setuptools with its version in source.additional")
    return "\n".join([f"{what}: {shlex.join(argv)}", *(f"  {line}" for line in reasons), *cut, *(f"  {line}" for line in tail), *hints])
