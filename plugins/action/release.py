# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of slipway.stack.release: reads the source, and sends it only to hosts that lack the release."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.stack.plugins.module_utils.release.source import (
    Payload,
    SourceError,
    described,
    packed,
    public,
)


def arguments_of(application: Mapping[str, Any]) -> dict[str, Any]:
    """The module's options, from one entry of the filter slipway.stack.applications."""
    same = ("name", "source", "python", "installer", "uv_version", "environment", "secrets", "secret_delivery")
    build, migrate = application["build"], application["migrate"]
    return {
        **{key: application[key] for key in same},
        "keep": application["keep_releases"],
        "user": application["name"],
        **{key: build[key] for key in ("strict", "imports")},
        "post_install": build["commands"],
        **{f"build_{key}": build[key] for key in ("environment", "secrets")},
        "migrate": migrate["command"],
        **{f"migrate_{key}": migrate[key] for key in ("check", "files", "timeout", "environment", "secrets", "database", "lock_timeout")},
    }


class ActionModule(ActionBase):
    # A folder on the host is made when an archive travels, not before: a check run leaves nothing behind.
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if application := arguments.pop("application", None):
            arguments |= arguments_of(application)
        source = arguments.get("source")
        if not isinstance(source, dict):
            raise AnsibleActionFail(f"source: {source!r} is not a dictionary with the key 'type'")
        # Roles hand over every key, empty when it does not apply.
        source = {key: value for key, value in source.items() if value not in (None, "")}
        base = Path(self._loader.get_basedir())
        cache = Path(constants.ANSIBLE_HOME) / "slipway-git"
        try:
            payload = described(source, base, cache)
            arguments.update(source=public(source), payload=vars(payload))
            result = self._call(arguments, task_vars)
            if result.pop("needs_payload", False):
                arguments["payload"] = {**vars(payload), **self._send(source, payload, base, cache)}
                result = self._call(arguments, task_vars)
            return result
        except SourceError as error:
            raise AnsibleActionFail(str(error)) from None
        finally:
            if self._connection._shell.tmpdir:
                self._remove_tmp_path(self._connection._shell.tmpdir)

    def _call(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_name="slipway.stack.release", module_args=arguments, task_vars=task_vars)
        return result

    def _send(self, source: dict[str, Any], payload: Payload, base: Path, cache: Path) -> dict[str, str]:
        """Move the archive to the host; gives what the module has to know of it."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        # pip reads name and version of a wheel from the file's name.
        remote: str = self._connection._shell.join_path(folder, payload.filename or "source.tar.gz")
        archive = packed(source, payload, base, cache)
        with tempfile.NamedTemporaryFile() as local:
            local.write(archive.data)
            local.flush()
            self._transfer_file(local.name, remote)
        self._fixup_perms2((folder, remote))
        return {"path": remote, "member": archive.member, "version": archive.version}
