# SPDX-License-Identifier: GPL-3.0-or-later
"""Files to and from buckets, and images from sources."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

from tests.gcp.lifecycle import play, task
from tests.gcp_server.server import GoogleServer
from tests.gcp_server.world import Fault

DEMO = {"project": "demo", "region": "us-central1"}
MEBIBYTE = 1024 * 1024
UPLOAD = "upload/storage/v1/b/demo-models/o"


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_there_and_back(google: GoogleServer, tmp_path: Path) -> None:
    """Up, again, changed, down into another directory, and back to what the bucket has."""
    files = {"a.txt": b"alpha", "deep/b b.bin": bytes(range(256)) * 20, "empty": b"", "note.tmp": b"not sent"}
    source, target = tree(tmp_path / "source", files), tmp_path / "target"
    sync: dict[str, Any] = {**DEMO, "directory": str(source), "bucket": "demo-models", "prefix": "v3", "exclude": ["*.tmp"], "delete": True}
    back = {**sync, "directory": str(target), "direction": "download", "progress_file": str(tmp_path / "progress")}
    google.world.faults += [Fault("GET storage storage/v1/b/demo-models/o$", "partial_page", times=2)]
    steps = play(
        google,
        tmp_path,
        [
            task("nowhere", "gcp_storage_sync", sync),
            task("bucket", "gcp_storage_bucket", {"project": "demo", "name": "demo-models"}),
            task("up-check", "gcp_storage_sync", sync, check=True),
            task("up", "gcp_storage_sync", sync),
            task("up-again", "gcp_storage_sync", sync),
            task("down-check", "gcp_storage_sync", back, check=True),
            task("down", "gcp_storage_sync", back),
            task("down-again", "gcp_storage_sync", back),
        ],
    )
    assert "bucket 'demo-models' does not exist" in steps["nowhere"].result["msg"]
    names = ("up-check", "up", "up-again", "down-check", "down", "down-again")
    assert [steps[name].changed for name in names] == [True, True, False, True, True, False]
    for way in ("up", "down"):
        assert steps[f"{way}-check"].result["diff"] == steps[way].result["diff"]
        assert steps[f"{way}-check"].writes == []
        assert steps[way].result["transferred"] == ["a.txt", "deep/b b.bin", "empty"]
    assert content(target) == {name: data for name, data in files.items() if name != "note.tmp"}
    assert (tmp_path / "progress").read_text() == "3/3 files, 5125/5125 bytes\n"
    (source / "a.txt").write_bytes(b"ALPHA")
    (source / "empty").unlink()
    nothing = {**sync, "directory": str(tree(tmp_path / "nothing", {"x.tmp": b""}))}
    more = play(
        google,
        tmp_path,
        [
            task("change", "gcp_storage_sync", sync),
            task("change-down", "gcp_storage_sync", back),
            task("nothing", "gcp_storage_sync", nothing),
        ],
    )
    assert (more["change"].result["transferred"], more["change"].result["deleted"]) == (["a.txt"], ["empty"])
    assert content(target) == {"a.txt": b"ALPHA", "deep/b b.bin": files["deep/b b.bin"]}
    assert "all 2 files of the target would go" in more["nothing"].result["msg"]
    assert google.world.violations == []


def test_large_files(google: GoogleServer, tmp_path: Path) -> None:
    """Lost connections cost one chunk; a run that died is continued by the next; the name of the upload is nobody else's to read."""
    data = os.urandom(4 * MEBIBYTE + 17)
    sync = {**DEMO, "directory": str(tree(tmp_path / "source", {"model.bin": data})), "bucket": "demo-models", "chunk_mebibytes": 1}
    down = {**sync, "directory": str(tmp_path / "target"), "direction": "download"}
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    play(google, tmp_path, [task("bucket", "gcp_storage_bucket", {"project": "demo", "name": "demo-models"})])
    chunk = f"PUT storage {UPLOAD}"
    google.world.faults += [
        Fault(chunk, "drop_after"),
        Fault(chunk, "status", times=1, status=503),
        Fault(f"PUT storage {UPLOAD}", "drop_before"),
    ]
    first = play(google, tmp_path, [task("up", "gcp_storage_sync", sync)], environment=cache)["up"]
    assert first.changed
    assert google.world.blobs["storage/b/demo-models/o/model.bin"] == data
    assert not list((tmp_path / "cache").rglob("*uploads/*"))

    (tmp_path / "source/model.bin").write_bytes(data[::-1])
    google.world.requests.clear()
    pass_two = Fault(chunk, "race", times=2, race=lambda _world: None)
    google.world.faults = [pass_two, Fault(chunk, "status", status=400, reason="invalid", message="the run dies here")]
    died = play(google, tmp_path, [task("up", "gcp_storage_sync", sync)], environment=cache)["up"]
    assert "the run dies here" in died.result["msg"]
    (note,) = (tmp_path / "cache").rglob("*uploads/*")
    assert note.stat().st_mode & 0o777 == 0o600
    google.world.requests.clear()
    again = play(google, tmp_path, [task("up", "gcp_storage_sync", sync)], environment=cache)["up"]
    assert [request.verb for request in again.requests if request.path == UPLOAD] == ["PUT"] * 4
    assert google.world.blobs["storage/b/demo-models/o/model.bin"] == data[::-1]

    google.world.faults = [Fault("GET storage .*model.bin", "drop_before")]
    assert play(google, tmp_path, [task("down", "gcp_storage_sync", down)])["down"].changed
    assert content(tmp_path / "target") == {"model.bin": data[::-1]}
    assert google.world.violations == []


def test_damage_is_noticed(google: GoogleServer, tmp_path: Path) -> None:
    """Content that does not fit its checksum never takes its place, and no object is written outside of the directory."""
    play(google, tmp_path, [task("bucket", "gcp_storage_bucket", {"project": "demo", "name": "demo-models"})])
    key = "storage/b/demo-models/o/a.txt"
    google.world.objects[key] = {"name": "a.txt", "size": "5", "crc32c": "AAAAAA=="}
    google.world.blobs[key] = b"wrong"
    down = {**DEMO, "directory": str(tmp_path / "target"), "bucket": "demo-models", "direction": "download"}
    damaged = play(google, tmp_path, [task("down", "gcp_storage_sync", down)])["down"]
    assert "does not fit the checksum" in damaged.result["msg"]
    assert content(tmp_path / "target") == {}
    google.world.objects["storage/b/demo-models/o/..%2Fb"] = {"name": "../b", "size": "5", "crc32c": "AAAAAA=="}
    outside = play(google, tmp_path, [task("down", "gcp_storage_sync", down)])["down"]
    assert "'../b' would be written outside" in outside.result["msg"]


def test_build(google: GoogleServer, tmp_path: Path) -> None:
    """A tag that exists is not built again; equal sources are uploaded once; secrets beside the sources stay here."""
    source = tree(
        tmp_path / "app", {"Dockerfile": b"FROM scratch\n", "app.py": b"print()\n", ".env": b"TOKEN=canary-Wx5\n", ".git/HEAD": b"x"}
    )
    image = "us-central1-docker.pkg.dev/demo/mass-backend/api"
    build: dict[str, Any] = {**DEMO, "directory": str(source), "image": f"{image}:4f2c1d7", "build_args": {"VERSION": 3}}
    google.world.faults += [Fault("POST cloudbuild", "operation_fails", message="build step 0 failed: exit status 1")]
    steps = play(
        google,
        tmp_path,
        [
            task("repository", "gcp_artifact_repository", {**DEMO, "name": "mass-backend"}),
            task("bucket", "gcp_storage_bucket", {"project": "demo", "name": "demo_cloudbuild"}),
            task("build-check", "gcp_build", build, check=True),
            task("broken", "gcp_build", build),
            task("build", "gcp_build", build),
            task("build-again", "gcp_build", build),
            task("second", "gcp_build", {**build, "image": f"{image}:5a5a5a5"}),
            task("force", "gcp_build", {**build, "force": True}),
            task("latest", "gcp_build", {**build, "image": f"{image}:latest"}),
        ],
    )
    assert "exit status 1" in steps["broken"].result["msg"]
    assert [steps[name].changed for name in ("build-check", "build", "build-again", "second", "force")] == [True, True, False, True, True]
    assert steps["build-check"].result["diff"] == steps["build"].result["diff"]
    assert steps["build-check"].writes == []
    assert steps["build"].result["image_by_digest"] == steps["build-again"].result["image_by_digest"]
    assert steps["build"].result["image_by_digest"].startswith(f"{image}@sha256:")
    assert "a tag that names the content" in steps["latest"].result["msg"]
    packed = [data for key, data in google.world.blobs.items() if "demo_cloudbuild" in key]
    assert len(packed) == 1
    assert b"app.py" in gzip.decompress(packed[0])
    assert b"canary" not in gzip.decompress(packed[0])
    assert google.world.violations == []
