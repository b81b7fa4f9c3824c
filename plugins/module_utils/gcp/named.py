# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Resources that are not simply read by their path: the server made their name, or a deleted one is still shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .client import Client, GcpError, Json, path_of
from .resource import Plan, Resource, converge, hidden, plan, settled, start

Params = Mapping[str, Any]
Reader = Callable[[Client, Params], Json | None]
Planner = Callable[[Client, Params, Json | None], Plan]


def found(api: str, collection: str, key: str, matches: Callable[[Params, Json], bool]) -> Reader:
    """A reader that lists and picks. Two that match are an error: to change one of them would be to guess."""

    def read(client: Client, params: Params) -> Json | None:
        path = path_of(collection, params)
        chosen = [item for item in client.items(api, path, key) if matches(params, item)]
        if len(chosen) > 1:
            names = ", ".join(item["name"] for item in chosen)
            raise GcpError(f"{path}: {len(chosen)} of them match ({names}). Delete or rename all but one.")
        return chosen[0] if chosen else None

    return read


def by_display_name(api: str, collection: str, key: str) -> Reader:
    return found(api, collection, key, lambda params, item: bool(item.get("displayName") == params["name"]))


def planned(resource: Resource) -> Planner:
    """The usual plan; `{id}` in the resource's path is the last part of the name that the server made."""
    return lambda _client, params, live: plan(resource, {**params, "id": str((live or {}).get("name", "-")).rpartition("/")[2]}, live)


def run(
    resource: Resource, read: Reader, planner: Planner | None = None, show: Callable[[Client, Params, Json], Json] | None = None
) -> None:
    """A module's main(). `show` puts the answer into the user's words."""
    module, client = start(lambda: resource.spec, required_if=resource.required_if, mutually_exclusive=resource.mutually_exclusive)
    params = {**module.params, "check_mode": module.check_mode}
    ready = planner or planned(resource)
    try:
        if resource.check:
            resource.check(params)
        result = converge(
            module,
            client,
            resource.api,
            lambda: settled(resource, client, params, read),
            lambda live: ready(client, params, live),
            answers=True,
        )
        if show and result["resource"]:
            result["resource"] = show(client, params, result["resource"])
    except GcpError as error:
        module.fail_json(msg=str(error))
    if resource.facts:
        result.update(resource.facts(params))
    result["resource"] = hidden(result["resource"], resource.rules)
    module.exit_json(**result)
