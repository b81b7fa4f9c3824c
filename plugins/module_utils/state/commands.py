# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only a program of the host can make, once: a host key, a database cluster. The path that it creates tells whether it ran."""

from __future__ import annotations

import os

from .host import Deadline, StepError, must

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def apply(wants: list[dict[str, Any]], deadline: Deadline) -> None:
    """Run those whose path is missing, in order. One that does not make it has failed, whatever its exit code."""
    for want in wants:
        if os.path.lexists(want["creates"]):
            continue
        output = must(want["argv"], "making " + want["creates"], deadline.left())
        if not os.path.lexists(want["creates"]):
            raise StepError(f"{want['argv'][0]} ended well and made no {want['creates']}: {output.strip()[-500:]}")
