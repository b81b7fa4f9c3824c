"""The command line of Slipway."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slipway import engine, image, scenario
from slipway.errors import SlipwayError


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
