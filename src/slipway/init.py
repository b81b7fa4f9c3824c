# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`slipway init FOLDER`: asks for what only a person knows, reads the rest from the source, and writes an inventory for one server."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slipway import proposal, secret_file
from slipway.errors import SlipwayError

GROUPS = ("monitoring", "postgres", "pgbouncer", "redis", "backup")
KEYS = ("~/.ssh/id_ed25519.pub", "~/.ssh/id_ecdsa.pub", "~/.ssh/id_rsa.pub")


@dataclass(frozen=True)
class Answers:
    """What only a person knows. `source`: a folder, or the address of a git repository with its folder here in `tree`."""

    name: str
    source: str
    tree: Path
    version: str
    domain: str
    address: str
    admin: str
    key: str
    admin_network: str


QUESTIONS: dict[str, tuple[str, Callable[[Mapping[str, str]], str]]] = {
    "source": ("Where is the application's code? A folder, or the address of a git repository", lambda _: "."),
    "tree": ("A folder with a checkout of it, to read from", lambda given: given["source"] if Path(given["source"]).is_dir() else "."),
    "version": ("Which tag or commit", lambda _: ""),
    "name": ("Its name: account, folder and units are called so", lambda given: _name_from(given["source"])),
    "domain": ("The name that the world calls it by, such as shop.example.org", lambda _: ""),
    "address": ("The server's address", lambda _: ""),
    "admin": ("The account of the administrator that Slipway makes there", lambda _: "deploy"),
    "key": ("Your public ssh key, or its file", lambda _: next((key for key in KEYS if Path(key).expanduser().is_file()), "")),
    "admin_network": ("Your own address or network, which alone may reach ssh; any for everybody", lambda _: "any"),
}


def _name_from(source: str) -> str:
    last = re.sub(r"\.git$", "", source.rstrip("/")).rpartition("/")[2] or "app"
    last = Path(source).resolve().name if last in (".", "..") else last
    return re.sub(r"[^a-z0-9-]+", "-", last.lower()).strip("-") or "app"


def ask(given: Mapping[str, str | None], read: Callable[[str], str] | None) -> Answers:
    """The answers: those given on the command line, else asked for by `read`, else their defaults; `read` is None without a terminal."""
    answers: dict[str, str] = {}
    for name, (question, default_of) in QUESTIONS.items():
        value = given.get(name)
        is_git = not Path(answers.get("source", ".")).is_dir()
        if name in ("tree", "version") and not is_git:
            value = answers["source"] if name == "tree" else ""
        if value is None:
            default = default_of(answers)
            asked = read(f"{question}{f' [{default}]' if default else ''}: ").strip() if read else ""
            value = asked or default
        wrong = problem(name, value, is_git)
        if wrong:
            raise SlipwayError(f"--{name.replace('_', '-')} is {value!r}; allowed: {wrong}")
        answers[name] = value
    key = Path(answers["key"]).expanduser()
    answers["key"] = key.read_text().strip() if key.is_file() else answers["key"]
    tree = Path(answers.pop("tree"))
    return Answers(tree=tree, **answers)


def problem(name: str, value: str, is_git: bool) -> str:
    """What is allowed in place of an answer; empty when it is right."""
    if name == "name" and not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", value):
        return "small letters, digits and -, beginning with a letter"
    if name == "source" and not Path(value).is_dir() and not re.match(r"(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:", value):
        return "a folder that is there, or the address of a git repository"
    if name == "tree" and not Path(value).is_dir():
        return "a folder that is there"
    if name == "version" and is_git and not value:
        return "a tag or a commit of the repository"
    if name == "domain" and not re.fullmatch(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+", value):
        return "a host name in small letters, such as shop.example.org"
    if name == "address":
        return _address_problem(value)
    if name == "key" and not re.match(r"(ssh-|ecdsa-)\S+ \S+", value) and not Path(value).expanduser().is_file():
        return "a public key (ssh-ed25519 AAAA...), or the file that holds it; ssh-keygen -t ed25519 makes one"
    if name == "admin_network" and value != "any":
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return "an address, a network such as 198.51.100.0/24, or any"
    return ""


def _address_problem(value: str) -> str:
    try:
        return "" if not ipaddress.ip_address(value).is_unspecified else "the address of one server"
    except ValueError:
        return "an IPv4 or IPv6 address"


def is_public(domain: str) -> bool:
    """Whether an authority may issue for a name: not for those that are only for examples, tests and networks of one's own."""
    return not f".{domain}".endswith((".test", ".example", ".invalid", ".localhost", ".local", ".lan", ".internal", ".home.arpa"))


def write(folder: Path, answers: Answers) -> list[str]:
    """The inventory's files, its secrets too; returns what was found in the source, a line each."""
    if folder.exists() and any(folder.iterdir()):
        raise SlipwayError(f"{folder} is there already. Choose another folder, or remove it.")
    found = proposal.read(answers.tree)
    source: dict[str, Any] = {"type": "directory", "path": str(answers.tree.resolve())}
    if not Path(answers.source).is_dir():
        source = {"type": "git", "url": answers.source, "version": answers.version}
    above = proposal.workspace(answers.tree)
    if above:
        source["subdirectory"] = str(answers.tree.resolve().relative_to(above))
        if source["type"] == "directory":
            source["path"] = str(above)
    entry = proposal.application(found, answers.name, source)
    if not entry["processes"]:
        raise SlipwayError(
            f"{answers.tree} has no FastAPI, Starlette, Flask, Django or Celery application at the top of a module that could be found. "
            "Write the inventory by hand: cp -r inventories/single, and docs/applications.md"
        )
    if "web" in entry["processes"]:
        entry["domains"] = [{"names": [answers.domain], "tls_mode": "acme" if is_public(answers.domain) else "self_signed"}]
        if found.django:
            # ALLOWED_HOSTS: an instance that is asked by its address answers 400.
            entry["health"]["host"] = answers.domain
            entry["environment"] |= dict.fromkeys(proposal.allowed_hosts(found), answers.domain)
        if "STATIC_ROOT" in entry["environment"]:
            entry["domains"][0]["paths"] = [{"path": "/static/", "static": entry["environment"]["STATIC_ROOT"]}]
    (folder / "group_vars/all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(_hosts(answers, entry["processes"]))
    (folder / "group_vars/all/main.yml").write_text(_variables(answers, entry))
    (folder / secret_file.NAMES).write_text(_secret_names(answers, entry))
    (folder / ".gitignore").write_text(
        "# made by slipway secrets init; or encrypt it with ansible-vault and take this line away\ngroup_vars/all/secrets.yml\n"
    )
    secret_file.init(folder)
    return [*(f"{label}: {_words(process)}" for label, process in entry["processes"].items()), *_notes(found, entry)]


def _words(process: Mapping[str, Any]) -> str:
    return f"{process['type']} {process.get('app', '')}".strip()


def _notes(found: proposal.Found, entry: Mapping[str, Any]) -> list[str]:
    notes = [f"connections: {', '.join(entry.get('connections', {})) or 'none'}", f"health: {entry['health']['ready']}"]
    notes.append(f"migration: {' '.join(entry['migrate']['command'])}" if "migrate" in entry else "migration: none found")
    return [*notes, *(f"to do: {doubt}" for doubt in proposal.doubts(found, dict(entry)))]


def _hosts(answers: Answers, processes: Mapping[str, Any]) -> str:
    host = {"ansible_host": answers.address}
    # A group whose role has nothing to run is a mistake.
    groups = [*(["nginx", "api"] if "web" in processes else []), *(["celery_workers"] if set(processes) - {"web"} else []), *GROUPS]
    content = {
        "all": {
            "vars": {"ansible_user": answers.admin},
            "hosts": {"server1": host},
            "children": {group: {"hosts": {"server1": {}}} for group in groups},
        }
    }
    return "---\n# One server for everything; a second one is a second entry.\n" + yaml.safe_dump(content, sort_keys=False)


def _variables(answers: Answers, entry: Mapping[str, Any]) -> str:
    name = answers.name
    uses = {connection["to"] for connection in entry.get("connections", {}).values()}
    parts: list[tuple[str, dict[str, Any]]] = [("What runs: docs/applications.md", {"applications": {name: dict(entry)}})]
    parts.append(
        (
            "Data",
            {
                "postgres_databases": [{"name": name, "owner": f"{name}_owner", "application_users": [f"{name}_app"]}],
                "postgres_users": [
                    {"name": f"{name}_{kind}", "password": f"{{{{ secret_{_safe(name)}_{kind} }}}}"} for kind in ("owner", "app")
                ],
                "postgres_pgbouncer_password": "{{ secret_pgbouncer }}",
                "pgbouncer_databases": [{"name": name}],
                "pgbouncer_users": [f"{name}_app"],
                "redis_users": [{"name": name, "password": f"{{{{ secret_{_safe(name)}_redis }}}}", "instances": ["broker", "cache"]}],
                "redis_admin_password": "{{ secret_redis_admin }}",
                "redis_monitoring_password": "{{ secret_redis_monitoring }}",
                # One machine shares its memory.
                "postgres_memory_share": 0.25,
                "redis_memory_share": 0.1,
            },
        )
    )
    probe: dict[str, Any] = {"name": name, "url": f"https://{answers.domain}{entry['health']['live']}"}
    if is_public(answers.domain) and "web" in entry["processes"]:
        # The mailbox that a site has by convention (RFC 2142).
        parts.append(
            (
                "Whom the authority of the certificates may write to: take your own address",
                {"certificates_email": f"webmaster@{answers.domain}"},
            )
        )
    else:
        probe["verify_tls"] = False
    probes = {"monitoring_probes": [probe]} if "web" in entry["processes"] else {}
    parts.append(("Monitoring and backups", {**probes, "backup_postgres_databases": [name]}))
    parts.append(
        (
            "The host",
            {
                "firewall_admin_sources": [answers.admin_network],
                "hardening_admin_user": answers.admin,
                "hardening_admin_keys": [answers.key],
            },
        )
    )
    if not any(service.startswith("redis") for service in uses):
        parts[1] = (parts[1][0], {key: value for key, value in parts[1][1].items() if key != "redis_users"})
    return "---\n" + "\n".join(f"# {title}\n{yaml.safe_dump(values, sort_keys=False, width=140)}" for title, values in parts)


def _safe(name: str) -> str:
    return name.replace("-", "_")


def _secret_names(answers: Answers, entry: Mapping[str, Any]) -> str:
    text = _variables(answers, entry)
    names = dict.fromkeys(re.findall(r"secret_[a-z0-9_]+", text))
    head = "---\n# Secrets of this inventory and how many random bytes each has; `slipway secrets init` makes the missing ones.\n"
    return head + "".join(f"{name}: 32\n" for name in names)
