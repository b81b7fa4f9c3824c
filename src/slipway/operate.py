# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one does with a running platform, as one command each: deploy, rollback, releases, exec, logs, maintenance.

Each is a playbook, or an ssh session to a host that the inventory names; whoever prefers ansible-playbook types the same.
"""

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway import checkout, play
from slipway.errors import SlipwayError

# What ssh has to know of a host, as Ansible does.
CONNECTION = ("ansible_host", "ansible_user", "ansible_port", "ansible_ssh_private_key_file", "ansible_ssh_common_args")


def playbook(name: str, inventory: Path, variables: Mapping[str, Any], *arguments: str) -> int:
    """Play one of the playbooks and print it as it goes; its exit code. Variables without a value are left out."""
    root, given = checkout.root(), {key: value for key, value in variables.items() if value}
    environment = play.environment(root / "ansible.cfg", color=sys.stdout.isatty())
    path = root / "playbooks" / f"{name}.yml"
    return play.run(path, "-i", _existing(inventory), *arguments, folder=root, environment=environment, variables=given, show=True).code


def deploy(inventory: Path, application: str | None, *, reason: str | None, check: bool, force: bool, limit: str | None) -> int:
    """Release what the inventory names, all of it or one application."""
    arguments = [*(["--check", "--diff"] if check else []), *(["--limit", limit] if limit else [])]
    return playbook("deploy", inventory, {"deploy_application": application, "deploy_reason": reason, "deploy_force": force}, *arguments)


def rollback(inventory: Path, application: str, release: str | None, *, reason: str | None) -> int:
    """Make a release live again that is still on the hosts."""
    variables = {"rollback_application": application, "rollback_release": release, "deploy_reason": reason}
    return playbook("rollback", inventory, variables)


def maintenance(inventory: Path, application: str, switch: str, *, reason: str | None) -> int:
    """Close or open the sites of an application."""
    return playbook("maintenance", inventory, {"maintenance_application": application, "maintenance": switch, "maintenance_reason": reason})


def releases(inventory: Path, application: str | None) -> str:
    """A table of what every host has, and the last deployments that they know of."""
    found = [result for result in _quiet(inventory, "releases", {"deploy_application": application}) if "releases" in result.values]
    rows = [("host", "application", "release", "built", "migrated", "live as")]
    records: dict[str, Mapping[str, Any]] = {}
    for result in sorted(found, key=lambda result: result.host):
        for release in result.values["releases"]:
            live = ", ".join(release["live"])
            rows.append((result.host, result.values["name"], release["id"], release["built"], release["migrated"] or "-", live or "-"))
        for line in result.values.get("record", []):
            records[f"{line['time']} {result.host} {line['application']}"] = line | {"host": result.host}
    last = [("time", "host", "application", "action", "by", "result", "release", "why")]
    for key in sorted(records)[-20:]:
        line = records[key]
        change = f"{line.get('from') or 'none'} -> {line['to']}" if "to" in line else "-"
        why = line.get("why") or line.get("reason") or "-"
        last.append((line["time"], line["host"], line["application"], line["action"], line["by"], line["result"], change, why))
    if len(rows) == 1:
        return "No host has a release."
    return f"{_table(rows)}\n\n{_table(last)}" if len(last) > 1 else _table(rows)


def execute(inventory: Path, unit: str, command: Sequence[str], host: str | None) -> None:
    """Become a command that runs as the unit does, with its account, its release, its settings and its sandbox's folders."""
    if not command:
        raise SlipwayError("Say which command: slipway exec INVENTORY shop-web@8000 -- python manage.py shell")
    reached = _reached(inventory, host or "api:celery_workers")
    running = host or next((name for name in reached if _has_unit(reached[name], unit)), None)
    if running is None:
        raise SlipwayError(f"No host has a unit {unit}: systemctl list-units 'NAME-*' shows them, such as shop-web@8000.")
    words = ["sudo", "slipway-run", unit, *command]
    terminal = ["-t"] if sys.stdin.isatty() else []
    line = [*ssh(reached[running], *terminal), shlex.join(words)]
    os.execvp(line[0], line)


def logs(inventory: Path, application: str, process: str | None, *, lines: int, follow: bool, host: str | None) -> int:
    """Print the journal of an application's units, of every host that has some, each line with its host."""
    units = f"{application}-{process}*" if process else f"{application}-*"
    words = [
        "sudo",
        "journalctl",
        "--no-pager",
        "--output=short-iso",
        f"--lines={lines}",
        *(["--follow"] if follow else []),
        "--unit",
        units,
    ]
    reached = _reached(inventory, host or "api:celery_workers")
    width = max(map(len, reached))
    readers = [
        threading.Thread(target=_prefixed, args=(f"{name:<{width}} ", [*ssh(known), shlex.join(words)])) for name, known in reached.items()
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return 0


def _prefixed(prefix: str, command: Sequence[str]) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(prefix + line)
            sys.stdout.flush()


def ssh(known: Mapping[str, Any], *options: str) -> list[str]:
    """The ssh command that reaches a host as Ansible does; `known`: the variables of CONNECTION that it has."""
    found = ["ssh", *shlex.split(str(known.get("ansible_ssh_common_args") or "")), "-o", "LogLevel=ERROR", *options]
    if known.get("ansible_ssh_private_key_file"):
        found += ["-i", str(Path(known["ansible_ssh_private_key_file"]).expanduser())]
    if known.get("ansible_port"):
        found += ["-p", str(known["ansible_port"])]
    user = f"{known['ansible_user']}@" if known.get("ansible_user") else ""
    return [*found, f"{user}{known['ansible_host']}", "--"]


def _has_unit(known: Mapping[str, Any], unit: str) -> bool:
    command = [*ssh(known), shlex.join(["systemctl", "is-active", "--quiet", unit])]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _reached(inventory: Path, pattern: str) -> dict[str, dict[str, Any]]:
    """Host -> what ssh has to know of it. Ansible alone can say: variables may be templates."""
    asked = {name: f"{{{{ {name} | default('') }}}}" for name in CONNECTION} | {
        "ansible_host": "{{ ansible_host | default(inventory_hostname) }}"
    }
    task = {"name": "Connection", "ansible.builtin.debug": {"msg": asked}}
    plays = [{"hosts": pattern, "gather_facts": False, "tasks": [task]}]
    found = {result.host: dict(result.values["msg"]) for result in _results(plays, inventory, {})}
    if not found:
        raise SlipwayError(f"{inventory} has no host that matches {pattern}.")
    return found


def _quiet(inventory: Path, name: str, variables: Mapping[str, Any]) -> list[play.Result]:
    results = _results(checkout.root() / "playbooks" / f"{name}.yml", inventory, variables)
    # A loop answers for all of its items at once.
    return [
        play.Result(one.host, one.task, one.status, {"name": item["item"], **item}, one.ignored)
        for one in results
        for item in one.values.get("results", [])
    ]


def _results(plays: Any, inventory: Path, variables: Mapping[str, Any]) -> list[play.Result]:
    root, given = checkout.root(), {key: value for key, value in variables.items() if value}
    done = play.run(plays, "-i", _existing(inventory), folder=root, environment=play.environment(root / "ansible.cfg"), variables=given)
    if done.code != 0 and not done.results:
        raise SlipwayError(done.output.strip() or f"Ansible ended with exit code {done.code}.")
    for failure in done.failures():
        print(f"slipway: {failure}", file=sys.stderr)
    return [result for result in done.results if result.status in ("ok", "changed")]


def _existing(inventory: Path) -> str:
    path = inventory if inventory.exists() else checkout.root() / "inventories" / inventory
    if not path.exists():
        raise SlipwayError(f"There is no inventory {inventory}.")
    return str(path.resolve())


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width; the last one as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows)
