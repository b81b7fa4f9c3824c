"""What the role promises over time: no answer lost, a broken release taken back, a killed build cleared away."""

import re
import shutil
import threading
from pathlib import Path

import pytest
from deployment import PORTS, SCENARIO, about
from playbook import Converge, Hosts

# As nginx does: ask the next instance when one does not answer; a request is lost when none does.
ASK = """
import os, time, urllib.request
asked = lost = 0
while not os.path.exists("/root/stop"):
    asked += 1
    for port in (8000, 8001):
        try:
            urllib.request.urlopen("http://127.0.0.1:%d/about" % port, timeout=5).read()
            break
        except OSError:
            continue
    else:
        lost += 1
    time.sleep(0.02)
print(asked, lost)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the application that a test may change."""
    return Path(shutil.copytree(SCENARIO / "files/hello", tmp_path / "hello"))


def releases(hosts: Hosts) -> dict[str, str]:
    return {name: about(host)["release"] for name, host in hosts.items()}


def test_new_release_rolls_without_losing_a_request_and_the_old_one_stays(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = releases(hosts)
    (source / "version.txt").write_text("2\n")
    answers: dict[str, str] = {}

    def ask(name: str) -> None:
        answers[name] = hosts[name].check_output("rm -f /root/stop; timeout 240 python3 -c %s", ASK)

    askers = [threading.Thread(target=ask, args=(name,)) for name in hosts]
    for asker in askers:
        asker.start()
    try:
        done = converge(play="deploy.yml", hello_path=str(source))
    finally:
        for host in hosts.values():
            host.run("touch /root/stop")
        for asker in askers:
            asker.join()
    assert done.code == 0, done.output
    assert "only-for-this-scenario" not in done.output
    for name, host in hosts.items():
        asked, lost = map(int, answers[name].split())
        assert asked > 50
        assert lost == 0
        assert {about(host, port)["version"] for port in PORTS} == {"2"}
        assert host.file(f"/opt/hello/releases/{before[name]}/release.json").exists


def test_back_to_the_release_before_without_losing_a_request_and_forth_again(hosts: Hosts, converge: Converge) -> None:
    present, files = releases(hosts), str(SCENARIO / "files/hello")  # which nobody reads: nothing is built
    answers: dict[str, str] = {}

    def ask(name: str) -> None:
        answers[name] = hosts[name].check_output("rm -f /root/stop; timeout 240 python3 -c %s", ASK)

    askers = [threading.Thread(target=ask, args=(name,)) for name in hosts]
    for asker in askers:
        asker.start()
    try:
        done = converge(play="deploy.yml", hello_path=files, api_pinned={"hello": "previous"})
        back = releases(hosts)
        versions = {about(host, port)["version"] for host in hosts.values() for port in PORTS}
        forth = converge(play="deploy.yml", hello_path=files, api_pinned={"hello": "previous"})
    finally:
        for host in hosts.values():
            host.run("touch /root/stop")
        for asker in askers:
            asker.join()
    assert done.code == 0, done.output
    assert forth.code == 0, forth.output
    assert "only-for-this-scenario" not in done.output + forth.output
    assert versions == {"1"}
    assert [name for name in hosts if back[name] == present[name]] == []
    assert releases(hosts) == present
    assert {int(answer.split()[1]) for answer in answers.values()} == {0}
    lost = converge(play="deploy.yml", hello_path=files, api_pinned={"hello": "hello-0123456789ab"})
    assert lost.failed == set(hosts)
    assert lost.missing("hello has no release 'hello-0123456789ab' for current; on this host: ") == []
    assert releases(hosts) == present


def test_a_way_back_past_a_migration_is_refused_unless_told(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = releases(hosts)
    with (source / "migrate.py").open("a") as migration:
        migration.write("# one more column\n")
    assert converge(play="deploy.yml", hello_path=str(source)).code == 0
    present = releases(hosts)
    back = {"play": "deploy.yml", "hello_path": str(source), "api_pinned": {"hello": "previous"}}
    refused = converge(**back)
    assert refused.failed == set(hosts)
    assert refused.missing("the database has seen the migrations of ", "say -e rollback_schema=accept") == []
    assert releases(hosts) == present
    told = converge(**back, api_schema="accept")
    assert told.code == 0, told.output
    assert releases(hosts) == before


def test_release_that_does_not_get_ready_is_taken_back(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = releases(hosts)
    (source / "broken.txt").write_text("")
    done = converge(play="deploy.yml", hello_path=str(source))
    assert done.failed == set(hosts)
    assert done.missing("/health/ready") == []
    for name, host in hosts.items():
        assert {about(host, port)["release"] for port in PORTS} == {before[name]}
        assert host.file("/opt/hello/current").linked_to == f"/opt/hello/releases/{before[name]}"


def test_failed_migration_shows_no_secret_and_leaves_the_running_release(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = releases(hosts)
    (source / "unmigratable.txt").write_text("")
    done = converge("-vvv", play="deploy.yml", hello_path=str(source))
    assert done.failed == set(hosts)
    assert done.missing("migrate failed with exit code 1", "refused: postgresql://admin:********@127.0.0.1/hello") == []
    assert "only-for-this-scenario" not in done.output
    assert releases(hosts) == before
    for host in hosts.values():
        assert host.check_output("ls /run/slipway/release") == ""


def test_failed_build_names_the_command_and_leaves_the_running_release(hosts: Hosts, converge: Converge, source: Path) -> None:
    before = releases(hosts)
    pinned = (source / "requirements.txt").read_text()
    (source / "requirements.txt").write_text(re.sub(r"sha256:\w{64}", "sha256:" + "0" * 64, pinned))
    done = converge(play="deploy.yml", hello_path=str(source))
    assert done.failed == set(hosts)
    assert done.missing("installing the requirements failed") == []
    assert done.missing("Hash mismatch") == []
    assert releases(hosts) == before


def test_killed_build_is_cleared_away_and_never_looks_complete(hosts: Hosts, converge: Converge, source: Path) -> None:
    (source / "version.txt").write_text("3\n")
    slow = {"play": "deploy.yml", "hello_path": str(source), "hello_commands": ["sleep 61"]}
    deploying = threading.Thread(target=converge, kwargs=slow)
    deploying.start()
    unfinished = {}
    for name, host in hosts.items():
        build = host.check_output("timeout 60 sh -c 'until pgrep -fx \"sleep 61\"; do sleep 0.2; done'")
        host.check_output(f"kill -9 $(ps -o ppid= -p {build}) {build}")
        unfinished[name] = host.check_output("cd /opt/hello/releases && for id in *; do test -e $id/release.json || echo $id; done")
        assert len(unfinished[name].split()) == 1
    deploying.join()
    done = converge(play="deploy.yml", hello_path=str(source))
    assert done.code == 0, done.output
    for name, host in hosts.items():
        assert not host.file(f"/opt/hello/releases/{unfinished[name]}").exists
        assert about(host)["version"] == "3"


def test_fewer_instances_stop_the_surplus_and_dropped_secrets_go(hosts: Hosts, converge: Converge) -> None:
    reasons = {"ProcSubset": "psutil reads /proc/meminfo", "@resources": "threads with an affinity"}
    web = {"instances": 1, "sandbox_exceptions": reasons}
    values = {"hello_web": web, "hello_secrets": {"OTHER_TOKEN": "only-for-this-scenario-0c1d"}}
    assert {about(host)["sandbox"] for host in hosts.values()} == {"no affinity"}
    done = converge(play="deploy.yml", hello_path=str(SCENARIO / "files/hello"), **values)
    assert done.code == 0, done.output
    for host in hosts.values():
        assert host.check_output("ls /etc/hello/secrets") == "OTHER_TOKEN"
        assert "# not ProcSubset: psutil reads /proc/meminfo" in host.check_output("systemctl cat hello-web@8000.service")
        assert not host.service("hello-web@8001.service").is_running
        assert not host.service("hello-web@8001.service").is_enabled
        assert about(host)["sandbox"] == "open"


def test_third_party_application_beside_the_first_by_variables_alone(hosts: Hosts, converge: Converge) -> None:
    done = converge(play="third_party.yml")
    assert done.code == 0, done.output
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8100/-/versions.json').read().decode())"
    for host in hosts.values():
        assert "datasette" in host.check_output("python3 -c %s", ask)
        process = host.check_output("systemctl show -p MainPID --value datasette-web@8100.service")
        assert 'DATASETTE_SECRET=only-for-this-scenario-$"0b1c' in host.check_output(f"tr '\\0' '\\n' < /proc/{process}/environ")
        delivered = host.file("/etc/datasette/secrets.env")
        assert (delivered.user, delivered.group, delivered.mode) == ("root", "root", 0o600)
        assert host.check_output("ls /etc/datasette") == "datasette.env\nsecrets.env"
        assert host.service("hello-web@8000.service").is_running
        assert (host.file("/opt/hello/current").exists, host.user("datasette").exists) == (True, True)


def test_an_application_that_nobody_declares_any_more_stops(hosts: Hosts, converge: Converge) -> None:
    done = converge(play="deploy.yml", hello_path=str(SCENARIO / "files/hello"))
    assert done.code == 0, done.output
    for host in hosts.values():
        assert not host.service("datasette-web@8100.service").is_running
        assert host.run("ls /etc/systemd/system/datasette* /etc/systemd/system/*/datasette*").stdout == ""
        assert about(host)["version"] == "1"
