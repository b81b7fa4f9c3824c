# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An environment on Google Cloud and what is asked of it, against playbooks/gcp/vars: every problem in one message."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.stack.plugins.plugin_utils import arguments, checks, inventory_files
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import Problem

VARS = Path(__file__).resolve().parents[2] / "playbooks" / "gcp" / "vars"
DERIVED = ("run", "sql", "canary", "health", "recovery")
"""What vars/defaults.yml makes of the environment; the checks may speak of it."""
AMBIENT = ("CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT")


class ActionModule(ActionBase):
    """Fails with all that is wrong with this environment; nothing is sent."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        operations = arguments.load(VARS / "operations.yml")
        operation = self._task.args.get("operation")
        if operation not in operations["operation_specs"]:
            raise AnsibleActionFail(f"operation is {operation!r}; allowed: {', '.join(operations['operation_specs'])}")
        asked: dict[str, Any] = operations["operation_specs"][operation] or {}
        environment: dict[str, Any] = arguments.load(VARS / "spec.yml")["environment_spec"]
        prefixes = tuple(f"{prefix}_" for prefix in operations["operation_prefixes"])
        values, found = self.values(variables, {**environment, **asked}, ("gcp_", *prefixes))
        found += arguments.missing(environment, values) + arguments.missing(asked, values)
        known = checks.read(VARS / "checks.yml")
        found += checks.not_told(checks.value_problems(known, values, {**environment, **asked}), found)
        scope = {**values, **self.derived(variables), "inventory_hostname": variables["inventory_hostname"], "operation": operation}
        scope["environments"] = sorted(variables["groups"].get("gcp", []))
        scope["ambient"] = {name: os.environ[name] for name in AMBIENT if os.environ.get(name)}
        found += checks.not_told(checks.relation_problems(known, scope, found, facts=False), found)
        if not found:
            return {"changed": False}
        for problem in found:
            problem.where = problem.where or inventory_files.where(next((name for name in variables if name == problem.root), None))
        sentences = list(dict.fromkeys(problem.sentence() for problem in found))
        what = f"The environment {variables['inventory_hostname']} has"
        return {"failed": True, "msg": arguments.message(what, sentences, "nothing was sent to Google.")}

    def values(self, variables: Mapping[str, Any], spec: arguments.Spec, prefixes: tuple[str, ...]) -> tuple[dict[str, Any], list[Problem]]:
        """The variables of the environment and of the run, templated; what is wrong with their names and types."""
        values: dict[str, Any] = {}
        found: list[Problem] = []
        for name in variables:
            if not str(name).startswith(prefixes):
                continue
            if name not in spec:
                near = difflib.get_close_matches(str(name), spec, n=1, cutoff=0.7)
                hint = f"did you mean {near[0]}? " if near else ""
                same = [known for known in spec if known.split("_")[0] == str(name).split("_")[0]]
                found.append(Problem(str(name), "a name that nobody reads here", f"{hint}Names: {', '.join(same) or 'none'}"))
                continue
            try:
                values[str(name)] = self._templar.template(variables[name])
            except AnsibleError as error:
                found.append(
                    Problem(str(name), f"not to be resolved: {' '.join(str(error.message).split())[:160]}", "variables that exist")
                )
                continue
            found += arguments.problems_of(str(name), values[str(name)], spec[name])
            values[str(name)] = arguments.typed(values[str(name)], str(spec[name].get("type", "str")))
        return values, found

    def derived(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What can be derived; what cannot depends on a value whose problem is told."""
        found = {}
        for name in DERIVED:
            try:
                found[name] = self._templar.template(variables.get(name))
            except AnsibleError:
                continue
        return found
