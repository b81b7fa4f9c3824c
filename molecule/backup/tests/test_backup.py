"""What backup promises: what carries a backup's name can be restored, the newest is never lost, and a failure is loud."""

from collections.abc import Iterator

import pytest
from store import CREDENTIAL, STORE, back_up, kept, metric
from testinfra.host import Host


def sql(host: Host, statement: str, database: str = "shop") -> str:
    return host.check_output(f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d {database} -c %s", statement)


@pytest.fixture
def cut_short(host: Host) -> Iterator[None]:
    """A pg_dump that ends early and says that all is well, as a full pipe or a killed child does."""
    wrapper = "/usr/local/bin/pg_dump"
    host.check_output(f"printf '#!/bin/bash\\n/usr/bin/pg_dump \"$@\" | head --bytes=-20000\\n' > {wrapper} && chmod 0755 {wrapper}")
    yield
    host.check_output(f"rm {wrapper}")


def test_timers_wait_for_their_time(host: Host) -> None:
    for job, schedule in (("postgres", "*-*-* 02:00:00"), ("redis", "*-*-* *:00:00"), ("files", "*-*-* 02:00:00")):
        timer = host.check_output(f"systemctl show slipway-backup-{job}.timer -p ActiveState -p UnitFileState -p TimersCalendar -p Unit")
        for line in ("ActiveState=active", "UnitFileState=enabled", f"OnCalendar={schedule}", f"Unit=slipway-backup@{job}.service"):
            assert line in timer


def test_a_dump_is_restored_and_compared(host: Host) -> None:
    """MX-24: with the commands of the README, into scratch."""
    sql(
        host,
        "drop table if exists item; create table item (id int primary key, name text); alter table item owner to shop_owner;"
        "insert into item select i, md5(i::text) from generate_series(1, 5000) i",
    )
    assert back_up(host, "postgres") == 0
    newest = f"{STORE}/postgres/{kept(host, 'postgres')[-1]}"
    assert host.run(f"cd {newest} && sha256sum --check SHA256SUMS").rc == 0
    sql(host, "delete from item where id > 10")
    host.check_output("runuser -u postgres -- dropdb --if-exists shop_restored")
    host.check_output("runuser -u postgres -- createdb --template=template0 --owner=shop_owner shop_restored")
    host.check_output(f"runuser -u postgres -- pg_restore --exit-on-error --dbname=shop_restored < {newest}/shop.dump")
    rows = "select count(*), md5(string_agg(id || name, ',' order by id)) from item"
    assert sql(host, rows, "shop_restored").startswith("5000|")
    assert sql(host, rows).startswith("10|")
    assert sql(host, "select tableowner from pg_tables where tablename = 'item'", "shop_restored") == "shop_owner"
    assert "shop_owner" in host.file(f"{newest}/globals.sql").content_string


def test_a_copy_of_redis_is_loaded_by_another_server(host: Host) -> None:
    host.check_output("slipway-redis broker SET order:1 paid")
    assert back_up(host, "redis") == 0
    newest = f"{STORE}/redis/{kept(host, 'redis')[-1]}"
    host.check_output(f"rm -rf /tmp/scratch && mkdir /tmp/scratch && cp {newest}/broker.rdb /tmp/scratch/dump.rdb")
    host.check_output("redis-server --port 0 --unixsocket /tmp/scratch/socket --dir /tmp/scratch --daemonize yes --save '' --appendonly no")
    answer = host.check_output("for i in 1 2 3 4 5 6 7 8 9; do redis-cli -s /tmp/scratch/socket GET order:1 && break; sleep 0.3; done")
    host.run("redis-cli -s /tmp/scratch/socket SHUTDOWN NOSAVE")
    assert answer.endswith("paid")


def test_files_are_packed(host: Host) -> None:
    assert back_up(host, "files") == 0
    newest = f"{STORE}/files/{kept(host, 'files')[-1]}"
    assert host.check_output(f"tar --extract --to-stdout --file={newest}/files.tar.gz etc/hostname") == host.check_output(
        "cat /etc/hostname"
    )


def test_metrics_tell_how_it_went(host: Host) -> None:
    now = float(host.check_output("date +%s"))
    assert back_up(host, "postgres") == 0
    assert 0 <= metric(host, "postgres", "last_success_timestamp_seconds") - now < 60
    assert metric(host, "postgres", "last_run_exit_code") == 0
    assert metric(host, "postgres", "size_bytes") > 1000
    assert metric(host, "postgres", "duration_seconds") > 0
    assert host.file("/var/lib/prometheus/node-exporter/slipway_backup_postgres.prom").mode == 0o644


def test_two_in_one_second_are_two_backups(host: Host) -> None:
    before = len(kept(host, "files"))
    assert [back_up(host, "files") for _ in range(5)] == [0] * 5
    assert len(kept(host, "files")) == before + 5


def test_elsewhere_is_the_same(host: Host) -> None:
    assert back_up(host, "postgres") == 0
    assert host.run(f"diff -r {STORE}/postgres /srv/offsite/postgres").rc == 0


def test_old_ones_go_and_the_newest_stays(host: Host) -> None:
    for folder in (f"{STORE}/files", "/srv/offsite/files"):
        host.check_output(f"rm -rf {folder}/2* && mkdir -p {folder}/20200101T020000Z {folder}/20200102T020000Z")
        # One backup, here and elsewhere: the copy refuses what differs.
        host.check_output(f"touch --date=2020-01-02 {folder}/20200102T020000Z/x")
    host.check_output(f"mkdir {STORE}/files/.partial-20200103T020000Z")
    assert back_up(host, "files") == 0
    assert len(kept(host, "files")) == 1
    assert kept(host, "files")[0] > "2026"
    assert host.check_output("ls -A /srv/offsite/files").split() == kept(host, "files")


@pytest.mark.usefixtures("cut_short")
def test_a_dump_that_ends_too_soon_is_no_backup(host: Host) -> None:
    """MX-19: the table of contents is at the front, so pg_restore --list alone finds nothing wrong with it."""
    sql(
        host, "create table if not exists noise as select md5(random()::text) || md5(random()::text) as text from generate_series(1, 20000)"
    )
    before = kept(host, "postgres")
    assert back_up(host, "postgres") != 0
    assert kept(host, "postgres") == before
    assert "pg_restore --file=-" in host.check_output("journalctl --no-pager -n 5 -u slipway-backup@postgres")


def test_backups_are_roots(host: Host) -> None:
    for path in (STORE, f"{STORE}/postgres", f"{STORE}/postgres/{kept(host, 'postgres')[-1]}"):
        assert (host.file(path).user, oct(host.file(path).mode)) == ("root", "0o700")
    assert host.run(f"find {STORE} -type f -perm /077 | grep .").rc == 1
    assert host.run(f"grep -rlsF {CREDENTIAL} /etc /var/log /var/lib/slipway /usr/local").stdout.split() == [
        "/etc/slipway/backup/rclone.conf"
    ]
    assert oct(host.file("/etc/slipway/backup/rclone.conf").mode) == "0o600"
    assert host.run(f"journalctl --no-pager | grep -qF {CREDENTIAL}").rc == 1
