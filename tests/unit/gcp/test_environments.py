# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an environment on Google Cloud is said before a request is sent: one message, each value with file and line."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.stack.plugins.action.validate_environment import ActionModule

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "inventories/examples").glob("*/group_vars/*.yml"))
GOOD: dict[str, Any] = yaml.safe_load("""
gcp_app: shop
gcp_environment: production
gcp_project: shop-production
gcp_project_number: "123456789012"
gcp_region: europe-west1
gcp_accounts: [{name: shop-run, roles: [roles/cloudsql.client]}]
gcp_network: {network: shop, subnetwork: run}
gcp_registry: {name: images, keep: 10}
gcp_run: {name: shop, service_account: shop-run, public: true, secrets: {DATABASE_URL: database-url}, env: {LEVEL: info},
          min_instances: 1, max_instances: 4}
gcp_sql: {name: shop-db, tier: db-custom-2-7680, databases: [shop], users: [{name: shop, secret: database-password}]}
gcp_secrets:
  - {name: database-password, generate: 32}
  - {name: database-url, dsn: {database: shop, user: shop}}
gcp_topics: [{name: orders, subscriptions: [{name: work, dead_letter_topic: dead}]}, {name: dead, subscriptions: [{name: kept}]}]
gcp_channels: [{name: mail, type: email, labels: {email_address: a@example.org}}]
gcp_alerts: [{name: slow, conditions: [{}], channels: [mail]}]
""")


def trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def said(given: dict[str, Any], operation: str = "deploy", name: str = "shop-production") -> list[str]:
    """The lines of the message, without the first; none when all is well."""
    loader = DataLoader()
    files = (ROOT / f"playbooks/gcp/vars/{name}.yml" for name in ("profiles", "defaults"))
    derived = [loader.load_from_file(str(file), trusted_as_template=True) for file in files]
    variables = {**derived[0], **derived[1], **trusted(given), "inventory_hostname": name}
    variables["groups"] = {"gcp": ["shop-production", "shop-staging"]}
    task = SimpleNamespace(args={"operation": operation}, async_val=0, check_mode=False, diff=False, action="validate_environment")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="unused"))
    action = ActionModule(task, connection, None, loader, Templar(loader=loader, variables=variables), None)
    result = action.run(task_vars=variables)
    return [line.removeprefix("- ") for line in str(result.get("msg", "")).splitlines()[1:]]


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with another value at `gcp_run.name` or `gcp_secrets.1.dsn.user`."""
    found = copy.deepcopy(GOOD)
    at: Any = found
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[int(last) if isinstance(at, list) else last] = value
    return found


def test_a_right_environment_is_accepted() -> None:
    assert said(GOOD) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parts[-3] + "-" + path.stem)
def test_the_examples_are_accepted(path: Path) -> None:
    # Values from outside come by lookups, which this process has not.
    content = {**yaml.safe_load(path.read_text()), "gcp_secret_values": {}}
    hosts = yaml.safe_load((path.parents[1] / "hosts.yml").read_text())
    environments = hosts["gcp"]["children"][path.stem]["hosts"]
    assert environments
    for name, values in environments.items():
        assert said({**content, **(values or {})}, "provision", name) == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("gcp_regoin", "x", "gcp_regoin is a name that nobody reads here; allowed: did you mean gcp_region?"),
        ("release_imgae", "x", "release_imgae is a name that nobody reads here; allowed: did you mean release_image?"),
        ("gcp_run.servce_account", "x", "gcp_run.servce_account is an unknown key; allowed: did you mean service_account?"),
        ("gcp_region", "europe-west1-b", "gcp_region is 'europe-west1-b'; allowed: a region, such as europe-west1 (not a zone)"),
        ("gcp_project", "Shop", "gcp_project is 'Shop'; allowed: a project's id"),
        ("gcp_environment", "prod", "gcp_environment is 'prod'; allowed: development, staging, production"),
        ("gcp_run.memory", "512", "gcp_run.memory is '512'; allowed: such as 512Mi or 2Gi"),
        (
            "gcp_run.ingress",
            "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
            "gcp_run.ingress is INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER; allowed:",
        ),
        ("gcp_run.public", False, "gcp_run.public is false, and nobody is named who may call the service; allowed: true, or gcp_imp"),
        ("gcp_redis", {"name": "r", "tier": "BASIC", "memory_size_gb": 1, "ca_secret": "x"}, "gcp_redis.ca_secret is 'x'; allowed: names"),
        ("gcp_run.port", 99999, "gcp_run.port is 99999; allowed: a port from 1 to 65535"),
        ("gcp_run.max_instances", "4", "gcp_run.max_instances is '4'; allowed: a whole number without quotes"),
        ("gcp_run.min_instances", 5, "gcp_run.min_instances is 5; allowed: at most max_instances, 4"),
        ("gcp_run.env", {"API_TOKEN": "x"}, "gcp_run.env.API_TOKEN is a plain value; allowed: for secrets: gcp_run.secrets"),
        ("gcp_run.secrets", {"X": "databse-url"}, "gcp_run.secrets is 'databse-url'; allowed: names out of gcp_secrets: database-password"),
        ("gcp_run.service_account", "shop-rnu", "gcp_run.service_account is 'shop-rnu'; allowed: names out of gcp_accounts: shop-run"),
        ("gcp_sql.tier", "db-f1-micro", "gcp_sql.tier is db-f1-micro; allowed: in production"),
        ("gcp_sql.backup_start", "25:00", "gcp_sql.backup_start is '25:00'; allowed"),
        ("gcp_sql.users.0.secret", "other", "gcp_sql.users[0].secret is 'other'; allowed: names out of gcp_secrets"),
        (
            "gcp_secrets.0",
            {"name": "database-password", "generate": 32, "encrypts": True, "max_age": "90d"},
            "gcp_secrets[0].max_age is '90d', while it encrypts data; allowed: nothing; a new key by age",
        ),
        ("gcp_secrets.1.dsn.user", "shp", "gcp_secrets[1].dsn.user is 'shp'; allowed: users of gcp_sql: shop"),
        ("gcp_secrets.1.dsn.database", "shp", "gcp_secrets[1].dsn.database is 'shp'; allowed: databases of gcp_sql: shop"),
        ("gcp_channels", [{"name": "mail", "type": "email", "labels": {}}] * 2, "gcp_channels is"),
        ("gcp_topics.0.subscriptions.0.dead_letter_topic", "ded", "gcp_topics[0].subscriptions[0].dead_letter_topic is 'ded'; allowed"),
        ("gcp_topics.1.subscriptions", [], "gcp_topics[1].subscriptions is missing; allowed: at least one, for what nobody"),
        ("gcp_alerts.0.channels", ["male"], "gcp_alerts[0].channels is 'male'; allowed: names out of gcp_channels: mail"),
        ("gcp_canary", {"steps": [50, 10]}, "gcp_canary.steps is [50, 10]; allowed: rising percents"),
        ("release_image", "shop:latest", "release_image is 'shop:latest'; allowed: NAME@sha256:DIGEST"),
        ("release_from", "shop-stagin", "release_from is 'shop-stagin'; allowed: shop-staging"),
        ("gcp_secret_values", {"x": "{{ nowhere }}"}, "gcp_secret_values is not to be resolved"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, sentence: str) -> None:
    found = said(changed(path, value))
    assert [line for line in found if line.startswith(sentence)], found
    assert len(found) == 1, found


def test_all_at_once_and_what_is_missing() -> None:
    given = changed("gcp_run.port", 0)
    del given["gcp_app"], given["gcp_run"]["service_account"]
    found = said(given)
    assert any(line.startswith("gcp_app is missing; allowed: text") for line in found)
    assert any(line.startswith("gcp_run.service_account is missing") for line in found)
    assert any(line.startswith("gcp_run.port is 0") for line in found)
    assert len(found) == 3, found


def test_another_project_of_the_shell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other")
    (line,) = said(GOOD)
    assert line.startswith("gcp_project is shop-production, but the environment says {'GOOGLE_CLOUD_PROJECT': 'other'}")


def test_a_secret_value_is_not_shown() -> None:
    found = said(changed("gcp_secret_values", "hunter2hunter2hunter2"))
    assert found and "hunter2" not in "".join(found)
