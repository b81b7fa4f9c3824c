"""Orders in Redis. A broken cache slows reads down; it never breaks them."""

import logging
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# A read that raced with the worker's write may store the old answer just after the worker dropped it;
# a pending order is therefore kept for moments only.
PENDING_TTL = 2


def connect(url: str) -> Redis:
    """Return a client that answers or fails within a second."""
    return Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 1))


def key(order_id: UUID) -> str:
    """Return the cache key of an order."""
    return f"orders:order:{order_id}"


class OrderCache:
    """Holds orders as the JSON that GET /orders/{id} answers with."""

    def __init__(self, redis: Redis, ttl: int) -> None:
        self.redis = redis
        self.ttl = ttl

    async def get(self, order_id: UUID) -> bytes | None:
        """Return the cached answer, or None when there is none or Redis does not answer."""
        try:
            return await self.redis.get(key(order_id))
        except (RedisError, OSError):
            logger.warning("Cache read failed", exc_info=True)
            return None

    async def put(self, order_id: UUID, body: bytes, pending: bool) -> None:
        """Store an answer."""
        try:
            await self.redis.set(key(order_id), body, ex=min(self.ttl, PENDING_TTL) if pending else self.ttl)
        except (RedisError, OSError):
            logger.warning("Cache write failed", exc_info=True)
