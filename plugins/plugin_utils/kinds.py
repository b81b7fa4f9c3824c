# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kinds of values, for what a type cannot say: each function takes a value and returns what is wrong, or an empty text.

`roles/<role>/meta/checks.yml` names them: `nginx_sites[].redirects[]: {kind: host_name}`. Further keys there are the function's
keyword arguments. The text that comes back says what is allowed; a text that begins with "is" says what the value is instead.
"""

from __future__ import annotations

import base64
import binascii
import calendar as calendar_module
import ipaddress
import itertools
import re
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.slipway.stack.plugins.module_utils.state import sandbox

Kind = Callable[..., str]
KINDS: dict[str, Kind] = {}

_SYSTEM_ACCOUNTS = (
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc _apt nobody systemd-network systemd-timesync "
    "messagebus sshd ssh postgres redis nginx pgbouncer prometheus admin adm sudo wheel shadow utmp staff users disk kmem tty docker "
    "operator celery-flower slipway systemd journal fail2ban nftables"
)
SYSTEM_ACCOUNTS = frozenset(_SYSTEM_ACCOUNTS.split())
_SYSTEM_FOLDERS = (
    "/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin /usr/lib /usr/local "
    "/usr/sbin /usr/share /var /var/backups /var/cache /var/lib /var/lock /var/log /var/mail /var/opt /var/run /var/spool /var/tmp"
)
SYSTEM_FOLDERS = _SYSTEM_FOLDERS.split()
CLOSED_FOLDERS = ("/bin", "/boot", "/dev", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr")
"""Where nothing of an application's own belongs, at any depth."""
RESERVED_ENVIRONMENT = frozenset(
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "PYTHONHOME", "VIRTUAL_ENV", "PORT", "LD_PRELOAD", "LD_LIBRARY_PATH"]
)


def kind(function: Kind) -> Kind:
    """Make a function a kind, by its own name."""
    KINDS[function.__name__] = function
    return function


def _text(value: Any) -> str:
    return str(value)


# -- networks ----------------------------------------------------------------------------------------------------------


@kind
def port(value: Any) -> str:
    """A TCP or UDP port."""
    return "" if re.fullmatch(r"\d{1,5}", _text(value)) and 0 < int(value) < 65536 else "a port from 1 to 65535"


@kind
def address(value: Any) -> str:
    """An IPv4 or IPv6 address of one host."""
    try:
        found = ipaddress.ip_address(_text(value))
    except ValueError:
        return "an IPv4 or IPv6 address, such as 10.0.0.5"
    if "%" in _text(value):
        return "an address that other hosts can use: without a zone (%...)"
    return "the address of one host, not that of all" if found.is_unspecified or found.is_multicast else ""


@kind
def network(value: Any, words: Sequence[str] = ()) -> str:
    """An address or a network; `words` are allowed besides."""
    if _text(value) in words:
        return ""
    also = "".join(f" or {word}" for word in words)
    allowed = f"an address or a network, such as 198.51.100.0/24 or 2001:db8::/32{also}"
    try:
        found = ipaddress.ip_network(_text(value), strict=False)
    except ValueError:
        return allowed
    if "%" in _text(value):
        return "an address or a network without a zone (%...)"
    if found.network_address.is_unspecified and found.prefixlen in (32, 128):
        return f"{found.network_address}/0 for everybody, or {allowed}"
    return ""


@kind
def listen_address(value: Any) -> str:
    """What nginx may bind: *, an IPv4 address, or an IPv6 address in brackets."""
    text = _text(value)
    if text in ("*", "[::]"):
        return ""
    allowed = '"*", "10.0.0.2" or, in brackets, "[::]"'
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return allowed
    return "" if (found.version == 6) == (bare != text) else allowed


@kind
def endpoint(value: Any) -> str:
    """An address or a name, with a port."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", _text(value))
    return "" if match and 0 < int(match[2]) < 65536 else "an address with a port, such as 10.0.0.5:8000 or [2001:db8::5]:8000"


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


@kind
def host_name(value: Any, wildcard: bool = False) -> str:
    """A DNS name in letters of ASCII."""
    text = _text(value)
    if not text.isascii():
        try:
            return f"its ASCII form, {text.encode('idna').decode()}"
        except UnicodeError:
            pass
    pattern = (r"(\*\.)?" if wildcard else "") + rf"{_LABEL}(\.{_LABEL})*"
    if re.fullmatch(pattern, text) and len(text) <= 253:
        return ""
    return "a host name, such as api.example.com" + (" or *.example.com" if wildcard else "")


@kind
def host(value: Any) -> str:
    """A host name or an address."""
    return "" if not address(value) or not host_name(value) else "a host name or an address"


@kind
def url(value: Any, schemes: Sequence[str] = ("https", "http"), credentials: bool = False) -> str:
    """A URL with one of the schemes, without a user and password unless `credentials`."""
    text = _text(value)
    try:
        parts = urlsplit(text)
        host_part, _port = parts.hostname, parts.port
    except ValueError:
        return f"a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}"
    if parts.scheme not in schemes or not host_part or re.search(r"\s", text):
        return f"a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}"
    if not credentials and (parts.password is not None or "@" in parts.netloc):
        return "a URL without user and password: secrets belong into a variable of their own"
    return ""


# -- names and texts ---------------------------------------------------------------------------------------------------


@kind
def one_line(value: Any) -> str:
    """A text without line ends and other control characters."""
    return "one line of text, without control characters" if re.search(r"[\x00-\x1f\x7f]", _text(value)) else ""


@kind
def setting(value: Any) -> str:
    """The value of a setting in a program's own file: one line, and a single value."""
    if value is None:
        return "a value; remove the line for the program's default"
    if isinstance(value, (list, tuple, dict)):
        return "one value, as the program reads it: a text in quotes"
    return one_line(value)


@kind
def plain_secret(value: Any) -> str:
    """A secret that every program and every file takes as it is."""
    text = _text(value)
    if one_line(text):
        return "one line without a newline at its end (a block text with | has one)"
    return "" if text.isascii() else "letters, digits and punctuation of ASCII"


@kind
def account(value: Any) -> str:
    """A name for a system user, which names units and folders too; none that the system or Slipway has."""
    text = _text(value)
    if text in SYSTEM_ACCOUNTS or text.startswith("systemd-"):
        return "a name of its own; that one belongs to the system"
    return "" if re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", text) else "small letters, digits, - and _, beginning with a letter, at most 31"


@kind
def login(value: Any) -> str:
    """The name of an account that ssh logs in to."""
    return "" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", _text(value)) else "the name of an account"


@kind
def label(value: Any) -> str:
    """A name that becomes part of a unit or a file."""
    return "" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", _text(value)) else "letters, digits, - and _, at most 63"


@kind
def words(value: Any) -> str:
    """A name for people: letters, digits, blanks and a few marks."""
    return "" if re.fullmatch(r"[A-Za-z0-9_. -]{1,100}", _text(value)) else "letters, digits, blanks, _ . and -"


@kind
def identifier(value: Any, reserved: Sequence[str] = ()) -> str:
    """A name of PostgreSQL that needs no quotes, so that every program finds it."""
    text = _text(value)
    if text in reserved or text.startswith("pg_"):
        return "a name of its own; that one is reserved"
    return (
        "" if re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", text) else "small letters, digits, _ and -, beginning with a letter or _, at most 63"
    )


@kind
def environment_name(value: Any) -> str:
    """The name of an environment variable that is the application's own."""
    text = _text(value)
    if text in RESERVED_ENVIRONMENT:
        return "a name of the application's own: this one is set by the unit" + (" (each instance has its port)" if text == "PORT" else "")
    return "" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) else "letters, digits and _, not beginning with a digit"


@kind
def environment_value(value: Any) -> str:
    """A text or a number: what YAML makes of other things is not what a program expects in its environment."""
    if isinstance(value, bool):
        return f'text in quotes, "{str(value).lower()}" or what the application reads: YAML makes a truth of a bare yes, no, on, off'
    if isinstance(value, (list, tuple, dict)):
        return 'text in quotes, in the form that the application reads, such as \'["a", "b"]\' or a,b'
    if value is None:
        return 'text; "" for an empty one'
    if "\0" in _text(value):
        return "text without NUL"
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", _text(value))
    if url and (url[1].count("@") > 1 or not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:\d*)?(,.*)?", url[1].rpartition("@")[2])):
        return "a URL whose user and password are percent-encoded; slipway.stack.connection does that"
    return ""


@kind
def sandbox_exception(value: Any) -> str:
    """A part of the sandbox that a unit may leave out."""
    known = [*sandbox.DIRECTIVES, *sandbox.REFUSED_CALLS]
    if value in known:
        return ""
    near = get_close_matches(_text(value), known, n=1)
    return f"a part of the sandbox: {', '.join(known)}" + (f" (did you mean {near[0]}?)" if near else "")


@kind
def reason(value: Any) -> str:
    """Why an exception is made, for those who read the unit."""
    return "" if isinstance(value, str) and value.strip() and not one_line(value) else "the reason, one line of text"


@kind
def header_name(value: Any) -> str:
    """The name of an HTTP header."""
    return "" if re.fullmatch(r"[A-Za-z0-9-]+", _text(value)) else "letters, digits and -"


@kind
def header_value(value: Any) -> str:
    """The value of an HTTP header, as nginx can quote it."""
    if value is None or isinstance(value, (bool, list, tuple, dict)):
        return "a text in quotes; for no such header, no such line"
    return "one line without double quotes, backslashes and $" if re.search(r'["\\\x00-\x1f$]', _text(value)) else ""


@kind
def origin(value: Any) -> str:
    """Where a page comes from, as browsers write it in Origin, or *."""
    if value == "*" or re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", _text(value)):
        return ""
    return "an origin, such as https://app.example.com (small letters, no path), or *"


@kind
def password_hash(value: Any) -> str:
    """A password as crypt knows it, not in clear."""
    if re.fullmatch(r"\$(5|6|y|2[aby])\$[A-Za-z0-9./$=,]{20,}", _text(value)):
        return ""
    return "a hash, as mkpasswd or openssl passwd -6 writes it ($6$...), not the password"


@kind
def nginx_directive(value: Any) -> str:
    """Whole directives of nginx: they cannot close the block that they are put into."""
    text = _text(value).strip()
    depth = 0
    for mark in text:  # in quotes too: where a quoted text begins is nginx's own affair
        depth += {"{": 1, "}": -1}.get(mark, 0)
        if depth < 0:
            break
    if depth or text.count('"') % 2:
        return "directives with as many { as }, in this order, and quotes that end"
    if re.search(r"(^|[\s;{}])#", text):
        return "directives without comments"
    return "" if text.endswith((";", "}")) else "whole directives: each ends with ; or }"


@kind
def regular_expression(value: Any) -> str:
    """Python's and Perl's common ground."""
    try:
        re.compile(_text(value))
    except re.error as error:
        return f"a regular expression ({error})"
    return one_line(value)


@kind
def module_attribute(value: Any) -> str:
    """Where an application is: package.module:attribute."""
    name = r"[A-Za-z_][A-Za-z0-9_]*"
    if re.fullmatch(rf"{name}(\.{name})*:{name}(\.{name})*(\(\))?", _text(value)):
        return ""
    return "module:attribute, such as shop.main:app"


@kind
def python_version(value: Any) -> str:
    """3.12, or the path of an interpreter; empty for the distribution's."""
    return "" if re.fullmatch(r"|3\.\d{1,2}(\.\d+)?|/\S+", _text(value)) else '"3.12" (in quotes) or the path of an interpreter'


@kind
def mode(value: Any) -> str:
    """Permissions as chmod takes them."""
    return "" if isinstance(value, str) and re.fullmatch(r"0?[0-7]{3}", value) else 'quoted octal digits, such as "0750"'


# -- paths -------------------------------------------------------------------------------------------------------------


@kind
def absolute_path(value: Any) -> str:
    """A path from the root, without .. and blanks at its ends."""
    text = _text(value)
    if not text.startswith("/") or one_line(text) or text != text.strip():
        return "an absolute path"
    return "a path without .. in it" if ".." in text.split("/") else ""


@kind
def own_folder(value: Any) -> str:
    """A folder that may get an owner and a mode of its own: none of the system's."""
    wrong = absolute_path(value)
    if wrong:
        return wrong
    text = re.sub(r"/+", "/", _text(value)).rstrip("/") or "/"
    if text in SYSTEM_FOLDERS or any(text == folder or text.startswith(folder + "/") for folder in CLOSED_FOLDERS):
        return "a folder of its own, such as one below /srv or /var/lib; this one belongs to the system"
    if (
        text.startswith("/etc/")
        and text.count("/") == 2
        and text.removeprefix("/etc/") in ("ssh", "systemd", "apt", "pam.d", "sudoers.d", "ssl", "nginx")
    ):
        return "a folder of its own; this one belongs to the system"
    return ""


@kind
def kept_folder(value: Any) -> str:
    """A folder of its own whose files are there after a restart and after the system's cleaning."""
    wrong = own_folder(value)
    if not wrong and re.match(r"/+(tmp|var/+tmp|var/+run|var/+cache)/", _text(value) + "/"):
        return "a folder that nothing cleans, such as one below /srv or /var/lib"
    return wrong


@kind
def served_folder(value: Any) -> str:
    """A folder whose files nginx may show to everybody."""
    wrong = own_folder(value)
    if wrong:
        return wrong
    text = re.sub(r"/+", "/", _text(value))
    closed = next((folder for folder in _NEVER_SERVED if (text + "/").startswith(folder + "/")), "")
    if closed:
        return f"a folder that holds nothing but what everybody may read, such as one below /srv or /opt; not one below {closed}"
    return "" if re.fullmatch(r"[A-Za-z0-9_./-]+", text) else "a path of letters, digits and _ . / -"


_NEVER_SERVED = (
    "/etc",
    "/root",
    "/home",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/backups",
    "/var/lib/postgresql",
    "/var/lib/redis",
    "/var/spool",
)


@kind
def relative_path(value: Any) -> str:
    """A path inside something, that cannot leave it."""
    text = _text(value)
    if text.startswith("/") or one_line(text):
        return "a path relative to the source"
    return "a path that stays inside: no .." if ".." in text.split("/") else ""


@kind
def url_path(value: Any, slash_at_end: bool = False) -> str:
    """The path of a URL."""
    text = _text(value)
    if text != "/" and text.endswith("/") and not slash_at_end:
        return "a path without / at its end"
    return "" if re.fullmatch(r"/[A-Za-z0-9_.~%/-]*", text) else "a path that begins with /: letters, digits and _ . ~ % - /"


# -- amounts and times -------------------------------------------------------------------------------------------------


@kind
def memory_limit(value: Any) -> str:
    """A size as systemd's MemoryMax= takes it, with its unit, large enough for a Python program."""
    match = re.fullmatch(r"(\d+)([KMGT])", _text(value))
    if _text(value) in ("", "infinity"):
        return ""
    allowed = "a size with K, M, G or T, such as 512M or 2G"
    if not match:
        return allowed
    size = int(match[1]) * 1024 ** "KMGT".index(match[2])
    return "" if 32 * 1024 <= size <= 64 * 1024**3 else f"{allowed}, at least 32M and at most 64T"


@kind
def body_size(value: Any) -> str:
    """A size as nginx takes it."""
    match = re.fullmatch(r"(\d+)([kmgKMG]?)", _text(value))
    if not match:
        return "a number with k, m or g, such as 10m"
    # More does not fit into nginx' numbers; it would say so on the host.
    return "" if int(match[1]) * 1024 ** " kmg".index(match[2].lower() or " ") < 2**63 else "a number with k, m or g below 8 EiB"


_SPAN = r"\d+(\.\d+)?\s*(us|usec|ms|msec|s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?|M|months?|y|years?)?"


@kind
def time_span(value: Any) -> str:
    """A time span of systemd: 10min, 1h 30min."""
    return "" if re.fullmatch(rf"{_SPAN}(\s*{_SPAN})*", _text(value)) else "a time span, such as 10min or 1h 30min"


_CALENDAR_WORDS = ("minutely", "hourly", "daily", "monthly", "weekly", "yearly", "quarterly", "semiannually", "annually")
_DAY = r"(?:mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
_CALENDAR = re.compile(
    rf"(?ix)^ (?:{_DAY}(?:(?:,|\.\.){_DAY})*\s*)?"
    r"(?:(?:[\d*,./~]+-)?[\d*,./]+[-~][\d*,./]+)?"
    r"\s*(?:(?:[\d*,./]+):(?:[\d*,./]+)(?::[\d*,./]+)?)?"
    r"(?:\s+(?P<zone>UTC|[A-Z][A-Za-z]+/[A-Za-z_/-]+))? $"
)


@kind
def calendar(value: Any) -> str:
    """When a timer runs, as systemd's OnCalendar= takes it."""
    text = _text(value).strip()
    allowed = "systemd's calendar form, such as daily, Mon 03:00 or *-*-* 02:00:00 (cron's five fields are another one)"
    if text.lower() in _CALENDAR_WORDS:
        return ""
    match = _CALENDAR.fullmatch(text)
    if not text or not match:
        return allowed
    if match["zone"] and match["zone"] not in (zoneinfo.available_timezones() or [match["zone"]]):
        return f"a time zone that is known, such as UTC or Europe/Berlin; not {match['zone']}"
    clock = re.search(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text)
    if clock and (int(clock[1]) > 23 or int(clock[2]) > 59 or int(clock[3] or 0) > 59):
        return allowed
    date = re.match(r"(?:\S*\s+)??(?:([\d*,./]+)-)?([\d*,./]+)-([\d*,./]+)(?:\s|$)", text)
    if not date:
        return ""
    year, month, day = date.groups()
    if year and year.isdigit() and int(year) < datetime.now(UTC).year:
        return f"{allowed}, that comes again: {year} is over"
    most = calendar_module.monthrange(2024, int(month))[1] if month.isdigit() and 0 < int(month) < 13 else 31
    wrong = any(not 0 < int(number) < 13 for number in re.findall(r"(?<![/\d])\d+", month))
    return allowed if wrong or any(not 0 < int(number) <= most for number in re.findall(r"(?<![/\d])\d+", day)) else ""


@kind
def clock_time(value: Any) -> str:
    """A time of day."""
    return "" if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d|now", _text(value)) else "a time of day from 00:00 to 23:59"


# -- keys and certificates ---------------------------------------------------------------------------------------------


_KEY_OPTIONS = """
    from expiry-time verify-required restrict pty no-pty agent-forwarding no-agent-forwarding port-forwarding no-port-forwarding
    x11-forwarding no-x11-forwarding user-rc no-user-rc permitopen permitlisten touch-required no-touch-required
"""
KEY_OPTIONS = frozenset(_KEY_OPTIONS.split())
"""Of authorized_keys. sshd passes over a key with an option that it does not know; command= would answer Ansible with something else."""


@kind
def ssh_public_key(value: Any, shortest_rsa: int = 3072) -> str:
    """A public key as a line of authorized_keys, with options in front or not, that sshd will take."""
    text = _text(value)
    if "PRIVATE KEY" in text:
        return "a public key; this is a private one, take it out of the inventory and make another pair"
    if one_line(text.strip("\n")) or text.startswith(("~", "/")) or text.endswith(".pub"):
        return "the key itself on one line, such as ssh-ed25519 AAAA... name"
    match = re.search(r"(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/]+=*)(?:\s|$)", text)
    if not match:
        return "a public key, such as ssh-ed25519 AAAA... name"
    name = match[1]
    for option in re.findall(r'([A-Za-z0-9-]+)(?:="(?:[^"\\]|\\.)*")?(?:,|$)', text[: match.start()].strip()):
        if option.lower() not in KEY_OPTIONS:
            return f"a key whose options let Ansible in: {', '.join(sorted(KEY_OPTIONS))}; not {option}"
    if re.sub(r'[A-Za-z0-9-]+(?:="(?:[^"\\]|\\.)*")?(?:,|$)', "", text[: match.start()].strip()):
        return 'options in the form from="198.51.100.7",no-port-forwarding before the key'
    if name == "ssh-dss":
        return "ed25519, ECDSA or RSA: sshd refuses DSA"
    try:
        blob = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        return "a whole public key: this one is cut off or changed"
    fields = _ssh_fields(blob)
    if not fields or fields[0] != name.encode() or len(fields) < 2:
        return "a whole public key: this one is cut off or changed"
    if name == "ssh-ed25519" and len(fields[1]) != 32:
        return "a whole public key: this one is cut off or changed"
    if name == "ssh-rsa" and len(fields) == 3:
        bits = int.from_bytes(fields[2], "big").bit_length()
        if bits < shortest_rsa:
            return f"an RSA key of at least {shortest_rsa} bits (this one has {bits}, which sshd refuses), or ed25519"
    return "a key that somebody has: this is the example's" if b"ExampleExample" in base64.b64encode(blob) else ""


def _ssh_fields(blob: bytes) -> list[bytes]:
    fields, at = [], 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + length > len(blob):
            return []
        fields.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    return fields


@kind
def certificate_chain(value: Any) -> str:
    """PEM certificates, the host's own first, each signed by the next, valid now."""
    from cryptography import x509

    text = _text(value)
    if "PRIVATE KEY-----" in text:
        return "certificates alone: the private key in it would be readable by everybody on the host; it belongs into a variable of its own"
    if "-----BEGIN CERTIFICATE-----" not in text:
        return "the contents of a PEM file (-----BEGIN CERTIFICATE-----), not its path"
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        return f"a PEM certificate that can be read ({str(error).splitlines()[0][:80]})"
    now = datetime.now(UTC)
    for found in chain:
        if found.not_valid_after_utc < now:
            return f"a certificate that is valid: {_name(found)} expired on {found.not_valid_after_utc:%Y-%m-%d}"
        if found.not_valid_before_utc > now:
            return f"a certificate that is valid: {_name(found)} is so from {found.not_valid_before_utc:%Y-%m-%d} on"
    weak = _weak_key(chain[0].public_key()) or _weak_signature(chain)
    if weak:
        return weak
    for lower, upper in itertools.pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except Exception:
            return f"a chain in order, the host's own first, each signed by the next: {_name(lower)} is not signed by {_name(upper)}"
    return ""


def _weak_key(key: Any) -> str:
    """What OpenSSL's level 2, Debian's own, refuses to load."""
    size = getattr(key, "key_size", 4096)
    shortest = 2048 if hasattr(key, "public_numbers") and hasattr(key.public_numbers(), "n") else 224
    return f"a key of at least {shortest} bits: this one has {size}, which OpenSSL refuses" if size < shortest else ""


def _weak_signature(chain: Sequence[Any]) -> str:
    for found in chain:
        used = found.signature_hash_algorithm
        if found.issuer != found.subject and used is not None and used.name in ("md5", "sha1"):
            return f"a certificate that is signed with SHA-256 or better: {_name(found)} has {used.name}, which clients refuse"
    return ""


def _name(certificate: Any) -> str:
    return certificate.subject.rfc4514_string()[:60] or "it"


def certificate_problems(certificate: str, key: str, names: Sequence[str]) -> list[str]:
    """What is wrong between a readable chain, its key and the names it has to serve."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    chain = x509.load_pem_x509_certificates(certificate.encode())
    found = []
    public = load_pem_private_key(key.encode(), None).public_key()
    as_bytes = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*as_bytes) != chain[0].public_key().public_bytes(*as_bytes):
        found.append("the key belongs to another certificate")
    try:
        extension = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        held = [str(name).lower() for name in extension.get_values_for_type(x509.DNSName)]
        held += [str(name) for name in extension.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        held = []
    try:
        usages = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if x509.oid.ExtendedKeyUsageOID.SERVER_AUTH not in usages:
            found.append("it is not for servers (serverAuth is missing)")
    except x509.ExtensionNotFound:
        pass
    for name in names:
        if not any(_matches(name.lower(), pattern) for pattern in held):
            found.append(f"it is for {', '.join(held) or 'no name at all'}, not for {name}")
    top = chain[-1]
    if len(chain) == 1 and top.issuer != top.subject:
        found.append("its chain is missing: add the certificates of its issuer, " + top.issuer.rfc4514_string()[:60])
    return found


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name == pattern or (name.count(".") >= 1 and name.split(".", 1)[1] == pattern[2:])
    return name == pattern


@kind
def private_key(value: Any) -> str:
    """A PEM key without a passphrase."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _text(value)
    if "PRIVATE KEY-----" not in text:
        return "the contents of a PEM key (-----BEGIN PRIVATE KEY-----), not its path"
    if "ENCRYPTED" in text:
        return "a key without a passphrase: the service starts without a person (openssl pkey -in key -out plain)"
    try:
        found: Any = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        return "a PEM key that can be read"
    return _weak_key(found.public_key())
