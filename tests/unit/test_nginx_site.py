"""What nginx is told about clients, names and upstreams: lines of the rendered configuration, as literals."""

from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles/nginx"


def lines(name: str, **inputs: Any) -> list[str]:
    """The lines of one rendered file of /etc/nginx, without indentation; `inputs` override the role's defaults."""
    loader = DataLoader()
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    own = loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True)
    here = {"ansible_managed": "managed", "nginx_server_names": ["api.example.com"], "nginx_upstreams": ["192.0.2.1:8000"]}
    templar = Templar(loader, {**defaults, **own, "__nginx_http2_directive": True, **here, **inputs})
    template = trust_as_template((ROLE / f"templates/etc/nginx/{name}.j2").read_text())
    return [line.strip() for line in str(templar.template(template)).splitlines()]


def test_hsts_names_the_subdomains_unless_told_otherwise() -> None:
    def told(**inputs: Any) -> list[str]:
        return [line for line in lines("conf.d/10-limits.conf", **inputs) if "max-age" in line]

    assert told() == ['https "max-age=63072000; includeSubDomains";']
    assert told(nginx_hsts_subdomains=False, nginx_hsts_seconds=60) == ['https "max-age=60";']
    assert told(nginx_hsts_preload=True) == ['https "max-age=63072000; includeSubDomains; preload";']


def test_only_trusted_proxies_name_the_client() -> None:
    assert [line for line in lines("conf.d/10-limits.conf") if "real_ip" in line] == []
    trusting = lines("conf.d/10-limits.conf", nginx_trusted_proxies=["10.0.0.0/8", "fd00::/8"])
    assert [line for line in trusting if "real_ip" in line] == [
        "set_real_ip_from 10.0.0.0/8;",
        "set_real_ip_from fd00::/8;",
        "real_ip_header X-Forwarded-For;",
        "real_ip_recursive on;",
    ]


def test_what_a_client_says_about_itself_is_replaced() -> None:
    told = [line for line in lines("snippets/proxy.conf") if line.startswith("proxy_set_header")]
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in told
    assert "proxy_set_header X-Forwarded-Proto $client_scheme;" in told
    assert 'proxy_set_header Forwarded "";' in told


def test_only_trusted_proxies_say_how_the_client_came() -> None:
    trusting = lines("conf.d/10-limits.conf", nginx_trusted_proxies=["192.0.2.7/32"])
    start = trusting.index("geo $realip_remote_addr $trusted_proxy {")
    assert trusting[start + 1 : start + 4] == ["default 0;", "192.0.2.7/32 1;", "}"]
    start = trusting.index('map "$trusted_proxy:$http_x_forwarded_proto" $client_scheme {')
    assert trusting[start + 1 : start + 4] == ["default $scheme;", '"~*^1:https(,|$)" https;', '"~*^1:http(,|$)" http;']
    assert "include /etc/nginx/snippets/site.conf;" in lines("conf.d/30-site.conf")[-3:]
    assert lines("conf.d/30-site.conf").count("include /etc/nginx/snippets/site.conf;") == 1  # not over plain HTTP
    assert lines("conf.d/30-site.conf", nginx_trusted_proxies=["192.0.2.7/32"]).count("include /etc/nginx/snippets/site.conf;") == 2


def test_a_post_is_never_sent_twice() -> None:
    (said,) = [line for line in lines("snippets/proxy.conf") if line.startswith("proxy_next_upstream ")]
    assert said == "proxy_next_upstream error timeout http_503;"


def test_the_public_does_not_see_internal_paths() -> None:
    limits = lines("conf.d/10-limits.conf", nginx_internal_paths=["/docs", "/openapi.json"], nginx_metrics_path="/figures")
    start = limits.index("map $uri $internal_path {")
    assert limits[start + 2 : start + 5] == [
        r'"~*^/docs(/|$)" 1;',
        r'"~*^/openapi\.json(/|$)" 1;',
        r'"~*^/figures(/|$)" 1;',
    ]
    assert '"10" 1;' in limits


def test_internal_clients_alone_are_not_limited() -> None:
    limits = lines("conf.d/10-limits.conf", nginx_internal_sources=["192.0.2.9/32"])
    start = limits.index('map "$internal_client$unlimited_path" $limited_client {')
    assert limits[start + 1 : start + 4] == ['"00" $binary_remote_addr;', 'default "";', "}"]
    assert "192.0.2.9/32 1;" in limits
    assert "limit_req_zone $limited_client zone=hour:10m rate=12r/m;" in limits
    assert "limit_req_status 429;" in limits


def test_what_a_page_brings_along_is_not_counted() -> None:
    limits = lines("conf.d/10-limits.conf", nginx_unlimited_paths=["/files"])
    start = limits.index("map $uri $unlimited_path {")
    assert limits[start + 1 : start + 4] == ["default 0;", r'"~*^/files(/|$)" 1;', "}"]


def test_the_way_to_https_keeps_a_port_of_its_own() -> None:
    assert "return 308 https://$host$https_port_suffix$request_uri;" in lines("conf.d/30-site.conf")
    assert '0 ":8443";' in lines("conf.d/10-limits.conf", nginx_https_port=8443)
    assert [line for line in lines("conf.d/10-limits.conf") if line.startswith("0 ")] == []


def test_no_limit_where_none_is_asked_for() -> None:
    site = lines("snippets/site.conf", nginx_rate_limit_per_minute=0, nginx_rate_limit_per_hour=0)
    assert [line for line in site if line.startswith("limit_req")] == []
    both = [line for line in lines("snippets/site.conf") if line.startswith("limit_req")]
    assert both == ["limit_req zone=minute burst=60 nodelay;", "limit_req zone=hour burst=279 nodelay;"]
