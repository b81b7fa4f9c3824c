# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask the service's own checker before a candidate becomes the file."""

from __future__ import annotations

import os
import re
import shlex
import shutil

from . import files, overlay
from .host import RUN_DIR, Deadline, StepError, command, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

TIMEOUT = 60.0


class Job:
    """One validator to run. name: as the operator wrote it; wants: the changing files it judges.

    supplied: the program is itself among the candidates."""

    __slots__ = ("argv", "name", "per_file", "supplied", "wants")

    def __init__(self, name: str, argv: list[str], wants: list[dict[str, Any]], per_file: bool, supplied: bool = False) -> None:
        self.name = name
        self.argv = argv
        self.wants = wants
        self.per_file = per_file
        self.supplied = supplied

    @property
    def missing(self) -> bool:
        return not self.supplied and shutil.which(self.argv[0]) is None


def jobs(changing: list[dict[str, Any]], unproven: list[dict[str, Any]], trees: list[dict[str, Any]]) -> list[Job]:
    """Every validator that these files ask for. `unproven` were changed by a run that did not live to prove them."""
    found = []
    for want in changing:
        if want["validate"] and want["state"] == "present":
            found.append(Job(f"{want['validate']} ({want['path']})", shlex.split(want["validate"]), [want], True))
    for tree in trees:
        wants = [want for want in changing + unproven if any(_at_or_below(want["path"], path) for path in tree["files"])]
        if wants:
            argv = shlex.split(tree["command"])
            found.append(Job(tree["command"], argv, wants, False, any(want["path"] == argv[0] for want in changing)))
    return found


def _at_or_below(path: str, watched: str) -> bool:
    return path == watched or path.startswith(watched.rstrip("/") + "/")


class Validation:
    """Runs the validators of one call. note(name, outcome) takes what is to be reported."""

    def __init__(self, found: list[Job], deadline: Deadline, note: Callable[[str, str], None]) -> None:
        self.jobs = found
        self.deadline = deadline
        self.note = note

    def before_swap(self, wants: list[dict[str, Any]], staged: dict[str, str]) -> list[Job]:
        """Judge what is staged; returns the tree validators that can only be asked after the swap, for want of a private overlay."""
        for job in self.jobs:
            if job.missing:
                raise StepError(f"{_where(job.wants)}: the validator '{job.name}' is not installed on this host", validator=job.name)
        try:
            self._in_view(self.jobs, wants, "")
        except overlay.NoOverlayError:
            for job in self.jobs:
                if job.per_file and job.wants[0]["path"] in staged:
                    self._settle(job, self._run(job, staged[job.wants[0]["path"]]), "")
            return [job for job in self.jobs if not job.per_file]
        return []

    def after_swap(self, unasked: list[Job]) -> None:
        for job in unasked:
            self._settle(job, self._run(job), "")

    def in_check_mode(self, wants: list[dict[str, Any]], pending: str) -> None:
        """As the real run would, but nothing of the host is touched.

        pending: what is not there yet and may be the very cause of a refusal, such as a user still to be made."""
        there = []
        for job in self.jobs:
            if job.missing:
                self.note(job.name, f"not validated: {job.argv[0]} is not installed yet")
            else:
                there.append(job)
        try:
            self._in_view(there, wants, pending)
        except overlay.NoOverlayError as reason:
            for job in there:
                if job.per_file:
                    self._settle(job, self._on_copy(job), pending)
                else:
                    self.note(job.name, f"not validated in check mode: {reason}")

    def _in_view(self, found: list[Job], wants: list[dict[str, Any]], pending: str) -> None:
        if found:
            answers = overlay.run_inside(wants, lambda: [self._run(job) for job in found])
            for job, answer in zip(found, answers):
                self._settle(job, answer, pending)

    def _on_copy(self, job: Job) -> list[Any]:
        folder = f"{RUN_DIR}/check-{os.urandom(4).hex()}"
        os.makedirs(folder, 0o700)
        try:
            candidate = f"{folder}/{os.path.basename(job.wants[0]['path'])}"
            write_new(candidate, files.data_of(job.wants[0]), 0o600, 0, 0)
            return self._run(job, candidate)
        finally:
            shutil.rmtree(folder)

    def _run(self, job: Job, candidate: str = "") -> list[Any]:
        """[exit code, output]; %s becomes the candidate, by default the destination itself."""
        path = job.wants[0]["path"]
        argv = [word.replace("%s", candidate or path) for word in job.argv] if job.per_file else job.argv
        done = command(argv, self.deadline.at_most(TIMEOUT))
        text = done.tail(20)
        return [done.code, text.replace(candidate, path) if candidate else text]

    def _settle(self, job: Job, answer: list[Any], pending: str) -> None:
        code, text = answer
        if code != 0 and not pending:
            raise _refused(job, code, text)
        self.note(job.name, "passed" if code == 0 else f"not validated: it refuses while {pending}")


def _where(wants: list[dict[str, Any]]) -> str:
    """How the operator knows the files: template and destination."""
    return ", ".join(f"{want['template']} -> {want['path']}" if want["template"] else str(want["path"]) for want in wants)


def _refused(job: Job, code: int, text: str) -> StepError:
    named = [want for want in job.wants if line_of(text, want["path"])]
    named = named or [want for want in job.wants if want["path"] in text] or job.wants
    line = line_of(text, named[0]["path"]) or any_line(text)
    shown = " ".join(job.argv).replace("%s", job.wants[0]["path"])
    return StepError(
        f"{_where(named)}{f' line {line}' if line else ''}: refused by '{shown}' (exit {code}):\n{text}",
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
    """A line number without a file name: 'line 12', ':12:'."""
    return _first(r"\bline:? (\d+)", text) or _first(r":(\d+)(?::|$)", text)


def _first(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.MULTILINE)
    return int(found.group(1)) if found else None
