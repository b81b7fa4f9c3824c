#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_run_revision_info
short_description: Revisions of a Cloud Run service and their traffic
description: Says which revision serves, which came before it, and what each one runs. Changes nothing.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  diff_mode: {support: N/A, details: 'Changes nothing, so there is no difference to show.'}
options:
  name: {description: The service's name., type: str, required: true}
"""

EXAMPLES = r"""
- name: Where a rollback would go
  slipway.stack.gcp_run_revision_info:
    project: demo
    region: us-central1
    name: mass-backend
"""

RETURN = r"""
serving: {description: The revision with the most traffic., type: str, returned: always}
previous: {description: The newest ready revision older than that one; none where there is none., type: str, returned: always}
latest: {description: The newest ready revision., type: str, returned: always}
uri: {description: The service's address., type: str, returned: always}
traffic: {description: 'The split, with the address of each tag.', type: list, elements: dict, returned: always}
revisions: {description: 'Newest first: name, created, image, ready, percent, tags.', type: list, elements: dict, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import argument_spec, start
from ansible_collections.slipway.stack.plugins.module_utils.gcp.revisions import image, newest_first, ready, short


def describe(service: dict[str, Any], revisions: list[dict[str, Any]]) -> dict[str, Any]:
    """Service and revisions as the answer to 'what runs, and what ran before?'"""
    traffic = service.get("trafficStatuses", [])
    found = []
    for revision in newest_first(revisions):
        mine = [target for target in traffic if target.get("revision") == short(revision)]
        found.append(
            {
                "name": short(revision),
                "created": revision["createTime"],
                "image": image(revision),
                "ready": ready(revision),
                "percent": sum(target.get("percent", 0) for target in mine),
                "tags": [target["tag"] for target in mine if target.get("tag")],
            }
        )
    good = [revision["name"] for revision in found if revision["ready"]]
    serving = max(found, key=lambda revision: revision["percent"], default={"name": None})["name"]
    older = good[good.index(serving) + 1 :] if serving in good else good
    return {
        "serving": serving,
        "previous": older[0] if older else None,
        "latest": good[0] if good else None,
        "uri": service.get("uri"),
        "traffic": traffic,
        "revisions": found,
    }


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    try:
        path = path_of("v2/projects/{project}/locations/{region}/services/{name}", module.params)
        service = client.get("run", path)
        if service is None:
            raise GcpError(f"{path} does not exist")
        result = describe(service, list(client.items("run", f"{path}/revisions", "revisions")))
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
