"""Prometheus metrics. Each API instance is one process and one target."""

import time

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from orders.database import Order

orders_created = Counter("orders_created_total", "Orders accepted by this instance")
enqueue_failures = Counter("orders_enqueue_failures_total", "Orders stored but not handed to the broker at once")
cache_requests = Counter("orders_cache_requests_total", "Order reads by cache result", ["result"])
http_requests = Counter("http_requests_total", "HTTP requests", ["method", "path", "status"])
http_duration = Histogram("http_request_duration_seconds", "HTTP request duration", ["method", "path"])
orders_recent = Gauge("orders_recent", "Orders of the last 24 hours by status, from the database (same on every instance)", ["status"])
oldest_pending = Gauge("orders_oldest_pending_age_seconds", "Age of the oldest pending order of the last 24 hours, 0 when there is none")

REFRESH_SECONDS = 10
refreshed_at = float("-inf")


async def refresh_order_gauges(engine: AsyncEngine) -> None:
    """Read the order gauges from the database, at most every ten seconds; the index bounds the work to one day."""
    global refreshed_at
    if time.monotonic() - refreshed_at < REFRESH_SECONDS:
        return
    age = func.extract("epoch", func.now() - func.min(Order.created_at))
    recent = Order.created_at > func.now() - func.make_interval(0, 0, 0, 1)
    async with engine.connect() as connection:
        rows = (await connection.execute(select(Order.status, func.count(), age).where(recent).group_by(Order.status))).all()
    counts = {"pending": 0, "completed": 0, "expired": 0} | {status: count for status, count, _ in rows}
    for status, count in counts.items():
        orders_recent.labels(status).set(count)
    oldest_pending.set(next((seconds for status, _, seconds in rows if status == "pending"), 0))
    refreshed_at = time.monotonic()


def forget_order_gauges() -> None:
    """Show no figure rather than an old one while the database does not answer."""
    orders_recent.clear()
    oldest_pending.set(float("nan"))
