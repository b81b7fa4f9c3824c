"""Playbooks as tests run them: one process for all hosts of the scenario, then what it said and did to each of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

from slipway import play

TIME_LIMIT = 300  # seconds
QUICK = Path(__file__).resolve().parents[1] / "tests/quick"  # an ansible-playbook that starts in a tenth of a second


@dataclass(frozen=True)
class Run:
    """How a playbook ended. Texts are words with single spaces, without the doubled quotes of YAML."""

    code: int
    output: str
    told: Mapping[str, str]
    """Host -> its results and the differences before them."""
    changed: set[str]
    failed: set[str]

    def missing(self, *words: str) -> list[tuple[str, str]]:
        """(host, word) where the run did not say the word of that host: empty when every host was told everything."""
        return [(name, word) for name, text in self.told.items() for word in words if word not in text]


Converge = Callable[..., Run]
Hosts = Mapping[str, Host]


def run(playbook: Path, arguments: Sequence[str | Path], configuration: Path, folder: Path, hosts: Iterable[str], **variables: Any) -> Run:
    """Play to the end, and say what it did to each of the hosts."""
    done = play.run(playbook, *arguments, folder=folder, environment=environment(configuration), variables=variables, time_limit=TIME_LIMIT)
    return Run(
        code=done.code,
        output=_words(done.output),
        told={name: _words(done.told[name]) for name in hosts},
        changed={name for name, number in done.changed.items() if number},
        failed={name for name, number in done.failed.items() if number},
    )


def start(playbook: Path, arguments: Sequence[str | Path], configuration: Path, folder: Path) -> subprocess.Popen[str]:
    """Begin to play, for a test that ends it half-way."""
    command = [Path(sys.executable).parent / "ansible-playbook", *arguments, playbook]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment(configuration), text=True, start_new_session=True, **pipes)


def environment(configuration: Path) -> dict[str, str]:
    """The tests' own; conftest.py has taken Molecule's settings away, which are for its own steps."""
    quiet = {"ANSIBLE_DEPRECATION_WARNINGS": "0", "ANSIBLE_DISPLAY_FAILED_STDERR": "0"}
    return play.environment(configuration, {"PATH": f"{QUICK}:{os.environ['PATH']}", **quiet})


def without_molecules_settings() -> None:
    """Ansible's home stays: it is the checkout's."""
    for name in [name for name in os.environ if name.startswith("ANSIBLE_") and name != "ANSIBLE_HOME"]:
        del os.environ[name]


def _words(text: str) -> str:
    return " ".join(text.split()).replace("''", "'")
