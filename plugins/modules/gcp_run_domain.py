#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_run_domain
short_description: Cloud Run domain mappings
description:
  - Maps a domain to a Cloud Run service, and says which DNS records it needs.
  - Domain mappings have been a preview for years, in some regions only and without Cloud Armor or a CDN.
  - For production put a global external load balancer with a serverless network endpoint group in front, see the guide on custom domains.
  - The domain must be verified for the caller beforehand. Nothing of a mapping can change.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: 'The domain, such as V(api.example.com).', type: str, required: true}
  state: {description: Whether the mapping exists., type: str, choices: [present, absent], default: present}
  service: {description: Name of the Cloud Run service in O(region)., type: str}
  force: {description: Take the domain over from another service., type: bool, default: false}
"""

EXAMPLES = r"""
- name: A service
  slipway.stack.gcp_run_service:
    project: demo
    region: us-central1
    name: mass-backend
    image: us-central1-docker.pkg.dev/demo/mass-backend/api@sha256:{{ '0' * 64 }}
- name: Its domain
  slipway.stack.gcp_run_domain:
    project: demo
    region: us-central1
    name: api.example.com
    service: mass-backend
  register: domain   # domain.records go into the DNS zone
"""

RETURN = r"""
records:
  description: DNS records to set, each with name, type and rrdata. Empty until the mapping exists.
  type: list
  elements: dict
  returned: always
ready: {description: Whether the domain answers with a certificate., type: bool, returned: always}
resource: {description: The mapping as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, at, converge, plan, start

COLLECTION = "apis/domains.cloudrun.com/v1/namespaces/{project}/domainmappings"

MAPPING = Resource(
    documentation=DOCUMENTATION,
    api="run",
    path=COLLECTION + "/{name}",
    create=Write("POST", COLLECTION),
    create_body=lambda params, body: {
        "apiVersion": "domains.cloudrun.com/v1",
        "kind": "DomainMapping",
        "metadata": {"name": params["name"], "namespace": params["project"]},
        "spec": {**body["spec"], "certificateMode": "AUTOMATIC", **({"forceOverride": True} if params["force"] else {})},
    },
    update="none",
    required_if=(("state", "present", ("service",)),),
    fields={"service": Field("spec.routeName"), "force": Field(path=None)},
)


def main() -> None:
    module, client = start(lambda: MAPPING.spec, required_if=MAPPING.required_if)
    params = module.params
    try:
        # Version 1 of the API answers on a host of its own in every region.
        api, path = path_of("{region}-run", params), path_of(MAPPING.path, params)
        result = converge(module, client, api, lambda: client.get(api, path), lambda live: plan(MAPPING, params, live), answers=True)
    except GcpError as error:
        module.fail_json(msg=str(error))
    status = (result["resource"] or {}).get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    module.exit_json(**result, records=at(status, "resourceRecords") or [], ready=conditions.get("Ready") == "True")


if __name__ == "__main__":
    main()
