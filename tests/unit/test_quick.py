"""The quick ansible-playbook of the tests is ansible-playbook: same words, same exit codes, and it dies with its caller."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = ROOT / "tests/quick/ansible-playbook"
REAL = Path(sys.executable).parent / "ansible-playbook"
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.debug: {msg: "{{ lookup('ansible.builtin.env', 'WORD') }} {{ word }} {{ lookup('ansible.builtin.pipe', 'pwd') }}"}
    - ansible.builtin.fail: {msg: no}
      when: word == 'bad'
"""


def play(program: Path, folder: Path, word: str, **environment: str) -> tuple[int, str]:
    (folder / "play.yml").write_text(PLAY)
    command = [program, "-i", "localhost,", "-e", f"word={word}", "play.yml"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "WORD": "some words", **environment}, capture_output=True, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize(("word", "code"), [("good", 0), ("bad", 2)])
def test_it_says_and_returns_the_same(tmp_path: Path, word: str, code: int) -> None:
    quick = play(QUICK, tmp_path, word)
    assert quick == play(REAL, tmp_path, word)
    assert quick[0] == code and f"some words {word} {tmp_path}" in quick[1]


def test_it_obeys_its_callers_settings(tmp_path: Path) -> None:
    plain = play(QUICK, tmp_path, "good")[1]
    (tmp_path / "ansible.cfg").write_text("[defaults]\nstdout_callback = minimal\n")
    other = play(QUICK, tmp_path, "good", ANSIBLE_CONFIG=f"{tmp_path}/ansible.cfg")[1]
    assert "PLAY RECAP" in plain and "PLAY RECAP" not in other and "some words good" in other


def test_a_run_outlives_the_process_it_was_forked_from(tmp_path: Path) -> None:
    """That one ends when nobody has asked for a while, and takes its folder for temporary files along."""
    copy = f"copy: {{content: some words, dest: {tmp_path}/copied}}"
    wait = "    - ansible.builtin.command: sleep 3\n"
    (tmp_path / "play.yml").write_text(
        PLAY.replace("fail: {msg: no}", copy).replace("    - ansible.builtin.debug", f"{wait}    - ansible.builtin.debug")
    )
    own = {
        **os.environ,
        "QUICK_IDLE_SECONDS": "0.5",
        "ANSIBLE_HOME": str(tmp_path / "home"),
    }  # settings of its own, so a process of its own
    command = [QUICK, "-i", "localhost,", "-e", "word=bad", "play.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "copied").read_text() == "some words"
    assert list((tmp_path / "home/tmp").glob("ansible-local-*")) == []


def test_its_run_ends_with_its_caller(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    # A lookup runs in a worker; its parent is the run.
    run = "{{ lookup('ansible.builtin.pipe', 'ps -o ppid= -p $PPID') }}"
    (tmp_path / "play.yml").write_text(PLAY.replace("fail: {msg: no}", f"shell: echo {run} > {mark}; exec sleep 15"))
    caller = subprocess.Popen([QUICK, "-i", "localhost,", "-e", "word=bad", "play.yml"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    for _ in range(600):
        if mark.exists() and mark.read_text().strip():
            break
        time.sleep(0.1)
    controller = Path("/proc") / mark.read_text().strip()
    assert controller.exists()
    caller.kill()
    caller.wait()
    for _ in range(100):
        if not controller.exists():
            break
        time.sleep(0.1)
    assert not controller.exists()
