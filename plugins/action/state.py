# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of slipway.stack.state: check, render, and send everything to the host in one call."""

from __future__ import annotations

import base64
import json
import os
import zlib
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.executor.interpreter_discovery import InterpreterDiscoveryRequiredError, discover_interpreter
from ansible.executor.module_common import _get_shebang
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.slipway.stack.plugins.module_utils.state import spec

MANAGED = "Managed by Ansible (slipway.stack): changes by hand are overwritten"
MARK = "SLIPWAY-RESULT:"
# in the order in which they import each other
MODULES = ("host", "accounts", "packages", "files", "transaction", "probe", "units", "validators", "view", "secrets", "engine")
PROGRAM = """import base64, json, sys, types, zlib
data = json.loads(zlib.decompress(base64.b64decode("%s")))
package = types.ModuleType("slipway_state")
package.__path__ = []
sys.modules["slipway_state"] = package
for name, source in data["modules"]:
    module = types.ModuleType("slipway_state." + name)
    module.__package__ = "slipway_state"
    sys.modules[module.__name__] = module
    setattr(package, name, module)
    exec(compile(source, "slipway/state/" + name + ".py", "exec"), module.__dict__)
print("\\n%s" + json.dumps(package.engine.Engine(data["payload"]).run()))
"""


class ActionModule(ActionBase):
    """Renders templates with the role's search path; the host gets plain data."""

    TRANSFERS_FILES = False
    _supports_async = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            payload = spec.normalise(dict(self._task.args))
        except spec.SpecError as error:
            raise AnsibleActionFail("slipway.stack.state: %s" % error) from None
        for want in payload["files"]:
            self._fill(want, variables)
        if not self._takes_script():
            return self._as_module(payload, variables)
        payload.update(check=bool(self._task.check_mode), diff=bool(self._task.diff))
        return self._as_script(payload, variables)

    # -- content -----------------------------------------------------------------------------------------------------

    def _fill(self, want: dict[str, Any], variables: dict[str, Any]) -> None:
        """Turn template or source into content."""
        if want["template"] is not None:
            want["content"] = self._render(want, variables)
        elif want["source"] is not None:
            with open(self._find("files", want["source"], want["path"]), "rb") as handle:
                data = handle.read()
            try:
                want["content"] = data.decode("utf-8")
            except UnicodeDecodeError:
                want["content"], want["encoding"] = base64.b64encode(data).decode(), "base64"
        want["variables"], want["source"] = {}, None

    def _find(self, folder: str, name: str, path: str) -> str:
        try:
            found: str = self._find_needle(folder, name)
        except AnsibleError as error:
            raise AnsibleActionFail("files (%s): %s" % (path, error)) from None
        return found

    def _render(self, want: dict[str, Any], variables: dict[str, Any]) -> str:
        source = self._find("templates", want["template"], want["path"])
        search = [*variables.get("ansible_search_path", []), self._loader.get_basedir(), os.path.dirname(source)]
        names = {"ansible_managed": MANAGED, **variables, **want["variables"]}
        templar = self._templar.copy_with_new_env(
            searchpath=[folder for base in search for folder in (os.path.join(base, "templates"), base)],
            available_variables=names,
        )
        text = trust_as_template(self._loader.get_text_file_contents(source))
        if want["secret"]:
            want["template_text"] = str.__str__(text)  # its words may be shown, the rest may not
        try:
            rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
        except AnsibleError as error:
            line = _template_line(error)
            raise AnsibleActionFail("template %s%s, for %s: %s" % (source, " line %d" % line if line else "", want["path"], error)) from None
        return "" if rendered is None else str.__str__(rendered) if isinstance(rendered, str) else str(rendered)

    # -- transport ---------------------------------------------------------------------------------------------------

    def _takes_script(self) -> bool:
        """Standard input reaches the interpreter, whatever `pipelining` is set to for modules."""
        become = self._connection.become
        return bool(self._connection.has_pipelining and not self._task.async_val and not (become and become.require_tty))

    def _as_script(self, payload: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """One plain Python program on the interpreter's standard input: no temporary file, no archive, nothing in argv."""
        folder = os.path.dirname(spec.__file__)
        modules = []
        for name in MODULES:
            with open(os.path.join(folder, name + ".py"), encoding="utf-8") as handle:
                modules.append((name, handle.read()))
        packed = base64.b64encode(zlib.compress(json.dumps({"modules": modules, "payload": payload}).encode("utf-8", "surrogateescape"), 1)).decode()
        shebang = "#!" + self._interpreter(variables)
        command = self._connection._shell.build_module_command(self._compute_environment_string(), shebang, "")
        answer = self._low_level_execute_command(command, in_data=(PROGRAM % (packed, MARK)).encode())
        _before, mark, text = answer["stdout"].rpartition(MARK)
        if not mark:
            return {
                "failed": True,
                "msg": "the engine did not answer on the host (exit %s): %s" % (answer["rc"], (answer["stderr"] or answer["stdout"]).strip()[-2000:]),
            }
        result: dict[str, Any] = json.loads(text)
        if self._task.diff and not result["diff"]:
            del result["diff"]
        return result

    def _interpreter(self, variables: dict[str, Any]) -> str:
        """The host's Python as Ansible chooses it: configured, or discovered once."""
        if self._task.delegate_to:
            variables = variables["ansible_delegated_vars"][self._task.delegate_to]
        local = bool(getattr(self._connection, "_remote_is_local", False))
        try:
            return str(_get_shebang("/usr/bin/python", variables, self._templar, remote_is_local=local)[1])
        except InterpreterDiscoveryRequiredError as wanted:
            return str(discover_interpreter(self, wanted.interpreter_name, wanted.discovery_mode, variables))

    def _as_module(self, payload: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """Where a program on standard input is not possible (async, no pipelining): the module in Ansible's own wrapper."""
        result: dict[str, Any] = self._execute_module(
            module_name="slipway.stack.state", module_args=payload, task_vars=variables, wrap_async=bool(self._task.async_val)
        )
        result.pop("invocation", None)  # it would repeat every file's content
        return result


def _template_line(error: BaseException) -> int | None:
    """The line of the template in which an error arose, from jinja's rewritten traceback."""
    seen: BaseException | None = error
    line = None
    while seen is not None:
        line = getattr(seen, "lineno", None) or line
        trace = seen.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
                line = trace.tb_lineno
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__
    return line
