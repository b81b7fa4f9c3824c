#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_build
short_description: Container images built by Cloud Build
description:
  - Builds an image from a directory or an archive and pushes it. Where the tag exists already, nothing happens, unless O(force) is set;
    so the tag must name the content, such as a commit.
  - The directory is packed reproducibly, so that equal content is uploaded once.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: partial, details: Every run with O(force) builds.}
options:
  image: {description: 'What to build, V(REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG).', type: str, required: true}
  directory: {description: Directory to build from., type: path}
  exclude:
    description:
      - What of it is not sent, in the patterns of C(.gitignore), beside what its own C(.gcloudignore) names.
      - Version control, environments, caches and C(.env) files (of any name, such as C(.env.production)) are never sent.
    type: list
    elements: str
    default: []
  source: {description: 'Archive to build from, C(gs://BUCKET/OBJECT.tgz), in place of O(directory).', type: str}
  source_bucket: {description: Bucket for the packed directory. C(PROJECT_cloudbuild) if left out., type: str}
  dockerfile: {description: Path of the Dockerfile., type: str, default: Dockerfile}
  build_args: {description: Build arguments. Everybody who may see the build sees them., type: dict, default: {}}
  steps:
    description: Steps in place of C(docker build), in the API's words. They must leave the image in the local Docker.
    type: list
    elements: dict
  timeout: {description: How long the build may take., type: str, default: 20m}
  machine_type: {description: Kind of machine., type: str, choices: [E2_MEDIUM, E2_HIGHCPU_8, E2_HIGHCPU_32, N1_HIGHCPU_8, N1_HIGHCPU_32]}
  service_account: {description: Account that builds. Logs then go to Cloud Logging only., type: str}
  force: {description: Build even where the tag exists., type: bool, default: false}
"""

EXAMPLES = r"""
- name: Where images live
  slipway.stack.gcp_artifact_repository: {project: demo, region: us-central1, name: mass-backend}
- name: Where sources go
  slipway.stack.gcp_storage_bucket: {project: demo, name: demo_cloudbuild, location: us-central1}
- name: The image of this commit
  slipway.stack.gcp_build:
    project: demo
    region: us-central1
    directory: "{{ playbook_dir }}"
    image: us-central1-docker.pkg.dev/demo/mass-backend/api:4f2c1d7
  register: build   # build.image_by_digest goes into gcp_run_service
"""

RETURN = r"""
digest: {description: The image's digest. Null in check mode as long as it is not built., type: str, returned: always}
image_by_digest: {description: The image by its digest; null likewise., type: str, returned: always}
resource: {description: The image's tag, type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import gzip
import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils import source_tree
from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import (
    Client,
    GcpError,
    LostConnectionError,
    Write,
    enabled_later,
    path_of,
)
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import argument_spec, duration, start
from ansible_collections.slipway.stack.plugins.module_utils.gcp.transfer import Bucket, checksum, object_path

IMAGE = re.compile(r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<owner>[^/]+)/(?P<repository>[^/]+)/(?P<package>[^:@]+):(?P<tag>[\w.-]+)")
TAG = "v1/projects/{owner}/locations/{location}/repositories/{repository}/packages/{package}/tags/{tag}"


def tag_path(image: str) -> str:
    match = IMAGE.fullmatch(image)
    if not match or match["tag"] == "latest":
        raise GcpError(f"image {image!r}: write REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG, with a tag that names the content")
    return path_of(TAG, match.groupdict())


def pack(directory: Path, exclude: list[str]) -> bytes:
    """The same bytes for the same content: without what O(exclude) and the folder's own .gcloudignore name."""
    ignored = directory / ".gcloudignore"
    patterns = [*(ignored.read_text().splitlines() if ignored.is_file() else []), *exclude]
    for number, line in enumerate(patterns):
        if line.startswith("#!include:"):
            included = directory / line.removeprefix("#!include:").strip()
            patterns[number : number + 1] = included.read_text().splitlines() if included.is_file() else []
    return gzip.compress(source_tree.archive(directory, patterns), mtime=0)


def existing(client: Client, path: str, api: str, check_mode: bool) -> dict[str, Any] | None:
    try:
        return client.get(api, path)
    except GcpError as error:
        if enabled_later(error, check_mode):
            return None
        raise


def body(params: dict[str, Any], bucket: str, name: str) -> dict[str, Any]:
    arguments = [text for key, value in params["build_args"].items() for text in ("--build-arg", f"{key}={value}")]
    docker = ["build", "--tag", params["image"], "--file", params["dockerfile"], *arguments, "."]
    build: dict[str, Any] = {
        "source": {"storageSource": {"bucket": bucket, "object": name}},
        "steps": params["steps"] or [{"name": "gcr.io/cloud-builders/docker", "args": docker}],
        "images": [params["image"]],
        "timeout": duration(params["timeout"]),
    }
    if params["service_account"]:
        build["serviceAccount"] = f"projects/{params['project']}/serviceAccounts/{params['service_account']}"
    options = {"machineType": params["machine_type"], "logging": "CLOUD_LOGGING_ONLY" if params["service_account"] else None}
    return build | ({"options": chosen} if (chosen := {key: value for key, value in options.items() if value}) else {})


def main() -> None:
    module, client = start(
        lambda: argument_spec(DOCUMENTATION), mutually_exclusive=[("directory", "source")], required_one_of=[("directory", "source")]
    )
    params, writes = module.params, []
    try:
        path = tag_path(params["image"])
        live = existing(client, path, "artifactregistry", module.check_mode)
        if live is None or params["force"]:
            packed = pack(Path(params["directory"]), params["exclude"]) if params["directory"] else b""
            place = (
                params["source"]
                or f"gs://{params['source_bucket'] or params['project'] + '_cloudbuild'}/source/{hashlib.sha256(packed).hexdigest()}.tgz"
            )
            bucket, _slash, name = place.removeprefix("gs://").partition("/")
            upload = bool(params["directory"]) and existing(client, object_path(bucket, name), "storage", module.check_mode) is None
            builds = path_of("v1/projects/{project}/locations/{region}/builds", {**params, "region": params["region"] or "global"})
            build = Write("POST", builds, {"projectId": params["project"]}, body(params, bucket, name))
            writes = ([f"upload gs://{bucket}/{name}"] if upload else []) + [build.summary()]
            if not module.check_mode:
                if upload:
                    with tempfile.NamedTemporaryFile() as file:
                        Path(file.name).write_bytes(packed)
                        Bucket(client, bucket).upload(Path(file.name), name, checksum(Path(file.name)))
                client.write("cloudbuild", build)
                live = client.get("artifactregistry", path)
    except LostConnectionError as error:
        module.fail_json(msg=f"{error}. The build may have begun: look at it before you run this again.")
    except (GcpError, source_tree.TreeError, OSError) as error:
        module.fail_json(msg=str(error))
    unknown = live is None or (module.check_mode and params["force"])
    digest = None if unknown else live["version"].rpartition("/")[2]
    before, after = {"image": "absent" if writes and not params["force"] else params["image"]}, {"image": params["image"]}
    if writes and params["force"]:
        after = {"image": params["image"] + ", built again"}
    by_digest = f"{params['image'].rpartition(':')[0]}@{digest}" if digest else None
    diff, resource = {"before": before, "after": after}, {"name": path.removeprefix("v1/")}
    module.exit_json(changed=bool(writes), writes=writes, diff=diff, resource=resource, digest=digest, image_by_digest=by_digest)


if __name__ == "__main__":
    main()
