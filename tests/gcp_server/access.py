# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's access model, as far as a request from outside and a starting revision meet it: ingress, invokers, readers of secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .discovery import Json
from .world import ApiError, World

EVERYWHERE = "INGRESS_TRAFFIC_ALL"


def members(world: World, key: str, role: str) -> set[str]:
    bindings = world.policies.get(key, {}).get("bindings", [])
    return {member for binding in bindings if binding["role"] == role for member in binding.get("members", [])}


def visit(world: World, host: str, path: str, token: str) -> Json:
    """A request from the internet to an address of Cloud Run."""
    name = host.partition("---")[2] or host
    services = {key: item for key, item in world.objects.items() if re.fullmatch(r"run/.*/services/[^/]+", key)}
    key = next((key for key, item in services.items() if item["uri"] == f"https://{name}"), None)
    reachable = key and services[key].get("ingress") == EVERYWHERE and not services[key].get("defaultUriDisabled")
    # Google does not tell a service that may not be reached from one that is not there.
    if key is None or (world.access and not reachable):
        raise ApiError(404, "NOT_FOUND", "Error: Page not found. The requested URL was not found on this server.")
    if world.access:
        invoke(world, key, services[key], token)
    if world.site is None:
        raise ApiError(503, "UNAVAILABLE", "nothing answers here")
    return world.site(host, path)


def invoke(world: World, key: str, service: Json, token: str) -> None:
    """Whose request reaches the container: everybody's, or that of an identity with the role. A load balancer is nobody."""
    allowed = members(world, key, "roles/run.invoker")
    caller, audience = world.identities.get(token, ("", ""))
    if audience != service["uri"]:
        caller = ""
    if not ({"allUsers", caller} & allowed or service.get("invokerIamDisabled")):
        raise ApiError(401 if token and not caller else 403, "PERMISSION_DENIED", "Your client does not have permission to get URL")


def secrets(template: Json) -> Iterator[tuple[str, str]]:
    """Every secret and version that a template names."""
    for container in template.get("containers", []):
        for variable in container.get("env", []):
            if "valueSource" in variable:
                reference = variable["valueSource"]["secretKeyRef"]
                yield reference["secret"], reference["version"]
    for volume in template.get("volumes", []):
        for item in volume.get("secret", {}).get("items", []):
            yield volume["secret"]["secret"], item["version"]


def trouble(world: World, template: Json) -> str:
    """Why a revision or an execution with this template does not start; empty where it does."""
    for container in template.get("containers", []):
        if container["image"] in world.unready:
            return world.unready[container["image"]]
    if not world.access:
        return ""
    account = template.get("serviceAccount", "")
    project = account.partition("@")[2].partition(".")[0]
    if f"iam/projects/{project}/serviceAccounts/{account}" not in world.objects:
        return f"Service account {account} was not found"
    for name, version in secrets(template):
        key = f"secretmanager/projects/{project}/secrets/{name}"
        found = world.objects.get(f"{key}/versions/{version}")
        if found is None or found["state"] != "ENABLED":
            return f"Secret {name}:{version} was not found or is not enabled"
        if f"serviceAccount:{account}" not in members(world, key, "roles/secretmanager.secretAccessor"):
            return f"Permission denied on secret {name} for revision service account {account}"
    return ""
