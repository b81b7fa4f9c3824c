# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A role's desired state as plain data: `when` and `each` of every item are answered here, before anything travels.

`roles/<role>/state/main.yml` holds the sections of slipway.stack.state. An item with `when` is left out unless its
condition holds; one with `each` stands once for each entry of that list, which the item's other keys (and its template)
know by the name in `as`, `item` when nothing else is said. Values keep their types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

SECTIONS = ("packages", "groups", "users", "commands", "directories", "certificates", "files", "validate", "units")
DEFAULT_NAME = "item"

State = dict[str, Any]


def read(path: Path, loader: DataLoader) -> State:
    """The sections of one state file, not evaluated yet. Raises AnsibleActionFail when it is no mapping."""
    content = loader.load_from_file(str(path), trusted_as_template=True)
    if not isinstance(content, dict):
        raise AnsibleActionFail(f"{path}: expected a mapping with the sections {', '.join(SECTIONS)}")
    return content


def evaluate(state: Mapping[str, Any], templar: Templar, variables: Mapping[str, Any]) -> State:
    """The same state with every condition answered, every list unrolled and every value templated.

    `variables`: what the templates see. Other keys than sections (`timeout`) are templated as they are. Errors are
    Ansible's own and carry file and line.
    """
    evaluated: State = {}
    for section, value in state.items():
        if section not in SECTIONS:
            evaluated[section] = templar.template(value)
            continue
        entries = templar.template(value) if isinstance(value, str) else value
        if not isinstance(entries, Sequence) or isinstance(entries, str):
            evaluated[section] = entries  # the check of the arguments says what is wrong with it
            continue
        evaluated[section] = [item for entry in entries for item in _items(entry, section, templar, variables)]
    return evaluated


def _items(entry: Any, section: str, templar: Templar, variables: Mapping[str, Any]) -> Iterator[Any]:
    """What one entry of a section stands for: nothing, itself, or one item for each entry of its list."""
    if not isinstance(entry, Mapping) or not any(key in entry for key in ("when", "each", "as")):
        yield templar.template(entry)
        return
    rest = {key: value for key, value in entry.items() if key not in ("when", "each", "as")}
    name = str(entry.get("as", DEFAULT_NAME))
    if "each" not in entry:
        if "as" in entry:
            raise AnsibleActionFail(f"{section}: `as` names an entry of `each`, which is missing", obj=entry["as"])
        if _holds(entry, templar):
            yield templar.template(rest)
        return
    if not name.isidentifier():
        raise AnsibleActionFail(f"{section}: as is {name!r}; allowed: the name of a variable", obj=entry["as"])
    each = templar.template(entry["each"])
    if not isinstance(each, Sequence) or isinstance(each, str):
        raise AnsibleActionFail(f"{section}: each is {each!r:.80}; allowed: a list", obj=entry["each"])
    for value in each:
        scope = {name: value}
        inner = templar.copy_with_new_env(available_variables={**variables, **scope})
        if not _holds(entry, inner):
            continue
        item = inner.template(rest)
        if item.get("template") is not None:
            item["variables"] = {**scope, **item.get("variables", {})}
        yield item


def _holds(entry: Mapping[str, Any], templar: Templar) -> bool:
    """Whether all conditions of `when` (one, or a list) hold; without any, they do."""
    conditions = entry.get("when", True)
    if not isinstance(conditions, list):
        conditions = [conditions]
    return all(templar.evaluate_conditional(condition) for condition in conditions)
