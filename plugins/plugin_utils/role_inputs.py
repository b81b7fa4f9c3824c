# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A role on its own: its inputs checked before its first task, as playbooks/validate.yml does for a whole inventory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.slipway.stack.plugins.plugin_utils import arguments, checks, platform


def refuse_wrong(role: Path, spec: Mapping[str, Any], variables: Mapping[str, Any], templar: Any, base: str) -> None:
    """Raise AnsibleActionFail with every problem of the role's inputs on this host."""
    values, found = {}, []
    for name, option in spec.items():
        if name not in variables:
            continue
        try:
            value = templar.template(variables[name])
        except AnsibleError as error:
            found.append(arguments.Problem(name, f"not to be resolved: {str(error.message)[:120]}", "variables that exist"))
            continue
        values[name] = arguments.typed(value, str(option.get("type", "str")))
    facts = variables.get("ansible_facts") or {}
    known: dict[str, Any] = {}
    if "distribution_release" in facts:
        try:
            known = {"ansible_facts": facts, "platform": platform.platform(facts)}
        except platform.PlatformError as error:
            raise AnsibleActionFail(str(error)) from None
        known["host_addresses"] = [*facts.get("all_ipv4_addresses", []), *facts.get("all_ipv6_addresses", [])]
    found += checks.of_role(role, values, known, base)
    if found:
        sentences = [problem.sentence() for problem in found]
        raise AnsibleActionFail(arguments.message(f"The inputs of the role {role.name} have", sentences, "nothing was changed."))
