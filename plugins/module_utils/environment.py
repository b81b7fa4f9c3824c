# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The environment of an application: values of an inventory as programs in every language expect them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class InvalidEnvironmentError(Exception):
    """A name or value that no process could receive; the message says which and what is allowed."""


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Names with their values as text: true and false, JSON for lists and dictionaries, the rest as it is written."""
    found = {}
    for name, value in values.items():
        if not _NAME.fullmatch(str(name)):
            raise InvalidEnvironmentError(f"{str(name)!r} is no name of an environment variable; allowed: letters, digits and _")
        if value is None:
            raise InvalidEnvironmentError(
                f'{name} has no value; allowed: text, a number, true, false, a list or a dictionary ("" for empty)'
            )
        text = _text(value)
        if "\0" in text:
            raise InvalidEnvironmentError(f"{name} holds a NUL character, which no process can receive")
        found[str(name)] = text
    return found


def file_text(values: Mapping[str, object]) -> str:
    """Content of a file that systemd reads with EnvironmentFile=, sorted by name."""
    # Inside of double quotes systemd treats \ " $ and ` as its own.
    quoted = {name: re.sub(r'([\\"$`])', r"\\\1", text) for name, text in texts(values).items()}
    return "".join(f'{name}="{quoted[name]}"\n' for name in sorted(quoted))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)
