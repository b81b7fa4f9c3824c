"""An ansible-playbook that starts in a tenth of a second: each run is a fork of one process that has Ansible imported.

Two thirds of the start of ansible-playbook are the import of its own code, and tests start it hundreds of times. What reads the
environment at import (Ansible's settings) is the same for all runs of a process: there is one for each set of `ANSIBLE_*`
variables, and it ends when nobody asked for a minute. Arguments, folder, terminal and the rest of the environment are the
caller's. When the caller is killed, its run is killed.
"""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path

IDLE_SECONDS = float(os.environ.get("QUICK_IDLE_SECONDS", "60"))


def serve(address: str) -> None:
    import ansible.cli.playbook
    import ansible.executor.playbook_executor
    import ansible.plugins.strategy.linear  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    candidate = f"{address}.{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(candidate)
        listener.listen(64)
        Path(candidate).rename(address)  # it answers from the first moment on
        while select.select([listener], [], [], IDLE_SECONDS)[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.setsid()
                connection.sendall(str(work(connection)).encode())
                os._exit(0)
            connection.close()
        Path(address).unlink()


def receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        if not (part := connection.recv(length - len(data))):
            os._exit(70)
        data += part
    return data


def die_with_the_caller(connection: socket.socket) -> None:
    connection.recv(1)
    os.killpg(0, signal.SIGKILL)


def work(connection: socket.socket) -> int:
    """Become the ansible-playbook that the caller asked for; its exit code."""
    from ansible import constants
    from ansible.cli.playbook import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    request = os.fsdecode(receive(connection, int.from_bytes(receive(connection, 8), "big")))
    folder, count, *words = request.split("\0")
    arguments, environment = words[: int(count)], dict(word.split("=", 1) for word in words[int(count) :])
    threading.Thread(target=die_with_the_caller, args=(connection,), daemon=True).start()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # The folder that Ansible made at its import goes when this run's parent ends, which may be before this run does.
    constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix="ansible-local-", dir=Path(constants.DEFAULT_LOCAL_TMP).parent)
    status = 0
    try:
        main(["ansible-playbook", *arguments])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 250
    finally:
        shutil.rmtree(constants.DEFAULT_LOCAL_TMP, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
