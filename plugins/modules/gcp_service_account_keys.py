#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_service_account_keys
short_description: Keys of a service account, audited and retired
description:
  - Lists the keys that people made for a service account, and reports, disables or deletes the old ones.
  - It makes no keys. Cloud Run has its attached account, people have impersonation, pipelines have workload identity federation; a
    key is the exception, and the best number of them is zero.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: 'The account, by id or by e-mail.', type: str, required: true}
  max_age: {description: Age from which a key counts as old. V(0s) means every key., type: str, default: 90d}
  old_keys: {description: What happens to old keys., type: str, choices: [report, disable, delete], default: report}
"""

EXAMPLES = r"""
- name: No key may live longer than 90 days
  slipway.stack.gcp_service_account_keys:
    project: demo
    name: mass-backend-sa
    old_keys: disable
"""

RETURN = r"""
keys: {description: 'Every key: id, created, age_days, old, disabled.', type: list, elements: dict, returned: always}
resource: {description: The ids of live and of disabled keys, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import datetime
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, argument_spec, converge, duration, start


def read(client: Client, path: str) -> dict[str, Any]:
    answer = client.get("iam", f"{path}/keys", {"keyTypes": "USER_MANAGED"})
    if answer is None:
        raise GcpError(f"{path} does not exist")
    return answer


def plan(params: dict[str, Any], path: str, live: dict[str, Any]) -> Plan:
    limit = float(duration(params["max_age"])[:-1])
    now = datetime.datetime.now(datetime.UTC)
    keys, writes = [], []
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for item in sorted(live.get("keys", []), key=lambda key: key["name"]):
        identifier = item["name"].rpartition("/")[2]
        age = (now - datetime.datetime.fromisoformat(item["validAfterTime"].replace("Z", "+00:00"))).total_seconds()
        disabled = bool(item.get("disabled"))
        keys.append(
            {"id": identifier, "created": item["validAfterTime"], "age_days": int(age // 86400), "old": age >= limit, "disabled": disabled}
        )
        before[identifier] = after[identifier] = "disabled" if disabled else "enabled"
        if age >= limit and params["old_keys"] == "delete":
            writes.append(Write("DELETE", f"{path}/keys/{identifier}"))
            del after[identifier]
        elif age >= limit and params["old_keys"] == "disable" and not disabled:
            writes.append(Write("POST", f"{path}/keys/{identifier}:disable", body={}, repeatable=True))
            after[identifier] = "disabled"
    return Plan(writes, after, before, after, {"keys": keys})


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    params = module.params
    email = params["name"] if "@" in params["name"] else f"{params['name']}@{params['project']}.iam.gserviceaccount.com"
    try:
        path = path_of("v1/projects/{project}/serviceAccounts/{email}", params | {"email": email})
        result = converge(module, client, "iam", lambda: read(client, path), lambda live: plan(params, path, live or {}))
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{**result, "resource": result["diff"]["after"]})


if __name__ == "__main__":
    main()
