"""The contract with applications that people have: five deployment guides, the example of this repository, and public ones."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = Path(__file__).parent / "contracts"
GROUPS = {"api": ["app1", "app2"], "celery_workers": ["jobs1", "app1"], "all": ["app1", "app2", "jobs1", "data1"]}
Compiled = dict[str, Any]


def read(name: str) -> dict[str, Any]:
    """A file's applications; what an inventory would look up is a text of its own."""
    text = re.sub(r"\{\{ (\w+) \}\}", lambda found: sha256(found[1].encode()).hexdigest()[:32], (CONTRACTS / f"{name}.yml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)["applications"]
    return found


def table(applications: dict[str, Any]) -> dict[str, Any]:
    """Everything that the connections of the applications name."""
    wanted = [
        entry
        for application in applications.values()
        for part in (application, application.get("migrate", {}))
        for entry in part.get("connections", {}).values()
    ]
    accounts = [{"name": name, "password": f"pw/{name}"} for name in {entry["user"] for entry in wanted}]
    services = {"pgbouncer": 6432, "postgres": 5432, "redis_broker": 6379, "redis_cache": 6380}
    return {
        "endpoints": {name: {"address": "10.0.0.9", "port": port} for name, port in services.items()},
        "postgres_users": accounts,
        "postgres_databases": [{"name": name} for name in {entry.get("database") for entry in wanted}],
        "redis_users": accounts,
    }


def on_host(applications: dict[str, Any], role: str = "api", host: str = "app1", **more: Any) -> list[Compiled]:
    running = more.pop("running", GROUPS["all"])
    return contract.on_host(applications, role, host, GROUPS, more, table(applications), running, str(ROOT))


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_application_that_people_have_can_be_said(path: Path) -> None:
    applications = read(path.stem)
    assert [problem.sentence() for problem in contract.problems(applications, str(ROOT))] == []
    (name,) = applications
    said = set(applications[name]["processes"])
    single = {label for _name, label, process in contract.places(applications) if process["singleton"]}
    done = {
        host: {process["name"] for role in contract.ROLES for entry in on_host(applications, role, host) for process in entry["processes"]}
        for host in ("app1", "jobs1")
    }
    assert done["app1"] == said - single, "app1 is in both groups, and jobs1 is the first of the workers"
    assert done["app1"] | done["jobs1"] == said
    assert single <= done["jobs1"]


def test_the_examples_of_the_page_are_true() -> None:
    page = (ROOT / "docs/applications.md").read_text()
    examples = re.findall(r"(?s)```yaml\n(.*?)```", page)
    assert len(examples) >= 3
    for example in examples:
        text = re.sub(r"\{\{ (\w+) \}\}", lambda found: sha256(found[1].encode()).hexdigest()[:32], example)
        applications = yaml.safe_load(text)["applications"]
        assert [problem.sentence() for problem in contract.problems(applications, str(ROOT / "examples/orders"))] == []
        assert on_host(applications)


def test_orders() -> None:
    (orders,) = on_host(read("orders"), listen={"orders-web": ["10.0.0.3"]}, clients={"orders-web": [{"address": "10.0.0.2"}]})
    (web,) = orders["processes"]
    assert [(unit["name"], unit["url"]) for unit in web["units"]] == [
        ("orders-web@8000.service", "http://10.0.0.3:8000/health/ready"),
        ("orders-web@8001.service", "http://10.0.0.3:8001/health/ready"),
    ]
    assert web["command"] == (
        '"/opt/orders/current/venv/bin/uvicorn" "orders.main:app" "--host=10.0.0.3" "--port=%i" "--workers=1" "--proxy-headers" '
        '"--forwarded-allow-ips=10.0.0.2" "--no-access-log" "--no-server-header" "--timeout-graceful-shutdown=30"'
    )
    assert orders["secrets"]["DATABASE_URL"] == "postgresql+asyncpg://orders_app:pw%2Forders_app@10.0.0.9:6432/orders"
    assert orders["environment"] == {"DATABASE_POOL_SIZE": 5, "DATABASE_MAX_OVERFLOW": 5, "ENVIRONMENT": "production", "LOG_LEVEL": "INFO"}
    assert "Environment=DATABASE_URL_FILE=/etc/orders/secrets/DATABASE_URL" in web["lines"]
    assert orders["migrate"]["command"] == ["alembic", "upgrade", "head"]
    assert list(orders["migrate"]["secrets"]) == ["DATABASE_ADMIN_URL"]


def test_workers_share_the_release_and_the_settings_of_the_api() -> None:
    (web,), (jobs,) = on_host(read("orders")), on_host(read("orders"), "celery_workers", "jobs1")
    differ = {key for key in web if web[key] != jobs[key]}
    assert differ == {"link", "migrate", "processes"}
    (both,) = on_host(read("orders"), "celery_workers", "app1")
    assert (jobs["migrate"]["command"], both["migrate"]["command"]) == ([], []), "the api migrates, also on a host that has both"
    units = [unit["name"] for process in jobs["processes"] for unit in process["units"]]
    assert units == ["orders-default@1.service", "orders-reports@1.service", "orders-beat.service"]
    assert '"--hostname=orders-default-%i@%%h" "--queues=default" "--concurrency=2"' in jobs["processes"][0]["command"]


def test_an_application_without_an_api_is_migrated_by_its_workers() -> None:
    applications = read("orders")
    del applications["orders"]["processes"]["web"], applications["orders"]["domains"]
    done = {host: on_host(applications, "celery_workers", host)[0]["migrate"]["command"] for host in ("jobs1", "app1")}
    assert done == {"jobs1": [], "app1": ["alembic", "upgrade", "head"]}, "once, on the first host of the run that runs it"


def test_the_first_host_that_is_there_migrates() -> None:
    applications = read("orders")
    for running, migrates in ((["app1", "app2"], "app1"), (["app2"], "app2"), (["data1"], "")):
        found = [host for host in ("app1", "app2") if on_host(applications, host=host, running=running)[0]["migrate"]["command"]]
        assert found == ([migrates] if migrates else [])


def test_guide_000_two_keys_and_its_pool() -> None:
    applications = read("guide-000")
    (mass,) = on_host(applications)
    assert mass["processes"][0]["command"].startswith('"/opt/mass/current/venv/bin/newrelic-admin" "run-program" "uvicorn" "app.main:app"')
    assert mass["secrets"]["DATABASE_URL"].endswith("/mass_db?prepared_statement_cache_size=0")
    assert "EnvironmentFile=/etc/mass/secrets.env" in mass["processes"][0]["lines"]
    # 2 instances on 2 hosts, 60 connections each (PG-11)
    assert contract.database_clients(applications, GROUPS) == 2 * 2 * 60
    applications["mass"]["processes"]["web"]["workers"] = 3
    assert contract.database_clients(applications, GROUPS) == 2 * 2 * 3 * 60
    applications["mass"]["secrets"]["JWT_SECRET_KEY"] = applications["mass"]["secrets"]["SECRET_KEY"]
    (problem,) = contract.problems(applications, str(ROOT))
    assert problem.sentence() == (
        "applications.mass.secrets.JWT_SECRET_KEY is the same as SECRET_KEY; allowed: a secret of its own (different)"
    )


def test_guide_001_replicas_of_a_worker() -> None:
    (ssr,) = on_host(read("guide-001"), "celery_workers")
    (worker,) = ssr["processes"]
    assert [unit["name"] for unit in worker["units"]] == [f"ssr-worker@{number}.service" for number in range(1, 6)]
    assert {"MemoryMax=2G", "MemorySwapMax=0", "CPUQuota=100%"} <= set(worker["lines"])
    assert '"--concurrency=16" "--prefetch-multiplier=1" "--max-tasks-per-child=50"' in worker["command"]


def test_guide_002_a_consumer_is_a_process() -> None:
    (clarity,) = on_host(read("guide-002"), "celery_workers")
    assert clarity["processes"][0]["command"] == '"/opt/clarity/current-workers/venv/bin/python" "-m" "clarity.consumer"'


def test_guide_003_exceptions_carry_their_reasons() -> None:
    (backend,) = on_host(read("guide-003"))
    assert backend["processes"][0]["sandbox"]["except"] == {
        "MemoryDenyWriteExecute": "runtime_code, it writes code at run time",
        "@resources": "torch sets the affinity of its threads",
    }
    assert backend["processes"][0]["sandbox"]["write"] == ["/var/log/ai-backend"]


def test_guide_004_parts_of_an_address() -> None:
    (fineman,) = on_host(read("guide-004"))
    parts = {name: fineman["environment"][name] for name in ("DB_HOST", "DB_PORT", "DB_USER", "DB_NAME")}
    assert parts == {"DB_HOST": "10.0.0.9", "DB_PORT": 6432, "DB_USER": "fineman_app", "DB_NAME": "fineman_west"}
    assert fineman["secrets"]["DB_PASSWORD"] == "pw/fineman_app"
    assert "DATABASE" not in fineman["secrets"] | fineman["environment"]
    assert fineman["migrate"]["environment"]["DB_PORT"] == 5432
    (workers,) = on_host(read("guide-004"), "celery_workers", "jobs1")
    assert [unit["name"] for unit in workers["processes"][0]["units"]] == ["fineman-vacuum.service"]
    assert workers["processes"][0]["calendar"] == "monthly"


def test_pretalx_a_secret_in_a_file_and_static_files_of_the_release() -> None:
    (pretalx,) = on_host(read("pretalx"))
    (settings,) = pretalx["files"]
    assert settings["secret"] is True
    assert pretalx["build"]["commands"] == ["sh -c 'PRETALX_FILESYSTEM_STATIC=$PWD/static python -m pretalx rebuild --silent'"]
    assert pretalx["environment"]["PRETALX_DB_NAME"] == "pretalx"
    assert pretalx["secrets"]["PRETALX_DB_PASS"] == "pw/pretalx"
    assert '"gunicorn" "pretalx.wsgi:application" "--bind=127.0.0.1:%i" "--workers=2"' in pretalx["processes"][0]["command"].replace(
        "/opt/pretalx/current/venv/bin/", ""
    )
    assert pretalx["migrate"]["check"] == ["python", "-m", "pretalx", "migrate", "--check"]


def test_prefect_a_factory_and_a_process_that_runs_once() -> None:
    (web,), (services,) = on_host(read("prefect")), on_host(read("prefect"), "celery_workers", "jobs1")
    assert web["processes"][0]["command"].endswith('"--timeout-graceful-shutdown=30" "--factory"')
    assert web["processes"][0]["environment"] == {"PREFECT__SERVER_WEBSERVER_ONLY": "1"}
    assert [process["name"] for process in services["processes"]] == ["services"]
    assert on_host(read("prefect"), "celery_workers", "app1") == []


def test_patchman_answers_to_its_own_name_only() -> None:
    (web,) = on_host(read("patchman"))
    assert web["processes"][0]["host"] == "patches.example.org"
    (jobs,) = on_host(read("patchman"), "celery_workers", "jobs1")
    assert '"--scheduler=django_celery_beat.schedulers:DatabaseScheduler"' in jobs["processes"][1]["command"]


def test_an_import_path_in_the_settings_does_not_hide_what_a_worker_says_to_systemd() -> None:
    library = yaml.safe_load((ROOT / "roles/celery_workers/vars/main.yml").read_text())["__celery_workers_library"]
    applications = read("patchman")
    processes = {entry["name"]: entry for entry in on_host(applications, "celery_workers", "jobs1")[0]["processes"]}
    assert processes["worker"]["environment"] == {"PYTHONPATH": f"{library}:/etc/patchman"}
    assert "EnvironmentFile=/etc/patchman/worker.env" in processes["worker"]["lines"]
    assert processes["beat"]["environment"] == {}
    applications["patchman"]["processes"]["worker"]["environment"] = {"PYTHONPATH": "/srv/own"}
    assert on_host(applications, "celery_workers", "jobs1")[0]["processes"][0]["environment"] == {"PYTHONPATH": f"{library}:/srv/own"}
    assert on_host(read("orders"), "celery_workers", "jobs1")[0]["processes"][0]["environment"] == {}


def test_services_for_the_wiring() -> None:
    services = contract.services(read("orders") | read("guide-000"))
    assert {name: (entry["group"], entry["port"], entry["count"]) for name, entry in services.items()} == {
        "orders-web": ("api", 8000, 2),
        "mass-web": ("api", 8080, 2),
    }
    assert contract.flows(read("orders"), GROUPS) == [
        {"to": "orders-web", "from": ["nginx", "monitoring"]},
        {"to": "pgbouncer", "from": ["api", "celery_workers"]},
        {"to": "redis_cache", "from": ["api", "celery_workers"]},
        {"to": "redis_broker", "from": ["api", "celery_workers"]},
        {"to": "postgres", "from": ["api"]},
    ]
    # Firestore and Pub/Sub are nothing of ours, and a group without hosts connects to nothing.
    assert contract.flows(read("guide-002"), GROUPS) == [{"to": "clarity-web", "from": ["nginx", "monitoring"]}]
    assert contract.flows(read("guide-004"), {"api": ["app1"]})[1:] == [
        {"to": "pgbouncer", "from": ["api"]},
        {"to": "postgres", "from": ["api"]},
    ]


PEERS = {"shop-web": [{"url": "10.0.0.3:8000"}, {"url": "10.0.0.3:8001"}], "shop-stream": [{"url": "10.0.0.4:8100"}]}


def test_timers_for_the_monitoring() -> None:
    applications = shop(
        processes={"report": {"type": "scheduled", "command": ["a"], "calendar": "daily"}, "w": {"type": "celery", "app": "a"}}
    )
    assert contract.timers(applications) == ["shop-report.timer"]


def test_domains_are_sites_of_nginx() -> None:
    applications = shop(
        health={"live": "/live", "metrics": "/metrics"},
        processes={"web": {"type": "asgi", "app": "shop:app"}, "stream": {"type": "asgi", "app": "shop:stream", "port": 8100}},
        domains=[
            {
                "names": ["shop.example.org"],
                "redirects": ["www.shop.example.org"],
                "tls_mode": "self_signed",
                "paths": [{"path": "/events", "process": "stream", "buffering": False}, {"path": "/static/", "static": "/srv/shop/static"}],
            },
            {"names": ["stream.example.org"], "process": "stream", "client_max_body_size": "1g"},
        ],
    )
    assert [problem.sentence() for problem in contract.problems(applications, str(ROOT))] == []
    first, second = contract.sites(applications, PEERS)
    assert first == {
        "name": "shop",
        "server_names": ["shop.example.org"],
        "redirects": ["www.shop.example.org"],
        "tls_mode": "self_signed",
        "upstreams": ["10.0.0.3:8000", "10.0.0.3:8001"],
        "health_path": "/live",
        "metrics_path": "/metrics",
        "paths": [
            {"path": "/events", "buffering": False, "upstreams": ["10.0.0.4:8100"]},
            {"path": "/static/", "static": "/srv/shop/static"},
        ],
    }
    assert (second["name"], second["upstreams"], second["client_max_body_size"]) == ("shop-2", ["10.0.0.4:8100"], "1g")


@pytest.mark.parametrize(
    ("domain", "sentence"),
    [
        ({"name": "x"}, "applications.shop.domains[0].name is an unknown key; allowed: did you mean names?"),
        ({}, "applications.shop.domains[0].names is missing; allowed: a list of texts"),
        (
            {"names": ["a.example"], "process": "wbe"},
            "applications.shop.domains[0].process is 'wbe'; allowed: a process of type asgi or wsgi: web",
        ),
        ({"names": ["a.example"], "read_timeout": "60s"}, "applications.shop.domains[0].read_timeout is '60s'; allowed: a whole number"),
        (
            {"names": ["a.example"], "paths": [{"path": "/x", "process": "web", "static": "/srv/x"}]},
            "applications.shop.domains[0].paths[0] is '/x' with two targets; allowed: process or static, not both",
        ),
        (
            {"names": ["a.example"], "paths": [{"path": "/x", "upstream": "y"}]},
            "applications.shop.domains[0].paths[0].upstream is an unknown key",
        ),
    ],
)
def test_what_is_wrong_with_a_domain(domain: dict[str, Any], sentence: str) -> None:
    told = [problem.sentence() for problem in contract.problems(shop(domains=[domain]), str(ROOT))]
    assert [line for line in told if line.startswith(sentence)], told


def test_words_of_a_command_reach_the_program_as_they_are() -> None:
    applications = read("guide-002")
    applications["clarity"]["processes"]["web"] |= {"command": ["serve", "--port={port}", '50% of "$HOME" \\ {address}'], "app": "a:b"}
    (clarity,) = on_host(applications, listen={"clarity-web": ["fd00::3"]})
    assert clarity["processes"][0]["command"] == ('"/opt/clarity/current/venv/bin/serve" "--port=%i" "50%% of \\"$$HOME\\" \\\\ [fd00::3]"')


def shop(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "source": {"type": "package", "requirement": "shop==1.0"},
        "processes": {"web": {"type": "asgi", "app": "shop:app"}},
    }
    return {"shop": entry | changes}


def web(**changes: Any) -> dict[str, Any]:
    return shop(processes={"web": {"type": "asgi", "app": "shop:app"} | changes})


@pytest.mark.parametrize(
    ("applications", "sentence"),
    [
        (shop(sources={}), "applications.shop.sources is an unknown key; allowed: did you mean source?"),
        ({"root": shop()["shop"]}, "applications: the name 'root' is 'root'; allowed:"),
        (shop(source={"type": "package"}), "applications.shop.source.requirement is missing"),
        (shop(source={"type": "image"}), "applications.shop.source.type is 'image'; allowed: directory, git, file, package"),
        (shop(processes={}), "applications.shop.processes is {}; allowed: at least one process"),
        (shop(processes={"Web Server": {"type": "asgi", "app": "a:b"}}), "applications.shop.processes: the name 'Web Server' is"),
        (web(type="asgy"), "applications.shop.processes.web.type is 'asgy'; allowed: asgi, wsgi, celery"),
        (web(app="shop"), "applications.shop.processes.web.app is 'shop'; allowed:"),
        (shop(processes={"web": {"type": "wsgi"}}), "applications.shop.processes.web.app is missing; allowed: the import path"),
        (web(port=80), "applications.shop.processes.web.port is 80; allowed: at least 1024"),
        (web(port="80a"), "applications.shop.processes.web.port is '80a'; allowed: a whole number"),
        (web(instances=0), "applications.shop.processes.web.instances is 0; allowed: at least 1"),
        (web(memory_max="1GiB"), "applications.shop.processes.web.memory_max is '1GiB'; allowed:"),
        (web(cpu_max="2"), "applications.shop.processes.web.cpu_max is '2'; allowed: per cent of one processor"),
        (
            web(queues=["a"]),
            "applications.shop.processes.web.queues is given; allowed: nothing for a process of type asgi; it belongs to celery",
        ),
        (web(command=["serve"]), "applications.shop.processes.web.command is without {port}"),
        (
            shop(processes={"night": {"type": "scheduled", "command": ["python", "night.py"]}}),
            "applications.shop.processes.night.calendar is missing",
        ),
        (
            shop(processes={"night": {"type": "scheduled", "command": ["x"], "calendar": "every night"}}),
            "applications.shop.processes.night.calendar is 'every night'; allowed:",
        ),
        (
            shop(processes={"jobs": {"type": "celery", "app": "shop", "soft_time_limit": 60, "time_limit": 60}}),
            "applications.shop.processes.jobs.soft_time_limit is 60, not below time_limit",
        ),
        (shop(environment={"PATH": "/bin"}), "applications.shop.environment: the name 'PATH' is"),
        (
            shop(environment={"KEY": "a"}, secrets={"KEY": "0123456789abcdef0123456789abcdef"}),
            "applications.shop.secrets.KEY is as well as in environment; allowed: one of the two places",
        ),
        (
            shop(environment={"KEY_FILE": "/x"}, secrets={"KEY": "0123456789abcdef0123456789abcdef"}),
            "applications.shop.environment.KEY_FILE is given; allowed: nothing: it tells the application the file of KEY",
        ),
        (shop(build={"environment": {"A": None}}), "applications.shop.build.environment.A is empty (null); allowed:"),
        (web(sandbox_exceptions={"ProcSubsett": "x"}), "applications.shop.processes.web.sandbox_exceptions: the name 'ProcSubsett'"),
        (
            web(sandbox_exceptions={"ProcSubset": ""}),
            "applications.shop.processes.web.sandbox_exceptions.ProcSubset is ''; allowed: the reason",
        ),
        (shop(migrate={"command": ["a"], "timeout": 0}), "applications.shop.migrate.timeout is 0; allowed: at least 1"),
        (shop(secrets={"API_KEY": "changeme"}), "applications.shop.secrets.API_KEY is a well-known placeholder"),
        (
            shop(required=["SECRET_KEY"]),
            "applications.shop.required[0] is 'SECRET_KEY'; allowed: a name in environment, secrets or connections",
        ),
        (
            shop(connections={"URL": {"to": "pgbouncer", "user": "shop"}}),
            "applications.shop.connections.URL.database is missing; allowed: a database of postgres_databases",
        ),
        (
            shop(connections={"URL": {"to": "postgresql", "user": "shop"}}),
            "applications.shop.connections.URL.to is 'postgresql'; allowed: pgbouncer, postgres, redis_broker, redis_cache",
        ),
        (shop(directories=[{"path": "/etc", "writable": True}]), "applications.shop.directories[0].path is '/etc'; allowed:"),
        (
            shop(files=[{"path": "/etc/shop/a"}]),
            "applications.shop.files[0] is '/etc/shop/a' with neither; allowed: one of content and source",
        ),
        (
            shop(files=[{"path": "/etc/shop/a", "content": "x", "sha256": "0" * 64}]),
            "applications.shop.files[0].sha256 is '000000000000...', but the file's is 2d711642b726",
        ),
        (shop(migrate={"command": []}), "applications.shop.migrate.command is []; allowed: the program and its arguments, as a list"),
        (shop(health={"ready": "ready"}), "applications.shop.health.ready is 'ready'; allowed:"),
        (shop(python=3.12), "applications.shop.python is 3.12; allowed: text in quotes"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said_with_its_name(applications: dict[str, Any], sentence: str) -> None:
    (problem,) = contract.problems(applications, str(ROOT))
    assert problem.sentence().startswith(sentence)


def test_everything_wrong_is_said_at_once() -> None:
    applications = shop(python="three") | {"blog": web(port=1, cpu_max="much")["shop"]}
    assert [problem.variable for problem in contract.problems(applications, str(ROOT))] == [
        "applications.shop.python",
        "applications.blog.processes.web.port",
        "applications.blog.processes.web.cpu_max",
    ]


def test_workers_of_two_applications_do_not_take_from_one_queue() -> None:
    def worker(**connection: str) -> dict[str, Any]:
        process = {"type": "celery", "app": "shop", "queues": ["mail", "celery"]}
        return shop(connections={"BROKER": {"to": "redis_broker", "user": "shop", **connection}}, processes={"jobs": process})["shop"]

    (problem,) = contract.problems({"shop": worker(), "blog": worker(database="0")}, str(ROOT))
    assert problem.sentence() == (
        "applications.blog.connections.BROKER.database is '0', where the workers of shop take from the queue mail, too; "
        'allowed: a database of its own, such as "1", or other queues: a worker throws away the tasks that it does not know'
    )
    other = worker()
    other["processes"]["jobs"]["queues"] = ["blog"]
    sender = shop(connections={"BROKER": {"to": "redis_broker", "user": "shop"}})["shop"]
    cache = worker()
    cache["connections"]["BROKER"]["to"] = "redis_cache"
    twice = worker()
    twice["processes"]["more"] = twice["processes"]["jobs"]
    for beside in (worker(database="1"), other, sender, cache):
        assert contract.problems({"shop": twice, "blog": beside}, str(ROOT)) == []


def test_secrets_of_an_application_are_not_shown() -> None:
    applications = shop(secrets=["hunter2-hunter2-hunter2"], build={"secrets": "hunter2-hunter2-hunter2"})
    sentences = [problem.sentence() for problem in contract.problems(applications, str(ROOT))]
    assert len(sentences) == 2
    assert "hunter2" not in "".join(sentences)


def test_the_folder_that_an_application_may_write_is_there_before_its_first_migration() -> None:
    own = {"path": "/var/lib/shop", "owner": "shop", "group": "shop", "mode": "0750"}
    for role in contract.ROLES:
        for compiled in on_host(shop(), role):
            assert own in compiled["folders"]
