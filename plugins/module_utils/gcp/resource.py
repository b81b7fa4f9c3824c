# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Google Cloud resource as data: a table of fields, a pure plan, and one loop that reads, compares and writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .client import MISSING_LIBRARY, Client, ConflictError, GcpError, Json, LostConnectionError, Write, delay, enabled_later, path_of
from .compare import (
    MASK,
    Field,
    at,
    camel,
    duration,
    hidden,
    lower,
    merge_patch,
    overlay,
    put,
    seconds,
    self_link,
    shape,
    to_api,
    without,
)

try:
    import yaml

    MISSING_YAML = None
except ImportError:  # pragma: no cover
    MISSING_YAML = "PyYAML"

# What modules import from here: they need not know how the core is cut.
__all__ = [
    "MASK",
    "Field",
    "Plan",
    "Resource",
    "act",
    "argument_spec",
    "at",
    "converge",
    "duration",
    "hidden",
    "lower",
    "merge_patch",
    "overlay",
    "plan",
    "run",
    "seconds",
    "self_link",
    "settled",
    "start",
    "without",
]

ATTEMPTS = 6
Reader = Callable[[Client, Mapping[str, Any]], Json | None]
# Mirrors doc_fragments/gcp.py, which validate-modules compares with it.
COMMON: dict[str, Json] = {
    "project": {"type": "str", "required": True},
    "region": {"type": "str"},
    "access_token": {"type": "str", "no_log": True},
    "service_account_file": {"type": "path", "no_log": False},
    "service_account_contents": {"type": "jsonarg", "no_log": True},
    "impersonate_service_account": {"type": "str"},
    "impersonation_delegates": {"type": "list", "elements": "str"},
    "api_endpoint": {"type": "str"},
    "request_timeout": {"type": "int", "default": 60},
    "operation_timeout": {"type": "int", "default": 1800},
    "retries": {"type": "int", "default": 6},
    "propagation_timeout": {"type": "int", "default": 120},
    "api_propagation_timeout": {"type": "int", "default": 0},
}


@dataclass(frozen=True)
class Resource:
    """Everything that one module knows about its API."""

    documentation: str
    api: str
    path: str  # of the object; `{name}` is the option of that name
    fields: Mapping[str, Field] = field(default_factory=dict)
    nested: Mapping[str, Field] = field(default_factory=dict)  # rules for API paths below the options' own
    create: Write | None = None
    initial: Mapping[str, Any] = field(default_factory=dict)  # what a creation's body holds besides the options
    create_body: Callable[[Mapping[str, Any], Json], Json] | None = None  # where a creation wraps the object
    update: str = "mask"  # mask (?updateMask=), wrapped:<name> (mask and object in the body), merge (changed leaves), put, none
    update_method: str = "PATCH"
    etag: str = ""  # the body's field that proves which version we read; "?name=field" sends it as a query
    delete_query: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[str, ...] = ()  # with put: the object's own fields, all others being the server's
    output_only: tuple[str, ...] = ()  # below a changed field, yet the server's own
    pending: Callable[[Json], bool] | None = None  # still busy with somebody's earlier operation
    build: Callable[[Mapping[str, Any]], Json] | None = None  # the options that `fields` does not name
    adapt: Callable[[Json, Json | None], Json] | None = None  # the options as JSON, in the light of what is there (None: nothing)
    check: Callable[[Mapping[str, Any]], None] | None = None  # raises GcpError on options that contradict each other
    explain: Callable[[Client, Json | None, Json | None], Json] | None = None  # more keys of the result when something changes
    facts: Callable[[Mapping[str, Any]], Json] | None = None  # more keys of the result in any case
    required_if: tuple[tuple[str, Any, tuple[str, ...]], ...] = ()
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def spec(self) -> Json:
        """The documentation is the argument specification: one place, nothing to drift."""
        return argument_spec(self.documentation, {name for name, rule in self.fields.items() if rule.secret})

    @cached_property
    def options(self) -> dict[str, Field]:
        """Every option that describes the object, with its API path."""
        placeholders = set(re.findall(r"\{(\w+)\}", self.path))
        table = {}
        for name in self.spec:
            unsaid = Field(path=None) if self.build or name in {*COMMON, *placeholders, "state"} else Field()
            rule = self.fields.get(name, unsaid)
            if rule.path is not None:
                table[name] = replace(rule, path=rule.path or camel(name))
        return table

    @cached_property
    def rules(self) -> dict[str, Field]:
        return {str(rule.path): rule for rule in self.options.values()} | dict(self.nested)

    def wanted(self, params: Mapping[str, Any], creating: bool) -> Json:
        """The user's options as a piece of the API's object."""
        body = self.build(params) if self.build else {}
        for name, rule in self.options.items():
            value = params.get(name)
            if value is None or (rule.write_only and not creating):
                continue
            value = rule.convert(value) if rule.convert else to_api(value, self.spec[name].get("options"))
            if value is not None:
                put(body, str(rule.path), value)
        return body


@dataclass
class Plan:
    """What to send, what the object will be then, and the diff in the user's own words."""

    writes: list[Write]
    predicted: Json | None
    before: Json
    after: Json
    facts: Json = field(default_factory=dict)  # more keys for the module's result


def plan(resource: Resource, params: Mapping[str, Any], live: Json | None) -> Plan:
    """Pure: options and the server's object in, requests out."""
    path = path_of(resource.path, params)
    want = resource.wanted(params, live is None)
    if resource.adapt and params.get("state") != "absent":
        want = resource.adapt(want, live)
    absent, present = {"state": "absent"}, {"state": "present"}
    if params.get("state") == "absent":
        if live is None:
            return Plan([], None, absent, absent)
        query = {key: live[value] for key, value in resource.delete_query.items() if value in live}
        return Plan([Write("DELETE", path, query)], None, present | hidden(shape(live, want, resource.rules), resource.rules), absent)
    if live is None:
        made = resource.create or Write("POST", path.rpartition("/")[0])
        query = {key: value.format(**params) for key, value in made.query.items()}
        body = {key: value.format(**params) if isinstance(value, str) else value for key, value in resource.initial.items()} | want
        sent = resource.create_body(params, body) if resource.create_body else body
        write = Write(made.method, path_of(made.path, params), query, sent, repeatable=made.repeatable)
        predicted = body
        for rule in resource.options.values():
            predicted = without(predicted, str(rule.path)) if rule.write_only else predicted
        return Plan([write], predicted, absent, present | hidden(want, resource.rules))
    predicted = overlay(want, live, resource.rules)
    before, after = (hidden(shape(side, want, resource.rules), resource.rules) for side in (live, predicted))
    if predicted == live:
        return Plan([], live, before, before)
    for name, rule in resource.options.items():
        if (rule.immutable or resource.update == "none") and at(predicted, str(rule.path)) != at(live, str(rule.path)):
            old, new = at(live, str(rule.path)), at(predicted, str(rule.path))
            raise GcpError(
                f"{name} of {path} is {old!r} and cannot become {new!r} in place. Nothing was changed, and nothing is ever "
                "deleted to be made anew: keep the value, or make a new resource and move over."
            )
    explicit = overlay(want, live, resource.rules, explicit=True)
    return Plan([update_of(resource, path, live, predicted, explicit)], predicted, before, after)


def update_of(resource: Resource, path: str, live: Json, predicted: Json, explicit: Json) -> Write:
    style, _colon, wrapper = resource.update.partition(":")
    changed = sorted(key for key in predicted if predicted[key] != live.get(key))
    body: Json = {key: explicit[key] for key in changed}
    if style == "merge":
        body = merge_patch(live, predicted)
    elif style == "put":
        body = {key: value for key, value in explicit.items() if not resource.writable or key in resource.writable}
    for name in resource.output_only:
        body = without(body, name)
    query: Json = {}
    if resource.etag.startswith("?"):
        name, _equals, source = resource.etag[1:].partition("=")
        query[name] = live[source]
    elif resource.etag and at(live, resource.etag) is not None:
        put(body, resource.etag, at(live, resource.etag))
    if style == "mask":
        query["updateMask"] = ",".join(changed)
    elif style == "wrapped":
        body = {wrapper: {"name": live["name"]} | body, "updateMask": ",".join(changed)}
    return Write(resource.update_method, path, query, body)


def argument_spec(documentation: str, secrets: set[str] | frozenset[str] = frozenset()) -> Json:
    """Ansible's argument specification from a module's own documentation."""

    def convert(options: Json) -> Json:
        spec: Json = {}
        for name, option in options.items():
            spec[name] = {key: option[key] for key in ("type", "required", "default", "choices", "elements") if key in option}
            spec[name]["no_log"] = name in secrets
            if "suboptions" in option:
                spec[name]["options"] = convert(option["suboptions"])
        return spec

    return {**COMMON, **convert(yaml.safe_load(documentation)["options"])}


# -- running -----------------------------------------------------------------------------------------------------------


def start(spec: Callable[[], Json], **rules: Any) -> tuple[AnsibleModule, Client]:
    """The Ansible module and its client, or a clear failure."""
    if MISSING_YAML or MISSING_LIBRARY:
        module = AnsibleModule(argument_spec={}, bypass_checks=True)
        module.fail_json(msg=missing_required_lib(str(MISSING_LIBRARY or MISSING_YAML)))
    module = AnsibleModule(argument_spec=spec(), supports_check_mode=True, **rules)
    try:
        return module, Client(module.params)
    except GcpError as error:
        module.fail_json(msg=str(error))
        raise


def converge(
    module: AnsibleModule,
    client: Client,
    api: str,
    read: Callable[[], Json | None],
    planner: Callable[[Json | None], Plan],
    answers: bool = False,
) -> Json:
    """Read, compare, write; again from the start when somebody else wrote in between or a connection ended half-way.

    `answers`: the last write's answer is the object, so that it need not be read once more.
    """
    sent: list[str] = []
    first: Plan | None = None
    attempt, waited = 0, 0.0
    while True:
        try:
            live = read()
        except GcpError as error:
            if not enabled_later(error, module.check_mode):
                raise
            module.warn(f"check mode: taken as absent, for the API is not enabled: {error}")
            live = None
        todo = planner(live)
        first = first if first and sent else todo
        result: Json = {"diff": {"before": first.before, "after": first.after}, **todo.facts}
        result["writes"] = sent + [write.summary() for write in todo.writes]
        result["changed"] = bool(result["writes"])
        if module.check_mode or not todo.writes:
            return result | {"resource": todo.predicted}
        answer: Json = {}
        try:
            for write in todo.writes:
                sent.append(write.summary())
                answer = client.write(api, write)
            return result | {"resource": None if todo.predicted is None else (answer if answers else None) or read()}
        except (ConflictError, LostConnectionError) as error:
            if isinstance(error, ConflictError):
                sent.pop()
            attempt += 1
            # Cloud SQL does one thing at a time and says so with a 409: that is somebody's operation, which may take many minutes.
            queueing = error.reason == "operationInProgress" and waited < int(client.options.get("operation_timeout") or 1800)
            if attempt >= ATTEMPTS and not queueing:
                raise
            pause = delay(attempt)
            waited += pause
            client.sleep(pause)


def settled(resource: Resource, client: Client, params: Mapping[str, Any], read: Reader | None = None) -> Json | None:
    """The object, once nobody's earlier operation works on it any more. `read` finds it where its path cannot be known beforehand."""
    waited, attempt = 0.0, 0
    while True:
        live = read(client, params) if read else client.get(resource.api, path_of(resource.path, params))
        if live is None or resource.pending is None or not resource.pending(live):
            return live
        if waited > int(params.get("operation_timeout") or 1800):
            raise GcpError(f"{live.get('name', params.get('name'))} is still busy with an earlier operation after {waited:.0f} s")
        pause = delay(attempt, floor=0.2)
        waited, attempt = waited + pause, attempt + 1
        client.sleep(pause)


def run(resource: Resource) -> None:
    """The whole of a module's main()."""
    module, client = start(lambda: resource.spec, required_if=resource.required_if, mutually_exclusive=resource.mutually_exclusive)

    def planner(live: Json | None) -> Plan:
        todo = plan(resource, module.params, live)
        if resource.explain and todo.writes:
            todo.facts.update(resource.explain(client, live, todo.predicted))
        return todo

    try:
        if resource.check:
            resource.check(module.params)
        result = converge(module, client, resource.api, lambda: settled(resource, client, module.params), planner, answers=True)
    except GcpError as error:
        module.fail_json(msg=str(error))
    if resource.facts:
        result.update(resource.facts(module.params))
    result["resource"] = hidden(result["resource"], resource.rules)
    module.exit_json(**result)


def act(module: AnsibleModule, client: Client, api: str, planner: Callable[[], Plan]) -> None:
    """For actions rather than state (restore, import): sent once, never again by itself when the connection ends."""
    try:
        todo = planner()
        if not module.check_mode:
            for write in todo.writes:
                client.write(api, write)
    except LostConnectionError as error:
        module.fail_json(msg=f"{error}. It may have been taken: look at the operations before you run this again.")
    except GcpError as error:
        module.fail_json(msg=str(error))
    writes = [write.summary() for write in todo.writes]
    module.exit_json(
        changed=bool(writes), writes=writes, resource=todo.predicted, diff={"before": todo.before, "after": todo.after}, **todo.facts
    )
