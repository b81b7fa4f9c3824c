# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files to and from Cloud Storage: small ones at once, large ones in chunks that go on where a lost connection or a killed run left off."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import mimetypes
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from .checksum import crc32c
from .client import Client, GcpError, Json, Write, delay, pause

try:
    from requests.exceptions import RequestException
except ImportError:  # pragma: no cover - reported by the module, with the install hint
    RequestException = OSError  # type: ignore[assignment,misc]

MEBIBYTE = 1024 * 1024
TYPES = mimetypes.MimeTypes()  # without the files of the machine it runs on
BUSY = (408, 429, 500, 502, 503, 504)
Progress = Callable[[int], None]


def checksum(file: Path) -> str:
    """CRC32C as the API writes it: base64 of big-endian."""
    state = 0
    with file.open("rb") as stream:
        while block := stream.read(MEBIBYTE):
            state = crc32c(block, state)
    return base64.b64encode(state.to_bytes(4, "big")).decode()


def content_type(name: str) -> str:
    """By the name alone, whatever tables the machine has; browsers open what they know."""
    kind, encoding = TYPES.guess_type(name)
    return {"gzip": "application/gzip", None: kind or "application/octet-stream"}.get(encoding, "application/octet-stream")


def object_path(bucket: str, name: str) -> str:
    return f"storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"


class Bucket:
    """One bucket's objects. Safe to use from several threads."""

    def __init__(self, client: Client, name: str, chunk: int = 8 * MEBIBYTE) -> None:
        self.client, self.name, self.chunk = client, name, chunk
        self.uploads = f"upload/storage/v1/b/{quote(name, safe='')}/o"

    def objects(self, prefix: str = "") -> dict[str, Json] | None:
        """Every object below a prefix, or None where there is no such bucket."""
        found: dict[str, Json] = {}
        query = {"prefix": prefix, "fields": "items(name,size,crc32c),nextPageToken"}
        while True:
            page = self.client.get("storage", f"storage/v1/b/{quote(self.name, safe='')}/o", query)
            if page is None:
                return None
            found.update({item["name"]: item for item in page.get("items", [])})
            if not page.get("nextPageToken"):
                return found
            query["pageToken"] = page["nextPageToken"]

    def once(self, method: str, path: str, headers: Mapping[str, str], data: bytes | None = None, **query: str) -> Any:
        """One request, whatever comes of it; no answer at all looks like 503."""
        try:
            return self.client.session.request(
                method,
                self.client.url("storage", path),
                params=query,
                data=data,
                headers=dict(headers),
                timeout=int(self.client.options.get("request_timeout") or 60),
                stream=method == "GET",
                allow_redirects=False,
            )
        except RequestException:
            return None

    def patiently(self, attempt: Callable[[], Any], what: str) -> Any:
        """Again while Google is busy or gone; every step taken starts the count anew in the caller."""
        retries = int(self.client.options.get("retries") or 0)
        response = None
        for number in range(retries + 1):
            response = attempt()
            if response is not None and response.status_code not in BUSY:
                return response
            if number < retries:
                header = None if response is None else response.headers.get("Retry-After")
                self.client.sleep(pause(number, header, self.client.operation_timeout))
        if response is None:
            raise GcpError(f"{what}: no answer after {retries + 1} attempts")
        return response

    def checked(self, response: Any, method: str, path: str) -> Any:
        if response.status_code >= 400:
            raise self.client.failure(Write(method, path), self.client.url("storage", path), response)
        return response

    # -- up ------------------------------------------------------------------------------------------------------------

    def upload(self, file: Path, name: str, crc: str, progress: Progress = lambda count: None) -> None:
        """Google itself refuses content that does not fit the checksum."""
        size = file.stat().st_size
        kind = content_type(name)
        metadata = json.dumps({"name": name, "crc32c": crc, "contentType": kind}).encode()
        if size > self.chunk:
            self.resumable(file, name, crc, size, metadata, progress)
            return
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode() + metadata
        middle = f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
        body = head + middle + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        answer = self.patiently(lambda: self.once("POST", self.uploads, headers, body, uploadType="multipart"), f"upload of {name}")
        self.checked(answer, "POST", self.uploads)
        progress(size)

    def resumable(self, file: Path, name: str, crc: str, size: int, metadata: bytes, progress: Progress) -> None:
        note = note_for(f"{self.name}/{name}/{crc}/{size}")
        session = note.read_text() if note.exists() else ""
        done = self.position(session, size) if session else None
        if done is None:
            session, done = self.begin(metadata, name), 0
            keep(note, session)
        progress(done)
        with file.open("rb") as stream:
            while done < size:
                stream.seek(done)
                block = stream.read(self.chunk)
                headers = {"Content-Range": f"bytes {done}-{done + len(block) - 1}/{size}"}
                answer = self.once("PUT", self.uploads, headers, block, uploadType="resumable", upload_id=session)
                if answer is None or answer.status_code in BUSY:
                    reached = self.position(session, size)
                else:
                    self.checked(answer, "PUT", self.uploads)
                    reached = size if answer.status_code < 300 else received(answer)
                if reached is None:
                    note.unlink(missing_ok=True)
                    raise GcpError(f"upload of {name}: Google forgot it half-way; run the task again to start it anew")
                progress(reached - done)
                done = reached
        note.unlink(missing_ok=True)

    def begin(self, metadata: bytes, name: str) -> str:
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        answer = self.patiently(lambda: self.once("POST", self.uploads, headers, metadata, uploadType="resumable"), f"upload of {name}")
        address = str(self.checked(answer, "POST", self.uploads).headers["Location"])
        return parse_qs(urlsplit(address).query)["upload_id"][0]

    def position(self, session: str, size: int) -> int | None:
        """How much Google has, or None where it knows nothing of the upload any more."""
        headers = {"Content-Range": f"bytes */{size}"}
        answer = self.patiently(
            lambda: self.once("PUT", self.uploads, headers, b"", uploadType="resumable", upload_id=session), "state of an upload"
        )
        if answer.status_code in (404, 410):
            return None
        return size if self.checked(answer, "PUT", self.uploads).status_code < 300 else received(answer)

    # -- down ----------------------------------------------------------------------------------------------------------

    def download(self, name: str, file: Path, size: int, crc: str, progress: Progress = lambda count: None) -> None:
        """Into a file beside the target, which takes its place when it is whole and right."""
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{hashlib.sha256(crc.encode()).hexdigest()[:8]}.part")
        path = object_path(self.name, name)
        part.touch()
        progress(min(part.stat().st_size, size))
        while part.stat().st_size < size:
            rest = {"Range": f"bytes={part.stat().st_size}-"}
            answer = self.checked(self.patiently(functools.partial(self.once, "GET", path, rest, alt="media"), name), "GET", path)
            if answer.status_code != 206:
                part.write_bytes(b"")
            self.receive(answer, part, progress)
        if checksum(part) != crc:
            part.unlink()
            raise GcpError(f"download of {name}: what arrived does not fit the checksum {crc}; it was thrown away")
        part.replace(file)

    def receive(self, answer: Any, part: Path, progress: Progress) -> None:
        """What arrives before a connection ends is kept."""
        with part.open("ab") as stream:
            try:
                for block in answer.iter_content(MEBIBYTE):
                    stream.write(block)
                    progress(len(block))
            except RequestException:
                self.client.sleep(delay(1))


def received(answer: Any) -> int:
    """`Range: bytes=0-262143` says how much arrived; without it, nothing did."""
    last = answer.headers.get("Range", "").rpartition("-")[2]
    return int(last) + 1 if last else 0


def note_for(what: str) -> Path:
    """Where the name of an upload under way is kept. Who knows it may write that one object, so it is nobody else's to read."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "slipway" / "uploads" / hashlib.sha256(what.encode()).hexdigest()


def keep(note: Path, session: str) -> None:
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(session)
