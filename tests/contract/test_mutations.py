"""The seeded defects (tests/mutations) still fit the product: replaying them takes long, so this says at once which one to mend."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tests/mutations/run"
ENTRY = {
    "name": "a wrong sum",
    "file": "product.py",
    "before": "1 + 1",
    "after": "1 - 1",
    "test": "python -c 'from product import two; assert two == 2, two'",
    "why": "an example",
}


def load() -> ModuleType:
    """The program as a module: its name has no suffix."""
    loader = SourceFileLoader("mutations_run", str(RUN))
    spec = importlib.util.spec_from_loader("mutations_run", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutations_run"] = module
    loader.exec_module(module)
    return module


MUTATIONS = load()


def test_every_defect_can_be_seeded() -> None:
    found = MUTATIONS.read(ROOT / "tests/mutations")
    assert {one.name: problem for one in found if (problem := one.problem(ROOT))} == {}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of one module, with one list and the program."""
    folder = tmp_path / "tests/mutations"
    folder.mkdir(parents=True)
    (tmp_path / "product.py").write_text("two = 1 + 1\n")
    (tmp_path / ".gitignore").write_text(".venv\n__pycache__\n")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (folder / "run").write_text(RUN.read_text())
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def replay(checkout: Path, *entries: dict[str, str]) -> tuple[int, str]:
    (checkout / "tests/mutations/sums.yml").write_text(yaml.safe_dump(list(entries)))
    done = subprocess.run([sys.executable, checkout / "tests/mutations/run"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_defect_that_a_test_notices_is_caught_and_the_work_tree_is_not_touched(checkout: Path) -> None:
    status, output = replay(checkout, ENTRY)
    assert (status, output.splitlines()[-1]) == (0, "1 of 1 defects caught"), output
    assert "AssertionError: 0" in output
    assert (checkout / "product.py").read_text() == "two = 1 + 1\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"after": "1 * 2"}, "SURVIVED"),
        ({"test": "python -c 'import nothing_of_this_name'"}, "RED BY ITSELF"),
        ({"before": "1 + 2"}, "NOT SEEDED: the text to replace is there 0 times"),
        ({"before": "1"}, "NOT SEEDED: the text to replace is there 2 times"),
        ({"file": "other.py"}, "NOT SEEDED: no such file"),
    ],
)
def test_whatever_proves_nothing_is_an_error(checkout: Path, change: dict[str, str], said: str) -> None:
    status, output = replay(checkout, ENTRY, ENTRY | change | {"name": "another"})
    assert status == 1
    assert said in output
    assert "1 of 2 defects caught" in output


@pytest.mark.parametrize(
    "entry", [{key: ENTRY[key] for key in ENTRY if key != "why"}, ENTRY | {"command": "true"}, ENTRY | {"before": " "}]
)
def test_an_entry_must_have_just_its_fields(tmp_path: Path, entry: dict[str, str]) -> None:
    (tmp_path / "sums.yml").write_text(yaml.safe_dump([entry]))
    with pytest.raises(ValueError, match=r"sums.yml: a wrong sum: missing, unknown or empty: (why|command|before)"):
        MUTATIONS.read(tmp_path)
