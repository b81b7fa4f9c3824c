"""Roles over real ssh, as in production: a lock-out cannot be seen through `docker exec`."""

import json
import subprocess
from pathlib import Path

import playbook

CHECKOUT = Path(__file__).resolve().parents[1]
TIME_LIMIT = 60  # seconds for one command


class OverSsh:
    """The scenario's hosts, reached by ssh as one user with a key that they accept."""

    def __init__(self, hosts: playbook.Hosts, folder: Path, user: str, key: Path) -> None:
        self.hosts, self.folder, self.user, self.key = hosts, folder, user, key

    def address(self, platform: str) -> str:
        """Asked each time: Docker may give another one after a restart."""
        return self.hosts[platform].check_output("ip -4 -o address show dev eth0").split()[3].split("/")[0]

    def _options(self, platform: str) -> list[str]:
        known = [f"HostKeyAlias={platform}", f"UserKnownHostsFile={self.folder}/known_hosts", "StrictHostKeyChecking=accept-new"]
        return ["-F", "none", *(word for option in ("IdentitiesOnly=yes", *known) for word in ("-o", option))]

    def ssh(self, platform: str, command: str, *options: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """One command on one host, or the refusal."""
        # It never asks: who is refused is refused, at once.
        argv = ["ssh", *self._options(platform), "-i", str(self.key), "-o", "ConnectTimeout=5", "-o", "BatchMode=yes", *options]
        argv += [f"{user or self.user}@{self.address(platform)}", command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT)

    def through(self, platform: str, destination: str, sent: str) -> subprocess.CompletedProcess[str]:
        """What a destination behind the host answers to `sent`, forwarded as `ssh -L` does it."""
        argv = ["ssh", *self._options(platform), "-i", str(self.key), "-o", "ConnectTimeout=5", "-o", "BatchMode=yes"]
        argv += ["-W", destination, f"{self.user}@{self.address(platform)}"]
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, input=sent, timeout=TIME_LIMIT)

    def _play(self, role: str, variables: dict[str, object]) -> tuple[Path, list[str | Path]]:
        """The playbook, and the arguments of ansible-playbook."""
        play = [{"hosts": "all", "become": True, "gather_facts": True, "roles": [f"slipway.stack.{role}"]}]
        inventory = {
            platform: {
                "ansible_host": self.address(platform),
                "ansible_user": self.user,
                "ansible_ssh_private_key_file": str(self.key),
                "ansible_ssh_common_args": " ".join(self._options(platform)),
                "ansible_timeout": 3,
            }
            for platform in self.hosts
        }
        for name, content in (("play.yml", play), ("variables.json", variables), ("hosts.json", {"all": {"hosts": inventory}})):
            (self.folder / name).write_text(json.dumps(content))
        return self.folder / "play.yml", ["-i", self.folder / "hosts.json", "-e", f"@{self.folder}/variables.json"]

    def start(self, role: str, **variables: object) -> subprocess.Popen[str]:
        """Begin to run a role on all hosts, for a test that ends it half-way."""
        return playbook.start(*self._play(role, variables), CHECKOUT / "ansible.cfg", CHECKOUT)

    def run(self, role: str, **variables: object) -> playbook.Run:
        """Run a role on all hosts."""
        return playbook.run(*self._play(role, variables), CHECKOUT / "ansible.cfg", CHECKOUT, self.hosts)
