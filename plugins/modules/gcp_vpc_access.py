#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_vpc_access
short_description: What Cloud Run needs to reach private addresses
description:
  - Makes the network and the subnetwork for Direct VPC egress.
  - Makes the range and the peering over which Cloud SQL and Memorystore are private.
  - A subnetwork can grow, never shrink or move. Nothing is ever removed, for others may use the same network.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  network: {description: Name of the VPC network., type: str, required: true}
  subnetwork: {description: Name of the subnetwork., type: str, required: true}
  subnetwork_range:
    description: Its addresses, such as V(10.8.0.0/24). Direct VPC egress wants /26 or larger.
    type: str
    required: true
  private_google_access: {description: Reach Google's own services without public addresses., type: bool, default: true}
  services_range: {description: Name of the range for Google's managed services. Without it there is no peering., type: str}
  services_prefix_length: {description: Size of that range. Cannot change later., type: int, default: 16}
  services_address: {description: First address of that range. Google chooses if left out., type: str}
"""

EXAMPLES = r"""
- name: A private way to the database
  slipway.stack.gcp_vpc_access:
    project: demo
    region: us-central1
    network: mass
    subnetwork: mass-run
    subnetwork_range: 10.8.0.0/24
    services_range: google-managed-services-mass
"""

RETURN = r"""
network:
  description: What M(slipway.stack.gcp_sql_instance) and M(slipway.stack.gcp_redis_instance) call the network.
  type: str
  returned: always
resource: {description: The parts as the APIs show them; in check mode as they would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import ipaddress
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Plan, argument_spec, converge, start

GLOBAL = "compute/v1/projects/{project}/global/"
SUBNETWORKS = "compute/v1/projects/{project}/regions/{region}/subnetworks"
CONNECTIONS = "v1/services/servicenetworking.googleapis.com/connections"
Parts = dict[str, Any]
NOTHING = dict.fromkeys(("peered", "network", "subnetwork", "range", "connection"))


def peered_name(client: Client, params: Any) -> str:
    """Service Networking wants the project's number."""
    project = client.get("cloudresourcemanager", path_of("v1/projects/{project}", params)) or {}
    return f"projects/{project.get('projectNumber')}/global/networks/{params['network']}"


def read(client: Client, params: Any) -> Parts:
    parts: Parts = {
        "peered": peered_name(client, params) if params["services_range"] else "",
        "network": client.get("compute", path_of(GLOBAL + "networks/{network}", params)),
        "subnetwork": client.get("compute", path_of(SUBNETWORKS + "/{subnetwork}", params)),
    }
    if params["services_range"]:
        parts["range"] = client.get("compute", path_of(GLOBAL + "addresses/{services_range}", params))
        known = client.items("servicenetworking", CONNECTIONS, "connections", {"network": parts["peered"]}) if parts["network"] else ()
        parts["connection"] = next(iter(known), None)
    return parts


def frozen(option: str, wanted: Any, live: Any) -> None:
    if wanted != live:
        raise GcpError(f"{option} is {live!r} and cannot become {wanted!r}. Nothing was changed: keep the value, or make another one.")


def subnetwork(params: Any, live: dict[str, Any] | None, network: str) -> tuple[dict[str, Any], list[Write]]:
    path = path_of(SUBNETWORKS, params)
    access = {"privateIpGoogleAccess": params["private_google_access"]}
    body = {"name": params["subnetwork"], "network": network, "ipCidrRange": params["subnetwork_range"], **access}
    if live is None:
        return {**body, "network": f"https://www.googleapis.com/compute/v1/{network}"}, [Write("POST", path, body=body)]
    frozen(f"network of subnetwork {params['subnetwork']}", network, live["network"].partition("/v1/")[2])
    writes = []
    old, new = (ipaddress.ip_network(text) for text in (live["ipCidrRange"], params["subnetwork_range"]))
    if old != new:
        if not (new.version == old.version and new.supernet_of(old)):
            frozen("subnetwork_range", str(new), str(old))
        writes.append(Write("POST", f"{path}/{params['subnetwork']}/expandIpCidrRange", body={"ipCidrRange": str(new)}, repeatable=True))
    if bool(live.get("privateIpGoogleAccess")) != params["private_google_access"]:
        writes.append(Write("POST", f"{path}/{params['subnetwork']}/setPrivateIpGoogleAccess", body=access, repeatable=True))
    return {**live, "ipCidrRange": str(new), **access}, writes


def plan(params: Any, live: Parts) -> Plan:
    after, writes = dict(live), []
    network = path_of("projects/{project}/global/networks/{network}", params)
    if live["network"] is None:
        body = {"name": params["network"], "autoCreateSubnetworks": False, "routingConfig": {"routingMode": "REGIONAL"}}
        writes.append(Write("POST", path_of(GLOBAL + "networks", params), body=body))
        after["network"] = body
    after["subnetwork"], more = subnetwork(params, live["subnetwork"], network)
    writes += more
    name = params["services_range"]
    if name and live["range"] is None:
        body = {"name": name, "purpose": "VPC_PEERING", "addressType": "INTERNAL", "prefixLength": params["services_prefix_length"]}
        after["range"] = body | ({"address": params["services_address"]} if params["services_address"] else {})
        writes.append(Write("POST", path_of(GLOBAL + "addresses", params), body={**after["range"], "network": network}))
    elif name:
        frozen("services_prefix_length", params["services_prefix_length"], live["range"].get("prefixLength"))
    if name:
        ranges = (live["connection"] or {}).get("reservedPeeringRanges", [])
        after["connection"] = {"network": live["peered"], "reservedPeeringRanges": [*ranges, name]}
        if live["connection"] is None:
            writes.append(Write("POST", CONNECTIONS, body=after["connection"], api="servicenetworking"))
        elif name not in ranges:
            query = {"updateMask": "reservedPeeringRanges", "force": "true"}
            writes.append(Write("PATCH", f"{CONNECTIONS}/-", query, after["connection"], api="servicenetworking"))
        else:
            after["connection"] = live["connection"]
    views = [view(side) for side in (live, after)]
    return Plan(writes, after, views[0], views[1], {"network": network})


def view(parts: Parts) -> Parts:
    keys = ("name", "ipCidrRange", "privateIpGoogleAccess", "prefixLength", "reservedPeeringRanges")
    return {part: {key: item[key] for key in keys if key in item} for part, item in parts.items() if item and part != "peered"}


def main() -> None:
    module, client = start(lambda: argument_spec(DOCUMENTATION))
    try:
        if ipaddress.ip_network(module.params["subnetwork_range"]).prefixlen > 26:
            raise GcpError(f"subnetwork_range {module.params['subnetwork_range']!r}: Direct VPC egress wants /26 or larger")
        result = converge(module, client, "compute", lambda: read(client, module.params), lambda live: plan(module.params, live or NOTHING))
    except (GcpError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
