#!/usr/bin/python3
"""What PgBouncer's console says, for Prometheus. Names and units are those of prometheus-community's pgbouncer_exporter.

Arguments: address, port, port of PgBouncer. It asks through the unix socket, as the system user it runs as, anew for each request.
"""

import sys
import threading
from collections.abc import Iterator

import psycopg2
from prometheus_client import start_http_server
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from psycopg2.extras import RealDictCursor

Row = dict[str, object]
MICROSECONDS = 1_000_000

# SHOW statement -> (prefix of the metric, labels, {column: (rest of the name, kind, divisor)})
TABLES: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[str, type[Metric], int]]]] = {
    "stats": (
        "pgbouncer_stats_",
        ("database",),
        {
            "total_query_count": ("queries_pooled_total", CounterMetricFamily, 1),
            "total_query_time": ("queries_duration_seconds_total", CounterMetricFamily, MICROSECONDS),
            "total_received": ("received_bytes_total", CounterMetricFamily, 1),
            "total_sent": ("sent_bytes_total", CounterMetricFamily, 1),
            "total_wait_time": ("client_wait_seconds_total", CounterMetricFamily, MICROSECONDS),
            "total_xact_count": ("sql_transactions_pooled_total", CounterMetricFamily, 1),
            "total_xact_time": ("server_in_transaction_seconds_total", CounterMetricFamily, MICROSECONDS),
        },
    ),
    "pools": (
        "pgbouncer_pools_",
        ("database", "user"),
        {
            "cl_active": ("client_active_connections", GaugeMetricFamily, 1),
            "cl_waiting": ("client_waiting_connections", GaugeMetricFamily, 1),
            "maxwait": ("client_maxwait_seconds", GaugeMetricFamily, 1),
            "sv_active": ("server_active_connections", GaugeMetricFamily, 1),
            "sv_idle": ("server_idle_connections", GaugeMetricFamily, 1),
            "sv_login": ("server_login_connections", GaugeMetricFamily, 1),
            "sv_tested": ("server_testing_connections", GaugeMetricFamily, 1),
            "sv_used": ("server_used_connections", GaugeMetricFamily, 1),
        },
    ),
    "databases": (
        "pgbouncer_databases_",
        ("name", "host", "port", "database", "force_user", "pool_mode"),
        {
            "current_connections": ("current_connections", GaugeMetricFamily, 1),
            "max_connections": ("max_connections", GaugeMetricFamily, 1),
            "pool_size": ("pool_size", GaugeMetricFamily, 1),
            "reserve_pool": ("reserve_pool", GaugeMetricFamily, 1),
        },
    ),
}
SETTINGS = {"max_client_conn": "pgbouncer_config_max_client_connections", "max_user_connections": "pgbouncer_config_max_user_connections"}


def families(show: str, rows: list[Row]) -> Iterator[Metric]:
    """The metrics of one SHOW statement. A column that this PgBouncer does not have is left out."""
    prefix, labels, columns = TABLES[show]
    for column, (name, kind, divisor) in columns.items():
        if rows and column in rows[0]:
            family = kind(prefix + name, f"SHOW {show.upper()}, {column}", labels=labels)
            for row in rows:
                family.add_metric(
                    ["" if row[label] is None else str(row[label]) for label in labels], float(str(row[column] or 0)) / divisor
                )
            yield family


class Console:
    """Asks PgBouncer anew for each scrape. With PgBouncer away it says only that: `pgbouncer_up 0`."""

    def __init__(self, port: int) -> None:
        self.port = port

    def describe(self) -> list[Metric]:
        """Nothing in advance: PgBouncer may start after its exporter."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        found: list[Metric] = []
        try:
            connection = psycopg2.connect(host="/run/pgbouncer", port=self.port, dbname="pgbouncer", connect_timeout=5)
            try:
                connection.autocommit = True  # the console knows no transactions
                with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                    for show in TABLES:
                        cursor.execute(f"SHOW {show}")
                        found += families(show, cursor.fetchall())
                    cursor.execute("SHOW config")
                    settings = {SETTINGS[row["key"]]: row["value"] for row in cursor if row["key"] in SETTINGS}
                    found += [GaugeMetricFamily(name, "SHOW CONFIG", value=float(setting)) for name, setting in settings.items()]
            finally:
                connection.close()
        except psycopg2.Error as error:
            print(f"PgBouncer does not answer: {error}", file=sys.stderr)
            found = []
        yield from found
        yield GaugeMetricFamily("pgbouncer_up", "Whether PgBouncer answered this scrape", value=int(bool(found)))


if __name__ == "__main__":
    REGISTRY.register(Console(int(sys.argv[3])))
    start_http_server(int(sys.argv[2]), sys.argv[1])
    threading.Event().wait()
