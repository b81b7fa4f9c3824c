# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.sites`: see plugin_utils/sites.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import sites as plan

DOCUMENTATION = """
name: sites
short_description: The sites of the role nginx with everything that an entry leaves out
version_added: 0.1.0
description:
  - What C(nginx_sites) says, completed by the role's own defaults, and the names of files, upstreams and variables that follow from it.
options:
  _input:
    description: C(nginx_sites), as the role's inputs describe it.
    type: list
    elements: dict
    required: true
  defaults:
    description: What a site has that does not say otherwise.
    type: dict
    required: true
  flower:
    description: Flower as C(address:port), which the first site shows at C(/flower/) to internal clients. Empty means none.
    type: str
"""
EXAMPLES = """
__nginx_sites: "{{ nginx_sites | slipway.stack.sites(__nginx_site_defaults) }}"
"""
RETURN = """
_value:
  description: The sites, complete.
  type: list
  elements: dict
"""


class FilterModule:
    """Filters of the role nginx."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"sites": plan.complete}
