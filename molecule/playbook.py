"""Playbooks as tests run them: one process for all hosts of the scenario, then what it said and did to each of them."""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testinfra.host import Host

RESULT = re.compile(r"[a-z.]+: \[([^] ]+)[^]]*\]")
RECAP = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


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


def finish(process: subprocess.Popen[str], hosts: Iterable[str]) -> Run:
    """Wait for ansible-playbook, and read what it printed."""
    output, errors = process.communicate(timeout=300)
    recap = {name: (int(changed), int(unreachable) + int(failed)) for name, changed, unreachable, failed in RECAP.findall(output)}
    return Run(
        code=process.returncode,
        output=_words(output + errors),
        told={name: _words("\n".join(lines)) for name, lines in _by_host(output, hosts).items()},
        changed={name for name, (changed, _) in recap.items() if changed},
        failed={name for name, (_, failed) in recap.items() if failed},
    )


def start(arguments: Sequence[str | Path], configuration: Path, folder: Path) -> subprocess.Popen[str]:
    """Begin to play; `finish` waits."""
    # Molecule's own settings are for its own steps.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_") or name == "ANSIBLE_HOME"}
    environment |= {"ANSIBLE_CONFIG": str(configuration), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0"}
    environment["ANSIBLE_DISPLAY_FAILED_STDERR"] = "0"  # results in order, whatever Molecule's ansible.cfg says
    return subprocess.Popen(
        ["ansible-playbook", *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _words(text: str) -> str:
    return " ".join(text.split()).replace("''", "'")


def _by_host(output: str, hosts: Iterable[str]) -> dict[str, list[str]]:
    """Each host's lines: the result, what is indented below it, and the difference printed above it."""
    found: dict[str, list[str]] = {name: [] for name in hosts}
    current: list[str] | None = None
    above: list[str] = []
    for line in output.splitlines():
        if line.startswith(("PLAY ", "TASK ", "RUNNING HANDLER ")):
            current, above = None, []
        elif result := RESULT.match(line):
            current = found.setdefault(result[1], [])
            current += [*above, line]
            above = []
        elif current is not None and (not line or line.startswith("    ")):
            current.append(line)
        else:
            current = None
            above.append(line)
    return found
