"""What redis promises: a full broker loses nothing, a full cache makes room, and everybody gets what their user may do."""

import shlex
import time

import pytest
from client import BROKER, CACHE, PASSWORDS, process, redis
from testinfra.host import Host

CLIENT = """
import sys, kombu
with kombu.Connection(sys.argv[1]) as connection:
    queue = connection.SimpleQueue("orders")
    queue.put({"order": 7})
    message = queue.get(timeout=5)
    message.ack()
    print(message.payload["order"])
    broadcast = kombu.Exchange("everybody", type="fanout")
    bound = kombu.Queue("listener", broadcast, auto_delete=True)(connection.channel())
    bound.declare()
    kombu.Producer(connection.channel(), broadcast).publish("hello", declare=[bound])
    bound.delete()
connection = kombu.Connection(sys.argv[1])
client = connection.channel().client
with client.lock("orders-lock", timeout=5):
    print(client.info()["redis_version"].count("."))
"""


def fill(host: Host, port: int) -> list[str]:
    """Write 64 MiB, twice what the instance may hold, in eight steps (Redis looks at the limit when a script begins)."""
    script = "for i=ARGV[1],ARGV[1]+7 do redis.call('SET', 'molecule:filler:'..i, string.rep('x', 1048576)) end return 'written'"
    return [redis(host, port, "app", "EVAL", script, "0", str(first)) for first in range(0, 64, 8)]


def info(host: Host, instance: str, field: str) -> str:
    lines = host.check_output(f"slipway-redis {instance} INFO").splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(field + ":"))


def wait_for_answer(host: Host, instance: str) -> None:
    deadline = time.monotonic() + 20
    while host.run(f"slipway-redis {instance} PING").stdout.strip() != "PONG":
        assert time.monotonic() < deadline, host.run(f"journalctl --no-pager --lines 20 --unit redis-server@{instance}").stdout
        time.sleep(0.2)


@pytest.mark.parametrize("port", [BROKER, CACHE])
def test_stranger_is_refused(host: Host, port: int) -> None:
    assert "NOAUTH" in host.run(f"redis-cli -p {port} PING").stdout
    assert "WRONGPASS" in redis(host, port, "app", "PING", password="not-the-password")
    assert "WRONGPASS" in redis(host, port, "default", "PING", password="anything")


def test_listens_on_loopback_and_the_private_address_only(host: Host) -> None:
    address = host.check_output("hostname --ip-address").split()[0]
    listening = host.check_output("ss --tcp --listening --numeric --no-header").splitlines()
    found = {line.split()[3] for line in listening if line.split()[3].endswith((f":{BROKER}", f":{CACHE}"))}
    assert found == {f"{listen}:{port}" for listen in ("127.0.0.1", address) for port in (BROKER, CACHE)}
    assert redis(host, BROKER, "app", "PING", address=address) == "PONG"


def test_debians_own_instance_is_out_of_the_way(host: Host) -> None:
    assert host.run("systemctl is-enabled redis-server.service").stdout.strip() == "masked"
    assert host.check_output("pgrep --count redis-server") == "2"


def test_a_user_exists_only_where_it_was_given(host: Host) -> None:
    assert redis(host, BROKER, "worker", "SET", "molecule:worker", "1") == "OK"
    assert "WRONGPASS" in redis(host, CACHE, "worker", "PING")


@pytest.mark.parametrize(
    "words",
    ["FLUSHALL", "FLUSHDB", "CONFIG GET maxmemory", "CONFIG SET maxmemory 0", "KEYS *", "SHUTDOWN", "ACL LIST", "CLIENT LIST", "MONITOR"],
)
def test_application_cannot_harm_others(host: Host, words: str) -> None:
    assert "NOPERM" in redis(host, BROKER, "app", *words.split())


def test_rules_of_a_user_hold(host: Host) -> None:
    assert redis(host, CACHE, "app", "SET", "public:greeting", "hello") == "OK"
    assert redis(host, CACHE, "reader", "GET", "public:greeting") == "hello"
    assert "NOPERM" in redis(host, CACHE, "reader", "GET", "private:greeting")
    assert "NOPERM" in redis(host, CACHE, "reader", "SET", "public:greeting", "changed")


def test_monitoring_sees_numbers_but_no_values(host: Host) -> None:
    redis(host, BROKER, "app", "RPUSH", "molecule:queue", "secret order")
    assert redis(host, BROKER, "monitoring", "LLEN", "molecule:queue") == "1"
    assert "used_memory" in redis(host, BROKER, "monitoring", "INFO", "memory")
    assert "NOPERM" in redis(host, BROKER, "monitoring", "LRANGE", "molecule:queue", "0", "-1")
    assert "NOPERM" in redis(host, BROKER, "monitoring", "DEL", "molecule:queue")
    assert redis(host, BROKER, "app", "DEL", "molecule:queue") == "1"


def test_full_broker_refuses_and_keeps_everything(host: Host) -> None:
    assert redis(host, BROKER, "app", "SET", "molecule:precious", "kept") == "OK"
    answers = fill(host, BROKER)
    assert answers[0] == "written"
    assert "OOM" in answers[-1]
    assert "OOM" in redis(host, BROKER, "app", "SET", "molecule:one-more", "x")
    assert redis(host, BROKER, "app", "GET", "molecule:precious") == "kept"
    assert info(host, "broker", "evicted_keys") == "0"
    redis(host, BROKER, "app", "DEL", *(f"molecule:filler:{part}" for part in range(64)))
    assert redis(host, BROKER, "app", "SET", "molecule:one-more", "x") == "OK"


def test_full_cache_makes_room_and_writes_nothing_to_disk(host: Host) -> None:
    assert set(fill(host, CACHE)) == {"written"}
    assert redis(host, CACHE, "app", "SET", "molecule:newest", "here") == "OK"
    assert redis(host, CACHE, "app", "GET", "molecule:newest") == "here"
    assert int(info(host, "cache", "evicted_keys")) > 0
    assert int(info(host, "cache", "used_memory")) <= 32 * 1024 * 1024
    assert host.check_output("find /var/lib/redis/cache -type f") == ""


def test_broker_survives_a_crash_and_the_cache_does_not_notice(host: Host) -> None:
    cache = process(host, "cache")
    assert redis(host, CACHE, "app", "SET", "molecule:cached", "still") == "OK"
    assert redis(host, BROKER, "app", "SET", "molecule:order", "42") == "OK"
    time.sleep(1.5)  # everysec: a write is on disk after a second
    host.check_output(f"kill -KILL {process(host, 'broker')}")
    wait_for_answer(host, "broker")
    assert redis(host, BROKER, "app", "GET", "molecule:order") == "42"
    assert process(host, "cache") == cache
    assert redis(host, CACHE, "app", "GET", "molecule:cached") == "still"


def test_cache_forgets_at_a_restart(host: Host) -> None:
    assert redis(host, CACHE, "app", "SET", "molecule:cached", "1") == "OK"
    host.check_output("systemctl restart redis-server@cache.service")
    wait_for_answer(host, "cache")
    assert redis(host, CACHE, "app", "GET", "molecule:cached") == ""


def test_kombu_works_with_the_default_rules(host: Host) -> None:
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends python3-kombu python3-redis")
    url = f"redis://app:{PASSWORDS['app']}@127.0.0.1:{BROKER}/0"
    assert host.check_output(f"python3 -c {shlex.quote(CLIENT)} {url}").splitlines() == ["7", "2"]


def test_passwords_are_nowhere_to_be_read(host: Host) -> None:
    secrets = "\n".join(PASSWORDS.values())
    host.run(f"printf '%s\\n' {shlex.quote(secrets)} > /run/molecule-secrets")
    folders = "/etc /usr/local /var/lib/redis /var/lib/slipway /var/log"
    found = host.run(f"grep --recursive --fixed-strings --files-with-matches --file /run/molecule-secrets {folders}").stdout
    assert found.split() == ["/etc/redis/admin.password"]
    assert host.file("/etc/redis/admin.password").mode == 0o600
    processes = host.run(
        "for pid in $(pgrep redis-server); do cd /proc/$pid; grep --fixed-strings -c --file /run/molecule-secrets environ cmdline; done"
    ).stdout.split()
    assert len(processes) == 4
    assert all(line.endswith(":0") for line in processes)
    assert host.run("journalctl --no-pager | grep --fixed-strings --quiet --file /run/molecule-secrets").rc == 1
    for instance in ("broker", "cache"):
        users = host.file(f"/etc/redis/users-{instance}.acl")
        assert (users.user, users.group, users.mode) == ("root", "redis", 0o640)
    assert host.run("runuser -u redis -- sh -c 'echo >> /etc/redis/users-broker.acl || touch /etc/redis/new'").rc != 0


@pytest.mark.parametrize("instance", ["broker", "cache"])
def test_sandbox(host: Host, instance: str) -> None:
    verdict = host.check_output(f"systemd-analyze security --no-pager redis-server@{instance}.service").splitlines()[-1]
    assert float(verdict.split(":")[1].split()[0]) <= 0.9, verdict
    other = "cache" if instance == "broker" else "broker"
    inside = f"nsenter --target {process(host, instance)} --mount --root"
    assert host.run(f"{inside} /usr/bin/ls /var/lib/redis/{instance}").rc == 0
    assert host.run(f"{inside} /usr/bin/ls /var/lib/redis/{other}/appendonlydir").rc != 0
    assert host.run(f"{inside} /usr/bin/ls /etc/passwd").rc != 0
    assert host.run(f"{inside} /usr/bin/touch /usr/lib/molecule").rc != 0


def test_a_cache_may_be_emptied_by_its_user_and_a_broker_not(host: Host) -> None:
    """Django's cache.clear() is FLUSHDB; on a broker it would throw tasks away."""
    assert redis(host, CACHE, "app", "FLUSHDB") == "OK"
    assert "NOPERM" in redis(host, BROKER, "app", "FLUSHDB")
    assert "NOPERM" in redis(host, CACHE, "app", "FLUSHALL")
