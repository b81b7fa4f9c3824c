"""A running platform meets broken templates, dead services and a broken release, and keeps answering."""

import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import httpx
import pytest

from tests.lab import ROOT, Run, Site, copy_of_the_checkout, eventually, request

NAME = "orders.lab.test"


@pytest.fixture(scope="module")
def url(lab: Site) -> str:
    """Where nginx answers."""
    return f"https://{lab.hosts()['edge1']}"


class Watcher:
    """Asks the application in a loop while something else happens; counts what was not answered as it should."""

    def __init__(self, url: str, path: str = "/health/ready", wanted: Collection[int] = (200,)) -> None:
        self.url, self.wanted = f"{url}{path}", {str(status) for status in wanted}
        self.statuses: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set() and self.asked < 5000:
            try:
                status = str(request(self.url, NAME, timeout=5).status_code)
            except httpx.HTTPError as error:
                status = repr(error)
            self.statuses[status] += 1
            self._stop.wait(0.1)

    @property
    def asked(self) -> int:
        """Requests until now."""
        return self.statuses.total()

    @property
    def failures(self) -> list[str]:
        """Answers that no client should have got."""
        return [status for status in self.statuses if status not in self.wanted]

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


MIGRATION = """import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    assert sa
    {forth}
"""
# Somebody's session in the middle of a transaction that has read the table.
OPEN_SESSION = """systemd-run --quiet --collect --unit=open-session --uid=postgres psql -X -d orders -c \
  "begin; select count(*) from orders; select pg_sleep(120)" &&
  timeout 20 sh -c 'until runuser -u postgres -- psql -XAt -c "select query from pg_stat_activity where state = '"'active'"'" \
    | grep -q "^begin; select count.*sleep"; do sleep 0.2; done'"""


def add_a_migration(source: Path, forth: str) -> None:
    """To a copy of the example."""
    (source / "orders/migrations/versions/0003_third.py").write_text(MIGRATION.format(forth=forth))


def test_a_broken_nginx_template_is_put_back(lab: Site, url: str, tmp_path: Path) -> None:
    checkout = copy_of_the_checkout(tmp_path)
    with (checkout / "roles/nginx/templates/etc/nginx/nginx.conf.j2").open("a") as template:
        template.write("this is not nginx;\n")
    with Watcher(url) as watcher:
        collections = str(checkout / ".ansible/collections")
        run = lab.play("--limit", "edge1", playbook="playbooks/edge.yml", checkout=checkout, ANSIBLE_COLLECTIONS_PATH=collections)
    assert run.code != 0
    assert "nginx -t" in run.output
    assert "/etc/nginx/nginx.conf" in run.output
    assert "unknown directive" in run.output
    assert watcher.asked > 3
    assert watcher.failures == []
    assert "not nginx" not in lab.shell("edge1", "cat /etc/nginx/nginx.conf")
    healed = lab.play("--limit", "edge1", playbook="playbooks/edge.yml").succeeded()
    assert sum(healed.changed.values()) == 0, healed.tasks_changed()


def test_a_broken_postgres_setting_is_put_back(lab: Site, url: str) -> None:
    """PostgreSQL accepts the file only when it starts: the ready probe finds out, and the old file returns."""
    run = lab.play("-e", '{"postgres_settings": {"shared_buffers": "lots"}}', playbook="playbooks/data.yml")
    assert run.code != 0
    assert "shared_buffers" in run.output
    assert eventually(lambda: request(f"{url}/health/ready", NAME).status_code == 200, 30)
    assert "lots" not in lab.shell("data1", "grep -rh shared_buffers /etc/postgresql")
    healed = lab.play(playbook="playbooks/data.yml").succeeded()
    assert sum(healed.changed.values()) == 0, healed.tasks_changed()


def test_a_broken_release_never_takes_traffic(lab: Site, url: str, tmp_path: Path) -> None:
    """Its workers run, its api does not get ready: the release before is live again everywhere, nobody notices, and the record says why."""
    source = tmp_path / "orders"
    shutil.copytree(ROOT / "examples/orders", source)
    main = source / "orders" / "main.py"
    main.write_text(main.read_text() + '\nraise RuntimeError("this release can not start")\n')
    before = lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers")
    with Watcher(url) as watcher:
        run = lab.play("-e", f'{{"own_application": "{source}", "deploy_reason": "faster"}}', playbook="playbooks/deploy.yml")
    assert run.code != 0
    assert "this release can not start" in run.output
    assert sum("one worker after the other" in task for task in run.tasks_changed()) == 2, run.tasks_changed()  # forth, and back
    assert watcher.asked > 10
    assert watcher.failures == []
    assert lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers") == before
    record = json.loads(lab.shell("app1", "tail -n 1 /var/log/slipway/deployments.log"))
    assert (record["application"], record["result"], record["reason"]) == ("orders", "put back", "faster")
    assert record["why"].startswith("app1: orders-web-next@8002.service ")
    healed = lab.play(playbook="playbooks/deploy.yml").succeeded()
    assert sum(healed.changed.values()) == 0, healed.tasks_changed()


def test_a_release_that_answers_errors_loses_its_requests(lab: Site, url: str, tmp_path: Path) -> None:
    """It gets ready, and a quarter of the requests; Prometheus sees what it answers, and the release before has all of them again."""
    source = tmp_path / "orders"
    shutil.copytree(ROOT / "examples/orders", source)
    broken = '\n\n@app.get("/broken")\ndef broken() -> None:\n    raise RuntimeError("this release answers with errors")\n'
    (source / "orders" / "main.py").open("a").write(broken)
    before = lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers")
    with Watcher(url, "/broken", {404, 500}) as watcher:
        run = lab.play("-e", f'{{"own_application": "{source}"}}', playbook="playbooks/deploy.yml")
    assert run.code != 0
    (failure,) = [failure for failure in run.failures() if failure.startswith("edge1: Judge the release")]
    assert re.search(
        r"not good enough: [\d.]+ % of its \d+ requests failed, of the present release's \d+ 0\.0 %; allowed: 1 % more", failure
    )
    assert watcher.failures == []
    assert 0 < watcher.statuses["500"] < watcher.statuses["404"]
    assert lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers") == before
    assert (
        lab.shell("app1", "ls -d /opt/orders/next /etc/orders-next /etc/systemd/system/orders-web-next@* 2>&1; true").count("No such") == 3
    )
    assert "8002" not in lab.shell("edge1", "cat /etc/nginx/conf.d/50-orders.conf")


def test_a_migration_that_would_stop_others_never_runs(lab: Site, url: str, tmp_path: Path) -> None:
    """One takes away what the live release reads; one waits behind a session that somebody left open."""
    source = tmp_path / "orders"
    shutil.copytree(ROOT / "examples/orders", source)
    before = lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers")
    values = f'{{"own_application": "{source}", "own_lock_timeout": 2}}'
    add_a_migration(source, 'op.drop_column("orders", "total_cents")')
    with Watcher(url, "/orders/00000000-0000-0000-0000-000000000000", {404}) as watcher:
        refused = lab.play("-e", values, playbook="playbooks/deploy.yml")
        add_a_migration(source, 'op.add_column("orders", sa.Column("note", sa.Text(), nullable=True))')
        lab.shell("data1", OPEN_SESSION)
        blocked = lab.play("-e", values, playbook="playbooks/deploy.yml")
    # A statement goes on when its client is gone.
    ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'begin; select count%'"
    assert lab.shell("data1", f'runuser -u postgres -- psql -XAt -c "{ended}"').strip() == "1"
    assert "orders/migrations/versions/0003_third.py:10 drop_column orders total_cents" in refused.output
    assert "deploy_schema=accept" in refused.output
    assert re.search(r"app1: migrate: it waited more than 2 s for a lock that postgres holds \(pid \d+\)", blocked.output)
    assert watcher.failures == []
    assert lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers") == before
    columns = "select count(*) from information_schema.columns where table_name = 'orders' and column_name in ('note', 'total_cents')"
    assert lab.shell("data1", f'runuser -u postgres -- psql -XAt -d orders -c "{columns}"').strip() == "1"


def test_a_new_release_drops_no_request(lab: Site, url: str, tmp_path: Path) -> None:
    """Its migration comes after a backup; it runs beside the present one, gets a quarter of the requests, then all, then its place."""
    source = tmp_path / "orders"
    shutil.copytree(ROOT / "examples/orders", source)
    add_a_migration(source, 'op.add_column("orders", sa.Column("note", sa.Text(), nullable=True))')
    (source / "orders" / "main.py").open("a").write("\n# another release\n")
    before = lab.shell("app1", "readlink /opt/orders/current")
    backups = lab.shell("data1", "ls /var/backups/slipway/postgres").split()
    assert eventually(lambda: request(f"{url}/health/ready", NAME).status_code == 200, 30)
    first: list[Run] = []
    values = f'{{"own_application": "{source}", "deploy_reason": "new checkout"}}'
    with Watcher(url) as watcher:
        deploying = threading.Thread(target=lambda: first.append(lab.play("-e", values, playbook="playbooks/deploy.yml")))
        deploying.start()
        lab.shell("app1", "timeout 120 sh -c 'until test -e /opt/orders/.deployment.json; do sleep 0.2; done'")
        second = lab.play(playbook="playbooks/deploy.yml")
        deploying.join()
    first[0].succeeded()
    assert second.code != 0
    assert re.search(r"orders is being deployed by \S+@\S+ since \d+ s \(new checkout\); nothing was changed", second.output)
    assert sum(second.changed.values()) == 0
    assert [step.values["new"]["errors"] for step in first[0].results if step.task.startswith("Judge")] == [0, 0]
    assert lab.shell("app1", "readlink /opt/orders/current") != before
    (backup,) = set(lab.shell("data1", "ls /var/backups/slipway/postgres").split()) - set(backups)
    schema = lab.shell("data1", f"pg_restore --schema-only --table=orders --file=- /var/backups/slipway/postgres/{backup}/orders.dump")
    assert "total_cents" in schema
    assert "note" not in schema
    assert watcher.asked > 10
    assert watcher.failures == []


@pytest.mark.parametrize(
    ("host", "unit"),
    [
        ("data1", "postgresql@*-main.service"),
        ("data1", "redis-server@broker.service"),
        ("data1", "pgbouncer.service"),
        ("app1", "orders-web@8000.service"),
    ],
)
def test_a_killed_service_comes_back(lab: Site, url: str, host: str, unit: str) -> None:
    lab.shell(host, f"systemctl kill --signal=SIGKILL '{unit}'; sleep 1")
    assert eventually(lambda: request(f"{url}/health/ready", NAME).status_code == 200, 60)
    assert eventually(lambda: lab.shell(host, f"systemctl is-active '{unit}'", check=False).split()[:1] == ["active"], 30)


def test_a_unit_stopped_by_hand_is_started_again(lab: Site) -> None:
    lab.shell("data1", "systemctl stop redis-server@cache.service")
    run = lab.play(playbook="playbooks/data.yml").succeeded()
    assert run.changed["data1"] == 1, run.tasks_changed()
    assert lab.shell("data1", "systemctl is-active redis-server@cache.service").strip() == "active"
