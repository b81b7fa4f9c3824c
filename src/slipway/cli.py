# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command line of Slipway."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from slipway import checkout, demo, engine, image, init, lab, new, operate, scenario, secret_file
from slipway.errors import SlipwayError

Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse gives it no public name


def parser() -> argparse.ArgumentParser:
    """All commands; each sets `run`, a function of the parsed arguments that returns the exit code."""
    root = argparse.ArgumentParser(prog="slipway", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    ready = commands.add_parser("engine", help="find the container engine; start or install it where needed")
    ready.set_defaults(run=lambda _: engine.ensure())

    build = commands.add_parser("image", help="build the base images of the lab where their recipe changed")
    build.add_argument("distribution", nargs="*", default=list(image.RELEASES), help=f"default: {' '.join(image.RELEASES)}")
    build.add_argument("--rebuild", action="store_true", help="also when nothing changed (fresh package lists)")
    build.set_defaults(run=lambda chosen: image.ensure(chosen.distribution, rebuild=chosen.rebuild))

    show = commands.add_parser("demo", help="the whole platform in the lab, and a proof that it works")
    show.set_defaults(run=lambda _: demo.run())

    _lab_commands(commands)
    _operating_commands(commands)

    made = commands.add_parser("new", help="write the skeleton of a new part")
    kinds = made.add_subparsers(required=True, metavar="KIND")
    role = kinds.add_parser("role", help="a role with its Molecule scenario, which passes the contract tests")
    role.add_argument("name")
    role.set_defaults(run=lambda chosen: print(new.role(checkout.root(), chosen.name)))

    wizard = commands.add_parser("init", help="write an inventory for one server: asks what only you know, reads the rest from the source")
    wizard.add_argument("folder", type=Path, help="the inventory to write, such as inventories/mine")
    for name, (question, _default) in init.QUESTIONS.items():
        wizard.add_argument(f"--{name.replace('_', '-')}", help=question)
    wizard.set_defaults(run=_init)

    secret = commands.add_parser("secrets", help="make the secrets of an inventory")
    actions = secret.add_subparsers(required=True, metavar="ACTION")
    fill = actions.add_parser("init", help="add a random value for every name in secret-names.txt that has none")
    fill.add_argument("inventory", type=Path, help="its folder, such as inventories/lab")
    fill.set_defaults(run=lambda chosen: _secrets_init(chosen.inventory))

    hosts = commands.add_parser("host", help="start or remove the hosts of a Molecule scenario")
    actions = hosts.add_subparsers(required=True, metavar="ACTION")
    up = actions.add_parser("up", help="start hosts, wait until they have booted, write their names and addresses")
    up.add_argument("--scenario", required=True)
    up.add_argument("--write", required=True, type=Path, metavar="FILE")
    up.add_argument("platform", nargs="+")
    up.set_defaults(run=lambda chosen: scenario.up(chosen.scenario, chosen.platform, chosen.write))
    down = actions.add_parser("down", help="remove all hosts of the scenario")
    down.add_argument("--scenario", required=True)
    down.set_defaults(run=lambda chosen: scenario.down(chosen.scenario))
    return root


def _lab_commands(commands: Subcommands) -> None:
    top = commands.add_parser("lab", help="the hosts of an inventory as containers on this machine")
    actions = top.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, purpose: str, run: Callable[[lab.Lab, argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=purpose)
        added.add_argument("--inventory", default="lab", metavar="NAME", help="a folder in inventories/ (default: lab)")
        added.set_defaults(run=lambda chosen: run(lab.read(lab.inventory_path(chosen.inventory), os.environ), chosen))
        return added

    bring_up = actions.add_parser("up", help="start the hosts that do not run")
    bring_up.add_argument("--inventory", default="lab", metavar="NAME", help="a folder in inventories/ (default: lab)")
    bring_up.set_defaults(run=lambda chosen: _lab_up(lab.inventory_path(chosen.inventory)))
    action("status", "show each host and what its systemd says", lambda found, _: _print_states(found))
    action("hosts", "print names and addresses", lambda found, _: _print_hosts(found))
    actions.add_parser("down", help="remove all hosts of this lab").set_defaults(run=lambda _: lab.down())
    ssh = action("ssh", "log in to a host, or run a command on it", lambda found, chosen: _enter(lab.ssh_command, found, chosen))
    execute = action("exec", "the same without ssh, for a host that has locked itself", lambda found, chosen: _enter(_exec, found, chosen))
    for entry in (ssh, execute):
        entry.add_argument("host")
        entry.add_argument("command", nargs=argparse.REMAINDER)


def _operating_commands(commands: Subcommands) -> None:
    def command(name: str, purpose: str, run: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=purpose)
        added.add_argument("inventory", type=Path, help="such as inventories/prod")
        added.set_defaults(run=run)
        return added

    def reasoned(added: argparse.ArgumentParser) -> None:
        added.add_argument("--reason", help="why, for the record on the hosts")

    deploy = command(
        "deploy",
        "release what the inventory names, without losing a request",
        lambda chosen: operate.deploy(
            chosen.inventory, chosen.application, reason=chosen.reason, check=chosen.check, force=chosen.force, limit=chosen.limit
        ),
    )
    deploy.add_argument("application", nargs="?", help="one of several; all of them without it")
    reasoned(deploy)
    deploy.add_argument("--check", action="store_true", help="say what would change, and change nothing")
    deploy.add_argument("--force", action="store_true", help="take the turn from a run that is no more")
    deploy.add_argument("--limit", metavar="HOSTS", help="only these hosts")

    back = command(
        "rollback",
        "make the release before live again, without building",
        lambda chosen: operate.rollback(chosen.inventory, chosen.application, chosen.release, reason=chosen.reason),
    )
    back.add_argument("application")
    back.add_argument("release", nargs="?", help="its id, as `slipway releases` shows it; the one before without it")
    reasoned(back)

    shown = command(
        "releases",
        "show what every host has, what is live, and who deployed what",
        lambda chosen: print(operate.releases(chosen.inventory, chosen.application)),
    )
    shown.add_argument("application", nargs="?")

    run = command(
        "exec",
        "run a command as one of the application's units does: slipway exec inventories/prod shop-web@8000 -- python manage.py shell",
        lambda chosen: operate.execute(chosen.inventory, chosen.unit, _own_words(chosen.command), chosen.host),
    )
    run.add_argument("--host", help="where; the first host that has the unit without it")
    run.add_argument("unit", help="such as shop-web@8000")
    run.add_argument("command", nargs=argparse.REMAINDER)

    journal = command(
        "logs",
        "print what an application wrote, on all hosts",
        lambda chosen: operate.logs(
            chosen.inventory, chosen.application, chosen.process, lines=chosen.lines, follow=chosen.follow, host=chosen.host
        ),
    )
    journal.add_argument("application")
    journal.add_argument("process", nargs="?")
    journal.add_argument("--host", help="only there")
    journal.add_argument("--lines", type=int, default=50, help="of each host (default: 50)")
    journal.add_argument("--follow", "-f", action="store_true", help="and what comes")

    closed = command(
        "maintenance",
        "close an application's sites for the public, or open them",
        lambda chosen: operate.maintenance(chosen.inventory, chosen.application, chosen.switch, reason=chosen.reason),
    )
    closed.add_argument("application")
    closed.add_argument("switch", choices=["on", "off"])
    reasoned(closed)


def _own_words(command: Sequence[str]) -> Sequence[str]:
    """A command without the -- in front of it, which argparse keeps (Python 3.11) or not; what comes later is the command's."""
    return command[1:] if command[:1] == ["--"] else command


def _lab_up(inventory: Path) -> None:
    engine.ensure()
    _print_hosts(lab.up(inventory, os.environ))


def _print_hosts(found: lab.Lab) -> None:
    for known in found.hosts:
        print(f"{known.name:<12} {known.address:<16} {known.distribution}")


def _print_states(found: lab.Lab) -> None:
    for known, state in lab.states(found):
        print(f"{known.name:<12} {known.address:<16} {known.distribution:<10} {state}")


def _exec(known: lab.LabHost, command: Sequence[str]) -> list[str]:
    return lab.exec_command(known, command, terminal=sys.stdin.isatty())


def _enter(call: Callable[[lab.LabHost, Sequence[str]], list[str]], found: lab.Lab, chosen: argparse.Namespace) -> None:
    """Become the ssh or docker process: its terminal, signals and exit code are the user's."""
    command = call(found.host(chosen.host), chosen.command)
    os.execvp(command[0], command)


def _init(chosen: argparse.Namespace) -> None:
    answers = init.ask(vars(chosen), input if sys.stdin.isatty() else None)
    address = answers.address
    for line in init.write(chosen.folder, answers):
        print(f"  {line}")
    print(
        f"{chosen.folder} is written, its secrets too (group_vars/all/secrets.yml, yours alone). Look at group_vars/all/main.yml, then:\n"
        f"  ssh-keyscan {address} >> ~/.ssh/known_hosts    # once; compare it with what the provider's console shows\n"
        f"  ansible-playbook playbooks/bootstrap.yml -i {chosen.folder}    # once, as root by key (or --ask-pass)\n"
        f"  ansible-playbook site.yml -i {chosen.folder}"
    )


def _secrets_init(inventory: Path) -> None:
    added = secret_file.init(inventory)
    print(f"{inventory}: made {', '.join(added)}." if added else f"{inventory}: all secrets are there.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors a user can act on end in exit code 1 and one message."""
    chosen = parser().parse_args(arguments)
    try:
        return chosen.run(chosen) or 0
    except SlipwayError as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
