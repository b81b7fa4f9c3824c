"""Answers to 'are you alive', 'can you work', 'have you started'. No answer carries an error's details."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from pathlib import Path

from alembic.script import ScriptDirectory
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

logger = logging.getLogger(__name__)

CHECK_TIMEOUT = 1.0
CACHE_SECONDS = 1.0


class Health:
    """Checks this instance's dependencies; many callers share one answer per second."""

    def __init__(self, engine: AsyncEngine, redis: Redis) -> None:
        self.engine = engine
        self.redis = redis
        self.draining = False
        self.started = False
        self.checks: dict[str, str] = {}
        self.checked_at = float("-inf")
        self.lock = asyncio.Lock()
        scripts = ScriptDirectory(str(Path(__file__).parent / "migrations"))
        self.heads = set(scripts.get_heads())
        self.older = {script.revision for script in scripts.walk_revisions()} - self.heads

    async def ready(self) -> tuple[bool, dict[str, str]]:
        """Return whether traffic is welcome, and the state of each dependency."""
        async with self.lock:
            if time.monotonic() - self.checked_at > CACHE_SECONDS:
                database, redis = await asyncio.gather(self.check("database", self.ping_database()), self.check("redis", self.ping_redis()))
                self.checks = {"database": database, "redis": redis}
                self.checked_at = time.monotonic()
        return not self.draining and set(self.checks.values()) == {"ok"}, self.checks

    async def startup(self) -> bool:
        """Return whether the database has this release's migrations.

        A revision unknown to this release is one of a newer release: migrations only expand before traffic
        moves, so the older release may still start on it. Without that, a rollback could not start.
        """
        if not self.started:
            self.started = await self.check("migrations", self.compare_revision()) == "ok"
        return self.started

    async def check(self, name: str, probe: Coroutine[None, None, None]) -> str:
        """Run one probe; the reason of a failure goes to the log alone.

        Not wait_for: that waits for the cancelled probe, whose rollback may hang as long as the database does.
        """
        task = asyncio.create_task(probe)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({task}, timeout=CHECK_TIMEOUT)
        if not task.done():
            task.cancel()
            reason = f"no answer in {CHECK_TIMEOUT} s"
        elif error := task.exception():
            reason = repr(error)
        else:
            return "ok"
        logger.warning("Check failed", extra={"event": {"action": f"check_{name}", "metadata": {"errors": [reason]}}})
        return "unavailable"

    async def ping_database(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text("select 1"))

    async def ping_redis(self) -> None:
        await self.redis.ping()

    async def compare_revision(self) -> None:
        async with self.engine.connect() as connection:
            present = set((await connection.scalars(text("select version_num from alembic_version"))).all())
        if not present or present & self.older:
            raise RuntimeError(f"the database is at {sorted(present)}, this release needs {sorted(self.heads)}")
