"""The whole service on real servers: what a user sees, and what happens when a server or the service itself stops."""

import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import PASSWORD, SERVER_CONNECTIONS, Process, Stack, call, wait_for

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


def log_lines(process: Process, message: str) -> list[dict]:
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == message]


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


def test_the_workers_write_drops_the_cached_answer(stack: Stack) -> None:
    order_id = stack.post("/orders", ORDER).body["id"]
    wait_for("the task", lambda: completed(stack, order_id))
    time.sleep(0.2)
    stack.sql(f"update orders set status = 'pending', processed_at = null where id = '{order_id}'")
    # Stands for an answer cached for long just before the write.
    key = f"orders:order:{order_id}"
    script = "import sys, redis; redis.Redis.from_url(sys.stdin.read()).set(sys.argv[1], '{}')"
    subprocess.run([stack.python, "-c", script, key], input=stack.environment["REDIS_CACHE_URL"], text=True, check=True)
    assert stack.get(f"/orders/{order_id}").body == {}
    stack.run("celery", "-A", "orders.worker", "call", "orders.process_order", "--args", json.dumps([order_id]))
    wait_for("the cache to be dropped", lambda: stack.get(f"/orders/{order_id}").body.get("status") == "completed")


def test_a_task_delivered_twice_writes_once(stack: Stack) -> None:
    order_id = stack.post("/orders", ORDER).body["id"]
    wait_for("the task", lambda: completed(stack, order_id))
    written = stack.sql(f"select processed_at, xmin from orders where id = '{order_id}'")
    done = len(log_lines(stack.worker, "Task completed"))
    stack.run("celery", "-A", "orders.worker", "call", "orders.process_order", "--args", json.dumps([order_id]))
    wait_for("the second delivery", lambda: len(log_lines(stack.worker, "Task completed")) > done)
    assert stack.sql(f"select processed_at, xmin from orders where id = '{order_id}'") == written


def test_two_hundred_requests_share_three_server_connections(stack: Stack) -> None:
    def work(number: int) -> tuple[int, ...]:
        created = stack.post("/orders", ORDER)
        return created.status, stack.get("/orders?limit=5").status, stack.get(f"/orders/{created.body['id']}").status

    with ThreadPoolExecutor(20) as pool:
        results = pool.map(work, range(200))
        busiest = 0
        for _ in range(10):
            count = "select count(*) from pg_stat_activity where usename = 'app'"
            busiest = max(busiest, int(stack.sql(count, role="admin")))
            time.sleep(0.1)
    assert set(results) == {(201, 200, 200)}
    assert 2 <= busiest <= SERVER_CONNECTIONS
    assert int(stack.sql("select count(*) from orders where status = 'pending'")) < 200
    assert log_lines(stack.api, "Unhandled error") == []


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


@pytest.mark.parametrize("server", ["redis", "pgbouncer"])
def test_ready_follows_its_dependencies(stack: Stack, server: str) -> None:
    process: Process = getattr(stack, server)
    order_id = stack.post("/orders", ORDER).body["id"]
    wait_for("the task", lambda: completed(stack, order_id))
    assert stack.get("/health/ready").status == 200
    process.stop(signal.SIGKILL)
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
        process.start(lambda: wait_for("port", lambda: stack_answers(stack, server)))
    wait_for("200 again", lambda: stack.get("/health/ready").status == 200, seconds=6)
    if server == "redis":
        stack.sql(f"update orders set enqueued_at = now() - interval '1 hour' where id = '{lost.body['id']}'")
        stack.run("celery", "-A", "orders.worker", "call", "orders.sweep_orders")
        wait_for("the sweep to publish it again", lambda: completed(stack, lost.body["id"]), seconds=20)


def stack_answers(stack: Stack, server: str) -> bool:
    from conftest import answers

    return answers(stack.ports[server])
