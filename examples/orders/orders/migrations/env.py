"""Runs the migrations as the owner role, straight to PostgreSQL: a pooler in transaction mode cannot hold DDL's locks."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.pool import NullPool

from orders import logs
from orders.database import Base, create_engine
from orders.settings import read

# Any constant: everybody who migrates this database takes this same lock.
MIGRATION_LOCK = 7_233_161

logs.configure("orders-migrations", read("ENVIRONMENT", "production"), "INFO")


def migrate(connection: Connection) -> None:
    """Apply the migrations in one transaction; a second run at the same time waits, then finds nothing to do."""
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        # Rather fail than queue behind a long query and block every reader queued behind us.
        connection.execute(text("set local lock_timeout = '30s'"))
        context.run_migrations()


async def connect_and_migrate() -> None:
    """Open one connection and run the synchronous part on it."""
    engine = create_engine(read("DATABASE_ADMIN_URL"), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(connect_and_migrate())
