#!/usr/bin/python3 -I
# Managed by Ansible (slipway.stack): changes by hand are overwritten
"""Run a command as a service does: its account, folder, release and environment, secrets included.

    slipway-run shop-web@8000 python manage.py createsuperuser
    slipway-run shop-default@1 celery --app=shop.worker inspect active
    slipway-run shop-web@8000 python                an interactive Python

The command is a unit of its own, outside of the service's sandbox; its output comes here. Exit status: the command's.
"""

import os
import shlex
import subprocess
import sys

PROPERTIES = ("LoadState", "User", "Group", "WorkingDirectory", "Environment", "EnvironmentFiles")


def main():
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    unit = sys.argv[1] if "." in sys.argv[1] else sys.argv[1] + ".service"
    asked = ["systemctl", "show", "--no-pager", "--property=" + ",".join(PROPERTIES), "--", unit]
    known = {name: [] for name in PROPERTIES}
    for line in subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines():
        name, _, value = line.partition("=")
        known.setdefault(name, []).append(value)
    if known["LoadState"] != ["loaded"]:
        sys.exit(f"slipway-run: there is no unit {unit}; see systemctl list-units --type=service")
    argv = ["systemd-run", "--quiet", "--wait", "--collect", "--pty" if sys.stdin.isatty() else "--pipe"]
    for option, name in (("--uid", "User"), ("--gid", "Group"), ("--working-directory", "WorkingDirectory")):
        argv += [f"{option}={value}" for value in known[name] if value]
    argv += [f"--setenv={assignment}" for value in known["Environment"] for assignment in shlex.split(value)]
    argv += ["--property=EnvironmentFile=" + value.rpartition(" (")[0] for value in known["EnvironmentFiles"] if value]
    # systemd-run looks for a program before it knows the release's PATH; env looks in it
    os.execvp(argv[0], [*argv, "--", "/usr/bin/env", "--", *sys.argv[2:]])


main()
