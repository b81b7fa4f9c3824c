# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute Engine: networks, subnetworks, address ranges, security policies; answers keep their defaults, everything takes an operation."""

from __future__ import annotations

import base64
import copy
import hashlib
import ipaddress
import json
from collections.abc import Callable

from ..crud import Kind, advance, merged
from ..discovery import Json
from ..world import ApiError, Call, registry

BASE = "https://www.googleapis.com/compute/v1/"
DEFAULT_RULE = 2147483647
RATE_ACTIONS = ("throttle", "rate_based_ban")


def invalid(message: str) -> ApiError:
    return ApiError(400, "invalid", f"Invalid value for field: {message}")


def operation(call: Call, finish: Callable[[], Json], undo: Callable[[], None]) -> Json:
    """Global or regional, as its object is."""
    bare = call.path.removeprefix("compute/v1/").split("/")
    scope = "/".join(bare[: 3 if bare[2] == "global" else 4])
    name = f"operation-{next(call.world.numbers)}"
    link = f"{BASE}{scope}/operations/{name}"
    return call.world.operate(call, {"kind": "compute#operation", "name": name, "status": "PENDING", "selfLink": link}, finish, undo)


@registry.method(
    "compute.globalOperations.wait", "compute.regionOperations.wait", "compute.globalOperations.get", "compute.regionOperations.get"
)
def wait(call: Call) -> Json:
    name = call.path.partition("/operations/")[2].partition("/")[0]
    return advance(call.world.poll("compute", name), "status")


class Compute(Kind):
    def answer(self, call: Call, key: str, finish: Callable[[], Json], undo: Callable[[], None]) -> Json:
        return operation(call, finish, undo)


def born(call: Call, new: Json, kind: str) -> None:
    new |= {"kind": f"compute#{kind}", "id": str(next(call.world.numbers)), "creationTimestamp": call.world.now()}
    new["selfLink"] = f"{BASE}{call.key.partition('/')[2]}/{new['name']}"


def parent_network(call: Call, new: Json) -> None:
    path = new["network"].removeprefix(BASE)
    if f"compute/{path}" not in call.world.objects:
        raise ApiError(404, "notFound", f"The resource '{path}' was not found")
    new["network"] = BASE + path


def on_network(call: Call, new: Json, old: Json | None) -> None:
    if "autoCreateSubnetworks" not in new:
        raise invalid("autoCreateSubnetworks: without it this would be a legacy network")
    born(call, new, "network")


def on_subnetwork(call: Call, new: Json, old: Json | None) -> None:
    parent_network(call, new)
    wanted = ipaddress.ip_network(new["ipCidrRange"])
    for item in call.world.children(call.key):
        if wanted.overlaps(ipaddress.ip_network(item["ipCidrRange"])):
            raise invalid(f"ipCidrRange: {wanted} overlaps with {item['name']}")
    new.setdefault("privateIpGoogleAccess", False)
    new.setdefault("purpose", "PRIVATE")
    born(call, new, "subnetwork")


def on_address(call: Call, new: Json, old: Json | None) -> None:
    if new.get("purpose") != "VPC_PEERING" or new.get("addressType") != "INTERNAL":
        raise invalid("purpose: this server knows ranges for VPC_PEERING only")
    parent_network(call, new)
    new.setdefault("address", "10.100.0.0")
    new["status"] = "RESERVED"
    born(call, new, "address")


Compute("compute.networks", id_from="body.name", full_name=False, keep_defaults=True, verbs=("create", "get"), on_write=on_network)
Compute("compute.subnetworks", id_from="body.name", full_name=False, keep_defaults=True, verbs=("create", "get"), on_write=on_subnetwork)
Compute("compute.globalAddresses", id_from="body.name", full_name=False, keep_defaults=True, verbs=("create", "get"), on_write=on_address)


def change(call: Call, act: Callable[[Json], None]) -> Json:
    """A verb below an object, such as /addRule: it is done when its operation is."""
    live = call.find(call.key.rpartition("/")[0])
    act(copy.deepcopy(live))

    def finish() -> Json:
        act(live)
        return {}

    return operation(call, finish, dict)


@registry.method("compute.subnetworks.expandIpCidrRange")
def expand(call: Call) -> Json:
    def act(live: Json) -> None:
        old, new = (ipaddress.ip_network(item["ipCidrRange"]) for item in (live, call.body))
        if not new.supernet_of(old):
            raise invalid(f"ipCidrRange: {new} does not contain {old}")
        live["ipCidrRange"] = call.body["ipCidrRange"]

    return change(call, act)


@registry.method("compute.subnetworks.setPrivateIpGoogleAccess")
def private_access(call: Call) -> Json:
    return change(call, lambda live: live.update(call.body))


# -- security policies -----------------------------------------------------------------------------------------------------


def check_rule(rule: Json) -> None:
    rate, match = rule.get("rateLimitOptions"), rule.get("match", {})
    if ("expr" in match) == ("versionedExpr" in match):
        raise invalid("match: exactly one of expr and versionedExpr")
    if (rule["action"] in RATE_ACTIONS) != bool(rate):
        raise invalid("rateLimitOptions: for throttle and rate_based_ban, and for nothing else")
    if rate:
        missing = [name for name in ("conformAction", "exceedAction", "enforceOnKey", "rateLimitThreshold") if not rate.get(name)]
        if missing or rate["conformAction"] != "allow":
            raise invalid(f"rateLimitOptions: {missing or 'conformAction must be allow'}")
        if (rule["action"] == "rate_based_ban") != bool(rate.get("banDurationSec")):
            raise invalid("rateLimitOptions.banDurationSec: for rate_based_ban, and for nothing else")


def stamp(policy: Json) -> None:
    policy["rules"] = sorted(policy["rules"], key=lambda rule: rule["priority"])
    for rule in policy["rules"]:
        check_rule(rule)
        rule |= {"kind": "compute#securityPolicyRule", "preview": rule.get("preview", False), "description": rule.get("description", "")}
    content = {key: value for key, value in policy.items() if key != "fingerprint"}
    policy["fingerprint"] = base64.urlsafe_b64encode(hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()[:8]).decode()


def on_policy(call: Call, new: Json, old: Json | None) -> None:
    if old is None:
        born(call, new, "securityPolicy")
        new.setdefault("type", "CLOUD_ARMOR")
        new.setdefault("description", "")
        if DEFAULT_RULE not in [rule["priority"] for rule in new.setdefault("rules", [])]:
            match = {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["*"]}}
            new["rules"].append({"priority": DEFAULT_RULE, "action": "allow", "match": match})
    elif call.body.get("fingerprint") != old["fingerprint"]:
        raise ApiError(412, "conditionNotMet", "Invalid fingerprint.")
    stamp(new)


Compute(
    "compute.securityPolicies",
    id_from="body.name",
    full_name=False,
    keep_defaults=True,
    without_mask="merge",
    verbs=("create", "get", "patch", "delete"),
    on_write=on_policy,
)


def cleared(rule: Json, paths: str) -> Json:
    """Here the mask says what to clear."""
    new = copy.deepcopy(rule)
    for path in filter(None, paths.split(",")):
        *parents, last = path.split(".")
        target = new
        for name in parents:
            target = target[name]
        target.pop(last, None)
    return new


@registry.method(*(f"compute.securityPolicies.{verb}" for verb in ("addRule", "patchRule", "removeRule")))
def change_rule(call: Call) -> Json:
    verb = call.method.name.rpartition(".")[2]
    priority = call.body["priority"] if verb == "addRule" else int(call.query["priority"])

    def act(live: Json) -> None:
        rules = {rule["priority"]: rule for rule in live["rules"]}
        if (priority in rules) == (verb == "addRule"):
            raise invalid(f"priority: {priority} is {'taken' if verb == 'addRule' else 'not there'}")
        if verb == "removeRule":
            if priority == DEFAULT_RULE:
                raise invalid("priority: the default rule cannot be removed")
            del rules[priority]
        elif verb == "addRule":
            rules[priority] = copy.deepcopy(call.body)
        else:
            rules[priority] = merged(cleared(rules[priority], call.query.get("updateMask", "")), call.body)
        live["rules"] = list(rules.values())
        stamp(live)

    return change(call, act)
