"""What Prometheus of this scenario says, and who runs."""

import json
from typing import Any

from testinfra.host import Host

PORTS = {
    "mtail": 3903,
    "prometheus": 9090,
    "prometheus-alertmanager": 9093,
    "prometheus-node-exporter": 9100,
    "prometheus-nginx-exporter": 9113,
    "prometheus-blackbox-exporter": 9115,
    "prometheus-redis-exporter": 9121,
    "prometheus-pgbouncer-exporter": 9127,
    "prometheus-postgres-exporter": 9187,
}
SECRETS = ("only-for-this-scenario-monitor-77d0", "only-for-this-scenario-receiver-5c0d")
GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


def address(host: Host) -> str:
    return host.check_output("hostname --ip-address").split()[0]


def ask(host: Host, path: str) -> Any:
    """What Prometheus' API answers."""
    return json.loads(host.check_output("python3 -c %s %s", GET, f"http://{address(host)}:9090/api/v1/{path}"))["data"]


def value(host: Host, metric: str, /, **labels: str) -> float | None:
    """The newest sample of a metric, if there is exactly one."""
    found = [sample["value"][1] for sample in ask(host, f"query?query={metric}")["result"] if labels.items() <= sample["metric"].items()]
    return float(found[0]) if len(found) == 1 else None


def process(host: Host, unit: str) -> str:
    return host.check_output(f"systemctl show --property MainPID --value {unit}.service")
