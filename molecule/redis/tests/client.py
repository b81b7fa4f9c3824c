"""Asking the instances of this scenario, as each of its users."""

import shlex

from testinfra.host import Host

BROKER, CACHE = 6379, 6380
PASSWORDS = {
    "admin": "molecule-admin-3f1c",
    "monitoring": "molecule-monitoring-77d0",
    "app": "molecule-app-b1946ac9",
    "worker": "molecule-worker-2cd6ee",
    "reader": "molecule-reader-591785",
}


def redis(host: Host, port: int, user: str, *words: str, password: str = "", address: str = "127.0.0.1") -> str:
    """What Redis answers to one command of one user."""
    command = shlex.join(["redis-cli", "-h", address, "-p", str(port), "--user", user, "--no-auth-warning", *words])
    answer = host.run(f"REDISCLI_AUTH={password or PASSWORDS[user]} {command}")
    return (answer.stderr + answer.stdout).strip()


def process(host: Host, instance: str) -> str:
    return host.check_output(f"systemctl show --property MainPID --value redis-server@{instance}.service")
