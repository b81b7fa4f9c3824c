"""Every module says what it promises: check mode, diff, and that a second run changes nothing."""

import json
import os
import subprocess

from tests.lab import BIN, ROOT

# What is not full, and why it cannot be, is a decision for each module.
NOT_FULL = {
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
    "validate_environment": {"diff_mode": "N/A"},
    "validate_inventory": {"diff_mode": "N/A"},
}


def test_every_module_has_its_attributes() -> None:
    names = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
    command = [str(BIN / "ansible-doc"), "--json", "--type", "module", *(f"slipway.stack.{name}" for name in names)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(ROOT / ".ansible")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = {name.removeprefix("slipway.stack."): about["doc"].get("attributes", {}) for name, about in json.loads(done.stdout).items()}
    full = {"check_mode": "full", "diff_mode": "full", "idempotent": "full"}
    said = {name: {key: attributes.get(key, {}).get("support") for key in full} for name, attributes in found.items()}
    assert said == {name: full | NOT_FULL.get(name, {}) for name in names}
    unexplained = [name for name, values in NOT_FULL.items() for key in values if not found[name][key].get("details")]
    assert unexplained == []
