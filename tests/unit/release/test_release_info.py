"""Which release is meant by present, previous, and an id."""

from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.store import Store
from ansible_collections.slipway.stack.plugins.modules.release_info import chosen, described

from tests.unit.release.test_store import activate, built


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path, "shop")
    for order, name in enumerate(("one", "two", "three")):
        built(found, name, order)
        activate(found, name)
        found.remember()
    return found


def meant(store: Store, wanted: str) -> str:
    return chosen(store, "current", wanted, store.complete())


def test_previous_and_present(store: Store) -> None:
    assert [meant(store, wanted) for wanted in ("present", "previous", "one", "four")] == ["three", "two", "one", ""]


def test_previous_of_what_went_back_is_where_it_came_from(store: Store) -> None:
    activate(store, "two")
    assert (meant(store, "present"), meant(store, "previous")) == ("two", "three")


def test_a_release_that_was_removed_is_passed_over(store: Store) -> None:
    store.remove("two")
    assert meant(store, "previous") == "one"


def test_a_link_that_never_was(store: Store) -> None:
    assert [chosen(store, "current-workers", wanted, store.complete()) for wanted in ("present", "previous")] == ["", ""]


def test_what_is_told_of_a_release(store: Store) -> None:
    assert described(store, "three") == {"id": "three", "built": "", "source": {}, "migrated": "", "live": ["current"]}
