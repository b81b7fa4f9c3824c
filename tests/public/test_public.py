"""Three applications that nobody here wrote, and examples/orders, side by side on one server, by variables alone (`make public`).

Their descriptions are those of the contract's own tests. They come from PyPI, Debian's archive and npm's registry, and need nothing else
of the internet (pretalx asks its makers for a newer version, whatever they answer). This takes about eight minutes and is no part of
`make test`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.lab import ROOT, Run, Site, eventually, request, slipway

CONTRACTS = ROOT / "tests/unit/applications/contracts"
NAMES = ("orders", "pretalx", "prefect", "patchman")
HOST = "server1"


def described(name: str) -> dict[str, Any]:
    """An application's description, with the secrets of this test and paths that start anywhere."""
    text = re.sub(r"\{\{ (\w+) \}\}", r"only-for-this-test-\1-5c1e9b0d", (CONTRACTS / f"{name}.yml").read_text())
    text = text.replace("path: examples/", f"path: {ROOT}/examples/").replace("source: tests/", f"source: {ROOT}/tests/")
    found: dict[str, Any] = yaml.safe_load(text)["applications"]
    return found


def accounts(name: str) -> dict[str, list[Any]]:
    """The accounts that an application's description names, by variable: in an inventory each of them is a line."""
    owner, user = ("orders_owner", "orders_app") if name == "orders" else (name, name)
    pooled = any(entry["to"] == "pgbouncer" for entry in described(name)[name]["connections"].values())

    def password(account: str) -> str:
        return f"only-for-this-test-{account}-7f3a2c4e"

    return {
        "postgres_databases": [{"name": name, "owner": owner} | ({"application_users": [user]} if user != owner else {})],
        "postgres_users": [{"name": account, "password": password(account)} for account in dict.fromkeys([owner, user])],
        "pgbouncer_databases": [{"name": name}] if pooled else [],
        "pgbouncer_users": [user] if pooled else [],
        "redis_users": [{"name": name, "password": password(name), "instances": ["broker", "cache"]}],
    }


# What four applications on one server need beyond the defaults.
SHARED = {"postgres_max_connections": 200, "pgbouncer_default_pool_size": 10}


def variables() -> dict[str, Any]:
    """What the inventory `single` gets in place of its own application: the applications, and the accounts that they name."""
    found: dict[str, Any] = {"applications": {}, **SHARED}
    for name in NAMES:
        found["applications"] |= described(name)
        for variable, entries in accounts(name).items():
            found[variable] = [*found.get(variable, []), *entries]
    return found


def lines_of(path: Path) -> int:
    """The lines of a file that say something."""
    comment = re.compile(r"\s*(#|$)")
    return sum(not comment.match(line) for line in path.read_text().splitlines())


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    yield Site("single").fresh()
    slipway("lab", "down")


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("public") / "applications.yml"
    path.write_text(yaml.safe_dump(variables()))
    return f"@{path}"


def ask(site: Site, name: str, path: str, body: Any = None) -> Any:
    """What an application answers to the world, as JSON."""
    (address,) = site.hosts().values()
    answer = request(f"https://{address}{path}", f"{name}.example.org", body, timeout=30)
    assert answer.is_success, answer.text[:500]
    return answer.json()


def test_how_much_a_person_writes(capsys: pytest.CaptureFixture[str]) -> None:
    """An application's description, its accounts, and what it brings as settings of its own."""
    rows = []
    for name in NAMES:
        entry = described(name)[name]
        own = sum(lines_of(Path(file["source"])) for file in entry.get("files", []) if "source" in file)
        rows.append((name, lines_of(CONTRACTS / f"{name}.yml") - 1, sum(map(len, accounts(name).values())), own))
    with capsys.disabled():
        print("\n\nlines that a person wrote  description  accounts  inventory  settings of its own")
        for name, description, lines, own in rows:
            print(f"{name:25}  {description:11}  {lines:8}  {description + lines:9}  {own:19}")
        print(f"and for all of them {len(SHARED)}: {', '.join(SHARED)}")
    assert [name for name, description, lines, _own in rows if description + lines > 60] == []


def test_one_run_deploys_them_all(site: Site, extra: str) -> None:
    site.play("-e", extra).succeeded()


def test_and_a_second_has_nothing_to_do(site: Site, extra: str) -> None:
    run: Run = site.play("-e", extra, "--diff").succeeded()
    assert sum(run.changed.values()) == 0, run.tasks_changed()


def test_every_unit_runs(site: Site) -> None:
    assert site.shell(HOST, "systemctl --failed --no-legend --plain").strip() == ""
    listed = site.shell(HOST, "systemctl list-units --state=running --plain --no-legend | awk '{print $1}'").split()
    wanted = {"orders-web@8000", "orders-web@8001", "orders-default@1", "orders-reports@1", "orders-beat"}
    wanted |= {"pretalx-web@8020", "pretalx-web@8021", "pretalx-worker@1", "prefect-web@8040", "prefect-web@8041", "prefect-services@1"}
    wanted |= {"patchman-web@8060", "patchman-web@8061", "patchman-worker@1", "patchman-beat"}
    assert {f"{name}.service" for name in wanted} - set(listed) == set()
    assert site.shell(HOST, "systemctl is-active pretalx-periodic.timer").strip() == "active"


def test_orders_through_nginx(site: Site) -> None:
    (address,) = site.hosts().values()
    order = {"customer": "ada", "items": [{"sku": "book-1", "quantity": 1, "price_cents": 900}]}
    made = request(f"https://{address}/orders", "orders.lab.test", order)
    assert made.status_code == 201, made.text
    done = {"pending", "processing"}
    path = f"https://{address}/orders/{made.json()['id']}"
    assert eventually(lambda: request(path, "orders.lab.test").json()["status"] not in done, 60)


def test_each_name_is_its_own_application(site: Site) -> None:
    """Static files of two applications come from nginx: one of them does not serve its own."""
    (address,) = site.hosts().values()
    talks, patches, flows = (f"{name}.example.org" for name in ("talks", "patches", "flows"))
    assert "pretalx" in request(f"https://{address}/orga/login/", talks).text
    assert request(f"https://{address}/api/health", flows).text == "true"
    style = request(f"https://{address}/static/css/base.css", patches)
    assert style.status_code == 200, style.text[:200]
    assert "max-age" in style.headers["cache-control"]
    assert request(f"https://{address}/static/css/base.css", talks).status_code == 404
    assert request(f"https://{address}/", "nobody.example.org").status_code == 421


def test_pretalx_reads_its_database_and_runs_by_the_clock(site: Site) -> None:
    assert ask(site, "talks", "/api/events/") == []
    site.shell(HOST, "systemctl start pretalx-periodic.service")
    assert site.shell(HOST, "systemctl show --property=Result --value pretalx-periodic.service").strip() == "success"


def test_pretalx_has_what_npm_built_and_collectstatic_found(site: Site) -> None:
    (address,) = site.hosts().values()
    for path in ("/static/pretalx-manifest.json", "/static/common/img/icons/favicon.ico"):
        assert request(f"https://{address}{path}", "talks.example.org").status_code == 200, path


def test_prefect_keeps_a_flow(site: Site) -> None:
    first, again = (ask(site, "flows", "/api/flows/", {"name": "lab"}) for _ in range(2))
    assert first["id"] == again["id"]


def test_patchman_hands_a_report_to_its_worker(site: Site) -> None:
    (address,) = site.hosts().values()
    report = {"host": "db1.lab.test", "protocol": "1", "arch": "x86_64", "kernel": "6.1.0", "os": "Debian 12.11", "tags": "lab"}
    report |= {"report": "false", "reboot": "False", "packages": "", "repos": "", "sec_updates": "", "bug_updates": ""}
    told = httpx.post(f"https://{address}/reports/upload/", data=report, headers={"Host": "patches.example.org"}, timeout=30, verify=False)
    assert told.is_success, told.text[:500]
    assert eventually(lambda: ask(site, "patches", "/api/host/")["count"] == 1, 60)


def test_nobody_reads_the_others_secrets(site: Site) -> None:
    for name in NAMES:
        others = " ".join(f"/etc/{other}/secrets /etc/{other}/secrets.env" for other in NAMES if other != name)
        assert site.shell(HOST, f"runuser -u {name} -- cat {others} 2>/dev/null || true") == ""
    assert "only-for-this-test" not in site.shell(HOST, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_one_of_them_leaves_and_the_others_stay(site: Site, tmp_path: Path) -> None:
    fewer = variables()
    del fewer["applications"]["prefect"]
    path = tmp_path / "fewer.yml"
    path.write_text(yaml.safe_dump(fewer))
    site.play("-e", f"@{path}", playbook="playbooks/app.yml").succeeded()
    assert site.shell(HOST, "systemctl list-units --all --plain --no-legend 'prefect-*'").strip() == ""
    assert ask(site, "talks", "/api/events/") == []
