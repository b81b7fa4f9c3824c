"""Clients of this scenario's site, on the host itself, and the applications behind it."""

import dataclasses
import itertools
import json
import shlex

from testinfra.host import Host

NAME = "shop.example"
INTERNAL = "127.0.0.1"
# Every address of 127.0.0.0/8 is this host, only 127.0.0.1 is internal. A new client each time: none uses up the next one's limit.
CLIENTS = (f"127.9.{number // 250}.{number % 250 + 1}" for number in itertools.count())


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, list[str]]
    body: str

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """Its one value, or nothing."""
        values = self.headers.get(name, [])
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else ""


def ask(host: Host, url: str, *options: str, client: str = "", name: str = NAME) -> Answer:
    """One request with curl on the host itself; `url` is a path (HTTPS) or complete."""
    return ask_often(host, 1, url, *options, client=client, name=name)[0]


def ask_often(host: Host, times: int, url: str, *options: str, client: str = "", name: str = NAME) -> list[Answer]:
    """The same request several times in a row, as fast as the host can."""
    complete = url if "://" in url else f"https://{name}{url}"
    client = client or next(CLIENTS)
    resolve = [word for port in (80, 443) for word in ("--resolve", f"{name}:{port}:{INTERNAL}")]
    command = ["curl", "--silent", "--show-error", "--insecure", "--include", "--path-as-is", "--max-time", "20", "--interface", client]
    line = shlex.join([*command, *resolve, *options, complete])
    output = host.check_output(f"for time in $(seq {times}); do {line} || exit; printf '\\036'; done").replace("\r\n", "\n")
    return [parse(answer) for answer in output.split("\x1e")[:-1]]


def parse(output: str) -> Answer:
    while output.startswith("HTTP/1.1 100"):
        output = output.partition("\n\n")[2]
    head, _, body = output.partition("\n\n")
    first, *lines = head.splitlines()
    headers: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition(":")
        headers.setdefault(key.lower(), []).append(value.strip())
    return Answer(int(first.split()[1]), headers, body)


def seen(host: Host, *options: str, client: str = "") -> dict[str, str]:
    """The headers the application got, names in small letters."""
    headers = ask(host, "/seen", *options, client=client).json["headers"]
    assert isinstance(headers, dict)
    return {name.lower(): value for name, value in headers.items()}


def process(host: Host) -> str:
    return host.check_output("systemctl show --property MainPID --value nginx.service")


def start(host: Host, port: int) -> None:
    host.run(f"systemctl stop upstream-{port}; systemctl reset-failed upstream-{port}")
    host.check_output(f"systemd-run --quiet --unit upstream-{port} python3 /root/upstream.py {port}")
    host.check_output(
        f"curl --silent --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 10 --output /dev/null http://127.0.0.1:{port}/"
    )
