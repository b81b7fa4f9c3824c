"""`make test-changed`: the jobs that a change can break, and not many more."""

import subprocess
from pathlib import Path

import pytest

from tests import changed

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = {"lint/mypy", "lint/ruff", "lint/ruff-format", "lint/shellcheck", "lint/yamllint", "unit/unit", "contract/contract"}


@pytest.mark.parametrize(
    ("paths", "more"),
    [
        ([], set()),
        (["README.md", "docs/architecture.md", "tests/unit/test_play.py"], set()),
        (["roles/redis/state/main.yml"], {"molecule/redis", "lint/ansible-lint"}),
        (["molecule/nginx/tests/client.py", "roles/backup/meta/checks.yml"], {"molecule/nginx", "molecule/backup", "lint/ansible-lint"}),
        (["molecule/shared/create.yml"], {"molecule/redis", "molecule/state"}),
        (["molecule/conftest.py"], {"molecule/redis", "molecule/state"}),
        (["plugins/module_utils/state/units.py"], {"molecule/state"}),
        (["plugins/modules/state.py"], {"molecule/state"}),
        (["plugins/action/guarded_state.py"], {"molecule/state"}),
        (["plugins/plugin_utils/desired_state.py"], {"molecule/state"}),
        (["plugins/module_utils/release/build.py"], {"molecule/api", "molecule/celery_workers"}),
        (["plugins/modules/gcp_secret.py"], {"gcp/*", "lint/ansible-lint"}),
        (["plugins/module_utils/gcp/client.py", "tests/gcp_server/world.py"], {"gcp/*", "lint/ansible-lint"}),
        (["playbooks/vars/wiring.yml"], {"e2e/*", "lint/ansible-lint"}),
        (["plugins/filter/wiring.py"], {"e2e/*", "lint/ansible-lint"}),
        (["inventories/single/hosts.yml"], {"faults/single"}),
        (["src/slipway/network.py"], {"molecule/redis", "e2e/*"}),
        (["src/slipway/secret_file.py"], set()),
        (["examples/orders/orders/main.py"], {"example/*"}),
        (["requirements/dev.txt"], {"*"}),
        (["a-file-that-nobody-thought-of"], {"*"}),
    ],
)
def test_a_change_chooses_its_jobs(paths: list[str], more: set[str]) -> None:
    assert set(changed.jobs(paths)) == ALWAYS | more


def test_every_named_job_exists() -> None:
    listed = subprocess.run([ROOT / "tests/run", "--list"], capture_output=True, text=True, check=True).stdout
    known = {"/".join(line.split()) for line in listed.splitlines()}
    layers = {name.split("/")[0] for name in known}
    named = {name for _, names in changed.AFFECTS for name in names if "{" not in name} | set(changed.ALWAYS)
    assert {name for name in named if name.endswith("/*") and name[:-2] not in layers} == set()
    assert {name for name in named if not name.endswith("/*")} - known == set()


def test_only_what_concerns_everything_chooses_everything() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    broad = {path for path in tracked if "*" in changed.jobs([path])}
    assert broad <= {
        "ansible.cfg",
        "pyproject.toml",
        "requirements/run.txt",
        "requirements/dev.txt",
        ".ansible/collections/ansible_collections/slipway/stack",
    }


def test_the_change_is_what_the_trunk_does_not_have(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text("1\n")
        git("add", name)
        git("commit", "--message", name)
    assert changed.paths(tmp_path) == ["three"]
    git("checkout", "-b", "work")
    (tmp_path / "one").write_text("2\n")
    git("commit", "--all", "--message", "change")
    (tmp_path / "two").write_text("2\n")
    (tmp_path / "new").write_text("1\n")
    assert changed.paths(tmp_path) == ["new", "one", "two"]
