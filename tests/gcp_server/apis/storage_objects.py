# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of Cloud Storage: listed, uploaded at once or in chunks, deleted. Content that does not fit its checksum is refused."""

from __future__ import annotations

import base64
import copy
import json
import re
from typing import Any
from urllib.parse import quote

import google_crc32c

from ..crud import page
from ..discovery import Json
from ..world import ApiError, Call, registry

QUARTER = 256 * 1024


def checksum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def store(call: Call, metadata: Json, content: bytes) -> Json:
    name, bucket = metadata["name"], call.groups["bucket"]
    call.find(f"storage/b/{bucket}")
    crc = checksum(content)
    if metadata.get("crc32c", crc) != crc:
        raise ApiError(400, "invalid", f"Provided CRC32C {metadata['crc32c']} doesn't match calculated CRC32C {crc}.")
    key = f"storage/b/{bucket}/o/{quote(name, safe='')}"
    now = call.world.now()
    generation = str(1700000000000000 + next(call.world.numbers))
    call.world.blobs[key] = content
    call.world.objects[key] = {
        **metadata,
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{generation}",
        "bucket": bucket,
        "generation": generation,
        "metageneration": "1",
        "contentType": metadata.get("contentType", "application/octet-stream"),
        "storageClass": "STANDARD",
        "size": str(len(content)),
        "crc32c": crc,
        "timeCreated": now,
        "updated": now,
        "mediaLink": f"https://storage.googleapis.com/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media",
    }
    return copy.deepcopy(call.world.objects[key])


def halves(call: Call) -> tuple[Json, bytes]:
    """multipart/related: metadata, then content."""
    boundary = re.search(r"boundary=['\"]?([^'\";]+)", call.headers["content-type"])
    if boundary is None:
        raise ApiError(400, "invalid", "multipart without a boundary")
    _preamble, first, second, _end = call.body.split(b"--" + boundary[1].encode())
    metadata, content = (part.partition(b"\r\n\r\n")[2][:-2] for part in (first, second))
    return json.loads(metadata), content


@registry.method("storage.objects.insert")
def insert(call: Call) -> Any:
    if "upload_id" in call.query:
        return go_on(call)
    kind = call.query.get("uploadType")
    if kind == "multipart":
        return store(call, *halves(call))
    if kind == "media":
        return store(call, {"name": call.query["name"]}, call.body or b"")
    if kind != "resumable":
        raise ApiError(400, "invalid", f"uploadType {kind!r}")
    call.find(f"storage/b/{call.groups['bucket']}")
    number = f"upload-{next(call.world.numbers)}"
    metadata = {"name": call.query["name"]} if "name" in call.query else {}
    call.world.objects[f"uploads/{number}"] = {"metadata": metadata | (call.body or {})}
    call.world.blobs[f"uploads/{number}"] = b""
    return {"Location": f"https://{call.host}/{call.path}?uploadType=resumable&upload_id={number}"}, {}


def go_on(call: Call) -> Any:
    """A chunk, or with `*` the question how much has arrived."""
    key = f"uploads/{call.query['upload_id']}"
    if key not in call.world.objects:
        raise ApiError(404, "notFound", "no such upload")
    have = call.world.blobs[key]
    match = re.fullmatch(r"bytes (\*|(\d+)-(\d+))/(\*|\d+)", call.headers.get("content-range", ""))
    if match is None:
        raise ApiError(400, "invalid", "Content-Range")
    if match[1] != "*":
        content = call.body or b""
        if int(match[2]) != len(have) or len(content) != int(match[3]) - int(match[2]) + 1:
            raise ApiError(400, "invalid", "the chunk does not follow what has arrived")
        have += content
        if (match[4] == "*" or len(have) < int(match[4])) and len(content) % QUARTER:
            raise ApiError(400, "invalid", "chunks are multiples of 256 KiB")
        call.world.blobs[key] = have
    if match[4] != "*" and len(have) == int(match[4]):
        metadata = call.world.objects.pop(key)["metadata"]
        return store(call, metadata, call.world.blobs.pop(key))
    return {":status": "308", **({"Range": f"bytes=0-{len(have) - 1}"} if have else {})}, b""


@registry.method("storage.objects.list")
def list_objects(call: Call) -> Json:
    call.find(call.key.removesuffix("/o"))
    if "delimiter" in call.query:
        raise ApiError(501, "notImplemented", "delimiter")
    found = [item for item in call.world.children(call.key) if item["name"].startswith(call.query.get("prefix", ""))]
    result = page(call, "items", sorted(found, key=lambda item: item["name"]))
    fields = re.fullmatch(r"items\(([\w,]+)\),nextPageToken", call.query.get("fields", ""))
    if fields:
        names = fields[1].split(",")
        return {key: [{name: item[name] for name in names} for item in value] if key == "items" else value for key, value in result.items()}
    return {"kind": "storage#objects", **result}


@registry.method("storage.objects.delete")
def delete_object(call: Call) -> Json:
    call.find()
    del call.world.objects[call.key]
    del call.world.blobs[call.key]
    return {}
