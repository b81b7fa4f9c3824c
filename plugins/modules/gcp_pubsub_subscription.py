#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_pubsub_subscription
short_description: Pub/Sub subscriptions, with dead letters
description:
  - Creates, changes and deletes a subscription.
  - Dead letters need two grants to C(service-NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com), which are C(roles/pubsub.publisher) on
    the dead-letter topic and C(roles/pubsub.subscriber) on this subscription, see M(slipway.stack.gcp_iam_member).
    Without them messages are never moved.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The subscription's id., type: str, required: true}
  state: {description: Whether the subscription exists., type: str, choices: [present, absent], default: present}
  topic: {description: 'The topic, by id or as C(projects/P/topics/T). Cannot change later.', type: str}
  dead_letter_topic: {description: Where messages go that were never acknowledged. Empty for nowhere., type: str}
  max_delivery_attempts: {description: 'After how many attempts, 5 to 100.', type: int, default: 5}
  ack_deadline_seconds: {description: 'How long a subscriber has for a message, 10 to 600.', type: int}
  message_retention_duration: {description: 'How long messages wait, such as V(7d).', type: str}
  retain_acked_messages: {description: Keep acknowledged ones as well., type: bool}
  expiration: {description: 'After how long without a subscriber it goes away by itself, such as V(31d), or V(never).', type: str}
  minimum_backoff: {description: Shortest pause before a message is sent again., type: str}
  maximum_backoff: {description: 'Longest pause, at most 600 s.', type: str}
  push_endpoint: {description: HTTPS address to push to. Empty for pull., type: str}
  push_service_account:
    description: Account whose OIDC token goes with each push. A Cloud Run service can then refuse everybody else.
    type: str
  push_audience: {description: Audience of that token., type: str}
  filter: {description: Only messages that match. Cannot change later., type: str}
  enable_message_ordering: {description: Keep the order within an ordering key. Cannot change later., type: bool}
  enable_exactly_once_delivery: {description: No message twice., type: bool}
  labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: Topics
  slipway.stack.gcp_pubsub_topic: {project: demo, name: "{{ item }}"}
  loop: [health-data-processing, health-data-dead]
- name: The worker's queue
  slipway.stack.gcp_pubsub_subscription:
    project: demo
    name: health-data-worker
    topic: health-data-processing
    dead_letter_topic: health-data-dead
    ack_deadline_seconds: 60
    expiration: never
"""

RETURN = r"""
resource: {description: The subscription as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, duration, run, seconds

PLAIN = ("ack_deadline_seconds", "retain_acked_messages", "enable_exactly_once_delivery")


def topic(params: Any, name: str) -> str:
    return name if "/" in name else f"projects/{params['project']}/topics/{name}"


def parts(params: Any) -> dict[str, Any]:
    """What is more than one field, and what an empty value removes."""
    body: dict[str, Any] = {"topic": topic(params, params["topic"])} if params["topic"] else {}
    dead = params["dead_letter_topic"]
    if dead is not None:
        policy = {"deadLetterTopic": topic(params, dead), "maxDeliveryAttempts": params["max_delivery_attempts"]} if dead else None
        body["deadLetterPolicy"] = policy
    if params["expiration"]:
        body["expirationPolicy"] = {"ttl": None if params["expiration"] == "never" else duration(params["expiration"])}
    if params["push_endpoint"] is not None:
        push: dict[str, Any] = {"pushEndpoint": params["push_endpoint"]}
        if params["push_service_account"]:
            push["oidcToken"] = {"serviceAccountEmail": params["push_service_account"]}
            push["oidcToken"] |= {"audience": params["push_audience"]} if params["push_audience"] else {}
        elif not params["push_endpoint"]:
            push["oidcToken"] = None
        body["pushConfig"] = push
    return body


def check(params: Any) -> None:
    if not 5 <= params["max_delivery_attempts"] <= 100:
        raise GcpError(f"max_delivery_attempts {params['max_delivery_attempts']}: between 5 and 100")
    if params["push_service_account"] and not params["push_endpoint"]:
        raise GcpError("push_service_account needs push_endpoint")


SUBSCRIPTION = Resource(
    documentation=DOCUMENTATION,
    api="pubsub",
    path="v1/projects/{project}/subscriptions/{name}",
    create=Write("PUT", "v1/projects/{project}/subscriptions/{name}"),
    update="wrapped:subscription",
    build=parts,
    check=check,
    required_if=(("state", "present", ("topic",)),),
    nested={"expirationPolicy.ttl": Field(normalise=seconds)},
    fields={
        **{name: Field() for name in PLAIN},
        "filter": Field(immutable=True),
        "enable_message_ordering": Field(immutable=True),
        "message_retention_duration": Field(convert=duration, normalise=seconds),
        "minimum_backoff": Field("retryPolicy.minimumBackoff", convert=duration, normalise=seconds),
        "maximum_backoff": Field("retryPolicy.maximumBackoff", convert=duration, normalise=seconds),
        "labels": Field(exact=True),
    },
)


def main() -> None:
    run(SUBSCRIPTION)


if __name__ == "__main__":
    main()
