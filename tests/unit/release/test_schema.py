"""Which migrations a database has seen, and whether another release has the same."""

from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release import schema
from ansible_collections.slipway.stack.plugins.module_utils.release.store import Store

from tests.unit.release.test_store import built


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path, "shop")
    for order, name in enumerate(("one", "same", "two")):
        built(found, name, order)
        folder = found.path(name) / "source/shop/migrations"
        folder.mkdir(parents=True)
        (folder / "0001_first.py").write_text("first")
        (found.path(name) / "source/shop/views.py").write_text(name)
    (found.path("two") / "source/shop/migrations/0002_second.py").write_text("second")
    return found


def test_the_same_migrations_are_no_change_of_the_schema(store: Store) -> None:
    assert schema.beyond(store, "one") == "", "nobody has migrated"
    schema.remember(store, "one", schema.FILES)
    assert [schema.beyond(store, name) for name in ("one", "same", "two")] == ["", "", "one"]
    schema.remember(store, "two", schema.FILES)
    assert [schema.beyond(store, name) for name in ("one", "same", "two")] == ["two", "two", ""]


def test_a_changed_migration_is_another_one_and_a_moved_one_too(store: Store) -> None:
    schema.remember(store, "one", schema.FILES)
    changed = store.path("same") / "source/shop/migrations/0001_first.py"
    changed.write_text("changed")
    assert schema.beyond(store, "same") == "one"
    changed.write_text("first")
    changed.rename(changed.with_name("0001_other.py"))
    assert schema.beyond(store, "same") == "one"


def test_patterns_are_those_of_the_release_that_migrated(store: Store) -> None:
    schema.remember(store, "one", ["**/*.sql"])
    assert schema.beyond(store, "two") == "", "neither has any"


def test_a_database_that_was_migrated_before_this_was_written_down(store: Store) -> None:
    (store.path("one") / "migrated.json").write_text("{}")
    assert [schema.beyond(store, name) for name in ("same", "two")] == ["", "one"]
