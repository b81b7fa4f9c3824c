# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: gcp_secret
author: Slipway maintainers (@slipway)
version_added: 0.1.0
short_description: Values out of Secret Manager
description:
  - Reads secret versions on the controller. Nothing is written to disk.
  - Tasks that use the value must hide it themselves, by C(no_log) or by handing it to an option that is hidden.
options:
  _terms:
    description: 'Secrets as C(NAME) for the newest enabled version or C(NAME:VERSION).'
    required: true
  project:
    description: The project's id.
    type: str
    required: true
  access_token:
    description: As in the modules; without any credential option the environment and application default credentials are used.
    type: str
  service_account_file:
    description: Path of a service account's JSON key file.
    type: path
  impersonate_service_account:
    description: Act as this service account, as the modules do. Without it the environment's variable decides.
    type: str
  api_endpoint:
    description: Base URL to use in place of V(https://SERVICE.googleapis.com).
    type: str
"""

EXAMPLES = r"""
- name: The application's settings hold the key
  ansible.builtin.copy:
    content: "{{ lookup('slipway.stack.gcp_secret', 'jwt-secret-key:3', project='demo') }}"
    dest: /run/app/jwt
    mode: "0600"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The values.
  type: list
  elements: str
"""

import base64
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.stack.plugins.module_utils.gcp.checksum import crc32c
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of

OPTIONS = ("project", "access_token", "service_account_file", "impersonate_service_account", "api_endpoint")


def newest_enabled(client: Client, path: str) -> str:
    """`latest` names the newest version even where it is disabled, so the list decides."""
    versions = client.items("secretmanager", f"{path}/versions", "versions", {"filter": "state:ENABLED"})
    numbers = [int(version["name"].rpartition("/")[2]) for version in versions]
    if not numbers:
        raise GcpError(f"{path} does not exist or has no enabled version")
    return str(max(numbers))


def value(client: Client, project: str, term: str) -> str:
    name, _colon, version = term.partition(":")
    path = path_of("v1/projects/{project}/secrets/{name}", {"project": project, "name": name})
    answer = client.call("secretmanager", Write("GET", f"{path}/versions/{version or newest_enabled(client, path)}:access"))
    data = base64.b64decode(answer["payload"].get("data", ""))
    if int(answer["payload"].get("dataCrc32c", crc32c(data))) != crc32c(data):
        raise GcpError(f"{path}: the value arrived damaged")
    return data.decode()


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        options = {name: self.get_option(name) for name in OPTIONS} | {"retries": 6}
        try:
            client = Client(options)
            return [value(client, options["project"], term) for term in terms]
        except GcpError as error:
            raise AnsibleLookupError(str(error)) from None
