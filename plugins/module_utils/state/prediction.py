# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one call would change on the host as it is now. Check mode reports this and stops; the real run reports the same."""

from __future__ import annotations

from . import accounts, files, packages, units
from .host import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLANNED = float("inf")


class Prediction:
    """items: one per wanted thing. changing: paths that change, with the time at which they do."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.want = wanted
        self.items: list[dict[str, Any]] = []
        self.diffs: list[dict[str, str]] = []
        self.changing: dict[str, float] = {}
        self.restarted: list[str] = []
        self.reloaded: list[str] = []

    @property
    def changed(self) -> bool:
        return any(item["changed"] for item in self.items)

    def report(self, section: str, name: str, reasons: list[str], action: str) -> None:
        text = "; ".join(reasons)
        self.items.append({"section": section, "name": name, "changed": bool(reasons), "reason": text, "action": action if reasons else ""})

    def show(self, header: str, before: str, after: str) -> None:
        """A diff of one or two words."""
        self.diffs.append({"before_header": header, "after_header": header, "before": before and before + "\n", "after": after + "\n"})

    def amend(self, section: str, name: str, **values: Any) -> None:
        """Correct an item that turned out otherwise than predicted."""
        for item in self.items:
            if (item["section"], item["name"]) == (section, name):
                item.update(values)

    def make(self, unproven: dict[str, float]) -> None:
        """Compare every item with the host. unproven: paths that a killed run changed, with the time it did so."""
        asked_packages = packages.ask([want["name"] for want in self.want["packages"]])
        asked_units = units.ask([want["name"] for want in self.want["units"]])
        paths = self._paths()  # while the two programs run
        self._packages(asked_packages)
        self._accounts()
        self._commands()
        for section, want, have, reasons in paths:
            action = "remove" if want["state"] == "absent" else "create" if have.kind == "none" else "update"
            self.report(section, want["path"], reasons, action)
        self._units(asked_units, unproven)

    def _packages(self, asked: Running | None) -> None:
        known = packages.answer(asked, [want["name"] for want in self.want["packages"]])
        for want in self.want["packages"]:
            reason = packages.decide(want, known)
            action = "install" if want["state"] == "present" else "remove"
            self.report("packages", want["name"], [reason] if reason else [], action)
            if reason:
                self.show("package " + want["name"], reason, action)

    def _accounts(self) -> None:
        groups = [("group", want, accounts.decide_group(want, accounts.group(want["name"]))) for want in self.want["groups"]]
        users = [("user", want, accounts.decide_user(want, accounts.user(want["name"]))) for want in self.want["users"]]
        for kind, want, reason in groups + users:
            action = "remove" if want["state"] == "absent" else "create" if reason == "missing" else "update"
            self.report(kind + "s", want["name"], [reason] if reason else [], action)
            if reason:
                self.show(f"{kind} {want['name']}", reason, action)

    def _commands(self) -> None:
        for want in self.want["commands"]:
            there = files.OnDisk(want["creates"]).kind != "none"
            self.report("commands", want["creates"], [] if there else ["missing"], "create")
            if not there:
                self.show("command " + " ".join(want["argv"]), "", want["creates"])

    def _paths(self) -> list[tuple[str, dict[str, Any], files.OnDisk, list[str]]]:
        found = []
        for section, decide in (("directories", files.decide_directory), ("files", files.decide_file)):
            for want in self.want[section]:
                have = files.OnDisk(want["path"])
                reasons = decide(want, have)
                found.append((section, want, have, reasons))
                if reasons:
                    self.changing[want["path"]] = PLANNED
                    if self.want["diff"]:
                        self.diffs.append(files.diff(want, have, reasons))
        return found

    def _units(self, asked: Running | None, unproven: dict[str, float]) -> None:
        have = units.answer(asked, [want["name"] for want in self.want["units"]])
        reasons = units.daemon_reload_reasons(self.changing, have)
        if reasons:
            self.report("units", "systemd", reasons, "daemon-reload")
        for want in self.want["units"]:
            name = want["name"]
            plan = units.decide(want, have[name], {**unproven, **self.changing}, units.reloaded_at(name))
            words = " ".join(plan.words())
            self.report("units", name, plan.reasons, words)
            if plan.reasons:
                self.show("unit " + name, "; ".join(plan.reasons), words)
            if plan.action == "restart":
                self.restarted.append(name)
            elif plan.action == "reload":
                self.reloaded.append(name)
