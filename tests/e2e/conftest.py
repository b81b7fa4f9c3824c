"""The site that the end-to-end tests build from new hosts."""

import pytest

from tests.lab import Site


@pytest.fixture(scope="module")
def lab() -> Site:
    """Three new hosts: edge1, app1, data1. They stay for the fault tests, which take them down."""
    return Site("lab").fresh()
