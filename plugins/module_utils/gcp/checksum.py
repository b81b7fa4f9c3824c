# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CRC32C (Castagnoli), the checksum of Secret Manager and Cloud Storage. Uses the C library where it is installed."""

from __future__ import annotations

try:
    from google_crc32c import extend
except ImportError:
    TABLE = []
    for byte in range(256):
        remainder = byte
        for _bit in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
        TABLE.append(remainder)

    def extend(checksum: int, data: bytes) -> int:
        state = checksum ^ 0xFFFFFFFF
        for octet in data:
            state = TABLE[(state ^ octet) & 0xFF] ^ (state >> 8)
        return state ^ 0xFFFFFFFF


def crc32c(data: bytes, checksum: int = 0) -> int:
    """The checksum of `data`, going on from the one of what came before it."""
    return int(extend(checksum, data))
