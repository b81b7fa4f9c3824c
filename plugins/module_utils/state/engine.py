# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One call: predict what changes, and outside check mode make it so, or put everything back."""

from __future__ import annotations

import os
import shutil
import time

from . import accounts, files, packages, transaction, units, validators, view
from .host import RUN_DIR, Deadline, Failure, Lock, sync_folder, write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLANNED = float("inf")


class Engine:
    """The state of one call. `items` is the prediction made before anything changed; the real run reports the same."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.want = payload
        self.check: bool = payload["check"]
        self.deadline = Deadline(payload["timeout"])
        self.items: list[dict[str, Any]] = []
        self.diffs: list[dict[str, str]] = []
        self.changing: dict[str, float] = {}
        self.lasting = False  # packages or accounts were changed: those are not put back
        self.transaction = transaction.Transaction()
        self.result: dict[str, Any] = {"restarted": [], "reloaded": [], "packages_installed": [], "put_back": []}

    def run(self) -> dict[str, Any]:
        os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
        os.umask(0o022)
        try:
            if self.check:
                self.predict()
                self.validate_in_check()
            else:
                if os.getuid() != 0:
                    raise Failure("slipway.stack.state needs root on the host: set become: true")
                with Lock(self.deadline):
                    packages.QuietServices.clean()
                    self.recover()
                    self.predict()
                    self.apply()
        except Failure as failure:
            self.fail(str(failure), failure.facts)
        except OSError as error:
            hint = " (set become: true)" if isinstance(error, PermissionError) and os.getuid() != 0 else ""
            self.fail("%s: %s%s" % (error.filename or "operating system", error.strerror, hint), {})
        changed = any(item["changed"] for item in self.items)
        if self.result.get("failed"):
            changed = self.lasting
        return dict(self.result, changed=changed, items=self.items, diff=self.diffs if self.want["diff"] else [])

    def fail(self, message: str, facts: dict[str, Any]) -> None:
        from . import secrets

        words = secrets.secret_words(self.want)
        self.result.update({key: secrets.mask(value, words) for key, value in facts.items()}, failed=True, msg=secrets.mask(message, words))
        for item in self.items:
            item["reason"] = secrets.mask(item["reason"], words)

    def report(self, section: str, name: str, reasons: list[str], action: str) -> bool:
        item = {"section": section, "name": name, "changed": bool(reasons), "reason": "; ".join(reasons), "action": action if reasons else ""}
        self.items.append(item)
        return bool(reasons)

    # -- what would change -------------------------------------------------------------------------------------------

    def predict(self) -> None:
        """Compare every item with the host as it is now."""
        known = packages.installed([want["name"] for want in self.want["packages"]])
        for want in self.want["packages"]:
            reason = packages.decide(want, known)
            self.report("packages", want["name"], [reason] if reason else [], "install" if want["state"] == "present" else "remove")
        for want in self.want["groups"]:
            reason = accounts.decide_group(want, accounts.group(want["name"]))
            self.report("groups", want["name"], [reason] if reason else [], _verb(want["state"], reason))
        for want in self.want["users"]:
            reason = accounts.decide_user(want, accounts.user(want["name"]))
            self.report("users", want["name"], [reason] if reason else [], _verb(want["state"], reason))
        for section, decide in (("directories", files.decide_directory), ("files", files.decide_file)):
            for want in self.want[section]:
                self.predict_path(section, want, decide(want, have := files.Seen(want["path"])), have)
        self.predict_units()

    def predict_path(self, section: str, want: dict[str, Any], reasons: list[str], have: files.Seen) -> None:
        action = "remove" if want["state"] == "absent" else "create" if have.kind == "none" else "update"
        if self.report(section, want["path"], reasons, action):
            self.changing[want["path"]] = PLANNED
            self.diffs.append(files.diff(want, have, reasons))

    def predict_units(self) -> None:
        have = units.show([want["name"] for want in self.want["units"]])
        reasons = self.daemon_reload_reasons(have)
        if reasons:
            self.report("units", "systemd", reasons, "daemon-reload")
        for want in self.want["units"]:
            plan = units.decide(want, have[want["name"]], self.changing_times(), units.reloaded_at(want["name"]))
            if self.report("units", want["name"], plan.reasons, " ".join(plan.words())):
                self.diffs.append({"before_header": want["name"], "after_header": want["name"], "before": "", "after": " ".join(plan.words()) + "\n"})
            if self.check and plan.action in ("restart", "reload"):
                self.result[plan.action + "ed"].append(want["name"])

    def daemon_reload_reasons(self, have: dict[str, units.Unit]) -> list[str]:
        changed = [path for path in self.changing if path.startswith(units.UNIT_FOLDERS)]
        stale = [name for name, unit in have.items() if unit.needs_daemon_reload]
        return ["%s changed" % path for path in changed] or ["%s changed on disk" % name for name in stale]

    def changing_times(self) -> dict[str, float]:
        """Paths that change in this call, and paths that a killed run changed without proving their services."""
        times = {path: journal.time for journal in self.transaction.adopted for path in journal.changed_paths()}
        times.update(self.changing)
        return times

    # -- validation --------------------------------------------------------------------------------------------------

    def jobs(self) -> list[validators.Job]:
        """Validators of this call whose program is there; the others are reported as not run."""
        unproven = {path for journal in self.transaction.adopted for path in journal.changed_paths()}
        changing = [want for want in self.want["files"] if want["path"] in self.changing]
        suspected = [want for want in self.want["files"] if want["path"] in unproven and want["path"] not in self.changing]
        found = []
        for job in validators.jobs(changing, suspected, self.want["validate"]):
            if job.installed:
                found.append(job)
            else:
                self.note_validation(job.name, "not validated: %s is not installed yet" % job.argv[0])
        return found

    def note_validation(self, name: str, outcome: str) -> None:
        self.items.append({"section": "validate", "name": name, "changed": False, "reason": outcome, "action": ""})

    def ask_in_view(self, jobs: list[validators.Job], wants: list[dict[str, Any]], pending: str = "") -> None:
        """Run validators where the candidates are in place for them alone; raises view.NotPossible."""
        answers = view.seen_from_inside(wants, lambda: [validators.run(job, self.deadline) for job in jobs])
        for job, answer in zip(jobs, answers):
            self.note_validation(job.name, validators.judge(job, answer, pending))

    def validate_in_check(self) -> None:
        """As the real run would, on a view or on private copies: nothing of the host is touched."""
        jobs = self.jobs() if os.getuid() == 0 else []
        if not jobs:
            return
        missing = [item["name"] for item in self.items if item["changed"] and item["section"] in ("packages", "groups", "users")]
        pending = "%s are not there yet" % ", ".join(missing) if missing else ""
        wants = [want for want in self.want["directories"] + self.want["files"] if want["path"] in self.changing]
        try:
            self.ask_in_view(jobs, wants, pending)
        except view.NotPossible as reason:
            for job in jobs:
                outcome = self.ask_about_copy(job, pending) if job.per_file else "not validated in check mode: %s" % reason
                self.note_validation(job.name, outcome)

    def ask_about_copy(self, job: validators.Job, pending: str) -> str:
        want = job.wants[0]
        folder = "%s/check-%s" % (RUN_DIR, os.urandom(4).hex())
        os.makedirs(folder, 0o700)
        try:
            candidate = "%s/%s" % (folder, os.path.basename(want["path"]))
            write_new(candidate, files.data_of(want), 0o600, 0, 0)
            return validators.judge(job, validators.run(job, self.deadline, candidate), pending)
        finally:
            shutil.rmtree(folder)

    # -- making it so ------------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Finish what killed runs left: a put-back is completed, new files of this call's paths are adopted."""
        paths = {want["path"] for want in self.want["files"] + self.want["directories"]}
        for journal in transaction.left_behind():
            journal.clean_temporary()
            if journal.data["phase"] == "back":
                self.result["put_back"] += journal.put_back()
                units.daemon_reload(self.deadline)
                self.bring_back_units(journal.data["units"])
                journal.forget(journal.paths())
                self.report("recovery", journal.folder, ["a killed put-back was completed"], "put back")
            elif not journal.data["entries"]:
                journal.forget(set())
            elif journal.paths() & paths:
                self.transaction.adopt(journal, paths)

    def apply(self) -> None:
        if not any(item["changed"] for item in self.items):
            self.transaction.finish()
            return
        self.lasting = any(item["changed"] and item["section"] in ("packages", "groups", "users") for item in self.items)
        self.result["packages_installed"] = packages.apply(self.want["packages"], self.want["cache_valid_time"], self.deadline)
        for want in self.want["groups"]:
            accounts.apply_group(want, self.deadline)
        for want in self.want["users"]:
            accounts.apply_user(want, self.deadline)
        self.transaction.begin()
        self.changing = {}
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
            path, have = want["path"], files.Seen(want["path"])
            if not files.decide_directory(want, have):
                continue
            if want["state"] == "absent":
                self.transaction.remember(path, have)
                aside = transaction.set_aside(path)
                self.transaction.entries[-1]["aside"] = aside
                self.transaction.write_journal("forward")
                os.rename(path, aside)
            else:
                uid, gid = files.owner_of(want)
                self.make_folder(path, have, int(want["mode"], 8), uid, gid)
            self.changing[path] = time.time()

    def make_folder(self, path: str, have: files.Seen, mode: int, uid: int, gid: int) -> None:
        if have.kind == "none":
            self.make_parents(path)
        self.transaction.remember(path, have)
        self.transaction.write_journal("forward")
        if have.kind == "none":
            os.mkdir(path, 0o700)
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    def make_parents(self, path: str) -> None:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            self.make_folder(parent, files.Seen(parent), 0o755, 0, 0)

    def apply_files(self) -> None:
        """Stage all, validate all, then swap all."""
        changes = [(want, have) for want in self.want["files"] if files.decide_file(want, have := files.Seen(want["path"]))]
        self.changing.update((want["path"], time.time()) for want, _have in changes)
        staged: dict[str, str] = {}
        for want, have in changes:
            if files.kind_of(want) != "absent":
                files.owner_of(want)
                if not files.only_metadata(want, have):
                    self.make_parents(want["path"])
                    staged[want["path"]] = self.transaction.stage(want)
        for want, have in changes:
            self.transaction.remember(want["path"], have)
        self.transaction.write_journal("forward")
        unasked = self.validate_before_swap([want for want, _have in changes], staged)
        self.take_out_units()
        for want, have in changes:
            self.swap(want, have, staged.get(want["path"]))
            self.changing[want["path"]] = time.time()
        for folder in {os.path.dirname(want["path"]) for want, _have in changes}:
            sync_folder(folder)
        for job in unasked:
            self.note_validation(job.name, validators.judge(job, validators.run(job, self.deadline)))

    def validate_before_swap(self, wants: list[dict[str, Any]], staged: dict[str, str]) -> list[validators.Job]:
        """Returns the tree validators that can only be asked after the swap, for want of a private view."""
        jobs = self.jobs()
        if not jobs:
            return []
        try:
            self.ask_in_view(jobs, wants)
        except view.NotPossible:
            for job in jobs:
                if job.per_file and job.wants[0]["path"] in staged:
                    answer = validators.run(job, self.deadline, staged[job.wants[0]["path"]])
                    self.note_validation(job.name, validators.judge(job, answer))
            return [job for job in jobs if not job.per_file]
        return []

    def swap(self, want: dict[str, Any], have: files.Seen, staged: str | None) -> None:
        path = want["path"]
        if staged:
            self.transaction.swap(staged, path)
            if path in self.transaction.in_place:
                self.amend("files", path, "written in place (bind mount)")
        elif files.kind_of(want) == "absent":
            os.unlink(path)
        else:
            uid, gid = files.owner_of(want)
            os.chown(path, uid, gid, follow_symlinks=False)
            if have.kind == "file":
                os.chmod(path, int(want["mode"], 8))
            os.utime(path, follow_symlinks=False)  # a service must notice that it may read less or more

    def amend(self, section: str, name: str, reason: str) -> None:
        for item in self.items:
            if (item["section"], item["name"]) == (section, name):
                item["reason"] += "; " + reason

    def take_out_units(self) -> None:
        """Stop and disable before the files go: systemd still knows how."""
        have = units.show([want["name"] for want in self.want["units"]])
        for want in self.want["units"]:
            plan = units.decide(want, have[want["name"]], {}, 0.0)
            if plan.action == "stop":
                self.note_unit(want["name"], have[want["name"]].running)
                units.perform(want, "stop", self.deadline)
            if plan.enable == "disable":
                units.systemctl("disable", want["name"], self.deadline)
            if plan.mask == "mask":
                units.systemctl("mask", want["name"], self.deadline)

    def apply_units(self) -> None:
        wanted = self.want["units"]
        have = units.show([want["name"] for want in wanted])
        if self.daemon_reload_reasons(have):
            units.daemon_reload(self.deadline)
        for want in wanted:
            if want["masked"] is False and have[want["name"]].masked:
                units.systemctl("unmask", want["name"], self.deadline)
        for want in wanted:
            self.act_on_unit(want)
        have = units.show([want["name"] for want in wanted])
        for want in wanted:  # last, so that a unit which never worked is not left enabled
            if units.decide(want, have[want["name"]], {}, 0.0).enable == "enable":
                units.systemctl("enable", want["name"], self.deadline)

    def act_on_unit(self, want: dict[str, Any]) -> None:
        """Decided anew for each unit: restarting the one before may have restarted this one."""
        name = want["name"]
        have = units.show([name])[name]
        plan = units.decide(want, have, self.changing_times(), units.reloaded_at(name))
        action = plan.action
        if not action:
            return
        for item in self.items:
            if (item["section"], item["name"], item["changed"]) == ("units", name, False):  # a package's own scripts touched its files
                item.update(changed=True, reason="; ".join(plan.reasons), action=action)
        self.note_unit(name, have.running)
        units.perform(want, action, self.deadline)
        if action in ("restart", "reload"):
            self.result[action + "ed"].append(name)

    def note_unit(self, name: str, was_running: bool) -> None:
        self.transaction.units.setdefault(name, was_running)
        self.transaction.write_journal("forward")

    # -- the way back ------------------------------------------------------------------------------------------------

    def put_back(self, error: Exception) -> None:
        """Earlier files, then the units this call has touched, as they were."""
        failed_unit = error.facts.get("unit") if isinstance(error, Failure) else None
        lines = units.journal(failed_unit) if failed_unit else []
        self.deadline = Deadline(max(120, self.want["timeout"] / 2))
        touched = dict(self.transaction.units)
        self.result["put_back"] += self.transaction.put_back()
        notes = []
        if any(path.startswith(units.UNIT_FOLDERS) for path in self.result["put_back"]):
            units.daemon_reload(self.deadline)
        notes += self.bring_back_units(touched)
        if isinstance(error, Failure):
            text = str(error)
            if lines:
                text += "\nlast lines of its journal:\n  " + "\n  ".join(lines)
            if self.result["put_back"]:
                text += "\nput back: " + ", ".join(self.result["put_back"])
            error.args = ("\n".join([text, *notes]),)
        self.transaction.finish()

    def bring_back_units(self, touched: dict[str, bool]) -> list[str]:
        """Restart what ran before, stop what did not; returns what could not be brought back."""
        notes = []
        wanted = {want["name"]: want for want in self.want["units"]}
        for name, was_running in touched.items():
            want = wanted.get(name, {"name": name, "ready": None, "reload_command": None})
            try:
                units.perform(want, "restart" if was_running else "stop", self.deadline)
            except Failure as failure:
                notes.append("with the earlier files: %s" % failure)
        return notes


def _verb(state: str, reason: str) -> str:
    return "remove" if state == "absent" else "create" if reason == "missing" else "update"
