# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.wiring_pairs`: see plugin_utils/wiring.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.stack.plugins.plugin_utils.wiring import Wiring, WiringError

DOCUMENTATION = """
name: wiring_pairs
short_description: List every pair of hosts on every known port, and whether the flows allow it
version_added: 0.1.0
description:
  - What a test of reachability needs. Each allowed pair must connect, each other one must not.
options:
  _input:
    description: The table of services, C(wiring_services) of P(playbooks/vars/wiring.yml).
    type: dict
    required: true
  flows:
    description: The table of flows, each with C(to) and C(from).
    type: list
    elements: dict
    required: true
  groups:
    description: The inventory's groups.
    type: dict
    required: true
  hostvars:
    description: The inventory's variables by host.
    type: dict
    required: true
"""
EXAMPLES = """
- name: Write the pairs for a test
  ansible.builtin.copy:
    dest: pairs.json
    content: "{{ wiring_services | slipway.stack.wiring_pairs(wiring_flows, groups, hostvars) | to_json }}"
    mode: "0644"
"""
RETURN = """
_value:
  description: The pairs, each with the two hosts, the address, the port and whether it is allowed.
  type: list
  elements: dict
"""


def wiring_pairs(services: Any, flows: Any, groups: Any, hostvars: Any) -> list[dict[str, Any]]:
    """Every pair of the inventory; errors name the variable."""
    try:
        return Wiring(services, flows, groups, hostvars).pairs()
    except WiringError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"wiring_pairs": wiring_pairs}
