"""Where this checkout is, where its state lives, and what makes its names differ from those of another checkout."""

import hashlib
from pathlib import Path

from slipway.errors import SlipwayError


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
