# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.application_sites`: see plugin_utils/applications.py and playbooks/vars/wiring.yml, its one user."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract

DOCUMENTATION = """
name: application_sites
short_description: The domains of all applications as sites of the role nginx
version_added: 0.1.0
description:
  - Gives each domain its name, and the listeners of the processes that answer for it.
options:
  _input:
    description: The dictionary C(applications), as docs/applications.md describes it.
    type: dict
    required: true
  peers:
    description: C(wiring.peers) of P(playbooks/vars/wiring.yml).
    type: dict
    required: true
  shares:
    description: For each application whose new release runs beside the present one, the percent of its requests that it gets.
    type: dict
"""
EXAMPLES = """
- name: Show the sites of this inventory
  ansible.builtin.debug:
    msg: "{{ applications | slipway.stack.application_sites(wiring.peers) }}"
"""
RETURN = """
_value:
  description: What C(nginx_sites) of the role nginx takes.
  type: list
  elements: dict
"""


def application_sites(applications: Any, peers: Any, shares: Any = None) -> list[dict[str, Any]]:
    """One site for each domain; none where the contract is wrong, which the validation says."""
    return contract.sites(applications, peers, shares) if contract.fits(applications) else []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"application_sites": application_sites}
