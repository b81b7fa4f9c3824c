# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask the service's own checker before a candidate becomes the file."""

from __future__ import annotations

import os
import re
import shlex

from .host import Deadline, Failure, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT = 60.0


class Job:
    """One validator to run. name: as the operator wrote it; wants: the changing files it judges."""

    __slots__ = ("argv", "name", "per_file", "wants")

    def __init__(self, name: str, argv: list[str], wants: list[dict[str, Any]], per_file: bool) -> None:
        self.name = name
        self.argv = argv
        self.wants = wants
        self.per_file = per_file

    @property
    def installed(self) -> bool:
        return any(os.access(os.path.join(folder, self.argv[0]), os.X_OK) for folder in ["", *os.environ["PATH"].split(":")] if folder or "/" in self.argv[0])


def jobs(changing: list[dict[str, Any]], suspected: list[dict[str, Any]], trees: list[dict[str, Any]]) -> list[Job]:
    """Every validator that these files ask for. `suspected` were changed by a run that did not live to prove them."""
    found = []
    for want in changing:
        if want["validate"] and want["state"] == "present":
            found.append(Job("%s (%s)" % (want["validate"], want["path"]), shlex.split(want["validate"]), [want], True))
    for tree in trees:
        wants = [want for want in changing + suspected if any(_at_or_below(want["path"], path) for path in tree["files"])]
        if wants:
            found.append(Job(tree["command"], shlex.split(tree["command"]), wants, False))
    return found


def _at_or_below(path: str, watched: str) -> bool:
    return path == watched or path.startswith(watched.rstrip("/") + "/")


def run(job: Job, deadline: Deadline, candidate: str | None = None) -> list[Any]:
    """[exit code, output] of one validator; %s becomes the candidate, by default the destination itself."""
    argv = [word.replace("%s", candidate or job.wants[0]["path"]) for word in job.argv] if job.per_file else job.argv
    done = command(argv, deadline.at_most(TIMEOUT))
    text = done.tail(20)
    return [done.code, text.replace(candidate, job.wants[0]["path"]) if candidate else text]


def judge(job: Job, answer: list[Any], pending: str = "") -> str:
    """What to report of a validator's answer; a refusal raises Failure.

    pending: what is missing in check mode and may be the very cause of a refusal, such as a user not yet made."""
    code, text = answer
    if code == 0:
        return "passed"
    if pending:
        return "not validated: it refuses while %s" % pending
    named = [want for want in job.wants if line_of(text, want["path"])] or [want for want in job.wants if want["path"] in text] or job.wants
    line = line_of(text, named[0]["path"]) or any_line(text)
    where = ", ".join("%s -> %s" % (want["template"], want["path"]) if want["template"] else str(want["path"]) for want in named)
    shown = " ".join(job.argv).replace("%s", job.wants[0]["path"])
    raise Failure(
        "%s%s: refused by '%s' (exit %d):\n%s" % (where, " line %d" % line if line else "", shown, code, text),
        file=named[0]["path"],
        template=named[0]["template"],
        line=line,
        validator=shown,
        validator_output=text.splitlines(),
    )


def line_of(text: str, path: str) -> int | None:
    """The line a validator names together with the file: 'path:12', 'path line 12', 'path, line 12'."""
    return _first(re.escape(path) + r"(?::|,? line:? )(\d+)", text)


def any_line(text: str) -> int | None:
    return _first(r"\bline:? (\d+)", text) or _first(r":(\d+)(?::|$)", text)


def _first(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.MULTILINE)
    return int(found.group(1)) if found else None
