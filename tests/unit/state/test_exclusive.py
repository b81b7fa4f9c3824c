"""What nobody declares any more goes, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import exclusive, spec


def completed(wanted: dict[str, Any], active: list[str] | None = None) -> dict[str, Any]:
    patterns = exclusive.patterns(wanted["units"])
    wanted["units"] = [unit for unit in wanted["units"] if not unit["exclusive"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exclusive, "_ask_active", lambda _patterns: None)
        patch.setattr(exclusive, "_active", lambda _asked: active or [])
        exclusive.add_undeclared(wanted, patterns)
    return wanted


def absent(wanted: dict[str, Any], section: str) -> list[str]:
    return [item["path"] for item in wanted[section] if item["state"] == "absent"]


def test_undeclared_files_and_links_of_a_directory_go(tmp_path: Path) -> None:
    for name in ("kept", "dropped", "also"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    wanted = spec.normalise(
        {
            "directories": [{"path": str(tmp_path), "exclusive": True}],
            "files": [{"path": f"{tmp_path}/kept", "content": "x"}, {"path": f"{tmp_path}/new", "content": "x"}],
        }
    )
    assert absent(completed(wanted), "files") == [f"{tmp_path}/also", f"{tmp_path}/dropped", f"{tmp_path}/link"]


def test_a_pattern_leaves_other_names_alone(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml", "README"):
        (tmp_path / name).write_text("x")
    wanted = spec.normalise({"directories": [{"path": str(tmp_path), "exclusive": "*.yml"}]})
    assert absent(completed(wanted), "files") == [f"{tmp_path}/a.yml", f"{tmp_path}/b.yml"]


def test_a_dropped_secret_is_not_shown(tmp_path: Path) -> None:
    for name, mode in (("secret", 0o640), ("public", 0o644)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    done = completed(spec.normalise({"directories": [{"path": str(tmp_path), "exclusive": True}]}))
    assert [(Path(file["path"]).name, file["secret"]) for file in done["files"]] == [("public", False), ("secret", True)]


def test_a_directory_that_is_not_there_has_nothing_to_lose(tmp_path: Path) -> None:
    wanted = spec.normalise({"directories": [{"path": f"{tmp_path}/none", "exclusive": True}]})
    assert completed(wanted)["files"] == []


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exclusive, "SYSTEM", str(tmp_path))
    for unit in ("api@.service", "celery-beat.service"):
        (tmp_path / unit).write_text("[Service]")
    (tmp_path / "multi-user.target.wants").mkdir()
    for port in (8000, 8001):
        (tmp_path / "multi-user.target.wants" / f"api@{port}.service").symlink_to(tmp_path / "api@.service")
    for folder in ("api@.service.d", "api@8002.service.d"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_other_instances_are_stopped_disabled_and_removed(system: Path) -> None:
    wanted = spec.normalise(
        {
            "files": [
                {"path": f"{system}/api@.service", "content": "[Service]"},
                {"path": f"{system}/api@.service.d/slipway.conf", "content": ""},
            ],
            "units": [{"name": "api@8000.service", "state": "started"}, {"exclusive": "api@*.service"}],
        }
    )
    done = completed(wanted, active=["api@8000.service", "api@8003.service"])
    assert [(unit["name"], unit["state"], unit["enabled"]) for unit in done["units"]] == [
        ("api@8001.service", "stopped", False),
        ("api@8002.service", "stopped", False),
        ("api@8003.service", "stopped", False),
        ("api@8000.service", "started", None),
    ]
    assert absent(done, "directories") == [f"{system}/api@8002.service.d"]
    assert absent(done, "files") == []  # the links go when the units are disabled; the template is declared


def test_a_unit_nobody_declares_loses_its_file(system: Path) -> None:
    done = completed(spec.normalise({"units": [{"exclusive": "celery-*.service"}]}))
    assert [unit["name"] for unit in done["units"]] == ["celery-beat.service"]
    assert absent(done, "files") == [f"{system}/celery-beat.service"]


def test_a_link_to_a_unit_that_is_gone_goes(system: Path) -> None:
    link = system / "multi-user.target.wants" / "old@1.service"
    link.symlink_to(system / "old@.service")
    assert absent(completed(spec.normalise({"units": [{"exclusive": "old@*.service"}]})), "files") == [str(link)]


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ({"exclusive": "*.service"}, "exclusive is a pattern that begins with three plain characters"),
        ({"exclusive": "a*.service"}, "exclusive is a pattern that begins with three plain characters"),
        ({"exclusive": "api@*"}, "ends with one of .service"),
        ({"exclusive": "api@*.service", "name": "x.service"}, "exclusive goes without name"),
        ({"exclusive": "api@*.service", "state": "stopped"}, "exclusive goes without state"),
        ({"enabled": True}, "an item needs a name, or a pattern in exclusive"),
    ],
)
def test_a_pattern_cannot_take_more_than_was_meant(item: dict[str, Any], sentence: str) -> None:
    with pytest.raises(spec.SpecError) as error:
        spec.normalise({"units": [item]})
    assert sentence in str(error.value)


@pytest.mark.parametrize("value", ["a/*.yml", "", 3])
def test_a_directorys_pattern_is_one_of_names(value: Any) -> None:
    with pytest.raises(spec.SpecError, match="allowed: true, false or a pattern of file names"):
        spec.normalise({"directories": [{"path": "/x", "exclusive": value}]})


def test_marked_units_go_whatever_their_name(system: Path) -> None:
    (system / "shop-web@.service").write_text("[Unit]\nX-Slipway=api\n[Service]")
    (system / "shop-web@.service.d").mkdir()
    (system / "multi-user.target.wants" / "shop-web@8100.service").symlink_to(system / "shop-web@.service")
    (system / "shop-worker@.service").write_text("[Unit]\nX-Slipway=celery_workers\n[Service]")
    (system / "blog-web@.service").write_text("[Unit]\nX-Slipway=api\n[Service]")
    wanted = spec.normalise(
        {
            "files": [{"path": f"{system}/blog-web@.service", "content": "x"}],
            "units": [{"name": "blog-web@8000.service", "state": "started"}, {"exclusive": "*.service", "marked": "api"}],
        }
    )
    done = completed(wanted, ["shop-web@8100.service", "blog-web@8000.service"])
    assert absent(done, "files") == [f"{system}/shop-web@.service"]
    assert absent(done, "directories") == [f"{system}/shop-web@.service.d"]
    assert [unit["name"] for unit in done["units"]] == ["shop-web@8100.service", "blog-web@8000.service"]


def test_a_pattern_of_everything_needs_a_mark() -> None:
    with pytest.raises(spec.SpecError, match="begins with three plain characters"):
        spec.normalise({"units": [{"exclusive": "*.service"}]})
    with pytest.raises(spec.SpecError, match="marked is 'Two words'"):
        spec.normalise({"units": [{"exclusive": "*.service", "marked": "Two words"}]})
