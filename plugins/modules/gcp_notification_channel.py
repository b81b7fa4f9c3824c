#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_notification_channel
short_description: Monitoring notification channels
description:
  - Creates, changes and deletes a channel through which alerts reach people.
  - It is found by its display name, for the server makes the real one.
  - A channel that an alert policy still uses is never deleted.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The display name., type: str, required: true}
  state: {description: Whether the channel exists., type: str, choices: [present, absent], default: present}
  type:
    description: Kind of channel, such as V(email), V(slack), V(pagerduty), V(webhook_tokenauth), V(pubsub). Cannot change later.
    type: str
  labels: {description: 'Where it goes, in the words of the kind, such as C(email_address) or C(channel_name).', type: dict}
  secret_labels:
    description:
      - Secret ones, such as C(auth_token), C(password) or C(service_key).
      - Google never shows them again, so they are sent when the channel is made and cannot be compared later.
        Delete the channel to change them.
    type: dict
  description: {description: What it is for., type: str}
  enabled: {description: Whether it delivers., type: bool, default: true}
  user_labels: {description: All labels of your own; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: Who is on call
  slipway.stack.gcp_notification_channel:
    project: demo
    name: On call
    type: email
    labels: {email_address: oncall@example.com}
"""

RETURN = r"""
resource: {description: The channel as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import by_display_name, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource

COLLECTION = "v3/projects/{project}/notificationChannels"


def create_body(params: Any, body: dict[str, Any]) -> dict[str, Any]:
    secrets = params["secret_labels"]
    return {**body, "labels": {**body.get("labels", {}), **secrets}} if secrets else body


CHANNEL = Resource(
    documentation=DOCUMENTATION,
    api="monitoring",
    path=COLLECTION + "/{id}",
    create=Write("POST", COLLECTION),
    create_body=create_body,
    required_if=(("state", "present", ("type",)),),
    fields={
        "name": Field("displayName"),
        "type": Field(immutable=True),
        "secret_labels": Field(path=None, secret=True),
        "user_labels": Field(exact=True),
    },
)


def main() -> None:
    run(CHANNEL, by_display_name("monitoring", COLLECTION, "notificationChannels"))


if __name__ == "__main__":
    main()
