"""The whole platform on three bare hosts, in the order a user meets it: check, run, run again, check, use.

Each test needs the ones above it; the first failure is the one to read.
"""

import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import BIN, ROOT, Run, Site, environment, eventually, request

NAME = "orders.lab.test"
BESIDE = {8002, 8003}
"""Ports of a release beside the present one, which has 8000 and 8001."""


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """Runs that later tests look back at."""
    return {}


@pytest.fixture(scope="module")
def url(lab: Site) -> str:
    """Where nginx answers."""
    return f"https://{lab.hosts()['edge1']}"


def test_check_mode_works_on_virgin_hosts(lab: Site, runs: dict[str, Run]) -> None:
    runs["virgin"] = lab.play("--check", "--diff").succeeded()
    assert set(runs["virgin"].changed) == {"edge1", "app1", "data1"}
    assert min(runs["virgin"].changed.values()) > 0
    assert lab.shell("data1", "test -e /etc/postgresql || echo untouched").strip() == "untouched"


def test_one_run_brings_everything_up(lab: Site, runs: dict[str, Run]) -> None:
    runs["cold"] = lab.play("--diff").succeeded()


def test_the_second_run_changes_nothing(lab: Site, runs: dict[str, Run]) -> None:
    runs["second"] = lab.play("--diff").succeeded()
    assert runs["second"].changed == {"edge1": 0, "app1": 0, "data1": 0}, runs["second"].tasks_changed()


def test_check_mode_finds_nothing_either(lab: Site, runs: dict[str, Run]) -> None:
    runs["check"] = lab.play("--check", "--diff").succeeded()
    assert runs["check"].changed == {"edge1": 0, "app1": 0, "data1": 0}, runs["check"].tasks_changed()
    print("seconds:", {name: round(run.seconds) for name, run in runs.items()})


def test_no_secret_was_printed(lab: Site, runs: dict[str, Run]) -> None:
    secrets = yaml.safe_load((lab.inventory / "group_vars/all/secrets.yml").read_text())
    for run in runs.values():
        assert [name for name, value in secrets.items() if str(value) in run.output] == []


def test_an_order_goes_all_the_way(lab: Site, url: str) -> None:
    """HTTPS -> row in PostgreSQL -> finished Celery task -> cached read from Redis -> counter in Prometheus."""
    created = request(f"{url}/orders", NAME, {"customer": "ada", "items": [{"sku": "book-1", "quantity": 2, "price_cents": 1250}]})
    assert created.status_code == 201, created.text
    number = created.json()["id"]

    def finished() -> Any:
        answer = request(f"{url}/orders/{number}", NAME)
        return answer.status_code == 200 and answer.json()["status"] not in {"pending", "processing"} and answer

    assert eventually(finished, 60), request(f"{url}/orders/{number}", NAME).text
    cached = [request(f"{url}/orders/{number}", NAME).headers.get("x-cache") for _ in range(3)]
    assert "hit" in cached
    row = lab.shell("data1", f"sudo -u postgres psql -AtX orders -c \"select status from orders where id::text = '{number}'\"")
    assert row.strip() not in {"", "pending"}
    query = "promtool query instant http://127.0.0.1:9090 'sum(orders_created_total)'"
    assert eventually(lambda: re.search(r"=> [1-9]", lab.shell("edge1", query)), 90), lab.shell("edge1", query)


def test_every_target_is_up(lab: Site) -> None:
    query = "promtool query instant http://127.0.0.1:9090 up"

    def states() -> list[tuple[str, str]]:
        return re.findall(r'job="([^"]+)".*?\} => ([01])', lab.shell("edge1", query))

    def all_up() -> bool:
        return bool(states()) and all(value == "1" for _, value in states())

    assert eventually(all_up, 90, 3), states()
    assert {job for job, _ in states()} >= {"node", "postgres", "pgbouncer", "redis", "nginx", "api", "prometheus", "alertmanager"}


def test_an_administrator_sees_the_dashboards_through_ssh(lab: Site) -> None:
    """As the runbook says: `ssh -L 9090:ADDRESS:9090 edge1`; with the only server beside it, ADDRESS is the host's loopback."""
    for port, words in ((9090, "Prometheus Server is Ready"), (9093, "OK")):
        assert words in lab.through("edge1", f"127.0.0.1:{port}", "GET /-/ready HTTP/1.0\r\n\r\n")


def test_exactly_the_flows_connect(lab: Site) -> None:
    """Derived from the wiring: every host tries every known port of every other.

    At the ports of a release that runs beside another one nothing listens at rest: refused by the host, not dropped by its firewall.
    """
    listing = lab.play("-e", f"wiring_pairs_file={lab.logs}/pairs.yml", playbook="tests/e2e/pairs.yml").succeeded()
    assert listing.code == 0
    pairs = yaml.safe_load((lab.logs / "pairs.yml").read_text())
    seen = {}
    for source in lab.hosts():
        wanted = [pair for pair in pairs if pair["source"] == source]
        script = "\n".join(
            f"(said=$(timeout 2 bash -c '</dev/tcp/{pair['address']}/{pair['port']}' 2>&1) && echo {pair['host']} {pair['port']} open"
            f" || case $said in *refused*) echo {pair['host']} {pair['port']} refused;; esac) & "
            for pair in wanted
        )
        for line in lab.shell(source, script + "\nwait\ntrue").splitlines():
            host, port, how = line.split()
            if how == ("refused" if int(port) in BESIDE else "open"):
                seen[source, host, int(port)] = True
    allowed = {(pair["source"], pair["host"], pair["port"]) for pair in pairs if pair["allowed"]}
    tried = {(pair["source"], pair["host"], pair["port"]) for pair in pairs}
    print(f"{len(tried)} pairs tried, {len(allowed)} flows allowed, {len(seen)} connected")
    assert set(seen) - allowed == set(), "connected although no flow allows it"
    assert allowed - set(seen) == set(), "a flow that does not connect"


def test_the_outside_sees_only_the_public_ports(lab: Site) -> None:
    """From the controller, which is in no group: 80, 443 and ssh (its network is an admin network)."""
    for host, address in lab.hosts().items():
        open_ports = []
        for port in (22, 80, 443, 3903, 5432, 5555, 6379, 6380, 6432, 8000, 8001, 8088, 9090, 9093, 9100, 9113, 9115, 9121, 9127, 9187):
            with socket.socket() as probe:
                probe.settimeout(0.3)
                if probe.connect_ex((address, port)) == 0:
                    open_ports.append(port)
        assert open_ports == ([22, 80, 443] if host == "edge1" else [22])


@pytest.mark.parametrize("path", ["/metrics", "/health/test/database"])
def test_internal_paths_are_closed_to_the_public(url: str, path: str) -> None:
    """NX-07, MX-63."""
    assert request(f"{url}{path}", NAME).status_code in {403, 404}


def test_no_secret_is_world_readable_on_the_hosts(lab: Site, tmp_path: Path) -> None:
    secrets = [str(value) for value in yaml.safe_load((lab.inventory / "group_vars/all/secrets.yml").read_text()).values()]
    patterns = "\n".join(secrets)
    for host in lab.hosts():
        script = f"""
        set -u
        trap 'rm -f /root/.patterns' EXIT
        umask 077
        cat > /root/.patterns <<'EOT'\n{patterns}\nEOT
        find /etc /opt /var/lib /var/log /run /tmp /srv -xdev -type f -perm -o=r -size -5M -print0 2>/dev/null |
          xargs -0r grep -lFf /root/.patterns || true
        for process in /proc/[0-9]*; do
          [ "${{process#/proc/}}" = $$ ] && continue
          tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -qFf /root/.patterns && echo "argv of $process"
        done
        journalctl --no-pager 2>/dev/null | grep -cFf /root/.patterns | sed 's/^/journal lines: /' | grep -v ': 0$' || true
        """
        assert lab.shell(host, script).strip() == "", host


def test_operating_it_takes_one_command_each(lab: Site, url: str) -> None:
    """What is live, what was done, a command as the application, its journal, and sites closed for the public."""

    def said(*arguments: str) -> str:
        command = [str(BIN / "slipway"), arguments[0], str(lab.inventory), *arguments[1:]]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    release = lab.shell("app1", "basename $(readlink /opt/orders/current)").strip()
    table = said("releases")
    assert re.search(rf"(?m)^app1  orders +{release}  \S+  \S+  current, current-workers$", table), table
    assert re.search(rf"(?m)^\S+  app1  orders +deploy  \S+@\S+  released  none -> {release} ", table), table
    assert said("exec", "orders-web@8000", "--", "python", "-c", "import getpass; print(getpass.getuser())").strip() == "orders"
    assert re.search(r"(?m)^app1 \S+ app1 orders-web-800\d\[\d+\]: ", said("logs", "orders", "web", "--lines", "5"))
    said("maintenance", "orders", "on", "--reason", "a larger disk")
    closed = request(f"{url}/orders", NAME)
    assert (closed.status_code, closed.headers["retry-after"]) == (503, "60")
    assert "Maintenance" in closed.text
    assert request(f"{url}/health/live", NAME).status_code == 200
    assert lab.play("--limit", "edge1", playbook="playbooks/edge.yml").succeeded().changed == {"edge1": 0}
    assert request(f"{url}/orders", NAME).status_code == 503
    said("maintenance", "orders", "off")
    assert request(f"{url}/orders", NAME).status_code == 200


def test_bad_input_is_refused_before_any_host_is_touched(lab: Site) -> None:
    """EV-08 and the rest, in one message."""
    bad = {
        "redis_prot": 1,
        "nginx_tls_mode": "sometimes",
        "redis_broker_port": "many",
        "api_instances": 2,
        "redis_admin_password": "admin",
        "wiring_extra_flows": [{"to": "postgresql", "from": ["api"]}],
    }
    run = lab.play("-e", yaml.safe_dump(bad, default_flow_style=True, width=10000))
    assert run.code != 0
    for sentence in (
        "redis_prot is a name that no role knows",
        "nginx_tls_mode is 'sometimes'",
        "redis_broker_port is 'many'; allowed: a whole number",
        "api_instances is a name of an earlier version; allowed: applications.NAME.processes.web.instances",
        "redis_admin_password is a well-known placeholder",
        "wiring_extra_flows is a flow to 'postgresql'",
        "no host was touched",
    ):
        assert sentence in run.output, run.output[-5000:]
    assert "Learn what each host is" not in run.output


def test_pools_beyond_max_connections_are_refused(lab: Site) -> None:
    """PB-06, PG-11."""
    run = lab.play("-e", '{"postgres_max_connections": 20}')
    assert run.code != 0
    assert (
        "pgbouncer_default_pool_size, pgbouncer_databases[].pool_size is 20: 1 pgbouncer host(s) x 1 user(s) x 1 database(s)" in run.output
    )
    assert "= 28 connections; allowed: at most 17 (postgres_max_connections 20 - 3 reserved)" in run.output


def test_the_built_collection_is_the_same_platform(lab: Site, tmp_path: Path) -> None:
    """Built, installed into an empty path and run from there: nothing to change."""
    galaxy, collections = str(BIN / "ansible-galaxy"), tmp_path / "collections"
    subprocess.run([galaxy, "collection", "build", str(ROOT), "--output-path", str(tmp_path)], check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    subprocess.run(
        [galaxy, "collection", "install", "--offline", "--force", str(archive), "-p", str(collections)], check=True, capture_output=True
    )
    site = collections / "ansible_collections/slipway/stack/site.yml"
    run = lab.play(playbook=str(site), ANSIBLE_COLLECTIONS_PATH=str(collections)).succeeded()
    assert sum(run.changed.values()) == 0, run.tasks_changed()
    assert set(run.changed) == {"edge1", "app1", "data1"}


def test_the_readme_names_what_is_here() -> None:
    text = (ROOT / "README.md").read_text()
    assert [path for path in re.findall(r"\]\(([^)#:]+)\)", text) if not (ROOT / path).exists()] == []
