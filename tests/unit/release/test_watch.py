"""A release is judged beside the present one: by errors, by times, by restarts, and by enough of them."""

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.modules import release_watch as watch

PARAMS = {"min_requests": 20, "max_error_percent": 1.0, "max_p95_ratio": 2.0, "p95_floor": 0.1}


def seen(requests: int = 1000, errors: int = 0, p95: float | None = 0.2, restarts: int = 0) -> dict[str, Any]:
    return {"requests": requests, "errors": errors, "restarts": restarts} | ({} if p95 is None else {"p95": p95})


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        (seen(), seen(), ""),
        (seen(errors=20), seen(errors=11), ""),
        (seen(errors=21), seen(errors=10), "2.1 % of its 1000 requests failed, of the present release's 1000 1.0 %; allowed: 1 % more"),
        (seen(p95=0.4), seen(), ""),
        (seen(p95=0.41), seen(), "one in twenty of its requests takes longer than 0.410 s"),
        (seen(p95=0.09), seen(p95=0.01), ""),
        (seen(p95=9.0), seen(requests=0, p95=None), ""),
        (seen(requests=19, errors=19, p95=9.0), seen(), ""),
        (seen(requests=0, p95=None, restarts=2), seen(), "units of the new release ended 2 times"),
    ],
)
def test_verdict(new: dict[str, Any], old: dict[str, Any], why: str) -> None:
    assert watch.verdict(PARAMS, new, old).startswith(why)
    assert bool(watch.verdict(PARAMS, new, old)) == bool(why)


def test_counters_that_begin_anew_are_counted_from_nothing() -> None:
    assert watch.grown({("a", "200"): 5.0, ("b", "200"): 3.0}, {("a", "200"): 2.0, ("b", "200"): 9.0}) == {
        ("a", "200"): 3.0,
        ("b", "200"): 3.0,
    }


def test_quantile_as_prometheus_computes_it() -> None:
    buckets = {0.1: 90.0, 0.5: 100.0, float("inf"): 100.0}
    assert watch.quantile(buckets, 0.95) == pytest.approx(0.3)
    assert watch.quantile({0.1: 0.0, float("inf"): 10.0}, 0.95) == 0.1, "beyond the last bound it is that bound"
    assert watch.quantile({}, 0.95) is None
    assert watch.quantile({0.1: 0.0, float("inf"): 0.0}, 0.95) is None


def test_summary_takes_the_instances_that_are_meant() -> None:
    requests = {("a", "200"): 10.0, ("a", "502"): 2.0, ("b", "500"): 7.0}
    times = {("a", "0.1"): 12.0, ("a", "+Inf"): 12.0, ("b", "0.1"): 0.0, ("b", "+Inf"): 7.0}
    assert watch.summary(["a"], requests, times) == {"requests": 12, "errors": 2, "p95": pytest.approx(0.095)}
    assert watch.summary(["c"], requests, times) == {"requests": 0, "errors": 0}
