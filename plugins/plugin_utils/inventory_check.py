# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with an inventory, found before any host is touched.

Every check returns `Problem`s and raises nothing, so that one message can list them all: unknown variables, wrong types,
missing or weak secrets, flows to nowhere, two services on one port, pools beyond max_connections.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

OWN_PREFIXES = ("own_", "secret_", "vault_")
"""An environment names variables of its own with one of these; any other name must be one that a role knows."""

PLACEHOLDERS = re.compile(
    r"(?i)^(dev[-_ ]?(password|secret).*|sk-your-.*|your[-_ ].*|admin|administrator|postgres|redis|root|test|secure_password"
    r"|password\d*|passw0rd|secret|secret[-_]key|change[-_ ]?me.*|example|placeholder.*|xxx+|todo|default|guest|letmein"
    r"|qwerty.*|123456.*|<.*>|\.\.\.)$"
)
"""Values that guides print and people forget to replace (EV-08)."""

SHORTEST_SECRET = 16


@dataclass
class Problem:
    """One thing to mend: `variable`, the `given` value as shown to people, what is `allowed`, `where` it stands."""

    variable: str
    given: str
    allowed: str
    where: str = ""
    hosts: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """One line for the terminal."""
        place = f" [{self.where}]" if self.where else ""
        hosts = f" ({', '.join(self.hosts)})" if self.hosts else ""
        return f"{self.variable} is {self.given}; allowed: {self.allowed}{place}{hosts}"


def unknown_variables(names: Iterable[str], known: Iterable[str]) -> list[Problem]:
    """Names that no role knows, each with the nearest known one; Ansible itself accepts `redis_prot: 1` in silence."""
    known = sorted(set(known))
    problems = []
    for name in names:
        if name in known or name.startswith(("ansible_", *OWN_PREFIXES)):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}? Otherwise a" if near else "a"
        problems.append(
            Problem(name, "a name that no role knows", f"{hint} name that begins with {', '.join(OWN_PREFIXES)} for variables of your own")
        )
    return problems


def _shown(value: Any, secret: bool) -> str:
    if secret:
        return "a secret value"
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


_TYPE_WORDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping"}


def _fits(value: Any, kind: str) -> bool:
    if kind == "int":
        return not isinstance(value, bool) and re.fullmatch(r"-?\d+", str(value)) is not None
    if kind == "float":
        return not isinstance(value, bool) and re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", str(value)) is not None
    if kind == "bool":
        return isinstance(value, bool) or str(value).lower() in {"true", "false", "yes", "no"}
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, Mapping)
    if kind in {"str", "path"}:
        return not isinstance(value, (list, tuple, Mapping))
    return True


def wrong_values(name: str, value: Any, option: Mapping[str, Any], secret: bool = False) -> list[Problem]:
    """`value` against one option of an argument spec: type, choices, elements, nested options, required keys, secrets."""
    secret = secret or bool(option.get("no_log"))
    if value is None:
        return []
    kind = str(option.get("type", "str"))
    if not _fits(value, kind):
        return [Problem(name, _shown(value, secret), _TYPE_WORDS.get(kind, kind))]
    choices = [str(choice) for choice in option.get("choices", [])]
    if choices and not isinstance(value, (list, tuple)) and str(value) not in choices:
        return [Problem(name, _shown(value, secret), ", ".join(choices))]
    problems: list[Problem] = []
    if isinstance(value, (list, tuple)):
        element: dict[str, Any] = {"type": option.get("elements", "raw")}
        element.update({key: option[key] for key in ("options", "choices") if key in option})
        for number, item in enumerate(value):
            problems += wrong_values(f"{name}[{number}]", item, element, secret)
    elif isinstance(value, Mapping) and option.get("options"):
        nested: Mapping[str, Mapping[str, Any]] = option["options"]
        for key, item in value.items():
            if str(key) in nested:
                problems += wrong_values(f"{name}.{key}", item, nested[str(key)], secret)
            else:
                near = difflib.get_close_matches(str(key), nested, n=1)
                problems.append(
                    Problem(f"{name}.{key}", "an unknown key", f"{', '.join(nested)}" + (f"; did you mean {near[0]}?" if near else ""))
                )
        for key, suboption in nested.items():
            if suboption.get("required") and value.get(key) is None:
                problems.append(Problem(f"{name}.{key}", "missing", str(_TYPE_WORDS.get(str(suboption.get("type", "str")), "a value"))))
    elif secret:
        problems += weak_secrets(name, value, bool(option.get("required")))
    return problems


def weak_secrets(name: str, value: Any, required: bool) -> list[Problem]:
    """Placeholders and short values in a secret: in the text, in every leaf of a mapping, and as the password in a URL."""
    if isinstance(value, Mapping):
        return [problem for key, item in value.items() for problem in _leaf(f"{name}.{key}", item, key_named=True)]
    if not required and str(value) == "":
        return []
    return _leaf(name, value, key_named=False)


def _leaf(name: str, value: Any, key_named: bool) -> list[Problem]:
    text = str(value)
    try:
        password = urlsplit(text).password if "://" in text else None
    except ValueError:
        password = None
    subject = text if password is None else password
    allowed = f"a random secret of at least {SHORTEST_SECRET} characters (slipway secrets init makes them)"
    if PLACEHOLDERS.match(subject):
        return [Problem(name, "a well-known placeholder", allowed)]
    is_key = not key_named or password is not None or re.search(r"(?i)password|secret|token|_key$", name.rsplit(".", 1)[-1]) is not None
    if is_key and len(subject) < SHORTEST_SECRET:
        return [Problem(name, f"a secret of {len(subject)} characters", allowed)]
    return []


def missing_values(spec: Mapping[str, Mapping[str, Any]], given: Iterable[str]) -> list[Problem]:
    """Required options that are not there."""
    given = set(given)
    return [
        Problem(name, "missing", f"{_TYPE_WORDS.get(str(option.get('type', 'str')), 'a value')}: {_first_sentence(option)}")
        for name, option in spec.items()
        if option.get("required") and name not in given
    ]


def _first_sentence(option: Mapping[str, Any]) -> str:
    description = option.get("description", "")
    text = description if isinstance(description, str) else str(next(iter(description), ""))
    plain = re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", text)
    return plain.split(". ")[0].rstrip(".")


@dataclass(frozen=True)
class Pools:
    """What the pools of one environment add up to (PB-06, PG-11)."""

    max_connections: int
    superuser_reserved: int
    pairs: int
    pool_size: int
    reserve_pool_size: int
    poolers: int
    direct: int
    max_client_connections: int
    clients: int

    def server_connections(self) -> int:
        """Connections the poolers and the direct users may open to PostgreSQL."""
        return self.poolers * self.pairs * (self.pool_size + self.reserve_pool_size) + self.direct

    def problems(self) -> list[Problem]:
        """Too many server connections, or more clients than the poolers take."""
        found = []
        room = self.max_connections - self.superuser_reserved
        if self.server_connections() > room:
            found.append(
                Problem(
                    "pgbouncer_default_pool_size",
                    f"{self.pool_size}: {self.poolers} pooler(s) x {self.pairs} database-user pair(s)"
                    f" x ({self.pool_size} + reserve {self.reserve_pool_size})"
                    f" + {self.direct} direct = {self.server_connections()} connections",
                    f"at most {room} (postgres_max_connections {self.max_connections} - {self.superuser_reserved} reserved):"
                    " lower the pool or raise postgres_max_connections",
                )
            )
        if self.poolers and self.clients > self.poolers * self.max_client_connections:
            found.append(
                Problem(
                    "pgbouncer_max_client_conn",
                    f"{self.max_client_connections} on {self.poolers} pooler(s), while api and workers may open {self.clients}",
                    f"at least {self.clients}, or smaller pools (api_database_pool_size, api_database_max_overflow, concurrency)",
                )
            )
        return found


def merge(problems: Sequence[tuple[str, Problem]]) -> list[Problem]:
    """The same problem on several hosts, once, with the hosts."""
    merged: dict[tuple[str, str, str, str], Problem] = {}
    for host, problem in problems:
        key = (problem.variable, problem.given, problem.allowed, problem.where)
        entry = merged.setdefault(key, Problem(problem.variable, problem.given, problem.allowed, problem.where))
        if host and host not in entry.hosts:
            entry.hosts.append(host)
    return list(merged.values())
