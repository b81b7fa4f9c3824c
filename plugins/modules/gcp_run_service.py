#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_run_service
short_description: Cloud Run services
description:
  - Creates, changes and deletes a Cloud Run service (API v2). A change of the template makes a new revision.
  - Where the newest revision did not get ready, it is tried again although nothing else changed, and the task fails with Google's
    reason for as long as it does not. A service whose last revision failed never passes as unchanged.
  - The options speak of the container with the port. Containers that somebody else put beside it stay, with their volumes.
  - Traffic is not touched; it belongs to M(slipway.stack.gcp_run_traffic), so that a rollout and the desired state never fight.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The service's name., type: str, required: true}
  state: {description: Whether the service exists., type: str, choices: [present, absent], default: present}
  image:
    description: Container image, by digest (C(REGION-docker.pkg.dev/PROJECT/REPO/NAME@sha256:...)).
    type: str
  pinned:
    description: Refuse images without a digest and secrets without a version number, for a rollback would not bring them back.
    type: bool
    default: true
  command: {description: Replaces the image's entry point., type: list, elements: str}
  args: {description: Replaces the image's arguments., type: list, elements: str}
  port: {description: Port that the container listens on., type: int}
  http2: {description: Speak HTTP/2 in clear text to the container. Needs O(port)., type: bool, default: false}
  env:
    description: Plain environment variables. O(env) and O(secrets) are one list - when either is given, what neither names is removed.
    type: dict
  secrets:
    description: Environment variables from Secret Manager, C(NAME=SECRET:VERSION).
    type: dict
  secret_files:
    description: Files from Secret Manager, C(/path/of/file=SECRET:VERSION). Together with the next two it is the whole list of volumes.
    type: dict
  cloudsql_instances: {description: Connection names to mount below C(/cloudsql)., type: list, elements: str}
  buckets: {description: 'Buckets to mount read-only, C(/path=BUCKET).', type: dict}
  cpu: {description: CPU limit such as V(2)., type: str}
  memory: {description: Memory limit such as V(4Gi)., type: str}
  cpu_throttling:
    description: CPU only while a request is served. A new service gets V(true); with V(false) the instance is billed for its whole life.
    type: bool
  startup_cpu_boost: {description: More CPU while an instance starts., type: bool}
  min_instances: {description: Instances that are always there., type: int}
  max_instances: {description: Most instances of a revision., type: int}
  concurrency: {description: Requests that one instance serves at a time., type: int}
  cpu_target: {description: CPU use in percent above which instances are added., type: int}
  timeout: {description: 'Longest time for a request, such as V(300s).', type: str}
  service_account: {description: The identity that the code runs as., type: str}
  execution_environment: {description: Sandbox generation., type: str, choices: [gen1, gen2]}
  network: {description: VPC network for Direct VPC egress., type: str}
  subnetwork: {description: Subnetwork for Direct VPC egress., type: str}
  connector: {description: Serverless VPC Access connector in place of O(network)., type: str}
  egress: {description: What goes through the VPC., type: str, choices: [PRIVATE_RANGES_ONLY, ALL_TRAFFIC]}
  ingress:
    description: Who may reach the service.
    type: str
    choices: [INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY, INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER]
  default_uri_disabled: {description: Switch the run.app address off., type: bool}
  invoker_iam_disabled: {description: Let everybody call it without IAM's leave. Prefer M(slipway.stack.gcp_iam_member)., type: bool}
  startup_probe: {description: Probe in the API's words (httpGet or tcpSocket with periodSeconds and so on)., type: dict}
  liveness_probe: {description: The same for liveness., type: dict}
  readiness_probe: {description: The same for readiness., type: dict}
  labels: {description: All labels of the service; one that is not named is removed., type: dict}
  description: {description: What the service is., type: str}
"""

EXAMPLES = r"""
- name: The API, reachable through the load balancer alone
  slipway.stack.gcp_run_service:
    project: demo
    region: us-central1
    name: mass-backend
    image: us-central1-docker.pkg.dev/demo/mass-backend/api@sha256:0000000000000000000000000000000000000000000000000000000000000000
    port: 8080
    secrets: {DATABASE_URL: "db-url:3"}
    cloudsql_instances: ["demo:us-central1:mass-db"]
    cpu: "2"
    memory: 4Gi
    min_instances: 1
    max_instances: 10
    ingress: INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER
"""

RETURN = r"""
resource: {description: The service as the API shows it; in check mode as it would be., type: dict, returned: always}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

import copy
import uuid
from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.named import run
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Plan, Resource, at, duration, plan, seconds, without
from ansible_collections.slipway.stack.plugins.module_utils.gcp.run_template import (
    NESTED,
    beside_others,
    check_pins,
    template,
    throttled,
)


def build(params: Any) -> dict[str, Any]:
    """The template's parts that several options share."""
    body = template(params)
    if params["port"]:
        body["containers"][0]["ports"] = [{"containerPort": params["port"], "name": "h2c" if params["http2"] else "http1"}]
    return {"template": body} if body != {"containers": [{}]} else {}


def check(params: Any) -> None:
    check_pins(params)
    if params["state"] == "present" and not params["image"]:
        raise GcpError("image is required when state is present")


def adapt(want: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
    if "template" not in want:
        return want
    now = None if live is None else live.get("template", {})
    return {**want, "template": beside_others(throttled(want["template"], now), now)}


AGAIN = "client.knative.dev/nonce"  # the label by which gcloud, too, asks for a new revision of the same template
SERVICE = Resource(
    documentation=DOCUMENTATION,
    api="run",
    path="v2/projects/{project}/locations/{region}/services/{name}",
    create=Write("POST", "v2/projects/{project}/locations/{region}/services", {"serviceId": "{name}"}),
    etag="etag",
    delete_query={"etag": "etag"},
    output_only=("template.revision",),
    pending=lambda live: bool(live.get("reconciling")),
    build=build,
    adapt=adapt,
    check=check,
    fields={
        "min_instances": Field("template.scaling.minInstanceCount"),
        "max_instances": Field("template.scaling.maxInstanceCount"),
        "cpu_target": Field("template.scaling.cpuUtilization", convert=lambda percent: percent / 100),
        "concurrency": Field("template.maxInstanceRequestConcurrency"),
        "timeout": Field("template.timeout", convert=duration, normalise=seconds),
        "service_account": Field("template.serviceAccount"),
        "execution_environment": Field("template.executionEnvironment", convert=lambda name: f"EXECUTION_ENVIRONMENT_{name.upper()}"),
        "egress": Field("template.vpcAccess.egress"),
        "connector": Field("template.vpcAccess.connector"),
        "ingress": Field(),
        "default_uri_disabled": Field(),
        "invoker_iam_disabled": Field(),
        "labels": Field(exact=True),
        "description": Field(),
    },
    nested=NESTED,
)


def trouble(live: dict[str, Any] | None) -> str:
    """Why the newest revision is not ready; empty where it is."""
    condition = (live or {}).get("terminalCondition", {})
    return str(condition.get("message") or "no reason given") if condition.get("state") == "CONDITION_FAILED" else ""


def planned(params: Any, live: dict[str, Any] | None) -> Plan:
    """The usual plan; a failed revision is tried again, for the same template would make no new one."""
    todo = plan(SERVICE, params, live)
    reason = trouble(live)
    if live is None or params["state"] == "absent" or not reason or at(todo.predicted, "template") != live["template"]:
        return todo
    template = without(copy.deepcopy(live["template"]), "revision")
    template.setdefault("labels", {})[AGAIN] = uuid.uuid4().hex[:8]
    write = todo.writes[0] if todo.writes else Write("PATCH", path_of(SERVICE.path, params), {}, {"etag": live.get("etag")})
    fields = [name for name in (write.query.get("updateMask"), "template") if name]
    body = {**(write.body or {}), "template": template}
    todo.writes = [Write(write.method, write.path, {"updateMask": ",".join(sorted(fields))}, body)]
    todo.predicted = {**(todo.predicted or {}), "template": template}
    todo.before, todo.after = {**todo.before, "newest revision": reason}, {**todo.after, "newest revision": "tried again"}
    return todo


def read(client: Client, params: Any) -> dict[str, Any] | None:
    return client.get("run", path_of(SERVICE.path, params))


def main() -> None:
    run(SERVICE, read, lambda _client, params, live: planned(params, live))


if __name__ == "__main__":
    main()
