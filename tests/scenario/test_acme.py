# SPDX-License-Identifier: Apache-2.0
"""Certificates by ACME: a real authority (pebble) on this machine, every kind of challenge from the
first order to what a client is shown, renewal, and what happens when the authority does not do what
is hoped for."""

import datetime
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acme_ca import DNS, PEBBLE, Pebble
from conftest import HOLDFAST, free_port, wait_for, wait_gone

pytestmark = pytest.mark.skipif(not PEBBLE or not DNS, reason="needs pebble")

HOOK = """#!/bin/sh
echo "$HOLDFAST_ACME_ACTION $HOLDFAST_ACME_NAME $HOLDFAST_ACME_VALUE" >> {log}
case $HOLDFAST_ACME_ACTION in
add) curl -sf -d "{{\\"host\\":\\"$HOLDFAST_ACME_NAME.\\",\\"value\\":\\"$HOLDFAST_ACME_VALUE\\"}}" \\
    http://127.0.0.1:{admin}/set-txt ;;
remove) curl -sf -d "{{\\"host\\":\\"$HOLDFAST_ACME_NAME.\\"}}" http://127.0.0.1:{admin}/clear-txt ;;
esac
"""


@pytest.fixture
def authority():
    made = []

    def make(**options):
        made.append(Pebble(**options))
        return made[-1]
    yield make
    for p in made:
        p.stop()


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="hf-acme-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Site:
    """A configuration with one certificate by ACME, and a node with it."""

    def __init__(self, node, whoami, ca, challenge, hosts=("shop.test",), **issuer):
        self.a, self.http, self.https = whoami("a"), free_port(), free_port()
        self.make, self.node, self.hosts = node, None, list(hosts)
        self.issuer = {"agree": True, "challenge": challenge, **issuer}
        if ca:
            self.use(ca)

    def use(self, ca):
        self.ca = ca
        self.issuer.update(directory=ca.directory, ca=ca.ca)
        return self

    def conf(self):
        return {
            "acme": {"le": self.issuer},
            "listeners": {
                "http": {"bind": f"127.0.0.1:{self.http}"},
                "https": {"bind": f"127.0.0.1:{self.https}", "tls": {
                    "certificates": [{"acme": "le", "hosts": self.hosts}]}}},
            "routes": {"all": {"to": "web"}},
            "pools": {"web": {"check": {"tcp": True},
                              "servers": {"a": f"127.0.0.1:{self.a.port}"}}}}

    def start(self):
        self.node = self.make(self.conf())
        return self

    def path(self, *names):
        return os.path.join(self.node.state, "acme", *names)

    def live(self):
        name = self.hosts[0].replace("*.", "_.", 1)
        return self.path("le", "live", name)

    def state(self):
        got = self.node.status()["acme"]
        return got[0] if got else {"state": "", "name": ""}

    def wait(self, state, **more):
        def there():
            s = self.state()
            return s if s["state"] == state and all(s[k] == v for k, v in more.items()) else None
        try:
            return wait_for(there, 40, f"certificate {state} {more}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.state()}\n{self.ca.log[-3000:]}") from e

    def shown(self, name=None):
        """The certificate that a client is shown for a name; None: there is none."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.https), 5) as s:
                with context.wrap_socket(s, server_hostname=name or self.hosts[-1]) as t:
                    return x509.load_der_x509_certificate(t.getpeercert(True))
        except (OSError, ssl.SSLError):
            return None

    def served(self, chain=None):
        """Waits until clients see the certificate in the folder, and checks that they trust it."""
        with open(os.path.join(self.live(), "fullchain.pem"), "rb") as f:
            leaf = x509.load_pem_x509_certificate(f.read())
        wait_for(lambda: self.shown() == leaf, what="the certificate served")
        context = ssl.create_default_context(cadata=(chain or self.ca.root()).decode())
        name = self.hosts[-1].replace("*", "any")
        with socket.create_connection(("127.0.0.1", self.https), 5) as s:
            with context.wrap_socket(s, server_hostname=name) as t:
                t.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                assert t.recv(4096).startswith(b"HTTP/1.1 200")
        return leaf


def events(n, event):
    return [json.loads(line) for line in n.log.splitlines()
            if line.startswith("{") and f'"event":"{event}"' in line]


def names(leaf):
    return sorted(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
                  .value.get_values_for_type(x509.DNSName))


def program(folder, ca):
    """A program that sets records at the authority's DNS, and where it writes what it was told."""
    path, log = os.path.join(folder, "hook"), os.path.join(folder, "told")
    with open(path, "w", encoding="utf-8") as f:
        f.write(HOOK.format(log=log, admin=ca.dns.admin))
    os.chmod(path, 0o755)
    with open(log, "w", encoding="utf-8"):
        os.chmod(log, 0o666)
    return path, log


def told(log):
    with open(log, encoding="utf-8") as f:
        return f.read().splitlines()


def pair(folder, hosts, seconds, age=0):
    """A certificate of the test's own in a folder, as if it had been issued."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow() - datetime.timedelta(seconds=age)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    leaf = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now).not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), False)
            .sign(key, hashes.SHA256()))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "fullchain.pem"), "wb") as f:
        f.write(leaf.public_bytes(serialization.Encoding.PEM))
    with open(os.path.join(folder, "privkey.pem"), "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()))
    return leaf


def as_roles(path, like):
    """Gives all below a folder to the owner of another."""
    st = os.stat(like)
    for top, _, files in os.walk(path):
        for p in [top] + [os.path.join(top, f) for f in files]:
            os.chown(p, st.st_uid, st.st_gid)


# --- the three challenges ---------------------------------------------------------------------

def test_http_01_from_the_order_to_the_client(node, whoami, authority):
    site = Site(node, whoami, None, "http-01", ["shop.test", "www.shop.test"], email="a@b.test")
    site.use(authority(http_port=site.http)).start()
    site.wait("valid")
    leaf = site.served()
    assert names(leaf) == ["shop.test", "www.shop.test"]
    assert os.listdir(site.path("challenges", "http-01")) == []
    assert len(events(site.node, "acme_issued")) == 1
    for top, folders, files in os.walk(site.path()):
        assert os.stat(top).st_mode & 0o777 == 0o700, top
        for f in files:
            assert os.stat(os.path.join(top, f)).st_mode & 0o777 == 0o600, f
    metrics = site.node.metrics()
    labels = '{issuer="le",certificate="shop.test"}'
    assert metrics["holdfast_acme_issued_total" + labels] == 1
    assert metrics["holdfast_acme_failures" + labels] == 0
    assert "valid" in site.node.cli("status").stdout


def test_tls_alpn_01_from_the_order_to_the_client(node, whoami, authority):
    site = Site(node, whoami, None, "tls-alpn-01", ["shop.test"], key="rsa2048")
    site.use(authority(tls_port=site.https)).start()
    site.wait("valid")
    leaf = site.served()
    assert leaf.public_key().key_size == 2048
    assert os.listdir(site.path("challenges", "tls-alpn-01")) == []


def test_wildcard_by_a_program(node, whoami, authority, folder):
    ca = authority()
    hook, log = program(folder, ca)
    site = Site(node, whoami, ca, "dns-01", ["shop.test", "*.shop.test"],
                dns={"exec": [hook], "check": ca.resolver}).start()
    site.wait("valid")
    assert names(site.served()) == ["*.shop.test", "shop.test"]
    done = told(log)
    assert sorted(line.split()[0] for line in done) == ["add", "add", "remove", "remove"]
    assert {line.split()[1] for line in done} == {"_acme-challenge.shop.test"}
    assert len({line.split()[2] for line in done}) == 2


class Named:
    """bind9 with a zone that takes updates signed by a key."""

    def __init__(self, folder, algorithm):
        self.port, self.folder = free_port(), folder
        text = subprocess.run(["tsig-keygen", "-a", algorithm, "holdfast"], check=True,
                              capture_output=True, text=True).stdout
        self.key = text.split('secret "')[1].split('"')[0]
        with open(os.path.join(folder, "zone"), "w", encoding="utf-8") as f:
            f.write("$TTL 60\n@ IN SOA ns root 1 60 60 600 60\n@ IN NS ns\n* IN A 127.0.0.1\n"
                    "@ IN A 127.0.0.1\nns IN A 127.0.0.1\n")
        conf = os.path.join(folder, "named.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text + f"""
options {{ directory "{folder}"; listen-on port {self.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }}; recursion no; pid-file none; dnssec-validation no;
  session-keyfile none; }};
controls {{ }};
zone "shop.test" {{ type primary; file "zone"; allow-update {{ key holdfast; }}; }};
""")
        with open(os.path.join(folder, "named.log"), "wb") as out:
            self.proc = subprocess.Popen(["named", "-g", "-c", conf, "-n", "1"],
                                         stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for(lambda: self.texts("shop.test") is not None, what="named")

    def texts(self, name):
        r = subprocess.run(["dig", "+short", "+time=1", "+tries=1", f"-p{self.port}", "@127.0.0.1",
                            "TXT", name], capture_output=True, text=True, check=False)
        return r.stdout.split() if r.returncode == 0 else None

    def stop(self):
        self.proc.terminate()
        self.proc.wait(20)
        wait_gone(self.proc.pid)


@pytest.fixture
def named(folder):
    made = []

    def make(algorithm="hmac-sha256"):
        made.append(Named(folder, algorithm))
        return made[-1]
    yield make
    for n in made:
        n.stop()


@pytest.mark.skipif(not shutil.which("named") or not shutil.which("dig"), reason="needs bind9")
@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha512"])
def test_wildcard_by_signed_updates(node, whoami, authority, named, algorithm):
    dns = named(algorithm)
    server = f"127.0.0.1:{dns.port}"
    site = Site(node, whoami, authority(dns=server), "dns-01", ["*.shop.test", "shop.test"], dns={
        "rfc2136": {"server": server, "key_name": "Holdfast.", "key": dns.key,
                    "algorithm": algorithm}, "check": server}).start()
    site.wait("valid")
    site.served()
    wait_for(lambda: dns.texts("_acme-challenge.shop.test") == [], what="records removed")


@pytest.mark.skipif(not shutil.which("named") or not shutil.which("dig"), reason="needs bind9")
def test_refused_update_says_what_to_look_at(node, whoami, authority, named):
    dns = named()
    server = f"127.0.0.1:{dns.port}"
    site = Site(node, whoami, authority(dns=server), "dns-01", dns={
        "rfc2136": {"server": server, "key_name": "holdfast", "key": "A" * 43 + "="},
        "check": server}).start()
    assert "is \"key\" the same there" in site.wait("failed")["error"]
    site.issuer["dns"]["rfc2136"].update(key=dns.key, key_name="other")
    assert site.node.reload(site.conf()).returncode == 0
    wait_for(lambda: "does not know the key" in site.state()["error"], what="unknown key")
    site.issuer["dns"]["rfc2136"]["key_name"] = "holdfast"
    assert site.node.reload(site.conf()).returncode == 0
    site.wait("valid")


class Cloudflare(http.server.BaseHTTPRequestHandler):
    """As much of the API as is used; records go to the authority's DNS."""
    protocol_version = "HTTP/1.1"

    def _answer(self, result=None, error=None, status=200):
        body = json.dumps({"success": error is None, "result": result,
                           "errors": [error] if error else []}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve(self):
        api, url = self.server, urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        api.calls.append((self.command, self.path))
        if self.headers.get("Authorization") != "Bearer good-token":
            self._answer(error={"code": 9109, "message": "Invalid access token"}, status=403)
        elif url.path == "/zones":
            self._answer([{"id": "z1"}] if query["name"] == "shop.test" else [])
        elif self.command == "POST":
            record = json.loads(body)
            api.records[f"r{len(api.calls)}"] = record
            api.dns.ask("set-txt", {"host": record["name"] + ".",
                                    "value": record["content"].strip('"')})
            self._answer({"id": f"r{len(api.calls)}"})
        elif self.command == "DELETE":
            api.records.pop(url.path.rsplit("/", 1)[1])
            self._answer({})
        else:
            self._answer([{"id": k, **v} for k, v in api.records.items()])

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, *args):
        pass


@pytest.fixture
def cloudflare():
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloudflare)
    api.records, api.calls, api.dns = {}, [], None
    thread = threading.Thread(target=api.serve_forever, daemon=True)
    thread.start()
    yield api
    api.shutdown()
    api.server_close()
    thread.join(10)


def test_wildcard_by_cloudflare(node, whoami, authority, cloudflare):
    ca = authority()
    cloudflare.dns = ca.dns
    site = Site(node, whoami, ca, "dns-01", ["*.a.shop.test"], dns={
        "cloudflare": {"token": "bad-token", "api": f"http://127.0.0.1:{cloudflare.server_port}"},
        "check": ca.resolver}).start()
    assert "Invalid access token (code 9109, status 403)" in site.wait("failed")["error"]
    site.issuer["dns"]["cloudflare"]["token"] = "good-token"
    assert site.node.reload(site.conf()).returncode == 0
    site.wait("valid")
    site.served()
    assert cloudflare.records == {}
    assert [c for c, p in cloudflare.calls if c in ("POST", "DELETE")] == ["POST", "DELETE"]
    assert "good-token" not in site.node.cli("show", "-c", site.node.path).stdout + site.node.log


# --- renewal ----------------------------------------------------------------------------------

def test_renewal_takes_the_place_of_what_is_served(node, whoami, authority):
    """Renewed when a third of their life is left; clients see each new one, and never none."""
    site = Site(node, whoami, None, "http-01")
    site.use(authority(http_port=site.http, life=15)).start()
    first = wait_for(lambda: site.state()["orders"] >= 1 and site.served(), what="the first one")
    wait_for(lambda: site.state()["orders"] >= 2, what="the second one")
    last = wait_for(lambda: site.shown() != first and site.shown(), what="another one served")
    assert last.not_valid_before > first.not_valid_before
    renewed = events(site.node, "acme_renewed")
    assert renewed and renewed[0]["object"] == "le/shop.test"
    life = last.not_valid_after - last.not_valid_before
    assert last.not_valid_before - first.not_valid_before >= life / 2, "renewed too early"


# --- an authority that does not do what is hoped for ------------------------------------------

def test_refusal_keeps_the_old_certificate_and_is_not_repeated(node, whoami, authority):
    site = Site(node, whoami, None, "http-01")
    site.use(authority(http_port=site.http)).start()
    site.wait("valid")
    site.served()
    site.node.stop()
    old = pair(site.live(), site.hosts, 3600, age=3500) # to be renewed at once
    as_roles(site.live(), site.path())
    closed = authority(http_port=free_port()) # looks where nobody listens
    site.use(closed)
    site.node.write(site.conf())
    site.node.start()
    failed = site.wait("failed")
    # The authority's own words, and that the old one stays.
    assert failed["error_type"] == "connection" and "shop.test" in failed["error"]
    assert "connection refused" in failed["error"]
    assert site.shown() == old
    assert closed.orders() == 1
    event = events(site.node, "acme_failed")[-1]
    assert "connection refused" in event["text"] and "next try in" in event["text"]
    assert os.listdir(site.path("challenges", "http-01")) == []
    # Neither a restart of the role nor of the node asks again.
    site.node.kill_role("acme")
    wait_for(lambda: {r["name"]: r for r in site.node.status()["roles"]}["acme"]["restarts"] >= 1
             and {r["name"]: r for r in site.node.status()["roles"]}["acme"]["ready"],
             what="acme is back")
    site.node.stop()
    site.node.start()
    wait_for(lambda: {r["name"]: r for r in site.node.status()["roles"]}["acme"]["ready"],
             what="acme ready")
    assert site.state()["failures"] == 1 and site.shown() == old
    assert site.state()["error_type"] == "connection"
    assert site.node.metrics()['holdfast_acme_failures{issuer="le",certificate="shop.test"}'] == 1
    assert closed.orders() == 1


def test_authority_that_is_away(node, whoami, authority):
    ca = authority()
    site = Site(node, whoami, ca, "http-01")
    ca.kill()
    site.start()
    failed = site.wait("failed")
    assert "connect" in failed["error"].lower()
    # Other settings are tried at once.
    live = authority(http_port=site.http)
    site.use(live)
    site.issuer["ca"] = os.path.join(ca.dir, "broken.pem")
    with open(site.issuer["ca"], "w", encoding="utf-8") as f:
        f.write("no certificate")
    assert site.node.reload(site.conf()).returncode == 0
    wait_for(lambda: "cannot be read: the user" in site.state()["error"], what="the reason")
    assert failed["next"] > failed["failed"]
    site.use(live)
    assert site.node.reload(site.conf()).returncode == 0
    site.wait("valid")
    site.served()
    assert site.state()["failures_total"] == 2


def test_storm_of_bad_nonces(node, whoami, authority):
    site = Site(node, whoami, None, "http-01")
    site.use(authority(http_port=site.http, env={"PEBBLE_WFE_NONCEREJECT": "50"})).start()
    site.wait("valid")
    site.served()


def test_account_is_bound_to_an_external_one(node, whoami, authority):
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    site = Site(node, whoami, None, "http-01")
    site.use(authority(http_port=site.http, eab={"kid-1": key})).start()
    assert "eab" in site.wait("failed")["error"]
    site.issuer["eab"] = {"kid": "kid-1", "key": key}
    assert site.node.reload(site.conf()).returncode == 0
    site.wait("valid")
    site.served()


def test_authority_that_forgot_the_account(node, whoami, authority):
    """pebble forgets everything with its end; the role makes the account again."""
    site = Site(node, whoami, None, "http-01")
    site.use(authority(http_port=site.http)).start()
    site.wait("valid")
    site.ca.kill()
    site.ca.start()
    site.hosts = ["other.test"]
    assert site.node.reload(site.conf()).returncode == 0
    wait_for(lambda: site.state()["name"] == "other.test", what="the other certificate")
    site.wait("valid")
    site.served()


def test_reload_does_not_disturb_an_order(node, whoami, authority, folder):
    """What goes on goes on: an order that waits for the DNS outlives reloads of other things."""
    ca = authority()
    hook, log = program(folder, ca)
    site = Site(node, whoami, ca, "dns-01", dns={"exec": [hook], "wait": "4s"}).start()
    wait_for(lambda: len(told(log)) == 1, what="record set")
    conf = site.conf()
    conf["pools"]["web"]["retries"] = 1
    assert site.node.reload(conf).returncode == 0
    assert site.node.reload(site.conf()).returncode == 0
    site.wait("valid")
    assert ca.orders() == 1 and len(told(log)) == 2


def test_a_killed_order_waits_and_an_ended_one_does_not(node, whoami, authority, folder):
    ca = authority()
    hook, log = program(folder, ca)
    site = Site(node, whoami, ca, "dns-01", dns={"exec": [hook], "wait": "1h"}).start()
    wait_for(lambda: len(told(log)) == 1, what="record set")
    site.node.stop() # in order: the next start goes on with an order of its own
    site.node.start()
    wait_for(lambda: ca.orders() == 2, what="the second order")
    wait_for(lambda: len(told(log)) >= 2, what="the second record")
    site.node.kill_role("acme")
    cut = site.wait("failed", failures=1)
    assert "in the middle" in cut["error"] and cut["next"] > cut["failed"]
    site.node.kill_role("acme") # one that only waits has nothing to lose
    wait_for(lambda: {r["name"]: r for r in site.node.status()["roles"]}["acme"]["restarts"] >= 2
             and {r["name"]: r for r in site.node.status()["roles"]}["acme"]["ready"],
             what="acme is back")
    assert site.state()["failures"] == 1 and ca.orders() == 2


def test_end_takes_records_back(node, whoami, authority, folder):
    ca = authority()
    hook, log = program(folder, ca)
    site = Site(node, whoami, ca, "dns-01", dns={"exec": [hook], "wait": "1h"}).start()
    wait_for(lambda: len(told(log)) == 1, what="record set")
    conf = site.conf()
    del conf["acme"]
    conf["listeners"].pop("https")
    assert site.node.reload(conf).returncode == 0
    wait_for(lambda: len(told(log)) == 2, what="record removed")
    assert told(log)[1].startswith("remove _acme-challenge.shop.test")


def test_problems_are_told_before_it_runs(folder):
    path = os.path.join(folder, "h.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("""acme:
  le: { agree: true }
  no: { }
listeners:
  https: { bind: "*:443", tls: { certificates: [ { acme: le, hosts: ["*.shop.test"] } ] } }
routes: { all: { to: web } }
pools: { web: { servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 } } }
""")
    r = subprocess.run([HOLDFAST, "check", "-c", path], capture_output=True, text=True, check=False)
    assert r.returncode == 1
    assert "only dns-01 can prove" in r.stdout + r.stderr
    assert "termsOfService" in r.stdout + r.stderr
