# SPDX-License-Identifier: Apache-2.0
"""Checks that speak their servers' protocols, against the real ones: what is well, what is not and
in which words. Every server is started here, on a free port, and ended by its id."""

import concurrent.futures
import copy
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading

import pytest
from conftest import HOLDFAST, SLOW, free_port, simple, wait_for
from harness import alive

POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
ROOT = os.geteuid() == 0


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="hf-probe-") as path:
        os.chmod(path, 0o777)
        yield pathlib.Path(path)


class Server:
    """A process that the test began; ended by its id."""

    def __init__(self, words, log, **options):
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [str(w) for w in words], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                **options)

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def run():
    """run(words, log): a server that is ended after the test."""
    servers = []

    def start(words, log, **options):
        servers.append(Server(words, log, **options))
        return servers[-1]

    yield start
    for s in reversed(servers):
        s.end()


def needs(*programs):
    for p in programs:
        if not shutil.which(str(p)):
            pytest.skip(f"there is no {p}")


def conf(checks, servers=None):
    """Named checks only; the pool is for form's sake."""
    c = simple(free_port(), servers or [type("S", (), {"name": "a", "address": "127.0.0.1:1"})()],
               False)
    c["checks"] = {name: {"interval": "100ms", "timeout": "5s", "rise": 1, "fall": 1, **copy.deepcopy(check)}
                   for name, check in checks.items()}
    return c


def state(n, name):
    for c in n.status()["checks"]:
        if c["name"] == name:
            return c
    raise AssertionError(f"no check {name}")


def wait_state(n, name, want, words=None):
    def there():
        s = state(n, name)
        return s if s["state"] == want and (words is None or words in s["reason"]) else None
    return wait_for(there, 60, f"{name} to be {want} ({words}); is {state(n, name)}")


def listens(port, host="127.0.0.1"):
    def there():
        try:
            socket.create_connection((host, port), 1).close()
            return True
        except OSError:
            return False
    wait_for(there, 60, f"somebody on port {port}")


# --- Redis ------------------------------------------------------------------------------------

def test_redis(node, run, folder):
    needs("redis-server")
    primary, replica = free_port(), free_port()
    common = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--daemonize", "no",
              "--requirepass", "sesame", "--masterauth", "sesame", "--protected-mode", "no"]
    first = run(["redis-server", "--port", primary, "--dir", folder, *common], folder / "log")
    run(["redis-server", "--port", replica, "--dir", folder, "--replicaof", "127.0.0.1", primary,
         "--replica-serve-stale-data", "no", *common], folder / "log2")
    listens(primary), listens(replica)
    n = node(conf({
        "well": {"address": f"127.0.0.1:{primary}", "redis": True, "password": "sesame"},
        "none": {"address": f"127.0.0.1:{primary}", "redis": True},
        "wrong": {"address": f"127.0.0.1:{primary}", "redis": True, "password": "ali"},
        "primary": {"address": f"127.0.0.1:{primary}", "redis": True, "password": "sesame",
                    "login": "default", "role": "primary"},
        "replica": {"address": f"127.0.0.1:{replica}", "redis": True, "password": "sesame",
                    "role": "replica"},
        "not_primary": {"address": f"127.0.0.1:{replica}", "redis": True, "password": "sesame",
                        "role": "primary"},
    }))
    for name in ("well", "primary", "replica"):
        wait_state(n, name, "up")
    wait_state(n, "none", "down", "NOAUTH Authentication required")
    wait_state(n, "wrong", "down", "WRONGPASS")
    wait_state(n, "not_primary", "down", "is a replica, not the primary")
    assert "sesame" not in n.cli("show").stdout + n.log
    first.end()
    wait_state(n, "well", "down", "connect refused")
    # what a replica without its primary answers: its words are the reason
    wait_state(n, "replica", "down", "MASTERDOWN Link with MASTER is down")


# --- PostgreSQL -------------------------------------------------------------------------------

def as_user():
    """What a server that refuses to run as root is started with."""
    return {"user": "nobody", "group": "nogroup"} if ROOT else {}


def pg_start(run, folder, data, port, tls=False):
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c",
               f"unix_socket_directories={data}", "-c", "fsync=off", "-c", "shared_buffers=2MB",
               "-c", "max_connections=20", "-c", "max_wal_size=64MB", "-c", "wal_level=replica"]
    s = run([POSTGRES / "postgres", "-D", data, *options], folder / f"{data.name}.log",
            **as_user())
    return s


@pytest.mark.limit(180)
def test_postgres(node, run, folder):
    needs(POSTGRES / "initdb", "openssl")
    data, copy = folder / "primary", folder / "replica"
    secret = folder / "secret"
    secret.write_text("open-sesame")
    secret.chmod(0o644)

    def call(*words):
        subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL,
                       cwd=folder, env={**os.environ, "PGPASSWORD": "open-sesame"}, **as_user())

    call(POSTGRES / "initdb", "-D", data, "-U", "boss", "--pwfile", secret, "-N",
         "--auth=scram-sha-256", "--no-locale", "-E", "UTF8")
    call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "3", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", data / "server.key", "-out",
         data / "server.crt")
    (data / "server.key").chmod(0o600)
    hba = data / "pg_hba.conf"
    hba.write_text("host all trusted 127.0.0.1/32 trust\n"
                   "host all md5user 127.0.0.1/32 md5\n"
                   "host replication all 127.0.0.1/32 scram-sha-256\n"
                   "host all all 127.0.0.1/32 scram-sha-256\n")
    (data / "postgresql.auto.conf").write_text("ssl = on\n")
    p1, p2 = free_port(), free_port()
    first = pg_start(run, folder, data, p1)
    psql = [POSTGRES / "psql", "-h", "127.0.0.1", "-U", "boss", "-qtA", "-d", "postgres", "-p"]

    def accepts():
        return subprocess.run([POSTGRES / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(p1)],
                              check=False).returncode == 0
    wait_for(accepts, 60, "PostgreSQL")
    call(*psql, p1, "-c", "CREATE ROLE trusted LOGIN", "-c", "SET password_encryption = md5",
         "-c", "CREATE ROLE md5user LOGIN PASSWORD 'm'")
    call(POSTGRES / "pg_basebackup", "-h", "127.0.0.1", "-p", p1, "-U", "boss", "-D", copy, "-R",
         "-c", "fast")
    pg_start(run, folder, copy, p2)

    def at(port, **more):
        return {"address": f"127.0.0.1:{port}", "postgres": True, **more}
    boss = {"login": "boss", "password": "open-sesame"}
    n = node(conf({
        "asks": at(p1),
        "trust": at(p1, login="trusted"),
        "trust_role": at(p1, login="trusted", role="primary"),
        "md5": at(p1, login="md5user", password="m", role="primary"),
        "scram": at(p1, **boss),
        "no_password": at(p1, login="boss", role="primary"),
        "wrong": at(p1, login="boss", password="close"),
        "unknown_db": at(p1, database="nowhere", **boss),
        "primary": at(p1, role="primary", **boss),
        "replica": at(p2, role="replica", **boss),
        "not_primary": at(p2, role="primary", **boss),
    }))
    for name in ("asks", "trust", "trust_role", "md5", "scram", "primary"):
        wait_state(n, name, "up")
    wait_state(n, "replica", "up")
    wait_state(n, "not_primary", "down", "is a replica, not the primary")
    wait_state(n, "no_password", "down", "asks for a password, and the check has none")
    wait_state(n, "wrong", "down", 'password authentication failed for user "boss"')
    wait_state(n, "unknown_db", "down", 'database "nowhere" does not exist')
    # what a client that just goes away leaves behind must not fill its log
    log = (folder / "primary.log").read_text()
    assert "reset by peer" not in log and "incomplete startup packet" not in log, log[-2000:]
    first.end(signal.SIGINT)
    wait_state(n, "primary", "down", "connect refused")


# --- MySQL ------------------------------------------------------------------------------------

@pytest.mark.limit(180)
def test_mysql(node, run, folder):
    needs("mariadbd", "mariadb-install-db", "mariadb")
    port, data = free_port(), folder / "mysql"
    user = ["--user=root"] if ROOT else []
    subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}",
                    "--auth-root-authentication-method=normal", "--skip-test-db", *user],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sock = folder / "s"
    run(["mariadbd", "--no-defaults", f"--datadir={data}", f"--port={port}",
         "--bind-address=127.0.0.1", f"--socket={sock}", f"--pid-file={folder}/pid",
         "--max-connect-errors=1", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M",
         "--key-buffer-size=1M", "--performance-schema=ON", *user], folder / "log")

    def sql(text):
        return subprocess.run(["mariadb", "--no-defaults", f"--socket={sock}", "-uroot", "-N",
                               "-e", text], check=False, capture_output=True, text=True)
    wait_for(lambda: sql("SELECT 1").returncode == 0, 90, "MariaDB")
    done = sql("CREATE USER probe@'%' IDENTIFIED BY 'sesame'; CREATE USER bare@'%'")
    assert done.returncode == 0, done.stderr
    at = {"address": f"127.0.0.1:{port}", "mysql": True}
    n = node(conf({
        "greets": at,
        "login": {**at, "login": "probe", "password": "sesame"},
        "bare": {**at, "login": "bare"},
        "wrong": {**at, "login": "probe", "password": "open"},
    }))
    for name in ("greets", "login", "bare"):
        wait_state(n, name, "up")
    wait_state(n, "wrong", "down", "error 1045: Access denied for user 'probe'")
    wait_for(lambda: state(n, "greets")["checks_ok"] > 10, 60, "some checks")
    errors = sql("SHOW GLOBAL STATUS LIKE 'Connection_errors_%'").stdout.split()[1::2]
    assert errors and set(errors) == {"0"}, errors


# --- SMTP -------------------------------------------------------------------------------------

class Mail(socketserver.StreamRequestHandler):
    """A mail server as far as a check sees it."""
    banner, tls, heard = b"220 mx.test ESMTP", None, None

    def handle(self):
        self.wfile.write(self.banner + b"\r\n")
        while True:
            line = self.rfile.readline(1000).strip().upper()
            self.heard.append(line)
            if line.startswith(b"EHLO"):
                extra = b"250-STARTTLS\r\n" if self.tls else b""
                self.wfile.write(b"250-mx.test\r\n" + extra + b"250 SIZE 1000\r\n")
            elif line == b"STARTTLS" and self.tls:
                self.wfile.write(b"220 go ahead\r\n")
                self.request = self.tls.wrap_socket(self.request, server_side=True)
                self.rfile = self.request.makefile("rb")
                self.wfile = self.request.makefile("wb", 0)
            elif line == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                return


def serve(handler, **attributes):
    """A threading server with a handler of its own class; returns it and its port."""
    class Own(handler):
        pass
    for key, value in attributes.items():
        setattr(Own, key, value)
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    s = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Own)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return s, s.server_address[1]


def certificate(folder, name, days=3):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj",
                    f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout",
                    folder / f"{name}.key", "-out", folder / f"{name}.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def test_smtp(node, folder):
    heard, quiet = [], []
    tls = certificate(folder, "mx.test")
    plain, p1 = serve(Mail, heard=heard)
    busy, p2 = serve(Mail, heard=quiet, banner=b"421 4.3.2 mx.test is full")
    secure, p3 = serve(Mail, heard=[], tls=tls)
    web, p4 = serve(Mail, heard=[], banner=b"HTTP/1.1 400 Bad Request")
    trust = {"tls": {"verify": False}}
    n = node(conf({
        "plain": {"address": f"127.0.0.1:{p1}", "smtp": True},
        "busy": {"address": f"127.0.0.1:{p2}", "smtp": True},
        "tls": {"address": f"127.0.0.1:{p3}", "smtp": True, **trust},
        "untrusted": {"address": f"127.0.0.1:{p3}", "smtp": True,
                      "tls": {"server_name": "mx.test"}},
        "no_tls": {"address": f"127.0.0.1:{p1}", "smtp": True, **trust},
        "other": {"address": f"127.0.0.1:{p4}", "smtp": True},
    }))
    wait_state(n, "plain", "up")
    wait_state(n, "tls", "up")
    wait_state(n, "busy", "down", "421 4.3.2 mx.test is full")
    wait_state(n, "no_tls", "down", "does not offer STARTTLS")
    wait_state(n, "untrusted", "down", "TLS handshake failed: ")
    wait_state(n, "other", "down", "not an answer of a mail server")
    assert b"EHLO [127.0.0.1]" in heard and b"QUIT" in heard
    for s in (plain, busy, secure, web):
        s.shutdown()
        s.server_close()


# --- DNS --------------------------------------------------------------------------------------

def test_dns(node, run, folder):
    needs("named")
    port = free_port()
    (folder / "zone").write_text("$TTL 60\n@ SOA a.test. b.test. 1 60 60 60 60\n@ NS a.test.\n"
                                 "www A 192.0.2.1\nwww TXT \"x\"\n")
    (folder / "named.conf").write_text(f"""
options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; pid-file none; session-keyfile "{folder}/key"; dnssec-validation no;
  allow-query {{ any; }}; }};
controls {{ }};
zone "shop.test" {{ type primary; file "{folder}/zone"; }};
zone "broken.test" {{ type primary; file "{folder}/none"; }};
""")
    run(["named", "-g", "-n", "1", "-c", folder / "named.conf"], folder / "log")
    at = {"address": f"127.0.0.1:{port}"}
    n = node(conf({
        "a": {**at, "dns": "www.shop.test"},
        "txt": {**at, "dns": "www.shop.test.", "dns_type": "TXT"},
        "soa": {**at, "dns": "SHOP.test", "dns_type": "SOA"},
        "no_record": {**at, "dns": "www.shop.test", "dns_type": "AAAA"},
        "no_name": {**at, "dns": "nobody.shop.test"},
        "failing": {**at, "dns": "www.broken.test"},
        "refused": {**at, "dns": "example.test"},
        "nobody": {"address": f"127.0.0.1:{free_port()}", "dns": "example.test"},
    }))
    for name in ("a", "txt", "soa"):
        wait_state(n, name, "up")
    wait_state(n, "no_record", "down", "NOERROR, but no AAAA record")
    wait_state(n, "no_name", "down", "NXDOMAIN (3)")
    wait_state(n, "failing", "down", "SERVFAIL (2)")
    wait_state(n, "refused", "down", "REFUSED (5)")
    wait_state(n, "nobody", "down", "connect refused")


# --- gRPC -------------------------------------------------------------------------------------

def grpc_server(answers, credentials=None):
    """grpc.health.v1.Health without generated code: answers maps services to a status, or to an
    error code with words."""
    grpc = pytest.importorskip("grpc")

    def check(request, context):
        service = request[2:].decode() if request else ""
        answer = answers.get(service)
        if answer is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service: caf\u00e9")
        return b"" if answer == 0 else bytes([8, answer])

    handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
        "Check": grpc.unary_unary_rpc_method_handler(check, lambda b: b, lambda b: b)})
    s = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    s.add_generic_rpc_handlers((handler,))
    where = "127.0.0.1:0"
    port = s.add_secure_port(where, credentials) if credentials else s.add_insecure_port(where)
    s.start()
    return s, port


def test_grpc(node, folder):
    grpc = pytest.importorskip("grpc")
    certificate(folder, "rpc.test")
    answers = {"": 1, "shop.Cart": 1, "shop.Old": 2, "shop.Odd": 0}
    plain, p1 = grpc_server(answers)
    secure, p2 = grpc_server(answers, grpc.ssl_server_credentials(
        [((folder / "rpc.test.key").read_bytes(), (folder / "rpc.test.pem").read_bytes())]))
    web = serve(Mail, heard=[], banner=b"HTTP/1.1 400 Bad Request")
    at = {"address": f"127.0.0.1:{p1}"}
    n = node(conf({
        "server": {**at, "grpc": True},
        "cart": {**at, "grpc": "shop.Cart"},
        "old": {**at, "grpc": "shop.Old"},
        "odd": {**at, "grpc": "shop.Odd"},
        "unknown": {**at, "grpc": "shop.None"},
        "tls": {"address": f"127.0.0.1:{p2}", "grpc": True, "tls": {"verify": False}},
        "http1": {"address": f"127.0.0.1:{web[1]}", "grpc": True},
    }))
    for name in ("server", "cart", "tls"):
        wait_state(n, name, "up")
    wait_state(n, "old", "down", "NOT_SERVING")
    wait_state(n, "odd", "down", "UNKNOWN")
    wait_state(n, "unknown", "down", "grpc-status 5 NOT_FOUND: no such service: caf??")
    wait_state(n, "http1", "down", "not HTTP/2")
    answers[""] = 2
    wait_state(n, "server", "down", "NOT_SERVING")
    answers[""] = 1
    wait_state(n, "server", "up")
    plain.stop(None)
    secure.stop(None)
    web[0].shutdown()
    web[0].server_close()


# --- TLS --------------------------------------------------------------------------------------

class Greeting(socketserver.BaseRequestHandler):
    """TLS, and an answer to whatever a client says first."""
    tls, answer = None, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def handle(self):
        try:
            s = self.tls.wrap_socket(self.request, server_side=True)
            while s.recv(4096):
                s.sendall(self.answer)
        except OSError:
            pass


def test_tls(node, folder):
    tls = certificate(folder, "shop.test", days=3)
    s, port = serve(Greeting, tls=tls)
    ca = str(folder / "shop.test.pem")
    ours = {"server_name": "shop.test", "ca": ca}
    at = {"address": f"127.0.0.1:{port}"}
    c = conf({
        "well": {**at, "tls": ours},
        "soon": {**at, "tls": ours, "expiry": "14d"},
        "enough": {**at, "tls": ours, "expiry": "1d"},
        "name": {**at, "tls": {"server_name": "other.test", "ca": ca}},
        "unknown": {**at, "tls": True},
        "blind": {**at, "tls": {"verify": False}},
        "http": {**at, "http": "/", "tls": ours},
        "clear": {**at, "http": "/"},
        "tcp": {**at, "tcp": True, "send": "hello", "match": "200 OK", "tls": ours},
    })
    n = node(c)
    for name in ("well", "enough", "blind", "http", "tcp"):
        wait_state(n, name, "up")
    wait_state(n, "soon", "down", "certificate expires in ")
    wait_state(n, "name", "down", "hostname mismatch, expected oth")
    wait_state(n, "unknown", "down", "certificate not accepted: ")
    wait_state(n, "clear", "down")
    # A reload that changes nothing of them asks nothing anew.
    before = state(n, "http")["checks_failed"]
    c["checks"]["tcp"]["match"] = "404"
    n.reload(c)
    wait_state(n, "tcp", "down")
    assert state(n, "http")["checks_failed"] == before
    # Files count as they are now; what is no authority at all is refused.
    ours_pem = (folder / "shop.test.pem").read_bytes()
    certificate(folder, "other.test")
    replace(folder / "shop.test.pem", (folder / "other.test.pem").read_bytes())
    for name in ("well", "http"):
        wait_state(n, name, "down", "certificate not accepted: ")
    replace(folder / "shop.test.pem", ours_pem)
    for name in ("well", "http"):
        wait_state(n, name, "up")
    replace(folder / "shop.test.pem", b"nothing")
    n.wait_log("shop.test.pem", 60)
    done = state(n, "http")["checks_ok"]
    wait_for(lambda: state(n, "http")["checks_ok"] > done + 10, 60, "more checks")
    assert state(n, "http")["state"] == "up"
    s.shutdown()
    s.server_close()


def replace(path, data):
    """As careful programs do it: nobody ever sees half a file."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.rename(path)


# --- TCP --------------------------------------------------------------------------------------

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data = self.request.recv(100)
        if data != b"quiet":
            self.request.sendall(b"you said " + data)


def test_tcp_says_and_hears(node):
    s, port = serve(Echo)
    at = {"address": f"127.0.0.1:{port}", "tcp": True}
    n = node(conf({
        "plain": at,
        "any": {**at, "send": "x"},
        "match": {**at, "send": "PING\\r\\n\\x41", "match": "said PING"},
        "other": {**at, "send": "PING", "match": "PONG"},
        "quiet": {**at, "send": "quiet"},
    }))
    for name in ("plain", "any", "match"):
        wait_state(n, name, "up")
    wait_state(n, "other", "down", "answer does not match")
    wait_state(n, "quiet", "down", "closed without an answer")
    s.shutdown()
    s.server_close()


# --- ping -------------------------------------------------------------------------------------

@pytest.mark.skipif(not ROOT, reason="needs root")
def test_ping(node, lan):
    net = lan()
    here = net.host("here", "10.77.0.11/24")
    there = net.host("there", "10.77.0.12/24")
    c = conf({
        "there": {"address": "10.77.0.12", "ping": True, "timeout": "1s"},
        "here": {"address": "127.0.0.1", "ping": True},
        "six": {"address": "::1", "ping": True},
        "nobody": {"address": "10.77.0.13", "ping": True, "timeout": "200ms"},
    })
    n = node(c, host=here)
    for name in ("there", "here", "six"):
        wait_state(n, name, "up")
    wait_state(n, "nobody", "down")
    there.cut()
    wait_state(n, "there", "down", "answer timed out")
    # Who may not open such a socket is told so before it matters.
    asked = here.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", HOLDFAST,
                     "check", n.path, check=False)
    assert "ping checks of IPv4 addresses cannot be run here" in asked.stdout, asked
    assert "ping checks" not in n.cli("check", n.path).stdout
    assert alive(n.pid)
