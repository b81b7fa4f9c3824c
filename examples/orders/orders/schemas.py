"""What comes in and what goes out over HTTP."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Item(BaseModel):
    """One line of an order; money is an integer number of cents."""

    model_config = ConfigDict(extra="forbid")

    sku: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    quantity: int = Field(ge=1, le=10_000)
    price_cents: int = Field(ge=0, le=100_000_000)


class OrderIn(BaseModel):
    """A new order. PostgreSQL's text cannot hold NUL, hence the pattern."""

    model_config = ConfigDict(extra="forbid")

    customer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    items: list[Item] = Field(min_length=1, max_length=100)


class OrderOut(BaseModel):
    """An order as stored; ``total_cents`` and ``processed_at`` are the worker's result."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    customer: str
    items: list[Item]
    status: str
    total_cents: int | None
    created_at: datetime
    processed_at: datetime | None


class DailyReportOut(BaseModel):
    """Sales of one day."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    orders: int
    completed: int
    total_cents: int
    refreshed_at: datetime
