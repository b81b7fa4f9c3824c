# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret Manager through its whole life."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer

SECRET = "v1/projects/demo/secrets/jwt-secret-key"


def test_secret(google: GoogleServer, tmp_path: Path) -> None:
    Lifecycle(
        module="gcp_secret",
        base={"project": "demo", "name": "jwt-secret-key", "labels": {"app": "mass", "old": "yes"}},
        change={"annotations": {"owner": "platform"}},
        drop={"labels": {"app": "mass"}},
        drift=("PATCH", f"secretmanager/{SECRET}?updateMask=labels", {"labels": {"app": "other"}}),
        requests={
            "create": [f"GET secretmanager {SECRET}", "POST secretmanager v1/projects/demo/secrets?secretId=jwt-secret-key"],
            "change": [f"GET secretmanager {SECRET}", f"PATCH secretmanager {SECRET}?updateMask=annotations"],
            "create-again": [f"GET secretmanager {SECRET}"],
        },
    ).verify(google, tmp_path)


def test_version(google: GoogleServer, tmp_path: Path) -> None:
    """A new value is a new version; the two newest stay alive; the values are seen nowhere."""
    place = {"project": "demo", "name": "jwt-secret-key"}
    first, second, third = (f"canary-value-{number}-Qz7" for number in ("one", "two", "three"))
    steps = play(
        google,
        tmp_path,
        [
            task("missing", "gcp_secret_version", place | {"value": first}),
            task("secret", "gcp_secret", place),
            task("one-check", "gcp_secret_version", place | {"value": first}, check=True),
            task("one", "gcp_secret_version", place | {"value": first}),
            task("one-again", "gcp_secret_version", place | {"value": first}),
            task("two", "gcp_secret_version", place | {"value": second, "keep": 2}),
            task("three-check", "gcp_secret_version", place | {"value": third, "keep": 2, "retire": "destroy"}, check=True),
            task("three", "gcp_secret_version", place | {"value": third, "keep": 2, "retire": "destroy"}),
            task("three-again", "gcp_secret_version", place | {"value": third, "keep": 2, "retire": "destroy"}),
            task("generated", "gcp_secret_version", place | {"generate": 32}),
            task("aged", "gcp_secret_version", place | {"generate": 32, "max_age": "0s"}),
        ],
        arguments=("-vvv",),
    )
    assert "not found" in steps["missing"].result["msg"]
    changed = [
        steps[name].changed for name in ("one-check", "one", "one-again", "two", "three-check", "three", "three-again", "generated", "aged")
    ]
    assert changed == [True, True, False, True, True, True, False, False, True]
    assert steps["three-check"].result["diff"] == steps["three"].result["diff"]
    assert steps["three"].result["resource"]["enabled"] == [3, 2]
    assert steps["three"].writes == [f"POST secretmanager {SECRET}:addVersion", f"POST secretmanager {SECRET}/versions/1:destroy"]
    assert steps["aged"].result["version"] == "4"
    assert google.world.violations == []
    output = (tmp_path / "output.txt").read_text()
    assert not [value for value in (first, second, third) if value in output]


def test_lookup(google: GoogleServer, tmp_path: Path) -> None:
    """The newest enabled version, or the one that is named."""
    place = {"project": "demo", "name": "jwt-secret-key"}
    options = "project='demo', access_token='x'"
    ask = "{{{{ lookup('slipway.stack.gcp_secret', '{term}', {options}) | length }}}}"
    show = [
        {"name": term, "ansible.builtin.debug": {"msg": ask.format(term=term, options=options)}, "ignore_errors": True}
        for term in ("jwt-secret-key", "jwt-secret-key:1", "missing")
    ]
    steps = play(
        google,
        tmp_path,
        [
            task("secret", "gcp_secret", place),
            task("one", "gcp_secret_version", place | {"value": "short-canary"}),
            task("two", "gcp_secret_version", place | {"value": "a-longer-canary"}),
            *show,
        ],
    )
    assert [int(steps[name].result["msg"]) for name in ("jwt-secret-key", "jwt-secret-key:1")] == [15, 12]
    assert "does not exist" in steps["missing"].result["msg"]
    assert google.world.violations == []
    assert "canary" not in (tmp_path / "output.txt").read_text()
