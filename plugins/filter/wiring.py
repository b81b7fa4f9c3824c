# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.wiring`: see plugin_utils/wiring.py and playbooks/vars/wiring.yml, its one user."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.stack.plugins.plugin_utils.wiring import WiringError, build

DOCUMENTATION = """
name: wiring
short_description: Derive listeners, clients and firewall rules from the table of services and flows
version_added: 0.1.0
description:
  - Resolves P(playbooks/vars/wiring.yml) against the inventory for one host.
options:
  _input:
    description: The table of services.
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
  host:
    description: The host to derive for.
    type: str
    required: true
  admin_sources:
    description: Networks that count as C(admin).
    type: list
    elements: str
    required: true
"""
EXAMPLES = """
- name: Show what reaches this host
  ansible.builtin.debug:
    msg: "{{ (wiring_services | slipway.stack.wiring(wiring_flows, groups, hostvars, inventory_hostname, ['any'])).inbound }}"
"""
RETURN = """
_value:
  description: Rules, listen addresses, clients and peers of the host.
  type: dict
"""


def wiring(services: Any, flows: Any, groups: Any, hostvars: Any, host: str, admin_sources: Any) -> dict[str, Any]:
    """Everything one host needs to know of the table; errors name the variable."""
    try:
        return build(services, flows, groups, hostvars, host, admin_sources)
    except WiringError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"wiring": wiring}
