"""Packages, accounts, secrets and validators: the decisions that need no host."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import accounts, overlay, packages, secrets, spec, validators
from ansible_collections.slipway.stack.plugins.module_utils.state.host import Completed, Deadline, StepError

KNOWN = {
    "nginx": ("installed", "1.0-1"),
    "old": ("config-files", "0.9"),
    "half": ("half-configured", "1.0"),
    "libold1": ("provided", "1.0-1"),
}


@pytest.mark.parametrize(
    ("want", "reason"),
    [
        ({"name": "nginx"}, ""),
        ({"name": "nginx", "version": "1.0-1"}, ""),
        ({"name": "nginx", "version": "2.0-1"}, "version 1.0-1, wanted 2.0-1"),
        ({"name": "nginx", "state": "absent"}, "installed, to be removed"),
        ({"name": "old"}, "not installed"),
        ({"name": "old", "state": "absent"}, ""),
        ({"name": "half"}, "dpkg says half-configured"),
        ({"name": "unheard"}, "not installed"),
        ({"name": "unheard", "state": "absent"}, ""),
        ({"name": "libold1"}, ""),
        ({"name": "libold1", "version": "1.0-1"}, "not installed"),
        ({"name": "libold1", "state": "absent"}, ""),
    ],
)
def test_packages(want: dict[str, Any], reason: str) -> None:
    assert packages.decide(spec.normalise({"packages": [want]})["packages"][0], KNOWN) == reason


def test_a_virtual_package_is_there_when_another_one_provides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 13 calls libmagic1 libmagic1t64; `nginx` is a package of its own, although nginx-light provides it, too."""
    listed = "installed\t1:5.46-5\tlibmagic1 (= 1:5.46-5)\ninstalled\t1.26\thttpd, nginx\nconfig-files\t2\tlibgone1 (= 2)\n"
    policy = "libmagic1:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n"
    policy += "nginx:\n  Installed: (none)\n  Candidate: 1.26.3-3\n  Version table:\n"
    said = {"dpkg-query": listed, "apt-cache": policy}
    asked: list[list[str]] = []

    def command(argv: list[str], _timeout: float) -> Completed:
        asked.append(argv)
        return Completed(0, said[argv[0]])

    monkeypatch.setattr(packages, "command", command)
    assert packages.answer(None, ["libmagic1", "nginx", "libgone1", "unheard"]) == {"libmagic1": ("provided", "1:5.46-5")}
    assert asked[1] == ["apt-cache", "policy", "--", "libmagic1", "nginx"]


HAVE = SimpleNamespace(pw_uid=100, pw_gid=0, pw_gecos="Gecos", pw_dir="/home/x", pw_shell="/bin/sh")


@pytest.mark.parametrize(
    ("want", "have", "reason"),
    [
        ({}, None, "missing"),
        ({}, HAVE, ""),
        ({"uid": 100, "home": "/home/x", "shell": "/bin/sh", "comment": "Gecos", "group": "root"}, HAVE, ""),
        ({"uid": 101}, HAVE, "uid 100, wanted 101"),
        ({"shell": "/bin/bash"}, HAVE, "shell /bin/sh, wanted /bin/bash"),
        ({"group": "daemon"}, HAVE, "primary group is not daemon"),
        ({"groups": ["no-such-group"]}, HAVE, "not in no-such-group"),
        ({"password": "$6$canary"}, HAVE, "password differs"),
        ({"state": "absent"}, HAVE, "exists, to be removed"),
        ({"state": "absent"}, None, ""),
    ],
)
def test_users(want: dict[str, Any], have: Any, reason: str) -> None:
    assert accounts.decide_user(spec.normalise({"users": [{"name": "x", **want}]})["users"][0], have) == reason


@pytest.mark.parametrize(
    ("want", "have", "reason"),
    [
        ({}, None, "missing"),
        ({"gid": 7}, SimpleNamespace(gr_gid=7), ""),
        ({"gid": 7}, SimpleNamespace(gr_gid=8), "gid 8, wanted 7"),
        ({"state": "absent"}, SimpleNamespace(gr_gid=8), "exists, to be removed"),
        ({"state": "absent"}, None, ""),
    ],
)
def test_groups(want: dict[str, Any], have: Any, reason: str) -> None:
    assert accounts.decide_group(spec.normalise({"groups": [{"name": "x", **want}]})["groups"][0], have) == reason


def test_words_of_secret_files_are_masked_and_public_words_are_not() -> None:
    payload = spec.normalise(
        {
            "files": [
                {
                    "path": "/etc/redis/redis.conf",
                    "content": "requirepass hunter2-canary\nurl redis://application:p4ssw0rd@host/0\n",
                    "secret": True,
                },
                {"path": "/etc/plain", "content": "plainword\n"},
            ],
            "users": [{"name": "x", "password": "$6$salt$hash"}],
            "units": [{"name": "redis.service"}],
        }
    )
    payload["files"][0]["template_text"] = "requirepass {{ password }}\nurl redis://{{ user }}:{{ word }}@host/0\n"
    said = "redis.service: application: bad directive requirepass 'hunter2-canary' in /etc/redis/redis.conf: p4ssw0rd $6$salt$hash plain"
    expected = "redis.service: application: bad directive requirepass '(secret)' in /etc/redis/redis.conf: (secret) (secret) plain"
    assert secrets.mask(said, secrets.secret_words(payload)) == expected
    assert secrets.mask({"line": 3}, ["x"]) == {"line": 3} and secrets.mask(["p4ssw0rd"], ["p4ssw0rd"]) == ["(secret)"]


@pytest.mark.parametrize(
    ("content", "said", "expected"),
    [
        (
            "postgresql+asyncpg://shop:p4ss%2Fw0rd@10.0.0.5:6432/shop",
            "could not connect to 10.0.0.5:6432 (postgresql+asyncpg://shop:p4ss%2Fw0rd@10.0.0.5:6432/shop), p4ss/w0rd refused",
            "could not connect to 10.0.0.5:6432 (postgresql+asyncpg://shop:(secret)@10.0.0.5:6432/shop), (secret) refused",
        ),
        (
            'URL="redis://:can\\$ary-1@cache.example.com:6379/0"',
            "Error 111 connecting to cache.example.com:6379, can$ary-1",
            "Error 111 connecting to cache.example.com:6379, (secret)",
        ),
        # raw signs that end an authority
        ("postgresql://shop:ca#n/ary9@db1:5432/shop", "host db1:5432, ca#n/ary9", "host db1:5432, (secret)"),
        ("https://hooks.example.com/services/T0AA/canary9", "POST https://hooks.example.com/services/T0AA/canary9: 404",
         "POST https://hooks.example.com/services/(secret)/(secret): 404"),
        ("https://canary9@git.example.com/shop.git", "https://canary9@git.example.com/shop.git", "https://(secret)@git.example.com/shop.git"),
        ("https://api.example.com/v1?token=canary9&page=2", "GET https://api.example.com/v1?token=canary9&page=2",
         "GET https://api.example.com/v1?token=(secret)&page=2"),
        ("host=10.0.0.5 port=5432 user=shop9 password=canary9", "host=10.0.0.5 port=5432 user=shop9 password=canary9",
         "host=10.0.0.5 port=5432 user=shop9 (secret)"),
    ],
)  # fmt: skip
def test_only_the_secret_part_of_a_connection_is_masked(content: str, said: str, expected: str) -> None:
    payload = spec.normalise({"files": [{"path": "/etc/x", "content": content, "secret": True}]})
    assert secrets.mask(said, secrets.secret_words(payload)) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[emerg] unknown directive "x" in /etc/n.conf:12', 12),
        ("/etc/n.conf line 7: Bad configuration option: x", 7),
        ("/etc/n.conf, line 31: syntax error", 31),
        ("/etc/n.conf:3:9: Error: syntax error", 3),
        (">>> /etc/n.conf: syntax error near line 4 <<<", 4),
        ("parse error at line: 5", 5),
        ("all wrong", None),
    ],
)
def test_the_line_a_validator_names(text: str, line: int | None) -> None:
    assert (validators.line_of(text, "/etc/n.conf") or validators.any_line(text)) == line


def test_validators_run_for_the_files_they_read() -> None:
    arguments = spec.normalise(
        {
            "files": [{"path": "/etc/nginx/a", "content": "x", "validate": "check %s"}, {"path": "/etc/nginxx", "content": "x"}],
            "validate": [{"command": "nginx -t", "files": ["/etc/nginx/"]}, {"command": "other", "files": ["/etc/other"]}],
        }
    )
    found = validators.jobs(arguments["files"], [], arguments["validate"])
    assert [(job.name, [want["path"] for want in job.wants]) for job in found] == [
        ("check %s (/etc/nginx/a)", ["/etc/nginx/a"]),
        ("nginx -t", ["/etc/nginx/a"]),
    ]
    assert [job.name for job in validators.jobs([], arguments["files"], arguments["validate"])] == ["nginx -t"]


def test_overlays_cover_the_fewest_existing_folders(tmp_path: Path) -> None:
    (tmp_path / "etc/nginx/conf.d").mkdir(parents=True)
    (tmp_path / "srv").mkdir()
    paths = [f"{tmp_path}/{name}" for name in ("etc/nginx/nginx.conf", "etc/nginx/conf.d/a.conf", "etc/nginx/new/deep/b.conf", "srv/c")]
    assert overlay.overlay_folders(paths, lambda path: Path(path).is_dir()) == [f"{tmp_path}/etc/nginx", f"{tmp_path}/srv"]


LOCK = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)\nE: Unable to lock directory /var/lib/apt/lists/"


def test_a_lock_of_the_package_manager_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Completed(100, LOCK), Completed(100, "E: dpkg frontend lock was locked by another process with pid 9"), Completed(0, "")]
    monkeypatch.setattr(packages, "command", lambda *_: answers.pop(0))
    monkeypatch.setattr(packages, "LOCK_PAUSE", 0.0)
    packages._manage(["apt-get", "update"], "updating the package lists", Deadline(60))
    assert answers == []


def test_a_lock_that_is_never_given_back_names_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "command", lambda *_: Completed(100, LOCK))
    monkeypatch.setattr(packages, "LOCK_PAUSE", 0.0)
    monkeypatch.setattr(packages, "LOCK_SECONDS", -1)
    with pytest.raises(StepError, match=r"the package manager is in use \(Could not get lock .* held by process 812 \(apt-get\)\)"):
        packages._manage(["apt-get", "update"], "updating the package lists", Deadline(60))


def test_another_failure_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Completed(100, "E: Unable to locate package nope"), Completed(0, "")]
    monkeypatch.setattr(packages, "command", lambda *_: answers.pop(0))
    with pytest.raises(StepError, match="Unable to locate package nope"):
        packages._manage(["apt-get", "install", "nope"], "installing packages", Deadline(60))
