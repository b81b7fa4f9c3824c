# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the files of an inventory, before their values are looked at.

Ansible passes over most of it with a warning, or in silence: a hosts file that cannot be read leaves no hosts, and nothing
happens with exit status 0; a file for a group that does not exist is never read; the later of two equal keys wins.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # a core that does not keep origins: problems then name the host only
    Origin = None
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import Problem

SUFFIXES = (".yml", ".yaml", ".json", "")
IGNORED = ("~", ".orig", ".bak", ".swp", ".retry", ".md", ".txt", ".pem", ".crt", ".key", ".pub", ".py")


class _Vault(str):
    """An encrypted value, which is nobody's business here."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads Ansible's own tags as texts."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: _Vault())


def shown_path(path: Path) -> str:
    """Relative to where the user is, when it is below that."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def origin(name: Any) -> Any:
    """Where a name was written, as ansible-core keeps it."""
    return Origin.get_tag(name) if Origin else None


def where(name: Any) -> str:
    """File and line in which the variable `name` stands, relative to the working directory."""
    found = origin(name)
    if found is None or found.path is None:
        return str(found.description).strip("<>") if found is not None and found.description else ""
    shown = shown_path(Path(str(found.path)))
    return f"{shown}:{found.line_num}" if found.line_num else f"{shown}:1"


def where_inside(given: Mapping[str, Any], variable: str) -> str:
    """File and line of `applications.shop.processes.web.port`: of the last part of the name that was written down."""
    place, value = "", given
    path, _, name = variable.partition(": the name ")
    for part in [*re.findall(r"[^.\[\]]+", path), *([name.strip("'")] if name else [])]:
        if isinstance(value, Mapping):
            key = next((key for key in value if str(key) == part), None)
            if key is None:
                return place
            place, value = where(key) or place, value[key]
        elif isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return place
    return place


def problems(sources: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Of every inventory given by -i. `groups`: as Ansible has read them."""
    found: list[Problem] = []
    for source in sources:
        if "," in source:
            continue
        path = Path(source)
        if not path.exists():
            found.append(Problem("inventory", repr(source), "a folder with hosts.yml, or a file, that is there"))
        elif path.is_dir():
            found += _folder(path, groups)
        else:
            found += _unreadable(path)
            found += _variables(path.parent, groups)
    if not found and not groups.get("all"):
        names = ", ".join(shown_path(Path(source)) for source in sources)
        files = [path / "hosts.yml" if path.is_dir() else path for path in map(Path, sources)]
        place = next((f"{shown_path(path)}:1" for path in files if path.exists()), "")
        found.append(Problem("inventory", f"{names or 'empty'}, which has no hosts", "at least one host in the group of a role", place))
    return found


def _folder(path: Path, groups: Mapping[str, Sequence[str]]) -> list[Problem]:
    found: list[Problem] = []
    for entry in sorted(path.iterdir()):
        if entry.is_file() and entry.suffix in (".yml", ".yaml", ".json") and not entry.name.startswith("."):
            found += _unreadable(entry)
            found += _twice(entry)
    return found + _variables(path, groups)


def _variables(folder: Path, groups: Mapping[str, Sequence[str]]) -> list[Problem]:
    """group_vars and host_vars: files of nobody, keys twice, one variable in two files of one group."""
    hosts = [str(host) for host in groups.get("all", [])]
    known = {"group_vars": sorted({*map(str, groups), "all", "ungrouped"}), "host_vars": sorted({*hosts, "localhost"})}
    found: list[Problem] = []
    for kind, names in known.items():
        entries = sorted((folder / kind).iterdir()) if (folder / kind).is_dir() else []
        found += _never_read(entries)
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(IGNORED):
                continue
            name = entry.name if entry.is_dir() else entry.stem if entry.suffix in SUFFIXES else entry.name
            if name not in names and entry.name not in names:
                what = "group" if kind == "group_vars" else "host"
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
                hint = f"did you mean {near[0]}? " if near else ""
                found.append(
                    Problem(
                        f"{kind}/{entry.name}",
                        f"for the {what} {name!r}, which the inventory does not have",
                        f"{hint}a file for a {what} that is there",
                        f"{shown_path(entry)}:1",
                    )
                )
                continue
            files = sorted(path for path in entry.rglob("*") if path.is_file()) if entry.is_dir() else [entry]
            files = [
                path for path in files if path.suffix in SUFFIXES and not path.name.startswith(".") and not path.name.endswith(IGNORED)
            ]
            found += [problem for path in files for problem in _twice(path)]
            found += _in_two_files(files)
    return found


def _never_read(entries: Sequence[Path]) -> list[Problem]:
    """Files beside the one that Ansible takes for the same group or host: the name itself, then .yml, .yaml, .json."""
    found: list[Problem] = []
    taken: dict[str, Path] = {}
    order = {suffix: number for number, suffix in enumerate(("", ".yml", ".yaml", ".json"))}
    usual = [entry for entry in entries if not entry.name.startswith(".") and (entry.is_dir() or entry.suffix in order)]
    for entry in sorted(usual, key=lambda entry: 0 if entry.is_dir() else order[entry.suffix]):
        name = entry.name if entry.is_dir() else entry.stem
        if name in taken:
            given = f"never read: {shown_path(taken[name])} is taken for the same name"
            found.append(Problem(f"{entry.parent.name}/{entry.name}", given, f"one file, or a folder {name}/", f"{shown_path(entry)}:1"))
        taken.setdefault(name, entry)
    return found


def _unreadable(path: Path) -> list[Problem]:
    """A YAML file that is none, with the line."""
    if path.suffix not in (".yml", ".yaml"):
        return []
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return [Problem(shown_path(path), f"not to be read: {error.problem or error.context}", "YAML", f"{shown_path(path)}:{line}")]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [Problem(shown_path(path), f"not to be read: {error}"[:120], "YAML in UTF-8", f"{shown_path(path)}:1")]
    if content is not None and not isinstance(content, dict):
        return [
            Problem(
                shown_path(path),
                f"a {type(content).__name__}",
                "a mapping of groups, such as all: {children: ...}",
                f"{shown_path(path)}:1",
            )
        ]
    return []


def _root(path: Path) -> Any:
    """The YAML tree with its lines; None for what Ansible itself refuses, or reads another way."""
    try:
        text = path.read_text()
        return None if text.startswith("$ANSIBLE_VAULT") else yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def _keys(node: Any, place: str) -> Iterator[tuple[str, str, int]]:
    """(place, key, line) of every key of every mapping."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield place, str(key.value), key.start_mark.line + 1
            yield from _keys(value, f"{place}.{key.value}" if place else str(key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _keys(item, f"{place}[{number}]")


def _twice(path: Path) -> list[Problem]:
    """Keys that stand twice in one mapping."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for place, key, line in _keys(_root(path), ""):
        if key != "<<" and (place, key) in seen:
            name = f"{place}.{key}" if place else key
            found.append(Problem(name, f"given twice, in line {seen[place, key]} and again", "one of them", f"{shown_path(path)}:{line}"))
        seen.setdefault((place, key), line)
    return found


def _in_two_files(files: Sequence[Path]) -> list[Problem]:
    """One variable in two files of one group: the later file wins, by its name."""
    seen: dict[str, str] = {}
    found = []
    for path in files:
        for place, key, line in _keys(_root(path), ""):
            if place == "":
                here = f"{shown_path(path)}:{line}"
                if key in seen and not seen[key].startswith(shown_path(path) + ":"):
                    found.append(Problem(key, f"given twice, in {seen[key]} and in another file of the same group", "one of them", here))
                seen.setdefault(key, here)
    return found
