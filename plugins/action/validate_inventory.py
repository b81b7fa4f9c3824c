# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collects inventory, argument specs, checks and wiring, and says everything that is wrong in one message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract
from ansible_collections.slipway.stack.plugins.plugin_utils import arguments, checks, inventory_files, platform
from ansible_collections.slipway.stack.plugins.plugin_utils import inventory_check as check
from ansible_collections.slipway.stack.plugins.plugin_utils import wiring as table
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import Problem
from ansible_collections.slipway.stack.plugins.plugin_utils.inventory_files import origin, where

COLLECTION = Path(__file__).resolve().parents[2]
PLAYBOOKS = COLLECTION / "playbooks"
ON_EVERY_HOST = {"hardening", "firewall", "monitoring"}
WITH = {"certificates": "nginx"}
"""Roles that the hosts of another role's group get."""
PLACES = {"inventory_file", "inventory_dir", "inventory_hostname", "inventory_hostname_short", "group_names"}
CONNECTION = ("ansible_user", "ansible_port", "ansible_host", "ansible_connection", "ansible_ssh_user")
SINGLE = {"postgres": "PostgreSQL", "redis": "Redis"}
"""Roles that one host has: a second one would be a second database, which nothing keeps equal to the first."""

Spec = dict[str, dict[str, Any]]


def role_specs() -> dict[str, Spec]:
    """Role name to the options of its argument spec."""
    paths = sorted((COLLECTION / "roles").glob("*/meta/argument_specs.yml"))
    return {path.parts[-3]: arguments.options_of(path.parents[1]) for path in paths}


class ActionModule(ActionBase):
    """Fails on the play's first host with one message that lists every problem of the inventory.

    `stage`: files (the inventory's files, for a play without hosts), inventory (all that needs no facts), facts (the rest).
    """

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect, check, report."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        self.groups: dict[str, list[str]] = {str(group): [str(host) for host in hosts] for group, hosts in variables["groups"].items()}
        self.manager = variables["hostvars"]._variable_manager
        self.inventory = variables["hostvars"]._inventory
        stage = self._task.args.get("stage", "inventory")
        if stage == "files":
            # Where there are hosts, the next play tells them together with everything else.
            return self._answer([] if self.groups["all"] else [("", problem) for problem in self.file_problems()], {})
        fact = "slipway_inventory_valid" if stage == "facts" else "slipway_inventory_checked"
        # Not by `run_once`: since ansible-core 2.20 its facts are one object for all hosts, and what one learns later, all have.
        if variables.get("inventory_hostname") != next(iter(variables.get("ansible_play_hosts") or []), None):
            return self._answer([], {fact: True})
        self.unresolved: set[str] = set()
        self.contexts: dict[str, dict[str, Any]] = {}
        self.defaults: dict[str, dict[str, Any]] = {}
        self.specs = role_specs()
        self.site: Spec = {**arguments.load(PLAYBOOKS / "vars" / "site_spec.yml"), **contract.spec()}
        self.derived = set(arguments.load(PLAYBOOKS / "vars" / "wiring.yml"))
        self.checks = {role: checks.read(COLLECTION / "roles" / role / "meta" / "checks.yml") for role in self.specs}
        self.given = {host: self.inventory_variables(self.inventory.get_host(host)) for host in self.groups["all"]}
        if stage == "facts":
            return self._answer(self.problems_of_facts(variables), {fact: True})
        return self._answer(self.problems_of_inventory(variables), {fact: True})

    def _answer(self, found: list[tuple[str, Problem]], facts: dict[str, bool]) -> dict[str, Any]:
        sentences = [problem.sentence() for problem in check.merge(found)]
        if sentences:
            sentences = list(dict.fromkeys(arguments.without_secrets(sentence, self.secrets()) for sentence in sentences))
        if not sentences:
            return {"changed": False, "ansible_facts": facts}
        return {"failed": True, "msg": arguments.message("The inventory has", sentences, "no host was touched.")}

    def secrets(self) -> set[str]:
        """What the inventory holds as secrets: wherever one of them was put by mistake, a message does not show it."""
        found: set[str] = set()
        for given in getattr(self, "given", {}).values():
            for name, value in given.items():
                if name.startswith(("vault_", "secret_")) or self.option_of(name).get("no_log"):
                    found |= arguments.leaves(value)
        return found

    # -- everything that needs no facts ------------------------------------------------------------------------------

    def problems_of_inventory(self, variables: Mapping[str, Any]) -> list[tuple[str, Problem]]:
        """(host, problem) of files, names, types, values, relations, wiring and pools."""
        found: list[tuple[str, Problem]] = [("", problem) for problem in self.file_problems() + self.group_problems()]
        services, flows = self.wiring_table(variables)
        addresses = {host: self.wiring_values(host, services) for host in self.groups["all"]}
        wiring_problems = table.problems_of(services, flows, self.groups, addresses, self.specs)
        found += [(self.host_of(error.variable), self.placed_anywhere(error)) for error in wiring_problems]
        self.wiring = None if wiring_problems else (services, flows, addresses)
        values: dict[str, dict[str, Any]] = {}
        told: dict[str, list[Problem]] = {}
        for host in self.groups["all"]:
            values[host], told[host] = self.host_values(host)
        everything_told = [problem for problems in told.values() for problem in problems]
        self.unresolved = {problem.root for problem in everything_told if problem.given.startswith("not to be resolved")}
        for host in self.groups["all"]:
            told[host] += self.check_host(host, values, told[host] + [problem for _host, problem in found], facts=False)
            found += [(host, problem) for problem in told[host]]
        found += [("", problem) for problem in self.application_problems(values, everything_told)]
        found += [("", problem) for problem in self.not_said(variables)]
        wrong = {problem.root for _host, problem in found}
        found += [("", problem) for problem in self.pool_problems(values, wrong)]
        return self.causes(found)

    def causes(self, found: list[tuple[str, Problem]]) -> list[tuple[str, Problem]]:
        """Without what only follows from another problem: derived values and defaults that nobody gave, and a port told by its role."""
        own = {(host, problem.variable) for host, problem in found}
        kept = [
            (host, problem)
            for host, problem in found
            if (host, problem.variable.partition(" of ")[0]) not in own - {(host, problem.variable)}
        ]

        def follows(host: str, problem: Problem) -> bool:
            if not host or problem.root in self.given[host]:
                return False
            if problem.root in self.derived or problem.given.startswith("not to be resolved"):
                return True
            default = set(re.findall(r"[a-z]\w+", str(self.contexts.get(host, {}).get(problem.root, ""))))
            return bool(default & roots - {problem.root})

        roots = {problem.root for _host, problem in kept}

        causes = [(host, problem) for host, problem in kept if not follows(host, problem)]
        return causes or kept

    def file_problems(self) -> list[Problem]:
        """Of the inventory's files."""
        return inventory_files.problems([str(source) for source in self.inventory._sources or []], self.groups)

    def group_problems(self) -> list[Problem]:
        """Groups that are nearly a role's, roles that need another one, and second primaries."""
        found = check.unknown_groups(self.groups, self.specs, {"all", "ungrouped"})
        for problem in found:
            hosts = self.groups.get(problem.variable.removeprefix("group ")) or self.groups["all"]
            problem.where = self.place_of_host(hosts[0])
        for role, what in SINGLE.items():
            if len(self.groups.get(role, [])) > 1:
                given = f"{', '.join(self.groups[role])}: {len(self.groups[role])} hosts"
                found.append(
                    Problem(
                        f"group {role}", given, f"one host: a second {what} would hold other data", self.place_of_host(self.groups[role][1])
                    )
                )
        if table.has_role("localhost", self.groups):
            given = "in " + ", ".join(group for group, hosts in self.groups.items() if "localhost" in hosts and group in self.specs)
            allowed = (
                "a name of its own, with ansible_host: 127.0.0.1 where it is this machine; localhost is Ansible's word for the controller"
            )
            found.append(Problem("host localhost", given, allowed, self.place_of_host("localhost")))
        for role in sorted(set(self.specs) - ON_EVERY_HOST):
            if not self.groups.get(WITH.get(role, role)):
                found += self.set_for_nobody(role)
        if self.groups.get("pgbouncer") and not self.groups.get("postgres"):
            allowed = "a host in the group postgres, which pgbouncer is connected to"
            found.append(Problem("group postgres", "empty or missing", allowed, self.place_of_host(self.groups["pgbouncer"][0])))
        return found

    def set_for_nobody(self, role: str) -> list[Problem]:
        """Variables of a role that no host has: a backup that is configured, and never made."""
        given = {
            name: value
            for values in self.given.values()
            for name, value in values.items()
            if name in self.specs[role] and name not in self.derived
        }
        named = [name for name in given if self.written_by_somebody(name)]
        if not named:
            return []
        group = WITH.get(role, role)
        allowed = (
            f"nothing without a host in the group {group} (or take {', '.join(named[1:4])} away too)"
            if named[1:]
            else f"a host in the group {group}"
        )
        return [self.placed(Problem(named[0], f"set, but the group {group} has no host", allowed), given)]

    def place_of_host(self, host: str) -> str:
        """File and line of a host's variables, else the inventory's first file."""
        entry = self.inventory.get_host(host)
        for name in entry.vars:
            if where(name):
                return where(name)
        sources = [Path(str(source)) for source in self.inventory._sources or []]
        files = [path / "hosts.yml" if path.is_dir() else path for path in sources]
        return f"{inventory_files.shown_path(files[0])}:1" if files and files[0].exists() else ""

    # -- the wiring --------------------------------------------------------------------------------------------------

    def wiring_table(self, variables: Mapping[str, Any]) -> tuple[Any, Any]:
        """Services and flows of this inventory: the base table, and what the inventory adds."""
        base = arguments.load(PLAYBOOKS / "vars" / "wiring.yml")
        given = next(iter(self.given.values()), {})
        services, flows = dict(base["wiring_base_services"]), list(base["wiring_base_flows"])
        applications = self._resolved(given, "applications", variables)
        if applications and contract.fits(applications):
            services.update(contract.services(applications))
            flows += contract.flows(applications, self.groups)
        extra_services = self._resolved(given, "wiring_extra_services", variables)
        extra_flows = self._resolved(given, "wiring_extra_flows", variables)
        if isinstance(extra_services, Mapping):
            services.update(extra_services)
        if isinstance(extra_flows, (list, tuple)):
            flows += extra_flows
        return services, flows

    def _resolved(self, given: Mapping[str, Any], name: str, variables: Mapping[str, Any]) -> Any:
        if name not in given:
            return None
        try:
            return Templar(loader=self._loader, variables=dict(variables)).template(given[name])
        except AnsibleError:
            return None  # told with the variable's own problems

    def wiring_values(self, host: str, services: Any) -> dict[str, Any]:
        """What the wiring asks of a host: addresses, ports, switches; effective and templated."""
        entry = self.inventory.get_host(host)
        context = self.context(host, entry)
        names = {"private_address", "ansible_host", "ansible_connection"}
        for service in services.values() if isinstance(services, Mapping) else []:
            if isinstance(service, Mapping):
                names |= {str(service[key]) for key in ("variable", "count_variable", "enabled_variable") if service.get(key)}
        templar = Templar(loader=self._loader, variables=context)
        found = {}
        for name in names & set(context):
            try:
                found[name] = arguments.typed(templar.template(context[name]), self.option_of(name).get("type", "str"))
            except AnsibleError:
                continue  # told with the variable's own problems
            if found[name] is None or arguments.problems_of(name, found[name], self.option_of(name)):
                del found[name]
        return found

    def option_of(self, name: str) -> Mapping[str, Any]:
        """The option of a variable, in whichever role has it."""
        return next((spec[name] for spec in self.specs.values() if name in spec), self.site.get(name, {"type": "raw"}))

    def host_of(self, variable: str) -> str:
        """The host a wiring problem is about: `postgres_port of data1`."""
        return variable.rpartition(" of ")[2] if " of " in variable else ""

    def placed_anywhere(self, error: table.WiringError) -> Problem:
        """A wiring problem with the file and line of its variable, or of its host."""
        host = self.host_of(error.variable)
        problem = Problem(error.variable, error.given, error.allowed)
        hosts = [host] if host in self.given else list(self.given)
        for name in hosts:
            problem = self.placed(problem, self.given[name])
            if problem.where:
                return problem
        problem.where = self.place_of_host(host) if host in self.given else self.place_of_host(self.groups["all"][0])
        return problem

    # -- one host ----------------------------------------------------------------------------------------------------

    def roles_of(self, host: str) -> set[str]:
        """Roles that `host` gets."""
        return {role for role in self.specs if role in ON_EVERY_HOST or host in self.groups.get(WITH.get(role, role), [])}

    def host_values(self, host: str, only: Container[str] | None = None) -> tuple[dict[str, Any], list[Problem]]:
        """Effective values of `host` (role defaults below inventory and wiring, templated), and what is wrong with names and types.

        `only`: the variables that are asked for, all without it."""
        entry = self.inventory.get_host(host)
        given = self.given[host]
        foreign = given.get("own_foreign_prefixes") or []
        foreign = [str(prefix) for prefix in foreign] if isinstance(foreign, (list, tuple)) else []
        known = {option for spec in self.specs.values() for option in spec} | set(self.site) | self.derived
        problems = check.unknown_variables(
            [name for name in given if self.written_by_somebody(name)], known, [prefix for prefix in foreign if prefix]
        )
        for name in sorted((set(given) & self.derived) - set(self.site)):
            allowed = "nothing: the wiring derives it; see playbooks/vars/wiring.yml for what to set instead"
            problems.append(Problem(str(name), "set in the inventory", allowed))
        context = self.context(host, entry)
        if self.wiring is not None:
            services, flows, addresses = self.wiring
            sources = given.get("firewall_admin_sources", ["any"])
            sources = sources if isinstance(sources, (list, tuple)) else ["any"]
            context["wiring"] = table.build(services, flows, self.groups, addresses, host, [str(source) for source in sources])
        templar = Templar(loader=self._loader, variables=context)
        values: dict[str, Any] = {}
        for role in sorted(self.roles_of(host)):
            for name, option in self.specs[role].items():
                if name in context and (only is None or name in only):
                    problems += self.value_of(name, option, context, templar, values, given)
            problems += arguments.missing(self.specs[role], context)
        for name, option in self.site.items():
            if name in given and (only is None or name in only):
                problems += self.value_of(name, option, context, templar, values, given)
        return values, [self.placed(problem, given) for problem in problems]

    def value_of(
        self,
        name: str,
        option: Mapping[str, Any],
        context: Mapping[str, Any],
        templar: Templar,
        values: dict[str, Any],
        given: Mapping[str, Any],
    ) -> list[Problem]:
        """Put the effective value of a variable into `values`; returns what is wrong with its template or its type."""
        try:
            value = templar.template(context[name])
        except AnsibleError as error:
            # What needs facts is known later; what the wiring cannot derive is told as a problem of the wiring.
            if "ansible_facts" in str(error) or (self.wiring is None and (name in self.derived or "slipway.stack." in str(error))):
                return []
            reason = " ".join(str(error.message).split())
            if arguments.has_secret(option):
                reason = re.sub(r"'([^']*)'", lambda found: found[0] if self.is_name(found[1]) else "'...'", reason)
            place = next(self.unresolved_in(name, context[name], templar), name)
            return [Problem(place, f"not to be resolved: {reason[:160]}", self.endpoints_hint(reason))]
        raw = context[name]
        quoted = isinstance(raw, str) and raw == value  # a text in the file, not what an expression gave
        problems = arguments.problems_of(name, value, option, top=quoted or not isinstance(value, str), inside=name == "applications")
        if name in given or name in self.derived:
            values[name] = arguments.typed(value, str(option.get("type", "str")))
            return problems
        values[name] = value
        return []

    def unresolved_in(self, name: str, raw: Any, templar: Templar) -> Iterator[str]:
        """The entries of a value whose templates fail, by name."""
        inner = raw.items() if isinstance(raw, Mapping) else enumerate(raw) if isinstance(raw, list) else ()
        for key, item in inner:
            yield from self.unresolved_in(f"{name}[{key}]" if isinstance(raw, list) else f"{name}.{arguments.one_line(key)}", item, templar)
        if isinstance(raw, str):
            try:
                templar.template(raw)
            except AnsibleError:
                yield name

    def is_name(self, text: str) -> bool:
        """Whether a word of a message about a secret is the name of a variable, and may be shown."""
        return re.fullmatch(rf"({'|'.join(check.OWN_PREFIXES)}|wiring_)\w+", text) is not None or self.option_of(text) != {"type": "raw"}

    def endpoints_hint(self, reason: str) -> str:
        """What may stand there instead of what cannot be resolved."""
        if re.search("(?i)vault|decrypt", reason):
            return "a value that a vault password of this run decrypts (--vault-password-file, --ask-vault-pass)"
        if "Syntax error" in reason:
            return "a template with as many }} as {{, and quotes that end"
        if "lookup plugin" in reason:
            return "a lookup that finds what it looks for"
        if not re.search("undefined|has no attribute", reason):
            return "an expression that gives a value"
        if "wiring" in reason or "has no attribute" in reason:
            return "variables that exist; wiring_endpoints has " + ", ".join(
                sorted(arguments.load(PLAYBOOKS / "vars" / "wiring.yml")["wiring_base_services"])
            )
        return "variables that exist"

    def written_by_somebody(self, name: Any) -> bool:
        """Not by an inventory plugin, which gives a host what its provider says."""
        return inventory_files.Origin is None or origin(name) is not None

    def inventory_variables(self, entry: Any) -> Mapping[str, Any]:
        """What the inventory and -e give to a host, without Ansible's own variables."""
        everything = self.manager.get_vars(host=entry, include_hostvars=False)
        others: set[str] = set(self.manager._get_magic_variables(play=None, host=entry, task=None, include_hostvars=False)) | PLACES
        # What tasks of this run registered, set or learned about the host.
        for learned in (self.manager._vars_cache, self.manager._nonpersistent_fact_cache):
            others |= set(learned.get(entry.name, {}))
        others |= set(everything.get("ansible_facts", {}))
        return {name: value for name, value in everything.items() if name not in others}

    def context(self, host: str, entry: Any) -> dict[str, Any]:
        """Variables as the roles of `host` will see them: defaults, inventory, wiring."""
        if host not in self.contexts:
            merged: dict[str, Any] = {}
            for role in self.roles_of(host):
                merged.update(self.defaults_of(role))
            merged.update(self.manager.get_vars(play=self._task.get_play(), host=entry))
            self.contexts[host] = merged
        return self.contexts[host]

    def defaults_of(self, role: str) -> dict[str, Any]:
        """A role's defaults, read once for all hosts."""
        if role not in self.defaults:
            path = COLLECTION / "roles" / role / "defaults" / "main.yml"
            self.defaults[role] = (self._loader.load_from_file(str(path), trusted_as_template=True) or {}) if path.exists() else {}
        return self.defaults[role]

    @staticmethod
    def placed(problem: Problem, given: Mapping[str, Any]) -> Problem:
        """The problem with the file and line of its variable, or of the first variable that it is about."""
        names = [problem.root, *re.findall(r"[a-z]\w+", problem.variable + " " + problem.given + " " + problem.allowed)]
        problem.where = problem.where or inventory_files.where_inside(given, problem.variable)
        problem.where = problem.where or next((where(name) for wanted in names for name in given if name == wanted), "")
        return problem

    # -- values and relations ----------------------------------------------------------------------------------------

    def check_host(self, host: str, values: Mapping[str, Mapping[str, Any]], told: list[Problem], *, facts: bool) -> list[Problem]:
        """What the checks of the host's roles, and those of the site, refuse."""
        mine: dict[str, Any] = {**self.asked_of_connection(host), **values[host], "inventory_hostname": host, "groups": self.groups}
        mine["source_base"] = str(self._loader.get_basedir())
        mine["site"] = {group: values[hosts[0]] for group, hosts in self.groups.items() if hosts and hosts[0] in values}
        found: list[Problem] = []
        for role in sorted(self.roles_of(host)):
            if not facts:
                found += checks.not_told(checks.value_problems(self.checks[role], values[host], self.specs[role]), told)
        known = [*told, *found]
        everything = [*(self.checks[role] for role in sorted(self.roles_of(host))), checks.read(PLAYBOOKS / "vars" / "site_checks.yml")]
        for each in everything:
            askable = [relation for relation in each["relations"] if not self.unresolved & set(re.findall(r"[a-z]\w+", str(relation)))]
            found += checks.not_told(checks.relation_problems({"relations": askable}, mine, known, facts=facts), known)
        if self.wiring is None:  # what needs the wiring has no value
            found = [problem for problem in found if problem.root not in self.given[host] or problem.root in values[host]]
        for problem in found:
            if problem.root not in self.given[host] and problem.given in ("''", "[]", "{}", "empty", "None"):
                problem.given = "missing"  # nobody gave it, and its default is for a laboratory
        for problem in [problem for problem in found if problem.root == "nginx_sites"]:
            # Derived from the applications' domains: told where it was written.
            given = values[host].get("applications", {})
            for name in ("variable", "given", "allowed"):
                setattr(problem, name, contract.told_as_domain(getattr(problem, name), given))
        found = [self.placed(problem, self.given[host]) for problem in found]
        for problem in found:
            if not problem.where and problem.variable.endswith(host):  # it is about the host itself
                problem.where = self.place_of_host(host)
        return found

    def asked_of_connection(self, host: str) -> dict[str, Any]:
        """How Ansible reaches the host, where the inventory says so."""
        context = {name: self.given[host][name] for name in CONNECTION if name in self.given[host]}
        templar = Templar(loader=self._loader, variables=dict(self.given[host]))
        found = {}
        for name, value in context.items():
            try:
                found[name] = templar.template(value)
            except AnsibleError:
                continue
        return found

    def problems_of_facts(self, variables: Mapping[str, Any]) -> list[tuple[str, Problem]]:
        """What only the hosts themselves can tell: their system, addresses and memory."""
        found: list[tuple[str, Problem]] = []
        services, flows = self.wiring_table(variables)
        addresses = {host: self.wiring_values(host, services) for host in self.groups["all"]}
        self.wiring = (services, flows, addresses)
        asked = checks.names_in([*self.checks.values(), checks.read(PLAYBOOKS / "vars" / "site_checks.yml")], facts=True)
        for host in self.groups["all"]:
            facts = variables["hostvars"][host].get("ansible_facts") or {}
            if "distribution_release" not in facts:
                continue  # not in this run (--limit)
            try:
                row = platform.platform(facts)
            except platform.PlatformError as error:
                found.append(
                    (
                        host,
                        Problem(
                            "the system",
                            str(error).split(";")[0].removeprefix("the host runs "),
                            platform.known(),
                            self.place_of_host(host),
                        ),
                    )
                )
                continue
            values, _told = self.host_values(host, asked)
            mine = {
                "ansible_facts": facts,
                "platform": row,
                "host_addresses": sorted(facts.get("all_ipv4_addresses", []) + facts.get("all_ipv6_addresses", [])),
            }
            found += [(host, problem) for problem in self.check_host(host, {host: {**values, **mine}}, [], facts=True)]
        return found

    # -- applications ------------------------------------------------------------------------------------------------

    def application_problems(self, values: Mapping[str, Mapping[str, Any]], told: list[Problem]) -> list[Problem]:
        """Of the contract `applications`, once for the whole inventory, and of the groups that it names."""
        host = next((host for host in self.groups["all"] if "applications" in values[host]), None)
        applications = values[host]["applications"] if host else {}
        found = checks.not_told(contract.problems(applications, str(self._loader.get_basedir())), told)
        if contract.fits(applications) and not any(problem.root == "applications" for problem in told):
            found += [*self.placement_problems(applications, values), *contract.without_broker(applications)]
        return [self.placed(problem, self.given[host or self.groups["all"][0]]) for problem in found]

    def placement_problems(self, applications: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
        """Processes without a host, hosts without a process, and connections to what runs nowhere."""
        places = contract.places(applications)
        for name, label, process in places:
            if not self.groups.get(process["hosts"]):
                near = difflib.get_close_matches(process["hosts"], [known for known, hosts in self.groups.items() if hosts], n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                variable = f"applications.{name}.processes.{label}.hosts"
                yield Problem(variable, repr(process["hosts"]), f"{hint}a group of this inventory with a host")
        for place, entry in contract.connections_of(applications):
            group = entry["to"].split("_")[0]
            if not self.groups.get(group):
                yield Problem(f"{place}.to", repr(entry["to"]), f"a service of this inventory: the group {group} has no host")
                continue
            # Accounts of pgbouncer are PostgreSQL's; a missing PostgreSQL is told by the wiring.
            server = values.get(next(iter(self.groups.get("redis" if group == "redis" else "postgres", [])), ""), {})
            for key, table_of in (("user", f"{'redis' if group == 'redis' else 'postgres'}_users"), ("database", "postgres_databases")):
                if not isinstance(server.get(table_of), (list, tuple)) or (key == "database" and group == "redis"):
                    continue
                known = [str(item["name"]) for item in server[table_of] if isinstance(item, Mapping) and "name" in item]
                if entry[key] not in known:
                    near = difflib.get_close_matches(str(entry[key]), known, n=1)
                    allowed = f"{f'did you mean {near[0]}? ' if near else ''}a name in {table_of}: {', '.join(known) or 'there is none'}"
                    yield Problem(f"{place}.{key}", repr(entry[key]), allowed)
        for group, types in (*contract.ROLES.items(), ("nginx", contract.ROLES["api"])):
            if self.groups.get(group) and not any(process["type"] in types for _name, _label, process in places):
                given = "without a process of type " + ", ".join(types)
                problem = Problem("applications", given if applications else "missing", f"at least one, for the hosts of the group {group}")
                problem.where = self.place_of_host(self.groups[group][0]) if not applications else ""
                yield problem

    def not_said(self, variables: Mapping[str, Any]) -> list[Problem]:
        """What a playbook cannot do without, and its user has not said: `playbook_inputs` of its import of validate.yml."""
        needed = [str(name) for name in variables.get("playbook_inputs") or []]
        given = {str(name) for values in self.given.values() for name in values}
        found = arguments.missing({name: {**self.site[name], "required": True} for name in needed}, given)
        for problem in found:
            problem.where = "CLI option '-e'"
        return found

    # -- pools -------------------------------------------------------------------------------------------------------

    def pool_problems(self, values: Mapping[str, Mapping[str, Any]], wrong: Iterable[str]) -> list[Problem]:
        """Pools of the whole inventory against max_connections. `wrong`: variables whose problems are told already."""
        servers, poolers = self.groups.get("postgres", []), self.groups.get("pgbouncer", [])
        wrong = set(wrong)
        names = ("postgres_max_connections", "postgres_superuser_reserved_connections", "pgbouncer_databases", "pgbouncer_users")
        names += ("pgbouncer_default_pool_size", "pgbouncer_reserve_pool_size", "pgbouncer_max_client_conn", "applications")
        if not servers or wrong & set(names):
            return []
        database, pooler = values[servers[0]], values[poolers[0]] if poolers else {}
        clients = contract.database_clients(values[servers[0]].get("applications", {}), self.groups)
        default = pooler.get("pgbouncer_default_pool_size", 0)
        pools = check.Pools(
            max_connections=database["postgres_max_connections"],
            superuser_reserved=database["postgres_superuser_reserved_connections"],
            users=len(pooler.get("pgbouncer_users", [])),
            sizes=[entry.get("pool_size") or default for entry in pooler.get("pgbouncer_databases", [])],
            reserve_pool_size=pooler.get("pgbouncer_reserve_pool_size", 0),
            poolers=len(poolers),
            # One connection each for the exporter, a migration and the running dump.
            direct=3,
            max_client_connections=pooler.get("pgbouncer_max_client_conn", 0),
            clients=clients,
        )
        given: dict[str, Any] = {}
        for host in [*servers, *poolers]:
            given.update({name: value for name, value in self.given[host].items() if name in names})
        return [self.placed(problem, given) for problem in pools.problems()]
