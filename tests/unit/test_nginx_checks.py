"""What is wrong in an entry of nginx_sites, in the words of the message."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.plugin_utils import checks

ROLE = Path(__file__).resolve().parents[2] / "roles/nginx"
SITE = {"name": "shop", "server_names": ["shop.example"], "upstreams": ["192.0.2.1:8000"], "tls_mode": "self_signed"}


def told(*sites: dict[str, Any], **inputs: Any) -> list[str]:
    """The sentences about a host with these sites; each entry says how it differs from a good one."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    values = {**defaults, "nginx_sites": [{**SITE, **site} for site in sites], **inputs}
    return [problem.sentence() for problem in checks.of_role(ROLE, values, {}, "/")]


def test_good_sites_pass() -> None:
    other = {"name": "docs", "server_names": ["*.docs.example"], "upstreams": [], "paths": [{"path": "/", "static": "/srv/docs"}]}
    brought = {
        "tls_mode": "files",
        "tls_certificate_path": "/etc/own/x.crt",
        "tls_key_path": "/etc/own/x.key",
        "redirects": ["www.shop.example"],
    }
    assert told({}) == []
    assert told(brought, other) == []
    without_mode = {key: value for key, value in SITE.items() if key != "tls_mode"}
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    given = {**defaults, "nginx_sites": [without_mode], "nginx_tls_mode": "self_signed"}
    assert checks.of_role(ROLE, given, {}, "/") == []


@pytest.mark.parametrize(
    ("site", "sentence"),
    [
        ({"name": "Shop_1"}, "nginx_sites[0].name is 'Shop_1'; allowed: small letters, digits and dashes"),
        ({"server_names": []}, "nginx_sites[0].server_names is []; allowed: the site's names"),
        ({"server_names": ["a b"]}, "nginx_sites[0].server_names[0] is 'a b'; allowed: a host name"),
        ({"redirects": ["SHOP.example"]}, "nginx_sites[0].redirects[0] is 'SHOP.example', which nginx_sites[0].server_names[0] has"),
        ({"server_names": ["*.shop.example"], "redirects": ["x.example"]}, "nginx_sites[0].server_names[0] is '*.shop.example'"),
        ({"redirect_code": 302}, "nginx_sites[0].redirect_code is 302; allowed: 301, 308"),
        ({"upstreams": ["10.0.0.5"]}, "nginx_sites[0].upstreams[0] is '10.0.0.5'; allowed: an address with a port"),
        ({"rate_limit_per_hour": 60}, "nginx_sites[0].rate_limit_per_hour is 60; allowed: 0 (no limit) or at least 61"),
        ({"extra": ["} server {"]}, "nginx_sites[0].extra[0] is '} server {'; allowed: directives with as many { as }"),
        ({"tls_mode": "files"}, "nginx_sites[0].tls_certificate is empty; allowed: the contents of a PEM file"),
        ({"tls_mode": "files", "tls_key_path": "/x/key"}, "nginx_sites[0].tls_certificate_path is missing, where tls_key_path is given"),
        ({"tls_certificate_path": "/x/crt", "tls_key_path": "/x/key"}, "nginx_sites[0].tls_certificate is given in two ways"),
        ({"tls_mode": "acme", "redirects": ["shop"]}, "nginx_sites[0].redirects[0] is 'shop', for which no authority issues a certificate"),
        ({"tls_mode": "acme", "server_names": ["192.0.2.7"]}, "nginx_sites[0].server_names[0] is '192.0.2.7', for which no authority"),
        ({"tls_mode": "acme", "tls_key": "x"}, "nginx_sites[0].tls_key is given in two ways"),
        ({"health_pth": "/x"}, "nginx_sites[0].health_pth is an unknown key; allowed: did you mean health_path"),
        ({"paths": [{"path": "/a"}, {"path": "/a"}]}, "nginx_sites[0].paths is "),
        ({"paths": [{"path": "/a", "static": "/etc"}]}, "nginx_sites[0].paths[0].static is '/etc'; allowed: a folder of its own"),
        ({"paths": [{"path": "/a", "static": "/srv/a", "upstreams": ["192.0.2.1:1"]}]}, "nginx_sites[0].paths[0] is '/a' with two targets"),
        ({"upstreams": [], "paths": [{"path": "/a"}]}, "nginx_sites[0].paths[0] is '/a' without a target"),
        ({"paths": [{"path": "/a", "cache_seconds": 5}]}, "nginx_sites[0].paths is cache_seconds for '/a'; allowed: what a process knows"),
        ({"paths": [{"path": "/a", "static": "/srv/a", "buffering": False}]}, "nginx_sites[0].paths is buffering for '/a'"),
        ({"paths": [{"path": "/a", "basic_auth": [{"name": "anna", "hash": "clear-password-of-anna-1"}]}]},
         "nginx_sites[0].paths[0].basic_auth[0].hash is a secret value (not shown); allowed: a hash"),
        ({"paths": [{"path": "/a", "allowed_networks": ["office"]}]},
         "nginx_sites[0].paths[0].allowed_networks[0] is 'office'; allowed: an address"),
        ({"paths": [{"path": "/a", "cors_origins": ["*"], "cors_credentials": True}]},
         "nginx_sites[0].paths[0].cors_credentials is true beside the"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_told(site: dict[str, Any], sentence: str) -> None:
    assert [line for line in told(site) if line.startswith(sentence)], told(site)


def test_the_health_path_of_django_ends_with_a_slash() -> None:
    assert told({"health_path": "/login/"}) == []


def test_a_name_belongs_to_one_site() -> None:
    second = {"name": "docs", "server_names": ["docs.example", "shop.example"]}
    assert told({}, second) == [
        "nginx_sites[1].server_names[1] is 'shop.example', which nginx_sites[0].server_names[0] has; "
        "allowed: each name once among all sites"
    ]
    assert told({}, {"server_names": ["b.example"]})[0].endswith("allowed: each name once; twice: shop")


def test_who_sends_the_proxy_protocol_is_named() -> None:
    assert told({}, nginx_proxy_protocol=True, nginx_trusted_proxies=["192.0.2.0/24"]) == []
    assert told({}, nginx_proxy_protocol=True, nginx_trusted_proxies=["192.0.2.0/24"], nginx_http3=True)[0].startswith(
        "nginx_http3 is true,"
    )
    told_of = told({}, nginx_proxy_protocol=True, nginx_listen_addresses=["127.0.0.1"])
    assert told_of == [
        "nginx_trusted_proxies is [], beside nginx_proxy_protocol; allowed: the networks of the load balancers that send the PROXY"
        " protocol; anybody else's is not believed",
        "nginx_listen_addresses[0] is '127.0.0.1', beside nginx_proxy_protocol; allowed: addresses that the load balancer reaches; at"
        " 127.0.0.1 the host asks itself, without the PROXY protocol",
    ]


def test_without_a_site_there_is_nothing_to_serve() -> None:
    (said,) = told()
    assert said.startswith("nginx_sites is []; allowed: an entry; the wiring makes one of each entry of applications.NAME.domains")
