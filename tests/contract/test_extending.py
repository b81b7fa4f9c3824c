"""Each page of docs/extending is done once, in a copy of the checkout: its commands run as they stand."""

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from slipway import new
from slipway.errors import SlipwayError
from tests.lab import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files of this checkout that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name, follow_symlinks=False)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def commands(page: str) -> list[str]:
    """The shell blocks of a page, without their indentation."""
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```$", (ROOT / "docs/extending" / page).read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def run(copy: Path, script: str) -> subprocess.CompletedProcess[str]:
    """One script in the copy, with the copy's own driver."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(copy / "src"),
        "ANSIBLE_CONFIG": str(copy / "ansible.cfg"),
    }
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


# Page -> for each command but the last, what is said when just that one is forgotten.
PAGES = {
    "add-a-role.md": {0: "FAILED", 1: "test_is_wired_into_site[greeter]", 2: "test_the_roles_of_the_plan_are_here"},
    "add-an-input.md": {
        0: "test_every_input_is_specified_once[redis]",
        1: "test_every_input_is_specified_once[redis]",
        3: "test_every_input_reaches_the_host[redis]",
    },
}

FORGOTTEN = [(page, number, said) for page, steps in PAGES.items() for number, said in steps.items()]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_true(copy: Path, page: str) -> None:
    done = run(copy, "\n".join(commands(page)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(("page", "number", "said"), FORGOTTEN)
def test_a_forgotten_step_is_noticed(copy: Path, page: str, number: int, said: str) -> None:
    steps = commands(page)
    done = run(copy, "\n".join([*steps[:number], *steps[number + 1 :]]))
    assert done.returncode != 0
    assert said in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Greeter", "'Greeter' is no name for a role. Allowed: small letters, digits, single underscores"),
        ("../greeter", "is no name for a role"),
        ("2fast", "is no name for a role"),
        ("", "is no name for a role"),
        ("vault_agent", "'vault_agent': names that begin with ansible, own, secret, slipway, vault, wiring belong to"),
        ("redis", "'redis' is taken: roles/redis is there already."),
        ("state", "'state' is taken: molecule/state is there already."),
    ],
)
def test_a_bad_or_taken_name_is_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "roles/redis").mkdir(parents=True)
    (tmp_path / "molecule/state").mkdir(parents=True)
    with pytest.raises(SlipwayError) as refused:
        new.role(tmp_path, name)
    assert said in str(refused.value)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["molecule", "molecule/state", "roles", "roles/redis"]


def test_the_command_tells_what_is_left(copy: Path) -> None:
    done = run(copy, "slipway new role greeter")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  1. A play in one of playbooks/*.yml that gives the group greeter the role slipway.stack.greeter." in done.stdout.splitlines()
    again = run(copy, "slipway new role greeter")
    assert (again.returncode, again.stderr) == (1, "slipway: 'greeter' is taken: roles/greeter is there already.\n")
