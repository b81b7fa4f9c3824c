# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The contract `applications`, and what it means for one host: plain data that the roles api and celery_workers turn into state.

`playbooks/vars/applications_spec.yml` types the contract and holds its defaults, `applications_checks.yml` says the rest. `services`
gives the wiring its listeners and flows; `on_host` is everything that one role needs of every application on one host.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.slipway.stack.plugins.plugin_utils import arguments, checks, kinds
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import Problem
from ansible_collections.slipway.stack.plugins.plugin_utils.connections import POSTGRES, connection

VARS = Path(__file__).resolve().parents[2] / "playbooks" / "vars"
ROLES = {"api": ("asgi", "wsgi"), "celery_workers": ("celery", "celery_beat", "command", "scheduled")}
"""Role to the types of processes that it runs; a role's name is also the group of its hosts."""
LINKS = {"api": "current", "celery_workers": "current-workers"}
"""A link for each role: workers are put back without the api, and the api without the workers."""
CELERY_LIBRARY = "/usr/local/lib/slipway/celery"
"""The folder of the module that a Celery worker imports to tell systemd that it consumes: __celery_workers_library of the role."""
_ANYWHERE = (
    "0.0.0.0/1 128.0.0.0/3 160.0.0.0/5 168.0.0.0/8 169.0.0.0/9 169.128.0.0/10 169.192.0.0/11 169.224.0.0/12 169.240.0.0/13 "
    "169.248.0.0/14 169.252.0.0/15 169.255.0.0/16 170.0.0.0/7 172.0.0.0/6 176.0.0.0/4 192.0.0.0/3 "
    "::/1 8000::/2 c000::/3 e000::/4 f000::/5 f800::/6 fc00::/7"
)
ANYWHERE = _ANYWHERE.split()
"""Every address but multicast and link-local ones: under 169.254.169.254 a cloud hands out the credentials of its machine."""


class ApplicationError(ValueError):
    """The contract is wrong; the message lists every problem."""


@cache
def spec() -> dict[str, dict[str, Any]]:
    """The contract in the shape of an argument spec: {applications: option}. A domain has the keys of a site of the role nginx."""
    found: dict[str, dict[str, Any]] = copy.deepcopy(arguments.load(VARS / "applications_spec.yml"))
    domain = found["applications"]["options"]["domains"]
    site = arguments.options_of(VARS.parents[1] / "roles" / "nginx")["nginx_sites"]
    path, site_path = domain["options"]["paths"], site["options"]["paths"]
    path["options"] |= {name: option for name, option in site_path["options"].items() if name not in ("path", "upstreams")}
    derived = ("name", "server_names", "upstreams", "weights", "health_path", "metrics_path", "paths")
    domain["options"] |= {name: option for name, option in site["options"].items() if name not in derived}
    return found


def problems(applications: Any, base: str) -> list[Problem]:
    """Everything that the contract alone tells to be wrong. `base`: the folder that paths on the controller start from."""
    return _of_single_values(applications) or list(_between(applications, base))


def fits(applications: Any) -> bool:
    """Whether every value has the right type and kind, so that something can be derived from it."""
    return not _of_single_values(applications)


def _of_single_values(applications: Any) -> list[Problem]:
    """What types and kinds refuse."""
    found: list[Problem] = arguments.problems_of("applications", applications, spec()["applications"], inside=True)
    rules = checks.read(VARS / "applications_checks.yml")
    found += checks.not_told(checks.value_problems(rules, {"applications": applications}, spec()), found)
    return found


def _between(applications: Mapping[str, Any], base: str) -> Iterator[Problem]:
    """Problems between the values of an application; called only for what has the right types."""
    complete = filled(applications)
    for name, application in complete.items():
        place = f"applications.{name}"
        given = applications[name]
        if name.endswith(f"-{BESIDE}") and name.removesuffix(f"-{BESIDE}") in applications:
            yield Problem(place, "given", f"another name: {name} is what runs beside {name.removesuffix(f'-{BESIDE}')} during a release")
        for key, value, allowed in checks.source_problems(given["source"], base):
            yield Problem(f"{place}.source.{key}", value, allowed)
        for label, process in application["processes"].items():
            for key, value, allowed in _process_problems(process, given["processes"][label]):
                yield Problem(f"{place}.processes.{label}.{key}", value, allowed)
        yield from _release_problems(place, application)
        yield from _variable_problems(place, application)
        for number, file in enumerate(application["files"]):
            for key, value, allowed in _file_problems(file, base):
                yield Problem(f"{place}.files[{number}]{key}", value, allowed)
        known = _answering(application)
        for number, domain in enumerate(application["domains"]):
            asked = [("process", domain["process"])]
            asked += [(f"paths[{at}].process", path["process"]) for at, path in enumerate(domain["paths"] or [])]
            for key, process in asked:
                if process is not None and process not in known:
                    allowed = f"a process of type asgi or wsgi: {', '.join(known) or 'there is none'}"
                    yield Problem(f"{place}.domains[{number}].{key}", repr(process), allowed)
            for at, path in enumerate(domain["paths"] or []):
                if path["process"] is not None and path["static"]:
                    yield Problem(
                        f"{place}.domains[{number}].paths[{at}]", f"{path['path']!r} with two targets", "process or static, not both"
                    )
            if domain["process"] is None and not known:
                yield Problem(f"{place}.domains[{number}]", "given", "domains of an application with a process of type asgi or wsgi")
    yield from _queue_problems(complete)
    for place, entry in connections_of(applications):
        if entry["to"] in POSTGRES and not entry["database"]:
            yield Problem(f"{place}.database", "missing", "a database of postgres_databases")
        if entry["parts"] is not None and not any(entry["parts"].values()):
            allowed = "variables for host, port, user, password and database, such as {host: DB_HOST}"
            yield Problem(f"{place}.parts", "empty", allowed)


BESIDE = "next"
"""Name of the link, and end of the names of folders and services, of a release that runs beside the present one."""
ONLY_FOR = {
    "port": ("asgi", "wsgi"),
    "workers": ("asgi", "wsgi"),
    "settle": ("asgi", "wsgi", "celery_beat", "command"),
    "threads": ("wsgi",),
    "queues": ("celery",),
    "concurrency": ("celery",),
    "prefetch": ("celery",),
    "max_tasks_per_child": ("celery",),
    "time_limit": ("celery",),
    "soft_time_limit": ("celery",),
    "scheduler": ("celery_beat",),
    "calendar": ("scheduled",),
    "run_timeout": ("scheduled",),
    "app": ("asgi", "wsgi", "celery", "celery_beat"),
    "instances": ("asgi", "wsgi", "celery", "command"),
    "singleton": ("command", "scheduled"),
}
"""Keys of a process that mean something to some types only."""


def _process_problems(process: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, given, allowed) of one process. `given`: as it was written, without defaults."""
    kind = process["type"]
    web, app = role_of(process) == "api", process["app"]
    for key, types in ONLY_FOR.items():
        if key in given and kind not in types:
            yield key, "given", f"nothing for a process of type {kind}; it belongs to {', '.join(types)}"
    if kind in ("command", "scheduled"):
        if not process["command"]:
            yield "command", "missing", "the program and its arguments, such as [python, -m, shop.consumer]"
    elif not app and not process["command"]:
        example = "shop.main:app" if web else "shop.worker"
        yield "app", "missing", f"the import path of the {'application' if web else 'Celery application'}, such as {example} (or a command)"
    elif app and web and kinds.module_attribute(app):
        yield "app", repr(app), kinds.module_attribute(app)
    elif app and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*)?", app) and not web:
        yield "app", repr(app), "module or module:attribute, such as shop.worker"
    if web and process["command"] and not any("{port}" in word for word in process["command"]):
        yield "command", "without {port}", "{port} where the program takes the port of its instance"
    if kind == "scheduled" and not process["calendar"]:
        yield "calendar", "missing", "when it runs, such as daily or Mon..Fri 06:00"
    if web and process["port"] + process["instances"] > 65536:
        yield "port", f"{process['port']} with {process['instances']} instances", "a port that leaves room for all of them below 65536"
    if process["soft_time_limit"] and process["time_limit"] and process["soft_time_limit"] >= process["time_limit"]:
        yield (
            "soft_time_limit",
            f"{process['soft_time_limit']}, not below time_limit",
            "fewer seconds than time_limit, so that a task can tidy up",
        )


_BROKER = re.compile(r"BROKER|REDIS|AMQP|RABBIT|CELERY|(^|_)MQ(_|$)|SQS|KAFKA")
"""Names of variables that tell a program where its messages are."""


def without_broker(applications: Mapping[str, Any]) -> Iterator[Problem]:
    """Celery without a broker asks amqp://localhost, for ever. Asked of an inventory, not of the contract: a program may know better."""
    for name, application in filled(applications).items():
        label = next((label for label, process in application["processes"].items() if process["type"].startswith("celery")), None)
        names = [*application["environment"], *application["secrets"], *application["connections"]]
        brokers = [name for name in names if _BROKER.search(str(name).upper())]
        brokers += [entry["to"] for entry in application["connections"].values() if entry["to"].startswith("redis")]
        if label is not None and not brokers:
            allowed = "one, such as connections: CELERY_BROKER_URL: {to: redis_broker, user: ...}; or a variable whose name says BROKER"
            yield Problem(f"applications.{name}.connections", f"without a broker, while {label} is a process of Celery", allowed)


def _queue_problems(applications: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Celery workers of two applications at one queue: each takes the other's tasks too, does not know them and throws them away."""
    brokers = {
        (name, variable): str(entry["database"] or "0")
        for name, application in applications.items()
        for variable, entry in application["connections"].items()
        if entry["to"] == "redis_broker"
    }
    free = next(str(number) for number in itertools.count(1) if str(number) not in brokers.values())
    consumers: dict[tuple[str, str], str] = {}
    for (name, variable), database in brokers.items():
        queues = {
            queue: None
            for process in applications[name]["processes"].values()
            if process["type"] == "celery"
            for queue in process["queues"]
        }
        shared = [(queue, consumers[database, queue]) for queue in queues if consumers.setdefault((database, queue), name) != name]
        for queue, other in shared[:1]:
            given = f"{database!r}, where the workers of {other} take from the queue {queue}, too"
            allowed = f'a database of its own, such as "{free}", or other queues: a worker throws away the tasks that it does not know'
            yield Problem(f"applications.{name}.connections.{variable}.database", given, allowed)


def _release_problems(place: str, application: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not fit the way in which a new release takes over."""
    release = application["release"]
    steps = release["steps"]
    if list(steps) != sorted(set(steps)) or steps[-1] != 100:
        yield Problem(f"{place}.release.steps", str(list(steps)), "growing shares that end with 100, such as [10, 50, 100]")
    if release["strategy"] == "rolling":
        return
    if not application["domains"]:
        allowed = "rolling, or domains of the application: nginx shifts the requests of a site"
        yield Problem(f"{place}.release.strategy", repr(release["strategy"]), allowed)
    for label in application["processes"]:  # names of units and services
        beside = label.removesuffix(f"-{BESIDE}")
        if beside != label and beside in application["processes"]:
            yield Problem(f"{place}.processes.{label}", "given", f"another name: {label} is what runs beside {beside}")


def _variable_problems(place: str, application: Mapping[str, Any]) -> Iterator[Problem]:
    """Every variable has one source; what is required is there; what must differ does."""
    sources: dict[str, str] = {}
    carried = [("environment", list(application["environment"])), ("secrets", list(application["secrets"]))]
    carried.append(("connections", [variable for entry in application["connections"].items() for variable in _variables_of(*entry)]))
    for table, names in carried:
        for variable in names:
            if variable in sources:
                given = "twice" if sources[variable] == table else f"as well as in {sources[variable]}"
                yield Problem(f"{place}.{table}.{variable}", given, "one of the two places")
            sources.setdefault(variable, table)
    if application["secret_delivery"] == "files":
        for variable in [name for name in sources if name.endswith("_FILE")]:
            if variable.removesuffix("_FILE") in application["secrets"] or variable.removesuffix("_FILE") in application["connections"]:
                allowed = f"nothing: it tells the application the file of {variable.removesuffix('_FILE')}"
                yield Problem(f"{place}.{sources[variable]}.{variable}", "given", allowed)
    for number, name in enumerate(application["required"]):
        if name not in sources:
            near = difflib.get_close_matches(name, sources, n=1)
            allowed = f"a name in environment, secrets or connections{f'; did you mean {near[0]}?' if near else ''}"
            yield Problem(f"{place}.required[{number}]", repr(name), allowed)
    secrets = application["secrets"]
    for number, names in enumerate(application["different"]):
        for name in names:
            if name not in secrets:
                yield Problem(f"{place}.different[{number}]", repr(name), f"names in secrets: {', '.join(secrets) or 'there are none'}")
        known = [name for name in names if name in secrets]
        for index, name in enumerate(known):
            same = next((other for other in known[:index] if str(secrets[other]) == str(secrets[name])), None)
            if same:
                yield Problem(f"{place}.secrets.{name}", f"the same as {same}", "a secret of its own (different)")


def _variables_of(name: str, entry: Mapping[str, Any]) -> list[str]:
    """The variables that one connection is delivered in."""
    found = [variable for variable in entry["parts"].values() if variable] if entry["parts"] else [name]
    pool = entry["pool"] or {}
    return found + [pool[key] for key in ("size_variable", "overflow_variable") if pool.get(key)]


def _file_problems(file: Mapping[str, Any], base: str) -> Iterator[tuple[str, str, str]]:
    """(the rest of the name, given, allowed) of one file of the application's own."""
    both = [key for key in ("content", "source") if file[key] is not None]
    if len(both) != 1:
        yield "", f"{file['path']!r} with {' and '.join(both) or 'neither'}", "one of content and source (a file on the controller)"
        return
    content = file["content"].encode() if file["content"] is not None else b""
    if file["source"] is not None:
        path = Path(base) / file["source"]
        if not path.is_file():
            yield ".source", repr(file["source"]), f"a file on the controller ({path} is none)"
            return
        content = path.read_bytes() if file["sha256"] else b""
    found = hashlib.sha256(content).hexdigest()
    if file["sha256"] and found != file["sha256"]:
        yield ".sha256", f"'{file['sha256'][:12]}...', but the file's is {found}", "the checksum of what is meant"


# -- defaults ----------------------------------------------------------------------------------------------------------


def filled(applications: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The applications with every default in its place; what has none and was not given is None."""
    option = spec()["applications"]
    found: dict[str, dict[str, Any]] = {str(name): _filled(value, option) for name, value in applications.items()}
    for application in found.values():
        for process in application["processes"].values():
            role = role_of(process)
            process["hosts"] = process["hosts"] or role
            process["instances"] = process["instances"] or (2 if role == "api" else 1)
            if process["singleton"] is None:
                process["singleton"] = process["type"] in ("celery_beat", "scheduled")
            process["stop_timeout"] = process["stop_timeout"] or (300 if process["type"] in ("celery", "command") else 30)
    return found


def _filled(value: Mapping[str, Any], option: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping with the defaults of its options, at every depth."""
    found = {}
    for name, inner in option["options"].items():
        given = value.get(name, inner.get("default"))
        if inner.get("options") and isinstance(given, Mapping):
            several = inner.get("elements") == "dict"
            given = {str(key): _filled(item, inner) for key, item in given.items()} if several else _filled(given, inner)
        elif inner.get("options") and isinstance(given, (list, tuple)):
            given = [_filled(item, inner) for item in given]
        found[name] = arguments.typed(given, str(inner.get("type", "str")))
    return found


def role_of(process: Mapping[str, Any]) -> str:
    """The role that runs a process."""
    return next(role for role, types in ROLES.items() if process["type"] in types)


def processes_of(applications: Mapping[str, Any], role: str) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """(application, process, the application's entry, the process' entry) of a role; of filled applications."""
    for name, application in applications.items():
        for label, process in application["processes"].items():
            if role_of(process) == role:
                yield name, label, application, process


def places(applications: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(application, process, the process' entry) of every process, with its group in `hosts`."""
    complete = filled(applications)
    return [(name, label, process) for role in ROLES for name, label, _application, process in processes_of(complete, role)]


def connections_of(applications: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, the entry) of every connection, those of migrations too."""
    for name, application in filled(applications).items():
        for table, entries in (
            ("connections", application["connections"]),
            ("migrate.connections", (application["migrate"] or {}).get("connections", {})),
        ):
            for variable, entry in entries.items():
                yield f"applications.{name}.{table}.{variable}", entry


# -- the wiring --------------------------------------------------------------------------------------------------------


def services(applications: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What answers requests, as services of the wiring: one for each asgi and wsgi process, and one for what may run beside it."""
    found = {}
    for name, label, application, process in processes_of(filled(applications), "api"):
        service = {
            "group": process["hosts"],
            "variable": f"applications.{name}.processes.{label}.port",
            "port": process["port"],
            "count": process["instances"],
            "one_address": True,
        }
        found[f"{name}-{label}"] = service
        if _goes_beside(application):
            found[f"{name}-{label}-{BESIDE}"] = {**service, "port": process["port"] + process["instances"]}
    return found


def timers(applications: Mapping[str, Any]) -> list[str]:
    """The timers of all scheduled processes."""
    return [
        f"{name}-{label}.timer"
        for name, label, _application, process in processes_of(filled(applications), "celery_workers")
        if process["type"] == "scheduled"
    ]


def _goes_beside(application: Mapping[str, Any]) -> bool:
    """Whether a new release of it runs beside the present one before it takes over."""
    return bool(application["release"]["strategy"] != "rolling")


def flows(applications: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Who connects to whom: nginx and monitoring to what answers requests, and the hosts of each application to what it names."""
    complete = filled(applications)
    found = [{"to": name, "from": ["nginx", "monitoring"]} for name in services(applications)]
    wanted: dict[str, list[str]] = {}
    for application in complete.values():
        hosts = [process["hosts"] for process in application["processes"].values() if groups.get(process["hosts"])]
        for entry in application["connections"].values():
            wanted[entry["to"]] = wanted.get(entry["to"], []) + hosts
        for entry in (application["migrate"] or {}).get("connections", {}).values():
            role = migrating_role(application)
            of_role = [process["hosts"] for process in application["processes"].values() if role_of(process) == role]
            wanted[entry["to"]] = wanted.get(entry["to"], []) + [group for group in of_role if groups.get(group)]
    return found + [{"to": to, "from": list(dict.fromkeys(hosts))} for to, hosts in wanted.items() if hosts]


def migrating_role(application: Mapping[str, Any]) -> str:
    """The first role that has a process of the application: its first host migrates."""
    return next(name for name in ROLES if any(role_of(process) == name for process in application["processes"].values()))


def endpoints(applications: Mapping[str, Any], peers: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What answers requests, with its listeners as one host reaches them. `peers`: {service: [{host, address, port, url}]}."""
    return [
        {
            "application": name,
            "process": label,
            "service": f"{name}-{label}",
            "health": application["health"],
            "listeners": list(peers.get(f"{name}-{label}", [])),
        }
        for name, label, application, _process in processes_of(filled(applications), "api")
    ]


def sites(
    applications: Mapping[str, Any], peers: Mapping[str, Sequence[Mapping[str, Any]]], shares: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """The domains of all applications as `nginx_sites` of the role nginx.

    `shares`: application -> percent of its requests that go to the release beside the present one, while it is there.
    """
    found = []
    complete = filled(applications)
    for name, number, domain in domains_of(applications):
        application = complete[name]
        site = {key: value for key, value in domain.items() if key not in ("names", "process", "paths")}
        site |= {"name": name if number == 0 else f"{name}-{number + 1}", "server_names": domain["names"]}
        share = (shares or {}).get(name)
        site["upstreams"] = _upstreams(name, application, domain.get("process"), peers, share)
        if share is not None:
            asked = [domain.get("process"), *(path.get("process") for path in domain.get("paths", []))]
            site["weights"] = {
                server: weight
                for process in asked
                for side, weight in (("", 100 - share), (f"-{BESIDE}", share))
                for server in _listeners(name, application, process, peers, side)
            }
        site |= {"health_path": application["health"]["live"], "metrics_path": application["health"]["metrics"]}
        site["paths"] = [
            {key: value for key, value in path.items() if key != "process"}
            | ({"upstreams": _upstreams(name, application, path["process"], peers, share)} if path.get("process") else {})
            for path in domain.get("paths", [])
        ]
        found.append(site)
    return found


def domains_of(applications: Mapping[str, Any]) -> list[tuple[str, int, Mapping[str, Any]]]:
    """(application, number, entry as it was written) of every domain, in the order of `sites`."""
    return [(str(name), number, domain) for name, entry in applications.items() for number, domain in enumerate(entry.get("domains", []))]


def _upstreams(
    name: str, application: Mapping[str, Any], process: str | None, peers: Mapping[str, Sequence[Mapping[str, Any]]], share: int | None
) -> list[str]:
    sides = [""] if share is None else ["", f"-{BESIDE}"]
    return [server for side in sides for server in _listeners(name, application, process, peers, side)]


def _listeners(
    name: str, application: Mapping[str, Any], process: str | None, peers: Mapping[str, Sequence[Mapping[str, Any]]], side: str = ""
) -> list[str]:
    """address:port of every instance of a process, by default the first that answers requests, or of what runs beside it."""
    label = process or next(iter(_answering(application)), "")
    return [str(listener["url"]) for listener in peers.get(f"{name}-{label}{side}", [])]


def steps(
    applications: Mapping[str, Any], peers: Mapping[str, Sequence[Mapping[str, Any]]], built: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """How the new releases take over that run beside the present ones: one entry for each share of each application, in order.

    `built`: what slipway.stack.release answered on every host of the api: {item: application, path, live: {link: path}}. An application
    takes part when one of its hosts serves another release than the new one.
    """
    found = []
    for name, application in filled(applications).items():
        shifting = [entry for entry in built if entry["item"] == name and _serves_another(entry)]
        if not shifting or not _goes_beside(application):
            continue
        release = application["release"]
        labels = _answering(application)
        for share in release["steps"] if release["strategy"] == "canary" else [100]:
            found.append(
                {
                    "application": name,
                    "share": share,
                    **{key: value for key, value in release.items() if key not in ("strategy", "steps")},
                    "new": [server for label in labels for server in _listeners(name, application, label, peers, f"-{BESIDE}")],
                    "old": [server for label in labels for server in _listeners(name, application, label, peers)],
                    "units": "|".join(f"{name}-{label}-{BESIDE}@.+" for label in labels),
                }
            )
    return found


def _serves_another(built: Mapping[str, Any]) -> bool:
    """Whether a host answers requests with another release than the one it has built; a build that failed says neither."""
    served = built.get("live", {}).get(LINKS["api"])
    return bool(served) and served != built["path"]


def _answering(application: Mapping[str, Any]) -> list[str]:
    """The processes that answer requests."""
    return [label for label, process in application["processes"].items() if role_of(process) == "api"]


def told_as_domain(text: str, applications: Mapping[str, Any]) -> str:
    """A message about `nginx_sites[1].server_names[0]` as one about `applications.shop.domains[0].names[0]`."""
    places = [f"applications.{name}.domains[{number}]" for name, number, _domain in domains_of(applications)]
    for number, place in enumerate(places):
        text = text.replace(f"nginx_sites[{number}].server_names", f"{place}.names").replace(f"nginx_sites[{number}]", place)
    return text


def database_clients(applications: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> int:
    """Connections to PostgreSQL or pgbouncer that all processes of the inventory together may open."""
    total = 0
    for role in ROLES:
        for _name, _label, application, process in processes_of(filled(applications), role):
            pools = [
                entry["pool"] or {"size": 5, "overflow": 5} for entry in application["connections"].values() if entry["to"] in POSTGRES
            ]
            if process["type"] in ("celery", "celery_beat", "scheduled"):
                each = len(pools) * (process["concurrency"] if process["type"] == "celery" else 1)  # a child does one thing at a time
            else:
                each = sum(pool["size"] + pool["overflow"] for pool in pools) * process["workers"]
            hosts = 1 if process["singleton"] else len(groups.get(process["hosts"], []))
            beside = 2 if role == "api" and _goes_beside(application) else 1  # while a release takes over
            total += hosts * process["instances"] * each * beside
    return total


# -- one host ----------------------------------------------------------------------------------------------------------


def on_host(
    applications: Mapping[str, Any],
    role: str,
    host: str,
    groups: Mapping[str, Sequence[str]],
    wiring: Mapping[str, Any],
    connections: Mapping[str, Any],
    running: Sequence[str],
    base: str = "",
    beside: bool = False,
) -> list[dict[str, Any]]:
    """The applications that `role` runs on `host`, with all that is derived for them.

    `beside`: instead, what runs beside them while a new release takes over; of those for which one does.

    `wiring`: {listen: {service: [address]}, clients: {service: [{address}]}}; `connections`: see connections.connection;
    `running`: the hosts of this play, of which the first migrates. Raises ApplicationError.
    """
    wrong = problems(applications, base)
    if wrong:
        raise ApplicationError(
            arguments.message("The applications have", [problem.sentence() for problem in wrong], "nothing was changed.")
        )
    found = []
    for name, application in filled(applications).items():
        here = [
            (label, process)
            for label, process in application["processes"].items()
            if role_of(process) == role and _runs_on(process, host, groups)
        ]
        if here and (not beside or _goes_beside(application)):
            compiled = _compiled(name, application, role, connections, base, f"-{BESIDE}" if beside else "")
            compiled["migrate"] = _migration(application, role, host, groups, connections, running)
            compiled["processes"] = [_process(compiled, label, process, wiring) for label, process in here]
            found.append(compiled)
    return found


def _runs_on(process: Mapping[str, Any], host: str, groups: Mapping[str, Sequence[str]]) -> bool:
    hosts = list(groups.get(process["hosts"], []))
    return host in (hosts[:1] if process["singleton"] else hosts)


def _compiled(
    name: str, application: Mapping[str, Any], role: str, connections: Mapping[str, Any], base: str, side: str = ""
) -> dict[str, Any]:
    """What all processes of an application share. `side`: the end of the names of what runs beside the present release."""
    plain, secret = _delivered(application["connections"], connections)
    home, settings = f"/opt/{name}", f"/etc/{name}{side}"
    folders = [{"path": settings, "owner": "root", "group": "root", "mode": "0755"}]
    # The units would make it too, but the first migration runs before any of them.
    if not any(folder["path"] == f"/var/lib/{name}" for folder in application["directories"]):
        folders.append({"path": f"/var/lib/{name}", "owner": name, "group": name, "mode": "0750"})
    for folder in application["directories"]:
        owner = name if folder["writable"] else "root"
        folders.append({"path": folder["path"], "owner": owner, "group": name, "mode": folder["mode"]})
    secrets = {**secret, **application["secrets"]}
    kept = ("source", "python", "installer", "uv_version", "build", "secret_delivery", "keep_releases")
    guarded = bool(application["migrate"]) and any(entry["to"] == "postgres" for entry in _migrating(application).values())
    return {
        "name": name,
        **{key: application[key] for key in kept},
        "packages": application["packages"] + (["python3-psycopg2"] if guarded else []),  # of module_utils/release/guard.py
        "files": [{**file, "source": str(Path(base) / file["source"]) if file["source"] else None} for file in application["files"]],
        "source": {key: value for key, value in application["source"].items() if value is not None},
        "environment": {**plain, **application["environment"]},
        "secrets": secrets,
        "secret_files": [{"path": f"{settings}/secrets/{key}", "content": str(value), "group": name} for key, value in secrets.items()],
        "folders": folders,
        "writable": [folder["path"] for folder in application["directories"] if folder["writable"]],
        "settings": settings,
        "secrets_folder": f"{settings}/secrets",
        "side": side,
        "link": f"{home}/{BESIDE if side else LINKS[role]}",
        "broker_url": _first_url(application["connections"], "redis_broker", connections),
        "ready": application["health"]["ready"],
        "host": application["health"]["host"],
    }


def _migrating(application: Mapping[str, Any]) -> dict[str, Any]:
    """The connections that a migration has, its own first."""
    own: Mapping[str, Any] = (application["migrate"] or {}).get("connections", {})
    return {**own, **{name: entry for name, entry in application["connections"].items() if name not in own}}


def _first_url(wanted: Mapping[str, Mapping[str, Any]], service: str, table: Mapping[str, Any]) -> str:
    """The URL of the first connection to a service, for tools that are not the application; empty where there is none."""
    for entry in wanted.values():
        if entry["to"] == service:
            return str(connection({key: entry[key] for key in ("to", "user", "database") if entry.get(key) is not None}, table))
    return ""


def _delivered(wanted: Mapping[str, Mapping[str, Any]], table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(plain, secret) variables that carry the connections."""
    plain: dict[str, Any] = {}
    secret: dict[str, Any] = {}
    for name, entry in wanted.items():
        asked = {key: entry[key] for key in ("to", "user", "database", "scheme", "options") if entry.get(key) is not None}
        if entry["parts"]:
            parts = connection({**asked, "form": "parts"}, table)
            for part, variable in entry["parts"].items():
                if variable:
                    (secret if part == "password" else plain)[variable] = parts[part]
        else:
            secret[name] = connection(asked, table)
        pool = entry.get("pool") or {}
        for key in ("size", "overflow"):
            if pool.get(f"{key}_variable"):
                plain[pool[f"{key}_variable"]] = pool[key]
    return plain, secret


def _migration(
    application: Mapping[str, Any],
    role: str,
    host: str,
    groups: Mapping[str, Sequence[str]],
    connections: Mapping[str, Any],
    running: Sequence[str],
) -> dict[str, Any]:
    """Once for each release, on the first host of this run that has a process of the first role that has one."""
    migrate, first_role = application["migrate"], migrating_role(application)
    candidates = {
        member
        for process in application["processes"].values()
        if role_of(process) == first_role
        for member in groups.get(process["hosts"], [])
    }
    if not migrate or role != first_role or host != next((name for name in running if name in candidates), ""):
        nothing: dict[str, Any] = {"command": [], "check": [], "files": [], "environment": {}, "secrets": {}}
        return {**nothing, "timeout": 1800, "database": "", "lock_timeout": 0}
    plain, secret = _delivered(migrate["connections"], connections)
    return {
        "command": migrate["command"],
        "check": migrate["check"],
        "files": migrate["files"],
        "environment": {**plain, **migrate["environment"]},
        "secrets": {**secret, **migrate["secrets"]},
        "timeout": migrate["timeout"],
        "database": _first_url(_migrating(application), "postgres", connections),
        "lock_timeout": migrate["lock_timeout"],
    }


# -- one process -------------------------------------------------------------------------------------------------------


def _process(application: Mapping[str, Any], label: str, process: Mapping[str, Any], wiring: Mapping[str, Any]) -> dict[str, Any]:
    """A process as units of systemd."""
    name, kind = application["name"], process["type"]
    service = f"{name}-{label}{application['side']}"
    if application["side"]:
        process = {**process, "port": process["port"] + process["instances"]}
    if kind == "celery":
        process = {**process, "environment": _with_library(application["environment"], process["environment"])}
    listen = next(iter(wiring.get("listen", {}).get(service, [])), "127.0.0.1")
    address = f"[{listen}]" if ":" in listen else listen
    proxies = [client["address"] for client in wiring.get("clients", {}).get(service, [])] or ["127.0.0.1"]
    single = kind in ("celery_beat", "scheduled")
    unit_file = f"/etc/systemd/system/{service}{'' if single else '@'}.service"
    ports = range(process["port"], process["port"] + process["instances"])
    instances = [""] if single else list(map(str, ports if role_of(process) == "api" else range(1, process["instances"] + 1)))
    own_settings = f"{application['settings']}/{label}.env"
    exceptions = {"MemoryDenyWriteExecute": "runtime_code, it writes code at run time"} if process["runtime_code"] else {}
    words = _command(application, label, process, address, proxies)
    return {
        **{key: process[key] for key in ("type", "calendar", "stop_timeout", "start_timeout", "settle", "run_timeout")},
        "name": label,
        "application": name,
        "service": service,
        "mark": role_of(process) + application["side"].replace("-", "_"),
        "unit_file": unit_file,
        "units": [
            {
                "name": f"{service}@{instance}.service" if instance else f"{service}.service",
                "url": f"http://{_probe(listen)}:{instance}{application['ready']}" if role_of(process) == "api" else "",
            }
            for instance in instances
        ],
        "lines": _lines(application, process, label, own_settings, single),
        "command": " ".join(_word(word) for word in words),
        "environment": process["environment"],
        "environment_file": own_settings,
        "restart_on": [
            unit_file,
            f"{application['settings']}/{name}.env",
            own_settings,
            application["secrets_folder"],
            f"{application['secrets_folder']}.env",
            application["link"],
            *[entry["path"] for entry in application["files"]],
        ],
        "sandbox": {
            "write": application["writable"],
            "networks": process["networks"] or ANYWHERE,
            "except": {**exceptions, **process["sandbox_exceptions"]},
        },
        "host": application["host"],
        "longest_restart": process["start_timeout"] + process["settle"] + process["stop_timeout"] + 10,
    }


def _with_library(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A worker's own settings. An import path in the settings would take the place of the unit's, so it gets that one in front."""
    given = own.get("PYTHONPATH", shared.get("PYTHONPATH"))
    return {**own, "PYTHONPATH": f"{CELERY_LIBRARY}:{given}"} if given else dict(own)


def _probe(address: str) -> str:
    """The address by which the host itself asks an instance."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"[{own}]" if ":" in own else own


def _command(application: Mapping[str, Any], label: str, process: Mapping[str, Any], address: str, proxies: Sequence[str]) -> list[str]:
    """The words of the command; the program comes from the release that is live."""
    name, kind, app, stop = application["name"], process["type"], process["app"], process["stop_timeout"]
    if process["command"]:
        own = list(process["command"])
    elif kind == "asgi":
        own = ["uvicorn", app, f"--host={address.strip('[]')}", "--port={port}", f"--workers={process['workers']}", "--proxy-headers"]
        own += [f"--forwarded-allow-ips={','.join(proxies)}", "--no-access-log", "--no-server-header"]
        own += [f"--timeout-graceful-shutdown={stop}"]
    elif kind == "wsgi":
        own = ["gunicorn", app, "--bind={address}:{port}", f"--workers={process['workers']}", f"--threads={process['threads']}"]
        # nginx must be the one who closes an idle connection (its keepalive_timeout is 4 s).
        own += [f"--forwarded-allow-ips={','.join(proxies)}", f"--graceful-timeout={stop}", "--keep-alive=75", f"--name={name}-{label}"]
    elif kind == "celery":
        own = ["celery", f"--app={app}", "worker", "--include=slipway_worker_ready", f"--hostname={name}-{label}-{{instance}}@%h"]
        own += [f"--queues={','.join(process['queues'])}", f"--concurrency={process['concurrency']}"]
        own += [f"--prefetch-multiplier={process['prefetch']}"]
        for option in ("max_tasks_per_child", "time_limit", "soft_time_limit"):
            if process[option]:
                own.append(f"--{option.replace('_', '-')}={process[option]}")
        own += ["--loglevel=INFO", "--without-gossip", "--without-mingle"]
    else:
        # No pid file: one that a crash left behind would keep beat from starting.
        own = ["celery", f"--app={app}", "beat", "--loglevel=INFO", "--pidfile=", f"--scheduler={process['scheduler']}"]
        own += [f"--schedule=/var/lib/{name}/celerybeat-schedule-{label}"]
    found: list[str] = [*process["exec_prefix"], *own, *process["arguments"]]
    program = found[0] if found[0].startswith("/") else f"{application['link']}/venv/bin/{found[0]}"
    return [program, *(word.replace("{address}", address) for word in found[1:])]


def _word(text: str) -> str:
    """One word of ExecStart: quoted, with systemd's own signs doubled; {port} and {instance} are the unit's instance."""
    quoted = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"' + quoted.replace("{port}", "%i").replace("{instance}", "%i") + '"'


def _lines(application: Mapping[str, Any], process: Mapping[str, Any], label: str, own_settings: str, single: bool) -> list[str]:
    """Account, release, settings and limits, as lines of a [Service] section."""
    name, link, settings = application["name"], application["link"], application["settings"]
    lines = [
        f"User={name}",
        f"Group={name}",
        f"StateDirectory={name}",
        "StateDirectoryMode=0750",
        f"WorkingDirectory={link}/source",
        f"Environment=PATH={link}/venv/bin:/usr/local/bin:/usr/bin:/bin VIRTUAL_ENV={link}/venv HOME=/var/lib/{name}",
        f"Environment={'PORT=%i ' if role_of(process) == 'api' else ''}PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1",
        f"EnvironmentFile={settings}/{name}.env",
    ]
    if process["environment"]:
        lines.append(f"EnvironmentFile={own_settings}")
    if application["secret_delivery"] == "environment":
        lines.append(f"EnvironmentFile={application['secrets_folder']}.env")
    else:
        lines += [f"Environment={key}_FILE={application['secrets_folder']}/{key}" for key in sorted(application["secrets"])]
    lines += [f"SyslogIdentifier={name}-{label}" + ("" if single else "-%i"), "LimitNOFILE=65536"]
    if process["memory_max"]:
        # Swap would only hide that the limit is reached.
        lines += [f"MemoryMax={process['memory_max']}", "MemorySwapMax=0"]
    if process["cpu_max"]:
        lines.append(f"CPUQuota={process['cpu_max']}")
    return lines
