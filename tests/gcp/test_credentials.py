# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of credential, against servers that speak Google's token protocols."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.gcp.lifecycle import Json, play
from tests.gcp_server.server import GoogleServer

TOPIC = {"project": "demo", "name": "who-am-i"}


class Tokens(BaseHTTPRequestHandler):
    """The metadata server and the OAuth token endpoint."""

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = "from-metadata" if self.path.startswith("/computeMetadata") else "from-key"
        token = {"access_token": name, "expires_in": 3600, "token_type": "Bearer"}
        account = {"email": "attached@demo.iam.gserviceaccount.com", "scopes": ["cloud-platform"], "aliases": ["default"]}
        body: bytes = json.dumps(account if self.path.endswith(("recursive=true", "default/")) else token).encode()
        content = "application/json"
        if self.path.endswith("project-id"):
            body, content = b"demo", "text/plain"
        elif self.path.endswith("universe-domain"):
            body, content = b"googleapis.com", "text/plain"
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815


@pytest.fixture
def tokens() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def key(tokens: str) -> Json:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "project_id": "demo",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@demo.iam.gserviceaccount.com",
        "token_uri": f"http://{tokens}/token",
    }


def seen(google: GoogleServer) -> set[str]:
    return {request.token for request in google.world.requests if request.api == "pubsub"}


def ask(google: GoogleServer, folder: Path, options: Json, environment: dict[str, str]) -> Json:
    task = {"name": "it", "slipway.stack.gcp_pubsub_topic": TOPIC | options, "ignore_errors": True}
    empty = {"HOME": str(folder), "GOOGLE_OAUTH_ACCESS_TOKEN": "", "CLOUDSDK_AUTH_ACCESS_TOKEN": "", "NO_GCE_CHECK": "true"}
    return play(google, folder, [task], {**empty, **environment})["it"].result


def test_every_source(google: GoogleServer, tmp_path: Path, tokens: str, key: Json) -> None:
    """Options come before the environment, the environment before application default credentials."""
    file = tmp_path / "key.json"
    file.write_text(json.dumps(key))
    metadata = {"GCE_METADATA_HOST": tokens, "NO_GCE_CHECK": "", "GCE_METADATA_IP": tokens}
    table: list[tuple[Json, dict[str, str], str]] = [
        ({"access_token": "from-option"}, {"GOOGLE_OAUTH_ACCESS_TOKEN": "from-environment"}, "from-option"),
        ({}, {"CLOUDSDK_AUTH_ACCESS_TOKEN": "from-environment"}, "from-environment"),
        ({"service_account_file": str(file)}, {"GOOGLE_OAUTH_ACCESS_TOKEN": "from-environment"}, "from-key"),
        ({"service_account_contents": json.dumps(key)}, {}, "from-key"),
        ({}, {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}, "from-key"),
        ({}, metadata, "from-metadata"),
    ]
    for options, environment, token in table:
        google.world.requests.clear()
        result = ask(google, tmp_path, options, environment)
        assert "failed" not in result, result["msg"]
        assert seen(google) == {token}
    assert key["private_key"][40:80] not in (tmp_path / "output.txt").read_text()


def test_no_credentials_and_bad_ones(google: GoogleServer, tmp_path: Path, key: Json) -> None:
    assert "no usable Google credentials" in ask(google, tmp_path, {}, {})["msg"]
    broken = json.dumps(key | {"private_key": "canary-no-key"})
    result = ask(google, tmp_path, {"service_account_contents": broken}, {})
    assert "no usable Google credentials" in result["msg"]
    assert "canary-no-key" not in (tmp_path / "output.txt").read_text()


def test_impersonation_with_delegates(google: GoogleServer, tmp_path: Path) -> None:
    options = {
        "access_token": "me",
        "impersonate_service_account": "deployer@demo.iam.gserviceaccount.com",
        "impersonation_delegates": ["middle"],
    }
    result = ask(google, tmp_path, options, {})
    assert "failed" not in result, result["msg"]
    assert seen(google) == {"deployer-for-me-middle"}
