# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the controller needs to reach its package sources, for its lab hosts to need the same.

In a company, TLS is often re-signed by a proxy with its own certificate authority, and packages come from mirrors. This
module reads those settings where their tools keep them and turns them into files of a host. No address is written here.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
BUNDLE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_STRATEGY",
    "UV_PYTHON_INSTALL_MIRROR",
)


@dataclass(frozen=True)
class Settings:
    """`files`: path on the host -> text. `environment`: variables for processes started from outside (docker exec)."""

    files: Mapping[str, str]
    environment: Mapping[str, str]


def collect(environ: Mapping[str, str], filesystem: Path = Path("/"), apt_dump: str | None = None) -> Settings:
    """Read the controller's settings. `apt_dump` is the output of `apt-config dump` (asked for when None)."""
    certificates = _company_certificates(environ, filesystem)
    environment = {name: value for name in PROXY_VARIABLES + INDEX_VARIABLES if (value := _reachable(environ.get(name, "")))}
    if certificates:
        environment |= dict.fromkeys(BUNDLE_VARIABLES, BUNDLE)
    pip = _pip_settings(environ, filesystem)
    files = {f"/usr/local/share/ca-certificates/controller-{n:03}.crt": f"{text}\n" for n, text in enumerate(certificates)}
    files["/etc/environment"] = _lines(f'{name}="{value}"' for name, value in sorted(environment.items()))
    files["/etc/pip.conf"] = _pip_file(pip, bool(certificates))
    files["/etc/uv/uv.toml"] = _uv_file(environ, pip, bool(certificates))
    files["/etc/apt/apt.conf.d/90controller"] = _apt_file(environ, _apt_dump() if apt_dump is None else apt_dump)
    return Settings({path: text for path, text in files.items() if text}, environment)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _reachable(value: str) -> str:
    """Drop what means something on the controller only: local folders and loopback addresses (word by word)."""
    local = ("file:", "/", "./", "~")
    return " ".join(word for word in value.split() if not word.startswith(local) and _host(word) not in LOOPBACK)


def _host(word: str) -> str:
    return (urlsplit(word).hostname or "") if "://" in word else ""


def _company_certificates(environ: Mapping[str, str], filesystem: Path) -> list[str]:
    """Certificates the controller trusts beyond the ones every Debian ships, in a stable order."""
    sources = [Path(environ[name]) for name in BUNDLE_VARIABLES if environ.get(name)]
    sources += sorted((filesystem / "usr/local/share/ca-certificates").glob("**/*.crt"))
    shipped = {text for path in (filesystem / "usr/share/ca-certificates").glob("**/*.crt") for text in _certificates(path)}
    trusted = dict.fromkeys(text for path in sources if path.is_file() for text in _certificates(path))
    return sorted(text for text in trusted if text not in shipped)


def _certificates(path: Path) -> list[str]:
    return [text.replace("\r", "") for text in CERTIFICATE.findall(path.read_text(errors="replace"))]


def _pip_settings(environ: Mapping[str, str], filesystem: Path) -> dict[str, str]:
    """pip's index settings: its files in pip's own order, then its variables."""
    home = Path(environ.get("HOME", "/nonexistent"))
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    paths = [filesystem / "etc/pip.conf", home / ".pip/pip.conf", config_home / "pip/pip.conf"]
    if environ.get("PIP_CONFIG_FILE"):
        paths.append(Path(environ["PIP_CONFIG_FILE"]))
    parser = configparser.RawConfigParser(strict=False)
    parser.read([path for path in paths if path.is_file()])
    settings: dict[str, str] = {}
    for key in ("index-url", "extra-index-url", "trusted-host"):
        written = parser.get("global", key, fallback=parser.get("install", key, fallback=""))
        if value := _reachable(environ.get(f"PIP_{key.replace('-', '_').upper()}") or written):
            settings[key] = value
    return settings


def _pip_file(pip: Mapping[str, str], own_certificates: bool) -> str:
    settings = dict(pip) | ({"cert": BUNDLE} if own_certificates else {})
    return "[global]\n" + _lines(f"{key} = {value}" for key, value in settings.items()) if settings else ""


def _uv_file(environ: Mapping[str, str], pip: Mapping[str, str], own_certificates: bool) -> str:
    """uv does not read pip's files; where it has no settings of its own it gets pip's, so that both see the same packages."""
    index = _reachable(environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or "") or pip.get("index-url", "")
    extra = _reachable(environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL") or "") or pip.get("extra-index-url", "")
    lines = ["system-certs = true"] if own_certificates else []
    lines += [f"index-url = {json.dumps(index)}"] if index else []
    lines += [f"extra-index-url = {json.dumps(extra.split())}"] if extra else []
    return _lines(lines)


def _apt_dump() -> str:
    if not shutil.which("apt-config"):
        return ""
    return subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout


def _apt_file(environ: Mapping[str, str], dump: str) -> str:
    """apt's proxies: apt's own setting, else the environment's (units and sudo would not see that one)."""
    lines = []
    for scheme in ("http", "https"):
        found = re.search(rf'^Acquire::{scheme}::Proxy "(.+)";$', dump, re.MULTILINE)
        proxy = _reachable(found[1] if found else environ.get(f"{scheme}_proxy", ""))
        if proxy:
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return _lines(lines)


def current() -> Settings:
    """The settings of this machine and this process."""
    return collect(os.environ)
