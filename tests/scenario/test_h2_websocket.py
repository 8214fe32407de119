# SPDX-License-Identifier: Apache-2.0
"""WebSockets between clients and servers of either version of HTTP: Upgrade (RFC 6455) and extended
CONNECT (RFC 8441) on both sides, above all on that of servers that speak HTTP/2."""

import base64
import hashlib
import json
import os
import re
import threading
from socket import SO_RCVBUF, SOL_SOCKET

import h2.errors
import h2.events
import h2.settings
import pytest

from conftest import Closed, Conn, free_port, http, simple, wait_for
from h2origin import Cert, H2Origin, Program
from h2stand import rfc
from origin import Origin
from test_http2 import Client, Stream
from test_http_upgrade import frame, recv_frame

pytestmark = pytest.mark.sanitize

OFFER = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
SAMPLE = "dGhlIHNhbXBsZSBub25jZQ=="
KINDS = [("h1", "h1"), ("h1", "h2"), ("h2", "h1"), ("h2", "h2")]
both = pytest.mark.parametrize("kind", ["h1", "h2"])
all_four = pytest.mark.parametrize("kinds", KINDS, ids=["-".join(k) for k in KINDS])


def accept(key):
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key + guid).digest()).decode()


# --- the server's side of a tunnel ----------------------------------------------------------------

class Side1:
    def __init__(self, peer, head):
        self.peer, self.head = peer, head
        self.send, self.recv = peer.send, peer.recv_exactly
        self.end, self.rest = peer.shutdown, peer.recv_all


class Side2:
    def __init__(self, peer, request):
        self.peer, self.request, self.pos = peer, request, 0

    def send(self, data):
        self.peer.send(self.request.stream, data)

    def recv(self, n):
        self.peer.until(lambda: len(self.request.body) >= self.pos + n)
        self.pos += n
        return self.request.body[self.pos - n:self.pos]

    def end(self):
        self.peer.h2.end_stream(self.request.stream)
        self.peer.flush()

    def rest(self):
        self.peer.until(lambda: self.request.whole)
        rest, self.pos = self.request.body[self.pos:], len(self.request.body)
        return rest


def answer_others(peer):
    """What else is asked for than WebSockets."""
    for r in list(peer.requests.values()):
        if r.whole and r.get(":method") != "CONNECT" and not hasattr(r, "answered"):
            r.answered = True
            peer.reply(r.stream, b"plain")


def take(peer):
    """The next WebSocket of a connection to a server that speaks HTTP/2; None at the end."""
    def found():
        answer_others(peer)
        for r in peer.requests.values():
            if r.get(":method") == "CONNECT" and not hasattr(r, "taken"):
                r.taken = True
                return r
        return None
    try:
        return peer.until(found)
    except (Closed, ConnectionError):
        return None


def grant(peer, request, *fields):
    peer.h2.send_headers(request.stream, [(":status", "200"), *fields])
    peer.flush()
    return Side2(peer, request)


@pytest.fixture
def server():
    """server("h1" or "h2", talk): talk(side) for each WebSocket, one at a time on a connection."""
    made = []

    def make(kind, talk, **options):
        def serve1(peer):
            while got := peer.recv_request(body=False):
                key = re.search(rb"(?im)^sec-websocket-key: (.*)\r$", got[0])
                if not key:
                    peer.reply(b"plain")
                    continue
                peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                          f"Upgrade: websocket\r\nSec-WebSocket-Accept: {accept(key[1])}\r\n\r\n")
                talk(Side1(peer, got[0]))
                return

        def serve2(peer):
            while request := take(peer):
                talk(grant(peer, request, ("x-own", "1")))
        if kind == "h1":
            made.append(Origin(serve1, **options))
        else:
            made.append(H2Origin(serve2, **{"settings": OFFER, **options}))
        return made[-1]
    yield make
    for o in made:
        o.stop()


@pytest.fixture
def h2server():
    """h2server(serve): an H2Origin that offers extended CONNECT."""
    made = []

    def make(serve, settings=OFFER, **options):
        made.append(H2Origin(serve, settings=settings, **options))
        return made[-1]
    yield make
    for o in made:
        o.stop()


# --- the client's side ----------------------------------------------------------------------------

class Socket1:
    """A WebSocket on HTTP/1.1."""

    def __init__(self, port, early=b"", granted=True, path="/chat?room=1"):
        self.c = Conn(port)
        key = base64.b64encode(os.urandom(16))
        self.c.send(b"\r\n".join([
            f"GET {path} HTTP/1.1".encode(), b"Host: chat.test", b"Connection: keep-alive, Upgrade",
            b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + key,
            b"", early]))
        if not granted:
            return
        self.head = self.c.recv_head()
        assert self.head.status == 101, self.head
        assert self.head.get("upgrade") == "websocket"
        assert self.head.all("sec-websocket-accept") == [accept(key)]
        assert self.head.get("content-length") is None
        self.send, self.recv, self.end = self.c.send, self.c.recv_exactly, self.c.shutdown
        self.rest, self.close = self.c.recv_all, self.c.close

    def cut(self):
        """Waits for an end that is none in order."""
        with pytest.raises((Closed, ConnectionError)):
            self.c.recv_exactly(1 << 30)

    def reset(self):
        self.c.reset()

    def answer(self):
        return self.c.recv_response()


class Socket2:
    """A WebSocket on HTTP/2, on a connection of its own."""

    def __init__(self, port, early=b"", granted=True, path="/chat?room=1"):
        self.c = Client(port)
        self.pos, self.sid = 0, self.c.h2.get_next_available_stream_id()
        self.s = self.c.streams[self.sid] = Stream()
        self.c.h2.send_headers(self.sid, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
            (":path", path), (":authority", "chat.test"),
            ("sec-websocket-version", "13")])
        self.c.flush()
        if early:
            self.send(early)
        if not granted:
            return
        self.c.until(lambda: self.s.status)
        assert self.s.status == 200
        assert "sec-websocket-accept" not in self.s.headers

    def send(self, data):
        while data:
            room = min(self.c.h2.local_flow_control_window(self.sid), 16384)
            if room == 0:
                self.c.until(lambda: self.c.h2.local_flow_control_window(self.sid) > 0)
                continue
            self.c.h2.send_data(self.sid, data[:room])
            self.c.flush()
            data = data[room:]

    def recv(self, n):
        self.c.until(lambda: len(self.s.body) >= self.pos + n)
        self.pos += n
        return self.s.body[self.pos - n:self.pos]

    def end(self):
        self.c.h2.end_stream(self.sid)
        self.c.flush()

    def rest(self):
        self.c.until(lambda: self.s.ended)
        return self.s.body[self.pos:]

    def cut(self):
        self.c.until(lambda: self.s.done)
        assert self.s.reset is not None and not self.s.ended

    def reset(self):
        self.c.h2.reset_stream(self.sid, h2.errors.ErrorCodes.CANCEL)
        self.c.flush()

    def close(self):
        self.c.close()


@pytest.fixture
def socket():
    made = []

    def make(kind, port, *args, **options):
        made.append((Socket1 if kind == "h1" else Socket2)(port, *args, **options))
        return made[-1]
    yield make
    for c in made:
        c.c.close()


def start(node, kind, servers, **pool):
    """A node with one pool, of servers of that kind."""
    port = free_port()
    if kind == "h2":
        pool["protocol"] = "h2"
    conf = simple(port, servers, check=False, **pool)
    conf["proxy"]["threads"] = 1
    conf["trust"] = ["127.0.0.1/32"]
    conf["listeners"]["http"]["access_log"] = {"path": str(start.log)}
    n = node(conf)
    n.port = port
    return n


@pytest.fixture(autouse=True)
def log(tmp_path):
    """Where nodes have their access log, whoever they run as."""
    os.chmod(tmp_path, 0o777)
    start.log = tmp_path / "access.log"


def wait_reason(text):
    """A line of the access log with that reason."""
    def found():
        with open(start.log, encoding="utf-8") as f:
            return [e for e in map(json.loads, f) if text in e.get("reason", "")]
    return wait_for(found, what=f"a line of the access log with {text!r}")[0]


def counter(n, name, server="s1"):
    return n.metrics()[f'holdfast_server_{name}{{pool="web",server="{server}"}}']


def echo(side):
    """Sends back what comes, until the client ends; then the end."""
    if isinstance(side, Side1):
        while data := side.peer.sock.recv(65536):
            side.peer.sock.sendall(data)
    else:
        r = side.request
        while True:
            side.peer.until(lambda: len(r.body) > side.pos or r.whole)
            data = r.body[side.pos:]
            if not data:
                break
            side.pos += len(data)
            side.send(data)
    side.end()


# --- what lies between ----------------------------------------------------------------------------

@all_four
def test_small_messages(node, server, socket, kinds):
    o = server(kinds[1], echo)
    n = start(node, kinds[1], [o])
    c = socket(kinds[0], n.port, b"early")
    assert c.recv(5) == b"early"
    for i in range(50):
        data = os.urandom(1 + i * 7)
        c.send(data)
        assert c.recv(len(data)) == data
    row = n.json("connections")["connections"][0]
    assert (row["protocol"], row["server"]) == ("tunnel", "web/s1")
    sent = 5 + sum(1 + i * 7 for i in range(50))
    assert row["bytes_in"] >= sent and row["bytes_out"] >= sent
    assert n.metrics()['holdfast_listener_upgrades_total{listener="http"}'] == 1
    c.end()
    assert c.rest() == b""
    wait_for(lambda: not n.json("connections")["connections"])
    wait_for(lambda: n.server("web/s1")["active"] == 0)
    assert not o.errors


@both
def test_what_the_server_is_asked(node, server, socket, kind):
    heads = []

    def talk(side):
        heads.append(side.request.headers)
        side.send(b"x")
        side.rest()
        side.end()
    o = server("h2", talk)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    assert c.recv(1) == b"x"
    got = dict(heads[0])
    assert [name for name, _ in heads[0][:5]] == [":method", ":scheme", ":authority", ":path",
                                                  ":protocol"]
    assert (got[":method"], got[":protocol"], got[":scheme"]) == ("CONNECT", "websocket", "http")
    assert (got[":authority"], got[":path"]) == ("chat.test", "/chat?room=1")
    assert got["sec-websocket-version"] == "13" and got["x-forwarded-for"] == "127.0.0.1"
    for name in ("sec-websocket-key", "upgrade", "connection", "content-length", "host", "te"):
        assert name not in got
    assert not o.peers[0].requests[1].whole # END_STREAM would be the end of the tunnel
    answer = c.head.get("x-own") if kind == "h1" else c.s.headers["x-own"]
    assert answer == "1"
    c.end()
    c.rest()


@all_four
def test_4_mb_both_ways(node, server, socket, kinds):
    n = start(node, kinds[1], [server(kinds[1], echo)])
    c = socket(kinds[0], n.port)
    data = os.urandom(4 << 20)
    if kinds[0] == "h1":
        def send():
            c.send(data)
            c.end()
        t = threading.Thread(target=send)
        t.start()
    else:
        c.send(data) # and takes what comes meanwhile
        c.end()
        t = None
    assert c.rest() == data
    if t:
        t.join(30)
    wait_for(lambda: n.server("web/s1")["active"] == 0)


@both
def test_a_server_that_does_not_read(node, h2server, socket, kind):
    """What its window does not take stays with the client; other requests on the connection go on,
    and so does the other direction."""
    go, size = threading.Event(), 4 << 20

    def serve(peer):
        r = take(peer)
        grant(peer, r)
        peer.until(lambda: len(r.body) == 65535)
        peer.send(r.stream, b"full")
        while not go.is_set():
            answer_others(peer)
            peer.more()
        answer_others(peer)
        peer.acknowledge = True
        peer.h2.acknowledge_received_data(65535, r.stream)
        peer.flush()
        peer.until(lambda: len(r.body) == size)
        peer.send(r.stream, hashlib.sha256(r.body).digest(), end=True)
        take(peer)
    o = h2server(serve, acknowledge=False)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    data = os.urandom(size)
    t = threading.Thread(target=c.send, args=(data,))
    if kind == "h1":
        t.start()
    else: # its own windows hold it back
        c.send(data[:65535])
    assert c.recv(4) == b"full"
    for _ in range(3):
        assert http(n.port).body == b"plain"
    assert len(o.peers) == 1 and len(o.peers[0].requests[1].body) == 65535
    go.set()
    assert http(n.port).body == b"plain" # and it has seen the event
    if kind == "h2":
        c.send(data[65535:])
    assert c.recv(32) == hashlib.sha256(data).digest()
    if kind == "h1":
        t.join(30)


@both
def test_a_client_that_does_not_read(node, h2server, socket, kind):
    """The server is held back at its own window; the other direction goes on."""
    data, sent = os.urandom(12 << 20), []

    def serve(peer):
        r = take(peer)
        grant(peer, r)
        at = 0
        while at < len(data):
            room = min(peer.h2.local_flow_control_window(r.stream), 16384)
            if room > 0:
                peer.h2.send_data(r.stream, data[at:at + room])
                at += room
                sent.append(at)
                peer.flush()
            elif not peer.more():
                return
        peer.until(lambda: r.body == b"on")
        peer.h2.end_stream(r.stream)
        peer.flush()
        take(peer)
    o = h2server(serve)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    c.c.sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 65536)
    stood = [None]

    def stopped():
        before, stood[0] = stood[0], sent[-1] if sent else None
        return before and before == stood[0]
    wait_for(stopped, every=0.3)
    assert sent[-1] < len(data)
    c.send(b"on")
    wait_for(lambda: o.peers[0].requests[1].body == b"on")
    assert c.recv(len(data)) == data
    assert c.rest() == b""


# --- ends -----------------------------------------------------------------------------------------

@all_four
def test_the_client_ends_first(node, server, socket, kinds):
    """The server sees the end, and what it still says arrives."""
    def talk(side):
        side.send(b"got " + side.rest())
        side.end()
    n = start(node, kinds[1], [server(kinds[1], talk)])
    c = socket(kinds[0], n.port)
    c.send(b"all of it")
    c.end()
    assert c.rest() == b"got all of it"
    wait_for(lambda: n.server("web/s1")["active"] == 0)
    assert not n.json("connections")["connections"]


@all_four
def test_the_server_ends_first(node, server, socket, kinds):
    """The client sees the end, and what it still says arrives: its last words too."""
    got = []

    def talk(side):
        side.send(b"last words")
        side.end()
        got.append(side.rest())
    n = start(node, kinds[1], [server(kinds[1], talk)])
    c = socket(kinds[0], n.port)
    assert c.rest() == b"last words"
    data = os.urandom(60000)
    c.send(data)
    c.end()
    wait_for(lambda: got, what="the client's end at the server")
    assert got == [data]
    wait_for(lambda: n.server("web/s1")["active"] == 0)


@both
def test_the_server_ends_and_wants_no_more(node, h2server, socket, kind):
    """END_STREAM, then RST_STREAM with NO_ERROR (RFC 9113, 8.1): an end in order."""
    def serve(peer):
        r = take(peer)
        grant(peer, r)
        peer.send(r.stream, b"bye" * 1000, end=True)
        peer.reset(r.stream, h2.errors.ErrorCodes.NO_ERROR)
        take(peer)
    o = h2server(serve)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    assert c.rest() == b"bye" * 1000
    wait_for(lambda: n.server("web/s1")["active"] == 0)
    assert http(n.port).body == b"plain" and len(o.peers) == 1


@both
@rfc("9113-8.5-3")
def test_the_server_resets(node, h2server, socket, kind):
    """The client is cut; the connection to the server goes on."""
    def serve(peer):
        while r := take(peer):
            grant(peer, r)
            peer.until(lambda r=r: r.body)
            peer.reset(r.stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
    o = h2server(serve)
    n = start(node, "h2", [o])
    for _ in range(3):
        c = socket(kind, n.port)
        c.send(b"x")
        c.cut()
        assert http(n.port).body == b"plain"
    assert len(o.peers) == 1
    wait_reason("the server reset the tunnel")


@both
@rfc("9113-8.5-3")
def test_the_client_resets(node, h2server, socket, kind):
    seen = threading.Event()

    def serve(peer):
        while r := take(peer):
            grant(peer, r)
            peer.until(lambda r=r: [e for e in peer.saw(h2.events.StreamReset)
                                    if e.stream_id == r.stream])
            seen.set()
    o = h2server(serve)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    c.reset()
    assert seen.wait(30)
    assert o.peers[0].saw(h2.events.StreamReset)[0].error_code == h2.errors.ErrorCodes.CANCEL
    assert http(n.port).body == b"plain" and len(o.peers) == 1


@both
@rfc("9113-8.5-2")
def test_fields_in_a_tunnel(node, h2server, socket, kind):
    """Nothing but DATA may come: a stream error."""
    def serve(peer):
        r = take(peer)
        grant(peer, r)
        peer.until(lambda: r.body)
        peer.h2.send_headers(r.stream, [("x-sum", "1")], end_stream=True)
        peer.flush()
        peer.until(lambda: peer.saw(h2.events.StreamReset))
        take(peer)
    o = h2server(serve)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    c.send(b"x")
    c.cut()
    wait_for(lambda: o.peers[0].saw(h2.events.StreamReset))
    reset = o.peers[0].saw(h2.events.StreamReset)[0]
    assert reset.error_code == h2.errors.ErrorCodes.PROTOCOL_ERROR
    assert http(n.port).body == b"plain"
    wait_reason("the server violated HTTP/2 in the tunnel: header fields in a tunnel")


@both
def test_the_servers_connection_ends(node, h2server, socket, kind):
    def serve(peer):
        r = take(peer)
        grant(peer, r)
        peer.send(r.stream, b"x")
        peer.until(lambda: r.body)
    o = h2server(serve)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    assert c.recv(1) == b"x"
    c.send(b"go")
    c.cut()
    wait_reason("the server's connection ended in the tunnel")


@both
def test_goaway_leaves_the_tunnel_alone(node, h2server, socket, kind):
    """Other requests take another connection; when the tunnel ends, so does this one."""
    over = []

    def serve(peer):
        r = take(peer)
        if r is None:
            return
        side = grant(peer, r)
        side.send(b"x")
        side.recv(1)
        # As many servers do it: nothing of h2's state changes, it would refuse to go on.
        peer.peer.sock.sendall(b"\0\0\x08\x07\0\0\0\0\0" + r.stream.to_bytes(4, "big") +
                               b"\0\0\0\0")
        echo(side)
        while peer.more():
            pass
        over.append(peer)
    o = h2server(serve)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    assert c.recv(1) == b"x"
    c.send(b"1")
    for i in range(3):
        assert http(n.port).body == b"plain"
        c.send(b"%d" % i)
        assert c.recv(1) == b"%d" % i
    assert len(o.peers) == 2
    c.end()
    assert c.rest() == b""
    wait_for(lambda: over == [o.peers[0]])


@both
def test_silence_ends_it(node, server, socket, kind):
    o = server("h2", echo)
    n = start(node, "h2", [o], timeouts={"tunnel": "500ms"})
    c = socket(kind, n.port)
    for _ in range(3):
        c.send(b"x")
        assert c.recv(1) == b"x"
    c.cut()
    wait_reason("the tunnel was idle too long")
    wait_for(lambda: o.peers[0].saw(h2.events.StreamReset))


@both
def test_half_an_end_is_not_waited_for_long(node, server, socket, kind):
    def talk(side):
        side.rest()
        side.peer.until(lambda: side.peer.saw(h2.events.StreamReset))
    o = server("h2", talk)
    n = start(node, "h2", [o], timeouts={"half_close": "300ms"})
    c = socket(kind, n.port)
    c.end()
    c.cut()
    wait_for(lambda: n.server("web/s1")["active"] == 0)


@both
def test_orders_end_it(node, server, socket, kind):
    o = server("h2", echo)
    n = start(node, "h2", [o])
    c = socket(kind, n.port)
    c.send(b"x")
    assert c.recv(1) == b"x"
    n.json("drain", "web/s1", "--kill-after", "300ms")
    c.cut()


@both
def test_the_nodes_end_waits_for_it(node, server, socket, kind):
    """GOAWAY to its clients does not cut a tunnel, nor does the end of the proxy before its time."""
    n = start(node, "h2", [server("h2", echo)])
    c = socket(kind, n.port)
    assert n.cli("upgrade").returncode == 0
    assert [r["draining"] for r in n.json("connections")["connections"]] == [True]
    c.send(b"still")
    assert c.recv(5) == b"still"
    c.end()
    assert c.rest() == b""


# --- refusals -------------------------------------------------------------------------------------

def plain_answer(socket_, kind):
    if kind == "h1":
        r = socket_.answer()
        return r.status, r.body
    socket_.c.until(lambda: socket_.s.done)
    return socket_.s.status, socket_.s.body


@both
def test_the_server_refuses(node, h2server, socket, kind):
    """Another status than 2xx is a plain answer; what is left of the stream is not wanted."""
    def serve(peer):
        while r := take(peer):
            peer.reply(r.stream, b"not you", 403, [("content-length", "7")])
    o = h2server(serve)
    n = start(node, "h2", [o])
    for _ in range(3):
        c = socket(kind, n.port, granted=False)
        assert plain_answer(c, kind) == (403, b"not you")
    if kind == "h1": # and its connection goes on
        c.c.request()
        assert c.c.recv_response().body == b"plain"
    assert http(n.port).body == b"plain" and len(o.peers) == 1
    wait_for(lambda: len(o.peers[0].saw(h2.events.StreamReset)) == 3)
    assert {e.error_code for e in o.peers[0].saw(h2.events.StreamReset)} == {0}
    wait_for(lambda: n.server("web/s1")["active"] == 0)


@both
def test_not_offered(node, h2server, socket, kind):
    """501 with the reason; no failure of the server, whose connection is of use for the rest."""
    o = h2server(take, settings=None)
    n = start(node, "h2", [o], passive={"failures": 1})
    for _ in range(3):
        status, body = plain_answer(socket(kind, n.port, granted=False), kind)
        assert status == 501 and b"WebSocket over HTTP/2 (RFC 8441) is not offered" in body
    wait_reason("WebSocket over HTTP/2 (RFC 8441) is not offered")
    assert http(n.port).body == b"plain"
    assert [r.get(":method") for r in o.peers[0].requests.values()] == ["GET"]
    assert len(o.peers) == 1 and n.server("web/s1")["state"] == "up"
    assert counter(n, "response_errors_total") == counter(n, "connect_errors_total") == 0
    assert n.server("web/s1")["active"] == 0


@both
def test_another_server_offers_it(node, h2server, server, socket, kind):
    a, b = h2server(take, settings=None), server("h2", echo)
    n = start(node, "h2", [a, b])
    for _ in range(4):
        c = socket(kind, n.port)
        c.send(b"x")
        assert c.recv(1) == b"x"
        c.end()
        assert c.rest() == b""
    assert counter(n, "retries_total") >= 1


@both
def test_refused_unprocessed(node, h2server, socket, kind):
    """REFUSED_STREAM: the server has done nothing of it, it is asked again."""
    asked = []

    def serve(peer):
        while r := take(peer):
            asked.append(r)
            if len(asked) < 3:
                peer.reset(r.stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            else:
                echo(grant(peer, r))
    n = start(node, "h2", [h2server(serve)])
    c = socket(kind, n.port, b"early")
    assert c.recv(5) == b"early"
    assert len(asked) == 3


@both
def test_reset_before_the_answer(node, h2server, socket, kind):
    def serve(peer):
        while r := take(peer):
            peer.reset(r.stream, h2.errors.ErrorCodes.CANCEL)
    o = h2server(serve)
    n = start(node, "h2", [o, o.address])
    status, body = plain_answer(socket(kind, n.port, granted=False), kind)
    assert status == 502 and b"request reset by the server" in body
    assert sum(len(p.requests) for p in o.peers) == 1 # it may not be sent twice


@pytest.mark.parametrize("key", [None, "", "c2hvcnQ=", "x" * 24, SAMPLE])
def test_a_key_that_is_none(node, h2server, key):
    """It is the proxy that answers it."""
    o = h2server(take)
    n = start(node, "h2", [o])
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    if key == SAMPLE:
        fields["Connection"] = "Upgrade, Sec-WebSocket-Key" # it is not passed on then
    if key is not None:
        fields["Sec-WebSocket-Key"] = key
    r = http(n.port, headers=fields)
    assert r.status == 400 and "Sec-WebSocket-Key" in r.text
    assert not o.peers and n.server("web/s1")["active"] == 0


def test_the_limit_of_the_server(node, server, socket):
    """max_connections counts tunnels; who waits gets the place of one that ends."""
    n = start(node, "h2", [server("h2", echo)], max_connections=1)
    a = socket("h1", n.port)
    b = Socket1(n.port, granted=False)
    wait_for(lambda: n.metrics()['holdfast_pool_queued_total{pool="web"}'] == 1)
    a.end()
    assert a.rest() == b""
    assert b.c.recv_head().status == 101
    b.c.close()


# --- TLS, and other programs ----------------------------------------------------------------------

@both
def test_over_tls(node, server, socket, kind):
    cert = Cert()
    try:
        o = server("h2", echo, tls=cert.context("h2"))
        n = start(node, "h2", [o], tls={"ca": cert.pem, "server_name": "shop.test"})
        c = socket(kind, n.port)
        data = os.urandom(60000)
        c.send(data)
        assert c.recv(len(data)) == data
        assert o.peers[0].requests[1].get(":scheme") == "https"
        c.end()
        assert c.rest() == b""
    finally:
        cert.remove()


def messages(c, kind):
    """With a server that sends WebSocket's messages back."""
    for size in (0, 1, 125, 126, 65535, 65536, 300000):
        data = os.urandom(size)
        if kind == "h1":
            c.send(frame(data, 2))
            assert recv_frame(c.c) == (2, data)
        else:
            c.send(frame(data, 2))
            head = 2 if size < 126 else 4 if size < 65536 else 10
            assert c.recv(head + size)[head:] == data
    c.send(frame(b"\x03\xe8", 8))
    assert c.rest()[-2:] == b"\x03\xe8"


@both
def test_holdfast_behind_holdfast(node, whoami, socket, kind):
    back = free_port()
    node(simple(back, [whoami()], check=False))
    n = start(node, "h2", [f"127.0.0.1:{back}"])
    messages(socket(kind, n.port, path="/upgrade"), kind)


@both
def test_haproxy_behind_holdfast(node, whoami, socket, tmp_path, kind):
    back, path = free_port(), tmp_path / "haproxy.cfg"
    path.write_text("defaults\n mode http\n timeout connect 5s\n timeout client 30s\n"
                    f" timeout server 30s\nlisten x\n bind 127.0.0.1:{back} proto h2\n"
                    f" server s {whoami().address}\n")
    p = Program(["haproxy", "-db", "-f", str(path)], back)
    try:
        n = start(node, "h2", [p.address])
        messages(socket(kind, n.port, path="/upgrade"), kind)
    finally:
        p.stop()
