# SPDX-License-Identifier: Apache-2.0
"""Bodies whose end falls on, just before or just after the end of what one read brings: edge
triggered events come once, so that each byte must be fetched when it is announced."""

import os
import signal
import threading

import pytest
from conftest import Conn, free_port, simple
from stand import origin # noqa, pylint: disable=unused-import

READ = 65536 # bytes of one read of the proxy
SIZES = [1, READ - 1000, READ - 200, READ - 70, READ - 58, READ - 1, READ, READ + 1, READ + 70,
         2 * READ - 60, 2 * READ, 3 * READ + 1, 1000003]


@pytest.fixture
def echo(node, whoami):
    """The port of a node before one server."""
    port = free_port()
    node(simple(port, [whoami("a")]))
    return port


def test_post_of_edge_sizes_on_one_connection(echo):
    with Conn(echo) as c:
        for size in SIZES:
            body = bytes(i & 0xff for i in range(251)) * (size // 251 + 1)
            c.request("POST", "/echo", body=body[:size])
            answer = c.recv_response()
            assert (answer.status, len(answer.body)) == (200, size)
            assert answer.body == body[:size]


def test_head_that_makes_the_first_read_full(echo):
    body = b"x" * READ
    for pad in range(0, 140, 7):
        with Conn(echo) as c:
            c.request("POST", "/echo", {"X-Pad": "p" * pad}, body)
            assert c.recv_response().body == body


def test_chunked_of_edge_sizes(echo):
    with Conn(echo) as c:
        for size in SIZES:
            chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"y" * size)
            c.request("POST", "/echo", {"Transfer-Encoding": "chunked"})
            c.send(chunks)
            assert len(c.recv_response().body) == size


def test_responses_of_edge_sizes(echo):
    with Conn(echo) as c:
        for size in SIZES:
            c.request(path=f"/bytes/{size}")
            assert len(c.recv_response().body) == size


def test_body_in_many_pieces(echo):
    with Conn(echo) as c:
        c.request("POST", "/echo", {"Content-Length": "50000"})
        for _ in range(50):
            c.send(b"z" * 1000)
        assert c.recv_response().body == b"z" * 50000


def test_reset_that_a_send_has_told_of(node, origin):
    """The error of a socket is told once. Where the sending of the request's body got it, the
    answer that ends with the connection must not seem whole."""
    go, done = threading.Event(), threading.Event()

    def serve(peer):
        peer.recv_until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\n\r\npart")
        go.wait(60)
        peer.reset()
        done.set()
    port = free_port()
    n = node(simple(port, [origin(serve).address], check=False))
    proxy = n.role_pid("proxy")
    with Conn(port) as c:
        c.request("POST", "/", {"Content-Length": "1000"})
        assert c.recv_head().status == 200
        assert c.recv_until(b"part") == b"part"
        os.kill(proxy, signal.SIGSTOP) # so that both are there when it looks, the body first
        try:
            c.send(b"x" * 10)
            go.set()
            assert done.wait(60)
        finally:
            os.kill(proxy, signal.SIGCONT)
        with pytest.raises(ConnectionResetError):
            c.sock.recv(100)
