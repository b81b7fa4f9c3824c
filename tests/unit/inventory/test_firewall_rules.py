"""Who is let in by a rule of the firewall: the rendered lines of the packet filter, as literals."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles/firewall"


def lines(*rules: dict[str, Any], **inputs: Any) -> list[str]:
    """The lines of the rendered rules that open a port of the tests' own range (8000 to 8099)."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    own = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    trusted = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in own.items()}
    variables = {**defaults, **trusted, "ansible_managed": "managed", "firewall_rules": list(rules), **inputs}
    template = trust_as_template((ROLE / "templates/etc/slipway/firewall.nft.j2").read_text())
    rendered = str(Templar(DataLoader(), variables).template(template))
    return [line.strip() for line in rendered.splitlines() if "dport { 80" in line]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["any"], ['tcp dport { 8001 } counter accept comment "x"']),
        (["any", "192.0.2.1"], ['tcp dport { 8001 } counter accept comment "x"']),
        (["192.0.2.0/24"], ['ip saddr { 192.0.2.0/24 } tcp dport { 8001 } counter accept comment "x"']),
        (["2001:db8::/32"], ['ip6 saddr { 2001:db8::/32 } tcp dport { 8001 } counter accept comment "x"']),
        (
            ["2001:db8::1", "192.0.2.2", "192.0.2.1", "192.0.2.2"],
            [
                'ip saddr { 192.0.2.1, 192.0.2.2 } tcp dport { 8001 } counter accept comment "x"',
                'ip6 saddr { 2001:db8::1 } tcp dport { 8001 } counter accept comment "x"',
            ],
        ),
        ([], []),
    ],
)
def test_a_rule_lets_in_its_sources_and_nobody_else(sources: list[str], expected: list[str]) -> None:
    assert lines({"name": "x", "ports": [8001], "sources": sources}) == expected


def test_ports_and_protocol() -> None:
    rule = {"name": "names", "ports": [8053, 8054], "protocol": "udp", "sources": ["192.0.2.1"]}
    assert lines(rule) == ['ip saddr { 192.0.2.1 } udp dport { 8053, 8054 } counter accept comment "names"']
    assert lines({"name": "none", "ports": [], "sources": ["any"]}) == []


def test_ssh_is_a_rule_like_any_other() -> None:
    expected = ['ip6 saddr { fd00::/8 } tcp dport { 8022 } counter accept comment "ssh"']
    assert lines(firewall_ssh_port=8022, firewall_admin_sources=["fd00::/8"]) == expected
