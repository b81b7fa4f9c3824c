# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sites of the role nginx, complete: what an entry leaves out, and the names that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

Site = dict[str, Any]
TLS = "/etc/nginx/tls"
PATH_DEFAULTS: Mapping[str, Any] = {
    "upstreams": [],
    "static": "",
    "cache_seconds": 3600,
    "fallback": "",
    "compressed_types": [],
    "buffering": True,
    "basic_auth": [],
    "allowed_networks": [],
    "cors_origins": [],
    "cors_credentials": False,
}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hour_bucket(per_hour: int) -> tuple[int, int]:
    """(requests a minute that leak, burst) of a bucket that lets `per_hour` through in an hour, whenever they come.

    What an hour lets through is the bucket's size and what leaks in that hour. Three quarters leak, in whole requests a minute.
    """
    refill = max(per_hour * 3 // 4 // 60, 1)
    return refill, per_hour - 1 - refill * 60


def names(sites: Sequence[Any]) -> list[dict[str, str]]:
    """Every name of every site, as the inventory writes it: `variable`, `name`, and the `earlier` one that is the same."""
    found: list[dict[str, str]] = []
    first: dict[str, str] = {}
    for number, site in enumerate(sites):
        for key in ("server_names", "redirects"):
            for at, name in enumerate(site.get(key) or []):
                variable = f"nginx_sites[{number}].{key}[{at}]"
                found.append({"variable": variable, "name": str(name), "earlier": first.get(str(name).lower(), "")})
                first.setdefault(str(name).lower(), variable)
    return found


def complete(sites: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any], flower: str = "") -> list[Site]:
    """Every site with all keys of `defaults`, and what is derived: its id, certificate, key, shares, limits and paths.

    `flower`: address:port of Flower, which the first site shows to internal clients; empty: there is none.
    """
    found = [dict(site.items()) for site in sites]
    if flower and found:
        first = found[0]
        first["paths"] = [*first.get("paths", []), {"path": "/flower/", "upstreams": [flower]}]
        first["internal_paths"] = [*first.get("internal_paths", defaults["internal_paths"]), "/flower"]
    return [_site(site, dict(defaults.items())) for site in found]


def _site(given: Site, defaults: Site) -> Site:
    site = {**defaults, **given}
    site["id"] = site["name"].replace("-", "_")
    site["all_names"] = [*site["server_names"], *site["redirects"]]
    site["made_here"] = not site["tls_certificate_path"] and site["tls_mode"] == "self_signed"
    # A self-signed certificate carries its names, so other names are another file.
    stem = f"{TLS}/self-signed-{_digest(','.join(site['all_names']))[:12]}" if site["made_here"] else f"{TLS}/sites/{site['name']}"
    site["certificate"] = site["tls_certificate_path"] or f"{stem}.crt"
    site["key"] = site["tls_key_path"] or f"{stem}.key"
    servers = [*site["upstreams"], *(server for path in site["paths"] for server in path.get("upstreams", []))]
    site["shares"] = {server: _share(site["weights"].get(server)) for server in servers}
    site["refill"], site["burst_of_hour"] = hour_bucket(site["rate_limit_per_hour"])
    site["paths"] = [_path(site, number, dict(path.items())) for number, path in enumerate(site["paths"])]
    if "/" not in [path["path"] for path in site["paths"]]:
        site["paths"].append(_path(site, len(site["paths"]), {"path": "/"}))
    return site


def _share(weight: int | None) -> str:
    """A weight as nginx says it; what has none of the requests is asked when nobody else answers."""
    return "" if weight is None else " backup" if weight == 0 else f" weight={weight}"


def _path(site: Site, number: int, given: Site) -> Site:
    taken_over = {"client_max_body_size": site["client_max_body_size"], "read_timeout": site["read_timeout"]}
    path = {**PATH_DEFAULTS, **taken_over, **given}
    if path["static"]:
        path["to"] = ""
    else:
        path["to"] = f"{site['name']}_{number}" if path["upstreams"] else site["name"] if site["upstreams"] else ""
    inside = path["path"].rstrip("/") + "/"
    path["inside"] = inside
    # A whole segment of the path: /ws is not /wsx. A folder, and a path that ends with a slash, have nothing but what is below them.
    exact = [] if path["static"] or path["path"] == inside else [f"= {path['path']}"]
    path["locations"] = [*exact, "/" if inside == "/" else f"^~ {inside}"]
    path["variable"] = f"{site['id']}_{number}"
    path["password_file"] = f"/etc/nginx/htpasswd/{site['name']}-{_digest(path['path'])[:8]}" if path["basic_auth"] else ""
    return path
