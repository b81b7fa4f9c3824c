# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply a state that could shut the controller out, and keep it only once a new connection has got in."""

from __future__ import annotations

import shlex
import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.stack.plugins.module_utils.state import spec

UNDO_ROOT = "/var/lib/slipway/undo"
RETRY_SECONDS = 2
RETURN_SECONDS = 45
"""How long the host may take to answer again after its own deadline."""

# Exit codes of the scripts below.
PENDING = 75
TOO_LATE = 76

ARM = """set -eu
umask 077
unit=slipway-undo-{name}
undo={root}/{name}
if systemctl --quiet is-active $unit.timer $unit.service; then exit {pending}; fi
rm -rf "$undo" "$undo.new"
mkdir -p "$undo.new/files"
cat > "$undo.new/run" <<'END_OF_RUN'
#!/bin/sh
# No new connection has confirmed the last change of {name}: put the earlier files back.
undo={root}/{name}
unit=slipway-undo-{name}
{restores}
systemctl daemon-reload
{commands}
rm -f "/etc/systemd/system/$unit.service" "/etc/systemd/system/multi-user.target.wants/$unit.service"
rm -rf "$undo"
systemctl daemon-reload
END_OF_RUN
{saves}
cat > "/etc/systemd/system/$unit.service" <<'END_OF_UNIT'
[Unit]
Description=Put back the unconfirmed change of {name}
# A host that reboots before the confirmation starts with the earlier files.
After=slipway-firewall.service ssh.service
ConditionPathExists={root}/{name}/run

[Service]
Type=oneshot
ExecStart=/bin/sh {root}/{name}/run
END_OF_UNIT
chmod 0644 "/etc/systemd/system/$unit.service"
mkdir -p -m 0755 /etc/systemd/system/multi-user.target.wants
ln -sfn "../$unit.service" "/etc/systemd/system/multi-user.target.wants/$unit.service"
mv "$undo.new" "$undo"
systemctl daemon-reload
systemd-run --quiet --unit=$unit.service --on-active={timeout}s --timer-property=AccuracySec=100ms
"""

DISARM = """set -eu
unit=slipway-undo-{name}
undo={root}/{name}
[ -d "$undo" ] || exit {too_late}
systemctl stop $unit.timer
if [ "$(systemctl show --property=ActiveState --value $unit.service)" = activating ] || [ ! -d "$undo" ]; then exit {too_late}; fi
mv "$undo" "$undo.done"
rm -rf "$undo.done" "/etc/systemd/system/$unit.service" "/etc/systemd/system/multi-user.target.wants/$unit.service"
systemctl daemon-reload
"""


class ActionModule(ActionBase):
    """Plan, arm the host's timer, apply, come back through a new connection, cancel the timer."""

    _requires_connection = True

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """The state is evaluated by the action of slipway.stack.state."""
        return value if name == "state" else templar.template(value)

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "str", "required": True},
                "timeout": {"type": "int", "required": True},
                "undo": {"type": "list", "elements": "str", "required": True},
                "port": {"type": "int"},
                "state": {"type": "dict", "required": True},
            },
        )
        self._name, self._timeout = arguments["name"], arguments["timeout"]
        if self._timeout < 2 * RETRY_SECONDS:
            raise AnsibleActionFail(f"timeout is {self._timeout}: allowed are {2 * RETRY_SECONDS} seconds and more")
        state = self._state_action(arguments["state"], check=True).wanted(task_vars or {})
        planned = self._state(state, task_vars, check=True)
        if self._task.check_mode or planned.get("failed") or not planned.get("changed"):
            return planned

        before = self._login()
        deadline = time.monotonic() + self._timeout
        self._arm(arguments, [file["path"] for file in spec.normalise(state)["files"]])
        try:
            applied = self._state(state, task_vars, check=False)
        except AnsibleConnectionFailure as error:
            applied = {"failed": True, "msg": f"the connection broke while the change was applied: {error}"}
        if arguments["port"]:
            self._connection.set_option("port", arguments["port"])
        refusal = self._confirm(before, deadline)
        if refusal is None:
            return applied
        return {**applied, "failed": True, "changed": False, "msg": f"{self._name}: {refusal} {self._after_the_undo(deadline)}"}

    def _state(self, state: dict[str, Any], task_vars: dict[str, Any] | None, *, check: bool) -> dict[str, Any]:
        """Run slipway.stack.state as if it were this task."""
        return self._state_action(state, check=check).run(task_vars=task_vars)

    def _state_action(self, arguments: dict[str, Any], *, check: bool) -> Any:
        """The action of slipway.stack.state, with these arguments."""
        task = self._task.copy()
        task.args = arguments
        task.check_mode = check
        play_context = self._play_context.copy()
        play_context.check_mode = check
        return self._shared_loader_obj.action_loader.get(
            "slipway.stack.state",
            task=task,
            connection=self._connection,
            play_context=play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )

    def _shell(self, script: str, **keywords: bool) -> dict[str, Any]:
        return self._low_level_execute_command(f"/bin/sh -c {shlex.quote(script)}", **keywords)

    def _login(self) -> str:
        """Name this TCP connection; empty where the connection is not ssh. Without become: sudo hides the variable."""
        return str(self._shell('printf "%s" "$SSH_CONNECTION"', sudoable=False)["stdout"]).strip()

    def _arm(self, arguments: dict[str, Any], paths: list[str]) -> None:
        saves, restores = [], []
        for path in paths:
            target, staged = shlex.quote(path), shlex.quote(f"{path}.slipway-undo")
            kept = '"$undo.new/files"' + target
            saves.append(f'if [ -e {target} ] || [ -L {target} ]; then mkdir -p "$(dirname {kept})"; cp -a {target} {kept}; fi')
            restores.append(
                f'if [ -e "$undo/files"{target} ] || [ -L "$undo/files"{target} ]; then '
                f'cp -a "$undo/files"{target} {staged} && mv -fT {staged} {target}; else rm -f {target}; fi'
            )
        script = ARM.format(
            name=self._name,
            root=UNDO_ROOT,
            timeout=self._timeout,
            pending=PENDING,
            saves="\n".join(saves),
            restores="\n".join(restores),
            commands="\n".join(arguments["undo"]),
        )
        armed = self._shell(script)
        if armed["rc"] == PENDING:
            raise AnsibleActionFail(
                f"{self._name}: an earlier change still waits for its confirmation. The host puts it back by itself; run again in a minute."
            )
        if armed["rc"] != 0:
            raise AnsibleActionFail(
                f"{self._name}: the host's undo timer could not be armed, nothing was changed: {armed['stdout']}{armed['stderr']}"
            )

    def _confirm(self, before: str, deadline: float) -> str | None:
        """Cancel the timer through a connection that did not exist before; the reason if that fails."""
        reason = f"no new connection got in within {self._timeout} s."
        while time.monotonic() < deadline:
            try:
                self._connection.reset()
                if before and self._login() == before:
                    return "ssh reused the old connection (ControlMaster in the controller's ssh configuration?), so nothing is proved."
                disarmed = self._shell(DISARM.format(name=self._name, root=UNDO_ROOT, too_late=TOO_LATE))
            except AnsibleConnectionFailure as error:
                reason = f"no new connection got in within {self._timeout} s ({' '.join(str(error).split())})."
            else:
                if disarmed["rc"] == 0:
                    return None
                if disarmed["rc"] == TOO_LATE:
                    return reason
                reason = f"a new connection got in, but could not become root ({disarmed['stderr'] or disarmed['stdout']})."
            time.sleep(RETRY_SECONDS)
        return reason

    def _after_the_undo(self, deadline: float) -> str:
        """Wait for the host's own undo and say how the host is now."""
        asked = f"[ ! -e {UNDO_ROOT}/{self._name} ]"
        while time.monotonic() < deadline + RETURN_SECONDS:
            time.sleep(RETRY_SECONDS)
            try:
                self._connection.reset()
                if self._shell(asked)["rc"] == 0:
                    return (
                        f"The host put the earlier files back by itself after {self._timeout} s and answers again. "
                        "Look at what the change means for this controller's own address, user, key and port."
                    )
            except AnsibleConnectionFailure:
                continue
        return f"Nor does it answer {RETURN_SECONDS} s after its time limit: look at slipway-undo-{self._name}.service on its console."
