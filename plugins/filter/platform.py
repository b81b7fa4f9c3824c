# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.platform`: see plugin_utils/platform.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.stack.plugins.plugin_utils import platform as table

DOCUMENTATION = """
name: platform
short_description: Versions of what a host's distribution brings
version_added: 0.1.0
description:
  - Roles compare versions instead of code names. The table is C(plugins/plugin_utils/platform.py).
options:
  _input:
    description: C(ansible_facts) of the host, with the subset C(distribution).
    type: dict
    required: true
"""
EXAMPLES = """
- name: Show whether nginx knows the directive http2
  ansible.builtin.debug:
    msg: "{{ (ansible_facts | slipway.stack.platform).nginx is version('1.25.1', '>=') }}"
"""
RETURN = """
_value:
  description:
    - C(release), C(system), C(tested), and the versions C(systemd), C(openssh), C(openssl), C(nginx), C(postgresql), C(pgbouncer),
      C(pgbouncer_exporter), C(redis), C(python) as text.
  type: dict
"""


def platform(facts: Any) -> dict[str, Any]:
    """The row of the host's system; an unknown one is an error that lists those there are."""
    try:
        return table.platform(facts)
    except table.PlatformError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters on facts."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"platform": platform}
