#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_environment
short_description: Find what is wrong with an environment on Google Cloud before anything is sent
version_added: 0.1.0
author: Slipway maintainers (@slipway)
description:
  - Compares the C(gcp_*) variables of an environment, and those of one run, with C(playbooks/gcp/vars/spec.yml), C(operations.yml) and
    C(checks.yml).
  - Lists all problems in one message, each with the variable, the value given, what is allowed, and the file it stands in.
  - Runs on the controller; no request is sent.
options:
  operation:
    description: What is asked of the environment, a key of C(operation_specs) such as V(deploy).
    type: str
    required: true
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
- name: Check every variable of the environment
  slipway.stack.validate_environment:
    operation: deploy
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Reached only when the action plugin is missing."""
    module = AnsibleModule({"operation": {"type": "str", "required": True}}, supports_check_mode=True)
    module.fail_json(msg="slipway.stack.validate_environment runs on the controller; is its action plugin installed?")


if __name__ == "__main__":
    main()
