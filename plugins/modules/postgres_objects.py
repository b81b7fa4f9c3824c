#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roles, databases and rights of one PostgreSQL server, compared and changed in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_objects
short_description: Converge roles, databases and rights of a PostgreSQL server
version_added: 0.1.0
author:
  - Slipway maintainers (@slipway)
description:
  - Talks to the local server through its unix socket as the operating system user C(postgres), with C(psql).
    Statements go through standard input, so that no password is in an argument list or in the environment.
  - A password reaches the server as its SCRAM verifier. The stored verifier tells whether a password is unchanged.
  - Nothing is ever dropped. A role or database that is no longer listed stays as it is.
  - On a host where the server is not installed yet, check mode plans against an empty server.
attributes:
  check_mode:
    support: full
    description: Plans with the same comparison and changes nothing.
  diff_mode:
    support: full
    description: Lists what each step does, without secrets.
  idempotent:
    description: A second run with the same options, on a host that nobody else has changed, changes nothing.
    support: full
options:
  port:
    description: Port of the server. It names the socket.
    type: int
    default: 5432
  socket_directory:
    description: Directory of the server's unix socket.
    type: path
    default: /run/postgresql
  users:
    description: Roles that log in with a password.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      password:
        description: Password in clear, printable ASCII.
        type: str
        required: true
      login:
        description: Whether the role may log in.
        type: bool
        default: true
      connection_limit:
        description: How many connections the role may hold; -1 is no limit.
        type: int
        default: -1
  databases:
    description: Databases and who may do what in them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the database.
        type: str
        required: true
      owner:
        description: Role that owns the database and creates its tables, for example with migrations.
        type: str
        required: true
      application_users:
        description:
          - Roles that read and write rows of everything O(databases[].owner) creates, now and later,
            and that create nothing themselves.
        type: list
        elements: str
        default: []
      extensions:
        description: Extensions to create.
        type: list
        elements: str
        default: []
      connection_limit:
        description: How many connections the database accepts; -1 is no limit.
        type: int
        default: -1
  pooler_user:
    description:
      - Role that pgbouncer asks for verifiers with. It may call the function C(pgbouncer.get_auth), which every
        database gets, and nothing else. Empty leaves both out.
    type: str
    default: ""
  pooler_password:
    description: Password of O(pooler_user).
    type: str
    default: ""
  monitoring_user:
    description: Role without a password that gets C(pg_monitor) and may connect to every database. Empty leaves it out.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Give the shop its database
  slipway.stack.postgres_objects:
    users:
      - {name: shop_owner, password: "{{ shop_owner_password }}"}
      - {name: shop, password: "{{ shop_password }}"}
    databases:
      - {name: shop, owner: shop_owner, application_users: [shop], extensions: [pg_trgm]}
"""

RETURN = r"""
steps:
  description: What was changed, or would be in check mode, one line each.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.stack.plugins.module_utils.postgres import EMPTY_SERVER, ObjectsError, Server, check_input, make_plan


def main() -> None:
    """Compare, then change what differs."""
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "default": 5432},
            "socket_directory": {"type": "path", "default": "/run/postgresql"},
            "users": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "login": {"type": "bool", "default": True},
                    "connection_limit": {"type": "int", "default": -1},
                },
            },
            "databases": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "owner": {"type": "str", "required": True},
                    "application_users": {"type": "list", "elements": "str", "default": []},
                    "extensions": {"type": "list", "elements": "str", "default": []},
                    "connection_limit": {"type": "int", "default": -1},
                },
            },
            "pooler_user": {"type": "str", "default": ""},
            "pooler_password": {"type": "str", "default": "", "no_log": True},
            "monitoring_user": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    server = Server(parameters["port"], parameters["socket_directory"])
    try:
        check_input(parameters["users"], parameters["databases"], parameters["pooler_user"], parameters["monitoring_user"])
        try:
            live, contents = server.live(parameters["databases"])
        except ObjectsError as error:
            if not module.check_mode:
                raise
            module.warn(f"planned against an empty server. {error}")
            live, contents = EMPTY_SERVER, {}
        plan = make_plan(parameters, live, contents)
        if plan.script and not module.check_mode:
            server.run("\n".join(plan.script), plan.secrets)
    except ObjectsError as error:
        module.fail_json(msg=str(error))
    after = "".join(f"{step}\n" for step in plan.steps)
    module.exit_json(changed=bool(plan.steps), steps=plan.steps, diff={"before": "", "after": after})


if __name__ == "__main__":
    main()
