"""Generated secrets: made once, kept, private, and never quoted in an error."""

from pathlib import Path

import pytest
import yaml

from slipway import secret_file
from slipway.errors import SlipwayError


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "secret-names.txt").write_text("one: 32\ntwo: 16\n")
    return tmp_path


def target(inventory: Path) -> Path:
    return inventory / "group_vars/all/secrets.yml"


def test_secrets_are_long_random_url_safe_and_private(inventory: Path) -> None:
    assert secret_file.init(inventory) == ["one", "two"]
    values = yaml.safe_load(target(inventory).read_text())
    assert [len(values["one"]), len(values["two"])] == [43, 22]
    assert all(set(value) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") for value in values.values())
    assert target(inventory).stat().st_mode & 0o777 == 0o600


def test_a_second_call_changes_nothing(inventory: Path) -> None:
    secret_file.init(inventory)
    before = target(inventory).read_bytes()
    assert secret_file.init(inventory) == []
    assert target(inventory).read_bytes() == before


def test_new_names_are_added_and_what_is_there_is_kept(inventory: Path) -> None:
    target(inventory).parent.mkdir(parents=True)
    target(inventory).write_text("# my comment\none: chosen by hand")
    assert secret_file.init(inventory) == ["two"]
    text = target(inventory).read_text()
    assert text.startswith("# my comment\none: chosen by hand\n")
    assert yaml.safe_load(text)["one"] == "chosen by hand"


def test_a_file_that_others_could_read_is_closed(inventory: Path) -> None:
    secret_file.init(inventory)
    target(inventory).chmod(0o644)
    secret_file.init(inventory)
    assert target(inventory).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("names", ["one: 8\n", "one: true\n", "one: many\n", "- one\n", "one: [\n"])
def test_a_wrong_list_of_names_is_refused(inventory: Path, names: str) -> None:
    (inventory / "secret-names.txt").write_text(names)
    with pytest.raises(SlipwayError, match=r"secret-names\.txt"):
        secret_file.init(inventory)


@pytest.mark.parametrize(("text", "message"), [("$ANSIBLE_VAULT;1.1;AES256\n", "is encrypted"), ('one: "hunter2\n', "not valid YAML")])
def test_a_file_that_cannot_be_extended_is_left_alone_and_not_quoted(inventory: Path, text: str, message: str) -> None:
    target(inventory).parent.mkdir(parents=True)
    target(inventory).write_text(text)
    with pytest.raises(SlipwayError, match=message) as caught:
        secret_file.init(inventory)
    assert "hunter2" not in str(caught.value)
    assert target(inventory).read_text() == text
