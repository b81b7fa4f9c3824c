# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module of Google Cloud is in the action group, so that one module_defaults serves them all."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def test_every_module_is_in_the_group() -> None:
    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["gcp"]
    modules = sorted(path.stem for path in (ROOT / "plugins/modules").glob("gcp_*.py"))
    assert group == modules, "the list gcp of meta/runtime.yml is the modules, sorted"
