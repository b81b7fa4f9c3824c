# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directories and files: what is there, why it must change, and what the diff may show."""

from __future__ import annotations

import base64
import os
import stat

from . import accounts
from .host import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIFF_LIMIT = 104448  # as ansible's max_diff_size


class OnDisk:
    """One path as it is on the host. kind: none, file, link, directory, other."""

    __slots__ = ("gid", "kind", "mode", "mtime_ns", "size", "target", "uid")

    def __init__(self, path: str) -> None:
        self.target = ""
        self.mode = self.uid = self.gid = self.size = self.mtime_ns = 0
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self.kind = "none"
            return
        self.mode, self.uid, self.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
        kinds = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "directory"}
        self.kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
        if self.kind == "link":
            self.target = os.readlink(path)


def wanted(path: str, **values: Any) -> dict[str, Any]:
    """An item of `files` that the host itself adds to a call: complete, with the defaults of the arguments."""
    item: dict[str, Any] = dict.fromkeys(("template", "content", "source", "link", "validate"))
    item.update(
        path=path, state="present", variables={}, encoding="utf-8", owner="root", group="root", mode="0644", secret=False, force=True
    )
    item.update(values)
    return item


def kind_of(want: dict[str, Any]) -> str:
    """absent, link or content."""
    return "absent" if want["state"] == "absent" else "link" if want["link"] is not None else "content"


def data_of(want: dict[str, Any]) -> bytes:
    """The bytes the file shall hold."""
    text: str = want["content"] or ""
    return base64.b64decode(text) if want["encoding"] == "base64" else text.encode("utf-8", "surrogateescape")


def read(path: str) -> bytes:
    with open(path, "rb") as handle:
        return handle.read()


def owner_of(want: dict[str, Any]) -> tuple[int, int]:
    """Numeric owner and group; a name the host does not know is an error that says whose file wants it."""
    uid, gid = accounts.user_id(want["owner"]), accounts.group_id(want["group"])
    if uid is None:
        raise StepError("{}: owner '{}' does not exist on this host".format(want["path"], want["owner"]))
    if gid is None:
        raise StepError("{}: group '{}' does not exist on this host".format(want["path"], want["group"]))
    return uid, gid


def known_owner_of(want: dict[str, Any]) -> tuple[int, int]:
    """As owner_of, with root for what does not exist yet."""
    return accounts.user_id(want["owner"]) or 0, accounts.group_id(want["group"]) or 0


def _ownership(want: dict[str, Any], have: OnDisk) -> list[str]:
    reasons = []
    for label, name, current, wanted in (
        ("owner", want["owner"], have.uid, accounts.user_id(want["owner"])),
        ("group", want["group"], have.gid, accounts.group_id(want["group"])),
    ):
        if wanted is None:
            reasons.append(f"{label} {name} does not exist yet")
        elif current != wanted:
            reasons.append(f"{label} {current}, wanted {name}")
    return reasons


def _mode(want: dict[str, Any], have: OnDisk) -> list[str]:
    mode = int(want["mode"], 8)
    return [] if have.mode == mode else [f"mode {have.mode:04o}, wanted {mode:04o}"]


def decide_directory(want: dict[str, Any], have: OnDisk) -> list[str]:
    """Why the directory must change; empty when it need not."""
    if want["state"] == "absent":
        if have.kind not in ("none", "directory"):
            raise StepError("directories: {} is a {}, not a directory: refused".format(want["path"], have.kind))
        if have.kind == "directory" and want["path"].count("/") < 2:
            raise StepError("directories: {} is a top-level directory: refused to remove it".format(want["path"]))
        return ["exists, to be removed"] if have.kind == "directory" else []
    if have.kind == "none":
        return ["missing"]
    if have.kind != "directory":
        raise StepError("directories: {} exists and is a {}, not a directory".format(want["path"], have.kind))
    return _ownership(want, have) + _mode(want, have)


def decide_file(want: dict[str, Any], have: OnDisk) -> list[str]:
    """Why the file must change; empty when it need not. 'content' reasons come first."""
    wanted = kind_of(want)
    if have.kind in ("directory", "other"):
        raise StepError(
            "files: {} is a {}, not a file: refused".format(
                want["path"], have.kind if have.kind == "directory" else "device, socket or pipe"
            )
        )
    if wanted == "absent":
        return ["exists, to be removed"] if have.kind != "none" else []
    if have.kind == "none":
        return ["missing"]
    if wanted == "link":
        if have.kind == "file":
            return [] if not want["force"] else ["is a file, wanted a link to " + want["link"]]
        if have.target != want["link"] and want["force"]:
            return ["links to {}, wanted {}".format(have.target, want["link"])]
        return _ownership(want, have)
    if have.kind == "link":
        return [] if not want["force"] else ["is a link to " + have.target]
    return content_reason(want, have) + _ownership(want, have) + _mode(want, have)


def content_reason(want: dict[str, Any], have: OnDisk) -> list[str]:
    if not want["force"]:
        return []
    data = data_of(want)
    return [] if have.size == len(data) and read(want["path"]) == data else ["content differs"]


def only_metadata(want: dict[str, Any], have: OnDisk) -> bool:
    """The file itself stays; owner or mode change."""
    wanted = kind_of(want)
    if wanted == "link":
        return have.kind == "link" and (have.target == want["link"] or not want["force"])
    return wanted == "content" and have.kind == "file" and not content_reason(want, have)


def diff(want: dict[str, Any], have: OnDisk, reasons: list[str]) -> dict[str, str]:
    """Ansible's diff entry; a secret shows that it changes and nothing else."""
    path = want["path"]
    wanted = "directory" if "link" not in want else kind_of(want)
    entry = {"before_header": path, "after_header": path}
    if wanted == "content" and want.get("template"):
        entry["after_header"] = "{} ({})".format(path, want["template"])
    if want.get("secret"):
        return dict(
            entry,
            before="(secret)\n" if have.kind != "none" else "",
            after="(secret, changed: {})\n".format(", ".join(reasons)) if wanted != "absent" else "",
        )
    before, after = _before(path, have, wanted), ""
    if wanted == "link":
        after = "link to {}\n".format(want["link"])
    elif wanted == "directory":
        after = "directory\n" if want["state"] == "directory" else ""
    elif wanted == "content":
        after = shown(data_of(want)) if want["force"] or have.kind == "none" else before
    if before == after or wanted == "directory":
        before += "".join("{}\n".format(reason.split(", wanted")[0]) for reason in reasons if ", wanted" in reason)
        after += "".join(f"{_after(reason)}\n" for reason in reasons if ", wanted" in reason)
    return dict(entry, before=before, after=after)


def _after(reason: str) -> str:
    now, wanted = reason.split(", wanted ", 1)
    return now.split(" ", 1)[0] + " " + wanted


def _before(path: str, have: OnDisk, wanted: str) -> str:
    if have.kind == "file":
        return f"({have.size} bytes)\n" if have.size > DIFF_LIMIT else shown(read(path))
    return {"link": f"link to {have.target}\n", "directory": "directory\n"}.get(have.kind, "")


def shown(data: bytes) -> str:
    """Text for a diff, or its size when it is binary or long."""
    if len(data) > DIFF_LIMIT or b"\0" in data:
        return f"({len(data)} bytes)\n"
    return data.decode("utf-8", "replace")
