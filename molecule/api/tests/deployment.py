"""What several tests of this scenario need: where it is, and the application's own account of itself."""

import json
from pathlib import Path
from typing import Any

from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
PORTS = (8000, 8001)


def about(host: Host, port: int = 8000, header: tuple[str, str] = ("X-None", "0")) -> dict[str, Any]:
    request = f"u.Request('http://127.0.0.1:{port}/about', headers=dict([{header!r}]))"
    return json.loads(host.check_output("python3 -c %s", f"import urllib.request as u; print(u.urlopen({request}).read().decode())"))
