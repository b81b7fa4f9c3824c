"""The pages of docs/processes: what each shows is a whole inventory of an application, through the validator itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "docs/processes").glob("*.md"))
# The types that each page is about; what runs is what its snippet says.
TYPES = {
    "fastapi": {"asgi"},
    "django": {"wsgi"},
    "celery": {"celery", "celery_beat"},
    "worker": {"command"},
    "timer": {"scheduled"},
}


def snippet(page: Path) -> dict[str, Any]:
    """What the page writes into an inventory; a secret of the vault is a text of its own."""
    (text,) = re.findall(r"(?s)```yaml\n(.*?)```", page.read_text())
    found: dict[str, Any] = yaml.safe_load(re.sub(r"\{\{ (\w+) \}\}", lambda secret: sha256(secret[1].encode()).hexdigest()[:32], text))
    return found


@pytest.fixture(scope="module")
def validator() -> Iterator[subprocess.Popen[str]]:
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections")}
    argv = [sys.executable, str(Path(__file__).with_name("validator.py"))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings}) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def inventory(folder: Path, values: dict[str, Any]) -> Path:
    """One server with the groups that these applications need, and what every inventory has."""
    uses = {entry["to"] for _place, entry in contract.connections_of(values["applications"])}
    roles = {contract.role_of(process) for _name, _label, process in contract.places(values["applications"])}
    groups = {*roles, *({"nginx"} if "api" in roles else {}), *({"redis"} if uses & {"redis_broker", "redis_cache"} else {})}
    groups |= {"postgres", "pgbouncer"} if uses & {"pgbouncer", "postgres"} else set()
    hosts = {"all": {"hosts": {"server1": {"ansible_host": "203.0.113.9"}}}}
    hosts["all"]["children"] = {group: {"hosts": {"server1": {}}} for group in sorted(groups)}
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    key = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    always = {"firewall_admin_sources": ["any"], "hardening_admin_user": "deploy", "hardening_admin_keys": [f"{key} ada@example.org"]}
    passwords = {"postgres_pgbouncer_password": "pgbouncer", "redis_admin_password": "redis"}
    always |= {name: sha256(name.encode()).hexdigest() for name, group in passwords.items() if group in groups}
    if "redis" in groups:
        always["redis_monitoring_password"] = sha256(b"monitoring").hexdigest()
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (folder / "group_vars/all/main.yml").write_text(yaml.safe_dump(always | values))
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_a_whole_inventory(page: Path, tmp_path: Path, validator: subprocess.Popen[str]) -> None:
    values = snippet(page)
    folder = inventory(tmp_path / "mine", values)
    assert validator.stdin and validator.stdout
    for stage in ("files", "inventory"):
        validator.stdin.write(json.dumps([str(folder), stage]) + "\n")
        validator.stdin.flush()
        assert json.loads(validator.stdout.readline()) == ""
    assert {process["type"] for _name, _label, process in contract.places(values["applications"])} == TYPES[page.stem]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_units_and_keys_that_a_page_names_are_those_of_its_snippet(page: Path) -> None:
    text = page.read_text()
    ((name, application),) = contract.filled(snippet(page)["applications"]).items()
    units = set()
    for label, process in application["processes"].items():
        first = process["port"] if contract.role_of(process) == "api" else 1
        numbered = {f"{name}-{label}@{first + number}" for number in range(process["instances"])}
        units |= {f"{name}-{label}"} if process["type"] in ("celery_beat", "scheduled") else numbered
    told = set(re.findall(rf"`({name}-[a-z]+(?:@\d+)?)(?:\.\w+)?`", text))
    assert told, "no unit is named"
    assert told - units == set()
    commands = re.findall(rf"slipway (?:logs \S+ {name} |exec \S+ {name}-)([a-z]+)", text)
    assert set(commands) - set(application["processes"]) == set()


def test_every_type_has_a_page_and_every_page_is_listed() -> None:
    assert {page.stem for page in PAGES} == set(TYPES)
    assert set().union(*TYPES.values()) == {kind for types in contract.ROLES.values() for kind in types}
    listed = set(re.findall(r"\(processes/(\w+)\.md\)", (ROOT / "docs/applications.md").read_text()))
    assert listed == set(TYPES)
    assert "docs/processes" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)", page.read_text()):
        path = page.parent / target
        assert path.is_file(), target
        headings = {
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in path.read_text().splitlines()
            if line.startswith("#")
        }
        assert not anchor or anchor in headings, f"{target}#{anchor}"
