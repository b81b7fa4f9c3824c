"""The HTTP application: ``uvicorn orders.main:app``."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from orders import __version__, cache, logs, metrics
from orders.database import DailyReport, Order, create_engine
from orders.health import Health
from orders.middleware import RequestMiddleware
from orders.schemas import DailyReportOut, OrderIn, OrderOut
from orders.settings import settings
from orders.worker import process_order

config = settings()
logs.configure("orders-api", config.environment, config.log_level)
logger = logging.getLogger(__name__)

ENQUEUE_TIMEOUT = 3.0
METRICS_TIMEOUT = 1.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the pools, and close them after uvicorn has finished the requests in flight."""
    app.state.engine = create_engine(
        config.database_url,
        config.database_statement_cache_size,
        pool_size=config.database_pool_size,
        max_overflow=config.database_max_overflow,
        pool_timeout=config.database_pool_timeout,
        pool_recycle=config.database_pool_recycle,
        pool_pre_ping=True,
        connect_args={"command_timeout": config.database_command_timeout},
    )
    redis = cache.connect(config.redis_cache_url)
    app.state.cache = cache.OrderCache(redis, config.cache_ttl)
    app.state.health = Health(app.state.engine, redis)
    announce_shutdown(app.state.health)
    yield
    await redis.aclose()
    await app.state.engine.dispose()


def announce_shutdown(health: Health) -> None:
    """On SIGTERM answer 503 at /health/ready first, then let uvicorn stop after SHUTDOWN_DRAIN_SECONDS."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    stop = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: object) -> None:
        health.draining = True
        if callable(stop):
            loop.call_soon_threadsafe(loop.call_later, config.shutdown_drain, stop, number, None)

    signal.signal(signal.SIGTERM, drain)


app = FastAPI(
    title="Orders",
    version=__version__,
    lifespan=lifespan,
    openapi_url="/openapi.json" if config.docs_enabled else None,
)
app.add_middleware(RequestMiddleware)


@app.exception_handler(DBAPIError)
@app.exception_handler(PoolTimeoutError)
@app.exception_handler(OSError)
async def unavailable(request: Request, error: Exception) -> JSONResponse:
    """The database does not answer: say so without details, and let the client try again."""
    if isinstance(error, DBAPIError) and not is_outage(error):
        raise error
    logger.error("Dependency failed", exc_info=error)
    return JSONResponse({"detail": "Temporarily unavailable"}, 503, {"Retry-After": "5"})


def is_outage(error: DBAPIError) -> bool:
    """Tell a server that is away, full or shutting down (SQLSTATE classes 08, 53, 57) from a wrong statement."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state[:2] in {"08", "53", "57"}


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One session per request, rolled back unless the endpoint commits."""
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]
Limit = Annotated[int, Query(ge=1, le=200)]


@app.post("/orders", status_code=201)
async def create_order(body: OrderIn, session: Session) -> OrderOut:
    """Store the order, then hand it to the workers."""
    order = Order(customer=body.customer, items=[item.model_dump() for item in body.items])
    session.add(order)
    await session.commit()
    metrics.orders_created.inc()
    await enqueue(order.id)
    return OrderOut.model_validate(order)


async def enqueue(order_id: UUID) -> None:
    """Publish the task. The row is committed, so a dead broker costs time only: sweep_orders publishes again."""
    headers = {"request_id": logs.request_id.get()}
    publish = asyncio.to_thread(process_order.apply_async, args=[str(order_id)], headers=headers)
    try:
        await asyncio.wait_for(publish, ENQUEUE_TIMEOUT)
    except Exception:
        metrics.enqueue_failures.inc()
        logger.warning("Order stored but not enqueued", exc_info=True)


@app.get("/orders/{order_id}", response_model=OrderOut)
async def read_order(order_id: UUID, request: Request) -> Response:
    """Answer from Redis when possible (X-Cache: hit), else from PostgreSQL.

    The session is opened here, not by Depends: a hit must not cost a database connection.
    """
    orders: cache.OrderCache = request.app.state.cache
    body = await orders.get(order_id)
    result = "hit" if body is not None else "miss"
    metrics.cache_requests.labels(result).inc()
    if body is None:
        async with AsyncSession(request.app.state.engine) as session:
            order = await session.get(Order, order_id)
            if order is None:
                raise HTTPException(404, "No such order")
            body = OrderOut.model_validate(order).model_dump_json().encode()
        await orders.put(order_id, body, pending=order.status == "pending")
    return Response(body, media_type="application/json", headers={"X-Cache": result})


@app.get("/orders")
async def list_orders(session: Session, limit: Limit = 20) -> list[OrderOut]:
    """Return the newest orders."""
    orders = await session.scalars(select(Order).order_by(Order.created_at.desc()).limit(limit))
    return [OrderOut.model_validate(order) for order in orders]


@app.get("/reports/daily")
async def list_reports(session: Session, limit: Limit = 30) -> list[DailyReportOut]:
    """Return the newest daily reports."""
    reports = await session.scalars(select(DailyReport).order_by(DailyReport.day.desc()).limit(limit))
    return [DailyReportOut.model_validate(report) for report in reports]


@app.get("/health/live", include_in_schema=False)
async def live() -> dict[str, str]:
    """The process answers. Dependencies are not asked: restarting this process would not heal them."""
    return {"status": "alive"}


@app.get("/health/ready", include_in_schema=False)
async def ready(request: Request) -> JSONResponse:
    """Traffic is welcome: PostgreSQL and Redis answer, and no shutdown has begun."""
    welcome, checks = await request.app.state.health.ready()
    return JSONResponse({"status": "ready" if welcome else "unavailable", "checks": checks}, 200 if welcome else 503)


@app.get("/health/startup", include_in_schema=False)
async def startup(request: Request) -> JSONResponse:
    """The database has the migrations that this release needs."""
    started = await request.app.state.health.startup()
    return JSONResponse({"status": "started" if started else "unavailable"}, 200 if started else 503)


@app.get("/metrics", include_in_schema=False)
async def prometheus(request: Request) -> Response:
    """Metrics of this instance; the proxy must not publish this path."""
    try:
        await asyncio.wait_for(metrics.refresh_order_gauges(request.app.state.engine), METRICS_TIMEOUT)
    except Exception:
        logger.warning("Order gauges unavailable", exc_info=True)
        metrics.forget_order_gauges()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
