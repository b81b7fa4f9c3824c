"""A call that fails leaves the host as it was, with its services answering, and says what was wrong."""

import pytest
from conftest import Engine, answer, greeter, main_pid
from testinfra.host import Host

SITE = "/etc/nginx/conf.d/site.conf"
NGINX = {"validate": [{"command": "nginx -t", "files": ["/etc/nginx"]}]}


@pytest.fixture(autouse=True)
def _greets(host: Host, engine: Engine) -> None:
    if answer(host) != "hello\n":
        engine(**greeter())


def test_nginx_refuses_a_broken_template_before_anything_is_touched(host: Host, engine: Engine) -> None:
    pid, before = main_pid(host, "nginx.service"), host.file(SITE).content_string
    files = [{"path": SITE, "template": "etc/nginx/site.conf.j2", "variables": {"name": "site", "greeting": 'x"; no_such_directive "'}}]
    for check in (True, False):
        result = engine(check=check, files=files, **NGINX).result
        assert result["failed"] and (result["file"], result["template"], result["line"]) == (SITE, "etc/nginx/site.conf.j2", 9)
        assert result["validator"] == "nginx -t" and f"etc/nginx/site.conf.j2 -> {SITE} line 9" in result["msg"]
        assert "no_such_directive" in result["msg"] and result["put_back"] == []
    assert host.file(SITE).content_string == before and main_pid(host, "nginx.service") == pid
    assert answer(host, 8099) == "hello through nginx\n"


def test_a_tree_validator_sees_new_changed_and_removed_files_together(host: Host, engine: Engine) -> None:
    moved = "/etc/nginx/extra/site.conf"
    files = [
        {"path": SITE, "state": "absent"},
        {"path": moved, "template": "etc/nginx/site.conf.j2", "variables": {"name": "site"}},
        {"path": "/etc/nginx/nginx.conf", "content": "events {}\nhttp { include extra/*.conf; }\n"},
    ]
    # Would the removed file still be seen, its server would be there twice; without the new folder there would be none.
    probe = {"command": "sh -c 'nginx -T | grep -c through'", "files": ["/etc/nginx"]}
    check = engine(check=True, files=files, validate=[probe]).result
    assert [item["reason"] for item in check["items"] if item["section"] == "validate"] == ["passed"]
    assert not host.file(moved).exists and host.file(SITE).exists
    refused = engine(files=[*files[:2]], validate=[{"command": "sh -c '! nginx -T | grep through'", "files": ["/etc/nginx"]}]).result
    assert "failed" not in refused or not refused["failed"]
    assert not host.file(SITE).exists
    engine(
        files=[{"path": SITE, "template": "etc/nginx/site.conf.j2", "variables": {"name": "site"}}, {"path": moved, "state": "absent"}],
        **NGINX,
    )


def test_a_unit_that_is_not_ready_gets_its_earlier_files_back(host: Host, engine: Engine) -> None:
    result = engine(**greeter("sick")).result
    assert result["failed"] and result["put_back"] == ["/etc/greeter/greeting"] and result["unit"] == "greeter@8001.service"
    assert "status 503, wanted 2xx" in result["msg"] and "http://127.0.0.1:8001/" in result["msg"]
    assert answer(host) == "hello\n"
    assert engine(**greeter()).result["changed"] is False


def test_a_unit_that_crashes_shows_its_journal(host: Host, engine: Engine) -> None:
    result = engine(**greeter("crash")).result
    assert "cannot greet with: crash" in result["msg"] and result["put_back"] == ["/etc/greeter/greeting"]
    assert answer(host) == "hello\n"


def test_a_first_install_that_fails_leaves_no_crash_loop(host: Host, engine: Engine) -> None:
    path = "/etc/systemd/system/loop.service"
    content = (
        "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=0.2\nStartLimitIntervalSec=0\n[Install]\nWantedBy=multi-user.target\n"
    )
    unit = {"name": "loop.service", "enabled": True, "state": "started", "ready": {"tcp": "127.0.0.1:9", "timeout": 2}}
    result = engine(files=[{"path": path, "content": content}], directories=[{"path": "/etc/loop/deep"}], units=[unit]).result
    assert result["failed"] and path in result["put_back"] and "/etc/loop" in result["put_back"]
    assert not host.file(path).exists and not host.file("/etc/loop").exists
    assert host.check_output("systemctl show --value --property=ActiveState loop.service") == "inactive"
    assert host.run("find /etc/systemd -name loop.service").stdout == ""


def test_the_units_of_the_call_that_had_restarted_run_with_the_old_files(host: Host, engine: Engine) -> None:
    wanted = greeter("sick")
    wanted["units"][0]["ready"] = {"tcp": "127.0.0.1:8001"}
    wanted["units"].append(
        {"name": "greeter@8002.service", "restart_on": ["/etc/greeter/greeting"], "ready": {"http": "http://127.0.0.1:8002/", "timeout": 2}}
    )
    result = engine(**wanted).result
    assert result["failed"] and result["restarted"] == ["greeter@8001.service"]
    assert answer(host, 8001) == answer(host, 8002) == "hello\n"


def test_a_missing_owner_names_file_and_user(host: Host, engine: Engine) -> None:
    files = [{"path": "/srv/first", "content": "x"}, {"path": "/srv/second", "content": "x", "owner": "nobody-here"}]
    result = engine(files=files).result
    assert "/srv/second: owner 'nobody-here' does not exist" in result["msg"]
    assert not host.file("/srv/first").exists
    assert engine(check=True, files=files).items() == [("files", "/srv/first", "create"), ("files", "/srv/second", "create")]


def test_a_full_disk_changes_nothing_and_is_named(host: Host, engine: Engine) -> None:
    host.check_output("mkdir -p /srv/full && mount -t tmpfs -o size=64k tmpfs /srv/full")
    try:
        files = [{"path": "/etc/greeter/greeting", "content": "never\n"}, {"path": "/srv/full/big", "content": "x" * 100_000}]
        result = engine(files=files).result
        assert "No space left on device" in result["msg"] and "/srv/full/big: " in result["msg"]
        assert host.file("/srv/full").listdir() == [] and answer(host) == "hello\n"
        assert host.file("/etc/greeter/greeting").content_string == "hello\n"
    finally:
        host.check_output("umount /srv/full && rmdir /srv/full")


CANARY = "canary-8f2a61d9"


@pytest.mark.parametrize("task", [{}, {"async": 60, "poll": 1}], ids=["script", "module"])
def test_a_secret_is_never_shown(host: Host, engine: Engine, task: dict[str, object]) -> None:
    loud = ("-vvv", "--diff")
    unit = {"path": "/etc/systemd/system/loud.service", "content": "[Service]\nExecStart=/bin/sh -c 'cat /etc/loud; exit 1'\n"}
    secret = {"path": "/etc/loud", "content": f"password = {CANARY}\nurl = tcp://user:{CANARY}x@host/\n", "secret": True, "mode": "0600"}
    printing = {**secret, "validate": "sh -c 'cat %s; exit 1'"}
    user = {"name": "canary", "system": True, "password": f"$6${CANARY}$hash"}
    started = {"name": "loud.service", "state": "started"}
    begin = host.check_output("date +%s")
    runs = [
        engine(task=task, options=loud, files=[printing]),
        engine(task=task, options=loud, files=[secret, unit], units=[started], users=[user]),
        engine(task=task, options=loud, files=[secret], users=[user]),
        engine(task=task, options=loud, files=[{**secret, "content": "other\n"}]),
    ]
    assert [bool(run.result.get("failed")) for run in runs] == [True, True, False, False]
    for run in runs:
        assert CANARY not in run.output and CANARY not in str(run.results)
    assert "(secret)" in runs[0].result["msg"] and "(secret)" in runs[1].result["msg"]
    # The service itself printed it; what the engine says in the system log must not hold it.
    said = host.check_output(f"journalctl --since=@{begin} --output=json --output-fields=MESSAGE,_SYSTEMD_UNIT").splitlines()
    assert not [line for line in said if CANARY in line and "loud.service" not in line]
    engine(files=[{"path": "/etc/loud", "state": "absent"}], users=[{"name": "canary", "state": "absent"}])
