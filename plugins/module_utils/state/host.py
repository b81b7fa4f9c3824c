# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every section needs from the host: commands with a deadline, atomic writes, one lock."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time

TYPE_CHECKING = False  # the real one costs an import of typing on every call
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

RUN_DIR = "/run/slipway"
LIB_DIR = "/var/lib/slipway"
STAGED_PREFIX = ".slipway-"


class StepError(Exception):
    """A step that could not be done. The text is for the operator; facts go into the result."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


class Deadline:
    """Seconds that one call may still spend."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        remaining = self.end - time.monotonic()
        if remaining <= 0:
            raise StepError(f"the call used up its timeout of {self.seconds:.0f} s")
        return remaining

    def at_most(self, seconds: float) -> float:
        return min(seconds, self.left())


class Completed:
    """Exit code and merged output of a command."""

    __slots__ = ("code", "output")

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.output.strip().splitlines()[-lines:])


class Running:
    """A command that works while we do something else; its errors stay out of its output."""

    def __init__(self, argv: list[str]) -> None:
        self.argv = argv
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            text=True,
            errors="replace",
        )

    def output(self, timeout: float) -> str:
        try:
            return self.process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise StepError(f"'{self.argv[0]}' did not answer within {timeout:.0f} s") from None


def _environment() -> dict[str, str]:
    return dict(os.environ, LC_ALL="C.UTF-8", SYSTEMD_PAGER="", SYSTEMD_COLORS="0")


def command(argv: list[str], timeout: float, stdin: str | None = None, environment: dict[str, str] | None = None) -> Completed:
    """Run argv without a shell. A missing program is exit code 127, a timeout 124."""
    env = {**_environment(), **(environment or {})}
    try:
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=None if stdin is None else stdin.encode(),
            stdin=subprocess.DEVNULL if stdin is None else None,
            timeout=timeout,
            env=env,
            check=False,
        )
    except FileNotFoundError:
        return Completed(127, f"{argv[0]}: command not found")
    except PermissionError as error:
        return Completed(126, str(error))
    except subprocess.TimeoutExpired as expired:
        return Completed(124, (expired.output or b"").decode(errors="replace") + f"\n(no answer within {timeout:.0f} s)")
    return Completed(done.returncode, done.stdout.decode(errors="replace"))


def must(argv: list[str], what: str, timeout: float, stdin: str | None = None, environment: dict[str, str] | None = None) -> str:
    """Run argv; a failure names `what` was being done, the command and its last lines."""
    done = command(argv, timeout, stdin, environment)
    if done.code != 0:
        raise StepError(f"{what} failed: '{' '.join(argv)}' exited {done.code}:\n{done.tail()}")
    return done.output


def staged_name(path: str) -> str:
    """A name beside `path` that no *.conf glob, cron.d, sudoers.d or systemd directory reads."""
    folder, base = os.path.split(path)
    return os.path.join(folder, f"{STAGED_PREFIX}{base}.{os.urandom(4).hex()}")


def destination(staged: str) -> str:
    """The path a staged name was made for; any other path as it is."""
    folder, base = os.path.split(staged)
    return os.path.join(folder, base[len(STAGED_PREFIX) :].rsplit(".", 1)[0]) if base.startswith(STAGED_PREFIX) else staged


def write_new(path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    """Create `path`, which must not exist, readable by nobody else until owner and mode are set."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)
        os.fsync(handle)
    except OSError as error:
        error.filename = path  # a full disk does not say by itself which file it has no room for
        raise
    finally:
        os.close(handle)


def sync_folder(path: str) -> None:
    """Make renames and removals in a folder durable."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_if_there(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_tree(path: str) -> None:
    from shutil import rmtree

    rmtree(path, ignore_errors=True)


class Lock:
    """One engine at a time on a host; a second one waits, within its deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def __enter__(self) -> Lock:
        os.makedirs(RUN_DIR, 0o755, exist_ok=True)
        self.handle = os.open(RUN_DIR + "/state.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        waited = 0.0
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pass
            if waited == 0.0:
                limit = self.deadline.at_most(300)
            if waited > limit:
                raise StepError(f"another run of slipway.stack.state still holds {RUN_DIR}/state.lock after {waited:.0f} s")
            time.sleep(0.2)
            waited += 0.2
        os.ftruncate(self.handle, 0)
        os.pwrite(self.handle, b"%d\n" % os.getpid(), 0)
        return self

    def __exit__(self, *_details: object) -> None:
        os.close(self.handle)


def walk_newest(path: str) -> float:
    """Newest modification time of a file, link (and the file it points to) or whole directory; 0.0 when absent."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0.0
    newest = status.st_mtime
    if os.path.islink(path):
        if os.path.isfile(path):
            newest = max(newest, os.stat(path).st_mtime)
    elif os.path.isdir(path):
        for entry in _children(path):
            newest = max(newest, walk_newest(entry))
    return newest


def _children(path: str) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith(STAGED_PREFIX):
                    yield entry.path
    except OSError:
        return
