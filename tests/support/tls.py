"""A CA that no program knows, and a certificate that it has signed."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_LASTS = timedelta(days=1)
_PEM = serialization.Encoding.PEM


def make_certificate(folder: Path, *hosts: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for these hosts, and the file with the certificate of its CA."""
    own, issuer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = {key: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for key, text in (
        (own, hosts[0]), (issuer, "a private CA")
    )}  # fmt: skip

    def sign(subject: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(names[subject]).issuer_name(names[issuer])
        builder = builder.public_key(subject.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - _LASTS).not_valid_after(now + _LASTS)
        key_of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
        for extension in (*extensions, key_of_issuer, x509.SubjectKeyIdentifier.from_public_key(subject.public_key())):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer, hashes.SHA256()).public_bytes(_PEM)

    bundle, file = folder / "ca.crt", folder / "server.pem"
    bundle.write_bytes(sign(issuer, x509.BasicConstraints(ca=True, path_length=None), _usage(signs=True)))
    key = own.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.touch(mode=0o600)
    file.write_bytes(key + sign(own, x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, bundle


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip
