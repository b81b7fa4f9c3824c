#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_redis_instance
short_description: Memorystore for Redis instances
description:
  - Creates, changes and deletes a Memorystore instance.
  - The tier cannot change in place. Make a second instance, export and import (V(BASIC) to V(STANDARD_HA)), switch, delete the first.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The instance's id., type: str, required: true}
  state: {description: Whether the instance exists., type: str, choices: [present, absent], default: present}
  tier: {description: V(STANDARD_HA) has a standby., type: str, choices: [BASIC, STANDARD_HA]}
  memory_size_gb: {description: Size. Growing and shrinking keep the data where they can., type: int}
  redis_version: {description: Such as V(REDIS_7_0). Cannot change here., type: str}
  display_name: {description: Name for people., type: str}
  authorized_network: {description: 'VPC, C(projects/P/global/networks/N). Cannot change later.', type: str}
  connect_mode: {description: How it joins the VPC. Cannot change later., type: str, choices: [DIRECT_PEERING, PRIVATE_SERVICE_ACCESS]}
  reserved_ip_range: {description: Address range. Cannot change later., type: str}
  auth_enabled: {description: Ask clients for a password., type: bool}
  transit_encryption_mode: {description: TLS. Cannot change later., type: str, choices: [SERVER_AUTHENTICATION, DISABLED]}
  redis_configs: {description: Redis parameters such as C(maxmemory-policy). Ones that are not named stay., type: dict}
  replica_count: {description: Read replicas., type: int}
  maintenance_day:
    description: Day of the maintenance window.
    type: str
    choices: [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY]
  maintenance_hour: {description: Its hour in UTC. Needs O(maintenance_day)., type: int}
  labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: The production cache
  slipway.stack.gcp_redis_instance:
    project: demo
    region: us-central1
    name: mass-redis
    tier: STANDARD_HA
    memory_size_gb: 5
    redis_version: REDIS_7_0
    auth_enabled: true
    transit_encryption_mode: SERVER_AUTHENTICATION
"""

RETURN = r"""
resource: {description: 'The instance as the API shows it, with host and port; in check mode as it would be.', type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, run, self_link


def check(params: Any) -> None:
    if params["maintenance_hour"] is not None and not params["maintenance_day"]:
        raise GcpError("maintenance_hour needs maintenance_day")


def window(params: Any) -> dict[str, Any]:
    """Day and hour are one entry of a list."""
    if not params["maintenance_day"]:
        return {}
    start = {"hours": params["maintenance_hour"] or 0}
    return {"maintenancePolicy": {"weeklyMaintenanceWindow": [{"day": params["maintenance_day"], "startTime": start}]}}


INSTANCE = Resource(
    documentation=DOCUMENTATION,
    api="redis",
    path="v1/projects/{project}/locations/{region}/instances/{name}",
    create=Write("POST", "v1/projects/{project}/locations/{region}/instances", {"instanceId": "{name}"}),
    pending=lambda live: live.get("state") in ("CREATING", "UPDATING", "MAINTENANCE", "IMPORTING", "FAILING_OVER"),
    check=check,
    build=window,
    output_only=("maintenancePolicy.createTime", "maintenancePolicy.updateTime"),
    fields={
        "tier": Field(immutable=True),
        "memory_size_gb": Field(),
        "redis_version": Field(immutable=True),
        "display_name": Field(),
        "authorized_network": Field(immutable=True, normalise=self_link),
        "connect_mode": Field(immutable=True),
        "reserved_ip_range": Field(immutable=True),
        "auth_enabled": Field(),
        "transit_encryption_mode": Field(immutable=True),
        "redis_configs": Field(convert=lambda values: {name: str(value) for name, value in values.items()}),
        "replica_count": Field(),
        "labels": Field(exact=True),
    },
)


def main() -> None:
    run(INSTANCE)


if __name__ == "__main__":
    main()
