# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collects inventory, argument specs and wiring, and hands them to plugin_utils/inventory_check.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.slipway.stack.plugins.plugin_utils import inventory_check as check
from ansible_collections.slipway.stack.plugins.plugin_utils.wiring import Wiring, WiringError

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # a core that does not keep origins: problems then name the host only
    Origin = None  # type: ignore[assignment,misc]

COLLECTION = Path(__file__).resolve().parents[2]
ON_EVERY_HOST = {"hardening", "firewall", "monitoring"}
PLACES = {"inventory_file", "inventory_dir", "inventory_hostname", "inventory_hostname_short", "group_names"}
WIRING = COLLECTION / "playbooks" / "vars" / "wiring.yml"

Spec = dict[str, dict[str, Any]]


def role_specs() -> dict[str, Spec]:
    """Role name to the options of its argument spec."""
    paths = sorted((COLLECTION / "roles").glob("*/meta/argument_specs.yml"))
    return {path.parts[-3]: yaml.safe_load(path.read_text())["argument_specs"]["main"].get("options", {}) for path in paths}


def where(name: Any) -> str:
    """File and line in which the variable `name` stands, relative to the working directory."""
    origin = Origin.get_tag(name) if Origin else None
    if origin is None or origin.path is None:
        return ""
    path = Path(str(origin.path))
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{origin.line_num}" if origin.line_num else str(shown)


class ActionModule(ActionBase):
    """Fails with one message that lists every problem of the inventory."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect, check, report."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        self.specs = role_specs()
        self.site: Spec = yaml.safe_load((COLLECTION / "playbooks" / "vars" / "site_spec.yml").read_text())
        self.derived = set(yaml.safe_load(WIRING.read_text()))
        self.groups: dict[str, list[str]] = {str(group): [str(host) for host in hosts] for group, hosts in variables["groups"].items()}
        self.manager = variables["hostvars"]._variable_manager
        self.inventory = variables["hostvars"]._inventory
        found: list[tuple[str, check.Problem]] = []
        values: dict[str, dict[str, Any]] = {}
        for host in self.groups["all"]:
            values[host], problems = self.host_problems(host)
            found += [(host, problem) for problem in problems]
        found += [("", problem) for problem in self.wiring_problems(variables, values)]
        found += [("", problem) for problem in self.pool_problems(values)]
        sentences = [problem.sentence() for problem in check.merge(found)]
        if sentences:
            count = f"{len(sentences)} problem" + ("s" if len(sentences) > 1 else "")
            message = f"The inventory has {count}; no host was touched.\n" + "\n".join(f"- {sentence}" for sentence in sentences)
            return {"failed": True, "msg": message}
        return {"changed": False, "ansible_facts": {"slipway_inventory_valid": True}}

    def roles_of(self, host: str) -> set[str]:
        """Roles that `host` gets."""
        return {role for role in self.specs if role in ON_EVERY_HOST or host in self.groups.get(role, [])}

    def host_problems(self, host: str) -> tuple[dict[str, Any], list[check.Problem]]:
        """Effective values of `host` (role defaults below inventory and wiring, templated), and what is wrong with them."""
        entry = self.inventory.get_host(host)
        given = self.inventory_variables(entry)
        known = {option for spec in self.specs.values() for option in spec} | set(self.site) | self.derived
        problems = []
        for problem in check.unknown_variables(given, known):
            problems.append(self.placed(problem, given))
        for name in sorted((set(given) & self.derived) - set(self.site)):
            allowed = "nothing: the wiring derives it; see playbooks/vars/wiring.yml for what to set instead"
            problems.append(self.placed(check.Problem(str(name), "set in the inventory", allowed), given))
        context = self.context(host, entry)
        templar = Templar(loader=self._loader, variables=context)
        values: dict[str, Any] = {}
        for role in sorted(self.roles_of(host)):
            spec = self.specs[role]
            for name, option in spec.items():
                if name not in context:
                    continue
                try:
                    values[name] = templar.template(context[name])
                except AnsibleError as error:
                    # What needs facts is known later; what the wiring can not derive is said once, by wiring_problems.
                    if not any(word in str(error) for word in ("ansible_facts", "slipway.stack.wiring")) and name not in self.derived:
                        problems.append(
                            self.placed(check.Problem(name, f"not to be resolved: {error.message}", "variables that exist"), given)
                        )
                    continue
                if name in given or name in self.derived:
                    problems += [self.placed(problem, given) for problem in check.wrong_values(name, values[name], option)]
            problems += check.missing_values(spec, context)
        for name in self.site:
            if name in given:
                values[name] = templar.template(given[name])
                problems += [self.placed(problem, given) for problem in check.wrong_values(name, values[name], self.site[name])]
        return values, problems

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
        merged: dict[str, Any] = {}
        for role in self.roles_of(host):
            path = COLLECTION / "roles" / role / "defaults" / "main.yml"
            if path.exists():
                merged.update(self._loader.load_from_file(str(path), trusted_as_template=True) or {})
        merged.update(self.manager.get_vars(play=self._task.get_play(), host=entry))
        return merged

    @staticmethod
    def placed(problem: check.Problem, given: Mapping[str, Any]) -> check.Problem:
        """The problem with the file and line of its variable."""
        root = problem.variable.split(".")[0].split("[")[0]
        problem.where = next((where(name) for name in given if name == root), "")
        return problem

    def wiring_problems(self, variables: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> list[check.Problem]:
        """Flows to nowhere, addresses that are none, two services on one port."""
        services, flows = self._templar.template(variables["wiring_services"]), self._templar.template(variables["wiring_flows"])
        try:
            hostvars = {host: {**self.addresses(variables["hostvars"][host]), **values[host]} for host in values}
            found = Wiring(services, flows, self.groups, hostvars).conflicts()
        except WiringError as error:
            found = [error]
        return [check.Problem(error.variable, error.given, error.allowed) for error in found]

    @staticmethod
    def addresses(variables: Mapping[str, Any]) -> dict[str, Any]:
        """The two variables that say where a host is, templated."""
        return {name: variables[name] for name in ("private_address", "ansible_host") if name in variables}

    def pool_problems(self, values: Mapping[str, Mapping[str, Any]]) -> list[check.Problem]:
        """Pools of the whole inventory against max_connections (PB-06, PG-11)."""
        servers, poolers = self.groups.get("postgres", []), self.groups.get("pgbouncer", [])
        if not servers or not poolers:
            return []
        try:
            return self._pools(values, servers[0], poolers).problems()
        except (KeyError, TypeError, ValueError):
            return []  # a value that is no number is reported already

    def _pools(self, values: Mapping[str, Mapping[str, Any]], server: str, poolers: list[str]) -> check.Pools:
        database, pooler = values[server], values[poolers[0]]
        clients = 0
        for host in self.groups.get("api", []):
            per_process = int(values[host]["api_database_pool_size"]) + int(values[host]["api_database_max_overflow"])
            clients += int(values[host]["api_instances"]) * int(values[host]["api_processes"]) * per_process
        for host in self.groups.get("celery_workers", []):
            clients += sum(int(queue["concurrency"]) for queue in values[host]["celery_workers_queues"])
        sizes = [int(entry.get("pool_size") or pooler["pgbouncer_default_pool_size"]) for entry in pooler["pgbouncer_databases"]]
        pairs = len(pooler["pgbouncer_users"]) or 1
        # One connection each for the exporter, a migration and the running dump.
        return check.Pools(
            max_connections=int(database["postgres_max_connections"]),
            superuser_reserved=int(database["postgres_superuser_reserved_connections"]),
            pairs=pairs * len(sizes),
            pool_size=max(sizes, default=0),
            reserve_pool_size=int(pooler["pgbouncer_reserve_pool_size"]),
            poolers=len(poolers),
            direct=3,
            max_client_connections=int(pooler["pgbouncer_max_client_conn"]),
            clients=clients,
        )
