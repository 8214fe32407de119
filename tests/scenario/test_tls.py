# SPDX-License-Identifier: Apache-2.0
"""TLS to clients and to servers: certificates by name, client certificates and what servers are told
of them, sessions, redirects, HSTS, verification of servers."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from conftest import free_port, simple, wait_for
from pki import Authority, TlsServer
from wire import Closed, Conn, http


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certs(ca):
    return {"shop": ca.issue("shop.test", "localhost", "IP:127.0.0.1"),
            "rsa": ca.issue("shop.test", rsa=True, file="rsa"),
            "wild": ca.issue("*.w.test"),
            "user": ca.issue("user.test", "email:jane@shop.test", file="user"),
            "gone": ca.issue("gone.test", file="gone")}


@pytest.fixture
def tls_server():
    servers = []

    def make(*args, **options):
        servers.append(TlsServer(*args, **options))
        return servers[-1]
    yield make
    for s in servers:
        s.stop()


def pair(files):
    return {"cert": files[0], "key": files[1]}


def conf_of(server, *files, **tls):
    port, https = free_port(), free_port()
    conf = simple(port, [server], check=False)
    conf["listeners"]["https"] = {"bind": f"127.0.0.1:{https}",
                                  "tls": {"certificates": [pair(f) for f in files], **tls}}
    return conf, port, https


class TlsConn(Conn):
    def __init__(self, port, context, name="shop.test", session=None):
        super().__init__(port)
        self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session)

    def get(self, path="/", headers=(), host="shop.test"):
        self.request("GET", path, headers, host=host)
        return self.recv_response("GET")


def seen(response):
    """The fields that the server got, as {name in lower case: [values]}."""
    assert response.status == 200, response
    out = {}
    text = response.body.decode()
    for line in text[text.index(" HTTP/1.1\r\n"):].split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name:
            out.setdefault(name.lower(), []).append(value.strip())
    return out


def shown(port, context, name):
    with TlsConn(port, context, name) as c:
        return c.sock.getpeercert()["subjectAltName"][0][1]


def test_certificates_by_name(node, whoami, ca, certs):
    conf, _, https = conf_of(whoami(), certs["shop"], certs["wild"])
    n = node(conf)
    anyone = ca.context()
    anyone.check_hostname = False
    assert shown(https, anyone, "shop.test") == "shop.test"
    assert shown(https, anyone, "a.w.test") == "*.w.test"
    assert shown(https, anyone, "a.b.w.test") == "shop.test"
    assert shown(https, anyone, None) == "shop.test"
    with TlsConn(https, ca.context()) as c:
        got = seen(c.get())
        assert got["x-forwarded-proto"] == ["https"]
        assert got["x-forwarded-port"] == [str(https)]
        assert c.get("/second").status == 200
        assert c.sock.version() == "TLSv1.3"

    def total(what):
        text = n.api("GET", "/metrics").body.decode()
        return sum(float(v) for v in re.findall(
            rf'holdfast_listener_tls_{what}_total{{listener="https"}} ([0-9.e+]+)', text))
    wait_for(lambda: total("handshakes") == 5)
    with Conn(https) as c:
        c.send("GET / HTTP/1.1\r\n\r\n")
        assert c.sock.recv(100)[:1] in (b"\x15", b"")
    wait_for(lambda: total("failed") == 1)
    wait_for(lambda: "http request" in n.log)
    with Conn(https): # who only connects has not failed
        pass
    assert total("failed") == 1


def test_both_key_types(node, whoami, ca, certs):
    conf, _, https = conf_of(whoami(), certs["shop"], certs["rsa"])
    node(conf)

    def suite(*args):
        out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{https}", "-tls1_2",
                              "-servername", "shop.test", *args], capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, check=False, timeout=60).stdout
        return re.search(r"Cipher is (\S+)", out).group(1)
    assert suite().startswith("ECDHE-ECDSA-")
    assert suite("-cipher", "ECDHE-RSA-AES128-GCM-SHA256") == "ECDHE-RSA-AES128-GCM-SHA256"
    assert suite("-cipher", "AES128-SHA:ECDHE-RSA-AES128-SHA") == "(NONE)"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions(node, whoami, ca, certs, version):
    """Resumed in every thread, and over a reload."""
    conf, _, https = conf_of(whoami(), certs["shop"])
    conf["proxy"] = {"threads": 3}
    n = node(conf)
    context = ca.context(version=version)
    with TlsConn(https, context) as c:
        assert c.get().status == 200 # the ticket of TLS 1.3 comes with it
        session = c.sock.session
    for i in range(12):
        if i == 6:
            conf["routes"]["more"] = {"path": "/more", "to": "web"}
            n.reload(conf)
        with TlsConn(https, context, session=session) as c:
            assert c.sock.session_reused
            assert c.get().status == 200


def test_large_and_slow(node, whoami, ca, certs):
    conf, _, https = conf_of(whoami(), certs["shop"])
    node(conf)
    with TlsConn(https, ca.context()) as c:
        body = os.urandom(3_000_000)
        c.request("POST", "/echo", {"Content-Length": str(len(body))}, host="shop.test")
        for i in range(0, len(body), 100_001):
            c.sock.sendall(body[i:i + 100_001])
        r = c.recv_response("POST")
        assert r.status == 200
    # A reader that stops for a while.
    with TlsConn(https, ca.context()) as c:
        c.request("GET", "/bytes/5000000", host="shop.test")
        time.sleep(0.3)
        r = c.recv_response("GET")
        assert r.status == 200 and len(r.body) == 5_000_000


def test_many_requests_curl(node, whoami, ca, certs):
    conf, _, https = conf_of(whoami(), certs["shop"])
    node(conf)
    urls = [f"https://shop.test:{https}/bytes/{i * 997}" for i in range(40)]
    out = subprocess.run(["curl", "-s", "--http1.1", "--cacert", ca.cert, "--resolve",
                          f"shop.test:{https}:127.0.0.1", "-w", "%{size_download} ", "-o",
                          "/dev/null", *sum((["-o", "/dev/null"] for _ in urls[1:]), []), *urls],
                         capture_output=True, text=True, check=True, timeout=60).stdout
    assert [int(x) for x in out.split()] == [i * 997 for i in range(40)]


def test_redirect_and_hsts(node, whoami, ca, certs):
    conf, port, https = conf_of(whoami(), certs["shop"], hsts={"max_age": "365d",
                                                               "subdomains": True})
    conf["listeners"]["http"].update({"redirect_https": True})
    node(conf)
    r = http(port, path="/a/b?c=d&e", host="shop.test:8080")
    assert r.status == 308 and r.get("location") == "https://shop.test/a/b?c=d&e"
    r = http(port, "POST", "/x", body="12345", host="[::1]:80")
    assert r.status == 308 and r.get("location") == "https://[::1]/x"
    assert http(port, path="/.well-known/acme-challenge/none", host="shop.test").status != 308
    with Conn(port) as c: # the connection is kept
        for _ in range(3):
            c.request("GET", "/", host="shop.test")
            assert c.recv_response("GET").status == 308
    with TlsConn(https, ca.context()) as c:
        want = ["max-age=31536000; includeSubDomains"]
        assert c.get().all("strict-transport-security") == want
    out = subprocess.run(["curl", "-si", "--http2", "--cacert", ca.cert, "--resolve",
                          f"shop.test:{https}:127.0.0.1", f"https://shop.test:{https}/"],
                         capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.startswith("HTTP/2 200")
    assert re.findall("(?im)^strict-transport-security: (.*)$", out) == want
    assert http(port, host="shop.test").all("strict-transport-security") == []


# --- client certificates -------------------------------------------------------------------------

FORGED = {"X-Client-Verify": "success", "x_client_subject": "CN=root", "X-CLIENT-SAN": "DNS:root",
          "X-Client_Fingerprint": "00"}
OURS = ("x-client-verify", "x-client-subject", "x-client-issuer", "x-client-serial",
        "x-client-fingerprint", "x-client-san")


def test_client_certificates(node, whoami, ca, certs):
    rule = {"mode": "request", "ca": ca.cert, "crl": ca.crl(certs["gone"][0])}
    conf, port, https = conf_of(whoami(), certs["shop"], client_certificates=rule)
    n = node(conf)
    with TlsConn(https, ca.context(certs["user"])) as c:
        for _ in range(2):
            got = seen(c.get("/", FORGED))
            assert got["x-client-verify"] == ["success"]
            assert got["x-client-subject"] == ["CN=user.test"]
            assert got["x-client-issuer"] == ["CN=Test CA"]
            assert got["x-client-san"] == ["DNS:user.test,email:jane@shop.test"]
            assert re.fullmatch("[0-9a-f]{64}", got["x-client-fingerprint"][0])
            assert not [k for k in got if "_" in k]
    for files, verify in ((None, "none"), (certs["gone"], "failed: certificate revoked")):
        with TlsConn(https, ca.context(files)) as c:
            got = seen(c.get("/", FORGED))
            assert got["x-client-verify"] == [verify]
            assert verify != "none" or not [k for k in got if k in OURS[1:]]
    # In clear text nobody can say so either.
    got = seen(http(port, path="/", headers=FORGED))
    assert not [k for k in got if k.replace("_", "-") in OURS]
    conf["trust"] = ["127.0.0.0/8"]
    n.reload(conf)
    assert seen(http(port, path="/", headers=FORGED))["x-client-verify"] == ["success"]
    with TlsConn(https, ca.context()) as c: # not where we have asked ourselves
        assert seen(c.get("/", FORGED))["x-client-verify"] == ["none"]


def test_client_certificate_required(node, whoami, ca, certs, tmp_path):
    rule = {"mode": "require", "ca": ca.cert}
    conf, _, https = conf_of(whoami(), certs["shop"], certs["wild"],
                             hosts={"admin.w.test": {"client_certificates": rule}})
    n = node(conf)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with TlsConn(https, ca.context(version=version), "x.w.test") as c:
            assert c.get(host="x.w.test").status == 200
            # This connection has shown no certificate: not for that host.
            r = c.get(host="admin.w.test")
            assert r.status == 421
            session = c.sock.session
        context = ca.context(version=version)
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            with TlsConn(https, context, "admin.w.test") as c:
                c.get(host="admin.w.test")
        context = ca.context(certs["user"], version=version)
        with TlsConn(https, context, "admin.w.test") as c:
            got = seen(c.get(host="admin.w.test"))
            assert got["x-client-verify"] == ["success"]
            assert c.get(host="x.w.test").status == 421
    wait_for(lambda: "peer did not return a certificate" in n.log)


def test_open_connections_when_rules_change(node, whoami, ca, certs, tmp_path):
    """A new rule holds for them as well: 421; new contents of its files do not end them."""
    crl = str(tmp_path / "list.crl")
    shutil.copy(ca.crl(), crl)
    rule = {"client_certificates": {"mode": "require", "ca": ca.cert, "crl": crl}}
    conf, _, https = conf_of(whoami(), certs["shop"], certs["wild"], hosts={"admin.w.test": rule})
    tls = conf["listeners"]["https"].pop("tls")
    n = node(conf)

    def status(c, host):
        c.request("GET", "/", host=host)
        return c.recv_response("GET").status
    with Conn(https) as c: # begun in clear text
        assert status(c, "admin.w.test") == 200
        conf["listeners"]["https"]["tls"] = tls
        assert n.reload(conf).returncode == 0
        assert status(c, "shop.test") == 200
        assert status(c, "admin.w.test") == 421
    with TlsConn(https, ca.context(certs["gone"]), "admin.w.test") as c:
        assert status(c, "admin.w.test") == 200
        shutil.copy(ca.crl(certs["gone"][0]), crl + ".new")
        os.rename(crl + ".new", crl)

        def refused():
            try:
                with TlsConn(https, ca.context(certs["gone"]), "admin.w.test") as other:
                    return status(other, "admin.w.test") != 200
            except (OSError, Closed):
                return True
        wait_for(refused, what="the new list")
        assert status(c, "admin.w.test") == 200
    with TlsConn(https, ca.context()) as c:
        assert status(c, "shop.test") == 200
        tls["client_certificates"] = dict(rule["client_certificates"])
        assert n.reload(conf).returncode == 0
        assert status(c, "shop.test") == 421


# --- certificates that change ---------------------------------------------------------------------

def test_new_certificates_leave_connections_alone(node, whoami, ca, certs, tmp_path):
    folder = tmp_path / "certs"
    folder.mkdir()

    def put(files, name="a"):
        shutil.copy(files[1], folder / f".{name}.key")
        shutil.copy(files[0], folder / f".{name}.pem")
        os.rename(folder / f".{name}.key", folder / f"{name}.key")
        os.rename(folder / f".{name}.pem", folder / f"{name}.pem")
    put(certs["shop"])
    port, https = free_port(), free_port()
    conf = simple(port, [whoami()], check=False)
    conf["listeners"]["https"] = {"bind": f"127.0.0.1:{https}",
                                  "tls": {"certificates": [{"dir": str(folder)}]}}
    node(conf)
    old = TlsConn(https, ca.context())
    assert old.get().status == 200
    anyone = ca.context()
    anyone.check_hostname = False
    put(certs["wild"], "b")
    wait_for(lambda: shown(https, anyone, "x.w.test") == "*.w.test")
    assert old.get().status == 200
    assert shown(https, anyone, "shop.test") == "shop.test"
    old.close()


# --- to servers -------------------------------------------------------------------------------

def test_to_servers(node, ca, certs, tls_server):
    """Verified, resumed, kept; tickets that come on an idle connection do not end it."""
    s = tls_server(*certs["shop"])
    port = free_port()
    conf = simple(port, [s], check=False)
    conf["proxy"] = {"threads": 1}
    conf["trust"] = ["127.0.0.0/8"]
    conf["pools"]["web"]["tls"] = {"ca": ca.cert, "server_name": "shop.test"}
    n = node(conf)
    with Conn(port) as c:
        seen_on = set()
        for i in range(5):
            c.request("GET", f"/{i}")
            got = json.loads(c.recv_response("GET").body)
            seen_on.add(got["connection"])
            assert got["sni"] == "shop.test" and got["version"] == "TLSv1.3"
    assert len(seen_on) == 1 and s.handshakes == 1
    assert http(port, "POST", "/", body="x" * 100).status == 200
    # New connections resume: two at once need a second one.
    socks = [Conn(port) for _ in range(4)]
    got = []
    for c in socks:
        c.request("GET", "/")
    for c in socks:
        got.append(json.loads(c.recv_response("GET").body))
        c.close()
    assert all(g["resumed"] for g in got if g["connection"] not in seen_on)
    conf["pools"]["web"]["tls"]["server_name"] = "other.test"
    n.reload(conf)
    r = http(port)
    assert r.status == 502
    assert "hostname mismatch, expected other.test" in r.get("holdfast-reason")
    wait_for(lambda: "hostname mismatch" in n.log)
    conf["pools"]["web"]["tls"] = {"ca": certs["wild"][0], "server_name": "shop.test"}
    n.reload(conf)
    assert "unable to get local issuer certificate" in http(port).get("holdfast-reason")
    conf["pools"]["web"]["tls"] = {"verify": False}
    n.reload(conf)
    assert http(port).status == 200


def test_to_servers_whose_authority_is_dropped(node, ca, certs, tls_server, tmp_path):
    """Without a reload: neither a connection that is kept nor a session serves any more."""
    s = tls_server(*certs["shop"])
    bundle, port = str(tmp_path / "ca.pem"), free_port()
    shutil.copy(ca.cert, bundle)
    conf = simple(port, [s], check=False)
    conf["proxy"] = {"threads": 1}
    conf["trust"] = ["127.0.0.0/8"]
    conf["pools"]["web"]["tls"] = {"ca": bundle, "server_name": "shop.test"}
    node(conf)
    assert http(port).status == 200
    shutil.copy(Authority(tmp_path / "other").cert, bundle + ".new")
    os.rename(bundle + ".new", bundle)
    r = wait_for(lambda: (r := http(port)).status == 502 and r, what="another authority")
    assert "unable to get local issuer certificate" in r.get("holdfast-reason")


def test_to_servers_by_the_hosts_name(node, ca, certs, tls_server):
    """Where only the request tells who the server has to be, what was proved for one host serves no
    other."""
    s = tls_server(*certs["shop"])
    port = free_port()
    conf = simple(port, [s], check=False)
    conf["proxy"] = {"threads": 1}
    conf["pools"]["web"]["tls"] = {"ca": ca.cert}
    node(conf)
    assert http(port, host="shop.test").status == 200
    assert http(port, host="localhost:99").status == 200
    r = http(port, host="shop.test.")
    assert r.status == 200 and json.loads(r.body)["sni"] == "shop.test"
    assert http(port, host="evil.test").status == 502
    assert http(port, host="shop.test").status == 200
    assert s.handshakes in (3, 4) # the refused one may count


def test_to_servers_with_certificate(node, ca, certs, tls_server):
    s = tls_server(*certs["shop"], client_ca=ca.cert)
    port = free_port()
    conf = simple(port, [s], check=False)
    conf["pools"]["web"]["tls"] = {"ca": ca.cert, "server_name": "shop.test",
                                   **pair(certs["user"])}
    node(conf)
    assert json.loads(http(port).body)["peer"] == ["user.test"]


def test_a_server_without_tls(node, whoami, ca):
    w, port = whoami(), free_port()
    conf = simple(port, [w], check=False)
    conf["trust"] = ["127.0.0.0/8"]
    conf["pools"]["web"]["tls"] = {"ca": ca.cert, "server_name": "shop.test"}
    node(conf)
    r = http(port)
    assert r.status == 502 and "TLS handshake failed" in r.get("holdfast-reason")


# --- what scanners say ----------------------------------------------------------------------------

def scan(port, ca, out, *args):
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--add-ca", ca.cert,
                    "--openssl", "/usr/bin/openssl", "--ip", "127.0.0.1", "--jsonfile", out, *args,
                    f"shop.test:{port}"], check=False, capture_output=True, timeout=900,
                   stdin=subprocess.DEVNULL)
    with open(out, encoding="utf-8") as f:
        found = json.load(f)
    assert len(found) > 5
    # The test's authority has no address for revocation, and fields that tell browsers what a page
    # may do are the page's: no matter of the proxy's.
    return [f"{x['severity']} {x['id']}: {x['finding']}" for x in found
            if x["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL") and
            x["id"].split()[0] not in ("cert_revocation", "cert_chain_of_trust",
                                       "security_headers")]


@pytest.fixture
def scanned(node, whoami, certs):
    conf, _, https = conf_of(whoami(), certs["shop"], certs["rsa"], hsts="365d")
    node(conf)
    return https


@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl is not installed")
@pytest.mark.limit(240)
def test_scan(scanned, ca, tmp_path):
    assert scan(scanned, ca, tmp_path / "quick.json", "--protocols") == []
    assert scan(scanned, ca, tmp_path / "renego.json", "-R") == []


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl is not installed")
@pytest.mark.limit(900)
def test_scan_whole(scanned, ca, tmp_path):
    assert scan(scanned, ca, tmp_path / "whole.json") == []
