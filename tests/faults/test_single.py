"""One VPS for everything, born in runs that are killed on the way; then an application that nobody here wrote."""

from pathlib import Path

import pytest
import yaml

from tests.lab import Run, Site, eventually, request

NAME = "orders.lab.test"
FOREIGN = Path(__file__).parent / "third_party.yml"


@pytest.fixture(scope="module")
def url(single: Site) -> str:
    """Where nginx answers."""
    (address,) = single.hosts().values()
    return f"https://{address}"


@pytest.mark.parametrize(
    ("role", "delay"),
    [("hardening", 3.0), ("postgres", 8.0), ("api", 6.0), ("nginx", 3.0)],
)
def test_killed_half_way(single: Site, role: str, delay: float) -> None:
    """SIGKILL to ansible-playbook and its ssh connections, while a role is at work."""
    single.kill_at(f"TASK [slipway.stack.{role} : ", delay=delay)


def test_the_next_run_heals_it(single: Site) -> None:
    single.play().succeeded()


def test_and_leaves_nothing_to_do(single: Site) -> None:
    run: Run = single.play("--diff").succeeded()
    assert sum(run.changed.values()) == 0, run.tasks_changed()


def test_no_unit_failed_and_nothing_is_left_half_done(single: Site) -> None:
    (host,) = single.hosts()
    assert single.shell(host, "systemctl --failed --no-legend --plain").strip() == ""
    assert single.shell(host, "find / -xdev -name '.slipway-*' -not -path '/proc/*'").strip() == ""


def test_the_application_answers(single: Site, url: str) -> None:
    created = request(f"{url}/orders", NAME, {"customer": "ada", "items": [{"sku": "book-1", "quantity": 1, "price_cents": 900}]})
    assert created.status_code == 201, created.text
    assert eventually(lambda: request(f"{url}/orders/{created.json()['id']}", NAME).json()["status"] not in {"pending", "processing"}, 60)


def test_everything_listens_on_loopback_only(single: Site) -> None:
    """On one host no flow leaves it: only ssh and nginx bind other addresses."""
    (host,) = single.hosts()
    script = "ss -Hltn | awk '{print $4}' | grep -vE '^(127\\.|\\[::1\\])' | sed 's/.*://' | sort -nu"
    assert single.shell(host, script).split() == ["22", "80", "443"]


def test_an_application_nobody_here_wrote(single: Site, url: str) -> None:
    """The role knows nothing of the example: a third-party ASGI application from PyPI, by variables alone."""
    variables = yaml.safe_load(FOREIGN.read_text())
    single.play("-e", f"@{FOREIGN}", playbook="playbooks/app.yml").succeeded()
    answer = eventually(lambda: (found := request(f"{url}{variables['own_path']}", NAME)).status_code == 200 and found, 30)
    assert answer
    assert variables["own_expected"] in answer.text
    again = single.play("-e", f"@{FOREIGN}", playbook="playbooks/app.yml").succeeded()
    assert sum(again.changed.values()) == 0, again.tasks_changed()
