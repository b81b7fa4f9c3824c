# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.applications`: see plugin_utils/applications.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract
from ansible_collections.slipway.stack.plugins.plugin_utils.connections import ConnectionError

DOCUMENTATION = """
name: applications
short_description: What one role needs to know of every application on one host
version_added: 0.1.0
description:
  - Checks the contract, fills in its defaults, and derives units, commands, settings and connections.
options:
  _input:
    description: The dictionary C(applications), as docs/applications.md describes it.
    type: dict
    required: true
  role:
    description: V(api) for what answers requests, V(celery_workers) for what works in the background.
    type: str
    required: true
  host:
    description: The host.
    type: str
    required: true
  groups:
    description: The inventory's groups.
    type: dict
    required: true
  wiring:
    description: Where services listen and who their clients are, C(wiring) of P(playbooks/vars/wiring.yml). Without it, this host alone.
    type: dict
  connections:
    description: C(wiring_connections) of P(playbooks/vars/wiring.yml).
    type: dict
  running:
    description: The hosts of this play; the first of them that can migrates.
    type: list
    elements: str
  base:
    description: The folder that paths on the controller start from.
    type: str
  beside:
    description: Gives what runs beside them while a new release takes over, instead; of those whose releases do that.
    type: bool
"""
EXAMPLES = """
- name: Two applications on this host, without an inventory around them
  ansible.builtin.include_role:
    name: slipway.stack.api
  vars:
    api_applications: "{{ applications | slipway.stack.applications('api', inventory_hostname, {'api': [inventory_hostname]}) }}"
"""
RETURN = """
_value:
  description: One entry for each application that the role runs here.
  type: list
  elements: dict
"""


def applications(
    entries: Any,
    role: str,
    host: str,
    groups: Any,
    wiring: Any = None,
    connections: Any = None,
    running: Any = None,
    base: str = "",
    beside: bool = False,
) -> list[dict[str, Any]]:
    """The list for the role's input; errors name every problem."""
    try:
        return contract.on_host(entries, role, host, groups, wiring or {}, connections or {}, running or [host], base, beside)
    except (contract.ApplicationError, ConnectionError) as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"applications": applications}
