"""The whole service on real servers: what a user sees, and what happens when a server or the service itself stops."""

import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from orders_stack import PASSWORD, SERVER_CONNECTIONS, Process, Stack, answers, call, wait_for

ORDER = {
    "customer": "Ada Lovelace",
    "items": [{"sku": "tea-1", "quantity": 3, "price_cents": 450}, {"sku": "cup", "quantity": 1, "price_cents": 1200}],
}
TOTAL = 3 * 450 + 1200


def metric(stack: Stack, name: str) -> float:
    """Return a metric's value, 0 when it has not been counted yet."""
    for line in stack.get("/metrics").body.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0


def completed(stack: Stack, order_id: str) -> str:
    return stack.sql(f"select 1 from orders where id = '{order_id}' and status = 'completed'")


def log_lines(process: Process, message: str, **fields: Any) -> list[dict[str, Any]]:
    """Return the JSON log lines with this message and these fields."""
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == message and fields.items() <= line.items()]


def finished_order(stack: Stack) -> str:
    """Create an order, wait until its task has ended, and return its identifier."""
    answer = stack.post("/orders", ORDER)
    request = answer.headers["X-Request-ID"]
    wait_for("the task", lambda: log_lines(stack.worker, "Task completed", request_id=request, status="success"))
    return answer.body["id"]


def deliver(stack: Stack, task: str, *arguments: str) -> None:
    """Publish a task as the API does, and wait until it has ended."""
    before = len(log_lines(stack.worker, "Task completed", action=task))
    stack.run("celery", "-A", "orders.worker", "call", task, "--args", json.dumps(arguments))
    wait_for(task, lambda: len(log_lines(stack.worker, "Task completed", action=task)) > before)


def test_an_order_travels_through_everything(stack: Stack) -> None:
    before = metric(stack, "orders_created_total")
    answer = stack.post("/orders", ORDER, headers={"X-Request-ID": "journey-0001"})
    assert answer.status == 201
    assert answer.body["status"] == "pending"
    assert answer.headers["X-Request-ID"] == "journey-0001"
    order_id = answer.body["id"]
    assert stack.sql(f"select customer from orders where id = '{order_id}'") == ORDER["customer"]

    wait_for("the task", lambda: completed(stack, order_id))
    assert stack.sql(f"select total_cents from orders where id = '{order_id}'") == str(TOTAL)
    wait_for("a fresh answer", lambda: stack.get(f"/orders/{order_id}").body["status"] == "completed", seconds=4)
    cached = stack.get(f"/orders/{order_id}")
    assert cached.headers["X-Cache"] == "hit"
    assert cached.body["total_cents"] == TOTAL
    assert stack.get("/orders?limit=1").body[0]["id"] == order_id

    assert metric(stack, "orders_created_total") == before + 1
    assert metric(stack, 'http_requests_total{method="POST",path="/orders",status="201"}') >= 1
    assert metric(stack, 'http_request_duration_seconds_count{method="GET",path="/orders/{order_id}"}') >= 2
    assert metric(stack, 'orders_cache_requests_total{result="hit"}') >= 1

    requests = [line for line in log_lines(stack.api, "Request completed") if line["request_id"] == "journey-0001"]
    assert [(line["url"], line["status_code"]) for line in requests] == [("/orders", 201)]
    tasks = [line for line in log_lines(stack.worker, "Task completed") if line["request_id"] == "journey-0001"]
    assert [(line["action"], line["status"]) for line in tasks] == [("orders.process_order", "success")]


def test_a_second_delivery_writes_nothing_but_drops_the_cached_answer(stack: Stack) -> None:
    """A worker may die between its commit and its last line; the second delivery finishes the work."""
    order_id = finished_order(stack)
    written = stack.sql(f"select processed_at, xmin from orders where id = '{order_id}'")
    script = "import sys, redis, orders.settings as s; redis.Redis.from_url(s.read('REDIS_CACHE_URL')).set(sys.argv[1], '{}')"
    stack.run("python", "-c", script, f"orders:order:{order_id}")
    assert stack.get(f"/orders/{order_id}").body == {}
    deliver(stack, "orders.process_order", order_id)
    assert stack.get(f"/orders/{order_id}").body["status"] == "completed"
    assert stack.sql(f"select processed_at, xmin from orders where id = '{order_id}'") == written


def test_a_worker_gives_back_a_killed_childs_task_and_finishes_what_it_holds(stack: Stack) -> None:
    order_id = finished_order(stack)
    stack.sql(f"update orders set status = 'pending' where id = '{order_id}'")
    worker = stack.start_worker("stubborn", queues="stubborn")
    with stack.holding(f"select 1 from orders where id = '{order_id}' for update") as release:
        arguments = json.dumps([order_id])
        stack.run("celery", "-A", "orders.worker", "call", "orders.process_order", "--args", arguments, "--queue", "stubborn")
        wait_for("the task to hold", stack.is_blocked)
        children, killed = stack.children(worker), stack.sql("select now()")
        for child in children:
            os.kill(child, signal.SIGKILL)
        wait_for("the task to hold again", lambda: stack.is_blocked(since=killed))
        assert not children & stack.children(worker)
        worker.running.send_signal(signal.SIGTERM)
        wait_for("the ready file to go", lambda: not (stack.folder / "stubborn.ready").exists())
        assert worker.running.poll() is None
        release()
    assert worker.running.wait(15) == 0
    assert completed(stack, order_id)


def test_the_sweep_expires_what_is_too_old(stack: Stack) -> None:
    order_id = finished_order(stack)
    stack.sql(f"update orders set status = 'pending', created_at = now() - interval '2 days' where id = '{order_id}'")
    deliver(stack, "orders.sweep_orders")
    assert stack.get(f"/orders/{order_id}").body["status"] == "expired"


def test_the_daily_report_counts_todays_orders(stack: Stack) -> None:
    finished_order(stack)
    deliver(stack, "orders.write_daily_report")
    counted = stack.sql("select count(*), sum(total_cents) from orders where status = 'completed' and created_at > current_date")
    report = stack.get("/reports/daily?limit=1").body[0]
    assert f"{report['completed']}|{report['total_cents']}" == counted


def test_a_request_in_flight_ends_well_and_ready_says_no_first(stack: Stack) -> None:
    port = stack.ports["second_api"]
    api = stack.start_api(port, "draining", SHUTDOWN_DRAIN_SECONDS="1")
    with ThreadPoolExecutor(1) as pool, stack.holding("lock table orders in exclusive mode") as release:
        assert call(port, "/health/ready").status == 200
        in_flight = pool.submit(call, port, "/orders", ORDER)
        wait_for("the request to hang", stack.is_blocked)
        api.running.send_signal(signal.SIGTERM)
        wait_for("503", lambda: call(port, "/health/ready").status == 503, seconds=0.8)
        assert call(port, "/health/live").status == 200
        wait_for("the port to close", lambda: not answers(port))
        assert not in_flight.done()
        release()
        assert in_flight.result(5).status == 201
    api.running.wait(5)


def test_two_hundred_requests_share_three_server_connections(stack: Stack) -> None:
    """Two instances, because each counts its statement names from one: names of two processes collide, of one never."""
    ports = (stack.ports["api"], stack.ports["second_api"])
    second = stack.start_api(ports[1], "twin")

    def work(number: int) -> tuple[int, ...]:
        port = ports[number % 2]
        created = call(port, "/orders", ORDER)
        return created.status, call(port, "/orders?limit=5").status, call(port, f"/orders/{created.body['id']}").status

    try:
        with ThreadPoolExecutor(20) as pool:
            results = pool.map(work, range(200))
            busiest = 0
            for _ in range(10):
                count = "select count(*) from pg_stat_activity where usename = 'app'"
                busiest = max(busiest, int(stack.sql(count, role="admin")))
                time.sleep(0.1)
        assert set(results) == {(201, 200, 200)}
    finally:
        second.stop()
    assert 2 <= busiest <= SERVER_CONNECTIONS
    # Nothing may pile up in connections that outlive every client.
    assert stack.sql("select count(*) from pg_prepared_statements", role="app", server="pgbouncer") == "0"


def test_named_statements_need_a_pgbouncer_that_knows_them(stack: Stack) -> None:
    """The control for the test above: what the default setting avoids does go wrong behind an older pgbouncer."""
    port = stack.ports["second_api"]
    api = stack.start_api(port, "named", DATABASE_STATEMENT_CACHE_SIZE="100")
    try:
        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(lambda _: call(port, "/orders?limit=5").status, range(200)))
    finally:
        api.stop()
    assert (set(statuses) == {200}) == (stack.pgbouncer_version >= (1, 21))


def test_the_application_role_changes_rows_only(stack: Stack) -> None:
    assert stack.sql("select version_num from alembic_version", role="app") == "0002"
    assert stack.sql("select distinct tableowner from pg_tables where schemaname = 'public'") == "owner"
    for statement in ("create table mine (id int)", "drop table orders", "truncate orders"):
        with pytest.raises(subprocess.CalledProcessError) as refusal:
            stack.sql(statement, role="app")
        assert "permission denied" in refusal.value.stderr or "must be owner" in refusal.value.stderr


def test_migrations_match_the_models_and_run_twice(stack: Stack) -> None:
    stack.run("alembic", "upgrade", "head")
    assert "No new upgrade operations" in stack.run("alembic", "check")
    assert "create table" in stack.run("alembic", "upgrade", "head", "--sql").lower()


def test_startup_waits_for_the_migrations_and_accepts_newer_ones(stack: Stack) -> None:
    port = stack.ports["second_api"]
    stack.sql("update alembic_version set version_num = '0001'")
    api = stack.start_api(port, "startup")
    try:
        assert call(port, "/health/startup").status == 503
        assert call(port, "/health/live").status == 200
        stack.sql("update alembic_version set version_num = '9999'")
        assert call(port, "/health/startup").status == 200
    finally:
        stack.sql("update alembic_version set version_num = '0002'")
        api.stop()


@pytest.mark.parametrize("server", ["redis", "pgbouncer", "postgres"])
def test_ready_follows_its_dependencies(stack: Stack, server: str) -> None:
    process: Process = getattr(stack, server)
    order_id = finished_order(stack)
    assert stack.get("/health/ready").status == 200
    process.stop(signal.SIGINT if server == "postgres" else signal.SIGKILL)
    try:
        wait_for("503", lambda: stack.get("/health/ready").status == 503, seconds=4)
        answer = stack.get("/health/ready")
        assert set(answer.body) == {"status", "checks"}
        assert set(answer.body["checks"].values()) == {"ok", "unavailable"}
        assert stack.get("/health/live").status == 200
        assert stack.get("/metrics").status == 200
        begun = time.monotonic()
        if server == "redis":
            assert stack.get(f"/orders/{order_id}").status == 200
            lost = stack.post("/orders", ORDER)
            assert lost.status == 201
            assert time.monotonic() - begun < 5
        else:
            refused = stack.post("/orders", ORDER)
            assert (refused.status, refused.body) == (503, {"detail": "Temporarily unavailable"})
            assert refused.headers["Retry-After"] == "5"
            assert time.monotonic() - begun < 6
    finally:
        process.start(lambda: answers(stack.ports[server]))
    wait_for("200 again", lambda: stack.get("/health/ready").status == 200, seconds=6)
    if server == "redis":
        stack.sql(f"update orders set enqueued_at = now() - interval '1 hour' where id = '{lost.body['id']}'")
        deliver(stack, "orders.sweep_orders")
        wait_for("the sweep to publish it again", lambda: completed(stack, lost.body["id"]), seconds=20)


def test_ready_is_quick_when_the_database_hangs(stack: Stack) -> None:
    wait_for("200", lambda: stack.get("/health/ready").status == 200)
    os.kill(stack.pgbouncer.running.pid, signal.SIGSTOP)
    try:
        time.sleep(1.1)
        for _ in range(2):
            begun = time.monotonic()
            assert stack.get("/health/ready").status == 503
            assert time.monotonic() - begun < 2
        begun = time.monotonic()
        assert stack.get("/metrics").status == 200
        assert time.monotonic() - begun < 2
    finally:
        os.kill(stack.pgbouncer.running.pid, signal.SIGCONT)
    wait_for("200 again", lambda: stack.get("/health/ready").status == 200, seconds=6)


@pytest.mark.parametrize(
    "change",
    [
        {"customer": " "},
        {"customer": "nul\0"},
        {"items": []},
        {"items": [{"sku": "a", "quantity": 0, "price_cents": 1}]},
        {"items": [{"sku": "a b", "quantity": 1, "price_cents": 1}]},
        {"status": "completed"},
    ],
)
def test_bad_input_is_refused(stack: Stack, change: dict[str, Any]) -> None:
    assert stack.post("/orders", ORDER | change).status == 422


def test_an_internal_error_says_nothing_but_its_identifier(stack: Stack) -> None:
    stack.sql("revoke select on orders from app")
    try:
        answer = stack.get("/orders", headers={"X-Request-ID": "broken-0001"})
    finally:
        stack.sql("grant select on orders to app")
    assert (answer.status, answer.body) == (500, {"detail": "Internal error", "request_id": "broken-0001"})
    (line,) = log_lines(stack.api, "Unhandled error", request_id="broken-0001")
    assert "permission denied for table orders" in line["metadata"]["errors"][0]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DATABASE_URL_FILE": ""}, "DATABASE_URL is not set. Set DATABASE_URL, or DATABASE_URL_FILE"),
        ({"DATABASE_URL_FILE": "/nowhere"}, "cannot read DATABASE_URL from /nowhere: No such file"),
        ({"DATABASE_POOL_SIZE": "many"}, "DATABASE_POOL_SIZE is 'many'; a number of at least 1"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'LOUD'; allowed: DEBUG, INFO, WARNING, ERROR"),
        ({"CELERY_VISIBILITY_TIMEOUT": "60"}, "CELERY_TASK_TIME_LIMIT (300) must be below"),
    ],
)
def test_a_wrong_setting_is_named(stack: Stack, environment: dict[str, str], message: str) -> None:
    with pytest.raises(AssertionError) as failure:
        stack.run("python", "-c", "from orders.settings import settings; settings()", **environment)
    assert message in str(failure.value)
    assert "Traceback" not in str(failure.value)


def test_beat_starts_with_the_schedule(stack: Stack) -> None:
    schedule = stack.folder / "schedule"
    command = [str(stack.python.parent / "celery"), "-A", "orders.worker", "beat", "-s", str(schedule)]
    beat = Process("beat", command, stack.folder / "beat.log", stack.environment)
    beat.start(lambda: list(stack.folder.glob("schedule*")))
    wait_for("the first line", lambda: log_lines(beat, "beat: Starting..."))
    # A signal in the middle of the first write is a matter between beat and its file; this is about the end.
    wait_for("a schedule at rest", lambda: all(time.time() - path.stat().st_mtime > 1 for path in stack.folder.glob("schedule*")))
    assert beat.stop() == 0


def test_no_secret_reaches_a_log_or_an_environment(stack: Stack) -> None:
    """The last test: it reads what all the others left behind."""
    assert stack.get("/orders?limit=1&token=hunter2").status == 200
    for log in stack.folder.glob("*.log"):
        assert not re.search(f"{PASSWORD}|hunter2|{ORDER['customer']}", log.read_text()), log
    for process in (stack.api, stack.worker):
        for number in {process.running.pid} | stack.children(process):
            for public in ("environ", "cmdline"):
                assert PASSWORD not in Path(f"/proc/{number}/{public}").read_text(), (process.name, public)
