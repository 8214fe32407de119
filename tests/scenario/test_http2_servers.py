# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 to servers: what they are sent, how connections are shared, what becomes of requests when
servers refuse, reset, go away or violate the protocol. Clients speak HTTP/1.1 here."""

import os
import threading
import time

import h2.events
import h2.settings
import pytest

from conftest import Conn, free_port, http, makes, simple, wait_for
from h2origin import Cert, H2Origin, answering, nghttpd, nginx
from origin import Origin

pytestmark = pytest.mark.sanitize


origin = makes(H2Origin)


@pytest.fixture(scope="module")
def cert():
    c = Cert()
    yield c
    c.remove()


def over_h2(port, servers, threads=1, trust=True, **pool):
    conf = simple(port, servers, check=False, protocol="h2", **pool)
    conf["proxy"]["threads"] = threads
    if trust:
        conf["trust"] = ["127.0.0.1/32"]
    return conf


def counter(n, name, server="s1"):
    return n.metrics()[f'holdfast_server_{name}{{pool="web",server="{server}"}}']


def together(n, fn):
    """fn(i) in n threads at once; the results."""
    results = [None] * n

    def run(i):
        try:
            results[i] = fn(i)
        except Exception as e: # pylint: disable=broad-except
            results[i] = e
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    return results


# --- what is sent, what comes back ------------------------------------------------------------

def test_request_is_translated(node, origin):
    o, port = origin(answering(headers=[("x-own", "1")])), free_port()
    node(over_h2(port, [o]))
    r = http(port, "GET", "/a/b?c=d", {"Host": "Shop.test:81", "X-Thing": "T", "Te": "gzip",
                                       "Connection": "close, x-hop", "X-Hop": "1",
                                       "Cookie": "a=b; c=d"})
    assert (r.status, r.body, r.get("x-own")) == (200, b"ok", "1")
    got = o.peers[0].requests[1]
    fields = dict(got.headers)
    assert [n for n, _ in got.headers[:4]] == [":method", ":scheme", ":authority", ":path"]
    assert fields[":method"] == "GET" and fields[":scheme"] == "http"
    assert fields[":authority"] == "Shop.test:81" and fields[":path"] == "/a/b?c=d"
    assert fields["x-thing"] == "T" and fields["te"] == "trailers" and fields["cookie"] == "a=b; c=d"
    assert fields["x-forwarded-proto"] == "http" and fields["x-forwarded-for"] == "127.0.0.1"
    for name in ("host", "connection", "x-hop", "transfer-encoding", "keep-alive"):
        assert name not in fields


def test_bodies_and_trailers_both_ways(node, origin):
    body = os.urandom(300000)

    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            peer.reply(r.stream, r.body, trailers=[("x-sum", str(len(r.body))),
                                                   ("host", "evil")])
    o, port = origin(serve), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(body), 50000):
            part = body[i:i + 50000]
            c.send(b"%x\r\n%s\r\n" % (len(part), part))
        c.send(b"0\r\nX-Check: 7\r\nHost: evil\r\nContent-Length: 1\r\n\r\n")
        r = c.recv_response()
        assert r.body == body
        assert r.trailers == [("x-sum", "300000")]
        got = o.peers[0].requests[1]
        assert got.trailers == [("x-check", "7")]
        # The same with a length, and the connection goes on.
        c.request("POST", "/", body=body)
        assert c.recv_response("POST").body == body
    assert len(o.peers) == 1


@pytest.mark.parametrize("method,status,body", [("HEAD", 200, b""), ("GET", 204, b""),
                                                ("GET", 304, b""), ("GET", 200, b"")])
def test_responses_without_body(node, origin, method, status, body):
    o, port = origin(answering(body, status=status)), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        for _ in range(3):
            c.request(method)
            r = c.recv_response(method)
            assert r.status == status and r.body == b""


def test_interim_responses(node, origin):
    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            for link in ("a", "b"):
                peer.h2.send_headers(r.stream, [(":status", "103"), ("link", link)])
            peer.reply(r.stream)
    o, port = origin(serve), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        c.request()
        assert c.recv_head().status == 103
        assert c.recv_head().status == 103
        assert c.recv_response().body == b"ok"


def test_http10_client(node, origin):
    o, port = origin(answering(b"x" * 100000)), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        c.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert c.recv_all().endswith(b"x" * 100000)


def test_other_upgrades_are_ignored(node, origin):
    """WebSocket is a matter of test_h2_websocket.py."""
    o, port = origin(answering()), free_port()
    node(over_h2(port, [o]))
    r = http(port, headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                            "HTTP2-Settings": "AAMAAABkAAQAAP__"})
    assert r.status == 200 and r.body == b"ok"


# --- connections ------------------------------------------------------------------------------

def test_requests_share_a_connection(node, origin):
    gate = threading.Event()

    def serve(peer):
        seen = set()
        peer.until(lambda: len(peer.requests) == 20)
        gate.set()
        for _ in range(20):
            r = peer.request(seen)
            peer.reply(r.stream, r.get(":path").encode())
        peer.until(lambda: False)
    o, port = origin(serve), free_port()
    n = node(over_h2(port, [o]))
    for i, r in enumerate(together(20, lambda i: http(port, path=f"/{i}"))):
        assert r.body == b"/%d" % i
    assert gate.is_set() and len(o.peers) == 1
    assert counter(n, "connections_total") == 1 and counter(n, "connection_reuses_total") == 19


def test_the_servers_limit_of_streams(node, origin):
    most = []

    def serve(peer):
        seen = set()
        while True:
            r = peer.request(seen)
            if r is None:
                return
            time.sleep(0.05)
            most.append(peer.h2.open_inbound_streams)
            peer.reply(r.stream)
    o, port = origin(serve, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2}), free_port()
    n = node(over_h2(port, [o]))
    rs = together(12, lambda i: http(port))
    assert [r.status for r in rs] == [200] * 12
    assert max(most) <= 2 and 2 <= len(o.peers) <= 12
    assert counter(n, "response_errors_total") == 0


def test_max_connections_counts_requests(node, origin):
    most = []

    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            most.append(len([q for q in peer.requests.values() if q.whole]) - len(seen) + 1)
            time.sleep(0.02)
            peer.reply(r.stream)
    o, port = origin(serve), free_port()
    n = node(over_h2(port, [o], max_connections=2))
    rs = together(10, lambda i: http(port))
    assert [r.status for r in rs] == [200] * 10
    assert max(most) <= 2
    assert n.metrics()['holdfast_pool_queued_total{pool="web"}'] > 0


def test_idle_connections_end_with_a_farewell(node, origin):
    ended = threading.Event()

    def serve(peer):
        r = peer.request(set())
        peer.reply(r.stream)
        while peer.more():
            pass
        if peer.saw(h2.events.ConnectionTerminated):
            ended.set()
    o, port = origin(serve), free_port()
    n = node(over_h2(port, [o], timeouts={"keep_alive": "300ms"}))
    assert http(port).status == 200
    assert ended.wait(30), o.errors
    wait_for(lambda: counter(n, "open_connections") == 0)


# --- servers that refuse and go ---------------------------------------------------------------

def test_goaway_repeats_what_was_not_processed(node, origin):
    """Also a POST, with all of its body."""
    bodies = []

    def serve(peer):
        seen = set()
        r = peer.request(seen)
        bodies.append(r.body)
        if len(o.peers) == 1:
            peer.goaway(0)
            while peer.more():
                pass
            return
        while r:
            peer.reply(r.stream, b"second")
            r = peer.request(seen)
    o, port = origin(serve), free_port()
    n = node(over_h2(port, [o]))
    body = os.urandom(40000)
    r = http(port, "POST", body=body)
    assert (r.status, r.body) == (200, b"second")
    assert bodies == [body, body] and len(o.peers) == 2
    assert counter(n, "response_errors_total") == 0


def test_goaway_lets_the_rest_end(node, origin):
    def serve(peer):
        seen = set()
        if len(o.peers) > 1:
            answering(b"new")(peer)
            return
        first = peer.request(seen)
        second = peer.request(seen)
        peer.goaway_sent = True
        # h2 would send nothing more after its own GOAWAY: the frame by hand.
        peer.peer.sock.sendall(b"\0\0\x08\x07\0\0\0\0\0" + second.stream.to_bytes(4, "big") +
                               b"\0\0\0\0")
        assert together(1, lambda i: http(port))[0].body == b"new"
        peer.reply(first.stream, b"old")
        peer.reply(second.stream, b"old")
        while peer.more():
            pass
    o, port = origin(serve), free_port()
    node(over_h2(port, [o]))
    rs = together(2, lambda i: http(port))
    assert [r.body for r in rs] == [b"old", b"old"]
    assert not o.errors


def test_goaway_under_load_loses_nothing(node, origin):
    """Servers that end each connection after ten requests, and process none that come later; all
    are POST, which may not be sent twice."""
    def serve(peer):
        seen, last = set(), None
        while r := peer.request(seen):
            if last is None and len(seen) >= 10:
                last = max(seen)
                peer.peer.sock.sendall(b"\0\0\x08\x07\0\0\0\0\0" +
                                       last.to_bytes(4, "big") + b"\0\0\0\0")
            if last is None or r.stream <= last:
                processed.append(r.body)
                peer.reply(r.stream, r.body)
    processed = []
    a, b, port = origin(serve), origin(serve), free_port()
    n = node(over_h2(port, [a, b], threads=2))

    def client(i):
        with Conn(port) as c:
            for k in range(50):
                body = b"%d of %d" % (k, i)
                c.request("POST", "/", body=body)
                r = c.recv_response("POST")
                assert (r.status, r.body) == (200, body), r
        return "well"
    assert together(6, client) == ["well"] * 6
    assert sorted(processed) == sorted(b"%d of %d" % (k, i) for i in range(6) for k in range(50))
    assert counter(n, "response_errors_total") == 0


def test_refused_streams_are_repeated_and_bounded(node, origin):
    refuse = [2]
    count = [0]

    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            count[0] += 1
            if refuse[0] > 0:
                refuse[0] -= 1
                peer.reset(r.stream, 7)
            else:
                peer.reply(r.stream, r.body)
    o, port = origin(serve), free_port()
    node(over_h2(port, [o]))
    r = http(port, "POST", body=b"once")
    assert (r.status, r.body, count[0]) == (200, b"once", 3)
    refuse[0] = 1000000
    r = http(port, "POST", body=b"never")
    assert r.status == 502 and "unprocessed" in r.text
    assert count[0] <= 8


def test_refused_goes_elsewhere(node, origin):
    def refusing(peer):
        seen = set()
        while r := peer.request(seen):
            peer.reset(r.stream, 7)
    a, b, port = origin(refusing), origin(answering(b"b")), free_port()
    node(over_h2(port, [a, b]))
    for _ in range(6):
        assert http(port, "POST", body=b"x").body == b"b"


def test_a_reset_request_is_not_repeated(node, origin):
    count = [0]

    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            count[0] += 1
            peer.reset(r.stream, 2)
    o, port = origin(serve), free_port()
    n = node(over_h2(port, [o]))
    r = http(port, "POST", body=b"x")
    assert r.status == 502 and "reset by the server" in r.text and count[0] == 1
    assert counter(n, "response_errors_total") == 1


def test_response_before_the_request_is_whole(node, origin):
    """RFC 9113, 8.1: END_STREAM, then RST_STREAM with NO_ERROR."""
    def serve(peer):
        seen = set()
        while r := peer.request(seen, whole=False):
            peer.reply(r.stream, b"enough", status=413)
            peer.reset(r.stream, 0)
    o, port = origin(serve, acknowledge=False), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1000)
        r = c.recv_response()
        assert (r.status, r.body) == (413, b"enough")


def test_cut_responses_are_seen_cut(node, origin):
    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            peer.h2.send_headers(r.stream, [(":status", "200")])
            peer.h2.send_data(r.stream, b"part")
            peer.flush()
            if r.get(":path") == "/close":
                return
            peer.reset(r.stream, 2)
    o, port = origin(serve), free_port()
    node(over_h2(port, [o]))
    for path in ("/reset", "/close"):
        with Conn(port) as c:
            c.request(path=path)
            data = c.recv_all()
            assert b"part" in data and b"0\r\n\r\n" not in data


def test_dead_connections_are_noticed(node, origin):
    """A server that has stopped to answer at all: the next request takes another connection."""
    def serve(peer):
        if len(o.peers) > 1:
            answering(b"alive")(peer)
            return
        r = peer.request(set())
        peer.reply(r.stream)
        while True: # reads, and says nothing: not even to PING
            if not peer.peer.sock.recv(65536):
                return
    o, port = origin(serve), free_port()
    node(over_h2(port, [o], timeouts={"response": "400ms"}, retries=0))
    assert http(port).body == b"ok"
    assert http(port).status == 504
    assert http(port).body == b"alive"
    assert len(o.peers) == 2


@pytest.mark.parametrize("frame", [b"\0\0\x08\x06\0\0\0\0\0" + bytes(8), # PING
                                   b"\0\0\0\x04\0\0\0\0\0", # SETTINGS
                                   b"\0\0\0\0\0\0\0\0\x01"], # DATA without any
                         ids=["ping", "settings", "empty"])
def test_a_noisy_server_is_left(node, origin, frame):
    def serve(peer):
        if len(o.peers) > 1:
            answering(b"quiet")(peer)
            return
        r = peer.request(set())
        peer.h2.send_headers(r.stream, [(":status", "200")])
        peer.flush()
        try:
            for _ in range(200):
                peer.peer.sock.sendall(frame * 50)
            while data := peer.peer.sock.recv(65536):
                got.append(data)
        except ConnectionError:
            pass
        left.set()
    got, left = [], threading.Event()
    o, port = origin(serve), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        c.request()
        assert b"0\r\n\r\n" not in c.recv_all()
    assert left.wait(30)
    assert http(port).body == b"quiet"


# --- flow control -----------------------------------------------------------------------------

def test_a_slow_client_holds_nobody_up(node, origin):
    size = 20000000
    sent = {}

    def serve(peer):
        seen = set()
        r = peer.request(seen)
        assert r.get(":path") == "/big"
        peer.h2.send_headers(r.stream, [(":status", "200")])
        left = size
        while left or len(seen) < 50:
            n = min(peer.h2.local_flow_control_window(r.stream), 16384, left)
            if n > 0:
                peer.h2.send_data(r.stream, b"x" * n, end_stream=n == left)
                left -= n
                sent["big"] = size - left
                peer.flush()
                continue
            if left == 0 and len(seen) >= 50 or not peer.more():
                return
            for q in list(peer.requests.values()):
                if q.stream not in seen:
                    seen.add(q.stream)
                    peer.reply(q.stream)
        peer.until(lambda: False)
    o, port = origin(serve), free_port()
    n = node(over_h2(port, [o]))
    with Conn(port) as slow:
        slow.request(path="/big")
        wait_for(lambda: sent.get("big", 0) > 0)
        for _ in range(50):
            assert http(port).body == b"ok"
        assert sent["big"] < size
        assert len(o.peers) == 1
        assert len(slow.recv_response().body) == size
    assert counter(n, "response_errors_total") == 0


def test_uploads_wait_for_the_servers_window(node, origin):
    go = threading.Event()
    body = os.urandom(400000)

    def serve(peer):
        seen = set()
        r = peer.request(seen, whole=False)
        peer.until(lambda: len(r.body) >= 65535)
        assert len(r.body) == 65535 # the window of RFC 9113, 6.9.2, and not a byte more
        go.wait(30)
        peer.acknowledge = True
        peer.h2.acknowledge_received_data(65535, r.stream)
        peer.flush()
        peer.until(lambda: r.whole)
        peer.reply(r.stream, r.body)
    o, port = origin(serve, acknowledge=False), free_port()
    node(over_h2(port, [o]))
    with Conn(port) as c:
        sender = threading.Thread(target=c.request, args=("POST", "/"), kwargs={"body": body})
        sender.start()
        wait_for(lambda: o.peers and 1 in o.peers[0].requests
                 and len(o.peers[0].requests[1].body) == 65535)
        go.set()
        assert c.recv_response("POST").body == body
        sender.join(30)
    assert not o.errors


# --- orders -----------------------------------------------------------------------------------

def test_drain_and_disable(node, origin):
    gate = threading.Event()

    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            if r.get(":path") == "/slow":
                gate.wait(30)
            peer.reply(r.stream, b"a")
    a, b, port = origin(serve), origin(answering(b"b")), free_port()
    n = node(over_h2(port, [a, b]))
    slow = threading.Thread(target=lambda: got.append(http(port, path="/slow")))
    got = []
    wait_for(lambda: {http(port).body, http(port).body} == {b"a", b"b"})
    # A request that lasts, on a.
    while True:
        if http(port).body == b"b":
            slow.start()
            break
    wait_for(lambda: any(r.get(":path") == "/slow" for p in a.peers for r in p.requests.values())
             or any(r.get(":path") == "/slow" for p in b.peers for r in p.requests.values()))
    assert n.cli("drain", "web/s1").returncode == 0
    wait_for(lambda: {http(port).body for _ in range(4)} == {b"b"})
    gate.set()
    slow.join(30)
    assert got[0].status == 200
    wait_for(lambda: counter(n, "open_connections", "s1") == 0)
    assert n.cli("ready", "web/s1").returncode == 0
    wait_for(lambda: b"a" in {http(port).body for _ in range(4)})
    assert n.cli("disable", "web/s1").returncode == 0
    wait_for(lambda: counter(n, "open_connections", "s1") == 0)
    assert {http(port).body for _ in range(4)} == {b"b"}


def test_disable_moves_waiting_requests(node, origin):
    def silent(peer):
        peer.until(lambda: False)
    a, b, port = origin(silent), origin(answering(b"b")), free_port()
    n = node(over_h2(port, [a, b]))
    results = []
    threads = [threading.Thread(target=lambda: results.append(http(port))) for _ in range(6)]
    for t in threads:
        t.start()
    wait_for(lambda: counter(n, "active_requests", "s1") > 0 and len(results) >= 1)
    n.cli("disable", "web/s1")
    for t in threads:
        t.join(30)
    assert [r.body for r in results] == [b"b"] * 6


# --- servers that are something else ----------------------------------------------------------

def test_a_server_that_speaks_http1_only(node):
    port = free_port()

    def serve(peer):
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        while peer.sock.recv(65536):
            pass
    o = Origin(serve)
    try:
        n = node(over_h2(port, [o], retries=0))
        r = http(port, "POST", body=b"x")
        assert r.status == 502 and "no HTTP/2" in r.text
        assert counter(n, "connect_errors_total") >= 1
    finally:
        o.stop()


@pytest.mark.parametrize("make", [nghttpd, nginx])
@pytest.mark.parametrize("secure", [False, True])
def test_real_servers(node, cert, tmp_path, make, secure):
    www = tmp_path / "www"
    www.mkdir()
    os.chmod(tmp_path, 0o755)
    (www / "small").write_text("small")
    big = os.urandom(3000000)
    (www / "big").write_bytes(big)
    p, port = make(str(www), cert if secure else None), free_port()
    tls = {"tls": {"ca": cert.pem, "server_name": "shop.test"}} if secure else {}
    try:
        n = node(over_h2(port, [p.address], threads=2, **tls))
        assert http(port, path="/small").body == b"small"
        for r in together(8, lambda i: http(port, path="/big")):
            assert r.body == big
        assert http(port, path="/none").status == 404
        assert counter(n, "response_errors_total") == 0
        assert counter(n, "connections_total") <= 2
    finally:
        p.stop()


def test_no_agreement_on_h2(node, cert, tmp_path):
    os.chmod(tmp_path, 0o755)
    p, port = nginx(str(tmp_path), cert, http2=False), free_port()
    try:
        n = node(over_h2(port, [p.address], retries=0,
                    tls={"ca": cert.pem, "server_name": "shop.test"}))
        r = http(port)
        assert r.status == 502 and "does not agree to HTTP/2" in r.text
        n.wait_log("does not agree to HTTP/2")
    finally:
        p.stop()


def test_a_server_that_dies_under_load(node, load, tmp_path):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "index.html").write_text("x")
    a, b, port = nghttpd(str(tmp_path)), nghttpd(str(tmp_path)), free_port()
    try:
        n = node(over_h2(port, [a.address, b.address], threads=2))
        clients = load(port, path="/index.html")
        for _ in range(3):
            a.kill()
            wait_for(lambda: http(port, path="/index.html").status == 200)
            a.start()
            time.sleep(0.3)
        lost = [r for r in clients.stop() if r.error and r.method == "GET"]
        assert not lost, lost[:5]
    finally:
        a.stop()
        b.stop()
