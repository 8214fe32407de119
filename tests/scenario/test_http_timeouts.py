# SPDX-License-Identifier: Apache-2.0
"""Every timeout by itself: all others stand at a minute, so what ends is what is tested."""

import socket
import threading
import time

import pytest

from conftest import simple
from harness import SLOW, free_port, wait_for
from origin import Origin
from stand import origin # noqa: F401 pylint: disable=unused-import
from wire import Conn, http

H = "Host: test\r\n"
SHORT = "1s"
DRIP = "3s" # where it must not run out between two parts, on a busy machine
LONG = {name: "60s" for name in ("connect", "request_header", "request_body", "response",
                                 "tunnel", "keep_alive")}
WITHIN = 20 * SLOW # seconds; far below the others, far above the short one


@pytest.fixture
def proxy(node, whoami):
    """proxy(timeout name) gives the port of a node with only that timeout short."""
    def start(name, where="listeners", address=None, short=SHORT, **pool):
        port = free_port()
        w = None if address else whoami()
        conf = simple(port, [address or w], check=False, retries=0, **pool)
        conf["trust"] = ["127.0.0.0/8"]
        conf["listeners"]["http"]["timeouts"] = dict(LONG)
        if name:
            place = {"listeners": conf["listeners"]["http"], "pools": conf["pools"]["web"],
                     "routes": conf["routes"]["all"]}[where]
            place.setdefault("timeouts", {})[name] = short
        node(conf)
        return port
    return start


class within: # pylint: disable=invalid-name
    """Fails when its block takes longer than WITHIN, or less than the short timeout."""

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, kind, *unused):
        took = time.monotonic() - self.start
        if kind is None:
            assert 0.8 < took < WITHIN, f"took {took:.2f} s"


def test_request_header(proxy):
    port = proxy("request_header")
    with Conn(port) as c, within():
        c.send("GET / HTTP/1.1\r\nHost: te")
        answer = c.recv_response()
        assert answer.status == 408
        assert answer.get("connection") == "close"
        assert c.closed()


def test_request_header_drip(proxy):
    """The whole head within the time: a byte now and then does not help."""
    port = proxy("request_header")
    stop = threading.Event()
    with Conn(port) as c, within():
        def drip():
            try:
                for b in "GET / HTTP/1.1\r\nX: " + "a" * 10000:
                    if stop.wait(0.05):
                        return
                    c.send(b)
            except OSError:
                pass
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert c.recv_head().status == 408
        finally:
            stop.set()
            thread.join()


def test_no_byte_at_all(proxy):
    """A connection without a request is closed in silence."""
    port = proxy("request_header")
    with Conn(port) as c, within():
        assert c.recv_all() == b""


def test_keep_alive(proxy):
    port = proxy("keep_alive")
    with Conn(port) as c:
        c.request()
        assert c.recv_response().status == 200
        with within():
            assert c.recv_all() == b""


def test_second_head_in_pieces(proxy):
    """The time for a head counts from its first byte, not from the connection's begin."""
    port = proxy("request_header")
    with Conn(port) as c:
        for _ in range(3):
            c.request()
            assert c.recv_response().status == 200
            time.sleep(1.3) # longer than the header timeout: idle is another one
        with within():
            c.send("GET /")
            assert c.recv_head().status == 408


@pytest.mark.parametrize("where", ["listeners", "pools", "routes"])
def test_request_body(proxy, where):
    port = proxy("request_body", where)
    with Conn(port) as c, within():
        c.send(f"POST /echo2 HTTP/1.1\r\n{H}Content-Length: 10\r\n\r\nhalf")
        assert c.recv_response().status == 408
        assert c.closed()


def test_slow_body_goes_on(proxy):
    """The time counts between two parts, not for the whole."""
    port = proxy("request_body", short=DRIP)
    with Conn(port) as c:
        c.send(f"POST /x HTTP/1.1\r\n{H}Content-Length: 12\r\n\r\n")
        for _ in range(12):
            time.sleep(0.4)
            c.send("x")
        assert c.recv_response().status == 200


@pytest.mark.parametrize("where", ["listeners", "pools", "routes"])
def test_response(proxy, where):
    port = proxy("response", where)
    with within():
        answer = http(port, path="/hang")
    assert answer.status == 504
    assert answer.get("holdfast-reason")


def test_response_stops(proxy):
    """A response that stops in its middle is cut."""
    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.recv_all()
    o = Origin(serve)
    try:
        port = proxy("response", address=o.address)
        with Conn(port) as c, within():
            c.request()
            assert c.recv_head().status == 200
            assert c.recv_all() == b"half"
    finally:
        o.stop()


def test_slow_response_goes_on(proxy):
    port = proxy("response", short=DRIP)
    answer = http(port, path="/sse?interval=400ms&count=12")
    assert answer.status == 200
    assert answer.text.count("data:") == 12


def test_connect(proxy):
    """A server that does not take the connection: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", free_port()))
        full.listen(0)
        address = f"127.0.0.1:{full.getsockname()[1]}"
        fillers = []
        try:
            for _ in range(4):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex(full.getsockname())
                fillers.append(s)
            port = proxy("connect", address=address)
            with within():
                answer = http(port)
            assert answer.status == 504
            assert "connect" in answer.get("holdfast-reason", "")
        finally:
            for s in fillers:
                s.close()


def upgraded(port):
    c = Conn(port)
    c.send(f"GET /upgrade HTTP/1.1\r\n{H}Connection: upgrade\r\nUpgrade: echo\r\n\r\n")
    assert c.recv_head().status == 101
    return c


def test_tunnel(proxy):
    port = proxy("tunnel")
    with upgraded(port) as c, within():
        assert c.recv_all() == b""


def test_busy_tunnel_goes_on(proxy):
    port = proxy("tunnel", short=DRIP)
    with upgraded(port) as c:
        for _ in range(12):
            time.sleep(0.4)
            c.send("x")
            assert c.recv_exactly(1) == b"x"


def test_tunnel_has_a_timeout_of_its_own(proxy):
    """None of the others touches an upgraded connection."""
    tunnels = {name: upgraded(proxy(name))
               for name in ("request_header", "request_body", "response", "connect")}
    time.sleep(2.5)
    for name, c in tunnels.items():
        with c:
            c.send("x")
            assert c.recv_exactly(1) == b"x", name


def test_client_that_does_not_read(proxy):
    """A response that the client does not take is cut after the response timeout."""
    port = proxy("response")
    with Conn(port) as c:
        c.request(path="/bytes/1000000000")
        assert c.recv_head().status == 200
        wait_for(lambda: _gone(c), WITHIN, "the connection cut", every=0.2)


def _gone(c):
    """Whether the connection was reset, without reading what is there."""
    return c.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
