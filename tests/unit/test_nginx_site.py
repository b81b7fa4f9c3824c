"""What nginx is told about clients, names and upstreams: lines of the rendered configuration, as literals."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.stack.plugins.plugin_utils import sites

ROLE = Path(__file__).resolve().parents[2] / "roles/nginx"


def complete(templar: Templar) -> list[dict[str, Any]]:
    """What the role makes of its inputs, as its vars/main.yml does."""
    known = templar.available_variables
    return sites.complete(known["nginx_sites"], templar.template(known["__nginx_site_defaults"]), known["nginx_flower_upstream"])


def lines(name: str, **inputs: Any) -> list[str]:
    """The lines of one rendered file of /etc/nginx, without indentation; `inputs` override the role's defaults."""
    loader = DataLoader()
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    own = loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True)
    site = {"name": "site", "server_names": ["api.example.com"], "upstreams": ["192.0.2.1:8000"]}
    here = {"ansible_managed": "managed", "nginx_sites": [site], "__nginx_platform": {"nginx": "1.26.3", "openssl": "3.5"}}
    known = {**defaults, **own, **here, **inputs}
    made = complete(Templar(loader, known))
    templar = Templar(loader, {**known, "__nginx_sites": made, "site": made[0]})
    template = trust_as_template((ROLE / f"templates/etc/nginx/{name}.j2").read_text())
    return [line.strip() for line in str(templar.template(template)).splitlines()]


def of_site(**site: Any) -> list[str]:
    """The lines of a site of its own name."""
    return lines("conf.d/50-site.conf", nginx_sites=[{"name": "side-app", "server_names": ["side.example"], **site}])


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


def test_the_proxy_protocol_names_the_client_and_no_header_does() -> None:
    told = {"nginx_proxy_protocol": True, "nginx_trusted_proxies": ["10.0.0.0/8"]}
    said = lines("conf.d/10-limits.conf", **told)
    assert [line for line in said if "real_ip" in line] == [
        "set_real_ip_from 10.0.0.0/8;",
        "real_ip_header proxy_protocol;",
        "real_ip_recursive on;",
    ]
    assert [line for line in said if "x_forwarded_proto" in line] == []
    for name, more in (("conf.d/30-unknown-names.conf", " default_server"), ("conf.d/50-site.conf", "")):
        assert [line for line in lines(name, **told) if line.startswith("listen")] == [
            f"listen *:80 proxy_protocol{more};",
            f"listen [::]:80 proxy_protocol{more};",
            f"listen 127.0.0.1:80{more};",
            f"listen *:443 ssl proxy_protocol{more};",
            f"listen [::]:443 ssl proxy_protocol{more};",
            f"listen 127.0.0.1:443 ssl{more};",
        ]
    assert lines("conf.d/50-site.conf", **told).count("proxy_pass http://site;") == 1  # not over plain HTTP


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
    passed = "proxy_pass http://site;"
    assert lines("conf.d/50-site.conf").count(passed) == 1  # not over plain HTTP
    assert lines("conf.d/50-site.conf", nginx_trusted_proxies=["192.0.2.7/32"]).count(passed) == 2


def test_a_post_is_never_sent_twice() -> None:
    (said,) = [line for line in lines("snippets/proxy.conf") if line.startswith("proxy_next_upstream ")]
    assert said == "proxy_next_upstream error timeout http_503;"


def after(said: list[str], start: str, count: int) -> list[str]:
    at = said.index(start) + 1
    return said[at : at + count]


def test_the_public_does_not_see_internal_paths() -> None:
    said = lines("conf.d/50-site.conf", nginx_internal_paths=["/docs", "/openapi.json"], nginx_metrics_path="/figures")
    assert after(said, "map $uri $internal_path_site {", 5)[1:] == [
        r'"~*^/docs(/|$)" 1;',
        r'"~*^/openapi\.json(/|$)" 1;',
        r'"~*^/figures(/|$)" 1;',
        "}",
    ]
    assert after(said, 'map "$internal_path_site$internal_client" $closed_path_site {', 2) == ["default 0;", '"10" 1;']
    assert after(said, "if ($closed_path_site) {", 1) == ["return 404;"]


def test_flower_is_internal_whatever_the_paths_are() -> None:
    said = lines("conf.d/50-site.conf", nginx_internal_paths=[], nginx_flower_upstream="192.0.2.3:5555")
    assert r'"~*^/flower(/|$)" 1;' in said
    assert r'"~*^/flower(/|$)" 1;' in lines(
        "conf.d/50-site.conf",
        nginx_sites=[{"name": "a", "server_names": ["a.example"], "internal_paths": []}],
        nginx_flower_upstream="192.0.2.3:5555",
    ), "the first site shows it, whoever named the site"
    assert after(said, "upstream site_0 {", 3)[2] == "server 192.0.2.3:5555 max_fails=3 fail_timeout=2s;"


def test_internal_clients_alone_are_not_limited() -> None:
    site = lines("conf.d/50-site.conf")
    assert after(site, 'map "$internal_client$unlimited_path_site" $limited_client_site {', 3) == [
        '"00" $binary_remote_addr;',
        'default "";',
        "}",
    ]
    assert "limit_req_zone $limited_client_site zone=hour_site:10m rate=12r/m;" in site
    limits = lines("conf.d/10-limits.conf", nginx_internal_sources=["192.0.2.9/32"])
    assert after(limits, "geo $internal_client {", 3) == ["default 0;", "192.0.2.9/32 1;", "}"]
    assert "limit_req_status 429;" in limits


def test_what_a_page_brings_along_is_not_counted() -> None:
    said = lines("conf.d/50-site.conf", nginx_unlimited_paths=["/files"])
    assert after(said, "map $uri $unlimited_path_site {", 3) == ["default 0;", r'"~*^/files(/|$)" 1;', "}"]


def test_the_way_to_https_keeps_a_port_of_its_own() -> None:
    assert "return 308 https://$host$https_port_suffix$request_uri;" in lines("conf.d/50-site.conf")
    assert '0 ":8443";' in lines("conf.d/10-limits.conf", nginx_https_port=8443)
    assert [line for line in lines("conf.d/10-limits.conf") if line.startswith("0 ")] == []


def test_no_limit_where_none_is_asked_for() -> None:
    site = lines("conf.d/50-site.conf", nginx_rate_limit_per_minute=0, nginx_rate_limit_per_hour=0)
    assert [line for line in site if line.startswith("limit_req")] == []
    both = [line for line in lines("conf.d/50-site.conf") if line.startswith("limit_req ")]
    assert both == ["limit_req zone=minute_site burst=60 nodelay;", "limit_req zone=hour_site burst=279 nodelay;"]


def test_a_site_has_limits_names_and_files_of_its_own() -> None:
    said = of_site(upstreams=["192.0.2.1:8000"], rate_limit_per_minute=7, rate_limit_per_hour=0, rate_limit_burst=3)
    assert [line for line in said if line.startswith("limit_req")] == [
        "limit_req_zone $limited_client_side_app zone=minute_side_app:10m rate=7r/m;",
        "limit_req zone=minute_side_app burst=3 nodelay;",
    ]
    assert "upstream side-app {" in said
    assert "ssl_certificate_key /etc/nginx/tls/sites/side-app.key;" in said
    assert "ssl_certificate_key /run/acme/key.pem;" in of_site(tls_certificate_path="/run/acme/chain.pem", tls_key_path="/run/acme/key.pem")


@pytest.mark.parametrize(
    ("path", "locations"),
    [
        ({"path": "/ws"}, ["= /ws", "^~ /ws/"]),
        ({"path": "/ws/"}, ["^~ /ws/"]),
        ({"path": "/files", "static": "/srv/files"}, ["^~ /files/"]),
    ],
)
def test_a_path_is_whole_segments(path: dict[str, Any], locations: list[str]) -> None:
    said = [line for line in of_site(upstreams=["192.0.2.1:8000"], paths=[path]) if line.startswith("location")]
    assert said[1:] == [f"location {match} {{" for match in [*locations, "/"]]  # the first is that of plain HTTP


def test_what_not_everybody_may_see_has_no_other_spelling() -> None:
    said = of_site(upstreams=["192.0.2.1:8000"], paths=[{"path": "/of.fice", "allowed_networks": ["192.0.2.0/24"]}, {"path": "/open"}])
    assert after(said, r"location ~* ^/of\.fice(/|$) {", 1) == ["return 404;"]
    assert len([line for line in said if line.startswith("location ~*")]) == 1


def test_a_path_without_a_target_is_the_application_under_other_conditions() -> None:
    said = of_site(upstreams=["192.0.2.1:8000"], paths=[{"path": "/in/", "client_max_body_size": "1g", "buffering": False}])
    at = said.index("location ^~ /in/ {")
    inside = said[at : said.index("}", said.index("include /etc/nginx/snippets/proxy.conf;", at))]
    assert {"client_max_body_size 1g;", "proxy_request_buffering off;", "proxy_pass http://side-app;"} <= set(inside)


def test_a_site_without_an_application_is_not_ready() -> None:
    assert [line for line in of_site() if line.startswith(("return 503", "proxy_pass"))] == ["return 503;"]
    unknown = lines("conf.d/30-unknown-names.conf", nginx_sites=[{"name": "later", "server_names": ["later.example"]}])
    assert [line for line in unknown if "proxy_pass" in line] == []


def test_http_3_listens_once_and_is_told_to_those_who_come_without_a_balancer() -> None:
    files = ("conf.d/30-unknown-names.conf", "conf.d/50-site.conf", "conf.d/10-limits.conf", "snippets/answers.conf")

    def about(**inputs: Any) -> list[str]:
        return [line for name in files for line in lines(name, **inputs) if "quic" in line or "h3" in line or "Alt-Svc" in line]

    assert about(nginx_http3=False) == []
    assert about(nginx_http3=True, __nginx_platform={"nginx": "1.22.1", "openssl": "3.0"}) == []
    assert about(nginx_http3=True, nginx_https_port=8443) == [
        "listen *:8443 quic reuseport default_server;",
        "listen [::]:8443 quic reuseport default_server;",
        "listen *:8443 quic;",
        "listen [::]:8443 quic;",
        """"0:https" 'h3=":8443"; ma=86400';""",
        "add_header Alt-Svc $other_ways always;",
    ]


def test_a_challenge_of_another_host_is_asked_for_there_and_once() -> None:
    assert [line for line in lines("snippets/challenges.conf") if "peers" in line] == []
    said = lines("snippets/challenges.conf", nginx_peers=["192.0.2.2:80"])
    assert after(said, "location @acme_peers {", 2) == ["if ($http_x_acme_asked) {", "return 404;"]
    unknown = lines("conf.d/30-unknown-names.conf", nginx_peers=["192.0.2.2:80", "192.0.2.3:80"])
    assert after(unknown, "upstream acme_peers {", 2) == ["server 192.0.2.2:80 max_fails=0;", "server 192.0.2.3:80 max_fails=0;"]


def test_load_balancers_ask_the_first_application() -> None:
    two = [
        {"name": "pages", "server_names": ["pages.example"]},
        {"name": "shop", "server_names": ["shop.example"], "upstreams": ["192.0.2.1:8000"], "health_path": "/live"},
    ]
    said = lines("conf.d/30-unknown-names.conf", nginx_sites=two)
    assert after(said, "location = /live {", 2)[1] == "proxy_pass http://shop;"


def test_the_password_of_a_path_does_not_reach_the_application() -> None:
    said = of_site(upstreams=["192.0.2.1:8000"], paths=[{"path": "/admin", "basic_auth": [{"name": "anna", "hash": "$6$x"}]}])
    assert said.count('proxy_set_header Authorization "";') == 2  # the path itself, and what is below


def test_instances_share_requests_by_weight_and_one_without_any_is_a_reserve() -> None:
    servers = ["192.0.2.1:8000", "192.0.2.1:8001", "192.0.2.1:8002"]
    said = of_site(upstreams=servers, weights={"192.0.2.1:8000": 0, "192.0.2.1:8001": 90})
    assert [line for line in said if line.startswith("server 192")] == [
        "server 192.0.2.1:8000 max_fails=3 fail_timeout=2s backup;",
        "server 192.0.2.1:8001 max_fails=3 fail_timeout=2s weight=90;",
        "server 192.0.2.1:8002 max_fails=3 fail_timeout=2s;",
    ]
