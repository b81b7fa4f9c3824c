# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a role's types cannot say, as data: `roles/<role>/meta/checks.yml`, evaluated on the controller.

    values:                                   # a path of the input, and what each value there must be
      redis_memory_share: {above: 0, at_most: 0.8}
      redis_instances[].name: {kind: label}   # [] each element, {} each value, {keys} each key of a mapping
    relations:                                # between values: an entry whose `refuse` is true is a problem
      - each: redis_users                     # optional: once for each entry (more than one, inner ones may use outer ones)
        as: user
        refuse: user.name == 'admin'
        variable: "redis_users[{{ index }}].name"
        given: "{{ user.name }}"
        allowed: a name of its own
        facts: true                           # it needs the host's facts, and is asked once they are known

Rules for values: kind (plugin_utils/kinds.py, with its further keys), above, below, at_least, at_most, matches with allowed,
not_empty, unique (of a list: true, or the key that must differ), one_of. Expressions are Jinja's, over the effective values of
the host's roles, its own name (`inventory_hostname`) and, with facts, `ansible_facts` and `platform`.
"""

from __future__ import annotations

import difflib
import re
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2
from ansible.plugins.test.core import version_compare
from ansible_collections.slipway.stack.plugins.module_utils.release import source as release_source
from ansible_collections.slipway.stack.plugins.plugin_utils import kinds, known_names, sites
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import (
    Problem,
    has_secret,
    load,
    one_line,
    options_of,
    problems_of,
    shown,
)

Checks = Mapping[str, Any]
Spec = Mapping[str, Mapping[str, Any]]
LIMITS = {"above": "above", "at_least": "at least", "below": "below", "at_most": "at most"}
OWN_RULES = {*LIMITS, "kind", "matches", "allowed", "not_empty", "unique", "one_of", "unless_empty"}


class CheckError(Exception):
    """A checks.yml that contradicts itself: a defect of the collection, not of the inventory."""


@lru_cache
def read(path: Path) -> Checks:
    """The checks of one file; a file that is not there has none."""
    if not path.exists():
        return {"values": {}, "relations": []}
    content = load(path) or {}
    unknown = set(content) - {"values", "relations"}
    if unknown:
        raise CheckError(f"{path}: unknown keys {', '.join(sorted(unknown))}; allowed: values, relations")
    return {"values": content.get("values") or {}, "relations": content.get("relations") or []}


# -- values ------------------------------------------------------------------------------------------------------------


def value_problems(checks: Checks, values: Mapping[str, Any], spec: Spec) -> list[Problem]:
    """Every value that a rule of `values:` refuses. `spec` tells which must not be shown."""
    found = []
    for path, rule in checks["values"].items():
        root, *steps = re.findall(r"\[\]|\{keys\}|\{\}|[^.\[\]{}]+", path)
        if root not in values:
            continue
        secret = is_secret(spec, root, steps)
        for name, value in _walk(root, values[root], steps):
            allowed = _refused(rule, value)
            if allowed:
                found.append(Problem(name, shown(value, secret), allowed))
    return found


def _walk(name: str, value: Any, steps: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything that the rest of a path leads to. What is not there or of another type is skipped."""
    if not steps:
        yield name, value
        return
    step, rest = steps[0], steps[1:]
    if step == "[]":
        if isinstance(value, (list, tuple)):
            for number, item in enumerate(value):
                yield from _walk(f"{name}[{number}]", item, rest)
    elif step == "{}":
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _walk(f"{name}.{one_line(key)}", item, rest)
    elif step == "{keys}":
        if isinstance(value, Mapping):
            for key in value:
                yield f"{name}: the name {one_line(key)!r}", key
    elif isinstance(value, Mapping) and step in value:
        yield from _walk(f"{name}.{step}", value[step], rest)


def is_secret(spec: Spec, root: str, steps: Sequence[str]) -> bool:
    """Whether the option at a path, or one around it, is secret."""
    option: Mapping[str, Any] = spec.get(root, {})
    for step in steps:
        if option.get("no_log"):
            return True
        if step == "{keys}":
            return False
        if step not in ("[]", "{}"):
            option = option.get("options", {}).get(step, {})
    return bool(has_secret(option))


def _refused(rule: Mapping[str, Any], value: Any) -> str:
    """What is allowed instead; empty when the value is."""
    if rule.get("unless_empty") and value in ("", None, [], {}):
        return ""
    if rule.get("not_empty") and (value is None or (isinstance(value, (str, list, tuple, Mapping)) and len(value) == 0)):
        return str(rule.get("allowed", "not empty"))
    limits = {key: rule[key] for key in LIMITS if key in rule}
    if limits and not _within(limits, value):
        return str(rule.get("allowed") or " and ".join(f"{LIMITS[key]} {limit}" for key, limit in limits.items()))
    if "one_of" in rule and value not in rule["one_of"]:
        return ", ".join(str(choice) for choice in rule["one_of"])
    if "matches" in rule and not re.fullmatch(rule["matches"], str(value)):
        return str(rule["allowed"])
    if "unique" in rule and isinstance(value, (list, tuple)):
        twice = _twice([item.get(rule["unique"]) if isinstance(item, Mapping) else item for item in value])
        if twice:
            return f"each {rule['unique'] if isinstance(rule['unique'], str) else 'entry'} once; twice: {', '.join(twice)}"
    if "kind" in rule:
        if rule["kind"] not in kinds.KINDS:
            raise CheckError(f"no such kind: {rule['kind']}; there are {', '.join(sorted(kinds.KINDS))}")
        return str(kinds.KINDS[rule["kind"]](value, **{key: more for key, more in rule.items() if key not in OWN_RULES}))
    return ""


def _twice(items: Sequence[Any]) -> list[str]:
    known = [str(item) for item in items if item is not None]
    return sorted({item for item in known if known.count(item) > 1})


def _within(limits: Mapping[str, float], value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return True  # the type is told already
    return (
        ("above" not in limits or number > limits["above"])
        and ("at_least" not in limits or number >= limits["at_least"])
        and ("below" not in limits or number < limits["below"])
        and ("at_most" not in limits or number <= limits["at_most"])
    )


def not_told(found: Iterable[Problem], told: Iterable[Problem]) -> list[Problem]:
    """Those about values that no problem is told of yet, nor of what they are in."""
    names = tuple(problem.variable for problem in told)
    around = tuple(f"{name}{mark}" for name in names for mark in ".[:")
    return [problem for problem in found if problem.variable not in names and not problem.variable.startswith(around)]


# -- relations ---------------------------------------------------------------------------------------------------------


def _environment() -> jinja2.Environment:
    found = jinja2.Environment(undefined=jinja2.ChainableUndefined, autoescape=False)
    found.filters["split"] = lambda text, mark: str(text).split(mark)
    found.filters["problem_of"] = lambda value, kind, **more: kinds.KINDS[kind](value, **more)
    found.filters["certificate_problems"] = lambda pair, names: _pair_problems(pair, names)
    found.filters["nearest"] = _nearest
    found.filters["found"] = lambda text, pattern: re.findall(pattern, str(text))
    found.filters["source_problems"] = source_problems
    found.filters["file_references"] = _file_references
    found.filters["site_names"] = sites.names
    found.globals.update(
        known_postgres_settings=known_names.POSTGRES_SETTINGS,
        known_pgbouncer_settings=known_names.PGBOUNCER_SETTINGS,
        known_sshd_settings=known_names.SSHD_SETTINGS,
    )
    found.tests["version"] = version_compare
    found.tests["match"] = lambda text, pattern: re.match(pattern, str(text)) is not None
    found.tests["search"] = lambda text, pattern: re.search(pattern, str(text)) is not None
    return found


def _pair_problems(pair: Sequence[str], names: Sequence[str]) -> list[str]:
    """Between certificate and key, where each can be read; what cannot is told by the rules for values."""
    certificate, key = pair
    if kinds.certificate_chain(certificate) or kinds.private_key(key):
        return []
    return list(kinds.certificate_problems(certificate, key, names))


def _nearest(name: str, known: Collection[str]) -> str:
    """`; did you mean work_mem?`, or nothing."""
    near = difflib.get_close_matches(str(name).lower(), sorted(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


_SOURCE_NEEDS = {"directory": "path", "git": "url", "file": "path", "package": "requirement"}
_SOURCE_TYPES = {
    "path": ("directory", "file"),
    "url": ("git",),
    "version": ("git",),
    "requirement": ("package",),
    "exclude": ("directory",),
    "subdirectory": ("directory", "git"),
}
"""Keys that only mean something to some types."""


def source_problems(source: Any, base: str) -> list[list[str]]:
    """[key, given, allowed] for everything that is wrong with the source of a release. `base`: what relative paths are relative to."""
    kind = source.get("type") if isinstance(source, Mapping) else None
    if kind not in _SOURCE_NEEDS:
        return []  # told by the types
    needed = _SOURCE_NEEDS[kind]
    found = []
    if not source.get(needed):
        found.append([needed, "missing", f"the {needed} of a source of type {kind}"])
    for key, types in _SOURCE_TYPES.items():
        if source.get(key) and kind not in types:
            found.append([key, "given", f"nothing for a source of type {kind}; it belongs to {' and '.join(types)}"])
    if kind == "git":
        found += _address_problems(str(source.get("url") or ""))
        version = str(source.get("version", ""))
        if not version:
            found.append(["version", "missing", "a tag, a commit or a branch; HEAD would be another release at each run"])
        elif re.fullmatch(r"[0-9a-f]{5,39}", version) and re.search(r"\d", version):
            found.append(["version", repr(version), "a tag, a branch, or a commit with all its 40 digits"])
        elif version.startswith("-") or re.search(r"\s", version):
            found.append(["version", repr(version), "the name of a tag or branch, or a commit"])
    if kind in ("directory", "file") and source.get("path"):
        path = Path(base) / str(source["path"])
        if kind == "directory" and not path.is_dir():
            found.append(["path", repr(str(source["path"])), f"a folder on the controller ({path} is none)"])
        elif kind == "file" and not path.is_file():
            found.append(["path", repr(str(source["path"])), f"a file on the controller ({path} is none)"])
        elif kind == "file" and not _is_archive(path):
            found.append(["path", repr(str(source["path"])), "a wheel (.whl) or an sdist (.tar.gz) that can be opened"])
    if (
        kind == "package"
        and source.get("requirement")
        and not re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.!+_-]+", str(source["requirement"]).replace(" ", "")
        )
    ):
        found.append(
            ["requirement", repr(str(source["requirement"])), "name==version, so that the same inventory always gives the same release"]
        )
    requirements = source.get("requirements")
    if requirements and kind in ("file", "package") and not (Path(base) / str(requirements)).is_file():
        found.append(["requirements", repr(str(requirements)), "a file on the controller"])
    if requirements and kind in ("directory", "git") and kinds.relative_path(requirements):
        found.append(["requirements", repr(str(requirements)), kinds.relative_path(requirements)])
    elif (
        kind == "directory" and (Path(base) / str(source.get("path"))).is_dir() and not kinds.relative_path(source.get("subdirectory", ""))
    ):
        found += _tree_problems(source, Path(base))
    return found


def _address_problems(url: str) -> list[list[str]]:
    """What git cannot be asked; the token in an address is never shown."""
    forms = (r"https?://[^\s/]+/\S*", r"(ssh|git)://[^\s/]+/\S+", r"file:///\S+", r"/\S+", r"([\w.-]+@)?[\w.-]+:(?!//)\S+")
    if not url:
        return []
    if not any(re.fullmatch(form, url) for form in forms):
        return [["url", repr(_without_credentials(url)), "https://..., ssh://..., user@host:path, file:///... or the path of a repository"]]
    if url.startswith("http") and "?" in url:
        return [
            [
                "url",
                repr(_without_credentials(url)),
                "an address without a query; a token stands before the host: https://user:token@host/path",
            ]
        ]
    return []


def _without_credentials(url: str) -> str:
    """The address without what stands before the host and after the path, also where it is no right URL."""
    return re.sub(r"\?.*", "?(hidden)", re.sub(r"//[^/\s]*@", "//(hidden)@", url))


def _tree_problems(source: Mapping[str, Any], base: Path) -> list[list[str]]:
    """What only a look into the folder tells: a lock that would stay behind, requirements that are missing or no text."""
    try:
        release_source.tree_of(source, base)
    except release_source.SourceError as error:
        option, _, allowed = str(error).partition(": ")
        key = option.rpartition(".")[2]
        return [[key, repr(str(source.get(key, ""))), allowed]]
    return []


def _is_archive(path: Path) -> bool:
    if path.suffix == ".whl":
        return zipfile.is_zipfile(path)
    if path.suffix == ".zip":
        return zipfile.is_zipfile(path)
    return path.name.endswith(".tar.gz") and tarfile.is_tarfile(path)


def _file_references(value: Any) -> list[str]:
    """Names of files below /etc/prometheus/secrets that a receiver's configuration reads."""
    return sorted(set(re.findall(r"/etc/prometheus/secrets/([^'\"\s,}]+)", str(value))))


ENVIRONMENT = _environment()


@cache
def _expression(text: str) -> Any:
    return ENVIRONMENT.compile_expression(text, undefined_to_none=False)


@cache
def _template(text: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(text)


def relation_problems(checks: Checks, values: Mapping[str, Any], known: Sequence[Problem], *, facts: bool) -> list[Problem]:
    """Every entry of `relations:` that is refused. `known`: problems told already, which excuse what cannot be evaluated.

    `facts`: ask those that need the host's facts, or those that do not.
    """
    found: list[Problem] = []
    for relation in checks["relations"]:
        if bool(relation.get("facts")) != facts:
            continue
        try:
            found += _ask(relation, values)
        except (TypeError, ValueError, jinja2.UndefinedError, AttributeError, KeyError) as error:
            if not known:  # a value of the wrong type makes many relations senseless, and is told once
                raise CheckError(f"the check of {relation['variable']} cannot be evaluated: {error}") from error
    return found


def names_in(everything: Iterable[Checks], *, facts: bool) -> set[str]:
    """Every word of the relations that need facts (or do not): the variables among them are what has to be known."""
    asked = [relation for each in everything for relation in each["relations"] if bool(relation.get("facts")) == facts]
    return set(re.findall(r"[a-z]\w+", str(asked)))


def _ask(relation: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
    for scope in _scopes(relation, dict(values)):
        if _expression(str(relation["refuse"]))(**scope):
            variable, given, allowed = (_template(str(relation[key])).render(**scope) for key in ("variable", "given", "allowed"))
            yield Problem(variable, given, allowed)


def _scopes(relation: Mapping[str, Any], scope: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The values, once or once for each entry; `index` is the entry's number, from 0."""
    lists = relation.get("each", [])
    lists = [{"each": lists, "as": relation.get("as", "item")}] if isinstance(lists, str) else lists

    def unroll(rest: Sequence[Mapping[str, str]], current: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
        if not rest:
            yield current
            return
        entries = _expression(rest[0]["each"])(**current)
        if isinstance(entries, jinja2.Undefined):
            return
        if isinstance(entries, Mapping):
            entries = list(entries.items())
        for number, entry in enumerate(entries):
            index = {"index": number} if depth == 0 else {"inner_index": number}
            yield from unroll(rest[1:], {**current, rest[0]["as"]: entry, **index}, depth + 1)

    yield from unroll(lists, scope, 0)


def of_role(role: Path, values: Mapping[str, Any], facts: Mapping[str, Any], base: str) -> list[Problem]:
    """What a role alone can say of its own inputs: types, values and relations, for a play without playbooks/validate.yml.

    `role`: its folder; `values`: its inputs, templated; `facts`: of the host, with `platform` and `host_addresses`.
    """
    spec = options_of(role)
    here = read(role / "meta" / "checks.yml")
    found = [problem for name, value in values.items() for problem in problems_of(name, value, spec[name])]
    found += not_told(value_problems(here, values, spec), found)
    scope = {**values, **facts, "source_base": base}
    found += relation_problems(here, scope, found, facts=False)
    if facts:
        found += relation_problems(here, scope, found, facts=True)
    return found
