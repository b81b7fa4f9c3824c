# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloud Build: takes an archive from a bucket, and a build that ends well leaves tagged images in Artifact Registry."""

from __future__ import annotations

import copy
import hashlib
from urllib.parse import quote

from ..crud import done_operation
from ..discovery import Json
from ..world import ApiError, Call, registry


def tag_key(image: str) -> str:
    """us-central1-docker.pkg.dev/demo/r/api:1 as Artifact Registry's own path."""
    host, project, repository, rest = image.split("/", 3)
    package, _colon, tag = rest.partition(":")
    place = f"projects/{project}/locations/{host.removesuffix('-docker.pkg.dev')}/repositories/{repository}"
    return f"artifactregistry/{place}/packages/{quote(package, safe='')}/tags/{tag}"


@registry.method("cloudbuild.projects.locations.builds.create")
def create(call: Call) -> Json:
    body = copy.deepcopy(call.body)
    if not body.get("steps"):
        raise ApiError(400, "INVALID_ARGUMENT", "at least one build step must be specified")
    source = body["source"]["storageSource"]
    blob = f"storage/b/{source['bucket']}/o/{quote(source['object'], safe='')}"
    if blob not in call.world.blobs:
        raise ApiError(404, "NOT_FOUND", f"gs://{source['bucket']}/{source['object']} does not exist")
    for image in body.get("images", []):
        if tag_key(image).partition("/packages/")[0] not in call.world.objects:
            raise ApiError(400, "FAILED_PRECONDITION", f"there is no repository for {image}")
    number = f"build-{next(call.world.numbers)}"
    place = call.path.removeprefix("v1/").removesuffix("/builds")
    build = body | {"id": number, "status": "QUEUED", "createTime": call.world.now()}

    def finish() -> Json:
        built = []
        for image in body.get("images", []):
            text = hashlib.sha256(call.world.blobs[blob] + str(body["steps"]).encode()).hexdigest()
            package, _slash, tag = tag_key(image).partition("/")[2].partition("/tags/")
            version = f"{package}/versions/sha256:{text}"
            call.world.objects[tag_key(image)] = {"name": f"{package}/tags/{tag}", "version": version}
            built.append({"name": image, "digest": f"sha256:{text}"})
        return build | {"status": "SUCCESS", "results": {"images": built}}

    return call.world.operate(call, {"name": f"{place}/operations/{number}", "metadata": {"build": build}}, finish, lambda: None)


@registry.method("artifactregistry.projects.locations.repositories.packages.tags.get")
def get_tag(call: Call) -> Json:
    return copy.deepcopy(call.find())


registry.method("cloudbuild.projects.locations.operations.get")(done_operation)
