"""ansible-test's validate-modules judges every module: documentation, argument spec, return values, licence.

`ansible-test sanity` would also want a version control root and a virtual environment of its own; its checker runs as well alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ansible_test
import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = Path("ansible_collections/slipway/stack")
INTERNALS = Path(ansible_test.__file__).parent / "_util"
CHECKER = INTERNALS / "controller/sanity/validate-modules"
MODULES = sorted(path.name for path in (ROOT / "plugins/modules").glob("*.py") if path.name != "__init__.py")


def complaints(collections: Path, *modules: str) -> list[str]:
    """What the checker says of modules of the collection below `collections`: 'file: code: message' each."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(CHECKER), str(INTERNALS / "target"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
    }
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    arguments = ["--format", "json", "--arg-spec", "--collection", str(COLLECTION), "--collection-version", version]
    done = subprocess.run(
        [sys.executable, CHECKER / "validate.py", *arguments, *(f"plugins/modules/{module}" for module in modules)],
        cwd=collections / COLLECTION,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3) and not done.stderr, done.stderr
    return [
        f"{Path(file).name}: {error['code']}: {error['msg']}"
        for file, found in json.loads(done.stdout).items()
        for error in found["errors"]
    ]


def test_every_module_is_accepted_by_validate_modules() -> None:
    """In one process: most of its time is its start."""
    found = complaints(ROOT / ".ansible/collections", *MODULES)
    assert not found, "\n".join(found)


def test_a_module_that_documents_another_default_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / COLLECTION
    (copy / "plugins/modules").mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "plugins/module_utils"):
        (copy / name).symlink_to(ROOT / name)
    text = (ROOT / "plugins/modules/state.py").read_text()
    (copy / "plugins/modules/state.py").write_text(text.replace("default: 86400", "default: 86401"))
    assert [line.split(": ")[:2] for line in complaints(tmp_path, "state.py")] == [["state.py", "doc-default-does-not-match-spec"]]
