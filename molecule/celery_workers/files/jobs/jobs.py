"""Tasks that show what the role promises; every finished task leaves a line in Redis."""

import os
import time
from pathlib import Path

from celery import Celery

VERSION = Path(__file__).with_name("version.txt").read_text().strip()
BROKER = Path(os.environ["BROKER_URL_FILE"]).read_text() if "BROKER_URL_FILE" in os.environ else os.environ["BROKER_URL"]

app = Celery("jobs", broker=BROKER, backend=BROKER)
app.conf.update(
    task_default_queue="default",
    task_routes={"greedy": {"queue": "heavy"}, "heavy_version": {"queue": "heavy"}},
    beat_schedule={"tick": {"task": "tick", "schedule": 1.0}},
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
)


@app.task(name="hold")
def hold(path: str) -> str:
    """Ends when there is such a file."""
    app.backend.client.rpush("held", path)
    while not Path(path).exists():
        time.sleep(0.1)
    return VERSION


@app.task(name="version")
def version() -> str:
    return VERSION


@app.task(name="heavy_version")
def heavy_version() -> str:
    return VERSION


@app.task(name="greedy")
def greedy(megabytes: int) -> int:
    """Takes memory that is really touched."""
    return len(bytearray(os.urandom(1024 * 1024)) * megabytes)


@app.task(name="tick")
def tick() -> None:
    app.backend.client.rpush("ticks", time.time())
