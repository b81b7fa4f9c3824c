#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_storage_sync
short_description: A directory and a Cloud Storage prefix, made equal
description:
  - Copies what differs, by size and CRC32C, in parallel. A second run copies nothing.
  - Large files go in chunks. A lost connection, or the next run after a killed one, goes on where it stopped.
  - Downloaded files take their place only when they are whole and their checksum is right.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  directory: {description: The directory on this machine., type: path, required: true}
  bucket: {description: The bucket., type: str, required: true}
  prefix: {description: 'Folder in the bucket, such as V(models/v3).', type: str, default: ''}
  direction: {description: Which way., type: str, choices: [upload, download], default: upload}
  delete:
    description: Remove from the target what the source does not have. Refused when the source has nothing at all.
    type: bool
    default: false
  exclude: {description: 'Paths to leave alone on both sides, such as V(*.tmp).', type: list, elements: str, default: []}
  workers: {description: How many files at a time., type: int, default: 4}
  chunk_mebibytes: {description: Files above this size go in chunks of it., type: int, default: 8}
  progress_file: {description: 'File that always says how far it is, for watching a long run.', type: path}
requirements:
  - google-crc32c
"""

EXAMPLES = r"""
- name: A bucket for models
  slipway.stack.gcp_storage_bucket: {project: demo, name: demo-models, location: us-central1}
- name: Where the models are
  ansible.builtin.file: {path: "{{ playbook_dir }}/models", state: directory, mode: "0755"}
- name: The models of this release
  slipway.stack.gcp_storage_sync:
    project: demo
    directory: "{{ playbook_dir }}/models"
    bucket: demo-models
    prefix: v3
    delete: true
"""

RETURN = r"""
transferred: {description: What was or would be copied., type: list, elements: str, returned: always}
deleted: {description: What was or would be removed., type: list, elements: str, returned: always}
unchanged: {description: How many were equal already., type: int, returned: always}
bytes: {description: Size of what was or would be copied., type: int, returned: always}
writes: {description: The steps that were or would be taken., type: list, elements: str, returned: always}
"""

import concurrent.futures
import fnmatch
import threading
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import argument_spec, start
from ansible_collections.slipway.stack.plugins.module_utils.gcp.transfer import MEBIBYTE, Bucket, checksum, object_path

Side = dict[str, tuple[int, str]]  # path -> size and checksum; the local one is computed only where sizes agree


def kept(names: list[str], patterns: list[str]) -> list[str]:
    return [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def local(directory: Path, patterns: list[str]) -> Side:
    names = [file.relative_to(directory).as_posix() for file in directory.rglob("*") if file.is_file() and not file.name.endswith(".part")]
    return {name: ((directory / name).stat().st_size, "") for name in kept(sorted(names), patterns)}


def remote(bucket: Bucket, prefix: str, patterns: list[str], check_mode: bool, upload: bool) -> Side:
    found = bucket.objects(prefix)
    if found is None:
        if check_mode and upload:
            return {}
        raise GcpError(f"bucket {bucket.name!r} does not exist")
    side = {name[len(prefix) :]: (int(item["size"]), item["crc32c"]) for name, item in found.items() if not name.endswith("/")}
    unsafe = [name for name in side if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if unsafe and not upload:
        raise GcpError(f"object {unsafe[0]!r} would be written outside of the directory: nothing was copied")
    return {name: side[name] for name in kept(list(side), patterns)}


class Meter:
    """Counts for whoever watches the progress file."""

    def __init__(self, file: str | None, files: int, size: int) -> None:
        self.file, self.files, self.size = file, files, size
        self.done = self.copied = 0
        self.lock = threading.Lock()

    def add(self, count: int, files: int = 0) -> None:
        with self.lock:
            self.copied, self.done = self.copied + count, self.done + files
            if self.file:
                Path(self.file).write_text(f"{self.done}/{self.files} files, {self.copied}/{self.size} bytes\n")


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    params = module.params
    directory, upload = Path(params["directory"]), params["direction"] == "upload"
    prefix = params["prefix"].strip("/") + "/" if params["prefix"].strip("/") else ""
    bucket = Bucket(client, params["bucket"], params["chunk_mebibytes"] * MEBIBYTE)
    try:
        if upload and not directory.is_dir():
            raise GcpError(f"directory {str(directory)!r} is no directory")
        here, there = local(directory, params["exclude"]), remote(bucket, prefix, params["exclude"], module.check_mode, upload)
        source, target = (here, there) if upload else (there, here)
        if params["delete"] and not source and target:
            raise GcpError(f"the source has nothing: with delete, all {len(target)} files of the target would go. Nothing was done.")
        sums: dict[str, str] = {}

        def differs(name: str) -> bool:
            if upload or (name in target and source[name][0] == target[name][0]):
                sums[name] = checksum(directory / name)
            return name not in target or source[name][0] != target[name][0] or sums[name] != there[name][1]

        def copy(name: str) -> None:
            if upload:
                bucket.upload(directory / name, prefix + name, sums[name], meter.add)
            else:
                bucket.download(prefix + name, directory / name, *there[name], meter.add)
            meter.add(0, 1)

        def remove(name: str) -> None:
            if upload:
                client.call("storage", Write("DELETE", object_path(bucket.name, prefix + name)))
            else:
                (directory / name).unlink()

        with concurrent.futures.ThreadPoolExecutor(params["workers"]) as pool:
            wanted = [name for name, changed in zip(source, pool.map(differs, source), strict=True) if changed]
            doomed = sorted(set(target) - set(source)) if params["delete"] else []
            size = sum(source[name][0] for name in wanted)
            meter = Meter(params["progress_file"], len(wanted), size)
            if not module.check_mode:
                for act, names in ((copy, wanted), (remove, doomed)):
                    futures = [pool.submit(act, name) for name in names]
                    failed = next((item for item in concurrent.futures.as_completed(futures) if item.exception()), None)
                    if failed:
                        pool.shutdown(cancel_futures=True)
                        failed.result()
    except (GcpError, OSError) as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"transferred": wanted, "deleted": doomed, "unchanged": len(source) - len(wanted), "bytes": size}
    before = {name: target[name][0] for name in [*wanted, *doomed] if name in target}
    writes = [f"{params['direction']} {name}" for name in wanted] + [f"delete {name}" for name in doomed]
    diff = {"before": before, "after": {name: f"{source[name][0]} bytes, new" for name in wanted}}
    module.exit_json(**result, changed=bool(writes), writes=writes, diff=diff)


if __name__ == "__main__":
    main()
