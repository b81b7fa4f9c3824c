#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""slipway.stack.release_watch: judges a release by what Prometheus has seen of it, beside the one it shall replace."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_watch
short_description: Judge a new release by its errors, its times and its restarts, beside the present one
version_added: "0.1.0"
description:
  - Watches for O(seconds), then tells whether the new release may have more requests. It fails as soon as that is clear.
  - Requests, their status and their time are those that nginx measured at each instance, which the exporter C(nginxlog) counts; a
    request that another instance had to answer counts as an error of the one that was asked first.
  - The present release is judged over the last five minutes as well, so that it can be compared when it has no requests any more.
options:
  prometheus:
    description: Address of Prometheus, as the host that runs the module reaches it.
    type: str
    required: true
  new:
    description: Instances of the new release, as C(address:port).
    type: list
    elements: str
    required: true
  old:
    description: Instances of the present release.
    type: list
    elements: str
    required: true
  units:
    description: A regular expression for the names of the new release's units; one that ends or is restarted is a failure.
    type: str
    required: true
  seconds:
    description: How long to watch.
    type: int
    default: 60
  max_error_percent:
    description: Answers 5xx in a hundred requests, beyond those of the present release, that the new one may give.
    type: float
    default: 1.0
  max_p95_ratio:
    description: How many times slower than the present release the new one may be, in the 95th percentile.
    type: float
    default: 2.0
  p95_floor:
    description: Seconds below which a 95th percentile is good, whatever the present release has.
    type: float
    default: 0.1
  min_requests:
    description: Requests without which it is not judged.
    type: int
    default: 20
  too_little:
    description: What becomes of a release with fewer requests. V(continue) warns, V(put_back) fails.
    type: str
    choices: [continue, put_back]
    default: continue
attributes:
  check_mode:
    description: Then it judges nothing, and succeeds.
    support: full
  diff_mode:
    description: There is nothing to show.
    details: It changes nothing.
    support: N/A
  idempotent:
    description: It changes nothing.
    support: full
author:
  - Slipway maintainers (@slipway)
"""

EXAMPLES = r"""
- name: Judge the release by what Prometheus has seen
  slipway.stack.release_watch:
    prometheus: http://10.0.0.11:9090
    new: ["10.0.0.12:8002", "10.0.0.12:8003"]
    old: ["10.0.0.12:8000", "10.0.0.12:8001"]
    units: "shop-web-next@.+"
    seconds: 120
"""

RETURN = r"""
new:
  description: What was seen of the new release; C(p95) is in seconds, and missing without requests.
  returned: success
  type: dict
  sample: {requests: 412, errors: 0, p95: 0.043, restarts: 0}
old:
  description: The same of the present one, since five minutes before.
  returned: success
  type: dict
"""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

REQUESTS = "nginx_upstream_requests_total"
TIMES = "nginx_upstream_request_duration_seconds_bucket"
RESTARTS = "node_systemd_service_restart_total"
FAILED = 'node_systemd_unit_state{state="failed"}'
BEFORE = 300.0
PAUSE = 2.0

Series = dict[tuple[str, str], float]
"""(instance, status or upper bound) to what was counted."""


class WatchError(Exception):
    """Prometheus does not say what is needed; the message says why."""


def ask(prometheus: str, query: str, moment: float | None = None) -> list[dict[str, Any]]:
    """Result of an instant query: [{metric: labels, value: [time, text]}]."""
    values = {"query": query} | ({"time": f"{moment:.3f}"} if moment else {})
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode(values)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except (OSError, ValueError, KeyError) as error:
        raise WatchError(f"Prometheus at {prometheus} does not answer: {error}") from None
    return found


def counted(prometheus: str, metric: str, label: str, moment: float | None = None) -> Series:
    """A counter of every instance."""
    found: Series = {}
    for entry in ask(prometheus, metric, moment):
        key = (entry["metric"].get("upstream", ""), entry["metric"].get(label, ""))
        found[key] = found.get(key, 0.0) + float(entry["value"][1])
    return found


def grown(now: Series, before: Series) -> Series:
    """What was counted in between; a counter that is smaller than before began anew."""
    return {key: value - before.get(key, 0.0) if value >= before.get(key, 0.0) else value for key, value in now.items()}


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """The value below which `share` of what was measured lies, in the bucket's straight line; None without any."""
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank, lower, below = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return lower
            inside = buckets[bound] - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = bound, buckets[bound]
    return lower


def summary(instances: list[str], requests: Series, times: Series) -> dict[str, Any]:
    """What was seen of some instances."""
    buckets: dict[float, float] = {}
    for (instance, bound), value in times.items():
        if instance in instances:
            buckets[float(bound)] = buckets.get(float(bound), 0.0) + value
    mine = {status: 0.0 for _, status in requests}
    for (instance, status), value in requests.items():
        if instance in instances:
            mine[status] += value
    p95 = quantile(buckets, 0.95)
    return {
        "requests": round(sum(mine.values())),
        "errors": round(sum(value for status, value in mine.items() if status.startswith("5"))),
        **({"p95": round(p95, 4)} if p95 is not None else {}),
    }


def percent(seen: dict[str, Any]) -> float:
    """Errors in a hundred requests."""
    return 100.0 * seen["errors"] / seen["requests"] if seen["requests"] else 0.0


def verdict(params: dict[str, Any], new: dict[str, Any], old: dict[str, Any]) -> str:
    """Why the new release must not go on; empty when nothing speaks against it."""
    if new["restarts"]:
        return f"units of the new release ended {new['restarts']} times"
    if new["requests"] < params["min_requests"]:
        return ""
    if percent(new) - percent(old) > params["max_error_percent"]:
        return (
            f"{percent(new):.1f} % of its {new['requests']} requests failed, "
            f"of the present release's {old['requests']} {percent(old):.1f} %; "
            f"allowed: {params['max_error_percent']:g} % more"
        )
    slow, fast = new.get("p95", 0.0), old.get("p95")
    if fast is not None and slow > max(params["p95_floor"], fast * params["max_p95_ratio"]):
        return (
            f"one in twenty of its requests takes longer than {slow:.3f} s, of the present release's {fast:.3f} s; "
            f"allowed: {params['max_p95_ratio']:g} times as long"
        )
    return ""


class Watch:
    """What Prometheus counts, from its making on."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params, self.url = params, params["prometheus"].rstrip("/")
        self.began = time.time()
        # Of the new release everything counts: it has had no requests before it was watched. An earlier one at the same ports may have.
        self.new = self._state(None)
        self.old = self._state(self.began - BEFORE)
        self.restarts = self._restarts()

    def _state(self, moment: float | None) -> tuple[Series, Series]:
        return counted(self.url, REQUESTS, "status", moment), counted(self.url, TIMES, "le", moment)

    def _restarts(self) -> dict[str, float]:
        """Restarts of each unit of the new release, and 1 for one that has failed."""
        found: dict[str, float] = {}
        for query in (RESTARTS, FAILED):
            for entry in ask(self.url, query):
                name = entry["metric"].get("name", "")
                if re.fullmatch(f"(?:{self.params['units']})\\.service", name):
                    found[f"{entry['metric'].get('instance', '')} {name} {query}"] = float(entry["value"][1])
        return found

    def seen(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(new, old) until now."""
        requests, times = self._state(None)
        new = summary(self.params["new"], grown(requests, self.new[0]), grown(times, self.new[1]))
        ended = sum(max(0.0, value - self.restarts.get(key, 0.0)) for key, value in self._restarts().items())
        new["restarts"] = round(ended)
        return new, summary(self.params["old"], grown(requests, self.old[0]), grown(times, self.old[1]))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prometheus": {"type": "str", "required": True},
            "new": {"type": "list", "elements": "str", "required": True},
            "old": {"type": "list", "elements": "str", "required": True},
            "units": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 60},
            "max_error_percent": {"type": "float", "default": 1.0},
            "max_p95_ratio": {"type": "float", "default": 2.0},
            "p95_floor": {"type": "float", "default": 0.1},
            "min_requests": {"type": "int", "default": 20},
            "too_little": {"type": "str", "choices": ["continue", "put_back"], "default": "continue"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        watch = Watch(params)
        while True:
            left = watch.began + params["seconds"] - time.time()
            new, old = watch.seen()
            if why := verdict(params, new, old):
                module.fail_json(msg=f"The new release is not good enough: {why}", new=new, old=old)
            if left <= 0:
                break
            time.sleep(min(PAUSE, left))
    except WatchError as error:
        module.fail_json(msg=str(error))
    if new["requests"] < params["min_requests"]:
        little = (
            f"only {new['requests']} requests came to the new release in {params['seconds']} s, {params['min_requests']} tell something"
        )
        if params["too_little"] == "put_back":
            module.fail_json(msg=little, new=new, old=old)
        module.warn(little + ", it goes on unjudged")
    module.exit_json(changed=False, new=new, old=old)


if __name__ == "__main__":
    main()
