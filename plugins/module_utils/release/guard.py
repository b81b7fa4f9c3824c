# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a migration is not left alone with: a second one at the same time, locks that others hold, and statements that outlive it.

Seen from a connection of its own, so that it holds for every driver. psycopg2 is Debian's, not the application's.
"""

from __future__ import annotations

import hashlib
import threading
import time
from types import TracebackType
from typing import Any

# The migration's own sessions: of this account, from this host, begun after us.
OURS = """
  from pg_stat_activity a where a.usename = current_user and a.datname = current_database() and a.pid <> pg_backend_pid()
    and a.client_addr is not distinct from inet_client_addr() and a.backend_start >= %(since)s
"""
WAITING = f"""
select l.pid, b.pid, coalesce(b.usename, 'PostgreSQL itself')
from pg_locks l join pg_stat_activity b on b.pid = any(pg_blocking_pids(l.pid))
where not l.granted and l.waitstart < clock_timestamp() - %(wait)s * interval '1 s' and l.pid in (select a.pid {OURS})
"""
HOLDER = """
select a.pid, coalesce(host(a.client_addr), 'its own host'), extract(epoch from clock_timestamp() - a.backend_start)::int
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and (l.classid::bigint << 32 | l.objid::bigint) = %(key)s
"""
PAUSE = 0.5


class GuardError(Exception):
    """The migration may not begin, or was cancelled; the message says who is in the way."""


def key_of(name: str) -> int:
    """The advisory lock of an application: 63 bits of its name's digest, the same on every host."""
    return int.from_bytes(hashlib.sha256(f"slipway migration of {name}".encode()).digest()[:8], "big") >> 1


class Guard:
    """While it lasts nobody else migrates this application. `url`: the database, as the account that migrates; empty for no guard.

    `patience`: seconds to wait for whoever migrates already; `lock_timeout`: seconds that a statement of the migration may wait for a
    lock, 0 for any. `blocked` says afterwards who was in the way.
    """

    def __init__(self, url: str, name: str, patience: int, lock_timeout: int) -> None:
        self.blocked = ""
        self._url, self._name, self._patience, self._lock_timeout = url, name, patience, lock_timeout
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._session: Any = None
        self._since: Any = None

    def __enter__(self) -> Guard:
        if not self._url:
            return self
        self._session = self._connect()
        deadline = time.monotonic() + self._patience
        while not self._ask("select pg_try_advisory_lock(%(key)s)", key=key_of(self._name))[0][0]:
            if time.monotonic() > deadline:
                holders = self._ask(HOLDER, key=key_of(self._name))
                told = "; ".join(f"{address}, pid {pid}, connected for {seconds} s" for pid, address, seconds in holders)
                raise GuardError(f"another migration of {self._name} is going on ({told or 'it has just ended'}); nothing was migrated")
            time.sleep(PAUSE)
        self._since = self._ask("select clock_timestamp()")[0][0]
        self._watching.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._session is None:
            return
        self._ended.set()
        if self._watching.is_alive():
            self._watching.join()
        try:
            if kind and self._since:  # a statement goes on when its client is gone
                self._ask(f"select pg_terminate_backend(a.pid) {OURS}", since=self._since)
            self._session.close()
        except self._errors():
            pass  # PostgreSQL is gone, and with it the lock and the statements

    def _connect(self) -> Any:
        import psycopg2

        try:
            session = psycopg2.connect(self._url, application_name=f"slipway {self._name} migration lock", connect_timeout=30)
        except psycopg2.Error as error:
            raise GuardError(f"the migration's lock can not be taken: {str(error).strip()}") from None
        session.autocommit = True
        return session

    @staticmethod
    def _errors() -> type[Exception]:
        import psycopg2

        found: type[Exception] = psycopg2.Error
        return found

    def _ask(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            cursor.execute(statement, values)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def _watch(self) -> None:
        """Cancel a statement that waits too long for a lock: every later one for that table waits behind it."""
        while self._lock_timeout and not self._ended.wait(PAUSE):
            try:
                for waiting, pid, user in self._ask(WAITING, since=self._since, wait=self._lock_timeout):
                    self.blocked = (
                        f"it waited more than {self._lock_timeout} s for a lock that {user} holds (pid {pid}), "
                        "and was cancelled: every later statement for that table would have waited behind it"
                    )
                    self._ask("select pg_cancel_backend(%(pid)s)", pid=waiting)
            except self._errors():
                return  # the migration loses its connection too, and says so
