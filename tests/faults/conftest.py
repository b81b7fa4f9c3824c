"""The sites that the fault tests break."""

from collections.abc import Iterator

import pytest

from tests.lab import Site, slipway


@pytest.fixture(scope="module")
def lab() -> Iterator[Site]:
    """Three converged hosts: those that the end-to-end tests left, or new ones."""
    site = Site("lab").up()
    site.play().succeeded()
    yield site
    slipway("lab", "down")


@pytest.fixture(scope="module")
def single() -> Iterator[Site]:
    """One new host for everything."""
    yield Site("single").fresh()
    slipway("lab", "down")
