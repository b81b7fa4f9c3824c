# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`slipway new role NAME`: the files of a role that passes the contract tests, to be filled with what the role is about."""

import re
from pathlib import Path

from slipway.errors import SlipwayError

# Beginnings of variables that belong to an inventory or to the wiring: a role's inputs would be taken for them.
RESERVED = {"own", "secret", "vault", "wiring", "ansible", "slipway"}

# Path -> text. @NAME@ stands for the role's name.
FILES = {
    "roles/@NAME@/defaults/main.yml": """---
# Lines of /etc/@NAME@.conf by name.
@NAME@_settings: {}
""",
    "roles/@NAME@/meta/argument_specs.yml": """---
argument_specs:
  main:
    short_description: What @NAME@ is, in one line
    options:
      @NAME@_settings:
        description: Lines of C(/etc/@NAME@.conf) by name.
        type: dict
""",
    "roles/@NAME@/meta/checks.yml": """---
values:
  @NAME@_settings{keys}: {matches: "[a-z][a-z0-9_]*", allowed: "small letters, digits and underscores"}
  @NAME@_settings{}: {kind: setting}
""",
    "roles/@NAME@/meta/main.yml": """---
galaxy_info:
  author: Slipway maintainers
  description: What @NAME@ is, in one line
  license: GPL-3.0-or-later
  min_ansible_version: "2.19"
  platforms:
    - name: Debian
      versions: [bookworm, trixie]
dependencies: []
""",
    "roles/@NAME@/state/main.yml": """---
files:
  - path: "{{ __@NAME@_config }}"
    template: etc/@NAME@.conf.j2
""",
    "roles/@NAME@/tasks/main.yml": """---
- name: Converge @NAME@
  slipway.stack.state:
    from: main
""",
    "roles/@NAME@/vars/main.yml": """---
__@NAME@_config: /etc/@NAME@.conf
""",
    "roles/@NAME@/templates/etc/@NAME@.conf.j2": """# {{ ansible_managed }}
{% for name, value in @NAME@_settings | dictsort %}
{{ name }} = {{ value }}
{% endfor %}
""",
    "roles/@NAME@/README.md": """# @NAME@

What @NAME@ is, in one line.

```yaml
@NAME@_settings: {colour: blue}
```

## What it does

- Writes `/etc/@NAME@.conf`.

## What a second run does

Nothing, when nothing has changed.

## What it does not do

- Install a program: the skeleton has none.

## Inputs

<!-- options:start -->
| input | type | default | meaning |
|---|---|---|---|
| `@NAME@_settings` | dict | `{}` | Lines of `/etc/@NAME@.conf` by name. |
<!-- options:end -->
""",
    "molecule/@NAME@/molecule.yml": """---
# Everything is in .config/molecule/config.yml.
""",
    "molecule/@NAME@/converge.yml": """---
- name: Converge
  hosts: all
  gather_facts: true
  roles:
    - role: slipway.stack.@NAME@
      vars:
        @NAME@_settings: {colour: blue}
""",
    "molecule/@NAME@/tests/test_@NAME@.py": '''"""What @NAME@ promises."""

from testinfra.host import Host


def test_the_settings_reach_the_file(host: Host) -> None:
    assert host.file("/etc/@NAME@.conf").content_string.splitlines()[1:] == ["colour = blue"]
''',
}

LEFT_OVER = """Made roles/@NAME@ and molecule/@NAME@. What is left to you (docs/extending/add-a-role.md):
  1. A play in one of playbooks/*.yml that gives the group @NAME@ the role slipway.stack.@NAME@.
  2. Its name in the list of tests/contract/test_roles.py.
  3. Ports and who may use them: a line each in playbooks/vars/wiring.yml, if it listens or connects.
  4. Then: .venv/bin/python -m pytest -q tests/contract/test_roles.py; make molecule ROLE=@NAME@"""


def role(root: Path, name: str) -> str:
    """Write the skeleton of a role into a checkout; returns what is left to do. A bad or taken name is refused and nothing written."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 40:
        raise SlipwayError(f"{name!r} is no name for a role. Allowed: small letters, digits, single underscores between, at most 40.")
    if name.split("_")[0] in RESERVED:
        raise SlipwayError(f"{name!r}: names that begin with {', '.join(sorted(RESERVED))} belong to inventories, the wiring or Ansible.")
    files = {root / path.replace("@NAME@", name): text.replace("@NAME@", name) for path, text in FILES.items()}
    for folder in (root / "roles" / name, root / "molecule" / name):
        if folder.exists():
            raise SlipwayError(f"{name!r} is taken: {folder.relative_to(root)} is there already.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LEFT_OVER.replace("@NAME@", name)
