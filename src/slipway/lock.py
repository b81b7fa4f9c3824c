# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One at a time: what two Slipways on one machine must not do at once."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(purpose: str) -> Iterator[None]:
    """Hold this user's lock of that name on this machine; waits, and says so. The kernel frees it when the process ends."""
    folder = Path("/run/lock") if os.access("/run/lock", os.W_OK) else Path(tempfile.gettempdir())
    path = folder / f"slipway-{os.getuid()}-{purpose}.lock"
    # Nobody else may put a link or a lock of theirs in its place.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another Slipway on this machine ({purpose}).", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
