# SPDX-License-Identifier: Apache-2.0
"""What a stranger may send: lines, heads, fields, bodies, connections."""

import pytest

from conftest import simple
from harness import HOLDFAST, free_port, wait_for
from stand import make, origin # noqa: F401 pylint: disable=unused-import
from wire import Conn, http, raw

pytestmark = pytest.mark.sanitize
whole_module, stand = make(listener={"max_line": "1KiB", "max_header_size": "4KiB",
                                     "max_headers": 20, "max_body": "100KiB"},
                           routes={"small": {"path": "/small", "to": "web", "max_body": "1KiB"},
                                   "large": {"path": "/large", "to": "web", "max_body": "1MiB"}})

H = "Host: test\r\n"


@pytest.mark.parametrize("length, status", [(900, 200), (1100, 414), (100000, 414)])
def test_request_line(stand, length, status):
    line = "GET /" + "a" * (length - 16) + " HTTP/1.1\r\n"
    answer = raw(stand.port, line + H + "Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]


def test_endless_request_line(stand):
    """Refused at the limit, without waiting for its end."""
    with Conn(stand.port) as c:
        c.send("GET /" + "a" * 2000)
        assert c.recv_head().status == 414
        assert c.closed()


@pytest.mark.parametrize("size, status", [(3000, 200), (5000, 431), (60000, 431)])
def test_head_size(stand, size, status):
    fields = "".join(f"X-{i}: {'a' * (size // 10)}\r\n" for i in range(10))
    answer = raw(stand.port, f"GET / HTTP/1.1\r\n{H}Connection: close\r\n{fields}\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]


def test_endless_head(stand):
    with Conn(stand.port) as c:
        c.send(f"GET / HTTP/1.1\r\n{H}X: " + "a" * 5000)
        assert c.recv_head().status == 431
        assert c.closed()


@pytest.mark.parametrize("count, status", [(20, 200), (21, 431), (300, 431)])
def test_number_of_fields(stand, count, status):
    fields = "".join(f"X{i}:\r\n" for i in range(count - 2))
    answer = raw(stand.port, f"GET / HTTP/1.1\r\n{H}Connection: close\r\n{fields}\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]


@pytest.mark.parametrize("path, size, status", [
    ("/echo", 100 * 1024, 200), ("/echo", 100 * 1024 + 1, 413),
    ("/small", 1024, 200), ("/small", 1025, 413),
    ("/large", 1024 * 1024, 200), ("/large", 1024 * 1024 + 1, 413)])
def test_body_with_a_length(stand, path, size, status):
    """Refused by its announcement, before any of it is sent."""
    with Conn(stand.port) as c:
        c.send(f"POST {path} HTTP/1.1\r\n{H}Content-Length: {size}\r\n\r\n")
        if status == 200:
            c.send(b"x" * size)
        answer = c.recv_response()
        assert answer.status == status
        if status == 413:
            assert c.closed()


@pytest.mark.parametrize("size, status", [(1024, 200), (1025, 413), (5000, 413)])
def test_body_in_one_piece_with_its_head(stand, size, status):
    """What lies there already counts as well."""
    with Conn(stand.port) as c:
        c.send(f"POST /small HTTP/1.1\r\n{H}Content-Length: {size}\r\n\r\n" + "x" * size)
        assert c.recv_response().status == status


def test_small_chunked_body_in_one_piece(stand):
    with Conn(stand.port) as c:
        c.send(f"POST /small HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n"
               "1000\r\n" + "x" * 4096 + "\r\n0\r\n\r\n")
        assert c.recv_response().status == 413


def test_body_in_chunks(stand):
    """Refused when it grows beyond the limit."""
    with Conn(stand.port) as c:
        c.send(f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(300):
                c.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass # refused meanwhile
        assert c.recv_head().status == 413


def test_chunked_body_within_the_limit(stand):
    with Conn(stand.port) as c:
        c.send(f"POST /echo HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(90):
            c.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        c.send(b"0\r\n\r\n")
        answer = c.recv_response()
        assert (answer.status, len(answer.body)) == (200, 90 * 1024)


def test_huge_extensions(stand):
    """Chunk extensions of bounded length only."""
    with Conn(stand.port) as c:
        c.send(f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1;" + "a" * 5000)
        assert c.recv_head().status == 400


def test_huge_trailers(stand):
    with Conn(stand.port) as c:
        c.send(f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + "a" * 9000)
        assert c.recv_head().status == 400


def test_listener_max_connections(node, whoami):
    """At the limit further clients wait; one gets its turn when another goes."""
    w, port = whoami(), free_port()
    conf = simple(port, [w])
    conf["listeners"]["http"]["max_connections"] = 3
    node(conf).wait_server("web/w", "up")
    busy = [Conn(port) for _ in range(3)]
    for c in busy:
        c.send("GET /slow/1000000?rate=1000 HTTP/1.1\r\nHost: test\r\n\r\n")
        assert c.recv_head().status == 200
    waiting = Conn(port)
    waiting.request()
    assert waiting.silent(1.0), "served above the limit"
    busy[0].reset()
    assert waiting.recv_response().status == 200
    for c in busy[1:] + [waiting]:
        c.close()


def test_idle_connections_make_room(node, whoami):
    """At the limit a connection that idles between requests gives way to a new client."""
    w, port = whoami(), free_port()
    conf = simple(port, [w])
    conf["proxy"]["threads"] = 1
    conf["listeners"]["http"]["max_connections"] = 4
    node(conf).wait_server("web/w", "up")
    idle = []
    for _ in range(4):
        c = Conn(port)
        c.request()
        assert c.recv_response().status == 200
        idle.append(c)
    for _ in range(8):
        assert http(port).status == 200
    assert any(c.closed(5) for c in idle)
    for c in idle:
        c.close()


def test_process_max_connections(node, whoami):
    """More clients than the process takes: all are served in turn, none is refused."""
    w, port = whoami(), free_port()
    conf = simple(port, [w])
    conf["proxy"]["max_connections"] = 16
    node(conf).wait_server("web/w", "up")
    clients = [Conn(port) for _ in range(60)]
    for c in clients:
        c.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    for c in clients:
        assert c.recv_response().status == 200
        c.close()


def test_few_descriptors(node, whoami, tmp_path):
    """When descriptors run out, clients wait or get 503; the node lives and recovers."""
    tmp_path.chmod(0o755)
    wrapper = tmp_path / "few"
    wrapper.write_text(f'#!/bin/sh\nulimit -n 100\nexec "{HOLDFAST}" "$@"\n')
    wrapper.chmod(0o755)
    w, port = whoami(), free_port()
    conf = simple(port, [w])
    conf["proxy"]["max_connections"] = 10000 # the limit would keep it from happening
    n = node(conf, binary=str(wrapper))
    n.wait_server("web/w", "up")
    proxy = n.role_pid("proxy")
    clients = []
    for _ in range(200):
        c = Conn(port)
        c.send("GET /bytes/10 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        clients.append(c)
    served = 0
    for c in clients:
        answer = c.recv_response()
        assert answer.status in (200, 503), answer
        served += answer.status == 200
        c.close()
    assert served >= 50
    wait_for(lambda: http(port, timeout=5).status == 200, what="service as before")
    assert n.role_pid("proxy") == proxy


def test_slow_heads_do_not_hold_up_others(stand):
    """300 clients that send their heads byte by byte, and one that is served at once."""
    slow = [Conn(stand.port) for _ in range(300)]
    for c in slow:
        c.send("GET / HT")
    for _ in range(20):
        assert http(stand.port).status == 200
    for c in slow:
        c.send("TP/1.1\r\nHost: test\r\n\r\n")
    for c in slow:
        assert c.recv_response().status == 200
        c.close()
