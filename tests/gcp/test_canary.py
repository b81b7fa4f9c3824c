# SPDX-License-Identifier: GPL-3.0-or-later
"""Marked values go through everything that takes a secret, at -vvv and with diffs, and come out nowhere but at the server."""

from __future__ import annotations

import base64
import importlib
import json
import re
from pathlib import Path

import yaml

from tests.gcp.lifecycle import ROOT, Json, play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

MARK = "canary-Vx4"
PLACE = {"project": "demo", "region": "us-central1"}
SQL = PLACE | {"name": "db", "database_version": "POSTGRES_16", "tier": "db-custom-2-7680"}
USER = {"project": "demo", "instance": "db", "name": "app"}
CHANNEL = {"project": "demo", "name": "On call", "type": "slack", "labels": {"channel_name": "#ops"}}
# Every option of every module that holds a secret, and the module's other options.
TAKING: dict[tuple[str, str], tuple[Json, str | Json]] = {
    ("gcp_secret_version", "value"): ({"project": "demo", "name": "jwt"}, f"{MARK}-version"),
    ("gcp_sql_instance", "root_password"): (SQL, f"{MARK}-root"),
    ("gcp_sql_user", "password"): (USER, f"{MARK}-user"),
    ("gcp_notification_channel", "secret_labels"): (CHANNEL, {"auth_token": f"{MARK}-channel"}),
}


def test_every_secret_option_is_here() -> None:
    found = set()
    for file in (ROOT / "plugins/modules").glob("gcp_*.py"):
        module = importlib.import_module(f"ansible_collections.slipway.stack.plugins.modules.{file.stem}")
        for name, option in (yaml.safe_load(module.DOCUMENTATION).get("options") or {}).items():
            if "choices" not in option and re.search(r"(^|_)(value|password|token|secret_labels|credentials|private_key)$", name):
                found.add((file.stem, name))
    assert found == set(TAKING)


def test_marks_are_seen_nowhere(google: GoogleServer, tmp_path: Path) -> None:
    tasks = [task("secret", "gcp_secret", {"project": "demo", "name": "jwt"})]
    for (module, option), (others, value) in TAKING.items():
        arguments = others | {option: value}
        tasks.append(task(f"{module}-check", module, arguments, check=True) | {"register": f"{module}_check"})
        tasks.append(task(module, module, arguments) | {"register": module})
    copied = "{{ lookup('slipway.stack.gcp_secret', 'jwt', project='demo', access_token='" + MARK + "-lookup') }}-copied"
    again = TAKING["gcp_sql_user", "password"][0] | {"password": f"{MARK}-refused", "update_password": "always"}
    key = json.dumps({"type": "service_account", "private_key": f"{MARK}-key", "client_email": "a@b", "token_uri": "https://b"})
    tasks += [
        task("copied", "gcp_secret_version", {"project": "demo", "name": "jwt", "value": copied, "keep": 1, "retire": "destroy"}),
        task("refused", "gcp_sql_user", again),
        {
            "name": "broken-key",
            "slipway.stack.gcp_pubsub_topic": {"project": "demo", "name": "t", "service_account_contents": key},
            "ignore_errors": True,
        },
        {
            "name": "remember",
            "ansible.builtin.set_fact": {"cacheable": True, "kept": [f"{{{{ {module} }}}}" for module, _option in TAKING]},
        },
    ]
    google.world.faults += [Fault("PUT sqladmin", "status", status=403, reason="forbidden", message="no")]
    files = {"LOG_PATH": "ansible.log", "CACHE_PLUGIN_CONNECTION": "facts", "LOCAL_TEMP": "local", "REMOTE_TMP": "remote"}
    environment = {f"ANSIBLE_{name}": str(tmp_path / file) for name, file in files.items()}
    environment |= {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_KEEP_REMOTE_FILES": "0"}
    steps = play(google, tmp_path, tasks, environment, ("-vvv", "--diff"))
    failed = {name for name, step in steps.items() if step.result.get("failed")}
    assert failed == {"refused", "broken-key"}
    copy = base64.b64encode(f"{MARK}-version-copied".encode()).decode()
    sent = {f"{MARK}-root", f"{MARK}-user", f"{MARK}-channel", copy}
    assert sent <= set(google.world.secrets.values())
    written = {file.name for file in tmp_path.rglob("*") if file.is_file()}
    assert written >= {"output.txt", "ansible.log", "s1_localhost"} or written >= {"output.txt", "ansible.log", "localhost"}, written
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "play.yml":
            text = file.read_text(errors="replace")
            assert MARK not in text, file
            assert copy not in text, file
            assert "test-token-of" not in text, file
