# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of one Molecule scenario."""

import json
from collections.abc import Sequence
from pathlib import Path

from slipway import checkout, engine, host, image
from slipway.errors import SlipwayError

LABEL = "slipway.scenario"


def distribution(platform: str) -> str:
    """The distribution that a platform's name ends in: `app-debian13` -> `debian13`."""
    for known in image.RELEASES:
        if platform.endswith(known):
            return known
    raise SlipwayError(f"Platform {platform!r} does not end in a distribution. Allowed endings: {', '.join(image.RELEASES)}.")


def up(scenario: str, platforms: Sequence[str], target: Path) -> None:
    """Start the hosts that do not run yet; write `{platform: {container, address}}` to `target` as JSON."""
    key = f"{checkout.lab_id()}-{scenario}"
    containers = {platform: f"slipway-{key}-{platform}" for platform in platforms}
    image.ensure(sorted({distribution(platform) for platform in platforms}))
    running = set(engine.run(["ps", "--filter", f"label={LABEL}={key}", "--format", "{{.Names}}"]).split())
    missing = [platform for platform, container in containers.items() if container not in running]
    host.remove([containers[platform] for platform in missing])
    host.start([host.Host(containers[name], distribution(name), hostname=name, labels={LABEL: key}) for name in missing])
    found = {platform: {"container": container, "address": host.address(container)} for platform, container in containers.items()}
    target.write_text(json.dumps(found, indent=2) + "\n")


def down(scenario: str) -> None:
    """Remove every host of the scenario, also one that its platforms no longer name."""
    key = f"{checkout.lab_id()}-{scenario}"
    host.remove(engine.run(["ps", "--all", "--quiet", "--filter", f"label={LABEL}={key}"]).split())
