# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of slipway.stack.state: check, render, and send everything to the host in one call."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from shlex import quote
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.executor.interpreter_discovery import InterpreterDiscoveryRequiredError, discover_interpreter
from ansible.executor.module_common import _get_shebang
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible_collections.slipway.stack.plugins.module_utils.state import spec
from ansible_collections.slipway.stack.plugins.plugin_utils import desired_state, role_inputs
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import options_of, typed

MANAGED = "Managed by Ansible (slipway.stack): changes by hand are overwritten"
MARK = "SLIPWAY-RESULT:"
QUOTED = re.compile(r"-?\d+(\.\d+)?|(?i:true|yes|on)")
MODULES = (
    "host",
    "accounts",
    "packages",
    "files",
    "transaction",
    "units",
    "prediction",
    "overlay",
    "validators",
    "probe",
    "commands",
    "certificates",
    "exclusive",
    "secrets",
    "engine",
)
# Compiling the engine costs more than a run that changes nothing, so root's compiled copy stays in /run until the next boot.
PROGRAM = """import json, marshal, os, sys, types, zlib
from binascii import a2b_base64
from importlib.machinery import ModuleSpec
payload = json.loads(zlib.decompress(a2b_base64("%(payload)s")))
root = os.getuid() == 0
cache = "/run/slipway/engine-%(digest)s-%%x" %% sys.hexversion
try:
    if not root or os.stat(cache).st_uid != 0:
        raise OSError
    with open(cache, "rb") as handle:
        codes = marshal.load(handle)
except Exception:
    sources = json.loads(zlib.decompress(a2b_base64("%(sources)s")))
    codes = [(name, compile(text, "slipway/state/" + name + ".py", "exec", dont_inherit=True)) for name, text in sources]
    if root and not payload["check"]:
        os.makedirs("/run/slipway", 0o755, exist_ok=True)
        with open(os.open(cache + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
            marshal.dump(codes, handle)
        os.rename(cache + ".new", cache)
package = types.ModuleType("slipway_state")
package.__path__ = []
sys.modules["slipway_state"] = package
codes = dict(codes)
class Loader:
    # a module runs when it is first imported: what a call does not need costs nothing
    def find_spec(self, name, path=None, target=None):
        if name.startswith("slipway_state."):
            return ModuleSpec(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(codes[module.__name__.split(".")[1]], module.__dict__)
sys.meta_path.insert(0, Loader())
from slipway_state.engine import Engine
print("\\n%(mark)s" + json.dumps(Engine(payload).run()))
"""


class ActionModule(ActionBase):
    """Renders templates with the role's search path; the host gets plain data."""

    TRANSFERS_FILES = False
    _supports_async = True
    _supports_check_mode = True
    _supports_diff = True

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """Sections stay as they are written: what an item of `each` says can only be evaluated with its entry."""
        return value if name in desired_state.SECTIONS else templar.template(value)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            payload = spec.normalise(self.wanted(variables))
        except spec.SpecError as error:
            raise AnsibleActionFail(f"slipway.stack.state: {error}") from None
        for want in payload["files"]:
            self._fill(want, self._effective)
        if not self._takes_script():
            return self._as_module(payload, variables)
        payload.update(check=bool(self._task.check_mode), diff=bool(self._task.diff))
        return self._as_script(payload, variables)

    def wanted(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The sections, evaluated, from the task itself or from the role's state file that `from` names."""
        arguments = dict(self._task.args)
        self._effective = variables
        name = arguments.pop("from", None)
        if name is not None:
            if arguments:
                raise AnsibleActionFail(
                    f"slipway.stack.state: from goes without {', '.join(arguments)}: they belong into the file it names"
                )
            arguments = desired_state.read(self._find("state", f"{name}.yml", "from"), self._loader)
            self._effective = self._inputs(variables)
        templar = self._templar if self._effective is variables else self._templar.copy_with_new_env(available_variables=self._effective)
        return desired_state.evaluate(arguments, templar, self._effective)

    def _inputs(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The variables with the role's inputs as what they mean: a quoted number, which -e cannot avoid, becomes the number.

        Outside of a run that playbooks/validate.yml began, the role's own checks are asked first."""
        role = self._task._role
        if role is None:
            return variables
        path = Path(role._role_path)
        quoted = {name: value for name, value in variables.items() if name.startswith(path.name + "_") and isinstance(value, str)}
        checked = variables.get("slipway_inventory_valid", False)
        if checked and not any(QUOTED.fullmatch(value) for value in quoted.values()):
            return variables
        options = options_of(path)
        if not checked:
            role_inputs.refuse_wrong(path, options, variables, self._templar, self._loader.get_basedir())
        return {**variables, **{name: typed(value, options[name].get("type", "str")) for name, value in quoted.items() if name in options}}

    # -- content -----------------------------------------------------------------------------------------------------

    def _fill(self, want: dict[str, Any], variables: dict[str, Any]) -> None:
        """Turn template or source into content."""
        if want["template"] is not None:
            want["content"] = self._render(want, variables)
        elif want["source"] is not None:
            data = self._find("files", want["source"], want["path"]).read_bytes()
            try:
                want["content"] = data.decode("utf-8")
            except UnicodeDecodeError:
                want["content"], want["encoding"] = base64.b64encode(data).decode(), "base64"
        want["variables"], want["source"] = {}, None

    def _find(self, folder: str, name: str, path: str) -> Path:
        try:
            return Path(self._find_needle(folder, name))
        except AnsibleError as error:
            raise AnsibleActionFail(f"files ({path}): {error}") from None

    def _render(self, want: dict[str, Any], variables: dict[str, Any]) -> str:
        source = self._find("templates", want["template"], want["path"])
        bases = [Path(base) for base in variables.get("ansible_search_path", [])] + [Path(self._loader.get_basedir()), source.parent]
        templar = self._templar.copy_with_new_env(
            searchpath=[str(folder) for base in bases for folder in (base / "templates", base)],
            available_variables={"ansible_managed": MANAGED, **variables, **want["variables"]},
        )
        text = trust_as_template(self._loader.get_text_file_contents(str(source)))
        if want["secret"]:
            want["template_text"] = str.__str__(text)  # its words may be shown, the rest may not
        try:
            rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
        except AnsibleError as error:
            line = _template_line(error, text)
            raise AnsibleActionFail(f"template {source}{f' line {line}' if line else ''}, for {want['path']}: {error}") from None
        return "" if rendered is None else str.__str__(rendered) if isinstance(rendered, str) else str(rendered)

    # -- transport ---------------------------------------------------------------------------------------------------

    def _takes_script(self) -> bool:
        """Standard input reaches the interpreter, whatever `pipelining` is set to for modules."""
        become = self._connection.become
        return bool(self._connection.has_pipelining and not self._task.async_val and not (become and become.require_tty))

    def _as_script(self, payload: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """One plain Python program on the interpreter's standard input: no temporary file, no archive, nothing in argv."""
        folder = Path(spec.__file__).parent
        sources = json.dumps([(name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES])
        program = PROGRAM % {
            "payload": _packed(json.dumps(payload)),
            "sources": _packed(sources),
            "digest": hashlib.sha256(sources.encode()).hexdigest()[:20],
            "mark": MARK,
        }
        # isolated: neither the login user's environment nor the current folder may lend it modules
        command = f"{self._compute_environment_string()} {quote(self._interpreter(variables))} -I -S".strip()
        answer = self._low_level_execute_command(command, in_data=program.encode())
        _before, mark, text = answer["stdout"].rpartition(MARK)
        if not mark:
            said = (answer["stderr"] or answer["stdout"]).strip()[-2000:]
            return {"failed": True, "msg": f"the engine did not answer on the host (exit {answer['rc']}): {said}"}
        result: dict[str, Any] = json.loads(text)
        if not result["diff"]:
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
        """Where a program on standard input is not possible (async, a become method that needs a terminal): Ansible's own wrapper."""
        for want in payload["files"]:
            want.pop("template_text", None)  # all words of a secret file are masked then
        asynchronous = bool(self._task.async_val)
        done = self._execute_module(module_name="slipway.stack.state", module_args=payload, task_vars=variables, wrap_async=asynchronous)
        return dict(done)


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogateescape"), 1)).decode()


def _template_line(error: BaseException, text: str) -> int | None:
    """The line of the template in which an error arose: from jinja, or where an undefined name is first used."""
    seen: BaseException | None = error
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
                return trace.tb_lineno
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__
    undefined = re.search(r"'(\w+)' is undefined|has no attribute '(\w+)'", str(error))
    name = undefined and (undefined[1] or undefined[2])
    return next((number for number, line in enumerate(text.splitlines(), 1) if name and re.search(rf"\b{name}\b", line)), None)
