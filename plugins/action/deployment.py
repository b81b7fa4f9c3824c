# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of slipway.stack.deployment: who deploys, and whether the run that has the turn is still there."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


def identity(process: int) -> str:
    """Controller, process and when that process began: a later process with the same number is another one."""
    return f"{socket.gethostname()}:{process}:{_began(process)}"


def is_gone(run: str) -> bool:
    """Whether `run` was a process of this controller that has ended. Of other controllers nobody knows."""
    host, _, rest = run.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    return not _alive(int(rest)) or identity(int(rest)) != run


def _began(process: int) -> str:
    try:
        # the name in parentheses may hold anything, spaces too
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "0"  # a controller without /proc


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "run": identity(os.getppid())}
        arguments["owner"] = arguments.get("owner") or f"{getpass.getuser()}@{socket.gethostname()}"
        result = self._call(arguments, task_vars)
        held = result.get("held")
        if held and is_gone(held["run"]):
            result = self._call({**arguments, "abandoned": held["run"]}, task_vars)
        return result

    def _call(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name="slipway.stack.deployment", module_args=arguments, task_vars=task_vars)
        return result
