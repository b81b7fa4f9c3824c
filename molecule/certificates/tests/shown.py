"""What clients of this scenario's sites see, and how a certificate is made old."""

import shlex

from testinfra.host import Host

AUTHORITY = "https://127.0.0.1:15000/roots/0"
LIVE = "/var/lib/slipway/certbot/live"
SITES = {"shop": ("shop.lab.test", "www.shop.lab.test"), "wild": ("wild.lab.test", "any.wild.lab.test")}
# A certificate of the past in the place of the one that certbot has: for the same names, by nobody that the authority knows.
AGE = """
import datetime, pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
site, before, after = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
folder = pathlib.Path("/var/lib/slipway/certbot/live") / site
old = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
key = serialization.load_pem_private_key((folder / "privkey.pem").read_bytes(), None)
now = datetime.datetime.now(datetime.timezone.utc)
made = x509.CertificateBuilder().subject_name(old.issuer).issuer_name(old.issuer).public_key(key.public_key())
made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=before))
made = made.not_valid_after(now + datetime.timedelta(hours=after))
made = made.add_extension(old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, False)
text = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
for name in ("cert.pem", "fullchain.pem"):
    (folder / name).write_bytes(text)
"""


def served(host: Host, name: str) -> str:
    """The fingerprint of what nginx shows for a name."""
    shown = f"echo | openssl s_client -connect 127.0.0.1:443 -servername {name} 2>/dev/null"
    return host.check_output(f"{shown} | openssl x509 -noout -fingerprint -sha256")


def trusted(host: Host, name: str) -> bool:
    """Whether a client that knows the authority accepts the whole chain for that name."""
    host.check_output(f"curl --silent --fail --insecure {AUTHORITY} > /root/root.pem")
    asked = (
        f"openssl s_client -connect 127.0.0.1:443 -servername {name} -verify_hostname {name} -verify_return_error -CAfile /root/root.pem"
    )
    return host.run(f"echo | {asked}").rc == 0


def age(host: Host, site: str, before: int, after: int) -> None:
    """Make the certificate of a site valid from `before` hours ago for `after` more hours."""
    host.check_output(f"python3 -c {shlex.quote(AGE)} {site} {before} {after}")


def metric(host: Host, name: str, site: str) -> int:
    found = host.check_output(
        f"grep '^slipway_certificate_{name}{{site=\"{site}\"}}' /var/lib/prometheus/node-exporter/slipway_certificates.prom"
    )
    return int(found.split()[-1])


def orders(host: Host) -> int:
    """Requests for a certificate that the authority has got since it was started."""
    return int(host.check_output("journalctl --unit pebble --grep 'POST /order-plz' --output cat | grep --count order-plz || true"))


def main_process(host: Host) -> str:
    return host.check_output("systemctl show --property MainPID --value nginx")
