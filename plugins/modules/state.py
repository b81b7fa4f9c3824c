#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: state
short_description: Bring packages, accounts, files and units of a host to the wanted state, as one transaction
"""

EXAMPLES = r"""
"""

RETURN = r"""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.stack.plugins.module_utils.state import engine, spec


def main() -> None:
    # no_log: the arguments hold whole files, which do not belong into the host's system log
    module = AnsibleModule(argument_spec=spec.ARGUMENT_SPEC, supports_check_mode=True, no_log=True)
    try:
        payload = spec.normalise(module.params, rendered=True)
    except spec.SpecError as error:
        module.fail_json(msg=str(error))
    payload.update(check=module.check_mode, diff=module._diff)
    result = engine.Engine(payload).run()
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
