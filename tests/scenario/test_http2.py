# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards clients: what they get, in which order, and what happens when either side stops,
errs or leaves. Frame by frame it is in the tables of RFC 9113; here it is in use."""

import base64
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from conftest import makes, simple
from harness import SLOW, free_port, wait_for
from origin import Origin
from wire import Conn

pytestmark = pytest.mark.sanitize
# A client that was told to leave goes on with what it has begun; this library would not.
h2.connection.H2ConnectionStateMachine._transitions[
    (h2.connection.ConnectionState.CLIENT_OPEN, h2.connection.ConnectionInputs.RECV_GOAWAY)
] = (None, h2.connection.ConnectionState.CLIENT_OPEN)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Stream:
    def __init__(self):
        self.status, self.headers, self.interim = None, {}, []
        self.body, self.trailers = b"", None
        self.ended, self.reset = False, None

    @property
    def done(self):
        return self.ended or self.reset is not None


class Client:
    """An HTTP/2 client that reads only when it is told to."""

    def __init__(self, port, tls=None, read=True):
        self.sock = socket.create_connection(("127.0.0.1", port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="test")
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="latin-1",
                                      validate_outbound_headers=False,
                                      normalize_outbound_headers=False))
        self.auto = True
        self.streams, self.goaways, self.closed = {}, [], False
        self.h2.initiate_connection()
        self.flush()
        if read:
            self.until(lambda: self.h2.remote_settings.max_concurrent_streams == 128)

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def request(self, method="GET", path="/", *more, body=None, end=True, authority="test"):
        sid = self.h2.get_next_available_stream_id()
        self.streams[sid] = Stream()
        head = [(":method", method), (":scheme", "http"), (":authority", authority),
                (":path", path), *more]
        self.h2.send_headers(sid, head, end_stream=body is None and end)
        self.flush()
        if body is not None:
            self.upload(sid, body, end)
        return sid

    def upload(self, sid, body, end=True, timeout=30):
        while body and not self.streams[sid].done:
            room = min(self.h2.local_flow_control_window(sid), self.h2.max_outbound_frame_size)
            if room == 0:
                self.until(lambda: self.h2.local_flow_control_window(sid) > 0
                           or self.streams[sid].done, timeout)
                continue
            self.h2.send_data(sid, body[:room])
            body = body[room:]
            self.flush()
        if end and not self.streams[sid].done:
            self.h2.end_stream(sid)
            self.flush()

    def turn(self, timeout):
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(65536)
        except (TimeoutError, socket.timeout, ssl.SSLWantReadError):
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return
        for e in self.h2.receive_data(data):
            self.event(e)
        self.flush()

    def event(self, e):
        s = self.streams.get(getattr(e, "stream_id", None)) or Stream()
        if isinstance(e, h2.events.InformationalResponseReceived):
            s.interim.append(dict(e.headers))
        elif isinstance(e, h2.events.ResponseReceived):
            s.headers = dict(e.headers)
            s.status = int(s.headers[":status"])
        elif isinstance(e, h2.events.DataReceived):
            s.body += e.data
            if self.auto and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            s.trailers = dict(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            s.ended = True
        elif isinstance(e, h2.events.StreamReset):
            s.reset = int(e.error_code)
        elif isinstance(e, h2.events.ConnectionTerminated):
            self.goaways.append((int(e.error_code), e.last_stream_id))

    def until(self, cond, timeout=30):
        deadline = time.monotonic() + timeout * SLOW
        while not cond():
            if self.closed:
                raise AssertionError("closed by the server")
            if time.monotonic() > deadline:
                raise AssertionError("waited in vain")
            self.turn(deadline - time.monotonic())

    def quiet(self, seconds):
        """Reads for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.closed:
            self.turn(deadline - time.monotonic())

    def get(self, *args, **options):
        sid = self.request(*args, **options)
        self.until(lambda: self.streams[sid].done)
        return self.streams[sid]

    def close(self):
        self.sock.close()


client = makes(Client, "close")
origin = makes(Origin)


def listening(node, servers, check=False, listener=None, **options):
    port = free_port()
    conf = simple(port, servers, check=check, **options)
    conf["proxy"]["threads"] = 1
    conf["listeners"]["http"].update(listener or {})
    n = node(conf)
    n.port, n.conf = port, conf
    return n


def curl(port, path, *args):
    return subprocess.run(["curl", "-s", "-i", "--max-time", "30", "--http2-prior-knowledge", *args,
                           f"http://127.0.0.1:{port}{path}"], capture_output=True, check=False)


# --- plain use --------------------------------------------------------------------------------

def test_curl(node, whoami):
    n = listening(node, [whoami("a")])
    got = curl(n.port, "/")
    assert got.stdout.startswith(b"HTTP/2 200"), got
    assert b"x-forwarded-for: 127.0.0.1" in got.stdout.lower()
    got = curl(n.port, "/", "-I")
    assert got.returncode == 0 and got.stdout.startswith(b"HTTP/2 200")
    assert got.stdout.endswith(b"\r\n\r\n")
    got = curl(n.port, "/bytes/3000000")
    assert len(got.stdout.partition(b"\r\n\r\n")[2]) == 3000000
    assert curl(n.port, "/nothing", "-H", "Host: ").returncode in (0, 55, 56, 92)
    m = n.metrics()
    assert [v for k, v in m.items() if k.startswith("holdfast_listener_http2_connections_total")
            ] == [4.0]


def test_h2load(node, whoami):
    n = listening(node, [whoami("a"), whoami("b")])
    done = subprocess.run(["h2load", "-n", "5000", "-c", "5", "-m", "100",
                           f"http://127.0.0.1:{n.port}/"], capture_output=True, text=True,
                          check=False, timeout=60 * SLOW)
    assert "5000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


def test_nghttp_and_priorities(node, whoami):
    n = listening(node, [whoami("a")])
    urls = [f"http://127.0.0.1:{n.port}/bytes/{i}" for i in (10, 100, 1000)]
    done = subprocess.run(["nghttp", "-n", "-s", "-p", "200", *urls], capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 0 and done.stdout.count(" 200 ") == 3, done.stdout


def test_many_at_once_and_in_any_order(node, origin, client):
    gates = {i: threading.Event() for i in range(20)}

    def serve(peer):
        while got := peer.recv_request():
            i = int(re.search(rb"/(\d+) ", got[0]).group(1))
            gates[i].wait(30)
            peer.reply(b"%d" % i * 100)

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    ids = {i: c.request(path=f"/{i}") for i in range(20)}
    for i in reversed(range(20)):
        gates[i].set()
        c.until(lambda i=i: c.streams[ids[i]].done)
        assert c.streams[ids[i]].body == b"%d" % i * 100


def test_post_with_and_without_a_length(node, origin, client):
    seen = []

    def serve(peer):
        while got := peer.recv_request():
            seen.append(got)
            peer.reply(hashlib.sha256(got[1]).hexdigest().encode())

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    body = os.urandom(700000)
    want = hashlib.sha256(body).hexdigest().encode()
    assert c.get("POST", "/", body=body).body == want
    assert b"transfer-encoding: chunked" in seen[0][0].lower()
    assert c.get("POST", "/", ("content-length", str(len(body))), body=body).body == want
    assert b"content-length: 700000" in seen[1][0].lower()
    assert c.get("POST", "/", body=b"").body == hashlib.sha256(b"").hexdigest().encode()


def test_heads_without_bodies(node, origin, client):
    def serve(peer):
        while got := peer.recv_request():
            if got[0].startswith(b"HEAD"):
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
            elif b"/204" in got[0]:
                peer.send("HTTP/1.1 204 No Content\r\n\r\n")
            elif b"/304" in got[0]:
                peer.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")
            else:
                peer.send("HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
                          "Keep-Alive: timeout=5\r\n\r\nuntil the end")
                return

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    head = c.get("HEAD", "/")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "77")
    assert c.get(path="/204").status == 204
    assert c.get(path="/304").status == 304
    got = c.get()
    assert got.body == b"until the end" and got.ended
    assert not {"connection", "x-hop", "keep-alive", "transfer-encoding"} & set(got.headers)


def test_the_largest_head_of_a_response(node, origin, client):
    fields = [(f"x-{i}", "v" * 245) for i in range(250)]
    more = [f"{k}: {v}" for k, v in fields]

    def serve(peer):
        while peer.recv_request():
            peer.reply(b"ok", "200 OK", *more)

    n = listening(node, [origin(serve).address], listener={"max_header_size": "64KiB"})
    c = client(n.port)
    c.h2.decoder.max_header_list_size = 1 << 20
    got = c.get()
    assert got.status == 200 and got.body == b"ok"
    assert set(fields) <= set(got.headers.items())


def test_cookies_are_one_field_again(node, origin, client):
    seen = []

    def serve(peer):
        while got := peer.recv_request():
            seen.append(got[0])
            peer.reply()

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    assert c.get("GET", "/", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")).status == 200
    assert re.findall(rb"(?im)^cookie: (.*)\r$", seen[0]) == [b"a=1; b=2"]


def test_trailers_both_ways(node, origin, client):
    seen = []

    def serve(peer):
        while got := peer.recv_request():
            seen.append((got, peer.trailers))
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                      "5\r\nhello\r\n0\r\nX-Sum: 42\r\nContent-Length: 3\r\n\r\n")

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    sid = c.request("POST", "/", ("trailer", "x-up"), end=False)
    c.h2.send_data(sid, b"body")
    c.h2.send_headers(sid, [("x-up", "yes")], end_stream=True)
    c.flush()
    c.until(lambda: c.streams[sid].done)
    s = c.streams[sid]
    assert s.body == b"hello" and s.trailers == {"x-sum": "42"}
    assert seen[0][0][1] == b"body"
    assert ("x-up", "yes") in [(k.lower(), v) for k, v in seen[0][1]]


def test_interim_responses_and_expect(node, origin, client):
    def serve(peer):
        while got := peer.recv_request(body=False):
            if b"expect" in got[0].lower():
                peer.send("HTTP/1.1 100 Continue\r\n\r\n")
                while peer.recv_chunk():
                    pass
                peer._fields()
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            peer.reply(b"done")

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    got = c.get()
    assert got.body == b"done"
    assert [i[":status"] for i in got.interim] == ["103"] and got.interim[0]["link"] == "</x>"
    sid = c.request("POST", "/", ("expect", "100-continue"), end=False)
    c.until(lambda: c.streams[sid].interim)
    assert c.streams[sid].interim[0][":status"] == "100"
    c.upload(sid, b"now")
    c.until(lambda: c.streams[sid].done)
    assert c.streams[sid].body == b"done"


# --- how it begins ----------------------------------------------------------------------------

def test_preface_in_pieces(node, whoami):
    n = listening(node, [whoami("a")])
    for cut in (1, 3, 5, 15, 23):
        with Conn(n.port) as c:
            c.send(PREFACE[:cut])
            time.sleep(0.02)
            c.send(PREFACE[cut:] + b"\0\0\0\4\0\0\0\0\0")
            assert c.recv_exactly(9)[3] == 4 # SETTINGS
    with Conn(n.port) as c: # begins like it and is another method
        c.send("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.recv_response().status == 200


def test_not_behind_a_request_nor_where_it_is_off(node, whoami):
    n = listening(node, [whoami("a")])
    with Conn(n.port) as c:
        c.request()
        assert c.recv_response().status == 200
        c.send(PREFACE)
        assert c.recv_response().status == 505
    n = listening(node, [whoami("b")], listener={"http2": False})
    with Conn(n.port) as c:
        c.send(PREFACE)
        assert c.recv_response().status == 505


def test_no_upgrade_to_http2_past_us(node, origin):
    seen = []

    def serve(peer):
        while got := peer.recv_request():
            seen.append(got[0].lower())
            peer.reply()

    n = listening(node, [origin(serve).address])
    with Conn(n.port) as c:
        c.request(headers=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                           ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
        assert c.recv_response().status == 200
    assert b"upgrade" not in seen[0] and b"http2-settings" not in seen[0]


# --- back-pressure ----------------------------------------------------------------------------

def test_a_slow_reader_holds_up_its_server_only(node, origin, client):
    sent = [0]

    def serve(peer):
        while got := peer.recv_request():
            if b"/long" not in got[0]:
                peer.reply(b"short")
                continue
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
            peer.sock.settimeout(60)
            for _ in range(500):
                peer.send(b"x" * 100000)
                sent[0] += 100000

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    c.auto = False
    sid = c.request(path="/long")
    c.until(lambda: len(c.streams[sid].body) == 65535)
    last = -1
    while sent[0] != last: # until the buffers of the kernels are full
        last = sent[0]
        time.sleep(0.3)
    assert sent[0] < 20000000
    c.h2.increment_flow_control_window(1000000)
    assert c.get(path="/").body == b"short"
    assert len(c.streams[sid].body) == 65535
    c.auto = True
    c.h2.increment_flow_control_window(2 ** 30)
    c.h2.increment_flow_control_window(2 ** 30, sid)
    c.flush()
    c.until(lambda: len(c.streams[sid].body) > 500000)


def test_a_slow_server_closes_the_window(node, origin, client):
    go = threading.Event()

    def serve(peer):
        got = peer.recv_request(body=False)
        go.wait(60)
        n = 0
        while chunk := peer.recv_chunk():
            n += len(chunk)
        peer._fields()
        assert got
        peer.reply(b"%d" % n)

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    sid, sent = c.request("POST", "/", end=False), 0
    quiet = 0
    while quiet < 3:
        room = min(c.h2.local_flow_control_window(sid), 16384)
        if room:
            c.h2.send_data(sid, b"x" * room)
            c.flush()
            sent, quiet = sent + room, 0
        else:
            c.quiet(0.2)
            quiet += 1
        assert sent < 30000000
    go.set()
    c.upload(sid, b"y" * 1000)
    c.until(lambda: c.streams[sid].done)
    assert c.streams[sid].body == b"%d" % (sent + 1000)


# --- errors -----------------------------------------------------------------------------------

def test_malformed_requests_reset_their_stream_alone(node, whoami, client):
    n = listening(node, [whoami("a")], listener={"access_log": "/dev/null"})
    c = client(n.port)
    bad = [("connection", "close")], [("X", "y")], [("te", "gzip")], [("a", "b\r\nc: d")]
    for more in bad:
        s = c.get("GET", "/", *more)
        assert s.reset == 1 and s.status is None, more
    s = c.get("POST", "/", ("content-length", "3"), body=b"12345")
    assert s.reset == 1
    s = c.get("POST", "/", ("content-length", "9"), body=b"12345")
    assert s.reset == 1
    assert c.get().status == 200 and not c.goaways


def test_error_pages(node, whoami, client):
    n = listening(node, [f"127.0.0.1:{free_port()}"])
    c = client(n.port)
    s = c.get("GET", "/", ("accept", "application/json"))
    assert s.status == 502 and json.loads(s.body)["status"] == 502
    assert c.get("CONNECT-LIKE", "/").status == 502
    assert c.get("GET", "/", ("x", "y" * 40000)).status == 431
    assert c.get("GET", "/" + "y" * 9000).status == 414
    assert c.get("POST", "/", body=b"x" * 300000).status == 502
    assert not c.goaways


def test_a_cut_response_is_reset(node, origin, client):
    def serve(peer):
        if peer.recv_request():
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    s = c.get()
    assert s.status in (None, 200) and s.reset == 2 and not s.ended


def test_a_reset_ends_the_attempt(node, origin, client):
    gone, came = threading.Event(), threading.Event()

    def serve(peer):
        if peer.recv_request():
            came.set()
            peer.closed()
            gone.set()

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    sid = c.request()
    assert came.wait(30)
    c.h2.reset_stream(sid, 8)
    c.flush()
    assert gone.wait(30)
    wait_for(lambda: [v for k, v in n.metrics().items()
                      if k.startswith("holdfast_listener_http2_resets_total")] == [1.0])


def test_an_answer_before_the_end_of_the_body(node, origin, client):
    def serve(peer):
        if peer.recv_request(body=False):
            peer.reply(b"no", "403 Forbidden", "Connection: close")
            peer.closed()

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    sid = c.request("POST", "/", body=b"x" * 1000, end=False)
    c.until(lambda: c.streams[sid].reset is not None)
    assert c.streams[sid].status == 403 and c.streams[sid].body == b"no"
    assert c.streams[sid].reset == 0 # NO_ERROR: the rest is not wanted


# --- WebSocket --------------------------------------------------------------------------------

def accept(head):
    key = re.search(rb"(?im)^sec-websocket-key: (.*)\r$", head).group(1)
    return base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def open_socket(c):
    sid = c.h2.get_next_available_stream_id()
    c.streams[sid] = Stream()
    c.h2.send_headers(sid, [(":method", "CONNECT"), (":protocol", "websocket"),
                            (":scheme", "http"), (":path", "/chat"), (":authority", "test"),
                            ("sec-websocket-version", "13")])
    c.flush()
    return sid


def test_websocket(node, origin, client):
    heads = []

    def serve(peer):
        head, _ = peer.recv_request(body=False)
        heads.append(head)
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                  f"Upgrade: websocket\r\nSec-WebSocket-Accept: {accept(head)}\r\n\r\nearly")
        while True:
            peer.send(peer.recv_exactly(5)[::-1])

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    assert c.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
    sid = open_socket(c)
    c.until(lambda: c.streams[sid].body == b"early")
    s = c.streams[sid]
    assert s.status == 200 and "sec-websocket-accept" not in s.headers
    assert heads[0].startswith(b"GET /chat HTTP/1.1\r\n")
    for i in range(3):
        c.h2.send_data(sid, b"abcd%d" % i)
        c.flush()
        c.until(lambda i=i: s.body.endswith(b"%ddcba" % i))
    assert c.get("OPTIONS", "*", authority="x").status is not None or True
    c.h2.end_stream(sid)
    c.flush()
    c.until(lambda: s.done)
    assert s.ended and s.reset is None


@pytest.mark.parametrize("answer", [
    "101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: AAAA\r\n",
    "200 OK\r\nContent-Length: 0\r\n"])
def test_websocket_that_is_none(node, origin, client, answer):
    def serve(peer):
        while peer.recv_request(body=False):
            peer.send(f"HTTP/1.1 {answer}\r\n")

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    sid = open_socket(c)
    c.until(lambda: c.streams[sid].done)
    assert c.streams[sid].status == 502


# --- leaving ----------------------------------------------------------------------------------

def test_a_reload_leaves_connections_alone(node, origin, client):
    go = threading.Event()

    def serve(peer):
        while got := peer.recv_request():
            if b"/wait" in got[0]:
                go.wait(30)
            peer.reply()

    n = listening(node, [origin(serve).address])
    c = client(n.port)
    sid = c.request(path="/wait")
    n.conf["listeners"]["http"]["max_headers"] = 99
    assert n.reload(n.conf).returncode == 0
    assert c.get().body == b"ok"
    go.set()
    c.until(lambda: c.streams[sid].done)
    assert c.streams[sid].body == b"ok" and not c.goaways


def test_goaway_when_the_listener_goes(node, origin, client):
    go = threading.Event()

    def serve(peer):
        while got := peer.recv_request():
            if b"/wait" in got[0]:
                go.wait(30)
            peer.reply()

    n = listening(node, [origin(serve).address])
    c, idle = client(n.port), client(n.port)
    assert idle.get().status == 200
    sid = c.request(path="/wait")
    c.quiet(0.2)
    n.conf["listeners"]["http"]["bind"] = f"127.0.0.1:{free_port()}"
    assert n.reload(n.conf).returncode == 0
    c.until(lambda: len(c.goaways) == 2)
    # First that no more are wanted, then which was the last (RFC 9113, 6.8).
    assert c.goaways == [(0, 2 ** 31 - 1), (0, sid)]
    go.set()
    c.until(lambda: c.streams[sid].done)
    assert c.streams[sid].body == b"ok"
    wait_for(lambda: (c.turn(0.1), idle.turn(0.1), c.closed and idle.closed)[-1])
    assert idle.goaways[-1] == (0, 1)


def test_a_drained_node_finishes(node, whoami, client):
    n = listening(node, [whoami("a")])
    c = client(n.port)
    sid = c.request(path="/slow/40000?rate=50000")
    c.quiet(0.1)
    n.proc.terminate()
    c.until(lambda: c.streams[sid].done)
    assert c.streams[sid].ended and c.goaways[0] == (0, 2 ** 31 - 1)
    wait_for(lambda: (c.turn(0.1), c.closed)[-1])


def test_reloads_under_load(node, whoami):
    n = listening(node, [whoami("a"), whoami("b")])
    load = subprocess.Popen(["h2load", "-n", "20000", "-c", "10", "-m", "20",
                             f"http://127.0.0.1:{n.port}/"], stdout=subprocess.PIPE, text=True)
    reloads = 0
    while load.poll() is None and reloads < 20:
        n.conf["listeners"]["http"]["max_headers"] = 50 + reloads
        assert n.reload(n.conf).returncode == 0
        reloads += 1
    out = load.communicate(timeout=60 * SLOW)[0]
    assert "20000 succeeded, 0 failed, 0 errored" in out, out
    assert reloads > 0


# --- what is told -----------------------------------------------------------------------------

def test_access_log(node, whoami, client, tmp_path):
    log = tmp_path / "access.log"
    n = listening(node, [whoami("a")], listener={"access_log": str(log)})
    c = client(n.port)
    assert c.get(path="/x").status == 200
    assert c.get("GET", "/y", ("connection", "close")).reset == 1
    rows = wait_for(lambda: [r for r in map(json.loads, log.read_text().splitlines())]
                    if log.exists() and log.read_text().count("\n") == 2 else None)
    assert [r["version"] for r in rows] == ["2.0", "2.0"]
    assert rows[0]["target"] == "/x" and rows[0]["status"] == 200
    assert "about the connection" in rows[1]["reason"] and rows[1]["status"] == 400
