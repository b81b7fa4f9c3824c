#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_inventory
short_description: Find what is wrong with an inventory before any host is touched
version_added: 0.1.0
author: Slipway maintainers (@slipway)
description:
  - Compares every variable of the inventory with the argument specs of the roles, and the roles with each other.
  - Lists all problems in one message, each with the variable, the value given, what is allowed, and the file it stands in.
  - Unknown variables (with the nearest known name), wrong types and choices, missing values, placeholder and short secrets,
    flows to groups that nobody knows, two services on one port, and connection pools beyond C(postgres_max_connections).
  - Runs on the controller; no connection is opened. Variables of an environment's own begin with C(own_), C(secret_) or C(vault_).
options: {}
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: N/A
    description: Would show what changed.
    details: Changes nothing, so there is no difference to show.
  idempotent:
    description: A second run with the same options, on a host that nobody else has changed, changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Check every variable of the inventory
  slipway.stack.validate_inventory:
"""

RETURN = r"""
ansible_facts:
  description: C(slipway_inventory_valid), so that a playbook imported later in the same run need not repeat the check.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Reached only when the action plugin is missing."""
    module = AnsibleModule({}, supports_check_mode=True)
    module.fail_json(msg="slipway.stack.validate_inventory runs on the controller; is its action plugin installed?")


if __name__ == "__main__":
    main()
