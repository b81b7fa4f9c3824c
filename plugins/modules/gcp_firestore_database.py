#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_firestore_database
short_description: Firestore databases
description: Creates, changes and deletes a Firestore database. One that is protected is never deleted.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The database's id., type: str, default: (default)}
  state:
    description: Whether the database exists. V(absent) deletes every document.
    type: str
    choices: [present, absent]
    default: present
  location: {description: 'Region or multi-region such as V(nam5). Cannot change later.', type: str}
  type:
    description: Which API it speaks. Cannot change here.
    type: str
    choices: [FIRESTORE_NATIVE, DATASTORE_MODE]
    default: FIRESTORE_NATIVE
  edition: {description: Edition. Cannot change later., type: str, choices: [STANDARD, ENTERPRISE]}
  point_in_time_recovery: {description: Read and restore any minute of the last seven days., type: bool}
  deletion_protection: {description: Refuse deletion., type: bool, default: true}
  kms_key_name: {description: Cloud KMS key. Cannot change later., type: str}
"""

EXAMPLES = r"""
- name: The project's documents
  slipway.stack.gcp_firestore_database:
    project: demo
    location: nam5
    point_in_time_recovery: true
"""

RETURN = r"""
resource: {description: The database as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from collections.abc import Callable

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, run


def switch(prefix: str) -> Callable[[bool], str]:
    """Two-word enums for on and off."""
    return lambda value: f"{prefix}_{'ENABLED' if value else 'DISABLED'}"


DATABASE = Resource(
    documentation=DOCUMENTATION,
    api="firestore",
    path="v1/projects/{project}/databases/{name}",
    create=Write("POST", "v1/projects/{project}/databases", {"databaseId": "{name}"}),
    etag="etag",
    delete_query={"etag": "etag"},
    required_if=(("state", "present", ("location",)),),
    fields={
        "location": Field("locationId", immutable=True),
        "type": Field(immutable=True),
        "edition": Field("databaseEdition", immutable=True),
        "point_in_time_recovery": Field("pointInTimeRecoveryEnablement", convert=switch("POINT_IN_TIME_RECOVERY")),
        "deletion_protection": Field("deleteProtectionState", convert=switch("DELETE_PROTECTION")),
        "kms_key_name": Field("cmekConfig.kmsKeyName", immutable=True),
    },
)


def main() -> None:
    run(DATABASE)


if __name__ == "__main__":
    main()
