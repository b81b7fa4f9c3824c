# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: gcp_redis
author: Slipway maintainers (@slipway)
version_added: 0.1.0
short_description: What a client of a Memorystore instance must know
description:
  - Reads the password or the certificate authorities of a Memorystore for Redis instance on the controller. Nothing is written to disk.
  - Tasks that use the password must hide it themselves, by C(no_log) or by handing it to an option that is hidden.
options:
  _terms:
    description: Names of instances.
    required: true
  what:
    description: V(auth) is the password, V(authorities) the PEM certificates of those who sign the server's certificate.
    type: str
    choices: [auth, authorities]
    required: true
  project:
    description: The project's id.
    type: str
    required: true
  region:
    description: The instance's region.
    type: str
    required: true
  access_token:
    description: As in the modules; without any credential option the environment and application default credentials are used.
    type: str
  impersonate_service_account:
    description: Act as this service account, as the modules do. Without it the environment's variable decides.
    type: str
  api_endpoint:
    description: Base URL to use in place of V(https://SERVICE.googleapis.com).
    type: str
"""

EXAMPLES = r"""
- name: The application's settings hold the cache's password
  ansible.builtin.copy:
    content: "{{ lookup('slipway.stack.gcp_redis', 'mass-redis', what='auth', project='demo', region='us-central1') }}"
    dest: /run/app/redis-password
    mode: "0600"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The passwords or the certificates.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of

OPTIONS = ("project", "region", "access_token", "impersonate_service_account", "api_endpoint")


def known(client: Client, path: str, what: str) -> str:
    if what == "auth":
        text = client.call("redis", Write("GET", f"{path}/authString")).get("authString", "")
    else:
        instance = client.call("redis", Write("GET", path))
        text = "\n".join(entry["cert"].strip() for entry in instance.get("serverCaCerts", []))
    if not text:
        raise GcpError(f"{path} has no {what}: it was made without")
    return str(text)


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        options = {name: self.get_option(name) for name in OPTIONS} | {"retries": 6}
        try:
            client, place = Client(options), "v1/projects/{project}/locations/{region}/instances/{name}"
            return [known(client, path_of(place, {**options, "name": term}), self.get_option("what")) for term in terms]
        except GcpError as error:
            raise AnsibleLookupError(str(error)) from None
