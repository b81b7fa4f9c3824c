# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One call: predict what changes, and outside check mode make it so, or put everything back."""

from __future__ import annotations

import os
import time

from . import accounts, files, packages, transaction, units, validators
from .host import Deadline, Lock, StepError, command, destination, sync_folder
from .prediction import Prediction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


LASTING = ("packages", "groups", "users", "commands")
"""Sections that are not put back when a later one fails."""


class Engine:
    """Applies one payload: the arguments as spec.normalise returns them, with `check` and `diff`."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.want = payload
        self.exclusive = [want for want in payload["units"] if want["exclusive"]]
        payload["units"] = [want for want in payload["units"] if not want["exclusive"]]
        self.check: bool = payload["check"]
        self.deadline = Deadline(payload["timeout"])
        self.prediction = Prediction(payload)
        self.transaction = transaction.Transaction()
        self.changing: dict[str, float] = {}
        self.switched: list[tuple[str, str]] = []  # how to undo what was enabled, disabled, masked
        self.lasting = False  # packages or accounts were changed: those are not put back
        self.result: dict[str, Any] = {"restarted": [], "reloaded": [], "packages_installed": [], "put_back": []}

    def run(self) -> dict[str, Any]:
        """The module's result. Every failure is in it, with the words of secret files masked."""
        os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
        os.umask(0o022)
        try:
            if self.check:
                self.predict()
                self.judge_in_check_mode()
            else:
                self.converge()
        except StepError as error:
            self.fail(str(error), error.facts)
        except OSError as error:
            hint = " (set become: true)" if isinstance(error, PermissionError) and os.getuid() != 0 else ""
            self.fail(f"{destination(error.filename or 'operating system')}: {error.strerror}{hint}", {})
        found = self.prediction
        changed = self.lasting if self.result.get("failed") else found.changed
        return dict(self.result, changed=changed, items=found.items, diff=found.diffs if self.want["diff"] else [])

    def fail(self, message: str, facts: dict[str, Any]) -> None:
        from . import secrets

        words = secrets.secret_words(self.want)
        self.result.update({key: secrets.mask(value, words) for key, value in facts.items()}, failed=True, msg=secrets.mask(message, words))
        for item in self.prediction.items:
            item["reason"] = secrets.mask(item["reason"], words)

    def predict(self) -> None:
        self.recover()
        if self.want["certificates"]:
            from . import certificates

            certificates.add_files(self.want)
        if self.exclusive or any(want["exclusive"] for want in self.want["directories"]):
            from . import exclusive

            exclusive.add_undeclared(self.want, exclusive.patterns(self.exclusive))
        self.prediction.make(self.transaction.unproven())
        if self.check:
            self.result.update(restarted=self.prediction.restarted, reloaded=self.prediction.reloaded)

    def validation(self, changing: dict[str, float]) -> validators.Validation:
        unproven = self.transaction.unproven()
        wants = [want for want in self.want["files"] if want["path"] in changing]
        earlier = [want for want in self.want["files"] if want["path"] in unproven and want["path"] not in changing]
        return validators.Validation(validators.jobs(wants, earlier, self.want["validate"]), self.deadline, self.note_validation)

    def note_validation(self, name: str, outcome: str) -> None:
        self.prediction.items.append({"section": "validate", "name": name, "changed": False, "reason": outcome, "action": ""})

    def judge_in_check_mode(self) -> None:
        if os.getuid() != 0 or not self.prediction.changing:
            return
        missing = [item["name"] for item in self.prediction.items if item["changed"] and item["section"] in LASTING]
        wants = [want for want in self.want["directories"] + self.want["files"] if want["path"] in self.prediction.changing]
        self.validation(self.prediction.changing).in_check_mode(wants, f"{', '.join(missing)} are not there yet" if missing else "")

    # -- making it so ------------------------------------------------------------------------------------------------

    def converge(self) -> None:
        if os.getuid() != 0:
            raise StepError("slipway.stack.state needs root on the host: set become: true")
        with Lock(self.deadline):
            packages.QuietServices.clean()
            self.predict()
            if self.prediction.changed:
                self.apply()
            else:
                self.transaction.finish()

    def recover(self) -> None:
        """Finish what killed runs left: a put-back is completed, new files of this call's paths are adopted."""
        paths = {want["path"] for want in self.want["files"] + self.want["directories"]}
        for journal in transaction.left_behind(clean=not self.check):
            if not self.check:
                journal.clean_temporary()
            if journal.data["phase"] == "back":
                if not self.check:
                    self.restore(journal.data["units"], journal.put_back)
                    journal.forget(journal.paths())
                self.prediction.report("recovery", journal.folder, ["a put-back was killed"], "put back")
            elif journal.paths() & paths:
                self.transaction.adopt(journal, paths)
            elif not journal.data["entries"] and not self.check:
                journal.forget(set())

    def apply(self) -> None:
        self.lasting = any(item["changed"] and item["section"] in LASTING for item in self.prediction.items)
        self.result["packages_installed"] = packages.apply(self.want["packages"], self.want["cache_valid_time"], self.deadline)
        for want in self.want["groups"]:
            accounts.apply_group(want, self.deadline)
        for want in self.want["users"]:
            accounts.apply_user(want, self.deadline)
        if self.want["commands"]:
            from . import commands

            commands.apply(self.want["commands"], self.deadline)
        if self.want["certificates"]:
            from . import certificates

            certificates.complete(self.want)
        self.transaction.begin()
        try:
            self.apply_directories()
            self.apply_files()
            self.apply_units()
        except Exception as error:
            self.put_back(error)
            raise
        self.transaction.finish()

    def apply_directories(self) -> None:
        for want in self.want["directories"]:
            have = files.OnDisk(want["path"])
            if files.decide_directory(want, have):
                if want["state"] == "absent":
                    self.transaction.take_away(want["path"], have)
                else:
                    self.transaction.make_folder(want["path"], have, int(want["mode"], 8), *files.owner_of(want))
                self.changing[want["path"]] = time.time()

    def apply_files(self) -> None:
        """Stage all, validate all, then swap all."""
        changes = [(want, have) for want in self.want["files"] if files.decide_file(want, have := files.OnDisk(want["path"]))]
        self.changing.update((want["path"], time.time()) for want, _have in changes)
        staged: dict[str, str] = {}
        for want, have in changes:
            if files.kind_of(want) != "absent":
                owner = files.owner_of(want)
                if not files.only_metadata(want, have):
                    staged[want["path"]] = self.transaction.stage(want, *owner)
        for want, have in changes:
            self.transaction.remember(want["path"], have)
        self.transaction.moment = time.time()
        self.transaction.write_journal("forward")
        validation = self.validation(self.changing)
        unasked = validation.before_swap([want for want, _have in changes], staged)
        self.take_out_units()
        for want, have in changes:
            self.swap(want, have, staged.get(want["path"]))
            self.changing[want["path"]] = time.time()
        for folder in {os.path.dirname(want["path"]) for want, _have in changes}:
            sync_folder(folder)
        validation.after_swap(unasked)

    def swap(self, want: dict[str, Any], have: files.OnDisk, staged: str | None) -> None:
        path = want["path"]
        if staged:
            if self.transaction.swap(staged, path) == "in place":
                self.prediction.amend("files", path, reason="content differs; written in place, for it is a mount point")
        elif files.kind_of(want) == "absent":
            os.unlink(path)
        else:
            uid, gid = files.owner_of(want)
            os.chown(path, uid, gid, follow_symlinks=False)
            if have.kind == "file":
                os.chmod(path, int(want["mode"], 8))
            os.utime(path, follow_symlinks=False)  # a service must notice that it may read less or more

    def take_out_units(self) -> None:
        """Stop, disable and mask before the files go: systemd still knows how."""
        have = units.show([want["name"] for want in self.want["units"]])
        for want in self.want["units"]:
            plan = units.decide(want, have[want["name"]], {}, 0.0)
            if plan.action == "stop":
                self.note_unit(want["name"], have[want["name"]].running)
                units.perform(want, "stop", self.deadline)
            for verb in (plan.enable, plan.mask):
                if verb in ("disable", "mask"):
                    self.switch(verb, want["name"])

    def apply_units(self) -> None:
        wanted = self.want["units"]
        have = units.show([want["name"] for want in wanted])
        if units.daemon_reload_reasons(self.changing, have):
            units.daemon_reload(self.deadline)
        for want in wanted:
            if want["masked"] is False and have[want["name"]].masked:
                self.switch("unmask", want["name"])
        for want in wanted:
            self.act_on_unit(want)
        have = units.show([want["name"] for want in wanted])
        for want in wanted:  # last, so that a unit which never worked is not left enabled
            if units.decide(want, have[want["name"]], {}, 0.0).enable == "enable":
                self.switch("enable", want["name"])

    def switch(self, verb: str, name: str) -> None:
        units.systemctl(verb, name, self.deadline)
        self.switched.append((units.OPPOSITES[verb], name))

    def act_on_unit(self, want: dict[str, Any]) -> None:
        """Decided anew for each unit: restarting the one before may have restarted this one."""
        name = want["name"]
        have = units.show([name])[name]
        plan = units.decide(want, have, {**self.transaction.unproven(), **self.changing}, units.reloaded_at(name))
        if not plan.action:
            return
        if name not in self.prediction.restarted + self.prediction.reloaded and have.running:  # a package's own scripts touched its files
            self.prediction.amend("units", name, changed=True, reason="; ".join(plan.reasons), action=plan.action)
        self.note_unit(name, have.running)
        units.perform(want, plan.action, self.deadline)
        if plan.action in ("restart", "reload"):
            self.result[plan.action + "ed"].append(name)

    def note_unit(self, name: str, was_running: bool) -> None:
        self.transaction.units.setdefault(name, was_running)
        self.transaction.write_journal("forward")

    # -- the way back ------------------------------------------------------------------------------------------------

    def put_back(self, error: Exception) -> None:
        """Earlier files, then the units this call has touched, as they were; the error tells of it."""
        failed_unit = error.facts.get("unit") if isinstance(error, StepError) else None
        lines = units.journal(failed_unit) if failed_unit else []
        self.deadline = Deadline(max(120, self.want["timeout"] / 2))
        self.transaction.turn_back()
        for verb, name in reversed(self.switched):
            command(["systemctl", verb, name], 60)
        notes = self.restore(self.transaction.units, self.transaction.put_back)
        if isinstance(error, StepError):
            journal = ["last lines of its journal:", *("  " + line for line in lines)] if lines else []
            restored = ["put back: " + ", ".join(self.result["put_back"])] if self.result["put_back"] else []
            hint = units.hint(failed_unit, lines) if failed_unit else ""
            # An outage must not read like a failure that was caught.
            serving = ["The earlier files are back and DO NOT WORK EITHER: " + "; ".join(notes)] if notes else []
            error.args = ("\n".join([str(error), *serving, *journal, *([hint] if hint else []), *restored]),)
        self.transaction.finish()

    def restore(self, touched: dict[str, bool], put_files_back: Callable[[], list[str]]) -> list[str]:
        """Stop what did not run before, while its unit file is still there; then the files; then restart what did run.

        Returns what could not be brought back."""
        notes = self.bring_back(touched, "stop", False)
        restored = put_files_back()
        self.result["put_back"] += restored
        if any(path.startswith(units.UNIT_FOLDERS) for path in restored):
            units.daemon_reload(self.deadline)
        return notes + self.bring_back(touched, "restart", True)

    def bring_back(self, touched: dict[str, bool], action: str, was_running: bool) -> list[str]:
        notes = []
        wanted = {want["name"]: want for want in self.want["units"]}
        for name in (name for name, ran in touched.items() if ran == was_running):
            try:
                units.perform(wanted.get(name, {"name": name, "ready": None}), action, self.deadline)
            except StepError as failure:
                notes.append(str(failure))
        return notes
