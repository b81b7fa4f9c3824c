#!/usr/bin/python3
"""What PgBouncer's console says, for Prometheus. Names and units are those of prometheus-community's pgbouncer_exporter.

Arguments: address, port, port of PgBouncer. It asks through the unix socket, as the system user it runs as, anew for each request.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
from psycopg2.extras import RealDictCursor

Row = dict[str, object]
MICROSECONDS = 1_000_000

# SHOW statement -> (prefix of the metric, labels, {column: (rest of the name, type, divisor)})
TABLES: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[str, str, int]]]] = {
    "stats": (
        "pgbouncer_stats_",
        ("database",),
        {
            "total_query_count": ("queries_pooled_total", "counter", 1),
            "total_query_time": ("queries_duration_seconds_total", "counter", MICROSECONDS),
            "total_received": ("received_bytes_total", "counter", 1),
            "total_sent": ("sent_bytes_total", "counter", 1),
            "total_wait_time": ("client_wait_seconds_total", "counter", MICROSECONDS),
            "total_xact_count": ("sql_transactions_pooled_total", "counter", 1),
            "total_xact_time": ("server_in_transaction_seconds_total", "counter", MICROSECONDS),
        },
    ),
    "pools": (
        "pgbouncer_pools_",
        ("database", "user"),
        {
            "cl_active": ("client_active_connections", "gauge", 1),
            "cl_waiting": ("client_waiting_connections", "gauge", 1),
            "maxwait": ("client_maxwait_seconds", "gauge", 1),
            "sv_active": ("server_active_connections", "gauge", 1),
            "sv_idle": ("server_idle_connections", "gauge", 1),
            "sv_login": ("server_login_connections", "gauge", 1),
            "sv_tested": ("server_testing_connections", "gauge", 1),
            "sv_used": ("server_used_connections", "gauge", 1),
        },
    ),
    "databases": (
        "pgbouncer_databases_",
        ("name", "host", "port", "database", "force_user", "pool_mode"),
        {
            "current_connections": ("current_connections", "gauge", 1),
            "max_connections": ("max_connections", "gauge", 1),
            "pool_size": ("pool_size", "gauge", 1),
            "reserve_pool": ("reserve_pool", "gauge", 1),
        },
    ),
}
SETTINGS = {"max_client_conn": "pgbouncer_config_max_client_connections", "max_user_connections": "pgbouncer_config_max_user_connections"}


def labelled(row: Row, labels: tuple[str, ...]) -> str:
    """The labels of a sample, with Prometheus' escapes."""
    words = []
    for label in labels:
        value = str(row[label] if row[label] is not None else "").replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        words.append(f'{label}="{value}"')
    return "{" + ",".join(words) + "}"


def lines(show: str, rows: list[Row]) -> list[str]:
    """The metrics of one SHOW statement. A column that this PgBouncer does not have is left out."""
    prefix, labels, columns = TABLES[show]
    found = []
    for column, (name, kind, divisor) in columns.items():
        if rows and column in rows[0]:
            found.append(f"# TYPE {prefix}{name} {kind}")
            found += [f"{prefix}{name}{labelled(row, labels)} {float(str(row[column] or 0)) / divisor}" for row in rows]
    return found


def metrics(port: int) -> str:
    """One answer. With PgBouncer away it says only that: `pgbouncer_up 0`."""
    found = []
    try:
        connection = psycopg2.connect(host="/run/pgbouncer", port=port, dbname="pgbouncer", connect_timeout=5)
        try:
            connection.autocommit = True  # the console knows no transactions
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                for show in TABLES:
                    cursor.execute(f"SHOW {show}")
                    found += lines(show, cursor.fetchall())
                cursor.execute("SHOW config")
                settings = {SETTINGS[row["key"]]: row["value"] for row in cursor if row["key"] in SETTINGS}
                found += [f"# TYPE {name} gauge\n{name} {setting}" for name, setting in settings.items()]
        finally:
            connection.close()
    except psycopg2.Error as error:
        print(f"PgBouncer does not answer: {error}", file=sys.stderr)
        found = []
    return "\n".join([*found, "# TYPE pgbouncer_up gauge", f"pgbouncer_up {int(bool(found))}", ""])


class Handler(BaseHTTPRequestHandler):
    """/metrics and nothing else."""

    def do_GET(self) -> None:
        known = self.path == "/metrics"
        body = metrics(int(sys.argv[3])).encode() if known else b"The metrics are at /metrics\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """A line for each scrape would hide what matters."""


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
