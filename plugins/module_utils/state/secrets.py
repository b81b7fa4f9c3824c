# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep the words of secret files out of what validators, services and commands say."""

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


def secret_words(payload: dict[str, Any]) -> list[str]:
    """What must not be shown, longest first: words of secret files that are not public anyway.

    Public is a template's own text (it is in the repository) and every name in the call: paths, units, commands."""
    secret: set[str] = set()
    public: set[str] = set()
    for want in payload["files"]:
        public |= _words(want["path"]) | _words(want["validate"] or "")
        if want["secret"]:
            secret |= _words(want["content"] or "")
            public |= _words(want.get("template_text") or "")
    for want in payload["units"]:
        public |= _words(want["name"])
    for want in payload["validate"]:
        public |= _words(want["command"])
    secret |= {want["password"] for want in payload["users"] if want["password"]}
    return sorted((word for word in secret - public if _guarded(word)), key=len, reverse=True)


def _guarded(word: str) -> bool:
    only_letters = word.replace("_", "").isalpha()
    return len(word) >= (SHORTEST_OF_LETTERS if only_letters else SHORTEST)


def _words(text: str) -> set[str]:
    """Words between blanks, and their parts between punctuation: a URL, and the password in it."""
    words: set[str] = set()
    for word in text.split():
        words.add(word)
        words.add(word.strip(_EDGES))
        words.update(re.split(f"[{re.escape(_EDGES)}]+", word))
    return words


def mask(value: Any, words: list[str]) -> Any:
    """The same data with every secret word replaced."""
    if isinstance(value, str):
        for word in words:
            if word in value:
                value = value.replace(word, MASK)
        return value
    if isinstance(value, list):
        return [mask(item, words) for item in value]
    return value
