# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes from Google's discovery documents, as google-api-python-client ships them."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

# The versions that this server speaks, by the first label of the host name.
VERSIONS = {
    "artifactregistry": ["v1"],
    "cloudbuild": ["v1"],
    "cloudkms": ["v1"],
    "cloudresourcemanager": ["v1", "v3"],
    "compute": ["v1"],
    "firestore": ["v1"],
    "iam": ["v1"],
    "iamcredentials": ["v1"],
    "logging": ["v2"],
    "monitoring": ["v1", "v3"],
    "pubsub": ["v1"],
    "redis": ["v1"],
    "run": ["v2"],
    "secretmanager": ["v1"],
    "servicenetworking": ["v1"],
    "serviceusage": ["v1"],
    "sqladmin": ["v1beta4", "v1"],
    "storage": ["v1"],
    "us-central1-run": ["v1"],  # Cloud Run's domain mappings live on regional hosts
}


@dataclass(frozen=True)
class Method:
    """One method of one API."""

    api: str
    id: str
    verb: str
    pattern: re.Pattern[str]
    literals: int  # the more literal characters a path has, the better it fits: `:access` beats `{+name}`
    parameters: Json
    request: str | None
    response: str | None
    schemas: Json
    upload: bool = False

    @property
    def response_is_operation(self) -> bool:
        return (self.response or "").endswith("Operation")

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]


def documents_folder() -> Path:
    spec = importlib.util.find_spec("googleapiclient")
    if spec is None or spec.origin is None:
        raise RuntimeError("google-api-python-client is not installed")
    return Path(spec.origin).parent / "discovery_cache" / "documents"


@functools.cache
def methods(api: str) -> list[Method]:
    """Every method of an API, the most literal path first."""
    found: list[Method] = []
    for version in VERSIONS[api]:
        document = json.loads((documents_folder() / f"{api.rpartition('-')[2]}.{version}.json").read_text())
        collect(api, document, document, found)
    return sorted(found, key=lambda method: -method.literals)


def collect(api: str, document: Json, node: Json, found: list[Method]) -> None:
    for entry in node.get("methods", {}).values():
        parameters = {**document.get("parameters", {}), **entry.get("parameters", {})}
        paths = [(document["servicePath"] + entry["path"], False)]
        for protocol in entry.get("mediaUpload", {}).get("protocols", {}).values():
            paths.append((protocol["path"].lstrip("/"), True))
        if entry.get("useMediaDownloadService"):
            paths.append((f"download/{document['servicePath']}{entry['path']}", False))
        for path, upload in dict(paths).items():
            found.append(
                Method(
                    api=api,
                    id=entry["id"],
                    verb=entry["httpMethod"],
                    pattern=re.compile(template(path, parameters)),
                    literals=len(re.sub(r"\{[^}]*\}", "", path)) + path.count(":") * 100,
                    parameters=parameters,
                    request=entry.get("request", {}).get("$ref"),
                    response=entry.get("response", {}).get("$ref"),
                    schemas=document["schemas"],
                    upload=upload,
                )
            )
    for child in node.get("resources", {}).values():
        collect(api, document, child, found)


def template(path: str, parameters: Json) -> str:
    """`v1/{+name}:access` as a regular expression on the raw, still quoted path."""

    def group(match: re.Match[str]) -> str:
        name = match[2]
        shape = parameters.get(name, {}).get("pattern", "^[^/]+$" if not match[1] else "^.+$")
        return f"(?P<{name}>{shape.removeprefix('^').removesuffix('$')})"

    pieces = re.split(r"(\{\+?\w+\})", path)
    return "^" + "".join(re.sub(r"\{(\+?)(\w+)\}", group, piece) if piece.startswith("{") else re.escape(piece) for piece in pieces) + "$"


def route(api: str, verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
    """The method that a raw path (without the leading slash) belongs to, and its path parameters."""
    for method in methods(api):
        if method.verb == verb:
            match = method.pattern.match(path)
            if match:
                return method, match.groupdict()
    return None
