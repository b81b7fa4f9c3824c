# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep secrets out of what validators, services and commands say, and only them: an error has to show host and port."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MASK = "(secret)"
SHORTEST = 4
# Letters alone are the name of a user, a database or a scheme, which an error has to show, unless there are this many:
# validate_inventory refuses shorter secrets.
SHORTEST_OF_LETTERS = 16
_EDGES = "\"'`;,=:()[]{}<>@/?&|#"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'`<>]+")
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|sig|auth|credential", re.IGNORECASE)
# A port, an address; what libpq calls the parts of a connection that are no secret.
_PUBLIC = re.compile(r"\d{1,5}|\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?|(host|hostaddr|port|user|dbname|sslmode)=.*")


def secret_words(payload: dict[str, Any]) -> list[str]:
    """What must not be shown, longest first: words of secret files that are not public anyway.

    Public is a template's own text (it is in the repository) and every name in the call: paths, units, commands."""
    secret: set[str] = set()
    public: set[str] = set()
    for want in payload["files"]:
        public |= _words(want["path"]) | _words(want["validate"] or "")
        if want["secret"]:
            secret |= _secret_parts(want["content"] or "")
            public |= _words(want.get("template_text") or "")
    for want in payload["units"]:
        public |= _words(want["name"])
    for want in payload["validate"]:
        public |= _words(want["command"])
    secret |= {want["password"] for want in payload["users"] if want["password"]}
    return _longest_first(word for word in secret - public if _guarded(word))


def words_of_values(values: list[str]) -> list[str]:
    """The same for whole secrets, such as passwords, tokens and URLs that hold one."""
    secret: set[str] = set()
    for value in values:
        bare = value.strip()
        secret |= {word for word in _secret_parts(bare) if _guarded(word)}
        if len(bare) >= SHORTEST and not _URL.fullmatch(bare):
            secret |= {bare, *(line for line in bare.splitlines() if len(line) >= SHORTEST_OF_LETTERS)}
    return _longest_first(secret)


def _longest_first(words: Any) -> list[str]:
    return sorted(words, key=len, reverse=True)


def _guarded(word: str) -> bool:
    only_letters = word.replace("_", "").isalpha()
    return len(word) >= (SHORTEST_OF_LETTERS if only_letters else SHORTEST) and not _PUBLIC.fullmatch(word)


def _secret_parts(text: str) -> set[str]:
    """Of a URL its password, of everything else each word."""
    found = _words(_URL.sub(" ", text))
    for url in _URL.findall(text):
        found |= _secret_parts_of_url(url)
    return found


def _secret_parts_of_url(url: str) -> set[str]:
    """Password, tokens in the query; of a URL without either its path, which is then the secret (a web hook)."""
    from urllib.parse import unquote

    scheme, _, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # a password that was not quoted may hold the signs that end an authority
    before, at, _host = (authority if "@" in authority else rest).rpartition("@")
    user, _, password = before.partition(":")
    parts = {password}
    if scheme.startswith("http") and (not password or len(user) >= SHORTEST_OF_LETTERS):
        parts.add(user)  # a token in the place of the user
    for assignment in re.split("[?&]", rest)[1:]:
        name, _, value = assignment.partition("=")
        if _SECRET_NAME.search(name):
            parts.add(value)
    if not at and not any(parts):
        parts |= {part for part in rest[len(authority) :].split("/") if len(part) >= SHORTEST}
    return {word for part in parts if part for raw in (part, unquote(part)) for word in {raw} | _words(raw)}


def _words(text: str) -> set[str]:
    """Words between blanks, and their parts between punctuation."""
    words: set[str] = set()
    for word in [*text.split(), *re.sub(r"\\(.)", r"\1", text).split()]:  # as written, and as it is without escapes
        if _PUBLIC.fullmatch(word):
            continue
        words.add(word)
        words.add(word.strip(_EDGES))
        words.update(re.split(f"[{re.escape(_EDGES)}]+", word))
    return words


def mask(value: Any, words: list[str], sign: str = MASK) -> Any:
    """The same data with every secret word replaced."""
    if isinstance(value, str):
        for word in words:
            if word in value:
                value = value.replace(word, sign)
        return value
    if isinstance(value, list):
        return [mask(item, words, sign) for item in value]
    return value
