"""The command line of Slipway."""

import argparse
import sys
from collections.abc import Sequence

from slipway import engine, host, image
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

    single = commands.add_parser("host", help="start or remove bare hosts outside the lab (Molecule does)")
    actions = single.add_subparsers(required=True, metavar="ACTION")
    up = actions.add_parser("up", help="start hosts and wait until they have booted")
    up.add_argument("host", nargs="+", metavar="NAME=DISTRIBUTION")
    up.set_defaults(run=lambda chosen: _hosts_up(chosen.host))
    down = actions.add_parser("down", help="remove hosts")
    down.add_argument("host", nargs="*", metavar="NAME")
    down.set_defaults(run=lambda chosen: host.remove(chosen.host))
    return root


def _hosts_up(pairs: Sequence[str]) -> None:
    """Start `NAME=DISTRIBUTION` hosts that do not run yet; one that exists but is stopped is replaced."""
    wanted = dict(pair.split("=", 1) for pair in pairs)
    image.ensure(sorted(set(wanted.values())))
    running = set(engine.run(["ps", "--format", "{{.Names}}"]).split())
    missing = [name for name in wanted if name not in running]
    host.remove(missing)
    host.start([host.Host(container=name, distribution=wanted[name], hostname=name) for name in missing])


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
