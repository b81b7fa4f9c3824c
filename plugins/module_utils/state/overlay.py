# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Show a command the host as it would be: candidates at their real paths, in a mount namespace of its own.

Each folder that a candidate touches gets an overlay whose upper layer lies on a tmpfs; new files, changed files and
removals all appear, and nothing outside the namespace sees them. It ends with the process."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys

from . import files
from .host import RUN_DIR, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

CLONE_NEWNS = 0x00020000
PR_SET_PDEATHSIG = 1
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
FOLDER = RUN_DIR + "/overlay"
# Overlays on these would hide what every program needs, or the overlay itself.
REFUSED = ("/", "/run", "/proc", "/sys", "/dev")


class NoOverlayError(Exception):
    """This host permits no private mounts (an unprivileged container, for instance)."""


def run_inside(wants: list[dict[str, Any]], ask: Callable[[], Any]) -> Any:
    """Call `ask` in a child that sees the candidates in place; its answer must be plain data.

    Raises NoOverlayError when the overlay cannot be made; the caller then has other ways."""
    os.makedirs(FOLDER, 0o700, exist_ok=True)
    reader, writer = os.pipe()
    sys.stdout.flush()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            os.close(reader)
            _answer(writer, parent, wants, ask)
        finally:
            os._exit(0)  # whatever happens, the child must never run the rest of the engine
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text or '{"not_possible": "the child was killed"}')
    if "not_possible" in answer:
        raise NoOverlayError(answer["not_possible"])
    return answer["answer"]


def _answer(writer: int, parent: int, wants: list[dict[str, Any]], ask: Callable[[], Any]) -> None:
    """The child's whole life. It ends with its parent, which holds the lock."""
    answer: dict[str, Any] = {"not_possible": "the child failed"}
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        _build(libc, wants)
        answer = {"answer": ask()}
    except (OSError, NoOverlayError) as error:
        answer = {"not_possible": str(error)}
    finally:
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)


def _build(libc: Any, wants: list[dict[str, Any]]) -> None:
    folders = overlay_folders([want["path"] for want in wants], os.path.isdir)
    if any(folder in REFUSED for folder in folders):
        raise NoOverlayError("candidates directly in {}".format(", ".join(folders)))
    if libc.unshare(CLONE_NEWNS) != 0:
        raise NoOverlayError("unshare: " + os.strerror(ctypes.get_errno()))
    _mount(libc, "none", "/", "", MS_REC | MS_PRIVATE)
    _mount(libc, "tmpfs", FOLDER, "tmpfs", 0, "mode=0700")
    for number, folder in enumerate(folders):
        _overlay(libc, folder, f"{FOLDER}/{number}", [want["path"] for want in wants])
    for want in wants:
        _place(want)


def overlay_folders(paths: list[str], is_folder: Callable[[str], bool]) -> list[str]:
    """The fewest existing folders that contain all paths: parents of each, without those below another."""
    folders = set()
    for path in paths:
        folder = os.path.dirname(path)
        while not is_folder(folder):
            folder = os.path.dirname(folder)
        folders.add(os.path.realpath(folder))
    return sorted(folder for folder in folders if not any(folder.startswith(other + "/") for other in folders))


def _overlay(libc: Any, folder: str, work: str, candidates: list[str]) -> None:
    """Mount an overlay over `folder`; what is mounted below it (resolv.conf in containers) stays visible."""
    inner = [point for point in _mount_points() if point.startswith(folder + "/") and point not in candidates]
    for name in ("lower", "upper", "work", "inner"):
        os.makedirs(f"{work}/{name}")
    status = os.stat(folder)
    os.chown(work + "/upper", status.st_uid, status.st_gid)
    os.chmod(work + "/upper", status.st_mode & 0o7777)
    for number, point in enumerate(inner):
        keep = f"{work}/inner/{number}"
        if os.path.isdir(point):
            os.mkdir(keep)
        else:
            write_new(keep, b"", 0o600, 0, 0)
        _mount(libc, point, keep, "", MS_BIND)
    # bound to a plain name first: overlay options know no way to write ',' or ':' in a path
    _mount(libc, folder, work + "/lower", "", MS_BIND)
    _mount(libc, "overlay", folder, "overlay", 0, f"lowerdir={work}/lower,upperdir={work}/upper,workdir={work}/work")
    for number, point in enumerate(inner):
        _mount(libc, f"{work}/inner/{number}", point, "", MS_BIND)


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as handle:
        points = [line.split(" ")[4] for line in handle]
    return [point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\") for point in points]


def _place(want: dict[str, Any]) -> None:
    path = want["path"]
    uid, gid = files.known_owner_of(want)
    have = files.OnDisk(path)
    kind = "directory" if "link" not in want else files.kind_of(want)
    if want["state"] == "absent":
        if have.kind == "directory":
            shutil.rmtree(path)
        elif have.kind != "none":
            os.unlink(path)
        return
    if kind == "directory":
        os.makedirs(path, exist_ok=True)
    elif not files.only_metadata(want, have):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if have.kind != "none":
            os.unlink(path)
        if kind == "link":
            os.symlink(want["link"], path)
        else:
            write_new(path, files.data_of(want), 0o600, uid, gid)
    os.chown(path, uid, gid, follow_symlinks=False)
    if kind != "link":
        os.chmod(path, int(want["mode"], 8))


def _mount(libc: Any, source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = [os.fsencode(text) if text else None for text in (source, target, kind)]
    if libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(options) if options else None) != 0:
        raise NoOverlayError(f"mount {source} on {target}: {os.strerror(ctypes.get_errno())}")
