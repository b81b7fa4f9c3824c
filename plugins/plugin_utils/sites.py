# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sites of the role nginx, complete: what an entry leaves out, and the names that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

Site = dict[str, Any]
TLS = "/etc/nginx/tls"
ISSUED = "/var/lib/slipway/tls"
"""Certificates that somebody else than the role nginx changes: outside of what it reloads for."""
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


def certificates(sites: Sequence[Mapping[str, Any]], tls_mode: str) -> list[Site]:
    """What the role certificates has to know of each site. `tls_mode`: of those that say none."""
    keys = ("acme", "certificate")
    found = []
    for site in sites:
        names_of = [*site["server_names"], *(site.get("redirects") or [])]
        tls = _tls({**site, "all_names": names_of}, site.get("tls_mode") or tls_mode)
        found.append({"name": site["name"], "names": names_of, **{key: tls[key] for key in keys}})
    return found


def _tls(site: Mapping[str, Any], tls_mode: str) -> Site:
    """Where certificate and key are, and who makes them."""
    given, given_key = site.get("tls_certificate_path") or "", site.get("tls_key_path") or ""
    made, acme = not given and tls_mode in ("self_signed", "acme"), not given and tls_mode == "acme"
    # A self-signed certificate carries its names, so other names are another file.
    own = f"self-signed-{_digest(','.join(site['all_names']))[:12]}"
    stem = f"{TLS}/{own}" if made else f"{TLS}/sites/{site['name']}"
    certificate, key = given or f"{stem}.crt", given_key or f"{stem}.key"
    found = {"made_here": made, "acme": acme, "certificate": certificate, "key": key, "made_certificate": certificate, "made_key": key}
    if acme:
        # One link leads to certificate and key, so that both change at once: here to the stand-in, later to what was issued.
        stand_in, served = f"{ISSUED}/{own}", f"{ISSUED}/served/{site['name']}"
        found |= {"stand_in": stand_in, "served": served}
        found |= {"made_certificate": f"{stand_in}/fullchain.pem", "made_key": f"{stand_in}/privkey.pem"}
        found |= {"certificate": f"{served}/fullchain.pem", "key": f"{served}/privkey.pem"}
    return found


def _site(given: Site, defaults: Site) -> Site:
    site = {**defaults, **given}
    site["id"] = site["name"].replace("-", "_")
    site["all_names"] = [*site["server_names"], *site["redirects"]]
    site |= _tls(site, site["tls_mode"])
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
