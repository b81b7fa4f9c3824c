# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.application_endpoints`: see plugin_utils/applications.py and playbooks/vars/wiring.yml, its one user."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract

DOCUMENTATION = """
name: application_endpoints
short_description: What answers requests, with its listeners as one host reaches them
version_added: 0.1.0
description:
  - For nginx, which passes requests on, and for monitoring, which asks for metrics.
options:
  _input:
    description: The dictionary C(applications), as docs/applications.md describes it.
    type: dict
    required: true
  peers:
    description: C(wiring.peers) of P(playbooks/vars/wiring.yml).
    type: dict
    required: true
"""
EXAMPLES = """
- name: Show where each application is reached
  ansible.builtin.debug:
    msg: "{{ applications | slipway.stack.application_endpoints(wiring.peers) }}"
"""
RETURN = """
_value:
  description: C(application), C(process), C(service), C(health) and C(listeners) of each.
  type: list
  elements: dict
"""


def application_endpoints(applications: Any, peers: Any) -> list[dict[str, Any]]:
    """One entry for each asgi and wsgi process."""
    return contract.endpoints(applications, peers) if contract.fits(applications) else []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {"application_endpoints": application_endpoints}
