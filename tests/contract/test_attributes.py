"""Every module says what it promises: check mode, diff, and that a second run changes nothing. Every filter has its page."""

import importlib
import json
import os
import subprocess
from typing import Any

from tests.lab import BIN, ROOT

# What is not full, and why it cannot be, is a decision for each module.
NOT_FULL = {
    "deployment": {"diff_mode": "N/A"},
    "gcp_build": {"idempotent": "partial"},
    "gcp_canary_gate": {"check_mode": "partial", "diff_mode": "N/A"},
    "gcp_project_info": {"diff_mode": "N/A"},
    "gcp_run_job": {"idempotent": "partial"},
    "gcp_run_revision_info": {"diff_mode": "N/A"},
    "gcp_sql_backup": {"idempotent": "partial"},
    "gcp_sql_export": {"idempotent": "partial"},
    "gcp_sql_import": {"idempotent": "none"},
    "gcp_sql_restore": {"idempotent": "none"},
    "gcp_sql_user": {"idempotent": "partial"},
    "release_info": {"diff_mode": "N/A"},
    "release_watch": {"diff_mode": "N/A"},
    "validate_environment": {"diff_mode": "N/A"},
    "validate_inventory": {"diff_mode": "N/A"},
}


def documented(kind: str, names: list[str]) -> dict[str, Any]:
    """What `ansible-doc` says of plugins of the collection: name -> documentation."""
    command = [str(BIN / "ansible-doc"), "--json", "--type", kind, *(f"slipway.stack.{name}" for name in names)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(ROOT / ".ansible")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return {name.removeprefix("slipway.stack."): about["doc"] for name, about in json.loads(done.stdout).items()}


def test_every_filter_has_its_own_page() -> None:
    """Filters of one file would share the page of the first."""
    modules = [f"ansible_collections.slipway.stack.plugins.filter.{path.stem}" for path in (ROOT / "plugins/filter").glob("*.py")]
    names = sorted(name for module in modules for name in importlib.import_module(module).FilterModule().filters())
    assert {name: about["name"] for name, about in documented("filter", names).items()} == {name: name for name in names}


def test_every_module_has_its_attributes() -> None:
    names = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
    found = {name: about.get("attributes", {}) for name, about in documented("module", names).items()}
    full = {"check_mode": "full", "diff_mode": "full", "idempotent": "full"}
    said = {name: {key: attributes.get(key, {}).get("support") for key in full} for name, attributes in found.items()}
    assert said == {name: full | NOT_FULL.get(name, {}) for name in names}
    unexplained = [name for name, values in NOT_FULL.items() for key in values if not found[name][key].get("details")]
    assert unexplained == []
