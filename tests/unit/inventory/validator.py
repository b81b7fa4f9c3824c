"""Answers for inventories on stdin, one `[folder, stage]` in JSON a line, with the validator's message, in one process.

A process of its own: Ansible's collection loader has to be there before the first import from a collection.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[3]
init_plugin_loader([str(ROOT / ".ansible" / "collections")])

from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.playbook import Playbook  # noqa: E402
from ansible.template import Templar  # noqa: E402
from ansible.vars.hostvars import HostVars  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402
from ansible_collections.slipway.stack.plugins.action.validate_inventory import ActionModule  # noqa: E402


def said(source: str, stage: str) -> str:
    """The validator's message; empty when it accepts."""
    os.chdir(Path(source).parent)
    loader = DataLoader()
    loader.set_basedir(str(ROOT / "playbooks"))
    inventory = InventoryManager(loader=loader, sources=[source])
    manager = VariableManager(loader=loader, inventory=inventory)
    manager._hostvars = HostVars(inventory=inventory, variable_manager=manager, loader=loader)
    play = Playbook.load(str(ROOT / "playbooks/validate.yml"), variable_manager=manager, loader=loader).get_plays()[1]
    task = play.tasks[0].block[0] if hasattr(play.tasks[0], "block") else play.tasks[0]
    task.args = {"stage": stage}
    variables = manager.get_vars(play=play, host=next(iter(inventory.get_hosts("all")), None), task=task)
    variables.setdefault("hostvars", manager._hostvars)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="unused"))
    action = ActionModule(task, connection, None, loader, Templar(loader=loader, variables=variables), None)
    return str(action.run(task_vars=variables).get("msg", ""))


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(said(*json.loads(line))), file=answers, flush=True)
