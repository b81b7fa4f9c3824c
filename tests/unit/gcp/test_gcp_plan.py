# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner as tables: options and the server's object in, requests out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.gcp import checksum
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import (
    Field,
    Resource,
    duration,
    merge_patch,
    overlay,
    plan,
    seconds,
    self_link,
)

DOCUMENTATION = """
options:
  name: {type: str, required: true}
  state: {type: str}
  labels: {type: dict}
  size: {type: int}
  enabled: {type: bool}
  tier: {type: str}
  period: {type: str}
  password: {type: str}
  flags: {type: list}
  network: {type: str}
  probe: {type: dict, suboptions: {initial_delay: {type: int}, http_path: {type: str}}}
"""


def thing(**changes: Any) -> Resource:
    fields = {
        "labels": Field(exact=True),
        "tier": Field(immutable=True),
        "period": Field("settings.period", convert=duration, normalise=seconds),
        "password": Field(write_only=True, secret=True),
        "flags": Field("settings.flags", key="name", merge=True),
        "network": Field(normalise=self_link),
        "probe": Field(whole=True),
    }
    defaults: dict[str, Any] = {
        "documentation": DOCUMENTATION,
        "api": "things",
        "path": "v1/projects/{project}/things/{name}",
        "fields": fields,
    }
    return Resource(**(defaults | {"create": Write("POST", "v1/projects/{project}/things", {"thingId": "{name}"})} | changes))


def planned(params: dict[str, Any], live: dict[str, Any] | None, **changes: Any) -> Any:
    return plan(thing(**changes), {"project": "demo", "name": "one", "state": "present"} | params, live)


SAME = [
    ({}, {"labels": {"a": "1"}}, "what is left out is left alone"),
    ({"enabled": False, "size": 0, "labels": {}}, {}, "false, 0 and empty equal missing"),
    ({"size": 5}, {"size": "5"}, "int64 travels as a string"),
    ({"tier": ""}, {"tier": "TIER_UNSPECIFIED"}, "unspecified is unset"),
    ({"period": "24h"}, {"settings": {"period": "86400s"}}, "durations"),
    (
        {"network": "projects/p/global/networks/n"},
        {"network": "https://compute.googleapis.com/compute/v1/projects/p/global/networks/n"},
        "links",
    ),
    (
        {"flags": [{"name": "b", "value": "2"}]},
        {"settings": {"flags": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}},
        "merged list",
    ),
    ({"flags": [{"name": "gone", "value": None}]}, {"settings": {"flags": [{"name": "a", "value": "1"}]}}, "a flag that is gone already"),
    ({"password": "x"}, {}, "what only a creation sends"),
    ({"probe": {"initial_delay": 3}}, {"probe": {"initialDelay": 3, "httpPath": "/"}}, "suboptions are camelCase and a subset"),
]


@pytest.mark.parametrize(("params", "live", "why"), SAME, ids=[why for *_rest, why in SAME])
def test_nothing_to_do(params: dict[str, Any], live: dict[str, Any], why: str) -> None:
    assert planned(params, live).writes == []


CHANGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ({"labels": {"a": "1"}}, {"labels": {"a": "1", "b": "2"}}, {"labels": {"a": "1"}}, "labels"),
    ({"labels": {}}, {"labels": {"b": "2"}}, {"labels": {}}, "labels"),
    ({"size": 0}, {"size": 5}, {"size": 0}, "size"),
    ({"period": "1h"}, {"settings": {"period": "60s", "kept": 1}}, {"settings": {"period": "3600s", "kept": 1}}, "settings"),
    (
        {"flags": [{"name": "b", "value": "3"}, {"name": "a", "value": None}]},
        {"settings": {"flags": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c", "value": "4"}]}},
        {"settings": {"flags": [{"name": "b", "value": "3"}, {"name": "c", "value": "4"}]}},
        "settings",
    ),
    ({"probe": {"initial_delay": 4}}, {"probe": {"initialDelay": 3, "httpPath": "/"}}, {"probe": {"initialDelay": 4}}, "probe"),
    ({"enabled": False, "size": 2}, {"size": 1}, {"size": 2}, "size"),
]


@pytest.mark.parametrize(("params", "live", "body", "mask"), CHANGES)
def test_one_masked_update(params: dict[str, Any], live: dict[str, Any], body: dict[str, Any], mask: str) -> None:
    done = planned(params, {**live, "etag": "e1"}, etag="etag")
    assert done.writes == [Write("PATCH", "v1/projects/demo/things/one", {"updateMask": mask}, body | {"etag": "e1"})]
    assert planned(params, done.predicted).writes == []


def test_creation_sends_all_and_predicts_all_but_the_secret() -> None:
    done = planned({"labels": {"a": "1"}, "password": "hunter2", "period": "1d"}, None)
    sent = {"labels": {"a": "1"}, "password": "hunter2", "settings": {"period": "86400s"}}
    assert done.writes == [Write("POST", "v1/projects/demo/things", {"thingId": "one"}, sent)]
    assert "password" not in done.predicted
    assert "hunter2" not in str((done.before, done.after))


def test_the_diff_shows_the_users_keys_and_the_label_that_goes() -> None:
    done = planned({"labels": {"a": "1"}}, {"labels": {"b": "2"}, "size": 7})
    assert (done.before, done.after) == ({"labels": {"b": "2"}}, {"labels": {"a": "1"}})


def test_deletion_and_what_is_gone_already() -> None:
    assert planned({"state": "absent"}, {"etag": "e1"}, delete_query={"etag": "etag"}).writes == [
        Write("DELETE", "v1/projects/demo/things/one", {"etag": "e1"})
    ]
    assert planned({"state": "absent"}, None).writes == []


@pytest.mark.parametrize("changes", [{}, {"update": "none"}])
def test_what_cannot_change_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(GcpError, match=r"tier of .* is 'BASIC' and cannot become 'STANDARD' in place"):
        planned({"tier": "STANDARD"}, {"tier": "BASIC"}, **changes)


def test_other_styles_of_update() -> None:
    live = {"labels": {"a": "1", "b": "2"}, "size": 1, "generation": "7", "name": "things/one"}
    params = {"labels": {"a": "1"}, "size": 2}
    merge = planned(params, live, update="merge", etag="?ifGeneration=generation").writes[0]
    assert (merge.query, merge.body) == ({"ifGeneration": "7"}, {"labels": {"b": None}, "size": 2})
    wrapped = planned(params, live, update="wrapped:thing").writes[0]
    assert wrapped.body == {"thing": {"name": "things/one", "labels": {"a": "1"}, "size": 2}, "updateMask": "labels,size"}
    whole = planned({"size": 2, "enabled": False}, live, update="put", writable=("labels", "size", "enabled")).writes[0]
    assert whole.body == {"labels": {"a": "1", "b": "2"}, "size": 2, "enabled": False}


def test_positional_lists_keep_what_the_server_added() -> None:
    have = {"containers": [{"image": "a", "ports": [1]}]}
    assert overlay({"containers": [{"image": "b"}]}, have, {}) == {"containers": [{"image": "b", "ports": [1]}]}
    assert overlay({"names": ["b", "a"]}, {"names": ["a", "b"]}, {"names": Field(unordered=True)}) == {"names": ["a", "b"]}


def test_merge_patch() -> None:
    assert merge_patch({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1}, "d": [2], "e": 3}) == {"a": {"c": None}, "d": [2], "e": 3}


def test_paths() -> None:
    assert path_of("v1/p/{project}/x/{name}", {"project": "demo", "name": "a/b c"}) == "v1/p/demo/x/a%2Fb%20c"
    with pytest.raises(GcpError, match="'region' is required"):
        path_of("v1/{region}", {"region": None})


@pytest.mark.parametrize(("text", "answer"), [("24h", "86400s"), ("90d", "7776000s"), (300, "300s"), ("0.5s", "0.5s"), ("2w", "1209600s")])
def test_durations(text: Any, answer: str) -> None:
    assert duration(text) == answer


def test_no_duration() -> None:
    with pytest.raises(GcpError, match="no duration"):
        duration("soon")


def test_checksums_are_castagnolis() -> None:
    assert checksum.crc32c(b"123456789") == 0xE3069283
    assert checksum.crc32c(b"6789", checksum.crc32c(b"12345")) == 0xE3069283


def test_a_missing_library_is_said_with_the_way_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    own = importlib.reload(checksum)
    with pytest.raises(GcpError, match="pip install google-crc32c"):
        own.crc32c(b"x")
    monkeypatch.undo()
    importlib.reload(checksum)
