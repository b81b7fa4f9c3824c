#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_storage_bucket
short_description: Cloud Storage buckets
description:
  - Creates, changes and deletes a bucket. A bucket that still holds objects is never deleted.
  - New buckets get uniform access and public access prevention unless the options say otherwise. One that is there already keeps its own.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The bucket's name., type: str, required: true}
  state: {description: Whether the bucket exists., type: str, choices: [present, absent], default: present}
  location: {description: Region or multi-region. Cannot change later., type: str, default: US}
  storage_class: {description: Class of new objects., type: str, choices: [STANDARD, NEARLINE, COLDLINE, ARCHIVE]}
  labels: {description: All labels; one that is not named is removed., type: dict}
  versioning: {description: Keep replaced and deleted objects., type: bool}
  uniform_access: {description: IAM alone decides; object ACLs are off. New buckets get V(true)., type: bool}
  public_access_prevention:
    description: Whether the public can be let in. New buckets get V(enforced).
    type: str
    choices: [enforced, inherited]
  lifecycle_rules:
    description: All lifecycle rules, in the API's words. V([]) removes them.
    type: list
    elements: dict
    suboptions:
      action: {description: 'What happens, such as C({type: Delete}).', type: dict, required: true}
      condition: {description: 'When, such as C({age: 30}) or C({numNewerVersions: 5}).', type: dict, required: true}
  retention_period: {description: 'How long every object must stay, such as V(30d).', type: str}
  soft_delete_period: {description: 'How long deleted objects can be brought back, such as V(7d). V(0) switches it off.', type: str}
  kms_key_name:
    description: Default Cloud KMS key. The project's storage agent needs C(roles/cloudkms.cryptoKeyEncrypterDecrypter) on it first.
    type: str
"""

EXAMPLES = r"""
- name: Models, the last five generations of each
  slipway.stack.gcp_storage_bucket:
    project: demo
    name: demo-models
    location: us-central1
    versioning: true
    lifecycle_rules:
      - action: {type: Delete}
        condition: {numNewerVersions: 5}
"""

RETURN = r"""
resource: {description: The bucket as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, duration, run


def whole_seconds(text: str) -> str:
    return duration(text).removesuffix("s")


def check(params: dict[str, object]) -> None:
    rules = params["lifecycle_rules"]
    if isinstance(rules, list) and any("numNewerVersions" in rule["condition"] for rule in rules) and params["versioning"] is False:
        raise GcpError("lifecycle_rules: numNewerVersions has no effect without versioning: true")


def private(want: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
    """What a new bucket gets where nothing else is said."""
    if live is not None:
        return want
    said = want.get("iamConfiguration", {})
    access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced", **said}
    return {**want, "iamConfiguration": access}


BUCKET = Resource(
    documentation=DOCUMENTATION,
    api="storage",
    path="storage/v1/b/{name}",
    create=Write("POST", "storage/v1/b", {"project": "{project}"}),
    initial={"name": "{name}"},
    update="merge",
    etag="?ifMetagenerationMatch=metageneration",
    delete_query={"ifMetagenerationMatch": "metageneration"},
    check=check,
    adapt=private,
    fields={
        "location": Field(convert=str.upper, immutable=True),
        "labels": Field(exact=True),
        "versioning": Field("versioning.enabled"),
        "uniform_access": Field("iamConfiguration.uniformBucketLevelAccess.enabled"),
        "public_access_prevention": Field("iamConfiguration.publicAccessPrevention"),
        "lifecycle_rules": Field("lifecycle.rule", closed=True),
        "retention_period": Field("retentionPolicy.retentionPeriod", convert=whole_seconds),
        "soft_delete_period": Field("softDeletePolicy.retentionDurationSeconds", convert=whole_seconds),
        "kms_key_name": Field("encryption.defaultKmsKeyName"),
    },
)


def main() -> None:
    run(BUCKET)


if __name__ == "__main__":
    main()
