"""What the role promises: releases beside each other, no answer lost, a broken release taken back, secrets unseen."""

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
TOKEN = "only-for-this-scenario-5f1c0d9e"
PORTS = (8000, 8001)


def about(host: Host, port: int = 8000, header: tuple[str, str] = ("X-None", "0")) -> dict[str, Any]:
    request = f"u.Request('http://127.0.0.1:{port}/about', headers=dict([{header!r}]))"
    return json.loads(host.check_output("python3 -c %s", f"import urllib.request as u; print(u.urlopen({request}).read().decode())"))


def deploy(platform: str, playbook: str = "deploy.yml", **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the scenario on one host, as a user would."""
    return subprocess.run(
        ["ansible-playbook", "--limit", platform, "-e", json.dumps(variables), str(SCENARIO / playbook)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=180,
        env={**os.environ, "ANSIBLE_INVENTORY": os.environ["MOLECULE_INVENTORY_FILE"], "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the application that a test may change."""
    return Path(shutil.copytree(SCENARIO / "files/hello", tmp_path / "hello"))


def test_every_instance_answers_with_its_own_port_and_environment(host: Host) -> None:
    for port in PORTS:
        found = about(host, port)
        assert found["port"] == str(port)
        assert found["greeting"] == "it's \"quoted\" $HOME `id` \\ 100%"
        assert found["token_length"] == len(TOKEN)


def test_forwarded_headers_are_believed_from_trusted_proxies_only(host: Host) -> None:
    assert about(host, header=("X-Forwarded-For", "203.0.113.9"))["client"] == "203.0.113.9"
    assert about(host, header=("X-Forwarded-Proto", "https"))["scheme"] == "https"


def test_secrets_are_nowhere_they_do_not_belong(host: Host) -> None:
    for secret in (TOKEN, "only-for-this-scenario-77aa"):
        found = host.run(f"grep -rlF {secret} /etc /opt/hello /var/lib /run/systemd/system 2>/dev/null").stdout.split()
        assert [path for path in found if host.file(path).mode & 0o037 or host.file(path).user != "root"] == []
        assert host.run(f"journalctl --no-pager | grep -F {secret}").rc == 1
        assert host.run(f"systemctl show 'api@*' | grep -F {secret}").rc == 1
        arguments = host.check_output("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
        assert secret not in arguments.replace("grep", "")


def test_migration_ran_once_as_the_service_user(host: Host) -> None:
    assert host.file("/var/lib/hello-migrations/runs.txt").content_string == "hello True\n"


def test_release_belongs_to_root_and_the_service_cannot_write_it(host: Host) -> None:
    assert host.check_output("find -H /opt/hello/current/ ! -user root -o ! -type l -perm /022") == ""
    write = host.run("runuser -u hello -- touch /opt/hello/current/source/hello.py")
    assert write.rc != 0


def test_units_are_sandboxed(host: Host) -> None:
    rated = host.run("systemd-analyze security --no-pager --threshold=10 api@8000.service")
    assert rated.rc == 0, rated.stdout


def test_folders_of_the_application(host: Host) -> None:
    models = host.file("/srv/hello-models")
    assert (models.user, models.group, models.mode) == ("root", "hello", 0o750)
    process = host.check_output("systemctl show -p MainPID --value api@8000.service")
    enter = f"nsenter -t {process} -m setpriv --reuid hello --regid hello --clear-groups touch"
    assert host.run(f"{enter} /var/lib/hello-migrations/written").rc == 0
    assert "Read-only file system" in host.run(f"{enter} /srv/hello-models/written").stderr


def test_new_release_rolls_without_losing_a_request_and_the_old_one_stays(host: Host, platform: str, source: Path) -> None:
    before = about(host)["release"]
    (source / "version.txt").write_text("2\n")
    # As nginx does: ask the next instance when one does not answer.
    host.check_output("cat > /root/ask.py <<'E'\n" + (
        "import time, urllib.request as u\n"
        "lost = asked = 0\n"
        "end = time.time() + 600\n"
        "import os\n"
        "while not os.path.exists('/root/stop') and time.time() < end:\n"
        "    asked += 1\n"
        "    for port in (8000, 8001):\n"
        "        try:\n"
        "            u.urlopen('http://127.0.0.1:%d/about' % port, timeout=5).read()\n"
        "            break\n"
        "        except Exception:\n"
        "            continue\n"
        "    else:\n"
        "        lost += 1\n"
        "    time.sleep(0.02)\n"
        "print(asked, lost)\n"
    ) + "E")  # fmt: skip
    answers: list[str] = []
    asker = threading.Thread(target=lambda: answers.append(host.check_output("rm -f /root/stop; python3 /root/ask.py")))
    asker.start()
    try:
        done = deploy(platform, hello_path=str(source))
    finally:
        host.run("touch /root/stop")
        asker.join()
    assert done.returncode == 0, done.stdout
    asked, lost = map(int, answers[0].split())
    assert asked > 50
    assert lost == 0
    assert {about(host, port)["version"] for port in PORTS} == {"2"}
    assert host.file(f"/opt/hello/releases/{before}/release.json").exists
    assert TOKEN not in done.stdout


def test_release_that_does_not_get_ready_is_taken_back(host: Host, platform: str, source: Path) -> None:
    before = about(host)["release"]
    (source / "broken.txt").write_text("")
    done = deploy(platform, hello_path=str(source))
    assert done.returncode != 0
    assert "/health/ready" in done.stdout
    assert {about(host, port)["release"] for port in PORTS} == {before}
    assert host.file("/opt/hello/current").linked_to == f"/opt/hello/releases/{before}"


def test_failed_build_names_the_command_and_leaves_the_running_release(host: Host, platform: str, source: Path) -> None:
    before = about(host)["release"]
    pinned = (source / "requirements.txt").read_text()
    (source / "requirements.txt").write_text(re.sub(r"sha256:\w{64}", "sha256:" + "0" * 64, pinned))
    done = deploy(platform, hello_path=str(source))
    assert done.returncode != 0
    assert "installing the requirements failed" in done.stdout
    assert "Hash mismatch" in done.stdout
    assert about(host)["release"] == before


def test_killed_build_is_cleared_away_and_never_looks_complete(host: Host, platform: str, source: Path) -> None:
    (source / "version.txt").write_text("3\n")
    deploying = threading.Thread(target=deploy, args=(platform,), kwargs={
        "hello_path": str(source), "api_post_install_commands": ["sleep 61"],
    })  # fmt: skip
    deploying.start()
    host.check_output("timeout 60 sh -c 'until pgrep -fx \"sleep 61\"; do sleep 0.2; done'")
    build = host.check_output("pgrep -fx 'sleep 61'")
    host.check_output(f"kill -9 $(ps -o ppid= -p {build}) {build}")
    deploying.join()
    unfinished = host.check_output("cd /opt/hello/releases && for name in *; do test -e $name/release.json || echo $name; done")
    assert len(unfinished.split()) == 1
    done = deploy(platform, hello_path=str(source))
    assert done.returncode == 0, done.stdout
    assert not host.file(f"/opt/hello/releases/{unfinished}").exists
    assert about(host)["version"] == "3"


def test_fewer_instances_stop_the_surplus(host: Host, platform: str) -> None:
    done = deploy(platform, hello_path=str(SCENARIO / "files/hello"), api_instances=1)
    assert done.returncode == 0, done.stdout
    assert not host.service("api@8001.service").is_running
    assert not host.service("api@8001.service").is_enabled
    assert about(host, 8000)["port"] == "8000"


def test_third_party_application_by_variables_alone(host: Host, platform: str) -> None:
    done = deploy(platform, "third_party.yml")
    assert done.returncode == 0, done.stdout
    assert "datasette" in host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:8100/-/versions.json\").read().decode())'"
    )
    pid = host.check_output("systemctl show -p MainPID --value datasette@8100.service")
    assert "DATASETTE_SECRET=only-for-this-scenario-$\"0b1c" in host.check_output(f"tr '\\0' '\\n' < /proc/{pid}/environ")
