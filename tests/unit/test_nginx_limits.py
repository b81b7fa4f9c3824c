"""The hourly limit of nginx, from the role's own expressions: a bucket and what leaks from it may not let more through than promised."""

import re
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles/nginx"


def rate_and_burst(per_hour: int) -> tuple[int, int]:
    """What the rendered configuration says for one value of nginx_rate_limit_per_hour."""
    loader = DataLoader()
    variables = loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True)
    templar = Templar(loader, {**variables, "nginx_rate_limit_per_hour": per_hour})
    found = []
    for name, pattern in (
        ("conf.d/10-limits", r"zone=hour:10m rate=(\{\{.*?\}\})r/m"),
        ("snippets/site", r"zone=hour burst=(\{\{.*?\}\})"),
    ):
        text = (ROLE / f"templates/etc/nginx/{name}.conf.j2").read_text()
        (expression,) = re.findall(pattern, text)
        found.append(int(templar.template(trust_as_template(expression))))
    return found[0], found[1]


@pytest.mark.parametrize("per_hour", [61, 100, 120, 1000, 1001, 10_000, 100_000])
def test_an_hour_lets_no_more_through_than_it_says(per_hour: int) -> None:
    rate, burst = rate_and_burst(per_hour)
    assert burst >= 0
    # one at once, the burst, and what leaks in an hour
    assert 0.95 * per_hour <= 1 + burst + 60 * rate <= per_hour
