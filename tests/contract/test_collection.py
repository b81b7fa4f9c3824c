"""The built collection is complete and holds nothing that is not the project's; every inventory parses with it."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.lab import BIN, ROOT


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as `ansible-galaxy collection build` makes it."""
    folder = tmp_path_factory.mktemp("built")
    command = [str(BIN / "ansible-galaxy"), "collection", "build", str(ROOT), "--output-path", str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")})
    (found,) = folder.glob("slipway-stack-*.tar.gz")
    return found


@pytest.fixture(scope="session")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection installed into an empty path; returns its folder."""
    path = tmp_path_factory.mktemp("collections")
    command = [str(BIN / "ansible-galaxy"), "collection", "install", "--offline", "--force", str(archive), "-p", str(path)]
    subprocess.run(command, check=True, capture_output=True, cwd=path)
    return path / "ansible_collections/slipway/stack"


def test_the_archive_holds_the_collection_and_no_leftovers(archive: Path) -> None:
    with tarfile.open(archive) as built:
        names = built.getnames()
    for wanted in (
        "site.yml",
        "playbooks/vars/wiring.yml",
        "roles/redis/tasks/main.yml",
        "plugins/modules/state.py",
        "plugins/action/state.py",
    ):
        assert wanted in names
    unwanted = (".venv/", ".slipway/", ".ansible/", "tests/", "molecule/", ".git/")
    assert [
        name for name in names if name.startswith(unwanted) or name.endswith("group_vars/all/secrets.yml") or "__pycache__" in name
    ] == []


@pytest.mark.parametrize("inventory", ["lab", "single", "prod"])
@pytest.mark.parametrize("home", ["checkout", "collection"])
def test_site_parses_with_every_inventory(inventory: str, home: str, installed: Path, tmp_path: Path) -> None:
    """From the checkout, and from a collection installed into an empty path."""
    top = ROOT if home == "checkout" else installed
    collections = ROOT / ".ansible/collections" if home == "checkout" else installed.parents[2]
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    command = [str(BIN / "ansible-playbook"), str(top / "site.yml"), "-i", str(ROOT / "inventories" / inventory), "--syntax-check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_an_installed_collection_offers_its_site_by_name(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2]),
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
    }
    command = [str(BIN / "ansible-playbook"), "slipway.stack.site", "-i", str(ROOT / "inventories/single"), "--syntax-check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_every_playbook_of_site_refuses_bad_input_first() -> None:
    """Each also runs alone; a playbook that does not begin with validate.yml would take any value."""
    playbooks = ["base.yml", "data.yml", "app.yml", "edge.yml", "monitoring.yml", "backup.yml"]
    root = [play["ansible.builtin.import_playbook"] for play in yaml.safe_load((ROOT / "site.yml").read_text())]
    assert root == ["playbooks/site.yml"]
    imported = [play["ansible.builtin.import_playbook"] for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text())]
    assert imported == ["validate.yml", *playbooks]
    first = {name: yaml.safe_load((ROOT / "playbooks" / name).read_text())[0].get("ansible.builtin.import_playbook") for name in playbooks}
    assert first == dict.fromkeys(playbooks, "validate.yml")


def test_every_source_file_names_its_licence_in_one_form() -> None:
    licence = [
        "# SPDX-License-Identifier: GPL-3.0-or-later",
        "# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)",
    ]
    wrong = []
    for path in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "src").rglob("*.py")]:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#!")]
        if lines and lines[:2] != licence:
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_the_fragments_of_the_changelog_can_be_read() -> None:
    done = subprocess.run([str(BIN / "antsibull-changelog"), "lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert list((ROOT / "changelogs/fragments").glob("*.yml"))


def test_the_archive_ships_these_folders_and_no_others(archive: Path) -> None:
    with tarfile.open(archive) as built:
        tops = {name.split("/")[0] for name in built.getnames()}
    files = {"CHANGELOG.md", "COPYING", "FILES.json", "MANIFEST.json", "README.md", "SECURITY.md", "requirements.yml", "site.yml"}
    assert tops == files | {"changelogs", "docs", "inventories", "meta", "playbooks", "plugins", "roles"}


def test_the_execution_environment_installs_what_running_needs() -> None:
    """All that pyproject.toml wants for running and that a module or an action plugin imports on the controller."""
    path = ROOT / "meta/execution-environment.yml"
    about = yaml.safe_load(path.read_text())
    assert about["version"] == 3
    wanted = about["dependencies"]
    assert (path.parent / wanted["galaxy"]).resolve() == ROOT / "requirements.yml"
    names = [line.split(">")[0].lower() for line in wanted["python"]]
    assert sorted(names) == ["google-auth", "google-crc32c", "pathspec", "pyyaml", "requests"]
