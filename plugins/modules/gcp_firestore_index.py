#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_firestore_index
short_description: Firestore composite indexes
description:
  - Creates and deletes a composite index. An index is what its fields are, and nothing of it can change.
  - The task waits until the index serves; on a large collection that takes hours, see O(operation_timeout).
  - Running it again goes on waiting.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  database: {description: The database's id., type: str, default: (default)}
  collection: {description: Id of the collection., type: str, required: true}
  state: {description: Whether the index exists., type: str, choices: [present, absent], default: present}
  query_scope: {description: One collection or all of that id., type: str, choices: [COLLECTION, COLLECTION_GROUP], default: COLLECTION}
  fields:
    description: The indexed fields in their order. Google adds C(__name__) by itself.
    type: list
    elements: dict
    required: true
    suboptions:
      field_path: {description: Path of the field., type: str, required: true}
      order: {description: Sorted this way., type: str, choices: [ASCENDING, DESCENDING]}
      array_config: {description: For array membership., type: str, choices: [CONTAINS]}
      vector_dimension: {description: For nearest neighbours., type: int}
"""

EXAMPLES = r"""
- name: A database
  slipway.stack.gcp_firestore_database: {project: demo, location: nam5}
- name: The newest records of a patient
  slipway.stack.gcp_firestore_index:
    project: demo
    collection: records
    fields:
      - {field_path: patient, order: ASCENDING}
      - {field_path: created, order: DESCENDING}
"""

RETURN = r"""
resource: {description: The index as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import found, planned, run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource

COLLECTION = "v1/projects/{project}/databases/{database}/collectionGroups/{collection}/indexes"


def check(params: Any) -> None:
    for entry in params["fields"]:
        kinds = [key for key in ("order", "array_config", "vector_dimension") if entry[key]]
        if len(kinds) != 1:
            raise GcpError(f"fields: {entry['field_path']!r} needs one of order, array_config, vector_dimension, it has {kinds or 'none'}")


def fields(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = []
    for entry in entries:
        vector = {"vectorConfig": {"dimension": entry["vector_dimension"], "flat": {}}} if entry["vector_dimension"] else {}
        named = {"order": entry["order"], "arrayConfig": entry["array_config"]}
        body.append({"fieldPath": entry["field_path"], **{key: value for key, value in named.items() if value}, **vector})
    return body


def essence(entries: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What makes two indexes the same; the server's own last field is none of it."""
    found = [
        (item["fieldPath"], item.get("order"), item.get("arrayConfig"), item.get("vectorConfig", {}).get("dimension")) for item in entries
    ]
    return found[:-1] if found and found[-1][0] == "__name__" else found


INDEX = Resource(
    documentation=DOCUMENTATION,
    api="firestore",
    path=COLLECTION + "/{id}",
    create=Write("POST", COLLECTION),
    update="none",
    check=check,
    pending=lambda live: live.get("state") == "CREATING",
    fields={"query_scope": Field(create_only=True), "fields": Field(create_only=True, convert=fields)},
)


def same(params: Any, item: dict[str, Any]) -> bool:
    return bool(item.get("queryScope") == params["query_scope"] and essence(item["fields"]) == essence(fields(params["fields"])))


def plan(client: Client, params: Any, live: dict[str, Any] | None) -> Plan:
    """The server adds the document's name, sorted as the last field is."""
    todo = planned(INDEX)(client, params, live)
    if live is None and todo.predicted and "vectorConfig" not in todo.predicted["fields"][-1]:
        order = todo.predicted["fields"][-1].get("order", "ASCENDING")
        todo.predicted = {**todo.predicted, "fields": [*todo.predicted["fields"], {"fieldPath": "__name__", "order": order}]}
    return todo


def main() -> None:
    run(INDEX, found("firestore", COLLECTION, "indexes", same), plan)


if __name__ == "__main__":
    main()
