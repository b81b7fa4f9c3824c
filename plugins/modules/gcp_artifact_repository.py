#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_artifact_repository
short_description: Artifact Registry repositories
description: Creates, changes and deletes a repository, with the policies that clean it up.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The repository's id., type: str, required: true}
  state:
    description: Whether the repository exists. V(absent) deletes every image in it.
    type: str
    choices: [present, absent]
    default: present
  format:
    description: What it holds. Cannot change later.
    type: str
    default: DOCKER
    choices: [DOCKER, PYTHON, NPM, MAVEN, APT, YUM, GO, GENERIC]
  description: {description: What it is for., type: str}
  labels: {description: All labels; one that is not named is removed., type: dict}
  immutable_tags: {description: A tag never moves to another image., type: bool}
  kms_key_name: {description: Cloud KMS key. Cannot change later., type: str}
  cleanup_policies:
    description:
      - All clean-up policies by name, in the API's words; durations may be written as V(30d).
      - C(KEEP) policies win over C(DELETE) policies.
    type: dict
  cleanup_policy_dry_run: {description: Log what would be deleted and delete nothing., type: bool}
"""

EXAMPLES = r"""
- name: Images of the backend, the newest ten for ever and the rest for 30 days
  slipway.stack.gcp_artifact_repository:
    project: demo
    region: us-central1
    name: mass-backend
    immutable_tags: true
    cleanup_policies:
      newest: {action: KEEP, mostRecentVersions: {keepCount: 10}}
      old: {action: DELETE, condition: {olderThan: 30d}}
"""

RETURN = r"""
resource: {description: The repository as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, duration, run


def policies(values: dict[str, Any]) -> dict[str, Any]:
    """Each policy repeats its name as its id."""
    found = {}
    for name, policy in values.items():
        condition = {key: duration(item) if key.endswith("Than") else item for key, item in policy.get("condition", {}).items()}
        found[name] = {**policy, "id": name, **({"condition": condition} if condition else {})}
    return found


def any_tag(value: Any) -> Any:
    """What a condition without tagState means."""
    return None if value == "ANY" else value


REPOSITORY = Resource(
    documentation=DOCUMENTATION,
    api="artifactregistry",
    path="v1/projects/{project}/locations/{region}/repositories/{name}",
    create=Write("POST", "v1/projects/{project}/locations/{region}/repositories", {"repositoryId": "{name}"}),
    fields={
        "format": Field(immutable=True),
        "labels": Field(exact=True),
        "immutable_tags": Field("dockerConfig.immutableTags"),
        "kms_key_name": Field(immutable=True),
        "cleanup_policies": Field(closed=True, convert=policies, normalise=any_tag),
    },
)


def main() -> None:
    run(REPOSITORY)


if __name__ == "__main__":
    main()
