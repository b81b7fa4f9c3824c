#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""slipway.stack.deployment: one deployment of an application at a time, and a record of who deployed what."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment
short_description: Let one run at a time deploy an application, and write down what became of it
version_added: "0.1.0"
description:
  - V(begun) takes the turn on this host in C(<root>/<application>/.deployment.json). Whoever comes second is told who is at it, since
    when and why, and changes nothing.
  - V(ended) gives the turn back and adds a line to O(log) for each application whose live release changed, or whose deployment failed.
  - A run that was killed keeps its turn. The next run from the same controller sees that its process is gone and takes over; from
    another controller O(force) does, or O(forget_after) hours.
  - Both are bookkeeping and never count as a change.
options:
  applications:
    description: Names of the applications.
    type: list
    elements: str
    required: true
  state:
    description: Whether the deployment begins or has ended.
    type: str
    required: true
    choices: [begun, ended]
  action:
    description: What is done, for the record.
    type: str
    choices: [deploy, rollback]
    default: deploy
  reason:
    description: Why, for the record and for whoever comes second.
    type: str
    default: ""
  failure:
    description: Why it failed; empty when it did not.
    type: str
    default: ""
  owner:
    description: Who deploys. The action plugin knows the user and the controller; name a person here when a pipeline runs it.
    type: str
    default: ""
  force:
    description: Take the turn from whoever has it.
    type: bool
    default: false
  forget_after:
    description: Hours after which a turn is as good as given back.
    type: int
    default: 6
  root:
    description: Folder of all applications.
    type: path
    default: /opt
  log:
    description: The record, one JSON object a line, at most 2000 of them.
    type: path
    default: /var/log/slipway/deployments.log
  run:
    description: The process on the controller. Filled in by the action plugin; never set it.
    type: str
    default: ""
  abandoned:
    description: A run whose process is gone. Filled in by the action plugin; never set it.
    type: str
    default: ""
attributes:
  check_mode:
    description: Then it only tells who has the turn.
    support: full
  diff_mode:
    description: There is nothing to show.
    details: It changes nothing that is served.
    support: N/A
  idempotent:
    description: A run that has the turn keeps it.
    support: full
author:
  - Slipway maintainers (@slipway)
"""

EXAMPLES = r"""
- name: Take the turn
  slipway.stack.deployment:
    applications: [shop]
    state: begun
    reason: "new checkout"

- name: Give it back
  slipway.stack.deployment:
    applications: [shop]
    state: ended
"""

RETURN = r"""
live:
  description: For each application the folder that each of its links means.
  returned: success
  type: dict
  sample: {shop: {current: /opt/shop/releases/shop-v1.4.1-3f2a9c01b7de}}
held:
  description: The turn that somebody else has.
  returned: when there is one
  type: dict
"""

import datetime
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.stack.plugins.module_utils.release.store import Store, write_atomic

LINES = 2000
BESIDE = "next"
"""The link of a release that runs beside the present one: a way, not a result."""


def turn_of(store: Store) -> dict[str, Any]:
    """Who deploys this application now; empty when nobody does."""
    try:
        found: dict[str, Any] = json.loads((store.home / ".deployment.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def age(seconds: float) -> str:
    """A length of time in words."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def refusal(name: str, turn: dict[str, Any]) -> str:
    """What whoever comes second is told."""
    why = f" ({turn['reason']})" if turn["reason"] else ""
    return (
        f"{name} is being deployed by {turn['owner']} since {age(time.time() - turn['began'])}{why}; nothing was changed. "
        "Wait for its end. If that run is no more, run again with -e deploy_force=true"
    )


def paths(store: Store) -> dict[str, str]:
    """The folder that each link of the application means."""
    return {link: str(store.path(identity)) for link, identity in store.live().items()}


def begin(params: dict[str, Any], store: Store, name: str, *, check: bool) -> dict[str, Any]:
    """Take the turn; gives the one that somebody else has."""
    turn = turn_of(store)
    if turn and turn["run"] != params["run"]:
        gone = turn["run"] == params["abandoned"] or time.time() - turn["began"] > params["forget_after"] * 3600
        if not gone and not params["force"]:
            return turn
        if not check:
            record(params, name, turn, {"result": "abandoned", "why": "that run ended without saying so"})
    if not check:
        mine = {key: params[key] for key in ("run", "owner", "reason", "action")}
        write_atomic(store.home / ".deployment.json", json.dumps({**mine, "began": time.time(), "live": store.live()}) + "\n")
    return {}


def end(params: dict[str, Any], store: Store, name: str) -> None:
    """Write down what became of it, and give the turn back."""
    turn = turn_of(store)
    if turn.get("run") != params["run"]:
        return
    before, after = ({link: name for link, name in live.items() if link != BESIDE} for live in (turn["live"], store.live()))
    changed = [(before.get(link, ""), after.get(link, "")) for link in sorted(set(before) | set(after))]
    why = {"why": params["failure"]} if params["failure"] else {}
    for old, new in dict.fromkeys(pair for pair in changed if pair[0] != pair[1]):
        record(params, name, turn, {"result": "failed" if why else "released", "from": old, "to": new, **why})
    if why and before == after:
        record(params, name, turn, {"result": "put back", **why})
    (store.home / ".deployment.json").unlink()


def record(params: dict[str, Any], name: str, turn: dict[str, Any], what: dict[str, str]) -> None:
    """Add a line to the log."""
    path = Path(params["log"])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    began = datetime.datetime.fromtimestamp(turn["began"], datetime.UTC)
    line = {"time": f"{began:%Y-%m-%dT%H:%M:%SZ}", "application": name, "action": turn["action"], "by": turn["owner"], **what}
    if turn["reason"]:
        line["reason"] = turn["reason"]
    line["seconds"] = round(time.time() - turn["began"])
    lines = path.read_text().splitlines()[1 - LINES :] if path.is_file() else []
    write_atomic(path, "\n".join([*lines, json.dumps(line)]) + "\n")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "applications": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "required": True, "choices": ["begun", "ended"]},
            "action": {"type": "str", "choices": ["deploy", "rollback"], "default": "deploy"},
            "reason": {"type": "str", "default": ""},
            "failure": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "forget_after": {"type": "int", "default": 6},
            "root": {"type": "path", "default": "/opt"},
            "log": {"type": "path", "default": "/var/log/slipway/deployments.log"},
            "run": {"type": "str", "default": ""},
            "abandoned": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not params["run"]:
        module.fail_json(msg="slipway.stack.deployment is run through its action plugin, which knows who runs it")
    os.umask(0o022)
    stores = {name: Store(Path(params["root"]), name) for name in params["applications"]}
    if module.check_mode:
        held = {name: turn for name, store in stores.items() if (turn := begin(params, store, name, check=True))}
    else:
        Path("/run/slipway").mkdir(exist_ok=True)
        with Path("/run/slipway/deployment.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = {}
            for name, store in stores.items():
                if params["state"] == "ended":
                    end(params, store, name)
                else:
                    store.home.mkdir(parents=True, exist_ok=True)
                    if turn := begin(params, store, name, check=False):
                        held[name] = turn
    live = {name: paths(store) for name, store in stores.items()}
    if held and params["state"] == "begun":
        name, turn = next(iter(held.items()))
        module.fail_json(msg=refusal(name, turn), held=turn, live=live)
    module.exit_json(changed=False, live=live)


if __name__ == "__main__":
    main()
