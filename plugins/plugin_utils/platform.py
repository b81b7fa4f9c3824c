# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The systems Slipway runs on, and the versions of what they bring: the one place that knows code names.

Roles ask for versions (`platform.nginx is version('1.25.1', '>=')`), so that a new system is one more row here. A virgin
host has nothing installed that could be asked, which is why this is a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = ("system", "tested", "systemd", "openssh", "openssl", "nginx", "postgresql", "pgbouncer", "pgbouncer_exporter", "redis", "python")
# From each distribution's package index. The exporter is prometheus-community's from 0.8 on; what came before reads no
# PgBouncer since 1.8, and is "0".
ROWS: dict[str, tuple[str, bool, str, str, str, str, str, str, str, str, str]] = {
    "bookworm": ("Debian 12", True, "252", "9.2", "3.0", "1.22.1", "15", "1.18", "0", "7.0", "3.11"),
    "trixie": ("Debian 13", True, "257", "10.0", "3.5", "1.26.3", "17", "1.24", "0.10", "8.0", "3.13"),
    "jammy": ("Ubuntu 22.04", False, "249", "8.9", "3.0", "1.18.0", "14", "1.16", "0", "6.0", "3.10"),
    "noble": ("Ubuntu 24.04", False, "255", "9.6", "3.0", "1.24.0", "16", "1.22", "0", "7.0", "3.12"),
}

WITHOUT_CERTBOT_DNS: dict[str, tuple[str, ...]] = {
    "bookworm": ("desec", "infomaniak"),
    "trixie": ("digitalocean", "dnsimple", "gandi", "gehirn", "linode", "ovh", "sakuracloud"),
}
"""Plugins of certbot that a system has no package python3-certbot-dns-NAME of; for a system that is not here, apt says so."""


class PlatformError(ValueError):
    """The system is none that Slipway knows; the message lists those it does."""


def known() -> str:
    """The systems as people read them: `Debian 12, Debian 13, Ubuntu 22.04 (untested), ...`."""
    return ", ".join(row[0] + ("" if row[1] else " (untested)") for row in ROWS.values())


def platform(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Versions by the columns' names, for the system that `ansible_facts` describe. Raises PlatformError."""
    release = str(facts.get("distribution_release", ""))
    if release not in ROWS:
        system = f"{facts.get('distribution', 'an unknown system')} {facts.get('distribution_version', '')}".strip()
        raise PlatformError(f"the host runs {system}; allowed: {known()}")
    row = dict(zip(COLUMNS, ROWS[release], strict=True))
    return {"release": release, **row, "without_certbot_dns": list(WITHOUT_CERTBOT_DNS.get(release, ()))}
