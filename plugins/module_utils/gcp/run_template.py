# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The container of a Cloud Run service or job: the parts of its template that several options share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .client import GcpError, Json
from .resource import Field, seconds
from .revisions import serving_place

# Paths below `template`; a job's template is one level deeper.
RULES = {
    "containers[].env": Field(key="name"),
    "containers[].env[]": Field(whole=True),
    "containers[].resources.limits.cpu": Field(normalise=lambda value: millicores(value)),
    "containers[].resources.limits.memory": Field(normalise=lambda value: mebibytes(value)),
    "containers[].volumeMounts": Field(key="mountPath"),
    "containers[].startupProbe": Field(whole=True),
    "containers[].livenessProbe": Field(whole=True),
    "containers[].readinessProbe": Field(whole=True),
    "volumes": Field(key="name"),
    "volumes[]": Field(whole=True),
    "vpcAccess.networkInterfaces[]": Field(whole=True),
    "timeout": Field(normalise=seconds),
}
NESTED = {f"template.{path}": rule for path, rule in RULES.items()}


def beside_others(want: Json, live: Json | None) -> Json:
    """Our container among those that somebody else put beside it: it is the one with a port, and the others stay with their volumes."""
    if "containers" not in want:
        return want
    have = (live or {}).get("containers", [])
    mine = serving_place(have)
    others = [item for place, item in enumerate(have) if place != mine]
    mounted = {mount["name"] for item in others for mount in item.get("volumeMounts", [])}
    found = {**want, "containers": [*have[:mine], *want["containers"], *have[mine + 1 :]]}
    if others and "volumes" in want:
        named = {volume["name"] for volume in want["volumes"]}
        kept = [volume for volume in (live or {}).get("volumes", []) if volume["name"] in mounted - named]
        found["volumes"] = [*want["volumes"], *kept]
    return found


def throttled(want: Json, live: Json | None) -> Json:
    """Cloud Run's default is CPU while requests are served, but only where no resources are named: then it is all the time."""
    resources = want.get("containers", [{}])[0].get("resources", {})
    if live is not None or "limits" not in resources or "cpuIdle" in resources:
        return want
    first, *rest = want["containers"]
    return {**want, "containers": [{**first, "resources": {**resources, "cpuIdle": True}}, *rest]}


def millicores(value: Any) -> Any:
    text = str(value)
    if not re.fullmatch(r"\d+m|\d*\.?\d+", text):
        raise GcpError(f"cpu is {text!r}: write processors such as '2', or thousandths such as '500m'")
    return float(text[:-1]) if text.endswith("m") else float(text) * 1000


def mebibytes(value: Any) -> Any:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([MG]i?)", str(value))
    return float(match[1]) * {"M": 1e6 / 2**20, "Mi": 1, "G": 1e9 / 2**20, "Gi": 1024}[match[2]] if match else value


def secret_and_version(option: str, name: str, text: Any) -> tuple[str, str]:
    secret, _colon, version = str(text).partition(":")
    if not version:
        raise GcpError(f"{option}.{name} is {text!r}: write SECRET:VERSION, such as {secret}:3")
    return secret, version


def check_pins(params: Mapping[str, Any]) -> None:
    """What a rollback could not bring back."""
    if not params["pinned"] or params["state"] != "present":
        return
    image = params["image"]
    if image and "@sha256:" not in image:
        raise GcpError(f"image {image!r} has no digest: write NAME@sha256:..., or set pinned: false where rollbacks do not matter")
    for option in ("secrets", "secret_files"):
        for name, text in (params[option] or {}).items():
            if not secret_and_version(option, name, text)[1].isdigit():
                raise GcpError(f"{option}.{name} is {text!r}: name a version's number, or set pinned: false where rollbacks do not matter")


def container(params: Mapping[str, Any]) -> Json:
    """One container: what it runs, its environment, its limits and probes."""
    if params["cpu"] is not None:
        millicores(params["cpu"])
    limits = {key: params[key] for key in ("cpu", "memory") if params[key] is not None}
    resources = {"limits": limits or None, "cpuIdle": params.get("cpu_throttling"), "startupCpuBoost": params.get("startup_cpu_boost")}
    body: Json = {name: params[name] for name in ("image", "command", "args")}
    body["resources"] = {key: value for key, value in resources.items() if value is not None} or None
    for probe in ("startup", "liveness", "readiness"):
        body[f"{probe}Probe"] = params.get(f"{probe}_probe")
    if params["env"] is not None or params["secrets"] is not None:
        plain = [{"name": name, "value": str(value)} for name, value in (params["env"] or {}).items()]
        for name, text in (params["secrets"] or {}).items():
            secret, version = secret_and_version("secrets", name, text)
            plain.append({"name": name, "valueSource": {"secretKeyRef": {"secret": secret, "version": version}}})
        body["env"] = plain
    return {key: value for key, value in body.items() if value is not None}


def volumes(params: Mapping[str, Any]) -> tuple[list[Json], list[Json]]:
    """Volumes and where they are mounted."""
    found: list[Json] = []
    mounts: list[Json] = []
    for place, text in (params["secret_files"] or {}).items():
        secret, version = secret_and_version("secret_files", place, text)
        folder, _slash, file = place.rpartition("/")
        if any(mount["mountPath"] == folder for mount in mounts):
            raise GcpError(f"secret_files.{place}: another secret is mounted on {folder} already, and Cloud Run mounts one on each folder")
        name = "secret-" + re.sub(r"[^a-z0-9]+", "-", place.lower()).strip("-")
        found.append({"name": name, "secret": {"secret": secret, "items": [{"path": file, "version": version}]}})
        mounts.append({"name": name, "mountPath": folder})
    for place, bucket in (params["buckets"] or {}).items():
        name = "bucket-" + re.sub(r"[^a-z0-9]+", "-", place.lower()).strip("-")
        found.append({"name": name, "gcs": {"bucket": bucket, "readOnly": True}})
        mounts.append({"name": name, "mountPath": place})
    if params["cloudsql_instances"]:
        found.append({"name": "cloudsql", "cloudSqlInstance": {"instances": params["cloudsql_instances"]}})
        mounts.append({"name": "cloudsql", "mountPath": "/cloudsql"})
    return found, mounts


def template(params: Mapping[str, Any]) -> Json:
    """The template; what the user left out is left out."""
    body: Json = {"containers": [container(params)]}
    if any(params[name] is not None for name in ("secret_files", "buckets", "cloudsql_instances")):
        body["volumes"], body["containers"][0]["volumeMounts"] = volumes(params)
    if params["network"] or params["subnetwork"]:
        interface = {name: params[name] for name in ("network", "subnetwork") if params[name]}
        body["vpcAccess"] = {"networkInterfaces": [interface]}
    return body
