"""What redis promises when its variables change: each run is played once, on all hosts, and looked at on each."""

from client import BROKER, CACHE, PASSWORDS, process, redis
from playbook import Converge, Hosts


def processes(hosts: Hosts, *instances: str) -> dict[tuple[str, str], str]:
    return {(name, instance): process(host, instance) for name, host in hosts.items() for instance in instances}


def files(hosts: Hosts) -> dict[str, str]:
    return {name: host.check_output("sha256sum /etc/redis/*") for name, host in hosts.items()}


def test_new_user_arrives_without_a_restart(hosts: Hosts, converge: Converge) -> None:
    before = processes(hosts, "broker", "cache")
    newcomer = "molecule-newcomer-60b7"
    done = converge(redis_users=[{"name": "newcomer", "password": newcomer, "instances": ["cache"]}])
    assert done.code == 0, done.output
    for host in hosts.values():
        assert redis(host, CACHE, "newcomer", "PING", password=newcomer) == "PONG"
        assert "WRONGPASS" in redis(host, CACHE, "app", "PING")
    assert processes(hosts, "broker", "cache") == before
    assert newcomer not in done.output


def test_changed_setting_reaches_its_instance_only(hosts: Hosts, converge: Converge) -> None:
    """And the users of the scenario are back."""
    brokers, caches = processes(hosts, "broker"), processes(hosts, "cache")
    done = converge(cache_settings={"maxmemory-samples": 7})
    assert done.code == 0, done.output
    for host in hosts.values():
        assert host.check_output("slipway-redis cache CONFIG GET maxmemory-samples").split() == ["maxmemory-samples", "7"]
        assert redis(host, CACHE, "app", "PING") == "PONG"
    assert processes(hosts, "broker") == brokers
    assert set(processes(hosts, "cache").items()) & set(caches.items()) == set()


def test_broken_configuration_is_put_back(hosts: Hosts, converge: Converge) -> None:
    before = processes(hosts, "cache"), files(hosts)
    done = converge(cache_settings={"maxmemory-samples": "many"})
    assert done.failed == set(hosts)
    assert done.missing("/etc/redis/redis-cache.conf", "redis-check", "maxmemory-samples many") == []
    for name, host in hosts.items():
        assert f"line {host.check_output('wc --lines < /etc/redis/redis-cache.conf')}" in done.told[name]
        assert redis(host, CACHE, "app", "PING") == "PONG"
    assert (processes(hosts, "cache"), files(hosts)) == before


def test_broken_rule_of_a_user_is_put_back(hosts: Hosts, converge: Converge) -> None:
    done = converge(redis_users=[{"name": "app", "password": PASSWORDS["app"], "instances": ["cache"], "commands": ["+gett"]}])
    assert done.failed == set(hosts)
    assert done.missing("/etc/redis/users-cache.acl") == []
    assert PASSWORDS["app"] not in done.output
    for host in hosts.values():
        assert redis(host, BROKER, "app", "PING") == "PONG"


def test_nonsense_is_refused_all_at_once_before_anything_changes(hosts: Hosts, converge: Converge) -> None:
    before = files(hosts)
    instances = [
        {"name": "queue", "profile": "broker", "port": 6379, "settings": {"maxmemory-policy": "allkeys-lru"}},
        {"name": "Second", "profile": "broker", "port": 6379, "settings": {"bind": "*"}, "maxmemory_mb": 99_000_000},
    ]
    users = [
        {"name": "app", "password": "a-long-enough-password", "instances": ["quueue"], "keys": ["* +@all"]},
        {"name": "admin", "password": "sh0rt", "instances": ["queue"]},
    ]
    done = converge(redis_instances=instances, redis_users=users, redis_memory_share=1.5)
    assert done.failed == set(hosts)
    named = (
        "redis_instances[0].settings.maxmemory-policy is 'allkeys-lru' (queue); allowed: noeviction for the profile broker",
        "redis_instances[1].settings.bind is set",
        "redis_instances[1].name is 'Second'",
        "maxmemory_mb of 99000000 MiB in all",
        "redis_instances[1].port is 6379, which another instance has",
        "redis_memory_share is 1.5; allowed: above 0, at most 0.8",
        "redis_users[0].instances is 'quueue' (app); allowed: queue, Second",
        "redis_users[0].keys[0] is '* +@all'",
        "redis_users[1].name is 'admin'",
        "redis_users[1].password is a secret of 5 characters",
    )
    assert done.missing(*named) == []
    assert "sh0rt" not in done.output
    assert files(hosts) == before
