# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Groups and users: read through NSS, changed with the shadow tools. Password hashes travel on stdin only."""

from __future__ import annotations

import grp
import pwd

from .host import Deadline, must

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def user_id(name: str) -> int | None:
    if name.isdigit():
        return int(name)
    found = user(name)
    return found.pw_uid if found else None


def group_id(name: str) -> int | None:
    if name.isdigit():
        return int(name)
    found = group(name)
    return found.gr_gid if found else None


def decide_group(want: dict[str, Any], have: grp.struct_group | None) -> str:
    """Why the group must change; empty when it need not."""
    if want["state"] == "absent":
        return "exists, to be removed" if have else ""
    if have is None:
        return "missing"
    if want["gid"] is not None and want["gid"] != have.gr_gid:
        return f"gid {have.gr_gid}, wanted {want['gid']}"
    return ""


def apply_group(want: dict[str, Any], deadline: Deadline) -> None:
    have = group(want["name"])
    if not decide_group(want, have):
        return
    gid = [] if want["gid"] is None else ["--gid", str(want["gid"])]
    if want["state"] == "absent":
        argv = ["groupdel"]
    elif have:
        argv = ["groupmod", *gid]
    else:
        argv = ["groupadd", *gid, *(["--system"] if want["system"] else [])]
    must([*argv, want["name"]], "group " + want["name"], deadline.left())


def decide_user(want: dict[str, Any], have: pwd.struct_passwd | None) -> str:
    """Why the user must change; empty when it need not. Never contains the password."""
    if want["state"] == "absent":
        return "exists, to be removed" if have else ""
    if have is None:
        return "missing"
    reasons = []
    for key, current in (("uid", have.pw_uid), ("home", have.pw_dir), ("shell", have.pw_shell), ("comment", have.pw_gecos)):
        if want[key] is not None and want[key] != current:
            reasons.append(f"{key} {current}, wanted {want[key]}")
    if want["group"] is not None and group_id(want["group"]) != have.pw_gid:
        reasons.append("primary group is not " + want["group"])
    missing = missing_groups(want)
    if missing:
        reasons.append("not in " + ", ".join(missing))
    if want["password"] is not None and want["password"] != _shadow(want["name"]):
        reasons.append("password differs")
    return "; ".join(reasons)


def missing_groups(want: dict[str, Any]) -> list[str]:
    found = [(name, group(name)) for name in want["groups"]]
    return [name for name, entry in found if entry is None or want["name"] not in entry.gr_mem]


def apply_user(want: dict[str, Any], deadline: Deadline) -> None:
    name = want["name"]
    have = user(name)
    if not decide_user(want, have):
        return
    if want["state"] == "absent":
        must(["userdel", name], "user " + name, deadline.left())
        return
    argv = ["usermod"] if have else ["useradd", *_creation_defaults(want)]
    for key, option in (
        ("uid", "--uid"),
        ("group", "--gid"),
        ("home", "--home-dir" if not have else "--home"),
        ("shell", "--shell"),
        ("comment", "--comment"),
    ):
        if want[key] is not None:
            argv += [option, str(want[key])]
    missing = missing_groups(want)
    if missing:
        argv += ["--append", "--groups", ",".join(missing)] if have else ["--groups", ",".join(missing)]
    if len(argv) > 1:
        must([*argv, name], "user " + name, deadline.left())
    if want["password"] is not None and want["password"] != _shadow(name):
        must(["chpasswd", "--encrypted"], "password of user " + name, deadline.left(), "{}:{}\n".format(name, want["password"]))


def _creation_defaults(want: dict[str, Any]) -> list[str]:
    create_home = want["create_home"] if want["create_home"] is not None else not want["system"]
    argv = ["--create-home" if create_home else "--no-create-home"]
    if want["system"]:
        argv.append("--system")
    if want["shell"] is None:
        argv += ["--shell", "/usr/sbin/nologin" if want["system"] else "/bin/bash"]
    if want["group"] is None:
        argv.append("--no-user-group" if group(want["name"]) else "--user-group")
        if group(want["name"]):
            argv += ["--gid", want["name"]]
    return argv


def _shadow(name: str) -> str | None:
    """The stored hash; None when there is no entry or it may not be read."""
    try:
        with open("/etc/shadow", encoding="utf-8") as handle:
            for line in handle:
                if line.startswith(name + ":"):
                    return line.split(":")[1]
    except OSError:
        pass
    return None
