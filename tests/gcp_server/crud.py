# SPDX-License-Identifier: GPL-3.0-or-later
"""What most Google resources have in common: create, get, list, patch, delete, IAM, operations."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .discovery import Json, methods
from .validation import check_mask
from .world import ApiError, Call, Operation, World, registry, unknown

UNWATCHED_SECONDS = 0.3
Hook = Callable[[Call, Json, Json | None], None]


@dataclass
class Kind:
    """One kind of resource. `prefix` is the discovery id's, such as secretmanager.projects.secrets."""

    prefix: str
    items: str = ""  # the list's key
    id_from: str = ""  # ?secretId=, or "body.name"; "" means that the path itself names the object (PUT)
    full_name: bool = True  # `name` is the whole path
    wrapper: str = ""  # the update's body wraps object and mask
    without_mask: str = "required"  # required, replace, merge
    operation: str = ""  # "", done, status
    type_name: str = ""  # the protobuf type, which a finished operation's response carries
    etag: str = ""  # the field's name
    keep_defaults: bool = False
    presence: tuple[str, ...] = ()  # fields whose 0 is shown, for Google can tell it from "not set"
    busy: Json = field(default_factory=dict)  # while a creation is under way
    busy_update: Json = field(default_factory=dict)
    ready: Json = field(default_factory=dict)
    patch_operation: bool = True  # false: only creating and deleting take an operation
    delete_answers: bool = False  # a deletion's operation ends with the object, not with nothing
    on_write: Hook | None = None
    on_finish: Callable[[Json], None] | None = None  # an ApiError ends the operation in an error; what was written stays
    on_delete: Callable[[Call, Json], None] | None = None
    verbs: tuple[str, ...] = ("create", "get", "list", "patch", "delete", "getIamPolicy", "setIamPolicy", "testIamPermissions")

    def __post_init__(self) -> None:
        api = self.prefix.partition(".")[0].replace("sql", "sqladmin")
        known = {method.id for method in methods(api)}
        actions: dict[str, Callable[[Call], Json]] = {
            "create": self.create,
            "insert": self.create,
            "get": self.get,
            "list": self.list,
            "patch": self.patch,
            "delete": self.delete,
            "getIamPolicy": get_policy,
            "setIamPolicy": set_policy,
            "testIamPermissions": test_permissions,
        }
        for verb, action in actions.items():
            wanted = verb in self.verbs or (verb == "insert" and "create" in self.verbs)
            if wanted and f"{self.prefix}.{verb}" in known:
                registry.method(f"{self.prefix}.{verb}")(action)

    # -- the verbs -------------------------------------------------------------------------------------------------

    def create(self, call: Call) -> Json:
        new = copy.deepcopy(call.body or {})
        key = call.key
        if self.id_from.startswith("body."):
            key = f"{key}/{new[self.id_from.removeprefix('body.')]}"
        elif self.id_from:
            key = f"{key}/{call.query[self.id_from]}"
        if key in call.world.objects:
            raise ApiError(409, "ALREADY_EXISTS", f"Resource '{key.partition('/')[2]}' already exists.")
        if self.full_name:
            given = new.get("name")
            if given not in (None, key.partition("/")[2]):
                raise ApiError(400, "INVALID_ARGUMENT", f"name {given!r} does not belong to {key.partition('/')[2]!r}")
            new["name"] = key.partition("/")[2]
        return self.store(call, key, new, None)

    def get(self, call: Call) -> Json:
        return self.show(call, call.find())

    def list(self, call: Call) -> Json:
        found = [self.show(call, item) for item in call.world.children(call.key)]
        return page(call, self.items, found)

    def patch(self, call: Call) -> Json:
        old = call.find()
        body = copy.deepcopy(call.body or {})
        mask = call.query.get("updateMask", "")
        if self.wrapper:
            mask, body = body.get("updateMask", ""), body.get(self.wrapper, {})
        self.check_etag(call, old, body)
        if mask:
            found = check_mask(call.method, mask, self.wrapper)
            if found:
                call.world.violations += [f"{call.method.id}: {text}" for text in found]
                raise ApiError(400, "INVALID_ARGUMENT", "; ".join(found))
            new = masked(old, body, mask)
        elif self.without_mask == "merge":
            new = merged(old, body)
        elif self.without_mask == "replace":
            new = replaced(old, body, call)
        else:
            raise ApiError(400, "INVALID_ARGUMENT", "update_mask is required")
        return self.store(call, call.key, new, old)

    def delete(self, call: Call) -> Json:
        old = call.find()
        self.check_etag(call, old, {"etag": call.query["etag"]} if "etag" in call.query else {})
        if self.on_delete:
            self.on_delete(call, old)
        doomed = {key: call.world.objects.pop(key) for key in list(call.world.objects) if key == call.key or key.startswith(call.key + "/")}

        def undo() -> None:
            call.world.objects.update(doomed)

        shown = self.typed(call, old) if self.delete_answers else {}
        return self.answer(call, call.key, lambda: shown, undo)

    # -- what they share -------------------------------------------------------------------------------------------

    def store(self, call: Call, key: str, new: Json, old: Json | None) -> Json:
        world = call.world
        if self.on_write:
            self.on_write(call, new, old)
        if self.etag:
            new.pop(self.etag, None)
            new[self.etag] = fresh_etag(new)
        world.objects[key] = new | (self.busy if old is None else self.busy_update)

        def finish() -> Json:
            if key in world.objects:
                stored = world.objects[key]
                for name in {**self.busy, **self.busy_update}:
                    stored.pop(name, None)
                stored.update(self.ready)
                if self.on_finish:
                    self.on_finish(stored)
                return self.typed(call, stored)
            return {}

        def undo() -> None:
            if old is None:
                world.objects.pop(key, None)
            else:
                world.objects[key] = old

        return self.answer(call, key, finish, undo)

    def answer(self, call: Call, key: str, finish: Callable[[], Json], undo: Callable[[], None]) -> Json:
        if not self.operation or (call.method.verb == "PATCH" and not self.patch_operation):
            return finish()
        return start_operation(call, self.operation, key, finish, undo)

    def show(self, call: Call, item: Json) -> Json:
        result = copy.deepcopy(item)
        schema = self.schema(call)
        return result if schema is None else pruned(result, schema, call.method.schemas, self.keep_defaults, self.presence)

    def typed(self, call: Call, item: Json) -> Json:
        shown = self.show(call, item)
        return (
            {"@type": f"type.googleapis.com/{self.type_name}", **shown}
            if self.operation == "done" and call.method.response_is_operation
            else shown
        )

    def schema(self, call: Call) -> Json | None:
        known = {method.id: method for method in methods(call.method.api)}
        getter = known.get(f"{self.prefix}.get")
        return getter.schemas[getter.response] if getter and getter.response else None

    def check_etag(self, call: Call, old: Json, body: Json) -> None:
        if self.etag and body.get(self.etag) not in (None, "", old.get(self.etag)):
            raise ApiError(409, "ABORTED", f"The {self.etag} provided does not match the current {self.etag}.")


def fresh_etag(content: Json) -> str:
    digest = hashlib.sha256((json.dumps(content, sort_keys=True) + uuid.uuid4().hex).encode()).digest()
    return '"' + base64.b64encode(digest[:12]).decode() + '"'


def page(call: Call, key: str, found: list[Any]) -> Json:
    """One page. A `partial_page` fault makes it one item long, so that who ignores nextPageToken is found out."""
    sizes = call.query.get("pageSize") or call.query.get("maxResults")
    size = int(sizes) if sizes else 1000
    if call.world.fault(f"{call.method.verb} {call.method.api} {call.path}", {"partial_page"}) or call.query.get("pageToken", "").endswith(
        "/1"
    ):
        size = 1
    start = int(call.query.get("pageToken", "0").partition("/")[0])
    result: Json = {key: found[start : start + size]} if found[start : start + size] else {}
    if start + size < len(found):
        result["nextPageToken"] = f"{start + size}" + ("/1" if size == 1 else "")
    return result


# -- changing ----------------------------------------------------------------------------------------------------------


def masked(old: Json, body: Json, mask: str) -> Json:
    """A masked field that is absent from the body is cleared."""
    new = copy.deepcopy(old)
    for path in mask.split(","):
        source: Any = body
        target = new
        names = [
            "".join(part if place == 0 else part.capitalize() for place, part in enumerate(name.split("_"))) for name in path.split(".")
        ]
        for name in names[:-1]:
            source = source.get(name, {}) if isinstance(source, dict) else {}
            target = target.setdefault(name, {})
        if names[-1] in source:
            target[names[-1]] = source[names[-1]]
        else:
            target.pop(names[-1], None)
    return new


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def replaced(old: Json, body: Json, call: Call) -> Json:
    """Without a mask the whole object is replaced, except for what only the server writes."""
    properties = call.method.schemas[call.method.request or ""]["properties"]
    kept = {key: value for key, value in old.items() if properties.get(key, {}).get("readOnly")}
    return kept | body | {"name": old["name"]}


def pruned(value: Any, schema: Json, schemas: Json, keep_defaults: bool, presence: tuple[str, ...] = ()) -> Any:
    """What an answer shows: no input-only field, and with proto3 none that holds its default."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    if isinstance(value, dict) and "properties" in schema:
        result = {}
        for key, item in value.items():
            inner = schema["properties"].get(key)
            if inner is None or "Input only" in inner.get("description", "")[:40]:
                continue
            shown = pruned(item, inner, schemas, keep_defaults, presence)
            if keep_defaults or key in presence or not default_value(shown, inner):
                result[key] = shown
        return result
    if isinstance(value, list) and "items" in schema:
        return [pruned(item, schema["items"], schemas, keep_defaults, presence) for item in value]
    return value


def default_value(value: Any, schema: Json) -> bool:
    if value == {}:
        return "$ref" not in schema  # an empty map is left out, an empty message is kept
    return value in (None, False, 0, "", "0", []) or (isinstance(value, str) and value.endswith("_UNSPECIFIED"))


# -- operations --------------------------------------------------------------------------------------------------------


def start_operation(call: Call, style: str, key: str, finish: Callable[[], Json], undo: Callable[[], None]) -> Json:
    world, api = call.world, call.method.api
    identifier = f"operation-{next(world.numbers)}"
    bare = key.partition("/")[2].split("/")
    if style == "status":
        project = bare[bare.index("projects") + 1]
        answer: Json = {
            "kind": f"{'sql' if api == 'sqladmin' else api}#operation",
            "name": identifier,
            "status": "PENDING",
            "targetProject": project,
            "targetId": bare[bare.index("instances") + 1] if api == "sqladmin" and len(bare) > 3 else bare[-1],
            "operationType": call.method.name.rpartition(".")[2].upper(),
            "insertTime": world.now(),
            "selfLink": f"https://{call.host}/{OPERATION_PATHS[api].format(project=project)}/{identifier}",
        }
        if api == "sqladmin":
            answer["targetLink"] = f"https://{call.host}/sql/v1beta4/projects/{project}/instances/{answer['targetId']}"
        return world.operate(call, answer, finish, undo)
    parent = "/".join(bare[:4]) + "/" if "locations" in bare else ""
    return world.operate(call, {"name": f"{parent}operations/{identifier}"}, finish, undo)


OPERATION_PATHS = {"sqladmin": "sql/v1beta4/projects/{project}/operations", "compute": "compute/v1/projects/{project}/global/operations"}


def done_operation(call: Call) -> Json:
    """GET of a google.longrunning operation."""
    operation = call.world.poll(call.method.api, call.key.partition("/")[2])
    return advance(operation, "done")


def status_operation(call: Call) -> Json:
    """GET of an sqladmin or compute operation."""
    operation = call.world.poll(call.method.api, call.key.rpartition("/")[2])
    return advance(operation, "status")


def advance(operation: Operation, style: str) -> Json:
    answer = operation.answer
    finished = answer.get("done") or answer.get("status") == "DONE"
    ripe = operation.polls <= 0 if operation.until is None else time.monotonic() >= operation.until
    if ripe and not finished:
        if operation.error:
            operation.undo()
            answer["error"] = (
                {"errors": [{"code": operation.error["reason"], "message": operation.error["message"]}]}
                if style == "status"
                else {"code": operation.error["code"], "message": operation.error["message"]}
            )
        else:
            try:
                response = operation.finish()
            except ApiError as error:
                answer["error"] = {"code": 9, "message": error.message}
            else:
                if style == "done":
                    answer["response"] = {"@type": "type.googleapis.com/google.protobuf.Empty"} | response
        answer.update({"done": True} if style == "done" else {"status": "DONE"})
    elif style == "status" and not finished:
        answer["status"] = "RUNNING"
    return copy.deepcopy(answer)


def tick(world: World) -> None:
    """Operations go on when nobody looks."""
    for operation in world.operations.values():
        if time.monotonic() - operation.started > UNWATCHED_SECONDS:
            operation.polls = 0
            advance(operation, "status" if "kind" in operation.answer else "done")


# -- IAM ---------------------------------------------------------------------------------------------------------------


def get_policy(call: Call) -> Json:
    if call.key.count("/") != 2 or not call.key.startswith("cloudresourcemanager/"):
        call.find()
    return copy.deepcopy(call.world.policies.get(call.key, {"version": 1, "etag": "ACAB"}))


def set_policy(call: Call) -> Json:
    return store_policy(call, get_policy(call), call.body.get("policy", {}))


def store_policy(call: Call, old: Json, new: Json) -> Json:
    policy = copy.deepcopy(new)
    if policy.get("etag") not in (None, "", old["etag"]):
        raise ApiError(
            409, "ABORTED", "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
        )
    if any("condition" in binding for binding in policy.get("bindings", [])) and policy.get("version") != 3:
        raise ApiError(400, "INVALID_ARGUMENT", "a policy with conditions needs version 3")
    policy["bindings"] = [binding for binding in policy.get("bindings", []) if binding.get("members")]
    for binding in policy["bindings"]:
        binding["members"] = [kept(call.world, member) for member in binding["members"]]
    policy["etag"] = base64.b64encode(uuid.uuid4().bytes[:6]).decode()
    policy.setdefault("version", 1)
    call.world.policies[call.key] = policy
    return copy.deepcopy(policy)


def kept(world: World, member: str) -> str:
    """How a policy keeps a member: addresses in small letters. Accounts that IAM does not know (yet) are refused."""
    kind, colon, address = member.partition(":")
    if not colon or kind in ("deleted", "principal", "principalSet", "principalHierarchy"):
        return member
    address = address.lower()
    agent = address.endswith("@gs-project-accounts.iam.gserviceaccount.com")
    if kind == "serviceAccount" and (world.unknown_yet(address) or (world.access and agent and address not in world.agents)):
        raise ApiError(400, "INVALID_ARGUMENT", f"Service account {address} does not exist.")
    return f"{kind}:{address}"


def test_permissions(call: Call) -> Json:
    raise unknown("testIamPermissions, for it grants nothing and denies nothing")
