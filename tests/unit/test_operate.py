"""How the driver reaches hosts, and how it shows what they have."""

from pathlib import Path

import pytest

from slipway import cli, operate
from slipway.errors import SlipwayError


def test_ssh_goes_as_ansible_does() -> None:
    known = {
        "ansible_host": "192.0.2.7",
        "ansible_user": "operator",
        "ansible_port": 2222,
        "ansible_ssh_common_args": "-o IdentitiesOnly=yes",
    }
    key = {"ansible_ssh_private_key_file": "~/.ssh/work"}
    assert operate.ssh(known | key, "-t") == [
        *("ssh", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-t"),
        *("-i", str(Path.home() / ".ssh/work"), "-p", "2222", "operator@192.0.2.7", "--"),
    ]
    assert operate.ssh({"ansible_host": "app1"}) == ["ssh", "-o", "LogLevel=ERROR", "app1", "--"]


def test_a_table_has_columns() -> None:
    assert operate._table([("host", "release", "live"), ("app1", "one", "-")]) == "host  release  live\napp1  one      -"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match="There is no inventory"):
        operate.deploy(tmp_path / "none", None, reason=None, check=False, force=False, limit=None)
    with pytest.raises(SlipwayError, match="Say which command"):
        operate.execute(tmp_path, "shop-web@8000", [], None)


def test_a_command_keeps_its_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(operate, "execute", lambda *given: seen.append(given))
    assert cli.main(["exec", "inventories/prod", "shop-web@8000", "--", "python", "manage.py", "shell", "--verbosity", "2"]) == 0
    assert seen == [(Path("inventories/prod"), "shop-web@8000", ["python", "manage.py", "shell", "--verbosity", "2"], None)]
    assert cli.main(["exec", "inventories/prod", "shop-web@8000", "--", "pytest", "--", "-k"]) == 0
    assert seen[1:] == [(Path("inventories/prod"), "shop-web@8000", ["pytest", "--", "-k"], None)]
