# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask the service's own checker before a candidate becomes the file."""

from __future__ import annotations

import shlex

from .host import Completed, Failure, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT = 60.0


def origin(want: dict[str, Any]) -> str:
    """How the operator knows the file: template and destination."""
    return "%s -> %s" % (want["template"], want["path"]) if want.get("template") else str(want["path"])


def check_file(want: dict[str, Any], candidate: str, timeout: float) -> str:
    """Run one file's validator on its candidate; returns a note when the program is not installed."""
    argv = [word.replace("%s", candidate) for word in shlex.split(want["validate"])]
    done = command(argv, min(TIMEOUT, timeout))
    if done.code == 127:
        return "not validated: %s is not installed yet" % argv[0]
    if done.code != 0:
        raise refused([want], " ".join(shlex.split(want["validate"])).replace("%s", want["path"]), done, {candidate: want["path"]})
    return "passed"


def concerned(validator: dict[str, Any], wants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The changing files that a tree validator reads."""
    return [want for want in wants if any(want["path"] == path or want["path"].startswith(path.rstrip("/") + "/") for path in validator["files"])]


def check_tree(validator: dict[str, Any], wants: list[dict[str, Any]], timeout: float) -> str:
    """Run a whole-tree validator where the candidates are visible at their own paths."""
    argv = shlex.split(validator["command"])
    done = command(argv, min(TIMEOUT, timeout))
    if done.code == 127:
        return "not validated: %s is not installed yet" % argv[0]
    if done.code != 0:
        raise refused(wants, validator["command"], done, {})
    return "passed"


def refused(wants: list[dict[str, Any]], argv: str, done: Completed, names: dict[str, str]) -> Failure:
    """A Failure that names file, template, line and what the validator said."""
    text = done.tail(20)
    for candidate, path in names.items():
        text = text.replace(candidate, path)
    named = [want for want in wants if want["path"] in text] or wants
    line = line_number(text, named[0]["path"])
    where = ", ".join(origin(want) for want in named)
    return Failure(
        "%s%s: refused by '%s' (exit %d):\n%s" % (where, " line %d" % line if line else "", argv, done.code, text),
        file=named[0]["path"],
        template=named[0].get("template"),
        line=line,
        validator=argv,
        validator_output=text.splitlines(),
    )


def line_number(text: str, path: str) -> int | None:
    """The line a validator complains about: 'path:12', 'path line 12', 'line 12'."""
    import re

    for pattern in (re.escape(path) + r"(?::| line )(\d+)", r"\bline:? (\d+)", r":(\d+):"):
        found = re.search(pattern, text)
        if found:
            return int(found.group(1))
    return None
