"""What happens once per release is on one host of the run, whatever --limit leaves out; beat is on one host of the inventory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: api
  gather_facts: false
  serial: 1
  vars_files: [{wiring}]
  tasks:
    - ansible.builtin.debug:
        msg: >-
          {{{{ inventory_hostname }}}} migrates {{{{ api_applications[0].migrate.command | length > 0 }}}}
          beats {{{{ celery_workers_applications | length > 0 }}}}.
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    hosts = {name: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_host": "127.0.0.1"}
             for name in ("app1", "app2")}  # fmt: skip
    groups = {group: {"hosts": hosts} for group in ("api", "celery_workers")}
    path = tmp_path / "inventory.json"
    shop = {
        "source": {"type": "package", "requirement": "shop==1.0"},
        "migrate": {"command": ["alembic", "upgrade", "head"]},
        "processes": {"web": {"type": "asgi", "app": "shop:app"}, "beat": {"type": "celery_beat", "app": "shop.worker"}},
    }
    path.write_text(json.dumps({"all": {"children": groups, "vars": {"applications": {"shop": shop}}}}))
    return path


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("all", {"app1": "migrates True beats True", "app2": "migrates False beats False"}),
        ("!app1", {"app2": "migrates True beats False"}),
        ("app1", {"app1": "migrates True beats True"}),
    ],
)
def test_one_host_of_the_run_migrates(inventory: Path, tmp_path: Path, limit: str, expected: dict[str, str]) -> None:
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(wiring=ROOT / "playbooks/vars/wiring.yml"))
    argv = [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, "--limit", limit, play]
    done = subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dict(re.findall(r"(app\d) (migrates \w+ beats \w+)\.", done.stdout)) == expected
