"""The hourly limit of nginx: a bucket and what leaks from it may not let more through than promised."""

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils.sites import hour_bucket


@pytest.mark.parametrize("per_hour", [61, 100, 120, 1000, 1001, 10_000, 100_000])
def test_an_hour_lets_no_more_through_than_it_says(per_hour: int) -> None:
    rate, burst = hour_bucket(per_hour)
    assert burst >= 0
    # one at once, the burst, and what leaks in an hour
    assert 0.95 * per_hour <= 1 + burst + 60 * rate <= per_hour
