# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Comparing what the user wants with what the server has: pure functions on JSON, and the table row that rules them.

The user's options are a subset of the server's object. What is left out is left alone; false, 0, "" and [] equal "missing".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .client import GcpError, Json

MASK = "********"


@dataclass(frozen=True)
class Field:
    """How one option (or one API path below it) becomes JSON and is compared with what the server has."""

    path: str | None = ""  # API path such as "settings.tier"; "" is the option's own name in camelCase, None is not sent
    convert: Callable[[Any], Any] | None = None  # the option's value -> the API's value
    normalise: Callable[[Any], Any] | None = None  # both sides, before comparing
    exact: bool = False  # a map: keys that the user does not name are removed
    key: str = ""  # a list of objects with this identity
    merge: bool = False  # with key: entries that the user does not name stay
    unordered: bool = False  # a list that is a set
    whole: bool = False  # an object of which one part excludes others: when it differs it is replaced
    closed: bool = False  # means by what it leaves out: compared at every depth, and replaced by what the user says when it differs
    drops: tuple[str, ...] = ()  # keys of an object that the server never fills in: one that the user does not name goes
    secret: bool = False
    immutable: bool = False  # cannot change in place: fails and names the option
    create_only: bool = False  # used where the server has no value yet, never compared again
    write_only: bool = False  # never answered by the server; sent with a creation


# -- comparing ---------------------------------------------------------------------------------------------------------


def overlay(want: Any, have: Any, rules: Mapping[str, Field], path: str = "", explicit: bool = False) -> Any:
    """The server's value with the user's laid over it. Returns `have` itself where the two already agree.

    `explicit` is for sending: a 0 that the user wrote stays a 0, for a field that is sent without it may get the server's default.
    """
    rule = rules.get(path, Field())
    if rule.create_only and have not in (None, ""):
        return have
    if rule.closed:
        return have if alike(want, have, rule) else want
    if isinstance(want, dict):
        old = have if isinstance(have, dict) else {}
        new = {} if rule.exact else {name: value for name, value in old.items() if name not in rule.drops or name in want}
        for name, value in want.items():
            if value is None and path and name in old:
                del new[name]
                continue
            merged = overlay(value, old.get(name), rules, f"{path}.{name}" if path else name, explicit)
            if name in old or merged is not None:
                new[name] = merged
        return have if new == old else (want if rule.whole else new)
    if isinstance(want, list):
        items: list[Any] = have if isinstance(have, list) else []
        if rule.key:
            known = {str(item.get(rule.key)): item for item in items}
            names = [str(item[rule.key]) for item in want]
            gone = {str(item[rule.key]) for item in want if len(item) > 1 and all(item[key] is None for key in item if key != rule.key)}
            fresh = {str(item[rule.key]): overlay(item, known.get(str(item[rule.key])), rules, path + "[]", explicit) for item in want}
            merged = [fresh.get(name, item) for name, item in known.items() if (name in fresh or rule.merge) and name not in gone]
            merged += [fresh[name] for name in names if name not in known and name not in gone]
        elif rule.unordered:
            merged = items if {canonical(item, rule) for item in items} == {canonical(item, rule) for item in want} else want
        else:
            merged = [
                overlay(item, items[place] if place < len(items) else None, rules, path + "[]", explicit) for place, item in enumerate(want)
            ]
        return have if merged == items else merged
    same = canonical(want, rule) == canonical(have, rule)
    return have if same and not (explicit and have is None) else want


def alike(want: Any, have: Any, rule: Field) -> bool:
    """Equal at every depth, where what is empty is the same as what is missing."""
    if isinstance(want, dict) or isinstance(have, dict):
        sides = [side if isinstance(side, dict) else {} for side in (want, have)]
        return all(alike(sides[0].get(name), sides[1].get(name), rule) for name in {*sides[0], *sides[1]})
    if isinstance(want, list) or isinstance(have, list):
        lists = [side if isinstance(side, list) else [] for side in (want, have)]
        return len(lists[0]) == len(lists[1]) and all(alike(left, right, rule) for left, right in zip(*lists, strict=True))
    return bool(canonical(want, rule) == canonical(have, rule))


def canonical(value: Any, rule: Field) -> Any:
    """int64 travels as a string, unset enums as X_UNSPECIFIED, and everything falsy as nothing."""
    if value is None or value is False or value == "" or (isinstance(value, str) and value.endswith("_UNSPECIFIED")):
        return None
    if rule.normalise:
        value = rule.normalise(value)
    if value is True:
        return True
    return None if value in (0, "0") else str(value)


def seconds(value: Any) -> Any:
    """Durations as the user may write them (`24h`, `90d`, 300) and as the API does (`86400s`)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", str(value))
    return f"{float(match[1]) * {'': 1, 's': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[match[2]]:g}" if match else value


def duration(value: Any) -> str:
    """For `convert`: what the user wrote, as the API's `86400s`."""
    text = seconds(value)
    if not re.fullmatch(r"[\d.e+]+", str(text)):
        raise GcpError(f"{value!r} is no duration: write 300, 300s, 5m, 24h or 90d")
    return f"{int(float(text))}s" if float(text).is_integer() else f"{text}s"


def self_link(value: Any) -> Any:
    return re.sub(r"^https?://[^/]+/(compute/)?(v\d\w*/)?", "", str(value))


def lower(value: Any) -> Any:
    return str(value).lower()


# -- JSON --------------------------------------------------------------------------------------------------------------


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def to_api(value: Any, options: Json | None) -> Any:
    """Documented suboptions become camelCase and lose what was left out; maps keep the user's own keys."""
    if options and isinstance(value, list):
        return [to_api(item, options) for item in value]
    if options and isinstance(value, dict):
        return {camel(key): to_api(item, options.get(key, {}).get("options")) for key, item in value.items() if item is not None}
    return value


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def put(value: Json, path: str, item: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        value = value.setdefault(name, {})
    value[last] = item


def without(value: Any, path: str) -> Any:
    name, _dot, rest = path.partition(".")
    if not isinstance(value, dict) or name not in value:
        return value
    kept = {key: item for key, item in value.items() if key != name}
    return {**kept, name: without(value[name], rest)} if rest else kept


def merge_patch(old: Json, new: Json) -> Json:
    """Only the changed leaves; null for what goes (RFC 7396)."""
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if value != before:
            patch[key] = merge_patch(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return patch


def open_map(rules: Mapping[str, Field], path: str) -> bool:
    rule = rules.get(path, Field())
    return rule.exact or rule.closed


def shape(value: Any, want: Any, rules: Mapping[str, Field], path: str = "") -> Any:
    """The part of the object that the user speaks of. Maps whose keys may go are shown whole."""
    if not isinstance(want, dict) or not isinstance(value, dict) or open_map(rules, path):
        return value
    return {key: shape(value[key], want[key], rules, f"{path}.{key}" if path else key) for key in want if key in value}


def hidden(value: Any, rules: Mapping[str, Field], path: str = "") -> Any:
    """The same without secrets."""
    if rules.get(path, Field()).secret and value not in (None, ""):
        return MASK
    if isinstance(value, dict):
        return {key: hidden(item, rules, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item, rules, path + "[]") for item in value]
    return value
