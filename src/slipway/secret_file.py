# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets of an inventory: made once, kept for ever, readable by their owner only."""

import os
import secrets
from pathlib import Path
from typing import Any

import yaml

from slipway import lock
from slipway.errors import SlipwayError

NAMES = "secret-names.txt"
FEWEST_BYTES = 16
HEADER = "---\n# Made by `slipway secrets init`. Keep it out of version control, or encrypt it: ansible-vault encrypt <this file>\n"


def init(inventory: Path) -> list[str]:
    """Add a random value for each name in secret-names.txt that secrets.yml lacks; returns the names added.

    Values that are there stay as they are. Values are URL-safe, because they end up in connection URLs.
    """
    # Two runs that both find a name missing would give it two values.
    with lock.held("secrets"):
        return _init(inventory)


def _init(inventory: Path) -> list[str]:
    wanted = _wanted(inventory / NAMES)
    target = inventory / "group_vars" / "all" / "secrets.yml"
    text = target.read_text() if target.exists() else ""
    if text.startswith("$ANSIBLE_VAULT"):
        raise SlipwayError(f"{target} is encrypted. To add names to it: ansible-vault edit {target}")
    present = _mapping(target, text) if text.strip() else {}
    missing = [name for name in wanted if name not in present]
    if text and target.stat().st_mode & 0o077:
        target.chmod(0o600)
    if missing:
        lines = "".join(f'{name}: "{secrets.token_urlsafe(wanted[name])}"\n' for name in missing)
        start = text if text.strip() else HEADER
        _write_private(target, start + ("" if start.endswith("\n") else "\n") + lines)
    return missing


def _wanted(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise SlipwayError(f"{path} is missing. It lists the inventory's secrets, one line each: `name: number of random bytes`.")
    wanted = _mapping(path, path.read_text())
    for name, size in wanted.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < FEWEST_BYTES:
            raise SlipwayError(f"{path}: {name} is {size!r}. Allowed: a number of random bytes, {FEWEST_BYTES} or more.")
    return wanted


def _mapping(path: Path, text: str) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # The problem's place is shown, never the line itself: it may hold a secret.
        mark = getattr(error, "problem_mark", None)
        raise SlipwayError(f"{path} is not valid YAML{f' (line {mark.line + 1})' if mark else ''}.") from None
    if not isinstance(loaded, dict):
        raise SlipwayError(f"{path} holds no `name: value` lines.")
    return loaded


def _write_private(target: Path, text: str) -> None:
    """Replace the file in one step; it is never readable by others, not for a moment."""
    target.parent.mkdir(parents=True, exist_ok=True)
    candidate = target.with_name(f".{target.name}.new")
    candidate.unlink(missing_ok=True)
    with os.fdopen(os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    candidate.replace(target)
