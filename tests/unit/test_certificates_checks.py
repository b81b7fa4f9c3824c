"""What the validator says of certificates, and where nginx looks for the one that an authority issues."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.plugin_utils import checks, sites

ROLE = Path(__file__).resolve().parents[2] / "roles/certificates"
SHOP = {"name": "shop", "server_names": ["shop.example.org"], "redirects": ["www.shop.example.org"], "tls_mode": "acme"}
WILD = {"name": "wild", "server_names": ["*.shop.example.org"], "tls_mode": "acme"}
OWN = {"name": "own", "server_names": ["own.example.org"], "tls_mode": "self_signed"}
EMAIL = {"certificates_email": "ops@example.org"}


def told(*given: dict[str, Any], **inputs: Any) -> list[str]:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    values = {**defaults, "certificates_sites": sites.certificates(given, "files"), **inputs}
    return [problem.sentence() for problem in checks.of_role(ROLE, values, {}, "/")]


def test_good_ones_pass() -> None:
    assert told(OWN) == []
    assert told(SHOP, OWN, **EMAIL) == []
    assert told(WILD, **EMAIL, certificates_dns_plugin="route53") == []


@pytest.mark.parametrize(
    ("site", "inputs", "sentence"),
    [
        (
            SHOP,
            {},
            "certificates_email is empty; allowed: the address that the authority may write to (shop.example.org has tls_mode acme)",
        ),
        (SHOP, {"certificates_email": "ops"}, "certificates_email is 'ops'; allowed: an e-mail address"),
        (
            WILD,
            EMAIL,
            "certificates_dns_plugin is empty; allowed: the plugin of your zone's servers, such as rfc2136: *.shop.example.org can",
        ),
        (SHOP, {**EMAIL, "certificates_challenge": "dns"}, "certificates_dns_plugin is empty; allowed: the plugin of your zone's servers"),
        (
            WILD,
            {**EMAIL, "certificates_dns_plugin": "bind", "certificates_dns_credentials": "dns_bind_token = kJ8vQ2xR5tN9wL4mB7zC"},
            "certificates_dns_plugin is 'bind'; allowed: rfc2136",
        ),
        (
            WILD,
            {**EMAIL, "certificates_dns_plugin": "rfc2136"},
            "certificates_dns_credentials is empty; allowed: the contents of the credentials",
        ),
        (
            SHOP,
            {**EMAIL, "certificates_directory_url": "http://acme"},
            "certificates_directory_url is 'http://acme'; allowed: a URL that begins",
        ),
        (
            SHOP,
            {**EMAIL, "certificates_ca_bundle": "/etc/ca.pem"},
            "certificates_ca_bundle is '/etc/ca.pem'; allowed: the contents of a PEM",
        ),
    ],
)
def test_what_is_wrong_is_told(site: dict[str, Any], inputs: dict[str, Any], sentence: str) -> None:
    found = told(site, **inputs)
    assert len(found) == 1
    assert found[0].startswith(sentence)


def test_one_link_leads_to_certificate_and_key() -> None:
    """Two would be read one old and one new by a reload between them."""
    found = sites.certificates([SHOP, OWN], "files")
    assert found[0]["names"] == ["shop.example.org", "www.shop.example.org"]
    assert [(site["name"], site["acme"]) for site in found] == [("shop", True), ("own", False)]
    assert found[0]["certificate"] == "/var/lib/slipway/tls/served/shop/fullchain.pem"
    assert found[1]["certificate"].startswith("/etc/nginx/tls/self-signed-")
    assert sites.certificates([{**SHOP, "tls_mode": ""}], "acme")[0]["acme"]
    assert not sites.certificates([{**SHOP, "tls_certificate_path": "/x/crt", "tls_key_path": "/x/key"}], "files")[0]["acme"]
