# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.certificate_sites`: see plugin_utils/sites.py and playbooks/vars/wiring.yml, its one user."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import sites as plan

DOCUMENTATION = """
name: certificate_sites
short_description: The sites of the role nginx as the role certificates takes them
version_added: 0.1.0
description:
  - Names each of them, all names that its certificate is for, the file with it, and whether an ACME authority issues it.
options:
  _input:
    description: C(nginx_sites), as the role's inputs describe it.
    type: list
    elements: dict
    required: true
  tls_mode:
    description: C(nginx_tls_mode), for sites that say nothing else.
    type: str
    required: true
"""
EXAMPLES = """
certificates_sites: "{{ nginx_sites | slipway.stack.certificate_sites(nginx_tls_mode) }}"
"""
RETURN = """
_value:
  description: What C(certificates_sites) of the role certificates takes.
  type: list
  elements: dict
"""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"certificate_sites": plan.certificates}
