# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where this checkout is, where its state lives, and what makes its names differ from those of another checkout."""

import hashlib
import os
import re
from pathlib import Path

from slipway.errors import SlipwayError

LAB_VARIABLE = "SLIPWAY_LAB"
DEFAULT_LAB = "main"  # inventories/lab and single have the same default


def root() -> Path:
    """The checkout's folder: the working directory or one of its parents, recognised by galaxy.yml and site.yml's home."""
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "galaxy.yml").is_file() and (folder / "images" / "Dockerfile").is_file():
            return folder
    raise SlipwayError(f"{here} is not inside a checkout of Slipway (no galaxy.yml with images/Dockerfile above it).")


def state_dir() -> Path:
    """`.slipway` in the checkout: keys and generated settings, never committed, closed to other users."""
    folder = root() / ".slipway"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def short_hash(folder: Path | None = None) -> str:
    """Six hexadecimal digits of the checkout's path: containers and networks of two checkouts must not meet."""
    return hashlib.sha256(str(folder or root()).encode()).hexdigest()[:6]


def lab_name() -> str:
    """The lab of this checkout that a command means. Each has hosts, a network and keys of its own; the tests use `tests`."""
    name = os.environ.get(LAB_VARIABLE) or DEFAULT_LAB
    if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", name):
        raise SlipwayError(f"{LAB_VARIABLE} is {name!r}. Allowed: up to 16 lower-case letters and digits, a letter first.")
    return name


def lab_id() -> str:
    """What the names of this lab's containers and network begin with."""
    return short_hash() if lab_name() == DEFAULT_LAB else f"{short_hash()}-{lab_name()}"


def lab_dir() -> Path:
    """The lab's folder in `.slipway`: its key, the host keys, and the network and ports it chose."""
    folder = state_dir() / "labs" / lab_name()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
