# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority for one test run, and a certificate for every Google host."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ["*.googleapis.com", "*.run.app", "*.a.run.app", "metadata.google.internal", "localhost"]


def make(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Write ca.pem for the clients to trust; return its path and the server's side."""
    now = datetime.datetime.now(datetime.UTC)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Slipway test authority")])
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Slipway test server")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, is_authority: bool) -> x509.CertificateBuilder:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=is_authority,
            crl_sign=is_authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        )

    authority = builder(authority_name, authority_key, True).sign(authority_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    certificate = builder(server_name, server_key, False).add_extension(names, critical=False).sign(authority_key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    bundle, server = folder / "ca.pem", folder / "server.pem"
    bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    server.touch(mode=0o600)
    server.write_bytes(
        server_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return bundle, context
