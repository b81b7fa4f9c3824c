# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.environment_file`: see module_utils/environment.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.stack.plugins.module_utils.environment import InvalidEnvironmentError, file_text

DOCUMENTATION = """
name: environment_file
short_description: Write an environment as systemd reads it
version_added: 0.1.0
description:
  - Gives the content of a file for C(EnvironmentFile=), sorted by name and quoted.
  - V(true) and V(false) are written so, lists and dictionaries as JSON.
options:
  _input:
    description: Names with their values.
    type: dict
    required: true
"""
EXAMPLES = """
- name: Settings of the shop
  slipway.stack.state:
    files:
      - {path: /etc/shop/shop.env, content: "{{ {'DEBUG': false, 'HOSTS': ['a', 'b']} | slipway.stack.environment_file }}"}
"""
RETURN = """
_value:
  description: One line per name.
  type: str
  sample: 'DEBUG="false"'
"""

MANAGED = "# Managed by Ansible (slipway.stack): changes by hand are overwritten\n"


def environment_file(values: Any) -> str:
    """The whole content of the file."""
    if not isinstance(values, Mapping):
        raise AnsibleFilterError(f"environment_file: {values!r:.80} is no dictionary of names with their values")
    try:
        return MANAGED + file_text(values)
    except InvalidEnvironmentError as error:
        raise AnsibleFilterError(f"environment: {error}") from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"environment_file": environment_file}
