"""Which releases are complete, which stay, and what was live before."""

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.store import MANIFEST, Store, StoreError, prunable, release_id


def built(store: Store, name: str, order: int) -> None:
    store.path(name).mkdir(parents=True)
    (store.path(name) / MANIFEST).write_text("{}")
    os.utime(store.path(name) / MANIFEST, (order, order))


def activate(store: Store, name: str, link: str = "current") -> None:
    (store.home / link).unlink(missing_ok=True)
    (store.home / link).symlink_to(store.path(name))


@pytest.mark.parametrize(
    ("complete", "keep", "protected", "gone"),
    [
        ("a b c d", 2, "", "a b"),
        ("a b c d", 2, "d a", "b c"),
        ("a b c d", 5, "d", ""),
        ("a b c d", 1, "a b c d", ""),
        ("a b c", 2, "c b a", ""),
    ],
)
def test_prunable(complete: str, keep: int, protected: str, gone: str) -> None:
    assert prunable(complete.split(), keep, frozenset(protected.split())) == gone.split()


def test_release_id_is_readable_and_follows_the_recipe() -> None:
    first = release_id("celery[redis]-5.5.3", {"python": "3.11", "digest": "x"})
    assert first.startswith("celery-redis-5.5.3-")
    assert first == release_id("celery[redis]-5.5.3", {"digest": "x", "python": "3.11"})
    assert first != release_id("celery[redis]-5.5.3", {"digest": "x", "python": "3.13"})


def test_folder_without_manifest_is_unfinished(tmp_path: Path) -> None:
    store = Store(tmp_path, "app")
    built(store, "new", 2)
    built(store, "old", 1)
    store.path("killed").mkdir()
    assert store.complete() == ["old", "new"]
    assert store.unfinished() == ["killed"]


def test_previous_release_of_every_link_is_protected(tmp_path: Path) -> None:
    store = Store(tmp_path, "app")
    for order, name in enumerate("abc"):
        built(store, name, order)
        activate(store, name)
        store.remember()
    activate(store, "a", "current-workers")
    assert store.history() == {"current": ["a", "b", "c"], "current-workers": ["a"]}
    assert store.protected() == {"b", "c", "a"}
    activate(store, "b")  # a rollback: what was live before is c
    assert store.history()["current"] == ["a", "c", "b"]


def test_removal_that_is_killed_leaves_an_unfinished_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, "app")
    built(store, "a", 1)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt(path)

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        store.remove("a")
    assert store.unfinished() == ["a"]


def test_second_run_waits_and_says_why_it_gives_up(tmp_path: Path) -> None:
    with Store(tmp_path, "app").locked(1), pytest.raises(StoreError, match="another run"), Store(tmp_path, "app").locked(0):
        pass
