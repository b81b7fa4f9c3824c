#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_user
short_description: Users of a Cloud SQL instance
description:
  - Creates and deletes users, and sets passwords. The password travels in the request's body and is never shown.
  - Google does not tell a user's password, so whether it differs cannot be seen; O(update_password) says when to send it.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: partial, details: Every run with O(update_password=always) sends the password.}
options:
  name:
    description: The user. An IAM service account on PostgreSQL goes without C(.gserviceaccount.com).
    type: str
    required: true
  instance: {description: The instance., type: str, required: true}
  state: {description: Whether the user exists., type: str, choices: [present, absent], default: present}
  type:
    description: How the user proves who they are.
    type: str
    choices: [BUILT_IN, CLOUD_IAM_USER, CLOUD_IAM_SERVICE_ACCOUNT, CLOUD_IAM_GROUP]
    default: BUILT_IN
  password: {description: Password of a built-in user., type: str}
  update_password:
    description: V(always) sends the password in every run and reports a change. Use it with C(when) on a new secret version.
    type: str
    choices: [on_create, always]
    default: on_create
"""

EXAMPLES = r"""
- name: The application logs in with a password out of Secret Manager
  slipway.stack.gcp_sql_user:
    project: demo
    instance: mass-db
    name: mass_app_user
    password: "{{ lookup('slipway.stack.gcp_secret', 'db-password', project='demo') }}"
"""

RETURN = r"""
resource: {description: The user as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import MASK, Plan, argument_spec, converge, start


def read(client: Client, path: str, name: str) -> dict[str, Any] | None:
    return next((user for user in client.items("sqladmin", path, "items") if user["name"] == name), None)


def plan(params: dict[str, Any], path: str, live: dict[str, Any] | None) -> Plan:
    name, kind, password = params["name"], params["type"], params["password"]
    absent, present = {"state": "absent"}, {"name": name, "type": kind, "state": "present"}
    if params["state"] == "absent":
        return Plan([Write("DELETE", path, {"name": name})] if live else [], None, present if live else absent, absent)
    secret = {"password": password} if password else {}
    if live is None:
        if kind == "BUILT_IN" and not password:
            raise GcpError(f"password is required to make the built-in user {name}")
        body = {"name": name, "instance": params["instance"], "project": params["project"], "type": kind}
        return Plan([Write("POST", path, body=body | secret)], body, absent, present | ({"password": MASK} if password else {}))
    if live.get("type", "BUILT_IN") != kind:
        raise GcpError(f"type of user {name} is {live.get('type', 'BUILT_IN')} and cannot become {kind} in place: remove the user first")
    if password and params["update_password"] == "always":
        return Plan([Write("PUT", path, {"name": name}, secret)], live, present, present | {"password": f"{MASK} (sent)"})
    return Plan([], live, present, present)


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION, {"password"}))
    params = module.params
    try:
        path = path_of("sql/v1beta4/projects/{project}/instances/{instance}/users", params)
        result = converge(module, client, "sqladmin", lambda: read(client, path, params["name"]), lambda live: plan(params, path, live))
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
