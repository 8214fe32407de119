# SPDX-License-Identifier: Apache-2.0
"""Connections that leave HTTP: WebSocket and others, byte for byte both ways."""

import base64
import hashlib
import os
import struct

import pytest

from conftest import simple
from harness import free_port, wait_for
from stand import make, origin # noqa: F401 pylint: disable=unused-import
from wire import Conn, http

pytestmark = pytest.mark.sanitize
whole_module, stand = make()

UPGRADE = "GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def tunnel(port, early=""):
    c = Conn(port)
    c.send(UPGRADE + early)
    head = c.recv_head()
    assert head.status == 101, head
    assert head.get("upgrade") == "echo"
    assert head.get("connection", "").lower() == "upgrade"
    return c


def frame(data, opcode=1, fin=True):
    mask = os.urandom(4)
    size = len(data)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += b"\xfe" + struct.pack(">H", size)
    else:
        head += b"\xff" + struct.pack(">Q", size)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def recv_frame(c):
    first, size = c.recv_exactly(2)
    if size == 126:
        size = struct.unpack(">H", c.recv_exactly(2))[0]
    elif size == 127:
        size = struct.unpack(">Q", c.recv_exactly(8))[0]
    return first & 0xf, c.recv_exactly(size)


def websocket(port):
    key = base64.b64encode(os.urandom(16)).decode()
    c = Conn(port)
    c.send(f"GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\n"
           f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n")
    head = c.recv_head()
    assert head.status == 101, head
    want = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    assert head.get("sec-websocket-accept") == base64.b64encode(want).decode()
    return c


def test_websocket(stand):
    with websocket(stand.port) as c:
        for size in (0, 1, 125, 126, 65535, 65536, 300000):
            data = os.urandom(size)
            c.send(frame(data, 2))
            assert recv_frame(c) == (2, data)
        c.send(frame(b"ping", 9))
        assert recv_frame(c) == (10, b"ping")
        c.send(frame(struct.pack(">H", 1000), 8))
        assert recv_frame(c) == (8, struct.pack(">H", 1000))
        assert c.closed()


def test_echo(stand):
    with tunnel(stand.port) as c:
        for i in range(100):
            c.send(f"message {i}")
            assert c.recv_exactly(len(f"message {i}")) == f"message {i}".encode()


def test_bytes_right_behind_the_request(stand):
    """A client may send before it has the 101."""
    with tunnel(stand.port, early="early bytes") as c:
        assert c.recv_exactly(11) == b"early bytes"


def test_not_parsed(stand):
    """What looks like HTTP in a tunnel is none."""
    with tunnel(stand.port) as c:
        c.send("GET / HTTP/1.1\r\n\r\n\0\xff")
        assert c.recv_exactly(20) == b"GET / HTTP/1.1\r\n\r\n\0\xff"


def test_much_data(stand):
    """10 MB both ways, the client reading only after it has sent a good part."""
    data = os.urandom(1000000)
    with tunnel(stand.port) as c:
        for _ in range(10):
            c.send(data[:100000])
            assert c.recv_exactly(100000) == data[:100000]
        c.sock.settimeout(30)
        for _ in range(10):
            import threading
            sender = threading.Thread(target=c.sock.sendall, args=(data,))
            sender.start()
            assert c.recv_exactly(len(data)) == data
            sender.join(30)


def test_bytes_right_behind_the_101(node, origin): # noqa: F811
    """A server may send in one piece with the 101."""
    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                  b"\r\nwelcome")
        assert peer.recv_exactly(5) == b"hello"
        peer.send(b"bye")
    o, port = origin(serve), free_port()
    node(simple(port, [o.address], check=False))
    with Conn(port) as c:
        c.send(UPGRADE)
        assert c.recv_head().status == 101
        assert c.recv_exactly(7) == b"welcome"
        c.send("hello")
        assert c.recv_all() == b"bye"
    assert not o.errors


def test_half_close_by_the_client(node, origin): # noqa: F811
    """The server sees the end, and what it still sends arrives."""
    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                  b"\r\n")
        got = peer.recv_all()
        peer.send(b"got " + got)
    o, port = origin(serve), free_port()
    node(simple(port, [o.address], check=False))
    with Conn(port) as c:
        c.send(UPGRADE)
        assert c.recv_head().status == 101
        c.send("all of it")
        c.shutdown()
        assert c.recv_all() == b"got all of it"
    assert not o.errors


def test_half_close_by_the_server(node, origin): # noqa: F811
    got = []

    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                  b"\r\nlast words")
        peer.shutdown()
        got.append(peer.recv_all())
    o, port = origin(serve), free_port()
    node(simple(port, [o.address], check=False))
    with Conn(port) as c:
        c.send(UPGRADE)
        assert c.recv_head().status == 101
        assert c.recv_all() == b"last words"
        c.send("answer")
    wait_for(lambda: got, what="the client's end at the server")
    assert got == [b"answer"]


def test_client_reset_reaches_the_server(stand):
    c = tunnel(stand.port)
    before = stand.whoami.counts()["open"]
    c.reset()
    wait_for(lambda: stand.whoami.counts()["open"] < before, what="the server's end closed")


def test_refused_upgrade_goes_on_as_http(stand):
    """Another answer than 101 is a plain response; the connection lives on."""
    with Conn(stand.port) as c:
        c.send("GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\n"
               "Upgrade: irc/6.9\r\n\r\n")
        assert c.recv_response().status == 400
        c.request()
        assert c.recv_response().status == 200


def test_upgrade_not_named_by_connection(stand):
    """Upgrade alone is for this hop and not passed on."""
    with Conn(stand.port) as c:
        c.request(path="/upgrade", headers={"Upgrade": "echo"})
        assert c.recv_response().status == 426


def test_upgrade_in_http10_is_ignored(stand):
    with Conn(stand.port) as c:
        c.send("GET /upgrade HTTP/1.0\r\nHost: test\r\nConnection: upgrade\r\n"
               "Upgrade: echo\r\n\r\n")
        assert c.recv_response().status == 426


def test_many_tunnels(stand):
    tunnels = [tunnel(stand.port) for _ in range(100)]
    for i, c in enumerate(tunnels):
        c.send(f"{i:05}")
    for i, c in enumerate(tunnels):
        assert c.recv_exactly(5) == f"{i:05}".encode()
        c.close()
    assert http(stand.port).status == 200


def test_connect_is_refused(stand):
    with Conn(stand.port) as c:
        c.send("CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n")
        assert c.recv_head().status == 501
