"""Files and directories: what is there and what is wanted, against the reasons to change."""

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import files, spec
from ansible_collections.slipway.stack.plugins.module_utils.state.host import StepError

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def wanted(section: str, path: Path, **values: Any) -> dict[str, Any]:
    return dict(spec.normalise({section: [{"path": str(path), **ME, **values}]})[section][0])


def reasons(path: Path, **values: Any) -> list[str]:
    return files.decide_file(wanted("files", path, **values), files.OnDisk(str(path)))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "there"
    path.write_text("old\n")
    path.chmod(0o644)
    return path


def test_a_file_as_wanted_needs_nothing(there: Path) -> None:
    assert reasons(there, content="old\n") == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"content": "new\n"}, ["content differs"]),
        ({"content": "old\n", "mode": "0600"}, ["mode 0644, wanted 0600"]),
        ({"content": "new\n", "mode": "0600"}, ["content differs", "mode 0644, wanted 0600"]),
        ({"content": "new\n", "force": False}, []),
        ({"content": "new\n", "force": False, "mode": "0600"}, ["mode 0644, wanted 0600"]),
        ({"content": "b2xkCg==", "encoding": "base64"}, []),
        ({"content": "old\n", "owner": "nobody-here"}, ["owner nobody-here does not exist yet"]),
        ({"link": "/elsewhere"}, ["is a file, wanted a link to /elsewhere"]),
        ({"state": "absent"}, ["exists, to be removed"]),
    ],
)
def test_an_existing_file(there: Path, values: dict[str, Any], expected: list[str]) -> None:
    assert reasons(there, **values) == expected


def test_missing_and_links(tmp_path: Path) -> None:
    link = tmp_path / "link"
    assert reasons(link, link="/a") == ["missing"] == reasons(link, content="x", force=False)
    assert reasons(link, state="absent") == []
    link.symlink_to("/a")
    assert reasons(link, link="/a") == []
    assert reasons(link, link="/b") == ["links to /a, wanted /b"]
    assert reasons(link, content="x") == ["is a link to /a"]
    assert reasons(link, state="absent") == ["exists, to be removed"]


def test_a_directory_is_never_taken_for_a_file(tmp_path: Path) -> None:
    for values in ({"content": "x"}, {"link": "/a"}, {"state": "absent"}):
        with pytest.raises(StepError, match="is a directory, not a file: refused"):
            reasons(tmp_path, **values)


def test_directories(tmp_path: Path) -> None:
    def decide(path: Path, **values: Any) -> list[str]:
        return files.decide_directory(wanted("directories", path, **values), files.OnDisk(str(path)))

    tmp_path.chmod(0o700)
    assert decide(tmp_path / "new") == ["missing"]
    assert decide(tmp_path, mode="0700") == []
    assert decide(tmp_path) == ["mode 0700, wanted 0755"]
    assert decide(tmp_path, state="absent") == ["exists, to be removed"]
    assert decide(tmp_path / "new", state="absent") == []
    with pytest.raises(StepError, match="top-level directory: refused"):
        decide(Path("/usr"), state="absent")


@pytest.mark.parametrize("values", [{"content": "canary-1\n"}, {"content": "canary-1\n", "mode": "0600"}, {"state": "absent"}])
def test_the_diff_of_a_secret_shows_nothing_of_it(there: Path, values: dict[str, Any]) -> None:
    there.write_text("canary-0\n")
    want = wanted("files", there, secret=True, **values)
    have = files.OnDisk(str(there))
    shown = files.diff(want, have, files.decide_file(want, have))
    assert "canary" not in str(shown) and shown["before"] != shown["after"]


def test_the_diff_shows_content_or_metadata(there: Path) -> None:
    have = files.OnDisk(str(there))
    changed = wanted("files", there, content="new\n")
    assert files.diff(changed, have, ["content differs"])["before"] == "old\n"
    assert files.diff(changed, have, ["content differs"])["after"] == "new\n"
    mode = wanted("files", there, content="old\n", mode="0600")
    shown = files.diff(mode, have, files.decide_file(mode, have))
    assert (shown["before"], shown["after"]) == ("old\nmode 0644\n", "old\nmode 0600\n")
    there.write_bytes(b"\0\1")
    assert files.diff(changed, files.OnDisk(str(there)), ["content differs"])["before"] == "(2 bytes)\n"
