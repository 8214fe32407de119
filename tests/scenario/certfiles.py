# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: made on the spot, written as files, and looked at as a client sees them."""

import datetime
import os
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID


class Cert:
    """A certificate with its key, signed by itself or by another one."""

    def __init__(self, *names, days=90, start=-1, kind="ec", issuer=None, ca=False):
        self.key = (ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else
                    rsa.generate_private_key(65537, int(kind)))
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(issuer.cert.subject if issuer else subject)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=start))
                   .not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
        if not ca:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        self.cert = builder.sign((issuer or self).key, hashes.SHA256())
        self.issuer = issuer

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def chain(self):
        return self.pem + (self.issuer.pem if self.issuer else b"")

    @property
    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM,
                                      serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    def write(self, folder, name, end=".pem"):
        """NAME.pem and NAME.key, each replaced as a whole. Returns both paths."""
        cert, key = os.path.join(folder, name + end), os.path.join(folder, name + ".key")
        put(cert, self.chain)
        put(key, self.key_pem)
        return cert, key

    def staple(self, days=3):
        """An OCSP answer that says that it is good."""
        now = datetime.datetime.utcnow()
        return (ocsp.OCSPResponseBuilder().add_response(
            cert=self.cert, issuer=self.issuer.cert, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD, this_update=now - datetime.timedelta(days=1),
            next_update=now + datetime.timedelta(days=days), revocation_time=None,
            revocation_reason=None).responder_id(ocsp.OCSPResponderEncoding.HASH,
                                                 self.issuer.cert)
                .sign(self.issuer.key, hashes.SHA256())
                .public_bytes(serialization.Encoding.DER))


def put(path, data):
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.rename(path + ".tmp", path)


def connect(port, host, session=None, version=None, ca=None, context=None):
    """A TLS connection, closed after the with; not verified unless ca is given."""
    if context is None:
        context = ssl.create_default_context(cafile=ca)
        if ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if version:
            context.minimum_version = context.maximum_version = version
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    try:
        return context.wrap_socket(raw, server_hostname=host, session=session)
    except BaseException:
        raw.close()
        raise


def shown(port, host, ca=None):
    """The certificate (DER) that a client who names that host is shown."""
    with connect(port, host, ca=ca) as s:
        return s.getpeercert(binary_form=True)


class Session:
    """A client that resumes: TLS 1.2, whose tickets come within the handshake."""

    def __init__(self, port, host):
        self.port, self.host = port, host
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.session = None
        self.resume()

    def resume(self, port=None):
        """Connects with the session of before; whether it was resumed."""
        with connect(port or self.port, self.host, self.session, context=self.context) as s:
            reused = s.session_reused
            if self.session is None:
                self.session = s.session
            return reused


class Handshakes:
    """Clients that go on asking for hosts and note whatever is not as expected: hosts is a map of
    names and the certificates (DER, several where they change) that may be shown."""

    def __init__(self, port, hosts, threads=2):
        self.port, self.hosts, self.bad, self.done = port, hosts, [], 0
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def _run(self):
        while not self.ended.is_set():
            for host in list(self.hosts):
                try:
                    der = shown(self.port, host)
                    if der not in self.hosts[host]:
                        self.bad.append(f"{host}: another certificate")
                except OSError as e:
                    self.bad.append(f"{host}: {e!r}")
                self.done += 1
            time.sleep(0.005)

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(60)
        return self.bad
