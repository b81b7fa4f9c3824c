#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_kms_key
short_description: Cloud KMS keys and their rotation
description:
  - Creates a key and sets its rotation and labels. Google never deletes a key, and destroying its versions loses whatever they encrypt, so
    there is no way to remove one here.
  - A key in use by Cloud SQL, Storage or Secret Manager needs that service's agent as C(roles/cloudkms.cryptoKeyEncrypterDecrypter),
    see M(slipway.stack.gcp_iam_member).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The key's id., type: str, required: true}
  key_ring: {description: Its ring., type: str, required: true}
  purpose:
    description: What it is for. Cannot change later.
    type: str
    default: ENCRYPT_DECRYPT
    choices: [ENCRYPT_DECRYPT, ASYMMETRIC_SIGN, ASYMMETRIC_DECRYPT, MAC]
  rotation_period:
    description:
      - How often a new version becomes the primary one, such as V(90d). V(0) stops it. For V(ENCRYPT_DECRYPT) only.
      - When it is set or changed, the first rotation is one period later, at midnight UTC.
    type: str
  protection_level: {description: Where the key lives. Cannot change later., type: str, choices: [SOFTWARE, HSM]}
  algorithm: {description: 'Algorithm of new versions, such as V(EC_SIGN_P256_SHA256).', type: str}
  labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: A ring
  slipway.stack.gcp_kms_key_ring: {project: demo, region: us-central1, name: mass}
- name: The key that encrypts the database, renewed every 90 days
  slipway.stack.gcp_kms_key:
    project: demo
    region: us-central1
    key_ring: mass
    name: database
    rotation_period: 90d
"""

RETURN = r"""
resource: {description: The key as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import datetime
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import planned, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource, duration, seconds

PARENT = "v1/projects/{project}/locations/{region}/keyRings/{key_ring}/cryptoKeys"


def check(params: Any) -> None:
    if params["rotation_period"] is None:
        return
    period = float(duration(params["rotation_period"])[:-1])
    if 0 < period < 86400:
        raise GcpError(f"rotation_period {params['rotation_period']!r}: at least 24h, or 0 for none")
    if period and params["purpose"] != "ENCRYPT_DECRYPT":
        raise GcpError(f"rotation_period: a key for {params['purpose']} does not rotate by itself")


def period(text: str) -> str | None:
    value = duration(text)
    return None if value == "0s" else value


KEY = Resource(
    documentation=DOCUMENTATION,
    api="cloudkms",
    path=PARENT + "/{name}",
    create=Write("POST", PARENT, {"cryptoKeyId": "{name}"}),
    check=check,
    build=lambda params: params["rotation"],
    fields={
        "purpose": Field(immutable=True),
        "rotation_period": Field(path=None),
        "protection_level": Field("versionTemplate.protectionLevel", immutable=True),
        "algorithm": Field("versionTemplate.algorithm"),
        "labels": Field(exact=True),
    },
    nested={"rotationPeriod": Field(normalise=seconds)},
)


def rotation(params: Any, live: dict[str, Any]) -> dict[str, Any]:
    """Google wants the first date together with the period; afterwards the date is Google's own."""
    if params["rotation_period"] is None:
        return {}
    wanted, current = period(params["rotation_period"]), live.get("rotationPeriod")
    if (wanted and seconds(wanted)) == (current and seconds(current)):
        return {}
    if wanted is None:
        return {"rotationPeriod": None, "nextRotationTime": None}
    first = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=float(wanted[:-1]) // 86400)
    return {"rotationPeriod": wanted, "nextRotationTime": f"{first.isoformat()}T00:00:00Z"}


def plan(client: Client, params: Any, live: dict[str, Any] | None) -> Plan:
    return planned(KEY)(client, {**params, "rotation": rotation(params, live or {})}, live)


def main() -> None:
    run(KEY, lambda client, params: client.get("cloudkms", path_of(KEY.path, params)), plan)


if __name__ == "__main__":
    main()
