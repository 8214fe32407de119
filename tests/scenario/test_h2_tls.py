# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 over TLS, RFC 9113, 3.2 and 9.2: what is agreed on, and what TLS has to be like; towards
clients and towards servers."""

import os
import ssl
import subprocess
import tempfile

import pytest

from conftest import one_for_all
from h2server import Server
from h2stand import rfc
from h2wire import H2, PREFACE, SETTINGS, request_fields, headers, settings
from harness import Node, Whoami, free_port
from wire import http


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def self_signed(folder, name, *key):
    crt, pem = (os.path.join(folder, f"{name}.{x}") for x in ("crt", "key"))
    openssl("req", "-x509", "-nodes", "-newkey", *key, "-days", "30", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name}", "-keyout", pem, "-out", crt)
    os.chmod(pem, 0o600)
    return {"cert": crt, "key": pem}


class Place:
    """A node with a TLS listener for the hosts ec.test and rsa.test, and a pool that speaks HTTP/2
    over TLS to a server named rsa.test."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hf-h2tls-")
        self.ec = self_signed(self.dir, "ec.test", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.rsa = self_signed(self.dir, "rsa.test", "rsa:2048")
        self.whoami = Whoami("w")
        self.port, self.plain, self.server_port = free_port(), free_port(), free_port()
        self.node = Node({
            "proxy": {"threads": 1},
            "listeners": {
                "https": {"bind": f"127.0.0.1:{self.port}",
                          "tls": {"certificates": [self.ec, self.rsa]}},
                "http": {"bind": f"127.0.0.1:{self.plain}"}},
            "routes": {"all": {"to": "web"}, "s": {"path": "/s", "to": "s"}},
            "pools": {
                "web": {"servers": {"w": self.whoami.address}},
                "s": {"servers": {"s": f"127.0.0.1:{self.server_port}"}, "protocol": "h2",
                      "retries": 0, "passive": False,
                      "tls": {"ca": self.rsa["cert"], "server_name": "rsa.test"}}},
        })
        self.node.wait_server("web/w", "up")

    def client(self, alpn=("h2",), name="rsa.test", **options):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.load_verify_locations(self.rsa["cert"])
        c.load_verify_locations(self.ec["cert"])
        if alpn:
            c.set_alpn_protocols(list(alpn))
        for k, v in options.items():
            setattr(c, k, v)
        return {"tls": c, "server_name": name}

    def server_context(self):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(self.rsa["cert"], self.rsa["key"])
        c.set_alpn_protocols(["h2"])
        return c

    def stop(self):
        self.node.stop()
        self.whoami.stop()
        self.node.remove()


whole_module, place = one_for_all(Place)


@pytest.fixture
def server(place):
    made = []

    def make(serve=None, context=None, **options):
        s = Server(serve, port=place.server_port, tls=context or place.server_context(), **options)
        made.append(s)
        return s
    yield make
    for s in made:
        s.stop()


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@rfc("9113-3.3-1 9113-3.2-2 9113-9.2-1 9113-9.2.2-1")
@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name", ["ec.test", "rsa.test"])
def test_h2_by_alpn(place, version, name):
    """Preferred to HTTP/1.1, with either version of TLS and either key, never refused for its
    cipher suite."""
    with H2(place.port, **place.client(("http/1.1", "h2"), name, maximum_version=version)) as c:
        assert c.sock.selected_alpn_protocol() == "h2"
        assert c.wait(lambda f: True).kind == SETTINGS
        assert c.get(authority=name, scheme="https").status == 200


@rfc("9113-3.3-1")
def test_no_h2_without_alpn(place):
    """Who agreed on HTTP/1.1, or on nothing, does not get HTTP/2 by beginning with its preface."""
    for alpn in ((), ("http/1.1",)):
        before = place.whoami.counts()["requests"]
        with H2(place.port, start=False, **place.client(alpn)) as c:
            assert c.sock.selected_alpn_protocol() in (None, "http/1.1")
            c.sock.sendall(PREFACE + settings() + headers(1, request_fields(authority="rsa.test")))
            got = b""
            try:
                while part := c.sock.recv(65536):
                    got += part
            except (ConnectionResetError, ssl.SSLError):
                pass
            assert got == b"" or got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505")), got[:100]
        assert place.whoami.counts()["requests"] == before


@rfc("9113-3.2-1")
def test_h2c_is_not_chosen(place):
    """Not even when nothing else is offered; the handshake may fail for it."""
    try:
        with H2(place.port, start=False, **place.client(("h2c",))) as c:
            assert c.sock.selected_alpn_protocol() is None
    except ssl.SSLError:
        pass


@rfc("9113-9.2-1")
def test_old_tls_is_refused(place):
    c = place.client()
    c["tls"].minimum_version = ssl.TLSVersion.TLSv1
    c["tls"].maximum_version = ssl.TLSVersion.TLSv1_1
    c["tls"].set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)) as e:
        H2(place.port, start=False, **c)
    assert "version" in str(e.value).lower() or "alert" in str(e.value).lower(), e.value


@rfc("9113-9.2-2")
def test_certificate_by_name(place):
    for name in ("ec.test", "rsa.test"):
        with H2(place.port, **place.client(name=name)) as c:
            assert (("DNS", name),) == c.sock.getpeercert()["subjectAltName"]


@rfc("9113-9.2.1-1 9113-10.6-3")
def test_no_compression(place):
    with H2(place.port, **place.client(maximum_version=V12, options=ssl.OP_ALL & ~ssl.OP_NO_COMPRESSION)
            ) as c:
        assert c.sock.compression() is None


def s_client(place, *args, say=b"", name="rsa.test"):
    """What openssl s_client tells of a connection that ends by itself, or after 3 s."""
    proc = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{place.port}",
                             "-servername", name, "-alpn", "h2", *args], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        proc.stdin.write(say)
        proc.stdin.flush()
        out, _ = proc.communicate(timeout=3)
    except subprocess.TimeoutExpired:
        proc.kill()
        out, _ = proc.communicate()
    return proc.returncode, out.decode("latin-1")


@rfc("9113-9.2.1-2 9113-9.2.1-3")
def test_renegotiation_ends_the_connection(place):
    """A client that wants to negotiate again is left without a connection."""
    status, out = s_client(place, "-tls1_2", say=b"R\n")
    assert "RENEGOTIATING" in out
    assert status == 1, out # it ended by itself, in an error
    assert out.lower().count("begin certificate") <= 1


@rfc("9113-9.2.1-5 9113-9.2.2-2")
def test_mandatory_cipher_suite(place):
    """ECDHE-RSA-AES128-GCM-SHA256 with P-256, in TLS 1.2."""
    c = place.client(maximum_version=V12)
    c["tls"].set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    c["tls"].set_ecdh_curve("prime256v1")
    with H2(place.port, **c) as h:
        assert h.sock.cipher()[0] == "ECDHE-RSA-AES128-GCM-SHA256"
        assert h.get(authority="rsa.test", scheme="https").status == 200
    _, out = s_client(place, "-tls1_2", "-curves", "P-256")
    assert "Server Temp Key: ECDH, prime256v1, 256 bits" in out, out[-1500:]


@rfc("9113-9.2.3-1")
def test_no_certificate_request_after_the_handshake(place):
    """Not of a client that would answer one."""
    seen = []
    c = place.client(post_handshake_auth=True)
    c["tls"]._msg_callback = lambda conn, way, version, kind, message, data: seen.append( # noqa
        (way, str(message)))
    with H2(place.port, **c) as h:
        for _ in range(3):
            assert h.get(authority="rsa.test", scheme="https").status == 200
    assert not [m for m in seen if m[0] == "read" and "CERTIFICATE_REQUEST" in m[1]], seen


# --- towards servers --------------------------------------------------------------------------

@rfc("9113-9.2-3 9113-3.3-1 9113-3.2-1 9113-3.2-2")
def test_server_name_and_alpn_to_servers(place, server):
    names = []
    context = place.server_context()
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    s = server(context=context)
    assert http(place.plain, path="/s").status == 200
    assert names[-1] == "rsa.test"
    assert s.peers[0].sock.selected_alpn_protocol() == "h2"
    s.check()


@rfc("9113-3.3-1")
def test_server_without_h2(place, server):
    """A server that does not agree on h2 gets no request: 502."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.rsa["cert"], place.rsa["key"])
    context.set_alpn_protocols(["http/1.1"])
    got = []

    def serve(peer):
        try:
            got.append(peer.sock.recv(1000))
        except OSError:
            pass
    server(serve, context=context, begin=False)
    assert http(place.plain, path="/s").status == 502
    assert not b"".join(got)


@rfc("9113-9.2-1")
def test_server_of_old_tls(place, server):
    context = place.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    s = server(context=context)
    assert http(place.plain, path="/s").status == 502
    assert not s.peers


@rfc("9113-9.2.1-5 9113-9.2.1-6")
@pytest.mark.parametrize("bits", [2048, 4096])
def test_server_with_dhe(place, server, bits):
    """TLS 1.2 with ephemeral Diffie-Hellman of that size."""
    path = os.path.join(place.dir, f"dh{bits}.pem")
    openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:ffdhe{bits}",
            "-out", path)
    context = place.server_context()
    context.maximum_version = V12
    context.load_dh_params(path)
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
    s = server(context=context)
    assert http(place.plain, path="/s").status == 200
    assert s.peers[0].sock.cipher()[0] == "DHE-RSA-AES128-GCM-SHA256"


@rfc("9113-9.2.1-1 9113-10.6-3")
def test_no_compression_to_servers(place, server):
    context = place.server_context()
    context.maximum_version = V12
    context.options &= ~ssl.OP_NO_COMPRESSION
    s = server(context=context)
    assert http(place.plain, path="/s").status == 200
    assert s.peers[0].sock.compression() is None


@rfc("9113-9.2.3-2")
def test_no_certificate_for_servers_after_the_handshake(place, server):
    """We do not offer it, so a server that asked anyway would break TLS 1.3 itself."""
    told = []

    def serve(peer):
        r = peer.request()
        try:
            peer.sock.verify_client_post_handshake()
        except ssl.SSLError as e:
            told.append(str(e))
        peer.reply(r)
    context = place.server_context()
    context.load_verify_locations(place.rsa["cert"])
    context.post_handshake_auth = True
    server(serve, context=context)
    assert http(place.plain, path="/s").status == 200
    assert told and "EXTENSION_NOT_RECEIVED" in told[0], told
