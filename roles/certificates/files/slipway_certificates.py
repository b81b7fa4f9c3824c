#!/usr/bin/python3
# Managed by Ansible (slipway.stack): changes by hand are overwritten
"""Certificates of nginx's sites: ask for those that are due, let nginx serve them, prove that it does, and say how it went.

    slipway-certificates           what the timer does; reads /etc/slipway/certificates/certificates.json
    slipway-certificates --plan    what it would do, as JSON; nothing is changed and no certificate asked for
    slipway-certificates --json    do it, and say so as JSON; --now: also what waits after a failure
    slipway-certificates --configuration FILE    another file; - is the standard input

Exit code 1: an attempt failed, or nginx does not serve what it should. A site that waits, and one whose names lead elsewhere,
are warnings. The metrics are written in any case.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import grp
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from calendar import timegm
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIGURATION = Path("/etc/slipway/certificates/certificates.json")
HOUR = 3600
LONGEST_WAIT = 24 * HOUR
LOG = Path("/var/log/letsencrypt/letsencrypt.log")
PATIENCE = 30.0
"""Seconds for nginx to show a certificate after its reload, and for one answer of somebody else."""
NO_ROUTE = {101, 97, 99}
"""ENETUNREACH, EAFNOSUPPORT, EADDRNOTAVAIL: this host has no such network, which says nothing of the authority's."""
PRIVATE = "/.well-known/acme-challenge"


class CertificatesError(Exception):
    """Why there is no new certificate, in words for the administrator. `until`: not to be asked for again before that time."""

    def __init__(self, text: str, until: float = 0) -> None:
        super().__init__(text)
        self.until = until


def run(command: list[str], timeout: float = 600, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its words are in the answer."""
    where = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, env=where)


# -- certificates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """What a file with a certificate says of the first one in it."""

    not_before: int
    not_after: int
    names: frozenset[str]
    fingerprint: str
    serial: str
    issuer_key: str

    def due(self) -> float:
        """When two thirds of its lifetime are over."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


def read(path: Path) -> Certificate | None:
    """None where there is none that can be read."""
    if not path.is_file():
        return None
    asked = ["-startdate", "-enddate", "-serial", "-ext", "subjectAltName,authorityKeyIdentifier"]
    done = run(["openssl", "x509", "-noout", "-in", str(path), *asked])
    if done.returncode:
        return None
    found = dict(re.findall(r"(?m)^(notBefore|notAfter|serial)=(.*)$", done.stdout))
    times = [timegm(time.strptime(found[name], "%b %d %H:%M:%S %Y GMT")) for name in ("notBefore", "notAfter")]
    names = frozenset(name.lower() for name in re.findall(r"DNS:([^,\s]+)", done.stdout))
    key = re.search(r"Authority Key Identifier:\s*\n\s*(?:keyid:)?((?:[0-9A-F]{2}:)+[0-9A-F]{2})", done.stdout)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first_of(path.read_text()))).hexdigest()
    return Certificate(times[0], times[1], names, digest, found["serial"], key[1] if key else "")


def first_of(text: str) -> str:
    """The first certificate of a PEM file."""
    end = "-----END CERTIFICATE-----"
    return text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end) + len(end)] + "\n"


# -- sites -------------------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """A site, what it serves, and what has to be done for it."""

    name: str
    names: list[str]
    acme: bool
    served: Path
    lineage: Path
    action: str = ""
    """issue, renew, serve or nothing."""
    reason: str = ""
    elsewhere: int = 0
    warnings: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """An attempt that failed now: the timer tries again."""
    errors: list[str] = field(default_factory=list)

    @property
    def wildcard(self) -> bool:
        """Whether only DNS can prove whose it is."""
        return any(name.startswith("*") for name in self.names)


class Certificates:
    """All sites of this host."""

    def __init__(self, configuration: dict[str, Any], *, now_too: bool) -> None:
        self.configuration = configuration
        self.now_too = now_too
        self.folder = Path(configuration["folder"])
        self.tls = Path(configuration["tls_folder"])
        self.webroot = Path(configuration["webroot"])
        self.authority = str(configuration["directory_url"])
        self.trust = ssl.create_default_context(cafile=configuration["ca_bundle"] or None)
        # certbot's own rule: an authority of one's own often has no key usage.
        self.trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
        live = self.folder / "live"
        self.sites = [
            Site(site["name"], site["names"], site["acme"], Path(site["certificate"]), live / site["name"])
            for site in configuration["sites"]
        ]
        self.state = self.read_state()
        self.directory: dict[str, Any] | None = None
        self.trouble = "it has no newOrder"

    def read_state(self) -> dict[str, Any]:
        """Failures by site. A file that cannot be read is none."""
        try:
            found = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_state(self) -> None:
        """Without what belongs to sites that are gone."""
        known = {site.name for site in self.sites if site.acme}
        write(self.folder / "state.json", json.dumps({name: entry for name, entry in self.state.items() if name in known}), 0o600)

    # -- what has to be done ---------------------------------------------------------------------------------------

    def look(self) -> None:
        """Decide for each site."""
        for site in self.sites:
            if not site.acme:
                continue
            issued = read(site.lineage / "fullchain.pem")
            reason = self.due(site, issued)
            if reason:
                site.action, site.reason = ("renew" if issued else "issue"), reason
                self.hold_back(site)
            else:
                self.state[site.name] = {"authority": self.authority}
            if not site.action and issued and shown_by(site.served) != issued.fingerprint:
                site.action, site.reason = "serve", "it is issued, and not served yet"
            # A run that was killed after it moved a link has left nginx with the old one.
            if not site.action and self.wrong([site]):
                site.action, site.reason = "reload", "nginx serves another one than its file"

    def due(self, site: Site, issued: Certificate | None) -> str:
        """Why a new one has to be asked for; empty when the one that is there is good."""
        if issued is None:
            return "there is none"
        entry = self.state.get(site.name, {})
        if entry.get("authority", self.authority) != self.authority:
            return f"it comes from {entry['authority']}"
        if issued.names != {name.lower() for name in site.names}:
            return f"it is for {', '.join(sorted(issued.names))}"
        if issued.not_after <= time.time():
            return "it has expired"
        wanted = self.suggested(issued)
        if wanted is not None:
            return "the authority wants it renewed" if wanted <= time.time() else ""
        return "two thirds of its lifetime are over" if issued.due() <= time.time() else ""

    def suggested(self, issued: Certificate) -> float | None:
        """When the authority wants it renewed (RFC 9773); None where it does not say."""
        base = self.known("renewalInfo")
        if not base or not issued.issuer_key:
            return None
        serial = bytes.fromhex(issued.serial.zfill(len(issued.serial) + len(issued.serial) % 2))
        serial = b"\0" + serial if serial[0] & 0x80 else serial
        parts = [
            base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (bytes.fromhex(issued.issuer_key.replace(":", "")), serial)
        ]
        try:
            window = self.get(f"{base.rstrip('/')}/{'.'.join(parts)}")["suggestedWindow"]
            start, end = (timegm(time.strptime(window[key][:19], "%Y-%m-%dT%H:%M:%S")) for key in ("start", "end"))
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return None
        # Each certificate has its own moment within the window, the same at every look.
        share = int(issued.fingerprint[:8], 16) / 0xFFFFFFFF
        return start + share * max(end - start, 0)

    def known(self, name: str) -> str:
        """An address of the authority; empty when it cannot be asked or has none."""
        if self.directory is None:
            try:
                self.directory = self.get(self.authority)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.directory, self.trouble = {}, str(error)
        return str(self.directory.get(name, ""))

    def get(self, url: str) -> dict[str, Any]:
        """What an address of the authority answers."""
        with urllib.request.urlopen(url, timeout=10, context=self.trust) as answer:
            found = json.load(answer)
        return found if isinstance(found, dict) else {}

    def hold_back(self, site: Site) -> None:
        """Take back what should not be asked for now: names that lead elsewhere, and an attempt that has failed a short time ago."""
        reason, entry = site.reason, self.state.get(site.name, {})
        wait = float(entry.get("until", 0) if self.now_too else entry.get("next", 0))
        if wait > time.time():
            site.action, site.reason = "", ""
            site.warnings.append(
                f"no certificate is asked for before {stamp(wait)} ({reason}): {entry.get('error', '')} {self.meanwhile(site)}"
            )
            return
        if self.by_dns(site) or not self.configuration["check_names"]:
            return
        told = [text for name in site.names for text in [self.elsewhere(name)] if text]
        if told:
            site.elsewhere, site.action, site.reason = len(told), "", ""
            site.warnings += [f"{text} No certificate is asked for until then. {self.meanwhile(site)}" for text in told]

    def meanwhile(self, site: Site) -> str:
        """What visitors see."""
        found = read(site.served)
        if self.is_stand_in(site) or not found:
            return "Meanwhile nginx serves a self-signed stand-in, which browsers refuse."
        return f"Meanwhile nginx serves the certificate that is there, until {stamp(found.not_after)}."

    def is_stand_in(self, site: Site) -> bool:
        """Whether nothing that was issued is served."""
        return site.acme and Path(os.path.realpath(site.served)).parent.name.startswith("self-signed-")

    def by_dns(self, site: Site) -> bool:
        """Whether the names are proven by records in their zone."""
        return site.wildcard or self.configuration["challenge"] == "dns"

    # -- where a name leads ----------------------------------------------------------------------------------------

    def token(self) -> tuple[str, str]:
        """(path, content) of the file that says that a request has come to this host; empty before the first run."""
        folder = self.webroot / PRIVATE.lstrip("/")
        found = sorted(folder.glob("slipway-*")) if folder.is_dir() else []
        return (f"{PRIVATE}/{found[0].name}", found[0].read_text()) if found else ("", "")

    def make_token(self) -> None:
        """Once."""
        if not self.token()[0]:
            word = secrets.token_hex(16)
            folder = self.webroot / PRIVATE.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / f"slipway-{word}", word, 0o644)

    def elsewhere(self, name: str) -> str:
        """Why the authority would not find this host by that name; empty when it would, or nobody can tell yet."""
        path, word = self.token()
        if not path:
            return ""
        todo = "Let its A and AAAA records lead to this host"
        try:
            addresses = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
        except OSError as error:
            return f"{name} leads nowhere: the DNS has no address for it ({error.strerror or error}). {todo}."
        wrong, reached = [], False
        for address in addresses:
            try:
                answer = fetch(address, name, path)
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno in NO_ROUTE:
                    continue
                wrong.append(f"{address} (port 80: {error.strerror or error or 'no answer'})" if isinstance(error, OSError) else address)
                continue
            reached = reached or answer == word
            if answer != word:
                wrong.append(f"{address} (it answers {answer[:40]!r})" if answer else f"{address} (another server answers)")
        if not wrong and (reached or not addresses):
            return ""
        if not wrong:
            return f"{name} leads to {', '.join(addresses)}, which this host has no route to. {todo}."
        hint = "; a host that cannot reach itself by its public address needs certificates_check_names: false"
        return f"{name} leads to {', '.join(wrong)}, not to this host. {todo}{hint}."

    # -- doing it --------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Do what `look` has decided. One site's trouble is not another's."""
        self.remove_lineages()
        for site in self.sites:
            if site.action in ("issue", "renew"):
                self.ask(site)
        changed = [site for site in self.sites if site.acme and self.install(site)]
        self.prove([site for site in self.sites if site in changed or site.action == "reload"])
        self.remove_folders()
        self.write_state()

    def ask(self, site: Site) -> None:
        """Let certbot get a certificate; a failure is written down and waits, each time longer."""
        entry = self.state.setdefault(site.name, {})
        try:
            self.certbot(site)
        except CertificatesError as error:
            failures = int(entry.get("failures", 0)) + 1
            wait = time.time() + min(HOUR * 2 ** (failures - 1), LONGEST_WAIT)
            entry.update(failures=failures, error=str(error), until=error.until, next=max(wait, error.until))
            site.waiting.append(f"{error} The next attempt is made after {stamp(entry['next'])}. {self.meanwhile(site)}")
            site.action, site.reason = "", ""
            return
        self.state[site.name] = {"authority": self.authority}

    def certbot(self, site: Site) -> None:
        """One certificate for all names of a site."""
        if not self.known("newOrder"):
            raise CertificatesError(f"the ACME server {self.authority} does not answer: {self.trouble}.")
        command = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--no-eff-email", "--force-renewal", "--no-directory-hooks"]
        command += [f"--email={self.configuration['email']}", f"--server={self.authority}", f"--cert-name={site.name}"]
        command += ["--key-type=ecdsa", *self.folders(), *self.authenticator(site)]
        command += [f"--domain={name}" for name in site.names]
        known = LOG.stat().st_size if LOG.is_file() else 0
        done = run(command, 1800, self.environment())
        if done.returncode:
            raise refusal(f"{done.stderr}\n{done.stdout}\n{logged(known)}")

    def folders(self) -> list[str]:
        """Where certbot keeps its things."""
        return [f"--config-dir={self.folder}", f"--work-dir={self.folder}/work", f"--logs-dir={LOG.parent}"]

    def environment(self) -> dict[str, str]:
        """Whom certbot trusts, and where one of its plugins looks."""
        found = {"REQUESTS_CA_BUNDLE": self.configuration["ca_bundle"]} if self.configuration["ca_bundle"] else {}
        if self.configuration["dns_plugin"] == "route53" and self.configuration["dns_credentials"]:
            found["AWS_CONFIG_FILE"] = self.configuration["dns_credentials"]
        return found

    def authenticator(self, site: Site) -> list[str]:
        """How certbot proves whose the names are."""
        if not self.by_dns(site):
            return ["--webroot", f"--webroot-path={self.webroot}"]
        plugin = f"dns-{self.configuration['dns_plugin']}"
        if plugin == "dns-route53":
            return [f"--{plugin}"]
        seconds = self.configuration["dns_propagation_seconds"]
        return [
            f"--{plugin}",
            f"--{plugin}-credentials={self.configuration['dns_credentials']}",
            f"--{plugin}-propagation-seconds={seconds}",
        ]

    def remove_lineages(self) -> None:
        """Those of sites that are gone, or have a certificate of another kind."""
        kept = {site.name for site in self.sites if site.acme}
        for name in self.lineages() - kept:
            run(["certbot", "delete", "--non-interactive", f"--cert-name={name}", *self.folders()])

    def lineages(self) -> set[str]:
        """What certbot renews."""
        live = self.folder / "live"
        return {path.name for path in live.iterdir() if path.is_dir()} if live.is_dir() else set()

    def install(self, site: Site) -> bool:
        """Put certificate and key where nginx reads them and move the one link that leads to both; whether it had to be moved."""
        issued = read(site.lineage / "fullchain.pem")
        if issued is None or shown_by(site.served) == issued.fingerprint:
            return False
        target = self.tls / f"{site.name}-{issued.fingerprint[:12]}"
        group = grp.getgrnam(self.configuration["group"]).gr_gid
        partial = Path(f"{target}.partial")
        for folder in (partial, target):
            shutil.rmtree(folder, ignore_errors=True)
        partial.mkdir(mode=0o750)
        for name, mode in (("fullchain.pem", 0o644), ("privkey.pem", 0o640)):
            write(partial / name, (site.lineage / name).read_text(), mode, group)
        os.chown(partial, 0, group)
        partial.chmod(0o750)
        partial.rename(target)
        link = site.served.parent
        beside = link.with_name(f".{link.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.rename(link)
        return True

    def prove(self, asked: list[Site]) -> None:
        """Reload nginx, and ask it, by every name, for what it serves."""
        if not asked:
            return
        done = run(["systemctl", "reload", self.configuration["unit"]], 120)
        end = time.monotonic() + PATIENCE
        wrong = self.wrong(asked)
        while wrong and time.monotonic() < end:
            time.sleep(0.1)
            wrong = self.wrong(asked)
        said = f" systemctl reload said: {done.stderr.strip()}" if done.returncode else ""
        for site, text in wrong:
            site.errors.append(f"{text}, although it was reloaded; nginx -t and its journal tell why.{said}")

    def wrong(self, sites: list[Site]) -> list[tuple[Site, str]]:
        """Sites and names for which nginx shows another certificate than the file that it reads, and in what words to say it."""
        found = []
        for site in sites:
            wanted = shown_by(site.served)
            for name in site.names if wanted else []:
                served = self.served(name.replace("*", "any", 1))
                if not served:
                    found.append((site, f"nginx does not answer on {self.configuration['nginx_address']} for {name}"))
                elif served != wanted:
                    found.append((site, f"nginx still serves the certificate {served[:16]}... for {name}, not {wanted[:16]}..."))
        return found

    def served(self, name: str) -> str:
        """The fingerprint of what nginx shows for a name; empty when it does not answer."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        address, _, port = self.configuration["nginx_address"].rpartition(":")
        try:
            with (
                socket.create_connection((address.strip("[]"), int(port)), 5) as plain,
                context.wrap_socket(plain, server_hostname=name) as connection,
            ):
                return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
        except OSError:
            return ""

    def remove_folders(self) -> None:
        """Issued certificates that no link leads to, with their keys."""
        kept = {Path(os.path.realpath(path)) for path in (self.tls / "served").iterdir()} if (self.tls / "served").is_dir() else set()
        pattern = re.compile(r"(?!self-signed-).+-[0-9a-f]{12}(\.partial)?")
        for path in self.tls.iterdir() if self.tls.is_dir() else []:
            if pattern.fullmatch(path.name) and path.is_dir() and path not in kept:
                shutil.rmtree(path)

    # -- telling ---------------------------------------------------------------------------------------------------

    def metrics(self) -> None:
        """What the node exporter shows."""
        lines: dict[str, list[str]] = {}
        meanings = {
            "slipway_certificate_not_before_timestamp_seconds": "When the certificate that is served became valid",
            "slipway_certificate_not_after_timestamp_seconds": "When the certificate that is served expires",
            "slipway_certificate_stand_in": "1 while a self-signed one is served because none was issued yet",
            "slipway_certificate_failures": "Attempts to get a new one that failed since the last success",
            "slipway_certificate_names_elsewhere": "Names that do not lead to this host",
        }

        def add(name: str, site: Site, value: int) -> None:
            lines.setdefault(name, []).append(f"{name}{{site={json.dumps(site.name)}}} {value}\n")

        for site in self.sites:
            served = read(site.served)
            if served:
                add("slipway_certificate_not_before_timestamp_seconds", site, served.not_before)
                add("slipway_certificate_not_after_timestamp_seconds", site, served.not_after)
            if site.acme:
                add("slipway_certificate_stand_in", site, int(self.is_stand_in(site)))
                add("slipway_certificate_failures", site, int(self.state.get(site.name, {}).get("failures", 0)))
                add("slipway_certificate_names_elsewhere", site, site.elsewhere)
        text = "".join(f"# HELP {name} {meanings[name]}\n# TYPE {name} gauge\n{''.join(lines[name])}" for name in meanings if name in lines)
        name = "slipway_certificates_last_run_timestamp_seconds"
        text += f"# HELP {name} When the certificates were looked at last\n# TYPE {name} gauge\n{name} {int(time.time())}\n"
        write(Path(self.configuration["metrics_directory"]) / "slipway_certificates.prom", text, 0o644)

    def answer(self) -> dict[str, Any]:
        """What happened, or would."""
        actions = [{"site": site.name, "action": site.action, "reason": site.reason} for site in self.sites if site.action]
        gone = sorted(self.lineages() - {site.name for site in self.sites if site.acme})
        actions += [{"site": name, "action": "remove", "reason": "no site has it"} for name in gone]
        told = {
            kind: [f"{site.name}: {text}" for site in self.sites for text in getattr(site, kind)]
            for kind in ("warnings", "waiting", "errors")
        }
        return {"changed": bool(actions), "actions": actions, **told}


# -- small things ------------------------------------------------------------------------------------------------------


def stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))


def write(path: Path, text: str, mode: int, group: int = 0) -> None:
    """A file that is there completely or not at all, and never readable by more than it shall be."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    if group:
        os.chown(temporary, 0, group)
    temporary.chmod(mode)
    temporary.rename(path)


def shown_by(path: Path) -> str:
    found = read(path)
    return found.fingerprint if found else ""


def fetch(address: str, name: str, path: str) -> str:
    """What a server answers by that name; redirects are followed as the authority does. Empty for anything but 200."""
    for _hop in range(5):
        connection = http.client.HTTPConnection(address, 80, timeout=5)
        connection.request("GET", path, headers={"Host": name})
        answer = connection.getresponse()
        text = answer.read(4096).decode("utf-8", "replace")
        target = urllib.parse.urlsplit(answer.getheader("Location") or "")
        if answer.status in (301, 302, 307, 308) and target.scheme == "http" and target.hostname:
            name, path = target.hostname, target.path
            address = str(socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)[0][4][0])
            continue
        if answer.status in (301, 302, 307, 308) and target.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with urllib.request.urlopen(target.geturl(), timeout=5, context=context) as page:
                return str(page.read(4096).decode("utf-8", "replace"))
        return text if answer.status == 200 else ""
    return ""


def logged(known: int) -> str:
    """What the authority refused, from what certbot wrote down behind `known` bytes: under Python 3.11 its own words hide it."""
    if not LOG.is_file():
        return ""
    text = LOG.read_bytes()[known if LOG.stat().st_size >= known else 0 :].decode("utf-8", "replace")
    return "\n".join(re.findall(r"urn:ietf:params:acme:error:\S+ :: .*", text)[-1:])


def refusal(said: str) -> CertificatesError:
    """Certbot's many words as one sentence. A rate limit says until when nobody should ask again."""
    limited = re.search(r"rateLimited|too many (certificates|failed|requests|new|currently)", said, re.IGNORECASE)
    details = [*re.findall(r"Detail: (.*)", said), *re.findall(r"urn:ietf:params:acme:error:\S+ :: (?:.* :: )?(.*)", said)]
    lines = [
        line.strip()
        for line in said.splitlines()
        if line.strip() and not re.match(r"(Saving debug log|Ask for help|Some chall)", line.strip())
    ]
    text = (details or lines[-3:-2] or lines or ["certbot said nothing"])[0][:400]
    if limited:
        moment = re.search(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", said)
        until = timegm(time.strptime(" ".join(moment.groups()), "%Y-%m-%d %H:%M:%S")) if moment else time.time() + HOUR
        return CertificatesError(f"the ACME server limits the rate of requests: {text}", until)
    return CertificatesError(f"certbot got no certificate: {text}" + ("" if text.endswith(".") else ". /var/log/letsencrypt has the rest."))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Certificates of nginx's sites.")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument("--json", action="store_true", help="answer with JSON")
    parser.add_argument("--now", action="store_true", help="do not wait after a failure, unless the authority said so")
    parser.add_argument("--configuration", default=str(CONFIGURATION))
    given = parser.parse_args(arguments)
    text = sys.stdin.read() if given.configuration == "-" else Path(given.configuration).read_text()
    os.umask(0o022)
    with Path("/run/lock/slipway-certificates").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        certificates = Certificates(json.loads(text), now_too=given.now)
        if not given.plan and any(site.acme for site in certificates.sites):
            certificates.make_token()
        certificates.look()
        answer = certificates.answer()
        if not given.plan:
            try:
                certificates.work()
            finally:
                certificates.metrics()
            done = certificates.answer()
            removed = [action for action in answer["actions"] if action["action"] == "remove"]
            answer = {**done, "actions": done["actions"] + removed, "changed": done["changed"] or bool(removed)}
    if given.plan or given.json:
        print(json.dumps(answer))
    else:
        for action in answer["actions"]:
            print(f"{action['site']}: {action['action']} ({action['reason']})")
        for line in [*answer["warnings"], *answer["waiting"], *answer["errors"]]:
            print(line, file=sys.stderr)
    return 1 if answer["waiting"] or answer["errors"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
