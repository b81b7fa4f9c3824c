# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python for Ansible's modules that starts in milliseconds: each module runs in a fork of one process that has its libraries loaded.

Two thirds of a module's time is the import of requests and of Ansible's own code. The module is the file that Ansible sends, in a
process of its own with its own environment, arguments and files; only the libraries are there already.
"""

from __future__ import annotations

import functools
import importlib
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import types
from pathlib import Path

LIBRARIES = ["ansible.module_utils.basic", "ansible.module_utils.urls", "google.auth.transport.requests", "google.oauth2.service_account"]
LIBRARIES += ["ansible.module_utils._internal._ansiballz._loader", "requests", "yaml"]
CLIENT = """#!{python} -IS
import marshal, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"?"], [0, 1, 2])
    server.sendall(marshal.dumps((sys.argv[1:], dict(os.environ), os.getcwd())))
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(9) or b"70"))
"""


@functools.cache
def started() -> tuple[Path, tempfile.TemporaryDirectory[str], subprocess.Popen[bytes]]:
    folder = tempfile.TemporaryDirectory(prefix="quick-python-")
    address, client = str(Path(folder.name) / "socket"), Path(folder.name) / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    command = [sys.executable, "-m", "tests.gcp.interpreter", address]
    server = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout and server.stdout.readline() == b"ready\n"
    return client, folder, server


def quick_python() -> str:
    """The path of the interpreter; its process ends with this one."""
    return str(started()[0])


def serve(address: str) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        # The other end of stdin is the test run: when it is gone, so are we.
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _peer = listener.accept()
            if os.fork() == 0:
                listener.close()
                connection.sendall(str(work(connection)).encode())
                os._exit(0)
            connection.close()


def work(connection: socket.socket) -> int:
    """Become the process that the client asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _mark, files, _flags, _address = socket.recv_fds(connection, 1, 3)
    asked = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    sys.argv, environment, folder = marshal.loads(asked)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    status = 0
    try:
        if sys.argv:
            runpy.run_path(sys.argv[0], run_name="__main__")
        else:  # pipelining: the module comes on stdin
            sys.argv, sys.modules["__main__"] = [""], types.ModuleType("__main__")
            exec(compile(sys.stdin.read(), "<stdin>", "exec"), vars(sys.modules["__main__"]))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
