# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.application_wiring`: see plugin_utils/applications.py and playbooks/vars/wiring.yml, its one user."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract

DOCUMENTATION = """
name: application_wiring
short_description: What the applications add to the table of services and flows
version_added: 0.1.0
description:
  - A service for each process that answers requests, a flow for each connection that an application names, and the timers of what runs by
    the clock.
  - A contract that is wrong adds nothing; the validation says why.
options:
  _input:
    description: The dictionary C(applications), as docs/applications.md describes it.
    type: dict
    required: true
  groups:
    description: The inventory's groups.
    type: dict
    required: true
"""
EXAMPLES = """
- name: Show what the applications listen on
  ansible.builtin.debug:
    msg: "{{ (applications | slipway.stack.application_wiring(groups)).services }}"
"""
RETURN = """
_value:
  description: C(services) and C(flows), in the shape of P(playbooks/vars/wiring.yml), and C(timers), a list of units.
  type: dict
"""


def application_wiring(applications: Any, groups: Any) -> dict[str, Any]:
    """Services and flows; none where the contract is wrong."""
    if not contract.fits(applications):
        return {"services": {}, "flows": [], "timers": []}
    return {
        "services": contract.services(applications),
        "flows": contract.flows(applications, groups),
        "timers": contract.timers(applications),
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"application_wiring": application_wiring}
