#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_secret
short_description: Secret Manager secrets
description:
  - Creates, changes and deletes a secret, the container of versions. It never touches a value; that is the work of
    M(slipway.stack.gcp_secret_version).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name:
    description: The secret's id.
    type: str
    required: true
  state:
    description: Whether the secret exists. V(absent) deletes it with all of its versions.
    type: str
    choices: [present, absent]
    default: present
  labels:
    description: All labels. A label that is not named here is removed; leave the option out to leave labels alone.
    type: dict
  annotations:
    description: All annotations, with the same rule.
    type: dict
  replica_locations:
    description: Regions that hold the values. Without it Google chooses (automatic replication). Cannot change later.
    type: list
    elements: str
  rotation_period:
    description: How often a rotation is due, such as V(90d). Needs O(next_rotation_time) and O(topics).
    type: str
  next_rotation_time:
    description: When the next rotation is due, in RFC 3339. Used when rotation is first set; Google moves it on afterwards.
    type: str
  topics:
    description: Pub/Sub topics, C(projects/PROJECT/topics/NAME), that are told of changes and due rotations.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: The key that signs the sessions
  slipway.stack.gcp_secret:
    project: demo
    name: jwt-secret-key
    labels: {app: mass}
"""

RETURN = r"""
resource:
  description: The secret as the API shows it; in check mode, as it would be.
  type: dict
  returned: always
writes:
  description: The requests that were sent, or in check mode would be.
  type: list
  elements: str
  returned: always
"""

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, duration, run, seconds


def replication(locations: list[str]) -> dict[str, object]:
    return {"userManaged": {"replicas": [{"location": location} for location in locations]}}


SECRET = Resource(
    documentation=DOCUMENTATION,
    api="secretmanager",
    path="v1/projects/{project}/secrets/{name}",
    create=Write("POST", "v1/projects/{project}/secrets", {"secretId": "{name}"}),
    initial={"replication": {"automatic": {}}},
    etag="etag",
    delete_query={"etag": "etag"},
    fields={
        "labels": Field(exact=True),
        "annotations": Field(exact=True),
        "replica_locations": Field("replication", convert=replication, immutable=True),
        "rotation_period": Field("rotation.rotationPeriod", convert=duration, normalise=seconds),
        "next_rotation_time": Field("rotation.nextRotationTime", create_only=True),
        "topics": Field(convert=lambda names: [{"name": name} for name in names], key="name"),
    },
    nested={"replication.userManaged.replicas": Field(key="location")},
)


def main() -> None:
    run(SECRET)


if __name__ == "__main__":
    main()
