# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CRC32C (Castagnoli), the checksum of Secret Manager and Cloud Storage. Computed by Google's C library."""

from __future__ import annotations

from .client import GcpError

try:
    from google_crc32c import extend
except ImportError as error:  # pragma: no cover - said where it is needed, with the way to mend it
    extend, MISSING = None, error


def crc32c(data: bytes, checksum: int = 0) -> int:
    """The checksum of `data`, going on from the one of what came before it."""
    if extend is None:
        raise GcpError(f"the Python package google-crc32c is missing; install it beside google-auth: pip install google-crc32c ({MISSING})")
    return int(extend(checksum, data))
