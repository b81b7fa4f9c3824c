#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_kms_key_ring
short_description: Cloud KMS key rings
description: Creates a key ring. Google never deletes one, so there is no way to remove it.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The ring's id. O(region) may also be V(global) or a multi-region., type: str, required: true}
"""

EXAMPLES = r"""
- name: Keys of the platform
  slipway.stack.gcp_kms_key_ring:
    project: demo
    region: us-central1
    name: mass
"""

RETURN = r"""
resource: {description: The ring as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Resource, run

RING = Resource(
    documentation=DOCUMENTATION,
    api="cloudkms",
    path="v1/projects/{project}/locations/{region}/keyRings/{name}",
    create=Write("POST", "v1/projects/{project}/locations/{region}/keyRings", {"keyRingId": "{name}"}),
    update="none",
)


def main() -> None:
    run(RING)


if __name__ == "__main__":
    main()
