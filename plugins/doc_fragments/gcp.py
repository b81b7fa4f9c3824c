# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that every gcp_* module takes."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  project:
    description: The project's id. There is no default, so that no call ever depends on a workstation's current project.
    type: str
    required: true
  region:
    description:
      - Region, for the services that are regional.
      - Modules for global services accept and ignore it, so that one C(module_defaults) serves the whole group.
    type: str
  access_token:
    description:
      - An OAuth access token. Wins over the other credentials.
      - Without any of these options the environment variables E(GOOGLE_OAUTH_ACCESS_TOKEN) and E(CLOUDSDK_AUTH_ACCESS_TOKEN)
        are tried, then application default credentials (E(GOOGLE_APPLICATION_CREDENTIALS), the user's own login, workload
        identity federation, the metadata server).
    type: str
  service_account_file:
    description: Path of a service account's JSON key file. Prefer impersonation or workload identity federation.
    type: path
  service_account_contents:
    description: The JSON key itself.
    type: jsonarg
  impersonate_service_account:
    description: Act as this service account. Also from E(GOOGLE_IMPERSONATE_SERVICE_ACCOUNT).
    type: str
  impersonation_delegates:
    description: The chain of service accounts between the caller and the impersonated one.
    type: list
    elements: str
  api_endpoint:
    description:
      - Base URL to use in place of V(https://SERVICE.googleapis.com); C({api}) in it becomes the service's name.
      - The environment variables C(CLOUDSDK_API_ENDPOINT_OVERRIDES_*) that gcloud knows work as well.
    type: str
  request_timeout:
    description: Seconds before one request counts as lost.
    type: int
    default: 60
  operation_timeout:
    description: Seconds to wait for a long-running operation. The operation itself is not cancelled.
    type: int
    default: 1800
  retries:
    description:
      - How often a request is sent again after 429, 503 or, where it is safe, another 5xx or a lost connection.
      - The pauses grow, are jittered, and never undercut Google's Retry-After. One longer than O(operation_timeout) is an error at once.
    type: int
    default: 6
  propagation_timeout:
    description: Seconds to wait for Google's IAM to know a service account that was made a moment ago.
    type: int
    default: 120
  api_propagation_timeout:
    description:
      - Seconds to wait for an API that was enabled a moment ago, while Google still answers that it is disabled.
      - 0 fails at once, with the API's name.
    type: int
    default: 0
attributes:
  check_mode:
    description: Can run in check mode and predict the result without changing anything.
    support: full
  diff_mode:
    description: Returns what changed, or would change in check mode.
    support: full
  idempotent:
    description: A second run with the same options, against an object that nobody else has changed, changes nothing.
    support: full
requirements:
  - google-auth
  - requests
  - PyYAML
notes:
  - Check mode reads, predicts the object, and writes nothing; the diff is the same as in a real run.
"""
