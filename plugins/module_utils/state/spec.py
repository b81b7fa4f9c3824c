# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module's arguments: one table for Ansible's own checker, for the documentation test, and for our clearer errors."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from . import sandbox

# Every item may say these. The controller has answered them before anything travels: see plugin_utils/desired_state.py.
ITEM_KEYS: dict[str, Any] = {
    "when": {"type": "raw"},
    "each": {"type": "raw"},
    "as": {"type": "str"},
}
_OWNED = {
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
_READY = {
    "tcp": {"type": "str"},
    "http": {"type": "str"},
    "status": {"type": "int"},
    "insecure": {"type": "bool", "default": False},
    "host": {"type": "str"},
    "unix": {"type": "str"},
    "command": {"type": "str"},
    "expect": {"type": "str"},
    "unit_active": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 30},
    "settle": {"type": "int", "default": 0},
}
_SANDBOX = {
    "write": {"type": "list", "elements": "str", "default": []},
    "families": {"type": "list", "elements": "str", "default": ["inet", "unix"], "choices": list(sandbox.FAMILIES)},
    "networks": {"type": "list", "elements": "str", "default": ["any"]},
    "capabilities": {"type": "list", "elements": "str", "default": []},
    "ambient_capabilities": {"type": "list", "elements": "str", "default": []},
    "except": {"type": "dict", "default": {}},
}
PACKAGE = {
    **ITEM_KEYS,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "version": {"type": "str"},
    "default_release": {"type": "str"},
    "recommends": {"type": "bool", "default": False},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "from": {"type": "str"},
    "packages": {"type": "list", "elements": "raw", "default": []},
    "cache_valid_time": {"type": "int", "default": 86400},
    "groups": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "name": {"type": "str", "required": True},
            "gid": {"type": "int"},
            "system": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "name": {"type": "str", "required": True},
            "uid": {"type": "int"},
            "group": {"type": "str"},
            "groups": {"type": "list", "elements": "str", "default": []},
            "home": {"type": "str"},
            "shell": {"type": "str"},
            "system": {"type": "bool", "default": False},
            "comment": {"type": "str"},
            "create_home": {"type": "bool"},
            "password": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "commands": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "argv": {"type": "list", "elements": "str", "required": True},
            "creates": {"type": "str", "required": True},
        },
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "path": {"type": "str", "required": True},
            **_OWNED,
            "mode": {"type": "str", "default": "0755"},
            "state": {"type": "str", "choices": ["directory", "absent"], "default": "directory"},
            "exclusive": {"type": "raw", "default": False},
        },
    },
    "certificates": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "certificate": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "names": {"type": "list", "elements": "str", "required": True},
            "days": {"type": "int", "default": 3650},
            **_OWNED,
            "mode": {"type": "str", "default": "0600"},
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "path": {"type": "str", "required": True},
            "template": {"type": "str"},
            "variables": {"type": "dict", "default": {}},
            "content": {"type": "str"},
            "encoding": {"type": "str", "choices": ["utf-8", "base64"], "default": "utf-8"},
            "source": {"type": "str"},
            "link": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **_OWNED,
            "mode": {"type": "str", "default": "0644"},
            "secret": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": True},
            "validate": {"type": "str"},
        },
    },
    "validate": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "command": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "str", "required": True},
        },
    },
    "units": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ITEM_KEYS,
            "name": {"type": "str"},
            "exclusive": {"type": "str"},
            "marked": {"type": "str"},
            "enabled": {"type": "bool"},
            "state": {"type": "str", "choices": ["started", "stopped"]},
            "masked": {"type": "bool"},
            "restart_on": {"type": "list", "elements": "str", "default": []},
            "reload_on": {"type": "list", "elements": "str", "default": []},
            "reload_command": {"type": "str"},
            "ready": {"type": "dict", "options": _READY},
            "sandbox": {"type": "dict", "options": _SANDBOX},
        },
    },
    "timeout": {"type": "int", "default": 600},
}
_UNIT_KINDS = (".service", ".timer", ".socket", ".mount", ".path", ".slice", ".target")
_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}


class SpecError(Exception):
    """Every problem of the arguments, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems) if len(problems) == 1 else "\n- ".join(["invalid arguments:", *problems]))
        self.problems = problems


def normalise(arguments: dict[str, Any], rendered: bool = False) -> dict[str, Any]:
    """Return plain data with every key present, or raise SpecError with all the problems.

    rendered: the controller has turned template and source into content; they are names for messages from then on."""
    problems: list[str] = []
    arguments = {key: value for key, value in arguments.items() if not str(key).startswith("_")}
    result = _options(ARGUMENT_SPEC, arguments, "", problems)
    if not problems:
        _write_sandboxes(result, problems)
    if not problems:
        _check_meaning(result, problems, ("content", "link") if rendered else ("template", "content", "source", "link"))
    if problems:
        raise SpecError(problems)
    return result


def _options(spec: dict[str, Any], given: dict[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    for key in given:
        if key not in spec:
            near = get_close_matches(str(key), list(spec), n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            problems.append("{}unknown key '{}'{}; allowed: {}".format(_at(where), key, hint, ", ".join(spec)))
    result: dict[str, Any] = {}
    for key, rule in spec.items():
        if key in ITEM_KEYS or key == "from":
            continue
        value = given.get(key)
        if value is None:
            if rule.get("required"):
                problems.append(f"{_at(where)}'{key}' is required")
            default = rule.get("default")
            result[key] = list(default) if isinstance(default, list) else dict(default) if isinstance(default, dict) else default
            continue
        result[key] = _value(rule, value, f"{where}.{key}" if where else key, problems, secret=bool(rule.get("no_log")) or key == "content")
    return result


def _value(rule: dict[str, Any], value: Any, where: str, problems: list[str], secret: bool = False) -> Any:
    kind = rule["type"]
    if kind == "list":
        if not isinstance(value, (list, tuple)):
            problems.append(f"{where} must be a list, got {type(value).__name__}")
            return []
        items = [_element(rule, item, where, index, problems) for index, item in enumerate(value)]
        for item in items if "choices" in rule else []:
            if item not in rule["choices"]:
                problems.append("{} has {!r}; allowed: {}".format(where, item, ", ".join(rule["choices"])))
        return items
    if kind == "dict":
        if not isinstance(value, dict):
            problems.append(f"{where} must be a dictionary, got {type(value).__name__}")
            return {}
        return _options(rule["options"], value, where, problems) if "options" in rule else dict(value)
    if kind == "raw":
        return value
    if where.endswith(".mode") and not isinstance(value, str):  # YAML reads a bare 0644 as 420
        problems.append(f'{where} must be quoted octal digits such as "0644", got the number {value}')
        return "0000"
    plain = _scalar(kind, value)
    shown = "(not shown)" if secret else repr(_plain(value))
    if plain is None:
        expected = {"str": "a string", "int": "a whole number", "bool": "true or false"}[kind]
        problems.append(f"{where} must be {expected}, got {shown}")
    elif "choices" in rule and plain not in rule["choices"]:
        problems.append("{} is {}; allowed: {}".format(where, shown, ", ".join(rule["choices"])))
    return plain


def _element(rule: dict[str, Any], item: Any, where: str, index: int, problems: list[str]) -> Any:
    if rule["elements"] == "raw":  # a package: its name, or a dictionary
        item = {"name": item} if not isinstance(item, dict) else item
        rule = {"elements": "dict", "options": PACKAGE}
    if rule["elements"] != "dict":
        return _value({"type": rule["elements"]}, item, f"{where}[{index}]", problems)
    label = f"{where}[{index}]"
    if not isinstance(item, dict):
        problems.append(f"{label} must be a dictionary, got {type(item).__name__}")
        return {}
    name = next((item[key] for key in ("path", "name", "exclusive", "certificate") if key in item), None)
    return _options(rule["options"], item, f"{label} ({name})" if name else label, problems)


def _scalar(kind: str, value: Any) -> Any:
    """The value as `kind`, or None. Subclasses of str (Ansible's tags) become plain str."""
    if kind == "bool":
        if isinstance(value, bool):
            return value
        text = str(value).lower()
        return True if text in _TRUE else False if text in _FALSE else None
    if kind == "int":
        if isinstance(value, bool):
            return None
        try:
            return int(str(value))
        except ValueError:
            return None
    return _plain(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value if isinstance(value, (bool, list, dict)) else str(value)


def _at(where: str) -> str:
    return where + ": " if where else ""


def _check_meaning(result: dict[str, Any], problems: list[str], origins: tuple[str, ...]) -> None:
    """What types cannot say."""
    for section, key in (
        ("packages", "name"),
        ("groups", "name"),
        ("users", "name"),
        ("commands", "creates"),
        ("directories", "path"),
        ("files", "path"),
        ("units", "name"),
    ):
        seen: set[str] = set()
        for item in result[section]:
            if item[key] is None:
                continue
            if item[key] in seen:
                problems.append(f"{section}: '{item[key]}' is listed twice")
            seen.add(item[key])
    for item in result["commands"]:
        if not item["argv"]:
            problems.append(f"commands ({item['creates']}): argv is empty; allowed: a program and its arguments")
        _check_path({"path": item["creates"], "mode": "0644"}, problems)
    for item in result["directories"] + result["files"]:
        _check_path(item, problems)
    for item in result["directories"]:
        _check_directory(item, problems)
    for item in result["certificates"]:
        _check_certificate(item, problems)
    for item in result["files"]:
        _check_file(item, problems, origins)
    for item in result["units"]:
        _check_unit(item, problems)


def _check_path(item: dict[str, Any], problems: list[str]) -> None:
    path = item["path"]
    if not path.startswith("/") or "/../" in path + "/" or "\0" in path or path == "/":
        problems.append(f"path '{path}' must be absolute and without '..'")
    if path != "/" and path.endswith("/"):
        item["path"] = path.rstrip("/")
    if not re.fullmatch(r"0?[0-7]{3,4}", item["mode"]):
        problems.append('{}: mode {!r} must be quoted octal digits such as "0644"'.format(path, item["mode"]))


def _check_directory(item: dict[str, Any], problems: list[str]) -> None:
    exclusive = item["exclusive"]
    if not isinstance(exclusive, (bool, str)) or exclusive == "" or (isinstance(exclusive, str) and "/" in exclusive):
        problems.append(
            f"directories ({item['path']}): exclusive is {exclusive!r}; allowed: true, false or a pattern of file names such as *.yml"
        )
    elif exclusive and item["state"] == "absent":
        problems.append(f"directories ({item['path']}): state absent goes without exclusive")
    elif exclusive:
        item["exclusive"] = "*" if exclusive is True else _plain(exclusive)


def _check_certificate(item: dict[str, Any], problems: list[str]) -> None:
    for key in ("certificate", "key"):
        _check_path({"path": item[key], "mode": item["mode"]}, problems)
    if not item["names"]:
        problems.append(f"certificates ({item['certificate']}): names is empty; allowed: host names and addresses")
    for name in item["names"]:
        # a comma or a slash would be read as one more field
        if not re.fullmatch(r"(\*\.)?[A-Za-z0-9_.:-]+", name):
            problems.append(f"certificates ({item['certificate']}): names has {name!r}; allowed: host names and addresses")


def _check_file(item: dict[str, Any], problems: list[str], possible: tuple[str, ...]) -> None:
    origins = [key for key in possible if item[key] is not None]
    if item["state"] == "absent":
        if origins:
            problems.append("files ({}): state absent goes without {}".format(item["path"], ", ".join(origins)))
    elif len(origins) != 1:
        problems.append(
            "files ({}): give exactly one of {} (or state: absent); got {}".format(
                item["path"], ", ".join(possible), ", ".join(origins) or "none"
            )
        )
    if item["variables"] and item["template"] is None:
        problems.append("files ({}): variables only go with template".format(item["path"]))
    if item["validate"] and "%s" not in item["validate"]:
        problems.append("files ({}): validate must contain %s, the candidate's path".format(item["path"]))


def _check_unit(item: dict[str, Any], problems: list[str]) -> None:
    name = item["name"]
    if name is None or item["exclusive"] is not None or item["marked"] is not None:
        _check_unit_pattern(item, problems)
        return
    if not name.endswith(_UNIT_KINDS):
        problems.append("units ({}): name must end with one of {}".format(name, " ".join(_UNIT_KINDS)))
    if item["masked"] and (item["enabled"] or item["state"] == "started"):
        problems.append(f"units ({name}): a masked unit can be neither enabled nor started")
    ready = item["ready"]
    if ready is None:
        return
    probes = [key for key in ("tcp", "http", "unix", "command") if ready[key] is not None] + (
        ["unit_active"] if ready["unit_active"] else []
    )
    if len(probes) != 1:
        problems.append(
            "units ({}): ready needs exactly one of tcp, http, unix, command, unit_active; got {}".format(name, ", ".join(probes) or "none")
        )
    if ready["tcp"] is not None and not re.fullmatch(r".+:\d+", ready["tcp"]):
        problems.append("units ({}): ready.tcp is {!r}; expected host:port".format(name, ready["tcp"]))
    if ready["http"] is not None and not re.match(r"https?://", ready["http"]):
        problems.append("units ({}): ready.http is {!r}; expected http://... or https://...".format(name, ready["http"]))


def _check_unit_pattern(item: dict[str, Any], problems: list[str]) -> None:
    """An item that is a pattern says nothing else: what it finds beyond the named units is stopped, disabled and removed."""
    pattern = item["exclusive"]
    if pattern is None:
        problems.append("units: an item needs a name, or a pattern in exclusive")
        return
    others = [key for key, value in item.items() if key not in ("exclusive", "marked") and value not in (None, [], {})]
    if others:
        problems.append(f"units ({pattern}): exclusive goes without {', '.join(others)}")
    if item["marked"] is not None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", item["marked"]) or not pattern.endswith(_UNIT_KINDS):
            problems.append(
                f"units ({pattern}): marked is {item['marked']!r}; allowed: a word of small letters, with a pattern such as *.service"
            )
        return
    # One that begins with a wildcard would take units of the distribution away.
    if not re.fullmatch(r"[A-Za-z0-9:_.-]{3,}[@-]?[][A-Za-z0-9:_.@*?-]*", pattern) or not pattern.endswith(_UNIT_KINDS):
        problems.append(
            "units ({}): exclusive is a pattern that begins with three plain characters and ends with one of {}, e.g. api@*.service".format(
                pattern, " ".join(_UNIT_KINDS)
            )
        )


def _write_sandboxes(result: dict[str, Any], problems: list[str]) -> None:
    """Turn each unit's `sandbox` into a drop-in among the files, on which a service restarts."""
    written: dict[str, str] = {}
    for unit in result["units"]:
        wanted = unit["sandbox"]
        if wanted is None or unit["name"] is None:
            continue
        unit["sandbox"] = None
        problems += [f"units ({unit['name']}).sandbox: {problem}" for problem in sandbox.problems(wanted)]
        path, content = sandbox.path_of(unit["name"]), sandbox.drop_in(wanted)
        if path not in written:
            result["files"].append(_options(ARGUMENT_SPEC["files"]["options"], {"path": path, "content": content}, "", problems))
        elif written[path] != content:
            problems.append(f"units ({unit['name']}): its sandbox differs from that of another instance; {path} serves all of them")
        written[path] = content
        if unit["state"] == "started":  # a job that a timer starts takes its next run
            unit["restart_on"].append(path)
