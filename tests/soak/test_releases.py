"""Twenty releases while people order and workers work: no request fails, no task is lost, none runs twice."""

import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.lab import ROOT, Site, eventually, request, slipway

NAME = "orders.lab.test"
RELEASES = 20
ORDER = {"customer": "ada", "items": [{"sku": "book-1", "quantity": 2, "price_cents": 1250}]}
SUCCEEDED = re.compile(r'"action": "orders\.process_order".*"status": "success".*"task_id": "([0-9a-f-]+)"')


@pytest.fixture(scope="module")
def lab() -> Iterator[Site]:
    site = Site("lab").up()
    site.play().succeeded()
    yield site
    slipway("lab", "down")


class Customers:
    """Order five times a second until told to stop."""

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.longest = url, Counter[str](), 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._order) for _ in range(4)]

    def _order(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                status = str(request(f"{self.url}/orders", NAME, ORDER, timeout=20).status_code)
            except httpx.HTTPError as error:
                status = repr(error)
            self.answers[status] += 1
            self.longest = max(self.longest, time.monotonic() - began)
            self._stop.wait(0.8)

    def __enter__(self) -> "Customers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("strategy", ["rolling"])
def test_releases_under_load(lab: Site, tmp_path: Path, strategy: str) -> None:
    source = Path(shutil.copytree(ROOT / "examples/orders", tmp_path / "orders"))
    worker = source / "orders" / "worker.py"
    since = lab.shell("app1", "date '+%Y-%m-%d %H:%M:%S'").strip()
    seen = {lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers")}
    seconds = []
    with Customers(f"https://{lab.hosts()['edge1']}") as customers:
        for number in range(RELEASES):
            worker.write_text(worker.read_text() + f"\n# release {number}\n")
            done = lab.play("-e", f'{{"own_application": "{source}", "own_strategy": "{strategy}"}}', playbook="playbooks/deploy.yml")
            done.succeeded()
            seconds.append(done.seconds)
            seen.add(lab.shell("app1", "readlink /opt/orders/current /opt/orders/current-workers"))
    assert len(seen) == RELEASES + 1
    ordered = customers.answers["201"]

    def succeeded() -> list[str]:
        return SUCCEEDED.findall(lab.shell("app1", f"journalctl --no-pager --output=cat --since '{since}' -u 'orders-default@*'"))

    eventually(lambda: len(set(succeeded())) >= ordered, 120)
    done_tasks = Counter(succeeded())
    print(
        f"{strategy}: {RELEASES} releases, {sum(seconds) / len(seconds):.0f} s each; {dict(customers.answers)} answers, the slowest after "
        f"{customers.longest:.1f} s; {len(done_tasks)} tasks done, {sum(done_tasks.values()) - len(done_tasks)} of them twice"
    )
    assert set(customers.answers) == {"201"}
    assert len(done_tasks) == ordered
    assert set(done_tasks.values()) == {1}
