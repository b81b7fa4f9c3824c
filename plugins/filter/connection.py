# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter `slipway.stack.connection`: see plugin_utils/connections.py."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.stack.plugins.plugin_utils import connections

DOCUMENTATION = """
name: connection
short_description: A connection by name as a URL, a line of .pgpass, or its parts
version_added: 0.1.0
description:
  - Address and port come from the wiring, the password from C(postgres_users) or C(redis_users) by the user's name, percent-quoted.
options:
  _input:
    description:
      - "C(to): V(pgbouncer), V(postgres), V(redis_broker) or V(redis_cache). C(user): a name in C(postgres_users) or C(redis_users).
        C(database): a name in C(postgres_databases), or Redis' number (default 0)."
      - "C(scheme): of the URL, by default V(postgresql) or V(redis). C(options): the URL's query. C(form): V(url) (default), V(parts)
        or V(pgpass)."
    type: dict
    required: true
  table:
    description: C(wiring_connections) of P(playbooks/vars/wiring.yml).
    type: dict
    required: true
"""
EXAMPLES = """
# group_vars/all/main.yml
own_connections:
  DATABASE_URL: "{{ {'to': 'pgbouncer', 'user': 'shop_app', 'database': 'shop', 'scheme': 'postgresql+asyncpg'}
                    | slipway.stack.connection(wiring_connections) }}"
  CELERY_BROKER_URL: "{{ {'to': 'redis_broker', 'user': 'shop'} | slipway.stack.connection(wiring_connections) }}"
"""
RETURN = """
_value:
  description: The URL or line as text, or the parts C(host), C(port), C(user), C(password), C(database).
  type: raw
"""


def connection(wanted: Any, table: Any) -> Any:
    """The connection; a name that is not there is an error with the nearest one."""
    try:
        return connections.connection(wanted, table)
    except connections.ConnectionError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Filters of the wiring."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"connection": connection}
