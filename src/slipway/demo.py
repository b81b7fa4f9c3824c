# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`make demo`: the whole platform on the lab's hosts, then a proof that it works, from the outside."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from slipway import checkout, engine, lab, play, secret_file
from slipway.errors import SlipwayError

ORDER = {
    "customer": "Ada",
    "items": [{"sku": "tea", "quantity": 2, "price_cents": 450}, {"sku": "cup", "quantity": 1, "price_cents": 1200}],
}
ORDER_TOTAL = 2100  # cents
PATIENCE = 60.0  # seconds for the worker, and for Prometheus to scrape
LISTENER = re.compile(r"^\S+\s+\S+\s+\S+\s+(?P<address>\S+):(?P<port>\d+)\s.*?pid=(?P<pid>\d+)")
CGROUP = re.compile(r"^/proc/(?P<pid>\d+)/cgroup:.*/(?P<unit>[^/]+\.service)$", re.MULTILINE)

Found = TypeVar("Found")


@dataclass(frozen=True)
class Answer:
    """An answer over HTTPS: status, headers (in any case), body (what is not a JSON object becomes `{"text": ...}`)."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def run() -> None:
    """Bring everything up, prove it, and say how to look around. Every part is quick when it has nothing to do."""
    started = time.monotonic()
    inventory = lab.inventory_path("lab")
    _say("Hosts")
    engine.ensure()
    found = lab.up(inventory, os.environ)
    for known in found.hosts:
        print(f"  {known.name:<8} {known.address:<14} {known.distribution}")
    added = secret_file.init(inventory)
    print(f"  {f'made {len(added)} secrets' if added else 'all secrets are there'}: {inventory / 'group_vars' / 'all' / 'secrets.yml'}")
    for playbook in ("playbooks/bootstrap.yml", "site.yml"):
        _say(f"ansible-playbook {playbook} -i inventories/lab")
        _play(playbook, inventory)
    _say("What runs where")
    _show_listeners(found)
    _say("An order, from the outside")
    name = _server_name(inventory, _edge(found))
    _prove(found, name)
    _say(f"Everything works ({time.monotonic() - started:.0f} s)")
    _show_way_around(found, name)


def _say(title: str) -> None:
    print(f"\n== {title} ==", flush=True)


def _play(playbook: str, inventory: Path) -> None:
    root = checkout.root()
    environment = play.environment(root / "ansible.cfg", color=sys.stdout.isatty())
    done = play.run(root / playbook, "-i", inventory, folder=root, environment=environment, show=True)
    if done.code != 0:
        failures = "".join(f"  {failure}\n" for failure in done.failures())
        raise SlipwayError(
            f"{playbook} ended with exit code {done.code}.\n{failures}"
            "  look at the host:   slipway lab ssh HOST   (or, if it locked itself: slipway lab exec HOST)\n"
            "  run it again:       make demo              (what is done is left alone)\n"
            "  start from nothing: make demo-down && make demo"
        )


def _edge(found: lab.Lab) -> lab.LabHost:
    for known in found.hosts:
        if known.public:
            return known
    raise SlipwayError(f"{found.inventory} has no host in the group nginx: there is nothing to ask over HTTPS.")


def _server_name(inventory: Path, edge: lab.LabHost) -> str:
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(inventory), "--host", edge.name]
    listed = json.loads(engine.program(command, ANSIBLE_CONFIG=str(checkout.root() / "ansible.cfg")))
    domains = [domain for application in listed.get("applications", {}).values() for domain in application.get("domains", [])]
    return str(domains[0]["names"][0]) if domains else edge.address


def listeners(sockets: str, cgroups: str) -> dict[str, list[str]]:
    """For each unit the addresses and ports it listens at, from `ss -Hltnp` and `grep . /proc/PID/cgroup` of every process."""
    units = {match["pid"]: match["unit"] for match in CGROUP.finditer(cgroups)}
    found: dict[str, list[str]] = {}
    for line in sockets.splitlines():
        if match := LISTENER.match(line):
            place = f"{match['address']}:{match['port']}"
            places = found.setdefault(units.get(match["pid"], "outside of any unit"), [])
            if place not in places:
                places.append(place)
    return found


def _listeners_of(known: lab.LabHost) -> dict[str, list[str]]:
    sockets = engine.run(["exec", known.container, "ss", "-Hltnp"])
    # A process that ends meanwhile is no error.
    cgroups = engine.run(["exec", known.container, "sh", "-c", "grep -H . /proc/[0-9]*/cgroup"], check=False)
    return listeners(sockets, cgroups)


def _show_listeners(found: lab.Lab) -> None:
    for known in found.hosts:
        for unit, places in sorted(_listeners_of(known).items()):
            print(f"  {known.name:<8} {unit.removesuffix('.service'):<32} {', '.join(places)}")


def ask(address: str, name: str, method: str, path: str, body: Any = None) -> Answer:
    """One request over TLS to an address, for a server name. The lab's certificate is self-signed, so nobody vouches for it."""
    import httpx  # takes a sixth of a second, which other commands need not pay

    with httpx.Client(verify=False, timeout=10, headers={"Host": name}) as client:
        response = client.request(method, f"https://{address}{path}", json=body, extensions={"sni_hostname": name})
    return Answer(response.status_code, response.headers, _object(response.text))


def _object(text: str) -> Mapping[str, Any]:
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = None
    return decoded if isinstance(decoded, dict) else {"text": text[:300]}


def _prove(found: lab.Lab, name: str) -> None:
    edge = _edge(found)
    counted = _prometheus(found).get("orders", 0)
    posted = ask(edge.address, name, "POST", "/orders", ORDER)
    _expect(posted.status == 201, f"POST /orders answered {posted.status}: {posted.body}", edge)
    path = f"/orders/{posted.body['id']}"
    print(f"  POST /orders          {posted.status}, status {posted.body['status']}, id {posted.body['id']}")

    read = _until(lambda: ask(edge.address, name, "GET", path), lambda answer: answer.body.get("status") == "completed")
    total = read.body.get("total_cents")
    _expect(total == ORDER_TOTAL, f"GET {path} still answers {read.status} {read.body}: no worker processed it", edge)
    print(f"  GET /orders/{{id}}      {read.status}, status completed, total {total} cents: a Celery worker did it")

    cached = _until(lambda: ask(edge.address, name, "GET", path), lambda answer: answer.headers.get("x-cache") == "hit")
    _expect(cached.headers.get("x-cache") == "hit", f"GET {path} is never answered from Redis", edge)
    print("  the same again        X-Cache: hit, from Redis")

    watched = _until(lambda: _prometheus(found), lambda answer: answer.get("orders", 0) > counted and not answer["down"])
    _expect(watched.get("orders", 0) > counted, "Prometheus has not counted the order", edge)
    _expect(not watched["down"], f"Prometheus cannot reach {', '.join(watched['down'])}", edge)
    print(f"  Prometheus            all {watched['targets']} targets are up, orders_created_total is {watched['orders']:.0f}")


def _until(probe: Callable[[], Found], wanted: Callable[[Found], bool]) -> Found:
    deadline = time.monotonic() + PATIENCE
    while not wanted(result := probe()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return result


def _expect(held: bool, message: str, edge: lab.LabHost) -> None:
    if not held:
        raise SlipwayError(
            f"The platform is up but does not work as it should: {message}.\n"
            f"  logs of the web server:  slipway lab ssh {edge.name} sudo journalctl -u nginx -n 50\n"
            "  logs of the application: slipway lab ssh app1 sudo journalctl -n 100\n"
            "  run the whole again:     make demo"
        )


def _prometheus(found: lab.Lab) -> dict[str, Any]:
    """What Prometheus says where it runs: number of targets, those that are down, orders counted. Empty without an answer."""
    script = """
import json, sys, urllib.request
def ask(path):
    with urllib.request.urlopen(f"http://{sys.argv[1]}/api/v1/{path}", timeout=5) as answer:
        return json.load(answer)["data"]
targets = ask("targets?state=active")["activeTargets"]
counted = ask("query?query=sum(orders_created_total)")["result"]
print(json.dumps({
    "targets": len(targets),
    "down": [f"{one['labels']['job']} at {one['labels']['instance']}" for one in targets if one["health"] != "up"],
    "orders": sum(float(series["value"][1]) for series in counted),
}))
"""
    for known in found.hosts:
        for place in _listeners_of(known).get("prometheus.service", [])[:1]:
            command = ["exec", "--interactive", known.container, "python3", "-", place.replace("*", "127.0.0.1")]
            answer = engine.run(command, stdin=script.encode(), check=False)
            return dict(json.loads(answer)) if answer else {}
    return {}


def _show_way_around(found: lab.Lab, name: str) -> None:
    edge = _edge(found)
    published = engine.run(["port", edge.container, "443/tcp"], check=False).strip()
    print(f"  the application   curl -k --resolve {name}:443:{edge.address} https://{name}/orders")
    address, port = ("127.0.0.1", published.rpartition(":")[2]) if published else (edge.address, "443")
    print(f"  in a browser      https://{name}:{port}/orders, after: echo '{address} {name}' | sudo tee -a /etc/hosts")
    print(f"  on a host         slipway lab ssh {found.hosts[-1].name}      (slipway is in .venv/bin)")
    print("  what would change ansible-playbook site.yml -i inventories/lab --check --diff")
    print("  take it away      make demo-down")
