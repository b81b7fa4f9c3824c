"""Kinds of values: what passes, and a word of what is said of the rest."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.plugin_utils import kinds
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GOOD: list[tuple[str, Any, dict[str, Any]]] = [
    ("port", 5432, {}),
    ("address", "10.0.0.5", {}),
    ("address", "fd00::5", {}),
    ("network", "198.51.100.0/24", {}),
    ("network", "0.0.0.0/0", {}),
    ("network", "any", {"words": ["any"]}),
    ("listen_address", "[::]", {}),
    ("listen_address", "10.0.0.2", {}),
    ("endpoint", "[2001:db8::5]:8000", {}),
    ("host_name", "api.example.com", {}),
    ("host_name", "*.example.com", {"wildcard": True}),
    ("host_name", "a" * 40 + "." + "b" * 28 + ".com", {}),
    ("url", "https://api.example.org/health", {}),
    ("url", "ssh://git@example.org/x.git", {"schemes": ["ssh"], "credentials": True}),
    ("account", "shop-2", {}),
    ("identifier", "shop_app", {}),
    ("environment_name", "LOG_LEVEL", {}),
    ("environment_value", 3, {}),
    ("environment_value", "postgresql://u:p%40ss@[fd00::1]:5432/d?x=a@b", {}),
    ("environment_value", "https://example.org:8443/path?mail=a@b.org", {}),
    ("header_value", "frame-ancestors 'none'; base-uri 'self'", {}),
    ("regular_expression", "^postgres", {}),
    ("module_attribute", "shop.main:create_app()", {}),
    ("mode", "0750", {}),
    ("own_folder", "/srv/models", {}),
    ("own_folder", "/var/lib/shop/uploads", {}),
    ("absolute_path", "/etc/letsencrypt", {}),
    ("served_folder", "/opt/shop/current/static", {}),
    ("origin", "https://app.example.com:8443", {}),
    ("origin", "*", {}),
    ("password_hash", "$6$salt$" + "a" * 86, {}),
    ("nginx_directive", "location ~ ^/v[0-9]{1,2}/ { return 204; }", {}),
    ("nginx_directive", "rewrite ^/old$ /new#top permanent;", {}),
    ("relative_path", "services/api", {}),
    ("url_path", "/health/ready", {}),
    ("memory_limit", "512M", {}),
    ("memory_limit", "", {}),
    ("body_size", "10m", {}),
    ("time_span", "1h 30min", {}),
    ("calendar", "daily", {}),
    ("calendar", "*-*-* 02:00:00", {}),
    ("calendar", "Mon..Fri 03:30", {}),
    ("calendar", "Sun *-*-1..7 04:00", {}),
    ("calendar", "Monday 03:30 Europe/Berlin", {}),
    ("calendar", "*-2-29 03:30", {}),
    ("calendar", "*-*-01/2 02:00", {}),
    ("clock_time", "04:30", {}),
    ("plain_secret", "p@ss/w:rd#%41 x", {}),
]
BAD: list[tuple[str, Any, dict[str, Any], str]] = [
    ("port", 0, {}, "1 to 65535"),
    ("served_folder", "/etc/shop", {}, "nothing but what everybody may read"),
    ("served_folder", "/var/lib", {}, "belongs to the system"),
    ("served_folder", "/home", {}, "belongs to the system"),
    ("served_folder", "/home/anna/site", {}, "not one below /home"),
    ("served_folder", "/srv/../etc", {}, "without .."),
    ("served_folder", "/srv/a;b", {}, "letters, digits"),
    ("origin", "https://app.example.com/", {}, "no path"),
    ("origin", "app.example.com", {}, "https://app.example.com"),
    ("password_hash", "secret", {}, "not the password"),
    ("nginx_directive", "return 204; } server {", {}, "as many { as }"),
    ("nginx_directive", "location /x { return 204;", {}, "as many { as }"),
    ("nginx_directive", "add_header X y", {}, "ends with ; or }"),
    ("nginx_directive", "return 204; # never", {}, "without comments"),
    ("port", 70000, {}, "1 to 65535"),
    ("port", "abc", {}, "1 to 65535"),
    ("address", "0.0.0.0", {}, "not that of all"),
    ("address", "10.0.0", {}, "an IPv4 or IPv6 address"),
    ("network", "office.example.org", {}, "an address or a network"),
    ("network", "198.51.100.0/33", {}, "an address or a network"),
    ("network", "0.0.0.0", {}, "0.0.0.0/0 for everybody"),
    ("listen_address", "::", {}, "in brackets"),
    ("endpoint", "10.0.0.5", {}, "with a port"),
    ("host_name", "a; include /etc/passwd", {}, "a host name"),
    ("host_name", "a..b", {}, "a host name"),
    ("host_name", "münchen.example", {}, "xn--mnchen-3ya.example"),
    ("url", "ftp://x/", {}, "https:// or http://"),
    ("url", "api.example.org/health", {}, "https:// or http://"),
    ("url", "https://oauth2:token@git.example.org/x.git", {}, "without user and password"),
    ("account", "root", {}, "belongs to the system"),
    ("account", "ssh", {}, "belongs to the system"),
    ("account", "Shop", {}, "small letters"),
    ("account", "my shop", {}, "small letters"),
    ("account", "../../etc", {}, "small letters"),
    ("label", "high prio", {}, "letters, digits"),
    ("label", "a/b", {}, "letters, digits"),
    ("identifier", "Shop", {}, "small letters"),
    ("identifier", "s" * 70, {}, "at most 63"),
    ("identifier", "pg_x", {}, "reserved"),
    ("environment_name", "PORT", {}, "each instance has its port"),
    ("environment_name", "PYTHONHOME", {}, "set by the unit"),
    ("environment_name", "LOG-LEVEL", {}, "letters, digits and _"),
    ("environment_name", "A\nB", {}, "letters, digits and _"),
    ("environment_value", False, {}, 'in quotes, "false"'),
    ("environment_value", ["a"], {}, "in the form that the application reads"),
    ("environment_value", "postgresql://u:p@ss@h:5432/d", {}, "percent-encoded"),
    ("environment_value", "postgresql://u:p/ss@h:5432/d", {}, "percent-encoded"),
    ("environment_value", "redis://u:p#ss@h:6379/0", {}, "percent-encoded"),
    ("one_line", "a\nb", {}, "one line"),
    ("setting", None, {}, "a value"),
    ("setting", ["a"], {}, "one value"),
    ("setting", "a\nb", {}, "one line"),
    ("address", "fe80::1%eth0", {}, "without a zone"),
    ("login", "my user", {}, "the name of an account"),
    ("plain_secret", "secret\n", {}, "newline at its end"),
    ("plain_secret", "pässword", {}, "ASCII"),
    ("header_value", 'a" always; #', {}, "double quotes"),
    ("regular_expression", "(", {}, "regular expression"),
    ("module_attribute", "shop.main", {}, "module:attribute"),
    ("module_attribute", "shop/main.py:app", {}, "module:attribute"),
    ("mode", 488, {}, "quoted octal"),
    ("own_folder", "/var", {}, "belongs to the system"),
    ("own_folder", "/etc", {}, "belongs to the system"),
    ("own_folder", "/usr/share/x", {}, "belongs to the system"),
    ("own_folder", "data", {}, "absolute"),
    ("absolute_path", "/var/../etc/shadow", {}, "without .."),
    ("relative_path", "../..", {}, "stays inside"),
    ("url_path", "metrics", {}, "begins with /"),
    ("memory_limit", "1GiB", {}, "512M"),
    ("memory_limit", "512", {}, "512M"),
    ("memory_limit", "1M", {}, "at least 32M"),
    ("body_size", "10MB", {}, "such as 10m"),
    ("time_span", "10 Minuten", {}, "10min"),
    ("calendar", "0 2 * * *", {}, "cron's five fields"),
    ("calendar", "every day at two", {}, "calendar form"),
    ("calendar", "", {}, "calendar form"),
    ("calendar", "25:00", {}, "calendar form"),
    ("calendar", "*-*-32 02:00", {}, "calendar form"),
    ("calendar", "*-02-30 02:00", {}, "calendar form"),
    ("calendar", "Mon *-13-01 02:00", {}, "calendar form"),
    ("calendar", "Monady 03:00", {}, "calendar form"),
    ("calendar", "2020-01-01 03:00", {}, "2020 is over"),
    ("calendar", "03:00 Europe/Berln", {}, "a time zone that is known"),
    ("memory_limit", "9999999T", {}, "at most 64T"),
    ("kept_folder", "/var/tmp/backups", {}, "that nothing cleans"),
    ("header_value", None, {}, "no such line"),
    ("header_value", True, {}, "a text in quotes"),
    ("kept_folder", "/etc", {}, "belongs to the system"),
    ("body_size", "99999999999g", {}, "below 8 EiB"),
    ("network", "fe80::1%eth0", {}, "without a zone"),
    ("clock_time", "25:99", {}, "00:00 to 23:59"),
]


@pytest.mark.parametrize(("kind", "value", "more"), GOOD)
def test_what_passes(kind: str, value: Any, more: dict[str, Any]) -> None:
    assert kinds.KINDS[kind](value, **more) == ""


@pytest.mark.parametrize(("kind", "value", "more", "word"), BAD)
def test_what_is_refused_says_what_is_allowed(kind: str, value: Any, more: dict[str, Any], word: str) -> None:
    assert word in kinds.KINDS[kind](value, **more)


def test_every_calendar_that_passes_is_systemds() -> None:
    """The pattern is ours; the program that reads it is the judge."""
    good = [str(value) for kind, value, _more in GOOD if kind == "calendar"]
    done = subprocess.run(["systemd-analyze", "calendar", *good], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- keys --------------------------------------------------------------------------------------------------------------


def ssh_key(folder: Path, *options: str) -> str:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "a@b", "-f", str(folder / "key"), *options], check=True)
    return (folder / "key.pub").read_text().strip()


def test_ssh_keys(tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "-t", "ed25519")
    assert kinds.ssh_public_key(key) == ""
    assert kinds.ssh_public_key(f'from="198.51.100.7" {key}') == ""
    assert kinds.ssh_public_key(f'from="198.51.100.7, 10.0.0.0/8",no-port-forwarding {key}') == ""
    assert kinds.ssh_public_key(f'frm="198.51.100.7" {key}').endswith("; not frm")
    assert kinds.ssh_public_key(f'command="/bin/x, y" {key}').endswith("; not command")
    kind, blob, name = key.split()
    for broken in (f"{kind} {blob[:30]} {name}", f"{kind} {blob[:-6]}", f"{kind} {blob[:20]}\n{blob[20:]}"):
        assert kinds.ssh_public_key(broken) != ""
    assert "private" in kinds.ssh_public_key((tmp_path / "key").read_text())
    assert "the key itself" in kinds.ssh_public_key("~/.ssh/id_ed25519.pub")


@pytest.mark.parametrize(("bits", "accepted"), [("2048", False), ("3072", True)])
def test_an_rsa_key_that_sshd_refuses(bits: str, accepted: bool, tmp_path: Path) -> None:
    said = kinds.ssh_public_key(ssh_key(tmp_path, "-t", "rsa", "-b", bits))
    assert (said == "") is accepted, said
    assert accepted or f"this one has {bits}" in said


# -- certificates ------------------------------------------------------------------------------------------------------


class Authority:
    """Makes certificates, each with its key in PEM."""

    def __init__(self, name: str, issuer: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = (issuer or self)._sign(self.name, self.key.public_key(), [], 1, 30)

    def _sign(self, name: x509.Name, public: Any, names: list[str], begin: int, days: int, usage: Any = None) -> str:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=begin)).not_valid_after(now + timedelta(days=days))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(item) for item in names]), False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def leaf(self, *names: str, begin: int = 1, days: int = 30, passphrase: bytes = b"", usage: Any = None) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode()
        return self._sign(subject, key.public_key(), list(names), begin, days, usage), pem


ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)


def test_a_whole_chain_for_the_name_passes() -> None:
    leaf, key = MIDDLE.leaf("api.example.org", "*.example.com")
    assert kinds.certificate_chain(leaf + MIDDLE.pem) == ""
    assert kinds.private_key(key) == ""
    assert kinds.certificate_problems(leaf + MIDDLE.pem, key, ["api.example.org", "x.example.com"]) == []


def test_a_self_signed_certificate_is_a_chain_of_one() -> None:
    assert kinds.certificate_chain(ROOT.pem) == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (MIDDLE.leaf("a", begin=60, days=-1)[0] + MIDDLE.pem, "expired on"),
        (MIDDLE.leaf("a", begin=-2)[0] + MIDDLE.pem, "is so from"),
        (MIDDLE.pem + MIDDLE.leaf("a")[0], "the host's own first"),
        ("".join(MIDDLE.leaf("a")), "the private key in it would be readable by everybody"),
        ("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "that can be read"),
        ("/etc/ssl/x.pem", "not its path"),
        ("", "the contents of a PEM file"),
    ],
)
def test_a_certificate_that_clients_would_refuse(text: str, word: str) -> None:
    assert word in kinds.certificate_chain(text)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["api.example.org"], ["its chain is missing: add the certificates of its issuer, CN=middle"]),
        (["www.example.org"], ["it is for api.example.org, not for www.example.org", "its chain is missing"]),
    ],
)
def test_a_leaf_alone(names: list[str], words: list[str]) -> None:
    leaf, key = MIDDLE.leaf("api.example.org")
    found = kinds.certificate_problems(leaf, key, names)
    assert len(found) == len(words)
    assert [word for word, said in zip(words, found, strict=True) if word not in said] == []


def test_the_key_of_another_certificate() -> None:
    leaf, _key = MIDDLE.leaf("a")
    assert kinds.certificate_problems(leaf + MIDDLE.pem, MIDDLE.leaf("a")[1], ["a"]) == ["the key belongs to another certificate"]


def test_a_key_that_openssl_finds_too_small() -> None:
    small = rsa.generate_private_key(65537, 1024)
    pem = small.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    certificate = MIDDLE._sign(MIDDLE.name, small.public_key(), ["a"], 1, 30)
    assert "this one has 1024" in kinds.private_key(pem)
    assert "this one has 1024" in kinds.certificate_chain(certificate)


def test_a_certificate_that_is_for_clients_alone() -> None:
    leaf, key = MIDDLE.leaf("a", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    assert kinds.certificate_problems(leaf + MIDDLE.pem, key, ["a"]) == ["it is not for servers (serverAuth is missing)"]
    leaf, key = MIDDLE.leaf("a", usage=ExtendedKeyUsageOID.SERVER_AUTH)
    assert kinds.certificate_problems(leaf + MIDDLE.pem, key, ["a"]) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (MIDDLE.leaf("a", passphrase=b"x")[1], "without a passphrase"),
        ("/etc/x.key", "not its path"),
        ("-----BEGIN PRIVATE KEY-----\nx", "can be read"),
    ],
)
def test_a_key_that_no_service_could_use(text: str, word: str) -> None:
    assert word in kinds.private_key(text)
