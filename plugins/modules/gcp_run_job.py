#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_run_job
short_description: Cloud Run jobs, and running them
description:
  - Creates, changes and deletes a Cloud Run job (API v2), and runs it to the end, for migrations say.
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
attributes:
  idempotent: {support: partial, details: Every run with O(execute=always) runs the job.}
options:
  name: {description: The job's name., type: str, required: true}
  state: {description: Whether the job exists., type: str, choices: [present, absent], default: present}
  execute:
    description:
      - Whether to run the job and wait for its end; a failed execution fails the task.
      - V(once) runs it unless the last execution succeeded with exactly this template. V(always) runs it every time.
    type: str
    choices: [never, once, always]
    default: never
  image: {description: Container image by digest., type: str}
  pinned: {description: Refuse images without a digest and secrets without a version number., type: bool, default: true}
  command: {description: Replaces the image's entry point., type: list, elements: str}
  args: {description: Replaces the image's arguments., type: list, elements: str}
  env: {description: Plain environment variables; with O(secrets) the whole list., type: dict}
  secrets: {description: 'Environment variables from Secret Manager, C(NAME=SECRET:VERSION).', type: dict}
  secret_files: {description: 'Files from Secret Manager, C(/path/of/file=SECRET:VERSION).', type: dict}
  cloudsql_instances: {description: Connection names to mount below C(/cloudsql)., type: list, elements: str}
  buckets: {description: 'Buckets to mount read-only, C(/path=BUCKET).', type: dict}
  cpu: {description: CPU limit such as V(1)., type: str}
  memory: {description: Memory limit such as V(1Gi)., type: str}
  tasks: {description: How many tasks an execution has., type: int}
  parallelism: {description: How many of them run at a time., type: int}
  max_retries: {description: How often a failed task is tried again. A migration wants 0., type: int}
  timeout: {description: 'Longest time for a task, such as V(10m).', type: str}
  service_account: {description: The identity that the code runs as., type: str}
  network: {description: VPC network for Direct VPC egress., type: str}
  subnetwork: {description: Subnetwork for Direct VPC egress., type: str}
  egress: {description: What goes through the VPC., type: str, choices: [PRIVATE_RANGES_ONLY, ALL_TRAFFIC]}
  labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: Migrate the database once, with the new release's code
  slipway.stack.gcp_run_job:
    project: demo
    region: us-central1
    name: mass-migrate
    image: us-central1-docker.pkg.dev/demo/mass-backend/api@sha256:0000000000000000000000000000000000000000000000000000000000000000
    command: [alembic, upgrade, head]
    secrets: {DATABASE_URL: "db-url:3"}
    max_retries: 0
    execute: once
"""

RETURN = r"""
resource: {description: The job as the API shows it; in check mode as it would be., type: dict, returned: always}
execution: {description: The execution that ran in this task., type: dict, returned: when the job was run}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, LostConnectionError, Write, path_of
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import (
    Field,
    Resource,
    converge,
    duration,
    overlay,
    plan,
    seconds,
    settled,
    start,
)
from ansible_collections.slipway.stack.plugins.module_utils.gcp.run_template import RULES, beside_others, check_pins, template

TASK = "template.template."


def build(params: Any) -> dict[str, Any]:
    body = template(params)
    return {"template": {"template": body}} if body != {"containers": [{}]} else {}


def adapt(want: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
    if "template" not in want.get("template", {}):
        return want
    now = ((live or {}).get("template") or {}).get("template")
    return {**want, "template": {**want["template"], "template": beside_others(want["template"]["template"], now)}}


JOB = Resource(
    documentation=DOCUMENTATION,
    api="run",
    path="v2/projects/{project}/locations/{region}/jobs/{name}",
    create=Write("POST", "v2/projects/{project}/locations/{region}/jobs", {"jobId": "{name}"}),
    update="put",
    writable=("template", "labels", "annotations", "client", "clientVersion", "launchStage", "binaryAuthorization"),
    etag="etag",
    delete_query={"etag": "etag"},
    pending=lambda live: bool(live.get("reconciling")),
    build=build,
    adapt=adapt,
    fields={
        "tasks": Field("template.taskCount"),
        "parallelism": Field("template.parallelism"),
        "max_retries": Field(TASK + "maxRetries"),
        "timeout": Field(TASK + "timeout", convert=duration, normalise=seconds),
        "service_account": Field(TASK + "serviceAccount"),
        "egress": Field(TASK + "vpcAccess.egress"),
        "labels": Field(exact=True),
    },
    nested={TASK + path: rule for path, rule in RULES.items()},
)


def succeeded_already(client: Client, live: dict[str, Any] | None) -> bool:
    """The last execution ended well, and what it ran is what the job would run now."""
    last = (live or {}).get("latestCreatedExecution", {})
    if live is None or last.get("completionStatus") != "EXECUTION_SUCCEEDED":
        return False
    execution = client.get(
        "run", f"v2/{last['name']}" if last["name"].startswith("projects/") else f"v2/{live['name']}/executions/{last['name']}"
    )
    ran = (execution or {}).get("template", {})
    rules = {path.removeprefix(TASK): rule for path, rule in JOB.rules.items()}
    return bool(overlay(live["template"]["template"], ran, rules) == ran)


def main() -> None:
    module, client = start(lambda: JOB.spec)
    params = module.params
    try:
        check_pins(params)
        if params["state"] == "present" and not params["image"]:
            raise GcpError("image is required when state is present")
        result = converge(module, client, "run", lambda: settled(JOB, client, params), lambda live: plan(JOB, params, live), answers=True)
        execute = params["execute"] if params["state"] == "present" else "never"
        if execute == "always" or (execute == "once" and (result["changed"] or not succeeded_already(client, result["resource"]))):
            run = Write("POST", path_of(JOB.path, params) + ":run", body={})
            result["writes"].append(run.summary())
            result["changed"] = True
            result["diff"]["after"] = {**result["diff"]["after"], "executed": "now"}
            if not module.check_mode:
                result["execution"] = client.write("run", run)
    except LostConnectionError as error:
        module.fail_json(msg=f"{error}. The execution may have begun: look at it before you run this again.")
    except GcpError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
