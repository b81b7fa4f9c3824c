"""What monitoring promises: everything is seen, strangers see nothing, and an alert reaches a human."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from seen import GET, PORTS, SECRETS, address, ask, process, value
from testinfra.backend.base import CommandResult
from testinfra.host import Host

ROLE = Path(__file__).parents[3] / "roles" / "monitoring"
TESTS = Path(__file__).parent / "rules"
GROUPS = sorted(path.stem for path in TESTS.iterdir())
RULES = "/etc/prometheus/rules/slipway.yml"
WEBHOOK = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode().strip()
        open("/run/molecule-webhook", "a").write(self.headers["Authorization"] + " " + body + "\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9999), Handler).serve_forever()
"""


def wait(what: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s; the last answer: {answer!r}"
        time.sleep(0.5)
    return answer


def test_every_job_is_seen(host: Host, platform: str) -> None:
    def all_up() -> list[dict[str, Any]]:
        targets: list[dict[str, Any]] = ask(host, "targets")["activeTargets"]
        return targets if all(target["health"] == "up" for target in targets) else []

    targets = wait(all_up)
    seen = sorted((target["labels"]["job"], target["labels"]["instance"]) for target in targets)
    own = ["alertmanager", "api", "blackbox", "nginx", "nginxlog", "node", "pgbouncer", "postgres", "prometheus", "redis", "redis"]
    assert seen == sorted([*((job, platform) for job in own), ("probe", "shop"), ("probe", "shop-verified")])


def test_exporters_reach_their_services(host: Host) -> None:
    for name in ("pg_up", "pgbouncer_up", "nginx_up"):
        assert value(host, name) == 1, name
    for name in ("broker", "cache"):
        assert value(host, "redis_up", name=name) == 1, name
        assert value(host, "redis_memory_max_bytes", name=name), name
    assert value(host, "orders_created_total", job="api") == 7
    assert value(host, "pgbouncer_databases_pool_size", name="shop") == 20
    assert value(host, "pg_settings_max_connections") == 100
    assert value(host, "node_systemd_unit_state", name="nginx.service", state="active") == 1


def test_requests_are_counted_by_site_and_by_instance(host: Host) -> None:
    """Also of the instance in whose place another one had to answer."""
    lines = [
        '{"time":"t","client":"192.0.2.1","method":"GET","site":"shop","host":"shop.test","path":"/\\"site\\":\\"x\\"","protocol":"HTTP/2.0",'
        f'"status":"{status}","bytes":7,"seconds":{seconds},"upstream":"{upstream}","upstream_status":"{answered}","upstream_seconds":"{took}"}}'
        for status, seconds, upstream, answered, took in (
            ("200", "0.020", "10.0.0.2:8000", "200", "0.019"),
            ("200", "0.320", "10.0.0.3:8002, 10.0.0.2:8000", "502, 200", "0.300, 0.020"),
            ("429", "0.000", "", "", ""),
        )
    ]
    port = f"http://{address(host)}:3903/metrics"
    wanted = {
        'nginx_site_requests_total{site="shop",status="200"} 2',
        'nginx_site_requests_total{site="shop",status="429"} 1',
        'nginx_upstream_requests_total{status="200",upstream="10.0.0.2:8000"} 2',
        'nginx_upstream_requests_total{status="502",upstream="10.0.0.3:8002"} 1',
        'nginx_upstream_request_duration_seconds_bucket{upstream="10.0.0.3:8002",le="0.25"} 0',
        'nginx_upstream_request_duration_seconds_bucket{upstream="10.0.0.3:8002",le="0.5"} 1',
    }
    host.check_output("printf '%%s\\n' %s >> /var/log/nginx/access.log", "\n".join(lines))
    wait(lambda: wanted <= set(host.check_output("python3 -c %s %s", GET, port).splitlines()))


def test_probe_tells_a_good_certificate_from_a_bad_one(host: Host) -> None:
    assert value(host, "probe_success", instance="shop") == 1
    assert value(host, "probe_success", instance="shop-verified") == 0
    expires = value(host, "probe_ssl_earliest_cert_expiry", instance="shop")
    assert expires is not None
    assert 99 < (expires - time.time()) / 86400 < 101


def test_sandbox_does_not_bend_what_is_measured(host: Host) -> None:
    """In the exporter's own view every file system is read-only; the host's are not."""
    own = host.check_output(f"cat /proc/{process(host, 'prometheus-node-exporter')}/mounts")
    assert re.search(r"(?m)^\S+ /etc/hosts \S+ ro,", own)
    assert value(host, "node_filesystem_readonly", mountpoint="/etc/hosts") == 0


def test_metrics_of_timers_are_read(host: Host) -> None:
    host.run("echo slipway_molecule 41 > /var/lib/prometheus/node-exporter/molecule.prom")
    assert wait(lambda: value(host, "slipway_molecule")) == 41


def test_listens_on_one_address(host: Host) -> None:
    found = set()
    for line in host.check_output("ss --tcp --udp --listening --numeric --no-header --processes").splitlines():
        local, program = line.split()[4], line.rpartition('(("')[2]
        if program.startswith(("prometheus", "pgbouncer-expo", "mtail")):
            found.add(local)
    assert found == {f"{address(host)}:{port}" for port in PORTS.values()}


@pytest.mark.parametrize("unit", PORTS)
def test_is_confined(host: Host, unit: str) -> None:
    checked = host.run(f"systemd-analyze security --no-pager --threshold=15 {unit}.service")
    assert checked.rc == 0, checked.stdout.splitlines()[-1]
    assert host.check_output(f"ps -o user= -p {process(host, unit)}").strip() == ("mtail" if unit == "mtail" else "prometheus")
    assert host.run(f"systemctl is-enabled {unit}.service").stdout.strip() == "enabled"


def test_secrets_are_where_only_the_service_reads_them(host: Host) -> None:
    for secret in SECRETS:
        assert host.run(f"grep --recursive --files-with-matches {secret} /etc/prometheus").stdout.strip() != ""
        assert host.run("runuser -u nobody -- grep --recursive --files-with-matches %s /etc /var/lib/prometheus /run", secret).stdout == ""
        assert host.run("grep --text --files-with-matches %s /proc/[1-9]*/environ", secret).stdout == ""
        assert secret not in host.check_output("ps -e -o args=").replace(f"grep {secret}", "")
    shown = ask(host, "status/config")["yaml"]
    assert not [secret for secret in SECRETS if secret in shown]


def test_exporter_outlives_its_service(host: Host) -> None:
    before = process(host, "prometheus-pgbouncer-exporter")
    host.check_output("systemctl stop pgbouncer.service")
    try:
        wait(lambda: value(host, "pgbouncer_up") == 0)
        assert value(host, "up", job="pgbouncer") == 1
    finally:
        host.check_output("systemctl start pgbouncer.service")
    wait(lambda: value(host, "pgbouncer_up") == 1)
    assert process(host, "prometheus-pgbouncer-exporter") == before


def test_an_alert_reaches_its_receiver(host: Host, platform: str) -> None:
    host.check_output("systemd-run --quiet --collect --unit=molecule-webhook python3 -c %s", WEBHOOK)
    try:
        host.check_output("systemctl stop prometheus-nginx-exporter.service")

        def messages() -> list[dict[str, Any]]:
            lines = host.run("cat /run/molecule-webhook").stdout.splitlines()
            assert all(line.startswith(f"Bearer {SECRETS[1]} ") for line in lines)
            return [alert for line in lines for alert in json.loads(line.split(" ", 2)[2])["alerts"]]

        (alert,) = wait(lambda: [alert for alert in messages() if alert["labels"]["alertname"] == "ExporterGone"], 60)
        assert alert["labels"]["instance"] == platform
        assert alert["annotations"]["summary"] == f"{platform} is blind"
        wait(lambda: [alert for alert in messages() if alert["labels"]["alertname"] == "Watchdog"], 90)
    finally:
        host.run("systemctl start prometheus-nginx-exporter.service; systemctl stop molecule-webhook.service")
        host.run("rm --force /run/molecule-webhook")


@pytest.mark.parametrize("group", GROUPS)
def test_rules_fire_when_they_should_and_only_then(host: Host, group: str) -> None:
    run = rule_test(host, group, host.file(RULES).content_string)
    assert run.rc == 0, run.stdout + run.stderr


@pytest.mark.parametrize("group", GROUPS)
def test_every_rule_is_tested(host: Host, group: str) -> None:
    """Turn one comparison of one rule round, or let a rule without any never fire: the tests must go red."""
    groups = [found for found in yaml.safe_load(host.file(RULES).content_string)["groups"] if found["name"] == group]
    assert rule_test(host, group, json.dumps({"groups": groups})).rc == 0
    survivors = []
    for rule in groups[0]["rules"]:
        right = rule["expr"]
        for rule["expr"] in broken(right):
            if rule_test(host, group, json.dumps({"groups": groups})).rc == 0:
                survivors.append((rule["alert"], rule["expr"]))
        rule["expr"] = right
    assert survivors == []


def test_no_group_of_rules_is_without_tests(host: Host) -> None:
    assert sorted(group["name"] for group in yaml.safe_load(host.file(RULES).content_string)["groups"]) == GROUPS


def rule_test(host: Host, group: str, rules: str) -> CommandResult:
    """What promtool says of the group's tests with these rules."""
    return host.run(
        "mkdir --parents /run/molecule-rules && cd /run/molecule-rules && printf %%s %s > slipway.yml && printf %%s %s > test.yml"
        " && promtool test rules test.yml",
        rules,
        (TESTS / f"{group}.yml").read_text(),
    )


def broken(expression: str) -> list[str]:
    """The expression with each of its comparisons turned round, one at a time."""
    turned = {" > ": " < ", " < ": " > ", " == ": " != ", " != ": " == "}
    found = list(re.finditer(" (?:>|<|==|!=) ", expression))
    return [expression[: at.start()] + turned[at[0]] + expression[at.end() :] for at in found] or [f"({expression}) and vector(1) > 1"]


def test_every_alert_tells_what_to_do(host: Host) -> None:
    rules = [rule for group in yaml.safe_load(host.file(RULES).content_string)["groups"] for rule in group["rules"]]
    headings = re.findall(r"^## (\w+)$", (ROLE / "RUNBOOK.md").read_text(), re.MULTILINE)
    assert [rule["alert"] for rule in rules] == headings
    for rule in rules:
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"https://runbook.test/#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}
