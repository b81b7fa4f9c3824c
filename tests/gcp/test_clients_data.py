# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's own clients for objects and subscriptions on our server."""

from __future__ import annotations

import io
import os

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1, storage
from google.oauth2.credentials import Credentials

from tests.gcp_server.server import GoogleServer

MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def reachable(google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in google.environment().items():
        monkeypatch.setenv(name, value)


def test_objects(google: GoogleServer) -> None:
    """Small, large in chunks, listed by prefix, downloaded with the checksum verified, deleted."""
    bucket = storage.Client(project="demo", credentials=Credentials("from-google-client")).create_bucket("demo-models")
    bucket.blob("v1/small.txt").upload_from_string(b"small", checksum="crc32c")
    data = os.urandom(2 * MEBIBYTE + 5)
    large = bucket.blob("v1/large.bin", chunk_size=MEBIBYTE)
    large.upload_from_file(io.BytesIO(data), size=len(data), checksum="crc32c")
    bucket.blob("other").upload_from_string(b"")
    assert [blob.name for blob in bucket.list_blobs(prefix="v1/")] == ["v1/large.bin", "v1/small.txt"]
    assert bucket.get_blob("v1/large.bin").size == len(data)
    assert bucket.blob("v1/small.txt").download_as_bytes(checksum="crc32c") == b"small"
    large.delete()
    with pytest.raises(exceptions.NotFound):
        large.delete()
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    assert google.world.violations == []


def test_subscriptions(google: GoogleServer) -> None:
    credentials = Credentials("from-google-client")
    publisher = pubsub_v1.PublisherClient(credentials=credentials, transport="rest")
    subscriber = pubsub_v1.SubscriberClient(credentials=credentials, transport="rest")
    for name in ("jobs", "dead"):
        publisher.create_topic(request={"name": f"projects/demo/topics/{name}"})
    subscription = {
        "name": "projects/demo/subscriptions/worker",
        "topic": "projects/demo/topics/jobs",
        "dead_letter_policy": {"dead_letter_topic": "projects/demo/topics/dead", "max_delivery_attempts": 7},
    }
    made = subscriber.create_subscription(request=subscription)
    assert (made.ack_deadline_seconds, made.dead_letter_policy.max_delivery_attempts) == (10, 7)
    changed = {
        "subscription": {"name": made.name, "topic": made.topic, "ack_deadline_seconds": 60},
        "update_mask": {"paths": ["ack_deadline_seconds"]},
    }
    assert subscriber.update_subscription(request=changed).ack_deadline_seconds == 60
    assert [item.name for item in subscriber.list_subscriptions(project="projects/demo")] == [made.name]
    subscriber.delete_subscription(subscription=made.name)
    with pytest.raises(exceptions.NotFound):
        subscriber.get_subscription(subscription=made.name)
    assert google.world.violations == []
