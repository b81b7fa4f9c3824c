"""The production example with mistakes in it, through the validator itself: one message with all of them, each with its line."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[3]
SECRET = "kJ8vQ2xR5tN9wL4mB7zC"
Validate = Callable[..., list[str]]


def certificate() -> tuple[str, str]:
    """A self-signed certificate for api.example.org, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.example.org")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("api.example.org")]), False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), pem


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example whose secrets, certificate and administrator's key are real."""
    target = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventories" / "prod", target)
    names = re.findall(r"(?m)^([a-z_]+):", (target / "secret-names.txt").read_text())
    chain, key = certificate()
    (target / "files").mkdir()
    (target / "files" / "api.example.org.pem").write_text(chain)
    vault = {name: f"{SECRET}{number}" for number, name in enumerate(names)} | {"vault_tls_key": key}
    (target / "group_vars/all/vault.yml").write_text(yaml.safe_dump(vault))
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    change(target, {"hardening_admin_keys": [f"{line} alice@example.org"]})
    monkeypatch.chdir(tmp_path)
    return target


def change(target: Path, values: dict[str, Any]) -> None:
    """Other values for variables of the group all: the lines that were there go, those at the end are new."""
    main = target / "group_vars/all/main.yml"
    blocks = re.split(r"(?m)^(?=[a-zA-Z_]\w*:)", main.read_text())
    kept = [block for block in blocks if block.split(":")[0] not in values]
    main.write_text("".join(kept) + "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items()))


@pytest.fixture(scope="module")
def validate() -> Iterator[Validate]:
    """The sentences that the validator says of an inventory; empty when it accepts."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
    }
    argv = [sys.executable, str(Path(__file__).with_name("validator.py"))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin and process.stdout

        def run(source: Path, stage: str = "inventory") -> list[str]:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps([str(source), stage]) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            return [line.removeprefix("- ") for line in answer.splitlines()[1:]]

        yield run
        process.stdin.close()


def test_the_example_with_its_secrets_passes(folder: Path, validate: Validate) -> None:
    assert validate(folder, "files") == []
    assert validate(folder) == []


MISTAKES: list[tuple[str, Any, str]] = [
    ("redis_instancs", 1, "redis_instancs is a name that no role knows; allowed: did you mean redis_instances?"),
    ("redis_broker_port", 99999, "redis_broker_port of data1 is '99999'; allowed: a port from 1 to 65535"),
    ("backup_remote_path", "s3:bucket/shop", "backup_remote_config is empty while the other one is given (backup_remote_path)"),
    ("postgres_port", 70000, "postgres_port is 70000; allowed: a port from 1 to 65535"),
    ("postgres_settings", {"work_memm": "1MB", "log_destination": None}, "postgres_settings.work_memm is a name that PostgreSQL"),
    ("backup_directory", "/var", "backup_directory is '/var'; allowed: a folder of its own"),
    ("backup_schedule", "0 2 * * *", "backup_schedule is '0 2 * * *'; allowed: systemd's calendar form"),
    ("nginx_client_max_body_size", "10MB", "nginx_client_max_body_size is '10MB'; allowed: a number with k, m or g"),
    ("nginx_internal_paths", None, "nginx_internal_paths is empty (null); allowed: a list of texts (remove the line for the default)"),
    ("monitoring_alert_error_ratio", 5, "monitoring_alert_error_ratio is 5; allowed: a part of 1"),
    ("hardening_sysctl", {"net.ipv4.ip_forward": True}, "hardening_sysctl['net.ipv4.ip_forward'] is true; allowed: a number"),
    ("firewall_admin_sources", ["198.51.100.0/33"], "firewall_admin_sources[0] is '198.51.100.0/33'; allowed: an address or a network"),
    ("postgres_log_min_duration", "250ms", "postgres_log_min_duration is '250ms'; allowed: a whole number"),
    ("redis_admin_password", "abcdefghijklmnopqrs", "redis_admin_password is a secret that repeats itself or counts"),
    ("redis_users", [f"shop:{SECRET}"], "redis_users[0] is a secret value (not shown); allowed: a mapping"),
    ("wiring_extra_services", {"admin": {"group": "api", "port": 9900, "count": "two"}},
     "wiring_extra_services.admin.count is 'two'; allowed: a whole number of at least 1"),
]  # fmt: skip


def test_all_mistakes_in_one_message_with_their_lines(folder: Path, validate: Validate) -> None:
    change(folder, {name: value for name, value, _sentence in MISTAKES})
    lines = (folder / "group_vars/all/main.yml").read_text().splitlines()
    told = validate(folder)
    for name, _value, sentence in MISTAKES:
        found = [line for line in told if line.startswith(sentence)]
        number = next(number for number, line in enumerate(lines, 1) if line.startswith(f"{name}:"))
        assert len(found) == 1, f"{sentence!r} is said {len(found)} times of\n" + "\n".join(told)
        assert f"[inventory/group_vars/all/main.yml:{number}]" in found[0]
    assert [line for line in told if "not to be resolved" in line or "postgres_port of" in line] == []  # what only follows is not told
    assert [line for line in told if "postgres_settings.log_destination is empty (null)" in line] != []
    assert SECRET not in "".join(told)


APPLICATION_MISTAKES = [
    ("version: v1.4.2", "version: [1.4.2]", "source.version is ['1.4.2']; allowed: text"),
    ("to: pgbouncer", "to: pgbouncr", "connections.DATABASE_URL.to is 'pgbouncr'; allowed: pgbouncer, postgres"),
    ("pool: {size: 5, overflow: 5}", "pool: {size: 0, overflow: 5}", "connections.DATABASE_URL.pool.size is 0; allowed: at least 1"),
    ("LOG_LEVEL: WARNING", "PORT: WARNING", "environment: the name 'PORT' is 'PORT'; allowed: a name of the"),
    ("secrets: {}", "directories: [{path: /etc}]", "directories[0].path is '/etc'; allowed: a folder of its own"),
    ("instances: 2, workers: 1", "instances: two, workers: 0", "processes.web.instances is 'two'; allowed: a whole number"),
    ("workers: 1", "", "processes.web.workers is 0; allowed: at least 1"),
    ("concurrency: 4, memory_max: 1G", "concurency: 4, memory_max: 512", "processes.default.concurency is an unknown key; allowed: did"),
    ("memory_max: 512", "", "processes.default.memory_max is 512; allowed: text in quotes"),
    ("queues: [reports]", "queues: []", "processes.reports.queues is []; allowed: the names of the queues"),
]


def test_mistakes_in_an_application_are_told_with_their_own_lines(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    text = main.read_text()
    for old, new, _sentence in APPLICATION_MISTAKES:
        assert not new or text.count(old) == 1, old
        text = text.replace(old, new) if new else text
    main.write_text(text)
    told = validate(folder)
    lines = text.splitlines()
    for old, new, sentence in APPLICATION_MISTAKES:
        number = next(number for number, line in enumerate(lines, 1) if (new or old.replace(": 1", ": 0")) in line)
        (found,) = [line for line in told if line.startswith(f"applications.shop.{sentence}")] or [f"not said: {sentence}"]
        assert f"[inventory/group_vars/all/main.yml:{number}]" in found, "\n".join([found, *told])
    assert len(told) == len(APPLICATION_MISTAKES), "\n".join(told)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "user: shop_app\n",
            "user: shop_ap\n",
            "connections.DATABASE_URL.user is 'shop_ap'; allowed: did you mean shop_app? a name in postgres_users: shop_owner, shop_app",
        ),
        (
            "database: shop\n        scheme",
            "database: shopp\n        scheme",
            "connections.DATABASE_URL.database is 'shopp'; allowed: did you mean shop? a name in postgres_databases: shop",
        ),
        (
            "{to: redis_cache, user: shop}",
            "{to: redis_cache, user: shops}",
            "connections.REDIS_CACHE_URL.user is 'shops'; allowed: did you mean shop? a name in redis_users: shop",
        ),
        (
            'app: "shop.main:app", instances',
            'app: "shop.main:app", hosts: apis, instances',
            "processes.web.hosts is 'apis'; allowed: did you mean api? a group of this inventory with a host",
        ),
        (
            "workers: 1}",
            "workers: 1, port: 6432}\n      other: {type: asgi, app: 'a:b', port: 6433}",
            "processes.other.port of app1 is 6433, which shop-web has taken",
        ),
        ("type: git", "type: directory", "source.path is missing; allowed: the path of a source of type directory"),
    ],
)
def test_what_an_application_names_is_there(old: str, new: str, sentence: str, folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    assert main.read_text().count(old) == 1
    main.write_text(main.read_text().replace(old, new))
    told = validate(folder)
    assert [line for line in told if line.startswith(f"applications.shop.{sentence}") and "main.yml:" in line], "\n".join(told)


def test_a_mistake_that_nginx_finds_in_a_domain_is_told_of_the_domain(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    text = main.read_text().replace("names: [api.example.org]", "names: [api.example.org, api.example.org]")
    main.write_text(re.sub(r"(?m)^        tls_key: .*$", "\\g<0>\n        client_max_body_size: 10MB", text))
    line = next(number for number, said in enumerate(main.read_text().splitlines(), 1) if "client_max_body_size" in said)
    told = validate(folder)
    assert [said.partition(" (")[0] for said in told if "client_max" in said] == [
        "applications.shop.domains[0].client_max_body_size is '10MB'; allowed: a number with k, m or g, such as 10m"
        f" [inventory/group_vars/all/main.yml:{line}]"
    ], "\n".join(told)
    (twice,) = [said for said in told if "names[1]" in said]
    assert twice.startswith("applications.shop.domains[0].names[1] is 'api.example.org', which applications.shop.domains[0].names[0] has;")


def test_the_key_of_a_certificate_is_not_shown(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    for wrong in (f"[{SECRET}]", f"{{key: {SECRET}}}", SECRET):
        main.write_text(re.sub(r"(?m)^        tls_key: .*$", f"        tls_key: {wrong}", main.read_text()))
        told = validate(folder)
        assert [line for line in told if line.startswith("applications.shop.domains[0].tls_key is ")], "\n".join(told)
        assert SECRET not in "".join(told)


def test_an_inventory_of_an_earlier_version_is_told_what_to_write(folder: Path, validate: Validate) -> None:
    edge = {"nginx_server_names": ["api.example.org"], "nginx_upstreams": ["192.0.2.1:8000"]}
    edge |= {"nginx_tls_certificate": "x", "nginx_tls_key": SECRET}
    change(folder, {"api_instances": 2, "celery_workers_queues": [{"name": "default"}], "api_database_pool_size": 5, **edge})
    told = validate(folder)
    lines = (folder / "group_vars/all/main.yml").read_text().splitlines()
    for line in told:
        number = next(number for number, said in enumerate(lines, 1) if said.startswith(f"{line.split()[0]}:"))
        assert f"[inventory/group_vars/all/main.yml:{number}]" in line
    assert SECRET not in "".join(told)
    assert [line.partition(" [inventory")[0] for line in told] == [
        "api_instances is a name of an earlier version; allowed: applications.NAME.processes.web.instances (docs/applications.md)",
        "celery_workers_queues is a name of an earlier version; allowed: a process of type celery for each entry:"
        " applications.NAME.processes.WORKER: {type: celery, app: ...} (docs/applications.md)",
        "api_database_pool_size is a name of an earlier version; allowed: applications.NAME.connections.DATABASE_URL.pool.size, with"
        " size_variable for the application (docs/applications.md)",
        "nginx_server_names is a name of an earlier version; allowed: applications.NAME.domains: [{names: [...]}] (docs/applications.md)",
        "nginx_upstreams is a name of an earlier version; allowed: nothing: the instances of applications.NAME.domains[].process, by"
        " default the first that answers requests (docs/applications.md)",
        "nginx_tls_certificate is a name of an earlier version; allowed:"
        " applications.NAME.domains: [{names: [...], tls_certificate: ...}] (docs/applications.md)",
        "nginx_tls_key is a name of an earlier version; allowed: applications.NAME.domains: [{names: [...], tls_key: ...}]"
        " (docs/applications.md)",
    ]


def test_an_entry_that_is_not_to_be_resolved_is_told_by_its_place(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    main.write_text(main.read_text().replace("LOG_LEVEL: WARNING", 'LOG_LEVEL: "{{ own_levl }}"'))
    (told,) = validate(folder)
    assert told.startswith("applications.shop.environment.LOG_LEVEL is not to be resolved: 'own_levl' is undefined"), told
    line = next(number for number, said in enumerate(main.read_text().splitlines(), 1) if "own_levl" in said)
    assert f"main.yml:{line}]" in told


def test_a_missing_database_and_one_without_users(folder: Path, validate: Validate) -> None:
    change(folder, {"postgres_users": None})
    told = validate(folder)
    assert [line for line in told if line.startswith("postgres_users is empty;")] != [], told
    assert [line for line in told if line.startswith("applications")] == []
    hosts = folder / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("    postgres:", "    postgresql:"))
    told = validate(folder)
    assert [line for line in told if line.startswith("group postgresql is the name of no role; allowed: did you mean postgres?")] != [], (
        told
    )


def test_a_group_without_a_host_is_not_proposed(folder: Path, validate: Validate) -> None:
    hosts = folder / "hosts.yml"
    hosts.write_text(re.sub(r"(    api: .*?\n)(.*\n){3}", r"\1", hosts.read_text()))
    (told,) = [line for line in validate(folder) if line.startswith("applications.shop.processes.web.hosts")]
    assert told.startswith("applications.shop.processes.web.hosts is 'api'; allowed: a group of this inventory with a host"), told


def test_hosts_without_an_application(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    main.write_text(re.sub(r"(?ms)^applications:.*?(?=^celery_workers_flower)", "", main.read_text()))
    told = validate(folder)
    assert [line.partition(" [")[0] for line in told] == [
        "applications is missing; allowed: at least one, for the hosts of the group api",
        "applications is missing; allowed: at least one, for the hosts of the group celery_workers",
        "applications is missing; allowed: at least one, for the hosts of the group nginx",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ansible_usr: operator", "ansible_usr is a name that Ansible does not know; allowed: did you mean ansible_user?"),
        ("ansible_port: abc", "ansible_port is 'abc'; allowed: a port from 1 to 65535"),
        ("ansible_host:", "ansible_host is empty (null); allowed: a host"),
        ("private_address: 10.20.0", "private_address of edge1 is '10.20.0'; allowed: an IPv4 or IPv6 address"),
        ("private_address: 127.0.0.1", "private_address of edge1 is '127.0.0.1', which only the host itself reaches"),
    ],
)
def test_of_one_host(line: str, sentence: str, folder: Path, validate: Validate) -> None:
    name = line.split(":")[0]
    text = re.sub(rf"(?m)^(\s+edge1:.*?){name}: [^,}}]+(, )?", r"\1", (folder / "hosts.yml").read_text())
    (folder / "hosts.yml").write_text(text)
    (folder / "host_vars").mkdir()
    (folder / "host_vars/edge1.yml").write_text(f"---\n{line}\n")
    told = validate(folder)
    assert [said for said in told if said.startswith(sentence) and "inventory/host_vars/edge1.yml:2" in said] != [], told


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("group_vars/apis.yml", "---\nredis_port: 8001\n", "group_vars/apis.yml is for the group 'apis', which the inventory does not have;"
         " allowed: did you mean api? a file for a group that is there [inventory/group_vars/apis.yml:1]"),
        ("host_vars/edge9.yml", "---\n{}\n", "host_vars/edge9.yml is for the host 'edge9', which the inventory does not have;"
         " allowed: did you mean edge1? a file for a host that is there [inventory/host_vars/edge9.yml:1]"),
        ("group_vars/all.yml", "---\nredis_port: 8001\n", "group_vars/all.yml is never read: inventory/group_vars/all is taken for the"
         " same name; allowed: one file, or a folder all/ [inventory/group_vars/all.yml:1]"),
        ("group_vars/all/old.yml", "---\napplications: {}\n", "applications is given twice, in inventory/group_vars/all/main.yml:8 and in"
         " another file of the same group; allowed: one of them [inventory/group_vars/all/old.yml:2]"),
        ("group_vars/api.yml", "---\napi_port: 1\napi_port: 2\n", "api_port is given twice, in line 2 and again; allowed: one of them"
         " [inventory/group_vars/api.yml:3]"),
        ("hosts.yml", "all: {hosts: {a: {x: 1} b: {}}}\n", "inventory/hosts.yml is not to be read: did not find expected ',' or '}';"
         " allowed: YAML [inventory/hosts.yml:1]"),
    ],
)  # fmt: skip
def test_files(file: str, content: str, sentence: str, folder: Path, validate: Validate) -> None:
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(content)
    told = validate(folder, "files") or validate(folder)  # with everything else, unless there are no hosts to say it of
    assert told.count(sentence) == 1, "\n".join(told)


def test_an_inventory_that_is_not_there(folder: Path, validate: Validate) -> None:
    shutil.rmtree(folder)
    assert validate(folder, "files") == [f"inventory is '{folder}'; allowed: a folder with hosts.yml, or a file, that is there"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"nginx_security_headers": "PASSWORD={{ vault_redis_admin }}"},
            "nginx_security_headers is 'PASSWORD=(secret)'; allowed: a mapping",
        ),
        (
            {"postgres_users": [{"name": "{{ vault_shop_app }}", "password": "shop_app"}]},
            "postgres_users[0].name is '(secret)'; allowed: small",
        ),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(values: dict[str, Any], sentence: str, folder: Path, validate: Validate) -> None:
    change(folder, values)
    told = validate(folder)
    assert [line for line in told if line.startswith(sentence)] != [], told
    assert SECRET not in "".join(told)


def test_backups_of_a_group_that_is_empty(folder: Path, validate: Validate) -> None:
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    del hosts["all"]["children"]["backup"]
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (told,) = validate(folder)
    assert told.startswith("backup_postgres_databases is set, but the group backup has no host; allowed: a host in the group backup")


def test_a_quoted_number_in_an_application_is_the_number(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    main.write_text(main.read_text().replace("instances: 2, workers: 1", 'instances: "2", workers: "1"').replace("size: 5", 'size: "5"'))
    assert validate(folder) == []
    main.write_text(main.read_text().replace('instances: "2", workers: "1"', 'instances: "2", workers: "100"'))
    told = validate(folder)
    assert [line for line in told if line.startswith("pgbouncer_max_client_conn is ")] != [], told


def test_a_celery_process_without_a_broker(folder: Path, validate: Validate) -> None:
    main = folder / "group_vars/all/main.yml"
    main.write_text(re.sub(r"(?m)^      (REDIS_CACHE|CELERY_BROKER)_URL: .*\n", "", main.read_text()))
    (told,) = validate(folder)
    assert told.startswith("applications.shop.connections is without a broker, while default is a process of Celery; allowed: one"), told
    line = next(number for number, said in enumerate(main.read_text().splitlines(), 1) if said.startswith("    connections:"))
    assert told.endswith(f"[inventory/group_vars/all/main.yml:{line}]")
    main.write_text(main.read_text().replace("LOG_LEVEL: WARNING", "BROKER_URL: memory://"))
    assert validate(folder) == []


def test_what_a_playbook_needs_is_asked_with_the_rest(folder: Path) -> None:
    change(folder, {"redis_prot": 1})
    argv = [Path(sys.executable).with_name("ansible-playbook"), ROOT / "playbooks/maintenance.yml", "-i", folder]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections"),
    }
    argv += ["-e", "maintenance_application=shp"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    told = re.search(r"(?s)The inventory has 3 problems; no host was touched.\n(.*?)\nOrigin", done.stdout + done.stderr)
    assert told, done.stdout + done.stderr
    assert "- redis_prot is a name" in told[1]
    assert "- maintenance_application is 'shp'; allowed: an application: shop; did you mean shop?" in told[1]
    assert (
        "- maintenance is missing; allowed: text: For playbooks/maintenance.yml, whether its sites are closed [CLI option '-e']" in told[1]
    )


@pytest.mark.parametrize(
    ("expression", "reason", "allowed"),
    [
        ("{{ own_nothing }}", "'own_nothing' is undefined", "variables that exist"),
        ("{{ 1 // 0 }}", "division", "an expression that gives a value"),
        ("{{ (3 }}", "Syntax error", "a template with as many }} as {{"),
        ("{{ lookup('ansible.builtin.file', '/nonexistent') }}", "The lookup plugin", "a lookup that finds what it looks for"),
        ("{{ own_loop }}", "ecurs", "an expression that gives a value"),
    ],
)
def test_why_a_template_gives_nothing(expression: str, reason: str, allowed: str, folder: Path, validate: Validate) -> None:
    change(folder, {"own_loop": "{{ own_loop }}", "postgres_max_connections": expression})
    told = [line for line in validate(folder) if line.startswith("postgres_max_connections is not to be resolved: ")]
    assert len(told) == 1 and reason in told[0] and f"; allowed: {allowed}" in told[0], told
    assert "main.yml:" in told[0]
