"""What the engine promises on a quiet host: convergence, exact prediction, restarts that are due and no others."""

import time
from typing import Any

import pytest
from conftest import Engine, answer, greeter, main_pid
from testinfra.host import Host


def test_every_section_took_effect(host: Host) -> None:
    user = host.user("greeter")
    assert user.group == "greeters" and "www-data" in user.groups and user.shell == "/usr/sbin/nologin" and user.gecos == "Greets"
    assert host.file("/etc/shadow").contains("^greeter:!")
    folder, secret = host.file("/opt/greeter"), host.file("/etc/greeter/secret")
    assert (folder.user, folder.group, folder.mode) == ("greeter", "greeters", 0o750)
    assert (secret.user, secret.group, secret.mode) == ("root", "greeters", 0o640)
    assert host.file("/etc/greeter/current").linked_to == "/etc/greeter/greeting"
    assert host.file("/etc/systemd/system/greeter@.service").mode == 0o644
    assert answer(host, 8001) == answer(host, 8002) == "hello\n"
    assert host.service("greeter@8001.service").is_enabled and host.service("greeter-note.timer").is_running
    assert host.service("apt-daily.timer").is_masked
    assert answer(host, 8099) == "hello through nginx\n"
    site = host.file("/etc/nginx/conf.d/site.conf").content_string
    assert "# Managed by Ansible (slipway.stack)" in site and "# site\n# of\n# greeter\nserver {" in site


def test_dpkg_started_no_service_before_its_configuration_was_there(host: Host) -> None:
    lines = host.check_output("journalctl --unit=nginx.service --output=cat").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Started"))
    assert not any("failed" in line.lower() for line in lines[:first])
    # Debian's own site listens on port 80; nginx never did.
    assert "Stopped" not in "\n".join(lines[: first + 1])
    assert not host.file("/usr/sbin/policy-rc.d").exists


def test_nothing_is_left_behind(host: Host) -> None:
    assert host.run("find /etc /opt /usr/sbin -name '.slipway-*'").stdout == ""
    assert host.file("/var/lib/slipway/rollback").listdir() == []
    assert host.file("/var/lib/slipway/rollback").mode == 0o700


MUTATIONS = {
    "nothing": "true",
    "content": "echo changed > /etc/greeter/greeting",
    "mode": "chmod 0600 /etc/greeter/greeting",
    "owner": "chown greeter /etc/greeter/greeting",
    "removed file": "rm /etc/greeter/greeting",
    "link instead": "ln -sfn /dev/null /etc/greeter/greeting",
    "touched": "touch /etc/greeter/greeting",
    "directory gone": "rm -r /etc/greeter/conf.d",
    "directory mode": "chmod 0700 /etc/greeter/conf.d",
    "group membership": "gpasswd -d greeter www-data",
    "shell": "usermod -s /bin/sh greeter",
    "stopped": "systemctl stop greeter@8001",
    "killed": "systemctl kill -s KILL greeter@8001; sleep 0.3",
    "disabled": "systemctl disable greeter@8001",
    "reload due": "touch /etc/greeter/conf.d",
    "unit file": "sed -i 's/Greets/Greeted/' /etc/systemd/system/greeter@.service",
    "unit file behind systemd's back": "sleep 1; touch /etc/systemd/system/greeter@.service",
    "package": "apt-get -q -y remove netcat-openbsd",
}


FINGERPRINT = (
    "find /etc /opt /var/lib/slipway -printf '%p %m %u %g %T@ %l\\n' | sort | sha256sum; systemctl show --property=MainPID greeter@8001"
)


@pytest.fixture(scope="module")
def mutated(host: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """For every mutation: fingerprint before and after a check, the check's result, the real one, that of a run after it, the greeting."""
    wanted = greeter(
        packages=["netcat-openbsd"],
        users=[{"name": "greeter", "groups": ["www-data"], "shell": "/usr/sbin/nologin"}],
        directories=[{"path": "/etc/greeter/conf.d"}],
    )
    wanted["files"] += [
        {"path": "/etc/systemd/system/greeter@.service", "source": "greeter@.service", "validate": "systemd-analyze verify %s"}
    ]
    state = {"slipway.stack.state": wanted}
    look = {"ansible.builtin.raw": FINGERPRINT}
    greet = {"ansible.builtin.raw": "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:8001/\").read())'"}
    steps = [state]
    for mutation in MUTATIONS.values():
        steps += [{"ansible.builtin.raw": mutation}, look, {**state, "check_mode": True}, look, state, state, greet]
    results = Engine(host, tmp_path_factory.mktemp("mutated")).play(steps)[1:]
    return {name: results[number * 7 + 1 : number * 7 + 7] for number, name in enumerate(MUTATIONS)}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_check_mode_predicts_exactly_what_the_real_run_does(mutated: dict[str, list[dict[str, Any]]], mutation: str) -> None:
    before, predicted, after, done, again, greeting = mutated[mutation]
    assert before["stdout"] == after["stdout"]  # check mode touched nothing
    for key in ("changed", "items", "diff", "restarted", "reloaded", "failed"):
        assert predicted.get(key) == done.get(key), key
    assert done["changed"] is (mutation != "nothing")
    assert again["changed"] is False
    assert "hello" in greeting["stdout"]


def test_a_touched_file_restarts_exactly_once(host: Host, engine: Engine) -> None:
    engine(**greeter())
    old = main_pid(host, "greeter@8001.service")
    host.check_output("touch /etc/greeter/greeting")
    assert engine(**greeter()).result["restarted"] == ["greeter@8001.service"]
    new = main_pid(host, "greeter@8001.service")
    assert new != old
    assert engine(**greeter()).result["changed"] is False
    assert main_pid(host, "greeter@8001.service") == new


def test_a_reload_keeps_the_process_and_happens_once(host: Host, engine: Engine) -> None:
    note = {"path": "/etc/greeter/conf.d/note.conf", "content": "noted\n"}
    wanted = greeter()
    wanted["files"] += [note]
    engine(**greeter())
    pid = main_pid(host, "greeter@8001.service")
    done = engine(**wanted)
    assert (done.result["reloaded"], done.result["restarted"]) == (["greeter@8001.service"], [])
    assert answer(host) == "hello\nnoted\n" and main_pid(host, "greeter@8001.service") == pid
    assert engine(**wanted).result["changed"] is False
    wanted["files"][-1] = {"path": note["path"], "state": "absent"}
    assert engine(**wanted).result["reloaded"] == ["greeter@8001.service"]
    assert answer(host) == "hello\n" and main_pid(host, "greeter@8001.service") == pid


def test_two_instances_restart_one_after_the_other(host: Host, engine: Engine) -> None:
    units = [
        {
            "name": f"greeter@{port}.service",
            "state": "started",
            "restart_on": ["/etc/greeter/greeting"],
            "ready": {"tcp": f"127.0.0.1:{port}"},
        }
        for port in (8001, 8002)
    ]
    done = engine(files=[{"path": "/etc/greeter/greeting", "content": "rolling\n"}], units=units)
    assert done.result["restarted"] == ["greeter@8001.service", "greeter@8002.service"]
    assert answer(host, 8001) == answer(host, 8002) == "rolling\n"
    engine(files=[{"path": "/etc/greeter/greeting", "content": "hello\n"}], units=units)


def test_a_file_that_exists_is_kept_when_force_is_false(host: Host, engine: Engine) -> None:
    wanted = {"files": [{"path": "/etc/greeter/key", "content": "another\n", "force": False, "mode": "0600"}]}
    assert engine(**wanted).items() == [("files", "/etc/greeter/key", "update")]
    key = host.file("/etc/greeter/key")
    assert key.content_string == "made once\n" and key.mode == 0o600
    engine(files=[{"path": "/etc/greeter/key", "content": "another\n", "force": False}])


def test_a_mount_point_is_written_in_place(host: Host, engine: Engine) -> None:
    host.check_output("echo old > /srv/bound.real && touch /srv/bound && mount --bind /srv/bound.real /srv/bound")
    try:
        done = engine(files=[{"path": "/srv/bound", "content": "new\n", "mode": "0600"}])
        assert "written in place" in done.result["items"][0]["reason"]
        assert host.file("/srv/bound.real").content_string == "new\n" and host.file("/srv/bound.real").mode == 0o600
        assert engine(files=[{"path": "/srv/bound", "content": "new\n", "mode": "0600"}]).result["changed"] is False
    finally:
        host.check_output("umount /srv/bound && rm /srv/bound /srv/bound.real")


def test_a_second_run_waits_for_the_first(host: Host, engine: Engine) -> None:
    host.run("(flock -x 9; sleep 4) 9>/run/slipway/state.lock >/dev/null 2>&1 &")
    time.sleep(0.3)
    begin = time.monotonic()
    assert engine(files=[{"path": "/etc/greeter/waited", "content": "x\n"}]).result["changed"]
    assert time.monotonic() - begin > 3
    engine(files=[{"path": "/etc/greeter/waited", "state": "absent"}])


def test_removed_things_go_and_come_back_on_failure(host: Host, engine: Engine) -> None:
    host.check_output("mkdir -p /srv/old/deep && echo kept > /srv/old/deep/file")
    wanted = {"directories": [{"path": "/srv/old", "state": "absent"}]}
    refused = engine(files=[{"path": "/srv/x", "content": "x", "validate": "test -z %s"}], **wanted)
    assert refused.result["failed"] and refused.result["put_back"] == ["/srv/old"]
    assert host.file("/srv/old/deep/file").content_string == "kept\n"
    assert engine(**wanted).items() == [("directories", "/srv/old", "remove")]
    assert not host.file("/srv/old").exists and host.run("find /srv -name '.slipway-*'").stdout == ""


def test_a_unit_and_its_files_are_taken_out(host: Host, engine: Engine) -> None:
    path = "/etc/systemd/system/passing.service"
    there = {"path": path, "content": "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"}
    engine(files=[there], units=[{"name": "passing.service", "enabled": True, "state": "started"}])
    assert host.service("passing.service").is_running and host.service("passing.service").is_enabled
    gone = {"files": [{"path": path, "state": "absent"}], "units": [{"name": "passing.service", "enabled": False, "state": "stopped"}]}
    done = engine(**gone)
    assert ("units", "passing.service", "stop disable") in done.items()
    assert host.check_output("systemctl show --value --property=LoadState passing.service") == "not-found"
    assert host.run("systemctl --failed --no-legend").stdout == ""
    assert engine(**gone).result["changed"] is False


def test_instances_that_nobody_names_any_more_go(host: Host, engine: Engine) -> None:
    host.check_output("mkdir -p /etc/systemd/system/greeter@8002.service.d")
    host.check_output("printf '[Service]\nNice=1\n' > /etc/systemd/system/greeter@8002.service.d/nice.conf && systemctl daemon-reload")
    instance = {"each": "{{ ports }}", "as": "port", "name": "greeter@{{ port }}.service", "state": "started", "enabled": True}
    units = [instance, {"exclusive": "greeter@*.service"}]
    files = [{"path": "/etc/systemd/system/greeter@.service", "source": "greeter@.service"}]
    directories = [{"path": "/etc/systemd/system/greeter@.service.d"}]
    task = {"slipway.stack.state": {"files": files, "directories": directories, "units": units}}
    foretold, first, second, back = engine.play(
        [
            {**task, "vars": {"ports": [8001]}, "check_mode": True},
            {**task, "vars": {"ports": [8001]}},
            {**task, "vars": {"ports": [8001]}},
            {**task, "vars": {"ports": [8001, 8002]}},
        ]
    )
    gone = [("directories", "/etc/systemd/system/greeter@8002.service.d"), ("units", "greeter@8002.service")]
    for result in (foretold, first):
        changes = [(item["section"], item["name"]) for item in result["items"] if item["changed"] and item["name"] != "systemd"]
        assert [change for change in changes if change in gone] == gone, result
    assert not second["changed"], second
    assert {(item["section"], item["name"]) for item in back["items"] if item["changed"]} == {("units", "greeter@8002.service")}
    assert answer(host, 8001) == answer(host, 8002) == "hello\n"


def test_a_stopped_instance_is_off_for_good(host: Host, engine: Engine) -> None:
    named = {"name": "greeter@8001.service", "state": "started"}
    assert engine(units=[named, {"exclusive": "greeter@8*.service"}]).result["changed"]
    unit = host.service("greeter@8002.service")
    assert not unit.is_running and not unit.is_enabled and answer(host, 8001) == "hello\n"
    engine(units=[{"name": "greeter@8002.service", "state": "started", "enabled": True, "ready": {"tcp": "127.0.0.1:8002"}}])
    assert unit.is_running and unit.is_enabled


def test_a_dropped_secret_goes_unseen(host: Host, engine: Engine) -> None:
    assert host.file("/etc/greeter/secrets/token").mode == 0o640 and host.file("/etc/greeter/secrets/other").exists
    assert not host.file("/etc/greeter/never").exists
    directory = {"path": "/etc/greeter/secrets", "group": "greeters", "mode": "0750", "exclusive": True}
    token = {"path": "/etc/greeter/secrets/token", "content": "second-secret-91e4", "group": "greeters", "mode": "0640", "secret": True}
    dropped = engine(directories=[directory], files=[token], options=("--diff",))
    assert dropped.items() == [("files", "/etc/greeter/secrets/other", "remove")], dropped.output
    assert "third-secret" not in dropped.output and "(secret)" in dropped.output
    assert host.file("/etc/greeter/secrets").listdir() == ["token"]


def test_a_refused_call_brings_dropped_files_back(host: Host, engine: Engine) -> None:
    host.check_output("printf kept > /etc/greeter/conf.d/kept")
    broken = engine(
        directories=[{"path": "/etc/greeter/conf.d", "exclusive": True}],
        units=[
            {
                "name": "greeter@8001.service",
                "state": "started",
                "reload_on": ["/etc/greeter/conf.d"],
                "ready": {"tcp": "127.0.0.1:1", "timeout": 1},
            }
        ],
    )
    assert broken.result["failed"] and broken.result["put_back"] == ["/etc/greeter/conf.d/kept"], broken.output
    assert host.file("/etc/greeter/conf.d/kept").content_string == "kept"
    host.check_output("rm /etc/greeter/conf.d/kept")


def test_the_sandbox_holds(host: Host) -> None:
    """What `systemd-analyze security` calls the strictest sandbox with the network open; the process feels it."""
    score = host.run("systemd-analyze security --no-pager greeter@8001.service").stdout.splitlines()[-1]
    assert float(score.split("level for greeter@8001.service:")[1].split()[0]) <= 1.1, score
    pid = main_pid(host, "greeter@8001.service")
    assert host.check_output(f"awk '/^NoNewPrivs/ {{print $2}}' /proc/{pid}/status") == "1"
    assert host.run(f"nsenter --target {pid} --mount touch /etc/greeter/written").stderr.endswith("Read-only file system\n")
