"""The backups of this scenario, and what they tell of themselves."""

import re

from testinfra.host import Host

STORE = "/var/backups/slipway"
CREDENTIAL = "only-for-this-scenario-credential-9d31"


def back_up(host: Host, job: str) -> int:
    return host.run(f"systemctl start slipway-backup@{job}.service").rc


def kept(host: Host, job: str) -> list[str]:
    """Names in the store, oldest first, whatever they are."""
    return sorted(host.check_output(f"ls -A {STORE}/{job}").split())


def metric(host: Host, job: str, name: str) -> float:
    text = host.file(f"/var/lib/prometheus/node-exporter/slipway_backup_{job}.prom").content_string
    return float(re.findall(rf'^slipway_backup_{name}{{backup="{job}"}} (\S+)$', text, re.MULTILINE)[0])
