"""Hours of a client that asks as often as it is let, against nginx with the limit of a site as the role wrote it, in a second or two.

argv: the file of the site, its id, the path of libfaketime, and for each hour whether the client asks. Prints how many requests each
minute let through, as JSON.
"""

import datetime
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

site, name, faketime, *hours = sys.argv[1:]
lines = re.findall(rf"(?m)^ *(limit_req(?:_zone)? .*hour_{name}\b.*;)$", Path(site).read_text())
zone, limit = lines[0], lines[1]
here = Path(tempfile.mkdtemp())
here.chmod(0o755)
clock = here / "clock"
start = datetime.datetime(2026, 1, 1)


def minute(number: int) -> None:
    """It is so many minutes after the start."""
    text = (start + datetime.timedelta(minutes=number)).strftime("%Y-%m-%d %H:%M:%S\n")
    (here / "next").write_text(text)
    (here / "next").rename(clock)


(here / "nginx.conf").write_text(
    f"daemon off; worker_processes 1; pid {here}/pid; error_log {here}/error.log; user www-data;\n"
    "env LD_PRELOAD; env FAKETIME_TIMESTAMP_FILE; env FAKETIME_NO_CACHE;\n"
    "events {}\n"
    f"http {{ access_log off; limit_req_log_level info; map 1 $limited_client_{name} {{ default $binary_remote_addr; }}\n"
    f"{zone}\n"
    "server { listen 127.0.0.1:8099; keepalive_requests 1000000;\n"
    f"location / {{ {limit} try_files /none @answer; }} location @answer {{ return 204; }} }} }}\n"
)
minute(0)
environment = {**os.environ, "LD_PRELOAD": faketime, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
nginx = subprocess.Popen(["nginx", "-c", here / "nginx.conf"], env=environment)
try:
    connection = http.client.HTTPConnection("127.0.0.1", 8099, timeout=20)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            connection.connect()
            break
        except OSError:
            time.sleep(0.02)

    def passes() -> bool:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return answer.status == 204

    passed = []
    for number in range(60 * len(hours)):
        minute(number)
        count = 0
        while hours[number // 60] == "asks" and passes():
            count += 1
        passed.append(count)
    print(json.dumps(passed))
finally:
    nginx.send_signal(signal.SIGTERM)
    nginx.wait()
