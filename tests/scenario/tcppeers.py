# SPDX-License-Identifier: Apache-2.0
"""Servers and clients of TCP and UDP that the tests of those listeners talk to, and certificates."""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

from harness import free_port, wait_for


class Peer:
    """A TCP server: fn(connection) runs in a thread for each connection; .seen: what fn returned."""

    def __init__(self, fn=None, name="a", port=None):
        self.name, self.port = name, port or free_port()
        self.fn = fn or self.echo
        self.seen, self.accepted = [], 0
        self.sock = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.open = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            self.open.append(c)
            threading.Thread(target=self._run, args=(c,), daemon=True).start()

    def _run(self, c):
        try:
            self.seen.append(self.fn(c))
        except OSError as e:
            self.seen.append(e)
        c.close()

    def echo(self, c):
        """What came, back as it came, behind the server's name; an end for an end."""
        c.sendall(self.name.encode())
        got = 0
        while data := c.recv(1 << 18):
            got += len(data)
            c.sendall(data)
        return got

    def stop(self):
        self.sock.close()
        for c in self.open:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class UdpPeer:
    """A UDP server that answers each datagram with its name, a colon, and the datagram."""

    def __init__(self, name="a", port=None, host="127.0.0.1"):
        self.name, self.port, self.clients, self.got = name, port or free_port(), set(), 0
        self.host, self.silent = host, False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, self.port))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def _run(self):
        while True:
            try:
                data, client = self.sock.recvfrom(65535)
                if client is None: # shut down
                    return
                self.got += 1
                self.clients.add(client)
                if not self.silent:
                    self.sock.sendto(self.name.encode() + b":" + data, client)
            except OSError:
                return

    def stop(self):
        # A thread that waits in recvfrom keeps the port otherwise.
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.thread.join(30) # the port is free from then on


@pytest.fixture
def peers():
    """peers(Class, …) makes a Peer or UdpPeer; it is ended after the test."""
    made = []

    def make(kind=Peer, *args, **options):
        made.append(kind(*args, **options))
        return made[-1]
    yield make
    for p in made:
        p.stop()


@pytest.fixture
def program():
    """program(argument…, port=…) runs a server, waits until the port answers, ends it after."""
    running = []

    def make(*args, port=None, **options):
        p = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL,
                             stdout=options.pop("stdout", subprocess.DEVNULL),
                             stderr=subprocess.DEVNULL, **options)
        running.append(p)

        def answers():
            assert p.poll() is None, f"{args[0]} ended with {p.returncode}"
            with socket.create_connection(("127.0.0.1", port), 5):
                return True
        if port:
            wait_for(answers, 30, args[0])
        return p
    yield make
    for p in running:
        p.terminate()
    for p in running:
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait(10)


@pytest.fixture
def folder():
    """A folder that other users may enter, removed after the test."""
    path = tempfile.mkdtemp(prefix="hf-tcp-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def certificate(folder, host):
    """A self-signed certificate with its key in one file."""
    path = os.path.join(folder, host + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={host}",
                    "-addext", f"subjectAltName=DNS:{host}", "-keyout", path + ".key",
                    "-out", path + ".crt"], check=True, capture_output=True)
    with open(path, "w", encoding="ascii") as out:
        for part in (".crt", ".key"):
            with open(path + part, encoding="ascii") as f:
                out.write(f.read())
    os.chmod(path, 0o644)
    os.chmod(path + ".key", 0o644)
    return path


def tls_peer(folder, host):
    """The function of a Peer that speaks TLS as `host` and says so."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(certificate(folder, host))

    def run(c):
        with ctx.wrap_socket(c, server_side=True) as s:
            data = s.recv(1000)
            s.sendall(host.encode() + b":" + data)
    return run


def tls_client(port, host, say=b"hi", ctx=None):
    """What the server at the end answers to `say`."""
    ctx = ctx or ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), 20) as c:
        with ctx.wrap_socket(c, server_hostname=host) as s:
            s.sendall(say)
            return s.recv(1000)


def tcp(port, servers, listener=None, check=False, **pool):
    """A configuration: one TCP listener and its pool of Peers, or {name: address}."""
    if not isinstance(servers, dict):
        servers = {s.name: s.address for s in servers}
    pool = {"servers": servers, **pool}
    if check:
        pool["check"] = {"tcp": True, "interval": "100ms", "timeout": "90ms", "rise": 1, "fall": 2}
    return {
        "proxy": {"threads": 2, "shutdown_timeout": "20s"},
        "listeners": {"tcp": {"bind": f"127.0.0.1:{port}", "protocol": "tcp", "to": "peers",
                              **(listener or {})}},
        "pools": {"peers": pool},
    }
