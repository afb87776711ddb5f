"""An authority of the tests and what it issues: keys and certificates in files, for TLS on 127.0.0.1 and ::1."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Issues certificates into `directory`: NAME.pem, NAME.key, and both in NAME.both.pem; its own is NAME.pem, too."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        unsigned = self._begun(name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.certificate = self._write(name, unsigned, self._key)

    def issue(self, name: str, *hosts: str) -> Path:
        """For these host names and addresses; returns the certificate's file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[Any] = [_general_name(host) for host in hosts or (name,)]
        unsigned = self._begun(name, key).add_extension(x509.SubjectAlternativeName(names), False)
        return self._write(name, unsigned, key)

    def _begun(self, name: str, key: Any) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )

    def _write(self, name: str, unsigned: x509.CertificateBuilder, key: Any) -> Path:
        certificate = unsigned.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self._directory / f"{name}.pem"
        path.write_bytes(certificate)
        path.with_suffix(".key").write_bytes(private)
        path.with_suffix(".both.pem").write_bytes(private + certificate)
        return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
