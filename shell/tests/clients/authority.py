"""A CA of a check's own, and what it signs."""

import datetime
import ipaddress
import ssl

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import API_KEY, expect


def named(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def certificate(subject, key, issuer, issuer_key, is_ca):
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), True)
        .add_extension(x509.SubjectAlternativeName(names), False)
        .sign(issuer_key, hashes.SHA256())
    )


class Authority:
    """A CA in a folder, which writes the server's certificate there."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.pem(certificate("ca", self.key, "ca", self.key, True)))

    def pem(self, issued):
        return issued.public_bytes(serialization.Encoding.PEM)

    def issue(self):
        """A new certificate and its key. Returns the serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = certificate("parlor", key, "ca", self.key, False)
        pkcs8 = serialization.PrivateFormat.PKCS8
        text = key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
        (self.folder / "cert.pem").write_bytes(self.pem(issued))
        (self.folder / "key.pem").write_bytes(text)
        return issued.serial_number

    def flags(self):
        return ["--tls-cert", str(self.folder / "cert.pem"), "--tls-key", str(self.folder / "key.pem")]

    def context(self):
        return ssl.create_default_context(cafile=self.file)

    def publish(self, at, data):
        answer = requests.post(
            f"https://{at}/api/publish",
            json={"channel": "room", "data": data},
            headers={"X-API-Key": API_KEY},
            verify=str(self.file),
        )
        expect("a publication over TLS", answer.status_code, 200)
