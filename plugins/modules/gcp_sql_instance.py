#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_sql_instance
short_description: Cloud SQL instances
description:
  - Creates, changes and deletes a Cloud SQL instance.
  - Says before the change, also in check mode, whether the instance will restart, and why (RV(restart)).
version_added: 0.1.0
author: Slipway maintainers (@slipway)
extends_documentation_fragment: slipway.stack.gcp
options:
  name: {description: The instance's name. A deleted instance's name is free again at once., type: str, required: true}
  state: {description: Whether the instance exists., type: str, choices: [present, absent], default: present}
  database_version: {description: Such as V(POSTGRES_16). A higher one upgrades in place., type: str}
  edition:
    description: Edition. Tiers named db-custom need V(ENTERPRISE) from PostgreSQL 16 on.
    type: str
    choices: [ENTERPRISE, ENTERPRISE_PLUS]
  tier: {description: Machine type such as V(db-custom-2-7680)., type: str}
  availability_type: {description: V(REGIONAL) keeps a standby in another zone., type: str, choices: [ZONAL, REGIONAL]}
  activation_policy: {description: V(NEVER) stops the instance., type: str, choices: [ALWAYS, NEVER]}
  master_instance_name: {description: Makes a read replica of this instance., type: str}
  disk_size_gb: {description: Disk size. It can grow only; with O(disk_autoresize) it is the least size., type: int}
  disk_type: {description: Disk type. Cannot change later., type: str, choices: [PD_SSD, PD_HDD]}
  disk_autoresize: {description: Grow the disk when it fills up., type: bool}
  disk_autoresize_limit: {description: Largest size for that in GB; 0 means no limit., type: int}
  database_flags:
    description: Database flags. Flags that are not named stay as they are; a flag with an empty value (C(null)) is taken away.
    type: dict
  backup_enabled: {description: Daily backups., type: bool}
  backup_start_time: {description: 'Start of the daily backup in UTC, such as V(03:00).', type: str}
  backup_location: {description: Where backups are kept., type: str}
  backup_retained: {description: How many daily backups are kept., type: int}
  point_in_time_recovery: {description: Keep the transaction log for recovery to any moment., type: bool}
  transaction_log_retention_days: {description: For how many days., type: int}
  maintenance_day: {description: Day of the maintenance window; 1 is Monday and 7 Sunday., type: int}
  maintenance_hour: {description: Hour of the maintenance window in UTC., type: int}
  maintenance_track: {description: How early updates come., type: str, choices: [canary, stable, week5]}
  query_insights: {description: Query insights., type: bool}
  ipv4_enabled: {description: A public address., type: bool}
  private_network: {description: 'VPC for a private address, C(projects/P/global/networks/N).', type: str}
  ssl_mode:
    description: Which connections are taken.
    type: str
    choices: [ALLOW_UNENCRYPTED_AND_ENCRYPTED, ENCRYPTED_ONLY, TRUSTED_CLIENT_CERTIFICATE_REQUIRED]
  authorized_networks: {description: 'All networks that may reach the public address, C(NAME=CIDR).', type: dict}
  connector_enforcement: {description: Take connections through Cloud SQL connectors alone., type: str, choices: [REQUIRED, NOT_REQUIRED]}
  deletion_protection: {description: Refuse to delete the instance., type: bool}
  retain_backups_on_delete: {description: Keep backups when the instance is deleted., type: bool}
  root_password: {description: Password of the built-in administrator. Used when the instance is made and never later., type: str}
  labels: {description: All labels; one that is not named is removed., type: dict}
"""

EXAMPLES = r"""
- name: The production database
  slipway.stack.gcp_sql_instance:
    project: demo
    region: us-central1
    name: mass-db
    database_version: POSTGRES_16
    edition: ENTERPRISE
    tier: db-custom-2-7680
    availability_type: REGIONAL
    database_flags: {max_connections: 100}
    backup_enabled: true
    backup_start_time: "03:00"
    point_in_time_recovery: true
    maintenance_day: 7
    maintenance_hour: 4
    ipv4_enabled: false
    private_network: projects/demo/global/networks/default
    deletion_protection: true
"""

RETURN = r"""
resource: {description: The instance as the API shows it; in check mode as it would be., type: dict, returned: always}
restart: {description: 'What makes the instance restart, or an empty list.', type: list, elements: str, returned: on a change}
writes: {description: The requests that were or would be sent., type: list, elements: str, returned: always}
"""

from typing import Any

from ansible_collections.slipway.stack.plugins.module_utils.gcp.client import Client, GcpError, Write
from ansible_collections.slipway.stack.plugins.module_utils.gcp.resource import Field, Resource, at, run, self_link, without

RESTARTING = {
    "settings.tier": "tier",
    "settings.edition": "edition",
    "databaseVersion": "database_version",
    "settings.availabilityType": "availability_type",
    "settings.ipConfiguration.privateNetwork": "private_network",
}


def restart(client: Client, live: dict[str, Any] | None, predicted: dict[str, Any] | None) -> dict[str, Any]:
    """Google's own list of flags says which of them need a restart."""
    if live is None or predicted is None:
        return {}
    reasons = [option for path, option in RESTARTING.items() if at(live, path) != at(predicted, path)]
    before, after = ({flag["name"]: flag["value"] for flag in at(side, "settings.databaseFlags") or []} for side in (live, predicted))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    if changed:
        known = client.items("sqladmin", "sql/v1beta4/flags", "items", {"databaseVersion": live["databaseVersion"]})
        reasons += sorted(f"database_flags.{flag['name']}" for flag in known if flag["name"] in changed and flag.get("requiresRestart"))
    return {"restart": reasons}


def flags(values: dict[str, Any]) -> list[dict[str, Any]]:
    """`on` and `off` are what YAML reads as true and false."""

    def word(value: Any) -> str | None:
        # 0 and 1 equal false and true, but are numbers.
        return ("on" if value else "off") if isinstance(value, bool) else None if value is None else str(value)

    return [{"name": name, "value": word(value)} for name, value in values.items()]


def grown(want: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
    """A disk never shrinks; where it grows by itself the size that is asked for is the least one."""
    size, now = at(want, "settings.dataDiskSizeGb"), at(live, "settings.dataDiskSizeGb")
    if size is None or now is None or int(now) <= int(size):
        return want
    by_itself = at(want, "settings.storageAutoResize")
    if at(live, "settings.storageAutoResize") if by_itself is None else by_itself:
        return without(want, "settings.dataDiskSizeGb")
    raise GcpError(f"disk_size_gb is {now} and cannot become {size}: a disk never shrinks. Write {now}, or disk_autoresize: true")


INSTANCE = Resource(
    documentation=DOCUMENTATION,
    api="sqladmin",
    path="sql/v1beta4/projects/{project}/instances/{name}",
    create=Write("POST", "sql/v1beta4/projects/{project}/instances"),
    initial={"name": "{name}"},
    update="merge",
    etag="settings.settingsVersion",
    pending=lambda live: live.get("state") in ("PENDING_CREATE", "MAINTENANCE"),
    explain=restart,
    adapt=grown,
    fields={
        "region": Field("region", immutable=True),
        "database_version": Field(),
        "master_instance_name": Field(immutable=True, normalise=lambda name: str(name).rpartition(":")[2]),
        "root_password": Field(write_only=True, secret=True),
        "edition": Field("settings.edition"),
        "tier": Field("settings.tier"),
        "availability_type": Field("settings.availabilityType"),
        "activation_policy": Field("settings.activationPolicy"),
        "disk_size_gb": Field("settings.dataDiskSizeGb", convert=str),
        "disk_type": Field("settings.dataDiskType", immutable=True),
        "disk_autoresize": Field("settings.storageAutoResize"),
        "disk_autoresize_limit": Field("settings.storageAutoResizeLimit", convert=str),
        "database_flags": Field("settings.databaseFlags", convert=flags, key="name", merge=True),
        "backup_enabled": Field("settings.backupConfiguration.enabled"),
        "backup_start_time": Field("settings.backupConfiguration.startTime"),
        "backup_location": Field("settings.backupConfiguration.location"),
        "backup_retained": Field("settings.backupConfiguration.backupRetentionSettings.retainedBackups"),
        "point_in_time_recovery": Field("settings.backupConfiguration.pointInTimeRecoveryEnabled"),
        "transaction_log_retention_days": Field("settings.backupConfiguration.transactionLogRetentionDays"),
        "maintenance_day": Field("settings.maintenanceWindow.day"),
        "maintenance_hour": Field("settings.maintenanceWindow.hour"),
        "maintenance_track": Field("settings.maintenanceWindow.updateTrack"),
        "query_insights": Field("settings.insightsConfig.queryInsightsEnabled"),
        "ipv4_enabled": Field("settings.ipConfiguration.ipv4Enabled"),
        "private_network": Field("settings.ipConfiguration.privateNetwork", normalise=self_link),
        "ssl_mode": Field("settings.ipConfiguration.sslMode"),
        "authorized_networks": Field(
            "settings.ipConfiguration.authorizedNetworks",
            key="name",
            convert=lambda nets: [{"name": name, "value": net} for name, net in nets.items()],
        ),
        "connector_enforcement": Field("settings.connectorEnforcement"),
        "deletion_protection": Field("settings.deletionProtectionEnabled"),
        "retain_backups_on_delete": Field("settings.retainBackupsOnDelete"),
        "labels": Field("settings.userLabels", exact=True),
    },
)


def main() -> None:
    run(INSTANCE)


if __name__ == "__main__":
    main()
