# SPDX-License-Identifier: Apache-2.0
"""TCP listeners: bytes both ways, ends and half-ends, servers that fail, limits, SNI, TLS, and
clients and servers that people run."""

import hashlib
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import free_port, wait_for
from tcppeers import (Peer, certificate, folder, peers, program, tcp,  # noqa: F401
                      tls_client, tls_peer)
from wire import Closed, Conn

pytestmark = pytest.mark.sanitize


def exchange(port, data, pieces=None):
    """Sends all, ends its direction, and reads to the end."""
    with Conn(port) as c:
        def send():
            for at in range(0, len(data), pieces or max(len(data), 1)):
                c.send(data[at:at + (pieces or len(data))])
            c.shutdown()
        t = threading.Thread(target=send)
        t.start()
        got = c.recv_all()
        t.join()
        return got


def who(port):
    with Conn(port) as c:
        return c.recv_exactly(1).decode()


def is_refused(port, send=b""):
    """Whether a connection ends without a byte."""
    try:
        with Conn(port) as c:
            c.send(send)
            c.recv_exactly(1)
    except (Closed, ConnectionError):
        return True
    return False


# --- bytes ------------------------------------------------------------------------------------

@pytest.mark.parametrize("size,pieces", [(0, None), (1, None), (65536, 65536), (3_000_000, 7777),
                                         (24_000_000, 1_000_000)])
def test_bytes_both_ways_and_a_half_close(node, peers, size, pieces):
    a, port = peers(), free_port()
    n = node(tcp(port, [a]))
    data = random.Random(size).randbytes(size)
    got = exchange(port, data, pieces)
    assert got[:1] == b"a" and hashlib.sha1(got[1:]).digest() == hashlib.sha1(data).digest()
    m = wait_for(lambda: counted(n, size), what="the connection is counted")
    assert m['holdfast_listener_bytes_out_total{listener="tcp"}'] == size + 1
    assert m['holdfast_server_bytes_out_total{pool="peers",server="a"}'] == size + 1


def counted(n, size):
    """The metrics, once they tell of the connection's end, which its client may know before."""
    m = n.metrics()
    open_now = m['holdfast_listener_open_connections{listener="tcp"}']
    return m if open_now == 0 and m['holdfast_listener_bytes_in_total{listener="tcp"}'] == size \
        else None


def test_many_at_once(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    node(tcp(port, [a, b]))
    datas = [os.urandom(random.randrange(1, 600_000)) for _ in range(40)]
    results = [None] * len(datas)

    def run(i):
        results[i] = exchange(port, datas[i], random.choice([1000, 65536, 300_000]))
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(datas))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for data, got in zip(datas, results):
        assert got[1:] == data
    assert a.accepted + b.accepted == 40 and abs(a.accepted - b.accepted) <= 4


def test_a_client_that_does_not_read_holds_up_only_itself(node, peers):
    """The server's bytes wait with the server, not in the daemon's memory; then all of them come."""
    size = 40_000_000
    flood = peers(Peer, lambda c: c.sendall(b"z" * size))
    port = free_port()
    n = node(tcp(port, [flood]))
    with Conn(port) as c:
        c.recv_exactly(1)
        moved = lambda: n.json("connections")["connections"][0]["bytes_out"]
        before = moved()
        while (now := moved()) != before:
            before = now
            time.sleep(0.1)
        assert 0 < before < size / 2
        assert len(c.recv_all()) == size - 1


def test_small_messages_go_at_once_after_large_ones(node, peers):
    """Whether a direction went through a pipe before makes no difference to a ping-pong."""
    a, port = peers(), free_port()
    node(tcp(port, [a]))
    with Conn(port) as c:
        c.recv_exactly(1)
        big = os.urandom(8_000_000)
        for _ in range(2):
            t = threading.Thread(target=c.send, args=(big,))
            t.start()
            assert c.recv_exactly(len(big)) == big
            t.join()
            for i in range(50):
                c.send(b"%d;" % i)
                assert c.recv_until(b";") == b"%d;" % i


def test_the_server_may_end_first(node, peers):
    done = threading.Event()

    def half(c):
        c.sendall(b"bye")
        c.shutdown(socket.SHUT_WR)
        got = b""
        while data := c.recv(1000):
            got += data
        done.set()
        return got
    a, port = peers(Peer, half), free_port()
    node(tcp(port, [a]))
    with Conn(port) as c:
        assert c.recv_all() == b"bye"
        c.send("still heard")
    assert done.wait(20)
    wait_for(lambda: a.seen == [b"still heard"])


def test_a_reset_is_passed_on(node, peers):
    a, port = peers(), free_port()
    node(tcp(port, [a]))
    with Conn(port) as c:
        c.recv_exactly(1)
        c.reset()
    wait_for(lambda: a.seen)
    assert isinstance(a.seen[0], ConnectionResetError)


# --- servers ----------------------------------------------------------------------------------

def test_a_dead_server_costs_no_connection(node, peers):
    """Connect retries to other servers: nobody notices, before any check has."""
    a, port, dead = peers(), free_port(), free_port()
    n = node(tcp(port, {"a": a.address, "dead": f"127.0.0.1:{dead}"}))
    for _ in range(12):
        assert who(port) == "a"
    assert n.metrics()['holdfast_pool_retries_total{pool="peers"}'] >= 1


def test_live_traffic_takes_a_dead_server_out(node, peers):
    a, port, dead = peers(), free_port(), free_port()
    n = node(tcp(port, {"a": a.address, "dead": f"127.0.0.1:{dead}"},
                 passive={"failures": 3, "eject": "60s"}))
    wait_for(lambda: who(port) and n.server("peers/dead")["state"] == "down")
    assert "ejected" in n.server("peers/dead")["reason"]


def test_no_server_refuses_and_says_why(node):
    port = free_port()
    n = node(tcp(port, {"dead": f"127.0.0.1:{free_port()}"},
                 listener={"access_log": True}, retries=0))
    assert is_refused(port)
    n.wait_log("connect refused")


def test_source_hash_keeps_a_client(node, peers):
    servers, port = [peers(name=x) for x in "abcd"], free_port()
    node(tcp(port, servers, balance="source_hash"))
    assert len({who(port) for _ in range(12)}) == 1


def test_least_conn_counts_open_connections(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    node(tcp(port, [a, b], balance="least_conn"))
    held = [Conn(port) for _ in range(10)]
    names = sorted(c.recv_exactly(1) for c in held)
    assert names == [b"a"] * 5 + [b"b"] * 5
    for c in held:
        c.close()


def test_max_connections_and_the_queue(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a], max_connections=2, queue_timeout="20s"))
    first, second = Conn(port), Conn(port)
    first.recv_exactly(1)
    second.recv_exactly(1)
    third = Conn(port)
    wait_for(lambda: n.metrics()['holdfast_pool_queued_total{pool="peers"}'] == 1)
    first.close()
    assert third.recv_exactly(1) == b"a"
    assert a.accepted == 3
    second.close()
    third.close()


def test_down_moves_nobody_and_disable_cuts(node, peers):
    """A server whose check fails keeps the connections that it has: they may be all that still works
    of it. A person's `disable` ends them."""
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    checked = free_port()
    probe = peers(Peer, lambda c: None, port=checked)
    conf = tcp(port, {"a": a.address}, check=True)
    conf["pools"]["peers"]["check"]["port"] = checked
    n = node(conf)
    n.wait_server("peers/a", "up")
    with Conn(port) as c:
        c.recv_exactly(1)
        probe.stop()
        n.wait_server("peers/a", "down")
        c.send("hold")
        assert c.recv_exactly(4) == b"hold"
        assert n.cli("disable", "peers/a").returncode == 0
        with pytest.raises(Closed):
            c.recv_exactly(1)
    assert b.accepted == 0


def test_drain_lets_them_end(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    n = node(tcp(port, [a, b]))
    held = [Conn(port) for _ in range(4)]
    names = [c.recv_exactly(1) for c in held]
    assert n.cli("drain", "peers/a").returncode == 0
    for _ in range(6):
        assert who(port) == "b"
    for c, name in zip(held, names):
        c.send(name * 3)
        assert c.recv_exactly(3) == name * 3
        c.close()


# --- times ------------------------------------------------------------------------------------

def test_an_idle_connection_ends(node, peers):
    a, port = peers(), free_port()
    node(tcp(port, [a], timeouts={"tunnel": "300ms"}))
    with Conn(port) as c:
        c.recv_exactly(1)
        for _ in range(5):
            time.sleep(0.1)
            c.send("x")
            c.recv_exactly(1)
        began = time.monotonic()
        with pytest.raises(Closed):
            c.recv_exactly(1)
        assert time.monotonic() - began > 0.2


def test_half_close_has_a_time_of_its_own(node, peers):
    """A server that never ends after its client has."""
    stuck = threading.Event()

    def never(c):
        while c.recv(1000):
            pass
        stuck.wait(60)
    a, port = peers(Peer, never), free_port()
    node(tcp(port, [a], listener={"timeouts": {"half_close": "300ms"}}))
    with Conn(port) as c:
        c.shutdown()
        with pytest.raises(Closed):
            c.recv_exactly(1)
    stuck.set()


# --- lives longer than the daemon's configuration ------------------------------------------------

def test_reload_and_upgrade_keep_connections(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    conf = tcp(port, [a])
    n = node(conf)
    with Conn(port) as c:
        c.recv_exactly(1)
        conf["pools"]["peers"]["servers"] = {"b": b.address}
        assert n.reload(conf).returncode == 0
        assert who(port) == "b"
        c.send("one")
        assert c.recv_exactly(3) == b"one"
        assert n.cli("upgrade").returncode == 0
        assert who(port) == "b"
        c.send("two")
        assert c.recv_exactly(3) == b"two"


# --- SNI ----------------------------------------------------------------------------------------

def sni_conf(port, peers_, folder_, **listener):
    pools = {}
    for host in ("a.test", "b.test", "other.test"):
        p = peers_(Peer, tls_peer(folder_, host))
        pools[host.split(".", maxsplit=1)[0]] = {"servers": {"s": p.address}}
    return {"proxy": {"threads": 2},
            "listeners": {"tls": {"bind": f"127.0.0.1:{port}", "protocol": "tcp",
                                  "sni": {"a.test": "a", "*.b.test": "b"}, **listener}},
            "pools": pools}


def test_sni_chooses_the_pool(node, peers, folder):
    port = free_port()
    node(sni_conf(port, peers, folder, to="other"))
    assert tls_client(port, "a.test") == b"a.test:hi"
    assert tls_client(port, "A.TEST") == b"a.test:hi"
    assert tls_client(port, "x.y.b.test") == b"b.test:hi"
    assert tls_client(port, "b.test") == b"other.test:hi"
    assert tls_client(port, None) == b"other.test:hi"


def test_sni_without_default_refuses(node, peers, folder):
    port = free_port()
    conf = sni_conf(port, peers, folder)
    del conf["pools"]["other"]
    n = node(conf)
    assert tls_client(port, "a.test") == b"a.test:hi"
    for name in ("nope.test", None):
        with pytest.raises((OSError, ConnectionError)):
            tls_client(port, name)
    assert is_refused(port, b"GET / HTTP/1.1\r\n\r\n")
    n.wait_log("no pool is configured for the name in its ClientHello")


def client_hello(host):
    """The bytes that OpenSSL sends first."""
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = ssl._create_unverified_context().wrap_bio(i, o, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        s.do_handshake()
    return o.read()


def test_a_hello_in_pieces(node, peers):
    """Byte by byte, and in several records: what reaches the server is what was sent."""
    a, port = peers(), free_port()
    conf = tcp(port, [a], listener={"sni": {"a.test": "peers"}})
    del conf["listeners"]["tcp"]["to"]
    node(conf)
    hello = client_hello("a.test")
    body = hello[5:]
    split = b"".join(b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p
                     for p in (body[i:i + 40] for i in range(0, len(body), 40)))
    for data in (hello, split):
        with Conn(port) as c:
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(0, 120):
                c.send(data[i:i + 1])
            c.send(data[120:])
            assert c.recv_exactly(1) == b"a"
            assert c.recv_exactly(len(data)) == data


def test_a_hello_that_never_ends(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a], listener={"sni": {"a.test": "peers"},
                                      "timeouts": {"handshake": "300ms"}}))
    assert is_refused(port, client_hello("a.test")[:60])
    n.wait_log("no whole ClientHello came in time")
    assert a.accepted == 0


def test_a_hello_that_is_too_large(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a], listener={"sni": {"a.test": "peers"}}))
    big = b"\x01\x00\x3f\xf0" + bytes(34) + b"\x00\x00\x02\x13\x01\x01\x00" + b"\x3f\xc5"
    big += b"\x00\x15\x3f\xc1" + bytes(0x3fc1)
    records = b"".join(b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p
                       for p in (big[i:i + 1000] for i in range(0, len(big), 1000)))
    assert len(records) > 16384
    assert is_refused(port, records)
    n.wait_log("the ClientHello is larger than 16 KiB")
    assert a.accepted == 0


# --- TLS ----------------------------------------------------------------------------------------

def ends_tls(node, peers, folder):
    """Port of a node that ends TLS: b.test goes to the server that says b, all else to a."""
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    pem = certificate(folder, "shop.test")
    conf = tcp(port, [a], listener={"tls": {"certificates": [{"cert": pem, "key": pem}]},
                                    "sni": {"b.test": "b"}})
    conf["pools"]["b"] = {"servers": {"b": b.address}}
    node(conf)
    return port


def test_tls_ends_here(node, peers, folder):
    """With `tls` the listener ends TLS, and `sni` goes by the name all the same."""
    port = ends_tls(node, peers, folder)
    assert tls_client(port, "shop.test").startswith(b"a")
    assert tls_client(port, "b.test").startswith(b"b")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_resumed_session_goes_by_the_name_asked_for(node, peers, folder, version):
    port = ends_tls(node, peers, folder)
    context = ssl._create_unverified_context()
    context.maximum_version = context.minimum_version = getattr(ssl.TLSVersion, version)

    def ask(host, session):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as raw, \
                context.wrap_socket(raw, server_hostname=host, session=session) as s:
            s.sendall(b"hi")
            return s.recv(1), s.session_reused, s.session
    who_is, _, session = ask("b.test", None)
    assert who_is == b"b"
    assert ask("b.test", session)[:2] == (b"b", True)
    assert ask("B.test.", session)[:2] == (b"b", True)
    assert ask("shop.test", session)[:2] == (b"a", True)


def test_tls_to_the_server(node, peers, folder):
    secure, port = peers(Peer, tls_peer(folder, "db.test")), free_port()
    ca = os.path.join(folder, "db.test.pem.crt")
    node(tcp(port, [secure], tls={"ca": ca, "server_name": "db.test"}))
    with Conn(port) as c:
        c.send("plain")
        assert c.recv_all() == b"db.test:plain"


# --- what people run ------------------------------------------------------------------------------

def test_redis(node, program):
    port, own = free_port(), free_port()
    program("redis-server", "--port", own, "--bind", "127.0.0.1", "--save", "", port=own)
    node(tcp(port, {"r": f"127.0.0.1:{own}"}, check=True))
    out = subprocess.run(["redis-cli", "-p", str(port), "SET", "k", "v" * 100_000],
                         capture_output=True, text=True, timeout=30, check=True)
    assert out.stdout.strip() == "OK"
    out = subprocess.run(["redis-cli", "-p", str(port), "STRLEN", "k"], capture_output=True,
                         text=True, timeout=30, check=True)
    assert out.stdout.strip().endswith("100000")
    out = subprocess.run(["redis-benchmark", "-p", str(port), "-n", "2000", "-c", "20", "-t", "set",
                          "-q"], capture_output=True, text=True, timeout=60, check=True)
    assert "requests per second" in out.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run PostgreSQL as its user")
def test_postgres(node, program, folder):
    port, own, data = free_port(), free_port(), os.path.join(folder, "db")
    binaries = "/usr/lib/postgresql/15/bin"
    shutil.chown(folder, "postgres")
    subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
                    f"{binaries}/initdb", "-D", data, "-A", "trust", "-N"], check=True,
                   capture_output=True, cwd=folder)
    program("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            f"{binaries}/postgres", "-D", data, "-p", own, "-k", folder, "-h", "127.0.0.1",
            "-F", port=own, cwd=folder)
    node(tcp(port, {"pg": f"127.0.0.1:{own}"}))

    def ask():
        out = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-Atc",
                              "SELECT sum(x), max(length(repeat('y', 300000))) FROM "
                              "generate_series(1, 100000) x"],
                             capture_output=True, text=True, timeout=60)
        return out.stdout.strip() == "5000050000|300000"
    wait_for(ask)
