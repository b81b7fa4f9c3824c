"""Roles run over real ssh, as in production: a lock-out cannot be seen through `docker exec`."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

CHECKOUT = Path(__file__).resolve().parents[3]
LOGIN = "-o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={folder}/known_hosts"


class OverSsh:
    """One host, reached by ssh with a key that its user accepts."""

    def __init__(self, host: Host, folder: Path, user: str, key: Path) -> None:
        self.host, self.folder, self.user, self.key = host, folder, user, key
        self.address = self.current_address()

    def current_address(self) -> str:
        """Docker may give another address after a restart."""
        return self.host.check_output("ip -4 -o address show dev eth0").split()[3].split("/")[0]

    def ssh(self, command: str, *options: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        login = LOGIN.format(folder=self.folder).split()
        target = f"{user or self.user}@{self.address}"
        argv = ["ssh", "-F", "none", "-i", str(self.key), *login, "-o", "ConnectTimeout=5", *options, target, command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    def start(self, role: str, **variables: object) -> subprocess.Popen[str]:
        """Begin to run a role; the caller waits."""
        play = [{"hosts": "all", "become": True, "gather_facts": True, "roles": [f"slipway.stack.{role}"]}]
        (self.folder / "play.yml").write_text(json.dumps(play))
        (self.folder / "variables.json").write_text(json.dumps(variables))
        connection = {
            "ansible_host": self.address,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": "-F none " + LOGIN.format(folder=self.folder),
            "ansible_timeout": 3,
        }
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"target": connection}}}))
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        argv = [
            "ansible-playbook",
            "-i",
            str(self.folder / "hosts.json"),
            "-e",
            f"@{self.folder}/variables.json",
            str(self.folder / "play.yml"),
        ]
        return subprocess.Popen(
            argv,
            cwd=CHECKOUT,
            env={**keep, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_DEPRECATION_WARNINGS": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, role: str, **variables: object) -> tuple[int, str]:
        """Run a role; exit code, and all output as one line of words."""
        running = self.start(role, **variables)
        output, _ = running.communicate(timeout=180)
        return running.returncode, " ".join(output.split())


@pytest.fixture
def over_ssh(host: Host, tmp_path: Path) -> OverSsh:
    """The host by ssh as root, with a key made for this test."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    host.check_output("printf '%%s\\n' %s >> /root/.ssh/authorized_keys", key.with_suffix(".pub").read_text().strip())
    return OverSsh(host, tmp_path, "root", key)
