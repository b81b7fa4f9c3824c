"""A job by the clock: leaves a line, and takes its time."""

import sys
import time
from pathlib import Path

with (Path.home() / "nightly.txt").open("a") as file:
    file.write(sys.argv[1] + "\n")
time.sleep(2)
