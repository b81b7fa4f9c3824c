# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values against an argument spec: hosts and Google alike, every problem at once, secrets never shown.

Ansible's ArgumentSpecValidator stops at the first wrong element of a list, names neither its index nor the nearest key, and
repeats the whole value, passwords included; so this walks the same spec itself.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Option = Mapping[str, Any]
Spec = Mapping[str, Option]

SHORTEST_SECRET = 16
PLACEHOLDERS = re.compile(
    r"(?i)^(dev[-_ ]?(password|secret).*|sk-your-.*|your[-_ ].*|admin|administrator|postgres|redis|root|test|secure_password"
    r"|(please[-_ ]?)?change[-_ ]?(me|this|it).*|example|placeholder.*|replace[-_ ]?(me|this|it).*|xxx+|todo|default|guest"
    r"|(pass(word|w0rd|phrase)?|secret([-_]key)?|letmein|qwerty|123456|changeit|insecure|dummy|foobar|abc123)*[\d!._-]*|<.*>|\.\.\.)$"
)
"""Values that guides print and people forget to replace, alone and repeated."""


@dataclass
class Problem:
    """One thing to mend: `variable`, the `given` value as shown to people, what is `allowed`, `where` it stands."""

    variable: str
    given: str
    allowed: str
    where: str = ""
    hosts: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The inventory variable it is about: `redis_users` of `redis_users[0].name`."""
        return re.split(r"[.\[{( ]", self.variable, maxsplit=1)[0]

    def sentence(self) -> str:
        """One line for the terminal."""
        place = f" [{self.where}]" if self.where else ""
        hosts = f" ({', '.join(self.hosts)})" if self.hosts else ""
        return f"{self.variable} is {self.given}; allowed: {self.allowed}{place}{hosts}"


@cache
def load(path: Path) -> Any:
    """A YAML file of the collection, read once; what comes back is shared and not to be changed."""
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def options_of(role: Path) -> dict[str, dict[str, Any]]:
    """The options of a role's argument spec; `role` is its folder."""
    found: dict[str, dict[str, Any]] = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})
    return found


def message(what: str, sentences: Sequence[str], end: str) -> str:
    """`what` N problems; `end`, and each of them on a line."""
    count = f"{len(sentences)} problem" + ("s" if len(sentences) > 1 else "")
    return "\n".join([f"{what} {count}; {end}", *(f"- {sentence}" for sentence in sentences)])


def shown(value: Any, secret: bool) -> str:
    """A value as a message shows it: on one line, cut, and not at all when it is secret."""
    if secret:
        return "a secret value (not shown)" if value not in (None, "") else "empty"
    if value is None:
        return "empty (null)"
    if "PRIVATE KEY" in str(value):
        return "a private key (not shown)"
    text = repr(str(value)) if isinstance(value, str) else str(value)
    text = re.sub(r"(://)[^/@\s'\"]+@", r"\1...@", text)
    return text if len(text) <= 80 else text[:77] + "..."


_WORDS = {
    "str": "text",
    "path": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
}


def type_words(option: Option) -> str:
    """What an option takes, in words: `a list of mappings`."""
    kind = str(option.get("type", "str"))
    if kind == "list" and option.get("elements") == "dict":
        return "a list of mappings"
    if kind == "list" and option.get("elements") in ("str", "path"):
        return "a list of texts"
    return _WORDS.get(kind, kind)


def has_secret(option: Option) -> bool:
    """Whether the option or anything in it is secret, so that a value of the wrong shape must not be shown."""
    return bool(option.get("no_log")) or any(has_secret(inner) for inner in option.get("options", {}).values())


def problems_of(name: str, value: Any, option: Option, *, top: bool = True, inside: bool = False, secret: bool = False) -> list[Problem]:
    """`value` against one option: type, choices, elements, nested options, required keys, secrets.

    `top`: the value of a variable itself. There a quoted number, which -e and INI inventories cannot avoid, is taken for the
    number; a text that means false is refused, for templates count every text as true. `inside`: so are those in it, of which the
    reader makes what they mean (`typed`).
    """
    secret = secret or bool(option.get("no_log"))
    hidden = secret or has_secret(option)
    kind = str(option.get("type", "str"))
    wrong = _wrong_type(value, kind, top)
    choices = [str(choice) for choice in option.get("choices", [])]
    if wrong is not None:
        words = ", ".join(choices) if choices and wrong == " in quotes" else type_words(option)
        because = ": YAML makes a truth of a bare no, yes, on, off" if words != type_words(option) and isinstance(value, bool) else ""
        return [Problem(name, shown(value, hidden), words + wrong + because)]
    if choices and not isinstance(value, (list, tuple, Mapping)) and str(value) not in choices:
        return [Problem(name, shown(value, hidden), ", ".join(choices))]
    if isinstance(value, (list, tuple)):
        element: dict[str, Any] = {"type": option.get("elements", "raw")}
        element.update({key: option[key] for key in ("options", "choices") if key in option})
        found = []
        for number, item in enumerate(value):
            found += problems_of(f"{name}[{number}]", item, element, top=inside, inside=inside, secret=secret)
        return found
    if isinstance(value, Mapping) and option.get("elements"):  # a mapping of the user's own names to entries of one shape
        entry = {"type": option["elements"], **{key: option[key] for key in ("options", "choices") if key in option}}
        return [
            problem
            for key, item in value.items()
            for problem in problems_of(f"{name}.{one_line(key)}", item, entry, top=inside, inside=inside, secret=secret)
        ]
    if isinstance(value, Mapping) and option.get("options"):
        return _mapping(name, value, option["options"], inside, secret)
    return weak_secrets(name, value, bool(option.get("required"))) if secret else []


def _wrong_type(value: Any, kind: str, top: bool) -> str | None:
    """None when the value fits; else what to add to the words of the type."""
    if value is None:
        return " (remove the line for the default)" if top else ""
    if kind in ("int", "float"):
        number = value if not isinstance(value, str) else _number(value, kind) if top else None
        fits = isinstance(number, int if kind == "int" else (int, float)) and not isinstance(number, bool)
        return None if fits else " without quotes" if isinstance(value, str) and _number(value, kind) is not None else ""
    if kind == "bool":
        if isinstance(value, bool) or (top and isinstance(value, str) and value.lower() in {"true", "yes", "on"}):
            return None
        return " without quotes" if isinstance(value, str) and value.lower() in {"true", "yes", "on", "false", "no", "off"} else ""
    if kind == "list":
        return None if isinstance(value, (list, tuple)) else ""
    if kind == "dict":
        return None if isinstance(value, Mapping) else ""
    if kind in ("str", "path"):
        if isinstance(value, str):
            return None
        return " in quotes" if isinstance(value, (bool, int, float)) else ""
    return None


def _number(text: str, kind: str) -> int | float | None:
    pattern = r"-?\d+" if kind == "int" else r"-?\d+(\.\d+)?([eE]-?\d+)?"
    return (int(text) if kind == "int" else float(text)) if re.fullmatch(pattern, text) else None


def typed(value: Any, kind: str) -> Any:
    """A quoted number or truth of a variable as what it means; everything else as it is."""
    if isinstance(value, str) and kind in ("int", "float"):
        number = _number(value, kind)
        return value if number is None else number
    if isinstance(value, str) and kind == "bool" and value.lower() in {"true", "yes", "on"}:
        return True
    return value


def _mapping(name: str, value: Mapping[Any, Any], options: Spec, inside: bool, secret: bool) -> list[Problem]:
    found = []
    for key, item in value.items():
        if str(key) in options:
            found += problems_of(f"{name}.{key}", item, options[str(key)], top=inside, inside=inside, secret=secret)
        else:
            near = difflib.get_close_matches(str(key), options, n=1)
            hint = f"did you mean {near[0]}? Keys: " if near else ""
            found.append(Problem(f"{name}.{one_line(key)}", "an unknown key", hint + ", ".join(options)))
    for key, option in options.items():
        if option.get("required") and key not in value:
            found.append(Problem(f"{name}.{key}", "missing", f"{type_words(option)}: {first_sentence(option)}"))
    return found


def one_line(text: Any) -> str:
    """A name out of the inventory, fit for a message."""
    return repr(str(text))[1:-1][:60]


def weak_secrets(name: str, value: Any, required: bool) -> list[Problem]:
    """Placeholders and short values in a secret: in the text, in every leaf of a mapping, and as the password in a URL."""
    if isinstance(value, Mapping):
        return [problem for key, item in value.items() for problem in _leaf(f"{name}.{one_line(key)}", item, key_named=True)]
    if isinstance(value, (list, tuple)):
        return []
    if not required and str(value) == "":
        return []
    return _leaf(name, value, key_named=False)


def _leaf(name: str, value: Any, key_named: bool) -> list[Problem]:
    text = str(value)
    password = password_of(text)
    subject = text if password is None else password
    allowed = f"a random secret of at least {SHORTEST_SECRET} characters (slipway secrets init makes them)"
    if PLACEHOLDERS.match(subject) and subject:
        return [Problem(name, "a well-known placeholder", allowed)]
    is_key = not key_named or password is not None or re.search(r"(?i)password|secret|token|_key$", name.rsplit(".", 1)[-1]) is not None
    if is_key and len(subject) < SHORTEST_SECRET:
        return [Problem(name, f"a secret of {len(subject)} characters", allowed)]
    if is_key and len(set(subject)) < 6:
        return [Problem(name, f"a secret of {len(set(subject))} different characters", allowed)]
    if is_key and _predictable(subject):
        return [Problem(name, "a secret that repeats itself or counts", allowed)]
    return []


def leaves(value: Any) -> set[str]:
    """The texts in a value, at any depth, that are long enough to be secrets; no templates."""
    if isinstance(value, Mapping):
        return {text for item in value.values() for text in leaves(item)}
    if isinstance(value, (list, tuple)):
        return {text for item in value for text in leaves(item)}
    try:
        text = str(value)
    except Exception:  # encrypted with another password: Ansible says so where the value is used
        return set()
    return {text} if len(text) >= 8 and "{{" not in text else set()


def without_secrets(sentence: str, secrets: Iterable[str]) -> str:
    """The sentence with `(secret)` where one of the secrets, or the beginning that fits into a message, stood."""
    for secret in sorted(secrets, key=len, reverse=True):
        for text in (secret, repr(secret)[1:-1]):
            sentence = sentence.replace(text, "(secret)")
            if len(text) > 60:
                sentence = re.sub(re.escape(text[:40]) + r"\S*", "(secret)", sentence)
    return sentence


_ROWS = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "01234567890123456789")


def _predictable(text: str) -> bool:
    """One short piece again and again, or rows of the alphabet and the keyboard."""
    small = text.lower()
    for length in range(1, min(len(small) // 2, 8) + 1):
        if (small[:length] * (len(small) // length + 1))[: len(small)] == small:
            return True
    if len(small) >= 32:
        return False  # as long as what `slipway secrets init` makes
    steps = {pair for row in _ROWS for line in (row, row[::-1]) for pair in itertools.pairwise(line)}
    return sum(pair in steps for pair in itertools.pairwise(small)) > 0.75 * len(small)


def password_of(text: str) -> str | None:
    """The password inside a URL, as it is written; None when there is none."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@]*?:([^/]*)@", text)
    return found[1] if found else None


def missing(spec: Spec, given: Iterable[str]) -> list[Problem]:
    """Required options that are not there."""
    given = set(given)
    return [
        Problem(name, "missing", f"{type_words(option)}: {first_sentence(option)}")
        for name, option in spec.items()
        if option.get("required") and name not in given
    ]


def first_sentence(option: Option) -> str:
    """Of the description, without markup."""
    description = option.get("description", "")
    text = description if isinstance(description, str) else str(next(iter(description), ""))
    plain = re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", text)
    return plain.split(". ")[0].rstrip(".")
