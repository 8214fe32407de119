# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards servers (`protocol: h2`), where we are the client: what a server may not do ends
its stream or its connection with the code that RFC 9113 names and costs our client a 502, never a
message that looks whole; and what we send is what a client and an intermediary may send. Each frame
that reaches the server is held against the rules for clients as well (h2wire.Lint)."""

import struct
import threading

import pytest
import wire

from conftest import NODES
from h2hpack import NEVER, block, indexed, literal, size_update, to_bytes
from h2server import Server
from h2stand import case, rfc
from h2wire import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS,
                    END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, H2, HEADERS,
                    HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE,
                    MAX_WINDOW, NO_ERROR, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR,
                    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Closed, data,
                    frame, goaway, headers, padded, ping, request_fields, rst, settings,
                    window_update)
from harness import Node, free_port, wait_for
from wire import Conn, http

pytestmark = pytest.mark.sanitize
POOLS = 8 # each test takes the next one, so that no connection of another test is in its way


@pytest.fixture(scope="module")
def proxy():
    """A node with pools of one HTTP/2 server each, which the tests put there: /N leads to N."""
    class Proxy:
        port, ports, used = free_port(), [free_port() for _ in range(POOLS)], 0
    conf = {
        "proxy": {"threads": 1},
        "trust": ["127.0.0.1"], # answers of ours say why
        "listeners": {"http": {"bind": f"127.0.0.1:{Proxy.port}"}},
        "routes": {f"r{i}": {"path": f"/{i}", "to": f"p{i}"} for i in range(POOLS)},
        "pools": {f"p{i}": {"servers": {"s": f"127.0.0.1:{p}"}, "protocol": "h2", "retries": 0,
                            "passive": False, "timeouts": {"connect": "5s", "response": "60s"}}
                  for i, p in enumerate(Proxy.ports)},
    }
    conf["routes"]["star"] = {"method": ["OPTIONS"], "to": "p0"}
    Proxy.node = Node(conf)
    yield Proxy
    Proxy.node.stop()
    Proxy.node.remove()


@pytest.fixture
def server(request, proxy):
    """server(serve, …) is the Server of a pool; .path leads to it."""
    request.node.stash.setdefault(NODES, []).append(proxy.node)
    made = []

    def make(serve=None, **options):
        n = proxy.used % POOLS
        proxy.used += 1
        s = Server(serve, port=proxy.ports[n], **options)
        s.path, s.pool, s.proxy = f"/{n}", f"p{n}", proxy.port
        made.append(s)
        return s
    yield make
    for s in made:
        s.stop()
    proxy.node.check_log()
    for s in made: # the proxy sees the end of its connections before the port serves another test
        assert not s.violations, s.violations


def ask(s, method="GET", more="", **options):
    return http(s.proxy, method, s.path + more, **options)


def failed(s):
    """A request that an HTTP/1.1 client sees fail: 502, or chunks without an end."""
    try:
        answer = ask(s)
        assert answer.status == 502, answer
    except wire.Closed:
        pass


# --- what a server may not do -----------------------------------------------------------------

OK = block([(":status", "200")])
PROMISE = struct.pack(">I", 2) + block(request_fields(path="/pushed"))

CONNECTION_ERRORS = [
    case("ENABLE_PUSH 1", "9113-6.5.2-6", PROTOCOL_ERROR, settings((ENABLE_PUSH, 1))),
    case("ENABLE_PUSH 2", "9113-6.5.2-3", PROTOCOL_ERROR, settings((ENABLE_PUSH, 2))),
    case("PUSH_PROMISE", "9113-6.5.2-2 9113-6.6-8", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, END_HEADERS, 1, PROMISE)),
    case("PUSH_PROMISE on an idle stream", "9113-6.6-10", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, END_HEADERS, 9, PROMISE)),
    case("PUSH_PROMISE on stream 0", "9113-6.6-6", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, END_HEADERS, 0, PROMISE)),
    case("PUSH_PROMISE of an odd stream", "9113-6.6-12", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 3) + PROMISE[4:])),
    case("PUSH_PROMISE padding longer than the payload", "9113-6.6-13", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, END_HEADERS | PADDED, 1, padded(PROMISE, said=255))),
    case("PING within the field block of a promise", "9113-6.6-4", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, 0, 1, PROMISE) + ping()),
    case("HEADERS on a stream of the server's", "9113-5.1-2 9113-5.1.1-3", PROTOCOL_ERROR,
         headers(2, OK)),
    case("HEADERS on an idle stream", "9113-5.1-1 9113-5.1.1-3", PROTOCOL_ERROR, headers(99, OK)),
    case("DATA on an idle stream", "9113-5.1-1", PROTOCOL_ERROR, data(99, b"x")),
    case("RST_STREAM on an idle stream", "9113-6.4-6", PROTOCOL_ERROR, rst(99)),
    case("DATA on stream 0", "9113-6.1-3", PROTOCOL_ERROR, data(0, b"x")),
    case("DATA padding longer than the payload", "9113-6.1-5", PROTOCOL_ERROR,
         headers(1, OK, end=False) + frame(DATA, PADDED, 1, padded(b"abc", said=9))),
    case("HEADERS padding longer than the payload", "9113-6.2-6", PROTOCOL_ERROR,
         frame(HEADERS, END_HEADERS | PADDED, 1, padded(OK, said=99))),
    case("HEADERS longer than a frame may be", "9113-4.2-3", FRAME_SIZE_ERROR,
         frame(HEADERS, END_HEADERS, 1, OK + bytes(16384))),
    case("a field block that cannot be decoded", "9113-4.3-2 9113-4.3-3 7541-6.1-1",
         COMPRESSION_ERROR, headers(1, OK + indexed(0))),
    case("an index beyond the table", "7541-2.3.3-1", COMPRESSION_ERROR, headers(1, indexed(70))),
    case("a table above our limit", "7541-6.3-2", COMPRESSION_ERROR,
         headers(1, size_update(1 << 20) + OK)),
    case("PING within a field block", "9113-6.2-3 9113-8.1-1", PROTOCOL_ERROR,
         frame(HEADERS, 0, 1, OK) + ping()),
    case("SETTINGS on a stream", "9113-6.5-6", PROTOCOL_ERROR, frame(SETTINGS, 0, 1)),
    case("SETTINGS of 5 bytes", "9113-6.5-8", FRAME_SIZE_ERROR, frame(SETTINGS, 0, 0, bytes(5))),
    case("INITIAL_WINDOW_SIZE of 2^31", "9113-6.5.2-7", FLOW_CONTROL_ERROR,
         settings((INITIAL_WINDOW_SIZE, 2**31))),
    case("MAX_FRAME_SIZE of 16383", "9113-6.5.2-9", PROTOCOL_ERROR,
         settings((MAX_FRAME_SIZE, 16383))),
    case("PING of 7 bytes", "9113-6.7-6", FRAME_SIZE_ERROR, ping(bytes(7))),
    case("GOAWAY on a stream", "9113-6.8-2", PROTOCOL_ERROR, frame(GOAWAY, 0, 1, bytes(8))),
    case("WINDOW_UPDATE by 0 for the connection", "9113-6.9-2", PROTOCOL_ERROR,
         window_update(0, 0)),
    case("WINDOW_UPDATE beyond 2^31-1 for the connection", "9113-6.9.1-3", FLOW_CONTROL_ERROR,
         window_update(0, MAX_WINDOW)),
    case("DATA before HEADERS", "9113-8.1.1-3", PROTOCOL_ERROR, data(1, b"ab")),
    case("CONTINUATION of nothing", "9113-6.10-6", PROTOCOL_ERROR,
         frame(CONTINUATION, END_HEADERS, 1, OK)),
]


@pytest.mark.parametrize("code, bad", CONNECTION_ERRORS)
@rfc("9113-5.4-1 9113-5.4.1-1")
def test_connection_error(server, code, bad):
    """GOAWAY with the code, the connection ends, our client gets a 502; the next request goes over
    another connection and is served."""
    def serve(peer):
        r = peer.request()
        if s.connections > 1:
            peer.reply(r)
            return
        assert r.stream == 1
        peer.send(bad)
        peer.connection_error(code)
    s = server(serve)
    failed(s)
    assert ask(s).status == 200
    s.wait_finished()


@rfc("9113-3.4-4 9113-3.4-2")
def test_server_without_preface(server):
    """What begins with another frame, or is not HTTP/2 at all, is not taken for an answer."""
    for start in (ping(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", headers(1, OK)):
        def serve(peer, start=start):
            peer.send(start)
            peer.closed()
        s = server(serve, begin=False)
        assert ask(s).status == 502
        s.stop()


def response(*more, status="200"):
    return [(":status", status), *more]


TWO = ("content-length", "2")
MALFORMED = [
    case("no :status", "9113-8.3.2-1", headers(1, [("x", "y")])),
    case("empty :status", "9113-8.3.2-1", headers(1, [(":status", "")])),
    case(":status of letters", "9113-8.3.2-1", headers(1, [(":status", "2x0")])),
    case(":status of two digits", "9113-8.3.2-1", headers(1, [(":status", "20")])),
    case("no :status in an interim response", "9113-8.3.2-1",
         headers(1, [("link", "x")], end=False) + headers(1, OK)),
    case("status 101", "9113-8.1.1-3", headers(1, response(status="101"), end=False)),
    case("interim response that ends", "9113-8.1.1-3", headers(1, response(status="103"))),
    case(":status twice", "9113-8.3-7 9113-8.3-8", headers(1, response((":status", "200")))),
    case(":status after a field", "9113-8.3-5 9113-8.3-6", headers(1, [("x", "y"), *response()])),
    case(":path in a response", "9113-8.3-2 9113-8.3-4", headers(1, response((":path", "/")))),
    case("unknown pseudo-header field", "9113-8.3-4", headers(1, response((":x", "/")))),
    case("upper case in a name", "9113-8.2.1-2", headers(1, response(("X-Y", "1")))),
    case("blank in a name", "9113-8.2.1-2", headers(1, response(("x y", "1")))),
    case("colon in a name", "9113-8.2.1-3", headers(1, response(("x:y", "1")))),
    case("NUL in a value", "9113-8.2.1-4", headers(1, response(("x", "a\0b")))),
    case("CRLF in a value", "9113-8.2.1-4 9113-8.2.1-7",
         headers(1, response(("x", "a\r\nset-cookie: b=c")))),
    case("blank at a value's end", "9113-8.2.1-5", headers(1, response(("x", "a ")))),
    case("Connection", "9113-8.2.2-2", headers(1, response(("connection", "close")))),
    case("Transfer-Encoding", "9113-8.2.2-2", headers(1, response(("transfer-encoding", "chunked")))),
    case("TE", "9113-8.2.2-3", headers(1, response(("te", "trailers")))),
    case("two lengths", "9113-8.1.1-3", headers(1, response(TWO, ("content-length", "3")), False) +
         data(1, b"ab", True)),
    case("length that is none", "9113-8.1.1-3", headers(1, response(("content-length", "-1")))),
    case("length and no data", "9113-8.1.1-3", headers(1, response(TWO))),
    case("less than the length", "9113-8.1.1-3", headers(1, response(TWO), False) +
         data(1, b"a", True)),
    case("more than the length", "9113-8.1.1-3", headers(1, response(TWO), False) +
         data(1, b"abc", True)),
    case("data of 204", "9113-8.1.1-3", headers(1, response(status="204"), False) +
         data(1, b"a", True)),
    case("data behind an interim response", "9113-8.1.1-3",
         headers(1, response(status="103"), False) + data(1, b"a", True)),
    case("a second head", "9113-8.1-4", headers(1, response(), False) + data(1, b"a") +
         headers(1, response(), False)),
    case("pseudo-header field in trailers", "9113-8.1-3 9113-8.3-3", headers(1, response(), False) +
         data(1, b"a") + headers(1, [("x", "y"), (":status", "200")])),
    case("CRLF in trailers", "9113-8.2.1-4", headers(1, response(), False) +
         data(1, b"a") + headers(1, [("x", "y\r\nz: 1")])),
]


@pytest.mark.parametrize("bad", MALFORMED)
@rfc("9113-8.1.1-1 9113-8.1.1-2 9113-8.1.1-3 9113-10.3-1")
def test_malformed_response(server, bad):
    """RST_STREAM with PROTOCOL_ERROR, 502 (or an end that is none once the head is out), and the
    connection goes on."""
    def serve(peer):
        first = peer.request()
        peer.send(bad)
        peer.stream_error(first.stream, PROTOCOL_ERROR)
        peer.reply(peer.request())
        peer.sync()
    s = server(serve)
    with H2(s.proxy) as c:
        st = c.request(path=s.path)
        f = c.on(st, HEADERS, RST_STREAM)
        if f.kind == HEADERS and f.status == 200:
            f = c.wait(lambda f: f.stream == st and (f.end or f.kind == RST_STREAM))
            assert f.kind == RST_STREAM, f
        else:
            assert f.kind == RST_STREAM or f.status == 502, f
        a = c.get(path=s.path)
        assert a.body == b"ok" and not a.get("set-cookie")
    s.wait_finished()
    assert s.connections == 1


@rfc("9113-8.1.1-3")
def test_malformed_response_to_http1(server):
    """The chunks that an HTTP/1.1 client got have no end."""
    def serve(peer):
        r = peer.request()
        peer.send(headers(r.stream, response(), False), data(r.stream, b"part"),
                  headers(r.stream, [(":status", "200")]))
        peer.stream_error(r.stream, PROTOCOL_ERROR)
    s = server(serve)
    failed(s)
    s.wait_finished()


def test_what_is_wrong_is_said(server):
    def serve(peer):
        for bad in (headers(1, response(TWO)), headers(3, response(("x", "a\0b"))),
                    headers(5, response(status="103"), False) + data(5, b"a", True),
                    headers(7, response(("connection", "close")))):
            peer.request()
            peer.send(bad)
        peer.sync()
    s = server(serve)
    for why in ("body shorter than its Content-Length", "field value with a control byte",
                "data before its head", "field that is about the connection"):
        assert f"invalid response: {why} (attempt 1)" in ask(s).text
    s.wait_finished()


# --- odd, and allowed -------------------------------------------------------------------------

def test_trailers_behind_a_length(server):
    """HTTP/1.1 has no place for them; from HTTP/2 to HTTP/2 they go on, both ways."""
    got = []

    def serve(peer):
        for _ in range(2):
            r = peer.request()
            got.append((r.body, r.trailers))
            peer.reply(r, b"ok", more=[TWO], trailers=[("x-sum", "1"), ("content-length", "9")])
    s = server(serve)
    with H2(s.proxy) as c:
        for pieces in (1, 3): # the last DATA frame with the trailers, and long before them
            st = c.new_stream()
            c.send(headers(st, request_fields("POST", s.path, more=[("content-length", "3")]),
                           end=False))
            body = [data(st, b"abc")] if pieces == 1 else [data(st, bytes([b])) for b in b"abc"]
            if pieces == 1:
                c.send(*body, headers(st, [("x-check", "7"), ("host", "evil")]))
            else:
                for f in body:
                    c.send(f)
                    c.sync()
                c.send(headers(st, [("x-check", "7")]))
            frames = []
            while not frames or not frames[-1].end:
                frames.append(c.on(st, HEADERS, DATA))
            assert frames[-1].fields == [("x-sum", "1")]
    assert got == [(b"abc", [("x-check", "7")])] * 2


@pytest.mark.parametrize("method, status", [("HEAD", "200"), ("GET", "204"), ("GET", "304")])
def test_a_length_without_content(server, method, status):
    """RFC 9113, 8.1.1: where there never is content the length is no promise of it."""
    def serve(peer):
        peer.send(headers(peer.request().stream, response(("content-length", "9"), status=status)))
        peer.reply(peer.request(), b"")
    s = server(serve)
    with Conn(s.proxy) as c:
        for want in (int(status), 200):
            c.request(method, s.path)
            assert c.recv_response(method).status == want



HARMLESS = [
    case("unknown frame", "9113-4.1-2 9113-5.5-2", frame(77, 255, 0, b"?" * 40)),
    case("unknown settings", "9113-6.5.2-10 9113-6.5.3-3", settings((0x99, 1))),
    case("PING", "9113-6.7-2", ping()),
    case("PRIORITY", "9113-5.1-1", frame(PRIORITY, 0, 99, b"\0\0\0\1\1")),
    case("interim responses", "9113-8.3.2-1", headers(1, response(("link", "</x>"), status="103"),
                                                      end=False) * 3),
    case("reserved bit and unused flags", "9113-4.1-3 9113-4.1-4",
         frame(SETTINGS, 0xfe, 0, b"", reserved=1)),
    case("a promise of nothing: GOAWAY for later streams", "9113-7-1", goaway(1, 0xabcdef)),
]


@pytest.mark.parametrize("odd", HARMLESS)
def test_harmless(server, odd):
    def serve(peer):
        r = peer.request()
        peer.send(odd, headers(r.stream, response(), end=False),
                  frame(DATA, PADDED | END_STREAM, r.stream, padded(b"whole", 7)))
        peer.closed()
    s = server(serve)
    a = ask(s)
    assert a.status == 200 and a.body == b"whole"
    s.check()


# --- what we send -----------------------------------------------------------------------------

def keeping(requests):
    """serve: answers, and keeps what came."""
    def serve(peer):
        while True:
            r = peer.request(timeout=3600)
            requests.append(r)
            peer.reply(r)
    return serve


@rfc("9113-3.4-1 9113-6.5-1 9113-6.5.2-1 9113-8.4.1-4")
def test_our_preface(server):
    """24 bytes and SETTINGS, at once, with pushing switched off."""
    requests = []
    s = server(keeping(requests))
    assert ask(s).status == 200
    frames = s.peers[0].frames
    assert frames[0].kind == SETTINGS and not frames[0].ack
    assert s.peers[0].peer_settings.get(ENABLE_PUSH) == 0
    assert not [f for f in frames if f.kind == PUSH_PROMISE]


@rfc("9113-3.4-3 9113-6.5.3-4 9113-6.7-3")
def test_we_acknowledge(server):
    def serve(peer):
        r = peer.request()
        peer.send(settings((0x99, 1)), ping(b"12345678"))
        peer.settings_acked(), peer.settings_acked()
        peer.wait(lambda f: f.kind == PING and f.ack and f.payload == b"12345678")
        peer.reply(r)
    s = server(serve)
    assert ask(s).status == 200
    s.wait_finished()


@rfc("9113-8.3.1-2 9113-8.3.1-3 9113-8.3.1-5 9113-8.3.1-11 9113-8.3-1 9113-8.3-5 9113-8.3-7 "
     "9113-8.3.1-7 9113-8.3.1-8")
def test_request_fields(server):
    """The pseudo-header fields: all that are needed, once, first, from the request's own data."""
    requests = []
    s = server(keeping(requests))
    assert ask(s, "PUT", "/a?b=c", host="Shop.test:8080", body="x").status == 200
    with H2(s.proxy) as c:
        assert c.get("DELETE", s.path + "/x", "shop.test").status == 200
    one, two = requests
    assert dict(one.fields[:4]) == {":method": "PUT", ":scheme": "http",
                                    ":authority": "Shop.test:8080", ":path": s.path + "/a?b=c"}
    assert dict(two.fields[:4]) == {":method": "DELETE", ":scheme": "http",
                                    ":authority": "shop.test", ":path": s.path + "/x"}
    for r in requests:
        assert not [n for n, _ in r.fields[4:] if n.startswith(":")]
        assert not r.all("host")


@rfc("9113-8.3.1-5 9113-8.3.1-2")
def test_no_authority(server):
    """HTTP/1.0 without Host: no :authority is made up."""
    requests = []
    s = server(keeping(requests))
    with Conn(s.proxy) as c:
        c.send(f"GET {s.path} HTTP/1.0\r\n\r\n")
        assert c.recv_head().status == 200
    assert not requests[0].all(":authority")


@rfc("9113-8.3.1-9 9113-8.3.1-10")
def test_path_of_a_uri(server, proxy):
    """"*" for OPTIONS *; "/" where a URI had no path."""
    proxy.used = 0 # the route for OPTIONS leads to pool 0
    requests = []
    s = server(keeping(requests))
    for target in ("*", "http://test", "http://test/"):
        with Conn(s.proxy) as c:
            c.send(f"OPTIONS {target} HTTP/1.1\r\nHost: test\r\n\r\n")
            assert c.recv_head().status == 200, target
    assert [r.get(":path") for r in requests] == ["*", "*", "/"]


@rfc("9113-8.2-1 9113-8.2.2-1 9113-8.2.2-3 9113-8.2.2-4 9113-10.3-2 7541-2.1-1")
def test_fields_from_http1(server):
    """In lower case and in their order, without what speaks of the client's connection."""
    requests = []
    s = server(keeping(requests))
    a = ask(s, headers=[("X-One", "1"), ("Connection", "X-Hop, keep-alive, TE"), ("X-Hop", "h"),
                        ("Keep-Alive", "5"), ("Proxy-Connection", "x"), ("TE", "trailers, gzip"),
                        ("X-Two", "2"), ("Cookie", "a=1"), ("X-Three", "3")])
    assert a.status == 200
    names = [n for n, _ in requests[0].fields]
    assert all(n == n.lower() for n in names)
    assert [n for n in names if n in ("x-one", "x-two", "x-three")] == ["x-one", "x-two", "x-three"]
    assert not set(names) & {"connection", "x-hop", "keep-alive", "proxy-connection", "upgrade",
                             "transfer-encoding"}
    assert requests[0].all("te") in ([], ["trailers"])


@rfc("9113-8.1-2 9113-8.3-3")
def test_trailers_both_ways(server):
    """From an HTTP/2 client and from an HTTP/1.1 client, and back to both."""
    got = []

    def serve(peer):
        while True:
            r = peer.request(timeout=3600)
            got.append(r)
            peer.reply(r, b"hello", trailers=[("x-sum", "5")])
    s = server(serve)
    with H2(s.proxy) as c:
        st = c.request("POST", s.path, end=False)
        c.send(data(st, b"abc"), headers(st, [("x-end", "3")]))
        a = c.answer(st)
        assert a.body == b"hello" and a.trailers == [("x-sum", "5")]
    with Conn(s.proxy) as c:
        c.request("POST", s.path, {"Transfer-Encoding": "chunked"})
        c.send("3\r\nabc\r\n0\r\nX-End: 3\r\n\r\n")
        a = c.recv_response()
        assert a.body == b"hello" and a.trailers == [("x-sum", "5")]
    assert [r.trailers for r in got] == [[("x-end", "3")]] * 2
    assert [r.body for r in got] == [b"abc"] * 2


@rfc("7541-6.2.3-1 7541-6.2.3-2 7541-6.2.3-3 7541-7.1.3-1 7541-7.1.3-2")
def test_never_indexed(server):
    """What either side marks as never to be indexed goes on like that, each time."""
    got = []

    def serve(peer):
        while True:
            r = peer.request(timeout=3600)
            got.append(r)
            peer.send(headers(r.stream, OK + literal("x-secret-answer", "b", NEVER)))
    s = server(serve)
    with H2(s.proxy) as c:
        for _ in range(3):
            st = c.new_stream()
            c.send(headers(st, block(request_fields(path=s.path)) +
                           literal("x-secret", "a", NEVER) + literal("authorization", "c", NEVER)))
            a = c.answer(st)
            assert "x-secret-answer" in a.head.never_indexed, a.head.never_indexed
    for r in got:
        assert {"x-secret", "authorization"} <= r.never_indexed, r.never_indexed


@rfc("9113-5.1.1-1 9113-5.1.1-2 9113-5.1.2-1 9113-5.1-8")
def test_concurrent_streams(server):
    """A server's limit is kept: what is too much waits, or goes over another connection."""
    most = []

    def serve(peer):
        for _ in range(20):
            r = peer.request(timeout=3600)
            most.append(peer.open_now())
            peer.sync()
            most.append(peer.open_now())
            peer.reply(r)
    s = server(serve, first=[(MAX_CONCURRENT_STREAMS, 2)])
    with H2(s.proxy) as c:
        c.get(path=s.path) # its SETTINGS are known now
        streams = [c.request(path=s.path) for _ in range(10)]
        assert [c.answer(st).status for st in streams] == [200] * 10
    assert max(most) <= 2
    s.check()


@rfc("9113-6.8-1")
def test_no_stream_after_goaway(server):
    """What a server's GOAWAY leaves out goes elsewhere; what it leaves in is served."""
    def serve(peer):
        r = peer.request()
        peer.send(goaway(r.stream))
        peer.sync()
        peer.reply(r, b"%d" % s.connections)
        peer.closed()
        assert len([f for f in peer.frames if f.kind == HEADERS]) == 1
    s = server(serve)
    assert [ask(s).body for _ in range(3)] == [b"1", b"2", b"3"]
    s.check()


@rfc("9113-6.4-1 9113-5.4.2-2")
def test_reset_by_the_server(server):
    """502; nothing follows on the stream."""
    def serve(peer):
        r = peer.request(body=False)
        peer.send(rst(r.stream, 2))
        peer.sync()
        at = len(peer.frames)
        peer.reply(peer.request())
        peer.sync()
        late = [f for f in peer.frames[at:] if f.stream == r.stream]
        assert not late, late
    s = server(serve)
    with H2(s.proxy) as c:
        st = c.request("POST", s.path, end=False)
        assert c.on(st, HEADERS).status == 502
        c.send(data(st, b"late", end=True))
        assert c.get(path=s.path).status == 200
    s.wait_finished()


@rfc("9113-8.1-5")
def test_whole_response_before_a_reset(server):
    """A server that needs no more of the request says so by NO_ERROR: its answer counts."""
    def serve(peer):
        r = peer.request(body=False)
        peer.send(headers(r.stream, response(("content-length", "6")), False),
                  data(r.stream, b"enough", True), rst(r.stream, NO_ERROR))
        peer.closed()
    s = server(serve)
    with H2(s.proxy) as c:
        st = c.request("POST", s.path, end=False)
        c.send(data(st, b"x" * 1000))
        head = c.on(st, HEADERS)
        assert head.status == 200
        assert c.answer_body(st) == b"enough"
    s.check()


@rfc("9113-5.2.1-1 9113-6.9.1-1 9113-6.9.2-1 9113-6.9.2-2 9113-4.1-1")
def test_uploads_keep_to_the_windows(server):
    """Down to single bytes, and when SETTINGS take a window below zero."""
    body = bytes(range(256)) * 400 # 102,400 bytes

    def serve(peer):
        r = peer.request(body=False)
        got = b""
        while len(got) < 1000:
            got += peer.on(r.stream, DATA).data
        assert len(got) == 1000
        peer.send(settings((INITIAL_WINDOW_SIZE, 500)))
        peer.settings_acked(), peer.settings_acked()
        peer.send(window_update(r.stream, 500), window_update(0, 1 << 20))
        peer.sync()
        peer.send(window_update(r.stream, 3))
        f = peer.on(r.stream, DATA)
        assert len(f.data) == 3
        got += f.data
        peer.send(settings((INITIAL_WINDOW_SIZE, 70000), (MAX_FRAME_SIZE, 30000)))
        peer.send(window_update(r.stream, 1 << 20))
        while True:
            f = peer.on(r.stream, DATA)
            got += f.data
            if f.end:
                break
        assert got == body
        peer.reply(r)
        peer.sync()
    s = server(serve, first=[(INITIAL_WINDOW_SIZE, 1000)], refill=False)
    assert ask(s, "POST", body=body).status == 200
    s.wait_finished()


@rfc("9113-6.9-4 9113-5.2.2-1")
def test_our_windows_are_given_back(server):
    """A response far beyond the windows, with padding, arrives whole; so does one behind it."""
    def serve(peer):
        while True:
            r = peer.request(timeout=3600)
            peer.send(headers(r.stream, response(), False))
            room = {0: 65535, r.stream: peer.peer_settings.get(INITIAL_WINDOW_SIZE, 65535)}
            for f in peer.frames:
                if f.kind == WINDOW_UPDATE and f.stream in room:
                    room[f.stream] += int.from_bytes(f.payload, "big")
            if r.stream > 1:
                room[0] = 0 # counted again from here
            left = 1000
            while left:
                payload = padded(b"x" * 1000, 50)
                while left > 900 or min(room.values()) > 2000:
                    if min(room.values()) < len(payload):
                        break
                    peer.send(frame(DATA, PADDED | (END_STREAM if left == 1 else 0), r.stream,
                                    payload))
                    left -= 1
                    for k in room:
                        room[k] -= len(payload)
                    if not left:
                        return
                f = peer.kind(WINDOW_UPDATE)
                if f.stream in room:
                    room[f.stream] += int.from_bytes(f.payload, "big")
    s = server(serve)
    assert len(ask(s).body) == 1000 * 1000
    s.check()


@rfc("9113-4.3.1-1 7541-4.2-1 7541-4.2-2 7541-4.2-3")
def test_table_of_the_server(server):
    """A server without a table gets a size update first and nothing indexed."""
    requests = []
    s = server(keeping(requests), first=[(HEADER_TABLE_SIZE, 0)])
    for _ in range(3):
        assert ask(s).status == 200
    s.check()
    assert s.peers[-1].decoder.header_table_size == 0


@rfc("9113-5.1-9 9113-5.4.2-1 9113-6.4-2 9113-6.9-4")
def test_frames_after_our_reset(server):
    """Our client goes away, we reset the stream: what the server had sent by then harms nobody,
    and counts for the connection's table and window."""
    gone = threading.Event()

    def serve(peer):
        r = peer.request()
        peer.send(headers(r.stream, response(), False), data(r.stream, b"x" * 1000))
        f = peer.on(r.stream, RST_STREAM)
        assert f.code == CANCEL
        gone.set()
        for _ in range(20):
            peer.send(data(r.stream, bytes(10000)))
            peer.sync()
        peer.send(frame(HEADERS, END_HEADERS | END_STREAM, r.stream,
                        literal("x-kept", "in the table", (0x40, 6))))
        r = peer.request()
        peer.send(headers(r.stream, OK + indexed(62)))
        peer.sync()
    s = server(serve)
    with H2(s.proxy) as c:
        st = c.request(path=s.path)
        c.on(st, DATA)
        c.send(rst(st))
        assert gone.wait(20)
        a = c.get(path=s.path)
        assert a.get("x-kept") == "in the table"
    s.wait_finished()


@rfc("9113-6.6-7")
def test_nothing_of_a_push_reaches_the_client(server):
    """A server that pushes anyway loses the connection, and our client sees none of it."""
    def serve(peer):
        r = peer.request()
        peer.send(frame(PUSH_PROMISE, END_HEADERS, r.stream, PROMISE), headers(2, OK))
        peer.connection_error(PROTOCOL_ERROR)
    s = server(serve)
    with H2(s.proxy) as c:
        assert c.get(path=s.path).status == 502
        assert not [f for f in c.frames if f.kind == PUSH_PROMISE]
    s.wait_finished()
