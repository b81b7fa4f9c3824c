#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_pubsub_topic
short_description: Pub/Sub topics
description: Creates, changes and deletes a Pub/Sub topic.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name:
    description: The topic's name, without the project.
    type: str
    required: true
  state:
    description: Whether the topic exists.
    type: str
    choices: [present, absent]
    default: present
  labels:
    description: All labels. A label that is not named here is removed; leave the option out to leave labels alone.
    type: dict
  message_retention_duration:
    description: How long messages are kept for replay, such as V(24h) or V(86400s).
    type: str
  kms_key_name:
    description: Cloud KMS key. Cannot change once the topic exists.
    type: str
"""

EXAMPLES = r"""
- name: The topic that health data travels through, kept for a day
  slipway.stack.gcp_pubsub_topic:
    project: demo
    name: health-data-processing
    message_retention_duration: 24h
    labels: {app: clarity}
"""

RETURN = r"""
resource:
  description: The topic as the API shows it; in check mode, as it would be.
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

TOPIC = Resource(
    documentation=DOCUMENTATION,
    api="pubsub",
    path="v1/projects/{project}/topics/{name}",
    create=Write("PUT", "v1/projects/{project}/topics/{name}", repeatable=False),
    initial={"name": "projects/{project}/topics/{name}"},
    update="wrapped:topic",
    fields={
        "labels": Field(exact=True),
        "message_retention_duration": Field(convert=duration, normalise=seconds),
        "kms_key_name": Field(immutable=True),
    },
)


def main() -> None:
    run(TOPIC)


if __name__ == "__main__":
    main()
