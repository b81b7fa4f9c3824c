"""Stands for a migration: leaves one line per run, with the user and whether the secret arrived."""

import getpass
import os
from pathlib import Path

state = Path("/var/lib/hello-migrations")
with (state / "runs.txt").open("a") as runs:
    runs.write(f"{getpass.getuser()} {os.environ['DATABASE_ADMIN_URL'].startswith('postgresql://')}\n")
