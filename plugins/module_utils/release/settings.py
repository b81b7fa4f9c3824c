# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which package index and which certificate authorities a build uses: those the machine is configured for."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence

from ansible_collections.slipway.stack.plugins.module_utils.state import secrets

SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_TAKEN = re.compile(
    r"^(PIP_\w+|UV_\w+|(npm_config|NPM_CONFIG)_\w+|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|NODE_EXTRA_CA_CERTS"
    r"|(HTTP|HTTPS|ALL|NO)_PROXY|(http|https|all|no)_proxy)$"
)
# uv does not read pip's configuration; a machine that has only that shall be understood all the same.
_PIP_TO_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}


def index_environment(process: Mapping[str, str], etc_environment: str, pip_conf: str, system_bundle: str) -> dict[str, str]:
    """Environment of pip, uv and npm, from the strongest: this process, /etc/environment, pip.conf, the system's bundle."""
    found = _pip_settings(pip_conf)
    found.update({key: value for key, value in _assignments(etc_environment).items() if _TAKEN.match(key)})
    found.update({key: value for key, value in process.items() if _TAKEN.match(key)})
    if system_bundle:
        # pip, uv and npm bring their own list; a server trusts what its administrator put into the system's.
        for key in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
            found.setdefault(key, found.get("SSL_CERT_FILE") or found.get("PIP_CERT") or system_bundle)
    for pip_name, uv_name in _PIP_TO_UV.items():
        if pip_name in found:
            found.setdefault(uv_name, " ".join(found[pip_name].split()))
    return found


def masked(text: str, values: Sequence[str]) -> str:
    """`text` without these secrets; of a URL only password and token are one."""
    return str(secrets.mask(text, secrets.words_of_values(list(values)), "********"))


def _assignments(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        key, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and not key.startswith("#"):
            found[key.strip()] = value.strip().strip("\"'")
    return found


def _pip_settings(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}  # pip itself will name the fault
    return {
        f"PIP_{key.upper().replace('-', '_')}": value
        for section in ("global", "install")
        if parser.has_section(section)
        for key, value in parser.items(section)
    }
