"""What happens once per release is on one host of the run, whatever --limit leaves out; beat is on one host of the inventory."""

import json
import os
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
    - ansible.builtin.copy:
        content: "{{{{ api_migrate | string }}}} {{{{ celery_workers_beat | string }}}}"
        dest: "{folder}/{{{{ inventory_hostname }}}}"
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    hosts = {name: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_host": "127.0.0.1"}
             for name in ("app1", "app2")}  # fmt: skip
    groups = {group: {"hosts": hosts} for group in ("api", "celery_workers")}
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"all": {"children": groups}}))
    return path


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("all", {"app1": "True True", "app2": "False False"}),
        ("!app1", {"app2": "True False"}),
        ("app1", {"app1": "True True"}),
    ],
)
def test_one_host_of_the_run_migrates(inventory: Path, tmp_path: Path, limit: str, expected: dict[str, str]) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(wiring=ROOT / "playbooks/vars/wiring.yml", folder=seen))
    argv = [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, "--limit", limit, play]
    done = subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name: path.read_text() for path in seen.iterdir()} == expected
