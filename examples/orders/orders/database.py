"""Tables and the engine that reaches them through pgbouncer."""

import ssl
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, MetaData, func, make_url, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Names constraints by rule, so that a later migration can drop them by name."""

    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"})


class Order(Base):
    """One order. Text and a check instead of an enumeration type: a new status is then a small migration."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("status in ('pending', 'completed', 'expired')", name="status"),
        Index("ix_orders_created_at", "created_at"),
        Index("ix_orders_pending", "enqueued_at", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer: Mapped[str]
    items: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(default="pending")
    total_cents: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    enqueued_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    processed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DailyReport(Base):
    """Sales of one day (UTC), rewritten by the task on the queue ``reports``."""

    __tablename__ = "daily_reports"

    day: Mapped[date] = mapped_column(primary_key=True)
    orders: Mapped[int]
    completed: Mapped[int]
    total_cents: Mapped[int] = mapped_column(BigInteger)
    refreshed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def tls_context(mode: str, root_certificate: str | None) -> ssl.SSLContext | bool:
    """Translate libpq's sslmode, which asyncpg's SQLAlchemy dialect does not know."""
    modes = ("disable", "require", "verify-ca", "verify-full")
    if mode not in modes:
        raise SystemExit(f"orders: sslmode={mode} in the database URL; allowed: {', '.join(modes)}.")
    if mode == "disable":
        return False
    context = ssl.create_default_context(cafile=root_certificate)
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def create_engine(database_url: str, statement_cache_size: int = 0, **options: Any) -> AsyncEngine:
    """Return an engine for a libpq-style URL (``postgresql://...?sslmode=...&sslrootcert=...``).

    With ``statement_cache_size`` 0 asyncpg parses every statement under PostgreSQL's *unnamed* statement, and
    SQLAlchemy runs it at once, in the same transaction. That is safe behind any pgbouncer in transaction mode:
    nothing outlives the transaction, nothing collides with another client's names, and nothing piles up in
    server connections.
    Named, cached statements save a round trip, but need a direct connection or pgbouncer 1.21 with
    max_prepared_statements above 0 (Debian 12 has 1.18).
    """
    url = make_url(database_url).set(drivername="postgresql+asyncpg")
    connect: dict[str, Any] = {
        "timeout": 5,
        "statement_cache_size": statement_cache_size,
        "prepared_statement_cache_size": statement_cache_size,
    }
    query = dict(url.query)
    if mode := query.pop("sslmode", None):
        connect["ssl"] = tls_context(str(mode), str(query.pop("sslrootcert", "")) or None)
    # hide_parameters: an error in the log must not carry a customer's data.
    return create_async_engine(
        url.set(query=query),
        connect_args=connect | options.pop("connect_args", {}),
        hide_parameters=True,
        **options,
    )
