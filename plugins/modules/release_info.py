#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""slipway.stack.release_info: the releases of an application on a host, and the one to go back to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: Tell which releases of an application a host has, and which was live before
version_added: "0.1.0"
description:
  - Reads what M(slipway.stack.release) built in C(<root>/<name>/releases).
  - It writes down what is live now, as M(slipway.stack.release) does, so that the way back from where one goes is known. That is
    bookkeeping, and never counts as a change.
  - Gives the path of O(wanted), so that M(slipway.stack.state) can make it live.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  root:
    description: Folder of all applications.
    type: path
    default: /opt
  link:
    description: The link that makes a release live.
    type: str
    default: current
  wanted:
    description:
      - V(present) is what O(link) means, V(previous) what it meant before, V(none) asks for no release; anything else is the id of a
        release. One that is not on this host is an error that lists those that are.
    type: str
    default: present
  schema:
    description:
      - Whether O(wanted) may be a release whose migrations are not those that the database has seen. V(refuse) tells which release
        migrated it; V(accept) is for one that can live with what is there.
    type: str
    choices: [refuse, accept]
    default: refuse
  log:
    description: The record that M(slipway.stack.deployment) keeps.
    type: path
    default: /var/log/slipway/deployments.log
attributes:
  check_mode:
    description: Then it writes nothing down.
    support: full
  diff_mode:
    description: There is nothing to show.
    details: It changes nothing that is served.
    support: N/A
  idempotent:
    description: A second run answers the same.
    support: full
author:
  - Slipway maintainers (@slipway)
"""

EXAMPLES = r"""
- name: What could be live in place of the present release
  slipway.stack.release_info:
    name: shop
    wanted: previous
  register: shop_release
"""

RETURN = r"""
id:
  description: The release that O(wanted) means.
  returned: success
  type: str
  sample: shop-v1.4.1-3f2a9c01b7de
path:
  description: Its folder.
  returned: success
  type: str
record:
  description: Every deployment of it that this host knows of, oldest first.
  returned: success
  type: list
  elements: dict
live:
  description: The folder that each link of the application means.
  returned: success
  type: dict
releases:
  description: Every complete release, oldest first, with C(id), C(built), C(source) and the links that mean it (C(live)).
  returned: always
  type: list
  elements: dict
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.stack.plugins.module_utils.release import schema
from ansible_collections.slipway.stack.plugins.module_utils.release.store import MANIFEST, MIGRATED, Store


def described(store: Store, identity: str) -> dict[str, Any]:
    """What the manifest says of one release."""
    content = json.loads((store.path(identity) / MANIFEST).read_text())
    marker = store.path(identity) / MIGRATED
    return {
        "id": identity,
        "built": content.get("built", ""),
        "source": content.get("source", {}),
        "migrated": json.loads(marker.read_text()).get("migrated", "") if marker.is_file() else "",
        "live": [link for link, name in store.live().items() if name == identity],
    }


def chosen(store: Store, link: str, wanted: str, known: list[str]) -> str:
    """The id that is meant; empty when there is none."""
    past = store.history().get(link, [])
    if wanted == "present":
        return past[-1] if past else ""
    if wanted == "previous":
        return next((name for name in reversed(past[:-1]) if name in known), "")
    return wanted if wanted in known else ""


def recorded(path: Path, name: str) -> list[dict[str, Any]]:
    """What slipway.stack.deployment wrote down of an application, oldest first."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line for line in map(json.loads, lines) if line["application"] == name]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/opt"},
            "link": {"type": "str", "default": "current"},
            "wanted": {"type": "str", "default": "present"},
            "schema": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
            "log": {"type": "path", "default": "/var/log/slipway/deployments.log"},
        },
        supports_check_mode=True,
    )
    store = Store(Path(module.params["root"]), module.params["name"])
    known = store.complete()
    releases = [described(store, name) for name in known]
    found = chosen(store, module.params["link"], module.params["wanted"], known)
    if not found and module.params["wanted"] != "none":
        here = ", ".join(known) or "none"
        module.fail_json(
            msg=f"{module.params['name']} has no release {module.params['wanted']!r} for {module.params['link']}; on this host: {here}",
            releases=releases,
        )
    migrated = schema.beyond(store, found) if found and module.params["wanted"] != "present" else ""
    if migrated and module.params["schema"] == "refuse":
        module.fail_json(
            msg=f"{module.params['name']}: the database has seen the migrations of {migrated}, and {found} has others. It stays as it is; "
            f"where {found} can live with that, say -e rollback_schema=accept",
            releases=releases,
        )
    if not module.check_mode:
        store.remember()
    live = {link: str(store.path(identity)) for link, identity in store.live().items()}
    record = recorded(Path(module.params["log"]), module.params["name"])
    path = str(store.path(found)) if found else ""
    module.exit_json(changed=False, id=found, path=path, live=live, releases=releases, record=record)


if __name__ == "__main__":
    main()
