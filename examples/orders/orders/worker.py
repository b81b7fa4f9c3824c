"""The Celery application: ``celery -A orders.worker worker -Q default`` and ``celery -A orders.worker beat``."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import Celery, Task, signals
from celery.schedules import crontab
from redis.exceptions import RedisError
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import NullPool

from orders import cache, logs
from orders.database import DailyReport, Order, create_engine
from orders.settings import settings

config = settings()
logger = logging.getLogger(__name__)

SWEEP_BATCH = 500

app = Celery("orders", broker=config.broker_url)
app.conf.update(
    task_default_queue="default",
    task_routes={"orders.write_daily_report": {"queue": "reports"}},
    # Results live in PostgreSQL.
    task_ignore_result=True,
    # A task is acknowledged when done; a worker that dies gives it back. Tasks must bear to run twice.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # Redis hands an unacknowledged task to another worker after this time: it must exceed the longest task
    # and the longest retry delay.
    broker_transport_options={
        "visibility_timeout": config.visibility_timeout,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
    },
    task_time_limit=config.task_time_limit,
    broker_connection_retry_on_startup=True,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1},
    worker_cancel_long_running_tasks_on_connection_loss=True,
    timezone="UTC",
    beat_schedule={
        "sweep-orders": {"task": "orders.sweep_orders", "schedule": 60.0, "options": {"expires": 55}},
        "write-daily-report": {
            "task": "orders.write_daily_report",
            "schedule": crontab(minute="*/5"),
            "options": {"expires": 290},
        },
    },
)

RETRY: dict[str, Any] = {
    "autoretry_for": (SQLAlchemyError, RedisError, OSError),
    "retry_backoff": 1,
    "retry_backoff_max": 60,
    "max_retries": 6,
}


def run(work: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Run ``work`` with a session in an event loop of its own; pooling is pgbouncer's job."""

    async def with_session() -> None:
        engine = create_engine(
            config.database_url,
            config.database_statement_cache_size,
            poolclass=NullPool,
            connect_args={"command_timeout": config.database_command_timeout},
        )
        async with AsyncSession(engine) as session:
            await work(session)

    asyncio.run(with_session())


@app.task(name="orders.process_order", **RETRY)
def process_order(order_id: str) -> None:
    """Compute an order's result and write it once, however often the message is delivered."""
    identifier = UUID(order_id)

    async def process(session: AsyncSession) -> None:
        order = await session.get(Order, identifier, with_for_update=True)
        if order is None:
            logger.warning("Order not found", extra={"event": {"metadata": {"order_id": order_id}}})
            return
        if order.status == "pending":
            order.total_cents = sum(item["quantity"] * item["price_cents"] for item in order.items)
            order.status = "completed"
            order.processed_at = datetime.now(UTC)
            await session.commit()
        # Also when another delivery did the work: it may have died between its commit and this line.
        await forget_cached(identifier)

    run(process)


@app.task(name="orders.sweep_orders", **RETRY)
def sweep_orders() -> None:
    """Expire orders that stayed pending for too long, and publish again those whose message was lost."""
    published: list[UUID] = []
    expired: list[UUID] = []

    async def sweep(session: AsyncSession) -> None:
        now = func.now()
        pending = Order.status == "pending"
        too_old = Order.created_at < now - func.make_interval(0, 0, 0, 0, 0, 0, config.expire_after)
        quiet = Order.enqueued_at < now - func.make_interval(0, 0, 0, 0, 0, 0, config.requeue_after)
        expired.extend(
            await session.scalars(update(Order).where(pending, too_old).values(status="expired", processed_at=now).returning(Order.id))
        )
        lost = select(Order.id).where(pending, quiet).limit(SWEEP_BATCH).with_for_update(skip_locked=True)
        published.extend(
            await session.scalars(update(Order).where(Order.id.in_(lost.scalar_subquery())).values(enqueued_at=now).returning(Order.id))
        )
        await session.commit()
        await forget_cached(*expired)

    run(sweep)
    for order_id in published:
        process_order.delay(str(order_id))
    counts = {"expired": len(expired), "published": len(published)}
    logger.info("Orders swept", extra={"event": {"action": "sweep_orders", "status": "success", "metadata": counts}})


@app.task(name="orders.write_daily_report", **RETRY)
def write_daily_report() -> None:
    """Write today's figures (UTC) from the orders table; running twice writes the same row twice."""
    today = datetime.now(UTC).date()
    midnight = datetime.combine(today, datetime.min.time(), UTC)
    completed = Order.status == "completed"

    async def report(session: AsyncSession) -> None:
        figures = select(
            func.count(), func.count().filter(completed), func.coalesce(func.sum(Order.total_cents).filter(completed), 0)
        ).where(Order.created_at >= midnight)
        count, done, total = (await session.execute(figures)).one()
        values = {"orders": count, "completed": done, "total_cents": int(total), "refreshed_at": datetime.now(UTC)}
        row = insert(DailyReport).values(day=today, **values)
        await session.execute(row.on_conflict_do_update(index_elements=[DailyReport.day], set_=values))
        await session.commit()

    run(report)


async def forget_cached(*order_ids: UUID) -> None:
    """Drop cached answers after the database changed."""
    if not order_ids:
        return
    redis = cache.connect(config.redis_cache_url)
    try:
        await redis.delete(*(cache.key(order_id) for order_id in order_ids))
    finally:
        await redis.aclose()


@signals.setup_logging.connect
def configure_logging(**_: object) -> None:
    """Replace Celery's own log format."""
    logs.configure("orders-worker", config.environment, config.log_level)
    # Celery's 'received' and 'succeeded' lines print arguments; 'Task completed' replaces them.
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)


@signals.task_prerun.connect
def begin_task(task: Task, **_: object) -> None:
    """Carry the HTTP request's identifier into the worker's log lines."""
    logs.request_id.set((task.request.headers or {}).get("request_id"))
    task.request.started = time.perf_counter()


@signals.task_postrun.connect
def log_task(task: Task, state: str, **_: object) -> None:
    """Write one line per finished attempt."""
    duration = round((time.perf_counter() - task.request.started) * 1000, 2)
    event = {"action": task.name, "status": state.lower(), "duration_ms": duration}
    logger.info("Task completed", extra={"event": event | {"metadata": {"task_id": task.request.id}}})


@signals.worker_init.connect
@signals.worker_shutting_down.connect
def remove_ready_file(**_: object) -> None:
    """Not ready: a new worker has not connected yet (its predecessor may have crashed), an old one takes no more."""
    if config.worker_ready_file:
        Path(config.worker_ready_file).unlink(missing_ok=True)


@signals.worker_ready.connect
def write_ready_file(**_: object) -> None:
    """Ready: connected to the broker and consuming."""
    if config.worker_ready_file:
        Path(config.worker_ready_file).touch()
