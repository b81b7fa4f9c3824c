"""Stands for a migration: leaves one line per run, with the user, whether the secret arrived, and the names it came by."""

import getpass
import os
import sys
from pathlib import Path

address = Path(os.environ["DATABASE_ADMIN_URL_FILE"]).read_text()
names = ",".join(sorted(name for name in os.environ if name.startswith(("API_TOKEN", "DATABASE", "DEBUG"))))
with (Path("/var/lib/hello-migrations") / "runs.txt").open("a") as runs:
    runs.write(f"{getpass.getuser()} {address.startswith('postgresql://')} {names}\n")
if Path(__file__).with_name("unmigratable.txt").exists():
    sys.exit(f"refused: {address}")
