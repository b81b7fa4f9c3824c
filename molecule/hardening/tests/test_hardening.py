"""Who gets in, who does not, and what an upgrade may do, on a host that a stranger and an administrator both try."""

import os
import subprocess
import sys
import time
from pathlib import Path

from over_ssh import OverSsh
from testinfra.host import Host

PASSWORD_ONLY = (
    "-o",
    "PreferredAuthentications=password,keyboard-interactive",
    "-o",
    "PubkeyAuthentication=no",
    "-o",
    "NumberOfPasswordPrompts=1",
)


def test_the_administrator_gets_in_and_becomes_root(operator: OverSsh, platform: str) -> None:
    done = operator.ssh(platform, "sudo -n id -un")
    assert (done.returncode, done.stdout.strip()) == (0, "root"), done.stderr


def test_root_and_unlisted_users_do_not_get_in_with_a_good_key(host: Host, platform: str, operator: OverSsh) -> None:
    host.check_output("id guest 2>/dev/null || useradd --create-home --shell /bin/bash guest")
    for user, home in (("root", "/root"), ("guest", "/home/guest")):
        host.check_output(
            "install -d -m 0700 -o %s %s/.ssh && install -m 0600 -o %s %s %s/.ssh/authorized_keys",
            user,
            home,
            user,
            "/home/operator/.ssh/authorized_keys",
            home,
        )
        done = operator.ssh(platform, "true", user=user)
        assert (done.returncode, "Permission denied (publickey)" in done.stderr) == (255, True), done.stderr


def test_no_password_is_taken_though_it_is_right(host: Host, platform: str, operator: OverSsh, tmp_path: Path) -> None:
    """The server offers nothing but keys, and a client that answers with the right password is refused."""
    host.check_output("echo operator:correct-horse | chpasswd")
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho correct-horse\n")
    ask.chmod(0o700)
    os.environ.update(SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force")
    try:
        done = operator.ssh(platform, "true", *PASSWORD_ONLY)
    finally:
        del os.environ["SSH_ASKPASS"], os.environ["SSH_ASKPASS_REQUIRE"]
        host.check_output("usermod --password '!' operator")
    assert (done.returncode, "Permission denied (publickey)" in done.stderr) == (255, True), done.stderr
    assert not (tmp_path / "asked").exists()


def test_an_independent_auditor_finds_no_weak_algorithm(platform: str, operator: OverSsh) -> None:
    """ssh-audit ends with 0 when nothing is a failure or a warning. It connects often, so the host's own limits must let it."""
    auditor = Path(sys.executable).with_name("ssh-audit")
    done = subprocess.run([auditor, "--batch", "--skip-rate-test", operator.address(platform)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_sshd_obeys_our_file_before_any_other(host: Host) -> None:
    host.check_output("echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/50-cloud-init.conf")
    effective = host.check_output("sshd -T; rm /etc/ssh/sshd_config.d/50-cloud-init.conf").splitlines()
    for line in (
        "passwordauthentication no",
        "permitrootlogin no",
        "kbdinteractiveauthentication no",
        "x11forwarding no",
        "maxauthtries 4",
    ):
        assert line in effective
    assert [line for line in effective if line.startswith("hostkey ")] == [
        "hostkey /etc/ssh/ssh_host_ed25519_key",
        "hostkey /etc/ssh/ssh_host_rsa4096_key",
    ]
    assert host.check_output("ssh-keygen -lf /etc/ssh/ssh_host_rsa4096_key").startswith("4096 ")


def test_nothing_is_forwarded_but_what_is_named(operator: OverSsh, platform: str) -> None:
    named = operator.through(platform, "127.0.0.1:22", "SSH-2.0-test\r\n")
    assert named.stdout.startswith("SSH-2.0-OpenSSH"), named.stderr
    for other in ("127.0.0.1:25", "[::1]:22"):
        refused = operator.through(platform, other, "")
        assert (refused.stdout, "administratively prohibited" in refused.stderr) == ("", True), refused.stderr


def test_kernel_parameters_are_in_force(host: Host) -> None:
    names = "net.ipv4.conf.all.send_redirects net.ipv4.conf.all.accept_redirects net.ipv4.tcp_syncookies net.ipv4.conf.all.rp_filter"
    assert host.check_output(f"sysctl -n {names} net.ipv4.conf.all.log_martians").split() == ["0", "0", "1", "1", "0"]
    # What a container may not write is written down all the same, and the service does not fail over it.
    assert "kernel.kptr_restrict = 2" in host.file("/etc/sysctl.d/90-slipway.conf").content_string
    assert host.check_output("systemctl is-failed systemd-sysctl.service; true") != "failed"


def test_the_clock_is_set_on_a_real_host(host: Host) -> None:
    """A container's clock is its machine's: systemd must know the service and skip it, not fail."""
    assert host.check_output("systemctl is-enabled systemd-timesyncd.service") == "enabled"
    assert host.check_output("systemctl show --value --property=ActiveState systemd-timesyncd.service") == "inactive"


def test_who_guesses_is_banned_in_a_table_of_its_own(host: Host) -> None:
    host.check_output("""set -e
        ip netns add outside; ip link add slip0 type veth peer name slip1 netns outside
        ip addr add 192.0.2.1/24 dev slip0; ip link set slip0 up
        ip -n outside addr add 192.0.2.2/24 dev slip1; ip -n outside link set slip1 up""")
    # Banned in the middle of a connection, the client would wait for a quarter of an hour.
    guess = "timeout 10 ip netns exec outside ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=3 guess@192.0.2.1 true"
    try:
        for _ in range(60):
            host.run(guess)
            if "192.0.2.2" in host.run("nft list table inet f2b-table").stdout:
                break
            time.sleep(0.5)
        assert "192.0.2.2" in host.check_output("nft list table inet f2b-table"), host.check_output("fail2ban-client status sshd")
        assert "refused" in host.run(guess).stderr
        host.check_output("fail2ban-client set sshd unbanip 192.0.2.2")
        assert "192.0.2.2" not in host.check_output("nft list table inet f2b-table")
    finally:
        host.run("ip netns delete outside")


RELEASE = """Origin: Debian
Label: Debian-Security
Codename: {release}-security
Suite: stable-security
Architectures: all
Components: main
"""
BUILD = """set -e
mkdir -p /srv/security/main; cd /srv/security
for name in postgresql-99 harmless; do for version in 1 2; do
  mkdir -p build/DEBIAN
  { echo Package: $name; echo Version: $version; echo Architecture: all; echo Maintainer: x; echo Description: x; } > build/DEBIAN/control
  dpkg-deb --build build main/${name}_${version}.deb >/dev/null
done; dpkg -i main/${name}_1.deb >/dev/null; done
: > Packages
for name in postgresql-99 harmless; do
  dpkg-deb -f main/${name}_2.deb >> Packages
  deb=main/${name}_2.deb
  { echo Filename: $deb; echo Size: $(stat -c %s $deb); echo SHA256: $(sha256sum $deb | cut -d' ' -f1); echo; } >> Packages
done
printf ' %s %s Packages\\n' $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) > sums
{ cat Release.head; echo SHA256:; cat sums; } > Release
echo 'deb [trusted=yes] file:/srv/security ./' > /etc/apt/sources.list.d/security-test.list
apt-get -qq update -o Dir::Etc::sourcelist=sources.list.d/security-test.list -o Dir::Etc::sourceparts=-
"""


def test_security_updates_leave_the_database_alone(host: Host) -> None:
    """Two packages have a newer version in the security archive: one is upgraded, the database waits for its operator."""
    release = host.check_output(". /etc/os-release; echo $VERSION_CODENAME")
    host.check_output("mkdir -p /srv/security; printf %%s %s > /srv/security/Release.head", RELEASE.format(release=release))
    host.check_output("sh -c %s", BUILD)
    done = host.run("unattended-upgrade --debug")
    versions = host.check_output("dpkg-query -W -f '${Package} ${Version}\\n' harmless postgresql-99").splitlines()
    host.check_output("rm -rf /srv/security /etc/apt/sources.list.d/security-test.list; dpkg --purge harmless postgresql-99")
    assert versions == ["harmless 2", "postgresql-99 1"], done.stdout[-3000:]


LIBRARY_USER = "import ctypes, time; ctypes.CDLL('/usr/local/lib/libprobe.so'); time.sleep(3600)"


def test_an_upgraded_library_restarts_others_but_not_the_database(host: Host) -> None:
    library = host.check_output("ls /usr/lib/*/libz.so.1")
    host.check_output("cp -L %s /usr/local/lib/libprobe.so", library)
    units = ("postgresql@probe", "ordinary-probe")
    for unit in units:
        host.check_output(
            "printf '[Service]\\nExecStart=/usr/bin/python3 -c \"%%s\"\\n' %s > /etc/systemd/system/%s.service", LIBRARY_USER, unit
        )
    host.check_output("systemctl daemon-reload; systemctl start postgresql@probe ordinary-probe; sleep 1")
    before = [host.check_output("systemctl show --value --property=MainPID %s", unit) for unit in units]
    host.check_output("cp -L %s /usr/local/lib/libprobe.new; mv /usr/local/lib/libprobe.new /usr/local/lib/libprobe.so", library)
    done = host.run("DEBIAN_FRONTEND=noninteractive needrestart -v </dev/null")
    after = [host.check_output("systemctl show --value --property=MainPID %s", unit) for unit in units]
    for unit in units:
        host.check_output("systemctl stop %s; rm /etc/systemd/system/%s.service", unit, unit)
    assert before[0] == after[0], done.stdout + done.stderr
    assert before[1] != after[1], done.stdout + done.stderr
