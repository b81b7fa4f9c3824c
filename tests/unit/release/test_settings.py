"""Package index and certificates of the machine; secrets out of every message."""

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.settings import index_environment, masked

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.mark.parametrize(
    ("process", "etc_environment", "pip_conf", "expected"),
    [
        ({}, "", "", {"PIP_CERT": BUNDLE, "SSL_CERT_FILE": BUNDLE, "NODE_EXTRA_CA_CERTS": BUNDLE}),
        ({"SSL_CERT_FILE": "/own.pem"}, "", "",
         {"PIP_CERT": "/own.pem", "REQUESTS_CA_BUNDLE": "/own.pem", "NODE_EXTRA_CA_CERTS": "/own.pem"}),
        ({}, "npm_config_registry=https://mirror/npm\n", "", {"npm_config_registry": "https://mirror/npm"}),
        ({}, 'PIP_INDEX_URL="https://mirror/simple"\n# UV_X=1\n', "", {"PIP_INDEX_URL": "https://mirror/simple", "UV_DEFAULT_INDEX": "https://mirror/simple"}),
        ({}, "export HTTPS_PROXY=http://proxy:3128\nLANG=C\n", "", {"HTTPS_PROXY": "http://proxy:3128"}),
        ({}, "", "[global]\nindex-url = https://mirror/simple\nextra-index-url = https://a\n  https://b\n",
         {"UV_DEFAULT_INDEX": "https://mirror/simple", "UV_INDEX": "https://a https://b"}),
        ({"UV_DEFAULT_INDEX": "https://uv"}, "", "[global]\nindex-url = https://pip\n", {"UV_DEFAULT_INDEX": "https://uv"}),
        ({"PIP_INDEX_URL": "https://near"}, "PIP_INDEX_URL=https://far", "", {"PIP_INDEX_URL": "https://near"}),
    ],
)  # fmt: skip
def test_index_environment(process: dict[str, str], etc_environment: str, pip_conf: str, expected: dict[str, str]) -> None:
    found = index_environment(process, etc_environment, pip_conf, BUNDLE)
    assert {key: found.get(key) for key in expected} == expected
    assert "LANG" not in found


def test_nothing_of_the_process_but_the_settings_is_taken() -> None:
    assert index_environment({"HOME": "/root", "VAULT_PASSWORD": "x", "UV_INDEX": "i"}, "", "", "") == {"UV_INDEX": "i"}


def test_masked_hides_the_password_of_a_url_alone_as_well() -> None:
    secrets = ["postgresql://u:p%40ss-word@host/db", "abcdef"]
    text = "refused p@ss-word, p%40ss-word, postgresql://u:p%40ss-word@host:6432/db, abcdef"
    assert masked(text, secrets) == "refused ********, ********, postgresql://u:********@host:6432/db, ********"
