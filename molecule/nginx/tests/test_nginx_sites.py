"""What nginx promises of several sites on one host: each has its own certificate, limits, paths and conditions."""

import json
import shlex

import pytest
from client import CLIENTS, INTERNAL, NAME, Answer, ask, ask_often
from testinfra.host import Host

SIDE = "side.example"
STREAM = """
import socket, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def ask(path):
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 20), server_hostname="side.example")
    connection.sendall(f"GET {path} HTTP/1.1\\r\\nHost: side.example\\r\\nConnection: close\\r\\n\\r\\n".encode())
    return connection.makefile("r")
def event(lines):
    return next(line.strip() for line in lines if line.startswith("data:"))
events = ask("/events")
print(event(events))
ask("/events/go").read()
print(event(events))
"""


@pytest.fixture(scope="module", autouse=True)
def folder(host: Host) -> None:
    """Files of the second site."""
    host.check_output(
        "mkdir -p /srv/side/.git && cd /srv/side && seq 2000 > plain.txt && echo packed > page.css"
        " && echo secret > .git/config && echo '<p>page</p>' > index.html"
        " && printf from-the-packed-file | gzip > page.css.gz && chmod -R a+rX /srv/side"
    )


def side(host: Host, path: str, *options: str, client: str = "") -> Answer:
    return ask(host, path, *options, client=client, name=SIDE)


def served(host: Host, name: str) -> str:
    """The fingerprint of what is shown for a name."""
    shown = f"echo | openssl s_client -connect {INTERNAL}:443 -servername {name} 2>/dev/null"
    return host.check_output(f"{shown} | openssl x509 -noout -fingerprint -sha256")


def test_each_site_has_its_certificate_and_its_instances(host: Host) -> None:
    files = host.check_output("grep --no-filename -o '/etc/nginx/tls/self-signed.*crt' /etc/nginx/conf.d/50-*.conf | sort -u").split()
    kept = {host.check_output(f"openssl x509 -noout -fingerprint -sha256 -in {path}") for path in files}
    shown = {name: served(host, name) for name in (NAME, SIDE, "closed.example", "later.example")}
    assert len(set(shown.values())) == 4
    assert set(shown.values()) == kept
    assert served(host, "www.side.example") == shown[SIDE]
    assert {answer.json["port"] for answer in ask_often(host, 4, "/", client=INTERNAL)} == {9001, 9002}
    assert side(host, "/").json["port"] == 9003


def test_other_names_lead_to_the_first(host: Host) -> None:
    for name, code, first in (("old.example", 308, NAME), ("www.side.example", 301, SIDE)):
        answer = ask(host, "/orders?page=2", name=name)
        assert (answer.status, answer.header("location")) == (code, f"https://{first}/orders?page=2")
        assert answer.header("strict-transport-security") == "max-age=63072000; includeSubDomains"
        plain = ask(host, f"http://{name}/orders", name=name)
        assert (plain.status, plain.header("location")) == (308, f"https://{name}/orders")


def test_the_limits_of_a_site_are_its_own(host: Host) -> None:
    client = next(CLIENTS)
    codes = [answer.status for answer in ask_often(host, 6, "/", client=client, name=SIDE)]
    assert (codes[:3], codes[-1]) == ([200] * 3, 429)
    assert [answer.status for answer in ask_often(host, 6, "/", client=client)] == [200] * 6


def test_internal_paths_are_the_sites_own(host: Host) -> None:
    for path in ("/hidden", "/HIDDEN/x", "//hidden", "/metrics"):
        assert (side(host, path).status, side(host, path, client=INTERNAL).status) == (404, 200)
    assert side(host, "/docs").status == 200
    assert (ask(host, "/hidden").status, ask(host, "/docs").status) == (200, 404)


def test_a_folder_is_served_with_its_age_and_compressed(host: Host) -> None:
    answer = side(host, "/assets/plain.txt")
    assert (answer.status, answer.header("cache-control"), answer.header("content-encoding")) == (200, "max-age=600", "")
    assert answer.header("x-content-type-options") == "nosniff"
    assert side(host, "/assets/plain.txt", "--compressed").header("content-encoding") == "gzip"
    assert side(host, "/assets/page.css", "--compressed").body == "from-the-packed-file"
    assert side(host, "/assets/page.css").body.strip() == "packed"
    assert side(host, "/assets/").header("cache-control") == "no-cache"  # a page names the files that go with it
    answers = [
        side(host, f"/{path}")
        for path in ("assets/none.css", "assets/.git/config", "assets/../../etc/passwd", "assets/%2e%2e/x", "assets../x")
    ]
    assert [answer.status for answer in answers] == [404, 404, 400, 200, 200]
    assert {answer.json["port"] for answer in answers[3:]} == {9003}  # the application's own /x
    assert answers[0].header("cache-control") == ""
    client = next(CLIENTS)
    assert {answer.status for answer in ask_often(host, 8, "/assets/page.css", client=client, name=SIDE)} == {200}


def test_answers_of_the_application_are_compressed_only_where_told(host: Host) -> None:
    assert side(host, "/open", "--compressed").header("content-encoding") == "gzip"
    assert side(host, "/", "--compressed").header("content-encoding") == ""


def test_a_stream_of_events_arrives_event_by_event(host: Host) -> None:
    assert host.check_output(f"python3 -c {shlex.quote(STREAM)}").splitlines() == ["data: first", "data: second"]


def test_a_path_has_its_own_process_and_its_own_size(host: Host) -> None:
    assert (side(host, "/ws/x").json["port"], side(host, "/ws").json["port"], side(host, "/wsx").json["port"]) == (9001, 9001, 9003)
    assert side(host, "/upload", "--data", "x" * 20_000).json["body"] == 20_000
    assert (side(host, "/upload", "--data", "x" * 40_000).status, side(host, "/", "--data", "x" * 20_000).status) == (413, 413)
    assert side(host, "/robots.txt").body == "nothing"


def test_a_password_is_asked_for_and_stays_here(host: Host) -> None:
    answer = side(host, "/admin/users")
    assert (answer.status, answer.header("www-authenticate")) == (401, 'Basic realm="side-app"')
    assert side(host, "/admin", "--user", "anna:wrong").status == 401
    assert side(host, "/admin", client=INTERNAL).status == 401
    assert side(host, "/ADMIN").status == 404
    answer = side(host, "/admin", "--user", "anna:only-for-this-scenario")
    assert (answer.status, answer.json["path"]) == (200, "/admin")
    assert "authorization" not in str(answer.json["headers"]).lower()
    kept = host.file(host.check_output("ls /etc/nginx/htpasswd/*"))
    assert (kept.user, kept.group, kept.mode) == ("root", "www-data", 0o640)


def test_a_path_for_some_networks(host: Host) -> None:
    assert (side(host, "/office", client="127.7.0.1").status, side(host, "/office/x", client="127.7.0.1").status) == (200, 200)
    for path in ("/office", "/office/x", "//office", "/x/../office"):
        answer = side(host, path)
        assert (answer.status, answer.json) == (403, {"detail": "Forbidden"})
    assert side(host, "/Office").status == 404


def test_pages_of_other_origins(host: Host) -> None:
    asked = ("--request", "OPTIONS", "--header", "Access-Control-Request-Method: PUT", "--header", "Access-Control-Request-Headers: x-one")
    answer = side(host, "/api/orders", *asked, "--header", "Origin: https://app.example")
    allowed = {name: answer.header(f"access-control-{name}") for name in ("allow-origin", "allow-credentials", "allow-headers", "max-age")}
    assert (answer.status, answer.body) == (204, "")
    assert allowed == {"allow-origin": "https://app.example", "allow-credentials": "true", "allow-headers": "x-one", "max-age": "3600"}
    assert "PUT" in answer.header("access-control-allow-methods")
    answer = side(host, "/api/orders", "--header", "Origin: https://app.example")
    assert (answer.status, answer.header("access-control-allow-origin"), answer.header("vary")) == (200, "https://app.example", "Origin")
    for path, origin in (("/api", "https://evil.example"), ("/", "https://app.example")):
        answer = side(host, path, *asked, "--header", f"Origin: {origin}")
        assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert side(host, "/open", "--header", "Origin: https://evil.example").header("access-control-allow-origin") == "*"
    # Without the question, OPTIONS is the application's.
    assert side(host, "/api", "--request", "OPTIONS", "--header", "Origin: https://app.example").json["method"] == "OPTIONS"


def test_maintenance_is_for_everybody_but_those_who_do_it(host: Host) -> None:
    def closed(path: str, *options: str, client: str = "") -> Answer:
        return ask(host, path, *options, client=client, name="closed.example")

    answer = closed("/orders")
    assert (answer.status, answer.header("retry-after"), answer.json) == (503, "60", {"detail": "Maintenance: please come back soon"})
    page = closed("/orders", "--header", "Accept: text/html,*/*")
    assert (page.status, page.header("content-type")) == (503, "text/html; charset=utf-8")
    assert "<h1>Maintenance: please come back soon</h1>" in page.body
    assert (closed("/orders", client=INTERNAL).json["port"], closed("/health").json["path"]) == (9003, "/health")


def test_a_site_whose_application_is_not_there_yet(host: Host) -> None:
    answer = ask(host, "/", name="later.example")
    assert (answer.status, answer.header("retry-after"), answer.json) == (503, "60", {"detail": "The application is not ready"})


def test_the_log_says_whose_names_were_asked(host: Host) -> None:
    client = next(CLIENTS)
    for name in (SIDE, "www.side.example", "later.example", "stranger.example"):
        ask(host, "/", client=client, name=name)
    lines = host.check_output(f"grep --fixed-strings '\"{client}\"' /var/log/nginx/access.log").splitlines()
    assert [json.loads(line)["site"] for line in lines] == ["side-app", "side-app", "later", ""]
