# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server remembers: objects, operations, every request, every violation, and the faults to inject."""

from __future__ import annotations

import copy
import datetime
import itertools
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .discovery import Json, Method

PROJECT_NUMBER = "123456789012"  # of every project here


class ApiError(Exception):
    """An answer other than success, in Google's words."""

    def __init__(
        self, status: int, reason: str, message: str, details: list[Json] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.details, self.headers = details or [], headers or {}


class DroppedError(Exception):
    """The connection ends without an answer."""


def not_found(path: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"Resource '{path}' was not found.")


def unknown(what: str) -> ApiError:
    return ApiError(501, "UNIMPLEMENTED", f"this server does not know how Google does {what}: teach it, do not guess")


@dataclass
class Request:
    """One request as it arrived."""

    verb: str
    api: str
    path: str
    query: dict[str, str]
    body: Any
    token: str
    status: int = 0

    def __str__(self) -> str:
        query = "&".join(f"{key}={value}" for key, value in sorted(self.query.items()))
        return f"{self.verb} {self.api} {self.path}" + (f"?{query}" if query else "")


@dataclass
class Fault:
    """Something that goes wrong for the next `times` requests whose `VERB api path` matches."""

    match: str
    kind: str  # status, drop_before, drop_after, operation_fails, operation_slow, partial_page, race
    times: int = 1
    status: int = 503
    reason: str = "UNAVAILABLE"
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)
    details: list[Json] = field(default_factory=list)
    seconds: float = 0.0
    race: Callable[[World], None] | None = None  # another client's write, just before this request is looked at


@dataclass
class Operation:
    """Something under way. `finish` makes the result visible and returns the response."""

    answer: Json
    polls: int
    finish: Callable[[], Json]
    undo: Callable[[], None]
    error: Json | None = None
    until: float | None = None  # a slow one, whoever looks
    started: float = field(default_factory=time.monotonic)


@dataclass
class Call:
    """One request on its way through a behaviour."""

    world: World
    method: Method
    path: str
    groups: dict[str, str]
    query: dict[str, str]
    body: Any
    many: dict[str, list[str]]
    headers: dict[str, str]
    host: str

    @property
    def key(self) -> str:
        return key_of(self.method.api, self.path)

    def find(self, key: str | None = None) -> Json:
        found = self.world.objects.get(key or self.key)
        if found is None:
            raise not_found((key or self.key).partition("/")[2])
        return found


def key_of(api: str, path: str) -> str:
    """`secretmanager/projects/demo/secrets/x`: the path without version, service prefix and :verb."""
    bare = re.sub(r"^(?:\w+/){0,2}?v\d\w*/", "", path)
    head, slash, last = bare.rpartition("/")
    return f"{api}/{head}{slash}{last.partition(':')[0]}"


class World:
    """All state of one server."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.objects: dict[str, Json] = {}
            self.policies: dict[str, Json] = {}
            self.secrets: dict[str, str] = {}
            self.blobs: dict[str, bytes] = {}
            self.operations: dict[str, Operation] = {}
            self.requests: list[Request] = []
            self.violations: list[str] = []
            self.faults: list[Fault] = []
            self.polls = 1
            # Who may reach and read what. Modules one by one are tried without the rest of a project; playbooks are not.
            self.access = False
            # How many calls a new account stays unknown to IAM and an enabled API disabled, and what is in that state.
            self.delay = 0
            self.young: dict[str, int] = {}
            # APIs that something still uses; agents of Google's own that were asked for.
            self.used: set[str] = set()
            self.agents: set[str] = set()
            self.identities: dict[str, tuple[str, str]] = {}  # identity token: whose, and for which address
            self.unready: dict[str, str] = {}  # images whose revisions never get ready, and what Google says of them
            # What answers at the addresses of Cloud Run: host and path in, body out, or an ApiError.
            self.site: Callable[[str, str], Json] | None = None
            self.numbers = itertools.count(1)

    def now(self) -> str:
        return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def unknown_yet(self, name: str) -> bool:
        """One more call that meets what was made a moment ago."""
        left = self.young.get(name, 0)
        self.young[name] = max(0, left - 1)
        return left > 0

    def fault(self, text: str, kinds: set[str]) -> Fault | None:
        """The next fault of these kinds for this request, counted down."""
        for entry in self.faults:
            if entry.times > 0 and entry.kind in kinds and re.search(entry.match, text):
                entry.times -= 1
                return entry
        return None

    def children(self, prefix: str) -> list[Json]:
        """Objects directly below `prefix/`."""
        return [copy.deepcopy(item) for key, item in sorted(self.objects.items()) if key.rpartition("/")[0] == prefix]

    def operate(self, call: Call, answer: Json, finish: Callable[[], Json], undo: Callable[[], None]) -> Json:
        """Begin an operation; `answer` has the API's own shape and a unique name."""
        text = f"{call.method.verb} {call.method.api} {call.path}"
        slow = self.fault(text, {"operation_slow"})
        fails = self.fault(text, {"operation_fails"})
        error = {"code": 9, "message": fails.message, "reason": fails.reason} if fails else None
        self.operations[f"{call.method.api}/{answer['name']}"] = Operation(
            answer, self.polls, finish, undo, error, time.monotonic() + slow.seconds if slow else None
        )
        return copy.deepcopy(answer)

    def poll(self, api: str, name: str) -> Operation:
        """One look at an operation moves it on by one step."""
        operation = self.operations.get(f"{api}/{name}")
        if operation is None:
            raise not_found(name)
        operation.polls -= 1
        return operation


@dataclass
class Registry:
    """Method id -> behaviour. What is not here is answered 501."""

    handlers: dict[str, Callable[[Call], Json]] = field(default_factory=dict)

    def method(self, *ids: str) -> Callable[[Callable[[Call], Json]], Callable[[Call], Json]]:
        def register(handler: Callable[[Call], Json]) -> Callable[[Call], Json]:
            for name in ids:
                if name in self.handlers:
                    raise RuntimeError(f"{name} is registered twice")
                self.handlers[name] = handler
            return handler

        return register


registry = Registry()
