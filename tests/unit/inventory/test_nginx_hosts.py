"""What several hosts in the group nginx learn of each other, and what the host asks itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: nginx
  gather_facts: false
  vars_files: [{wiring}]
  tasks:
    - ansible.builtin.debug:
        msg: "{{{{ inventory_hostname }}}} asks {{{{ nginx_peers | join(' ') }}}}, proves at {{{{ certificates_nginx_address }}}}."
"""


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, {"edge1": ("10.0.0.2:80 10.0.0.3:80", "127.0.0.1:443"), "edge2": ("10.0.0.1:80 10.0.0.3:80", "127.0.0.1:443"),
              "edge3": ("10.0.0.1:80 10.0.0.2:80", "127.0.0.1:443")}),
        ({"nginx_proxy_protocol": True, "nginx_listen_addresses": ["10.0.0.9"]},
         dict.fromkeys(("edge1", "edge2", "edge3"), ("", "127.0.0.1:443"))),
    ],
)  # fmt: skip
def test_each_asks_the_others(tmp_path: Path, inputs: dict[str, Any], expected: dict[str, tuple[str, str]]) -> None:
    connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {f"edge{number}": {**connection, "private_address": f"10.0.0.{number}"} for number in (1, 2, 3)}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"children": {"nginx": {"hosts": hosts}}, "vars": inputs}}))
    (tmp_path / "play.yml").write_text(PLAY.format(wiring=ROOT / "playbooks/vars/wiring.yml"))
    argv = [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "inventory.json", tmp_path / "play.yml"]
    done = subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"(edge\d) asks (.*?), proves at (\S+)\.", done.stdout)
    assert {host: (peers, address) for host, peers, address in found} == expected
