# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.application_steps`: see plugin_utils/applications.py and playbooks/deploy.yml, its one user."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract

DOCUMENTATION = """
name: application_steps
short_description: How new releases take over that run beside the present ones
version_added: 0.1.0
description:
  - Gives an entry for each share of the requests of each application that has a new release and a strategy of V(blue_green) or V(canary).
options:
  _input:
    description: The dictionary C(applications), as docs/applications.md describes it.
    type: dict
    required: true
  peers:
    description: C(wiring.peers) of P(playbooks/vars/wiring.yml).
    type: dict
    required: true
  built:
    description: What M(slipway.stack.release) answered on every host of the api.
    type: list
    elements: dict
    required: true
"""
EXAMPLES = """
- name: Show how the releases take over
  ansible.builtin.debug:
    msg: "{{ applications | slipway.stack.application_steps(wiring.peers, api_built.results) }}"
"""
RETURN = """
_value:
  description: The steps in their order.
  type: list
  elements: dict
"""


def application_steps(applications: Any, peers: Any, built: Any) -> list[dict[str, Any]]:
    """The steps; none where the contract is wrong, which the validation says."""
    return contract.steps(applications, peers, built) if contract.fits(applications) else []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"application_steps": application_steps}
