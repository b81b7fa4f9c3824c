# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: gcp_identity_token
author: Slipway maintainers (@slipway)
version_added: 0.1.0
short_description: Identity tokens for services that are not public
description:
  - Makes a short-lived token. A Cloud Run service that is not public takes it as C(Authorization), if its identity has
    C(roles/run.invoker).
  - The identity is a service account. The lookup impersonates O(impersonate_service_account), or uses the key file that
    E(GOOGLE_APPLICATION_CREDENTIALS) names, or the account that is attached to the machine.
  - Tasks that use the token must hide it themselves, by C(no_log).
options:
  _terms:
    description: The address of the service, without the tag of a revision. The token is good there and nowhere else.
    required: true
  access_token:
    description: As in the modules.
    type: str
  impersonate_service_account:
    description: Whose token it is. Without it the environment's variable decides.
    type: str
  api_endpoint:
    description: Base URL to use in place of V(https://SERVICE.googleapis.com).
    type: str
"""

EXAMPLES = r"""
- name: Is it healthy
  ansible.builtin.uri:
    url: https://shop-abc-uc.a.run.app/health
    headers:
      Authorization: "Bearer {{ lookup('slipway.stack.gcp_identity_token', 'https://shop-abc-uc.a.run.app') }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The tokens.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of


def token(options: dict[str, Any], audience: str) -> str:
    account = options["impersonate_service_account"]
    if not account:
        from google.auth import exceptions
        from google.auth.transport.requests import Request
        from google.oauth2 import id_token

        try:
            return str(id_token.fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]
        except exceptions.GoogleAuthError as error:
            raise GcpError(f"no identity token: {error}. Set gcp_impersonate_service_account.") from None
    # The caller makes it for the account, so the account itself is not impersonated for this request.
    client = Client({**options, "impersonate_service_account": None})
    path = path_of("v1/projects/-/serviceAccounts/{account}:generateIdToken", {"account": account})
    answer = client.call("iamcredentials", Write("POST", path, body={"audience": audience, "includeEmail": True}, repeatable=True))
    return str(answer["token"])


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        names = ("access_token", "impersonate_service_account", "api_endpoint")
        options = {name: self.get_option(name) for name in names} | {"retries": 6}
        try:
            return [token(options, term) for term in terms]
        except GcpError as error:
            raise AnsibleLookupError(str(error)) from None
