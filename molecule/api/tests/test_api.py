"""What the role promises of a host at rest: instances answer, secrets stay unseen, the sandbox holds."""

from deployment import PORTS, about
from testinfra.host import Host

TOKEN = "only-for-this-scenario-5f1c0d9e"


def test_every_instance_answers_with_its_own_port_and_environment(host: Host) -> None:
    for port in PORTS:
        found = about(host, port)
        assert found["port"] == str(port)
        assert found["greeting"] == 'it\'s "quoted" $HOME `id` \\ 100%'
        assert found["token_length"] == len(TOKEN)
        assert found["home"] == "/var/lib/hello"


def test_forwarded_headers_are_believed_from_trusted_proxies_only(host: Host) -> None:
    assert about(host, header=("X-Forwarded-For", "203.0.113.9"))["client"] == "203.0.113.9"
    assert about(host, header=("X-Forwarded-Proto", "https"))["scheme"] == "https"


def test_secrets_are_nowhere_they_do_not_belong(host: Host) -> None:
    for secret in (TOKEN, "only-for-this-scenario-77aa"):
        found = host.run(f"grep -rlF {secret} /etc /opt/hello /var/lib /run/systemd/system 2>/dev/null").stdout.split()
        assert [path for path in found if host.file(path).mode & 0o037 or host.file(path).user != "root"] == []
        assert host.run(f"journalctl --no-pager | grep -F {secret}").rc == 1
        assert host.run(f"systemctl show 'hello-*' | grep -F {secret}").rc == 1
        arguments = host.check_output("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
        assert secret not in arguments.replace("grep", "")


def test_secret_files_belong_to_root_and_the_service_reads_them(host: Host) -> None:
    folder, token = host.file("/etc/hello/secrets"), host.file("/etc/hello/secrets/API_TOKEN")
    assert (folder.user, folder.group, folder.mode) == ("root", "hello", 0o750)
    assert (token.user, token.group, token.mode, token.content_string) == ("root", "hello", 0o640, TOKEN)
    assert host.check_output("ls /etc/hello") == "hello.env\nsecrets"


def test_nobody_else_can_hold_a_lock_of_the_builds(host: Host) -> None:
    """uv's lock files are writable for everybody, by its own choice."""
    assert host.run("find /var/cache/slipway/uv -name '*.lock'").stdout
    for user in ("hello", "nobody"):
        assert host.run(f"runuser -u {user} -- find /var/cache/slipway -writable").stdout == ""
        assert host.run(f"runuser -u {user} -- ls /var/cache/slipway").rc != 0


def test_migration_ran_once_as_the_service_user_and_with_the_names_of_the_service(host: Host) -> None:
    runs = host.file("/var/lib/hello-migrations/runs.txt").content_string
    assert runs == "hello True API_TOKEN_FILE,DATABASE_ADMIN_URL_FILE,DEBUG\n"
    assert host.check_output("ls /run/slipway/release") == ""


def test_commands_of_the_build_have_an_environment(host: Host) -> None:
    assert host.file("/opt/hello/current/source/collected.txt").content_string == "only-for-the-buildfalse"


def test_a_command_runs_as_the_service_does(host: Host) -> None:
    code = "import getpass, os, sys; print(getpass.getuser(), os.getcwd(), sys.prefix, len(open(os.environ['API_TOKEN_FILE']).read()))"
    release = "/opt/hello/releases/" + about(host)["release"]
    expected = f"hello {release}/source {release}/venv {len(TOKEN)}"
    said = host.check_output("slipway-run hello-web@8000 python -c %s", code)
    assert said.replace("/opt/hello/current/venv", f"{release}/venv") == expected
    assert host.run("slipway-run hello-web@8000 false").rc == 1
    assert "there is no unit nobody.service" in host.run("slipway-run nobody true").stderr


def test_release_belongs_to_root_and_the_service_cannot_write_it(host: Host) -> None:
    assert host.check_output("find -H /opt/hello/current/ ! -user root -o ! -type l -perm /022") == ""
    write = host.run("runuser -u hello -- touch /opt/hello/current/source/hello.py")
    assert write.rc != 0


def test_units_are_sandboxed(host: Host) -> None:
    rated = host.run("systemd-analyze security --no-pager --threshold=10 hello-web@8000.service")
    assert rated.rc == 0, rated.stdout


def test_folders_of_the_application(host: Host) -> None:
    models, weights = host.file("/srv/hello-models"), host.file("/srv/hello-models/weights.json")
    assert (models.user, models.group, models.mode) == ("root", "hello", 0o750)
    assert (weights.user, weights.group, weights.mode, weights.content_string) == ("root", "hello", 0o640, '{"empathy": 0.5}')
    process = host.check_output("systemctl show -p MainPID --value hello-web@8000.service")
    enter = f"nsenter -t {process} -m setpriv --reuid hello --regid hello --clear-groups touch"
    assert host.run(f"{enter} /var/lib/hello-migrations/written").rc == 0
    assert "Read-only file system" in host.run(f"{enter} /srv/hello-models/written").stderr
