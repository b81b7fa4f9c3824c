"""What site.yml would send to the hosts of inventories/prod: the payload of each role, evaluated and rendered on the controller.

    make rendered                                  what is sent today goes into tests/unit/rendered/prod; read the difference
    python tests/unit/rendered/desired.py FOLDER   the same, there

A process of its own: Ansible's collection loader has to be there before the first import from a collection.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[3]
init_plugin_loader([str(ROOT / ".ansible" / "collections")])

from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.playbook import Playbook  # noqa: E402
from ansible.template import Templar  # noqa: E402
from ansible.vars.hostvars import HostVars  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402
from ansible_collections.slipway.stack.plugins.action.state import ActionModule  # noqa: E402
from ansible_collections.slipway.stack.plugins.module_utils.state import spec  # noqa: E402
from ansible_collections.slipway.stack.plugins.plugin_utils import desired_state  # noqa: E402

# Debian 12 at the edge, 13 behind it, two cores and 4 GiB each.
SYSTEMS = {"edge1": ("bookworm", "12"), "app1": ("trixie", "13"), "app2": ("trixie", "13"), "data1": ("trixie", "13")}
# One host for each role, two where hosts differ.
SHOWN = {
    "firewall": {"edge1", "app1", "data1"},
    "monitoring": {"edge1", "data1"},
    "hardening": {"edge1", "data1"},
    "certificates": {"edge1"},
}
BUILT = {"results": [{"item": "shop", "path": "/opt/shop/releases/0123456789ab", "live": {}, "changed": False}]}
FOUND: dict[str, Any] = {"results": []}


def facts(host: str, address: str) -> dict[str, Any]:
    release, major = SYSTEMS[host]
    system = {"distribution": "Debian", "distribution_release": release, "distribution_version": f"{major}.1"}
    system["distribution_major_version"] = major
    machine = {"memtotal_mb": 4096, "processor_vcpus": 2, "processor_nproc": 2, "devices": {}, "service_mgr": "systemd", "hostname": host}
    network = {"all_ipv4_addresses": [address], "all_ipv6_addresses": []}
    return {**system, **machine, **network, "virtualization_tech_guest": [], "virtualization_type": "NA"}


def secret(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def inventory(folder: Path) -> Path:
    """A copy of inventories/prod with its secrets and its certificate."""
    copy = folder / "prod"
    shutil.copytree(ROOT / "inventories/prod", copy)
    names = [line.split(":")[0] for line in (copy / "secret-names.txt").read_text().splitlines() if line and line[0] not in "#-"]
    (copy / "group_vars/all/vault.yml").write_text(yaml.safe_dump({name: secret(name) for name in [*names, "vault_tls_key"]}))
    (copy / "files").mkdir()
    (copy / "files/api.example.org.pem").write_text("the certificate and its chain\n")
    return copy


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item without what it does not say; long texts as lines."""
    kept = {
        key: value for key, value in item.items() if value not in (None, "", [], {}, False) and key not in ("template_text", "template")
    }
    if "content" in kept:
        kept["content"] = str(kept["content"]).splitlines()
    return kept


def collect(source: Path) -> dict[str, dict[str, Any]]:
    """`role-host` -> section -> items, in the order of the plays."""
    loader = DataLoader()
    loader.set_basedir(str(ROOT / "playbooks"))
    hosts = InventoryManager(loader=loader, sources=[str(source)])
    manager = VariableManager(loader=loader, inventory=hosts)
    manager._hostvars = HostVars(inventory=hosts, variable_manager=manager, loader=loader)
    for host in hosts.get_hosts("all"):
        manager.set_host_facts(host.name, facts(host.name, str(host.vars["private_address"])))
        learned = {
            "slipway_inventory_valid": True,
            "slipway_inventory_checked": True,
            **{f"{role}_built": BUILT for role in ("api", "celery_workers")},
            **{f"{role}_found": FOUND for role in ("api", "celery_workers")},
        }
        manager.set_nonpersistent_facts(host.name, learned)
    found: dict[str, dict[str, Any]] = {}
    sent: set[tuple[str, str, str]] = set()  # a release has plays for the way forth and for the way back
    for play in Playbook.load(str(ROOT / "playbooks/site.yml"), variable_manager=manager, loader=loader).get_plays():
        for task in (task for block in play.compile() for task in tasks_of(block)):
            kind = task.action.rpartition(".")[2]
            if kind not in ("state", "guarded_state") or task.get_vars().get("api_beside"):
                continue  # what runs beside a release is not there at rest
            for host in hosts.get_hosts(str(play.hosts if isinstance(play.hosts, str) else ",".join(play.hosts))):
                role = task._role.get_name().rpartition(".")[2]
                if host.name not in SHOWN.get(role, {hosts.get_hosts(role)[0].name} if role in hosts.groups else set()):
                    continue
                if (role, host.name, str(task.args)) in sent:
                    continue
                sent.add((role, host.name, str(task.args)))
                payload = payload_of(task, kind, manager, play, host, loader)
                for section in desired_state.SECTIONS:
                    items = [plain(item) for item in payload[section]]
                    if items:
                        found.setdefault(f"{role}-{host.name}", {}).setdefault(section, []).extend(items)
    return found


def tasks_of(block: Any) -> list[Any]:
    return [inner for task in block.block for inner in (tasks_of(task) if hasattr(task, "block") else [task])]


def payload_of(task: Any, kind: str, manager: Any, play: Any, host: Any, loader: Any) -> dict[str, Any]:
    """What the action plugin would send."""
    variables = manager.get_vars(play=play, host=host, task=task)
    variables["hostvars"] = manager._hostvars
    variables["ansible_search_path"] = task.get_search_path()
    templar = Templar(loader=loader, variables=variables)
    arguments = task.args["state"] if kind == "guarded_state" else task.args
    shown = SimpleNamespace(args=dict(arguments), _role=task._role, get_search_path=task.get_search_path, async_val=0, action=task.action)
    action = ActionModule(shown, SimpleNamespace(_shell=SimpleNamespace(tmpdir="unused")), None, loader, templar, None)
    payload = spec.normalise(action.wanted(variables))
    for want in payload["files"]:
        action._fill(want, action._effective)
    return dict(payload)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        found = collect(inventory(Path(temporary)))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, sections in found.items():
        (folder / f"{name}.json").write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "prod")
