#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_firestore_migrate
short_description: Fills in missing fields of Firestore documents, once
description:
  - Gives fields to every document of a collection that lacks them. A field that is there, whatever its value, is never touched.
  - C(_migrations/NAME) is read first. Where it says that the migration was applied, nothing is read or written.
  - A run that died is picked up by the next one, for documents that have the fields are passed over.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: Name of the migration., type: str, required: true}
  version: {description: Version that goes into the ledger., type: str, required: true}
  database: {description: The database's id., type: str, default: (default)}
  collection: {description: Path of the collection., type: str, required: true}
  set: {description: 'Fields and their values: text, numbers, true, false, or nothing (C(null)).', type: dict, required: true}
  batch_size: {description: How many documents are read and written together., type: int, default: 500}
"""

EXAMPLES = r"""
- name: What nobody looked at yet is called unknown
  slipway.stack.gcp_firestore_migrate:
    project: demo
    name: add-data-quality
    version: 2.1.0
    collection: health_data
    set: {quality_score: null, validation_status: unknown}
"""

RETURN = r"""
documents: {description: 'How many documents got, or would get, fields in this run.', type: int, returned: always}
resource: {description: The ledger's entry, type: dict, returned: always}
"""

import datetime
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import argument_spec, start

MOST = 500  # writes that Firestore takes in one commit


def encode(value: Any) -> dict[str, Any]:
    """A plain value in Firestore's words."""
    if value is None:
        return {"nullValue": "NULL_VALUE"}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"integerValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    raise GcpError(f"set: {value!r} is neither text, number, true, false nor null")


def update(document: dict[str, Any], values: dict[str, Any]) -> dict[str, Any] | None:
    """The write that fills in what this document lacks, if anything; refused by Firestore if somebody changed it meanwhile."""
    missing = {name: value for name, value in values.items() if name not in document.get("fields", {})}
    if not missing:
        return None
    return {
        "update": {"name": document["name"], "fields": missing},
        "updateMask": {"fieldPaths": sorted(missing)},
        "currentDocument": {"updateTime": document["updateTime"]},
    }


def migrate(client: Client, params: dict[str, Any], root: str, dry: bool) -> int:
    values = {name: encode(value) for name, value in params["set"].items()}
    query: dict[str, Any] = {"pageSize": params["batch_size"], "orderBy": "__name__"}
    total = 0
    while True:
        page = client.get("firestore", f"{root}/{params['collection']}", query) or {}
        writes = [write for document in page.get("documents", []) if (write := update(document, values))]
        if writes and not dry:
            client.call("firestore", Write("POST", f"{root}:commit", body={"writes": writes}))
        total += len(writes)
        if not page.get("nextPageToken"):
            return total
        query["pageToken"] = page["nextPageToken"]


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    params = module.params
    try:
        if not 1 <= params["batch_size"] <= MOST:
            raise GcpError(f"batch_size is {params['batch_size']}; allowed: 1 to {MOST}")
        root = path_of("v1/projects/{project}/databases/{database}/documents", params)
        place = path_of("_migrations/{name}", params)
        ledger = client.get("firestore", f"{root}/{place}") or {}
        if "applied_at" in ledger.get("fields", {}):
            module.exit_json(changed=False, documents=0, resource=ledger["fields"])
        total = migrate(client, params, root, module.check_mode)
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        fields = {"applied_at": {"timestampValue": moment}, "version": encode(params["version"])}
        if not module.check_mode:
            client.call("firestore", Write("PATCH", f"{root}/{place}", body={"fields": fields}))
    except GcpError as error:
        module.fail_json(msg=f"{error}. Run it again: documents that have the fields are passed over.")
    diff = {"before": {"applied": False}, "after": {"applied": True, "documents": total}}
    module.exit_json(changed=True, documents=total, resource=fields, diff=diff)


if __name__ == "__main__":
    main()
