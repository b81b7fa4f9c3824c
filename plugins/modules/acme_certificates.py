#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""slipway.stack.acme_certificates: let the program of the role certificates do its work, and report it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_certificates
short_description: Get the certificates of nginx's sites that are due, and prove that nginx serves them
version_added: "0.1.0"
description:
  - Runs the program that the role certificates installs, as its timer does.
  - A site that has to keep its certificate for now (its names do not lead to this host, the ACME server does not answer or limits the
    rate of requests) is a warning. That nginx does not serve what was issued is an error.
options:
  program:
    description: The program.
    type: path
    default: /usr/local/sbin/slipway-certificates
  configuration:
    description: What the program reads from its own file when the timer starts it, so that check mode knows what that file will say.
    type: dict
    required: true
attributes:
  check_mode:
    description: The program says what it would do. Where it is not installed yet, every site with V(acme) is a change.
    support: full
  diff_mode:
    description: A line for each site that something is done for, and why.
    support: full
  idempotent:
    description: A second run does nothing, until a certificate is due.
    support: full
author:
  - Slipway maintainers (@slipway)
"""

EXAMPLES = r"""
- name: Get the certificates that are due
  slipway.stack.acme_certificates:
    configuration: "{{ __certificates_configuration }}"
"""

RETURN = r"""
actions:
  description: What was done for which site, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {site: shop, action: renew, reason: two thirds of its lifetime are over}
"""

import json
import platform
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def difference(actions: list[dict[str, str]]) -> dict[str, str]:
    """The actions as Ansible's diff."""
    lines = "".join(f"{action['site']}: {action['action']} ({action['reason']})\n" for action in actions)
    return {"before_header": "certificates", "after_header": "certificates", "before": "", "after": lines}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "default": "/usr/local/sbin/slipway-certificates"},
            "configuration": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    program, configuration = module.params["program"], module.params["configuration"]
    if module.check_mode and not Path(program).exists():
        missing = [{"site": site["name"], "action": "issue", "reason": "there is none"} for site in configuration["sites"] if site["acme"]]
        module.exit_json(changed=bool(missing), actions=missing, diff=difference(missing))
    how = ["--plan"] if module.check_mode else ["--json", "--now"]
    code, output, said = module.run_command([program, *how, "--configuration", "-"], data=json.dumps(configuration))
    try:
        answer = json.loads(output)
    except ValueError:
        module.fail_json(msg=f"{program} failed with exit code {code}: {said.strip()[-2000:]}")
    for text in [*answer["warnings"], *answer["waiting"]]:
        # Ansible shows the same words of two hosts once.
        module.warn(f"{platform.node()}: {text}")
    if answer["errors"]:
        module.fail_json(msg="\n".join(answer["errors"]), actions=answer["actions"], changed=answer["changed"])
    module.exit_json(changed=answer["changed"], actions=answer["actions"], diff=difference(answer["actions"]))


if __name__ == "__main__":
    main()
