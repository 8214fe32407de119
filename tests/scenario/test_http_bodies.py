# SPDX-License-Identifier: Apache-2.0
"""Bodies both ways: framing kept, nothing held back, nothing swallowed, memory bounded; what comes
before and after them; what follows when a side goes away."""

import fcntl
import hashlib
import json
import os
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from conftest import simple
from harness import SLOW, Node, free_port, memory_kib, wait_for
from origin import Origin, answering
from stand import make, origin # noqa: F401 pylint: disable=unused-import
from wire import Closed, Conn, http, raw

pytestmark = pytest.mark.sanitize
whole_module, stand = make()

H = "Host: test\r\n"


@pytest.fixture
def through(node, origin): # noqa: F811
    """through(serve) starts a node in front of an Origin; (port, origin)."""
    def start(serve, **pool):
        o, port = origin(serve), free_port()
        conf = simple(port, [o.address], check=False, **pool)
        conf["trust"] = ["127.0.0.0/8"]
        node(conf)
        return port, o
    return start


def pattern(size):
    return hashlib.shake_128(b"holdfast").digest(min(size, 65536)) * (size // 65536 + 1)


SIZES = [0, 1, 100, 4095, 4096, 16384, 65535, 65536, 65537, 1000000, 20000000]


@pytest.mark.parametrize("size", SIZES)
def test_echo_with_length(stand, size):
    body = pattern(size)[:size]
    with Conn(stand.port) as c:
        # The answer comes while the request is being sent: neither side may wait for the other.
        sender = threading.Thread(target=c.request, args=("POST", "/echo", (), body))
        sender.start()
        answer = c.recv_response()
        sender.join(30)
    assert answer.status == 200
    assert answer.body == body
    if size:
        assert answer.get("content-length") == str(size)


@pytest.mark.parametrize("chunk", [1, 1000, 65536])
def test_echo_in_chunks(stand, chunk):
    body = pattern(chunk * 40)[:chunk * 40]
    with Conn(stand.port) as c:
        c.send(f"POST /echo HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(body), chunk):
            c.send(b"%x;ext=1\r\n" % chunk + body[i:i + chunk] + b"\r\n")
        c.send(b"0\r\n\r\n")
        answer = c.recv_response()
    assert answer.status == 200
    assert answer.body == body


def test_response_in_chunks(stand):
    answer = http(stand.port, path="/chunked/1000000?chunk=777")
    assert answer.get("transfer-encoding") == "chunked"
    assert answer.get("content-length") is None
    assert len(answer.body) == 1000000


def test_byte_by_byte(stand):
    """A request that comes in single bytes, body and all."""
    with Conn(stand.port) as c:
        for b in f"POST /echo HTTP/1.1\r\n{H}Content-Length: 10\r\n\r\n0123456789":
            c.send(b)
        assert c.recv_response().body == b"0123456789"
        for b in f"POST /echo HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            c.send(b)
        assert c.recv_response().body == b"abc"


def test_response_byte_by_byte(through):
    """A response that comes in single bytes."""
    def serve(peer):
        while peer.recv_request():
            for b in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
                peer.send(bytes([b]))
    port, _ = through(serve)
    with Conn(port) as c:
        for _ in range(3):
            c.request()
            assert c.recv_response().body == b"abc"


# --- pipelining, HEAD, statuses without a body ------------------------------------------------

def test_pipelining(stand):
    """Many requests at once are answered in their order."""
    with Conn(stand.port) as c:
        c.send("".join(f"GET /{i} HTTP/1.1\r\n{H}Accept: application/json\r\n\r\n"
                       for i in range(50)))
        for i in range(50):
            assert json.loads(c.recv_response().body)["path"] == f"/{i}"


def test_pipelining_with_bodies(stand):
    with Conn(stand.port) as c:
        c.send("".join(f"POST /echo HTTP/1.1\r\n{H}Content-Length: {len(str(i))}\r\n\r\n{i}"
                       f"POST /echo HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n"
                       f"1\r\nc\r\n0\r\n\r\nHEAD / HTTP/1.1\r\n{H}\r\n"
                       for i in range(20)))
        for i in range(20):
            assert c.recv_response().body == str(i).encode()
            assert c.recv_response().body == b"c"
            assert c.recv_response("HEAD").status == 200


def test_pipelining_ends_with_close(stand):
    """What stands behind Connection: close is not served."""
    answer = raw(stand.port, f"GET /1 HTTP/1.1\r\n{H}Connection: close\r\n\r\n"
                             f"GET /2 HTTP/1.1\r\n{H}X-Test-Id: after-close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert "after-close" not in stand.whoami.counts()["ids"]


def test_empty_lines_between_requests(stand):
    """An empty line after a request is tolerated (RFC 9112, 2.2)."""
    with Conn(stand.port) as c:
        for _ in range(3):
            c.send(f"\r\nGET / HTTP/1.1\r\n{H}\r\n")
            assert c.recv_response().status == 200


def test_head(stand):
    """HEAD has the length of GET and no body; the connection goes on."""
    with Conn(stand.port) as c:
        for path, length in (("/bytes/5000", "5000"), ("/chunked/5000", None)):
            c.request("HEAD", path)
            answer = c.recv_response("HEAD")
            assert answer.status == 200
            if length:
                assert answer.get("content-length") == length
        c.request()
        assert c.recv_response().status == 200
        assert not c.buf


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_body(stand, status):
    with Conn(stand.port) as c:
        c.request(path=f"/status/{status}")
        assert c.recv_response().status == status
        c.request()
        assert c.recv_response().status == 200


def test_304_with_a_length(through):
    port, _ = through(answering(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"))
    with Conn(port) as c:
        for _ in range(3):
            c.request()
            answer = c.recv_response()
            assert (answer.status, answer.get("content-length")) == (304, "500")


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_204_that_announces_a_body(through, field):
    """There is none; nothing of the announcement reaches the client, nothing after it counts."""
    port, _ = through(answering(f"HTTP/1.1 204 No Content\r\n{field}\r\n\r\nHTTP/1.1 200 EVIL"
                                "\r\n\r\n".encode()))
    with Conn(port) as c:
        for _ in range(5):
            c.request()
            answer = c.recv_response()
            assert answer.status == 204
            assert answer.get("content-length") is None
            assert answer.get("transfer-encoding") is None


# --- interim responses ------------------------------------------------------------------------

def test_early_hints(stand):
    with Conn(stand.port) as c:
        c.request(path="/early-hints")
        hints = c.recv_head()
        assert (hints.status, hints.get("link")) == (103, "</a>; rel=preload")
        assert c.recv_response().status == 200


def test_no_interim_for_http10(stand):
    answer = raw(stand.port, "GET /early-hints HTTP/1.0\r\n\r\n")
    assert b" 103 " not in answer
    assert answer.split(b" ")[1] == b"200"


@pytest.mark.parametrize("n, status", [(32, 200), (33, 502)])
def test_interim_responses_have_an_end(through, n, status):
    def serve(peer):
        while peer.recv_request():
            peer.send("HTTP/1.1 103 Early Hints\r\n\r\n" * n)
            peer.reply()
    port, _ = through(serve)
    assert http(port).status == status


def test_expect_continue(stand):
    """The body is sent when the server has asked for it."""
    with Conn(stand.port) as c:
        c.send(f"POST /echo HTTP/1.1\r\n{H}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert c.recv_head().status == 100
        c.send("hello")
        assert c.recv_response().body == b"hello"


def test_expect_refused(through):
    """A final answer instead of 100 reaches the client, which never sends the body."""
    def serve(peer):
        while peer.recv_request(body=False):
            peer.reply(b"no", "417 Expectation Failed", "Connection: close")
            return
    port, _ = through(serve)
    with Conn(port) as c:
        c.send(f"POST / HTTP/1.1\r\n{H}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert c.recv_response().status == 417
        assert c.closed()


def test_expect_and_a_client_that_does_not_wait(stand):
    with Conn(stand.port) as c:
        c.send(f"POST /echo HTTP/1.1\r\n{H}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
        assert c.recv_response().body == b"hello"
        c.request()
        assert c.recv_response().status == 200


# --- trailers ---------------------------------------------------------------------------------

def test_response_trailers(stand):
    answer = http(stand.port, path="/trailers")
    assert ("x-sum", "14") in answer.trailers


def test_request_trailers(through):
    seen = []

    def serve(peer):
        while peer.recv_request():
            seen.extend(peer.trailers)
            peer.reply()
    port, _ = through(serve)
    with Conn(port) as c:
        c.send(f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n")
        assert c.recv_response().status == 200
    assert seen == [("x-sum", "3")]


# --- HTTP/1.0 ---------------------------------------------------------------------------------

def test_http10_client(stand):
    """No chunks for a client that does not know them."""
    answer = raw(stand.port, "GET /chunked/100000 HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert len(body) == 100000


def test_http10_keep_alive(stand):
    with Conn(stand.port) as c:
        for _ in range(3):
            c.send("GET /bytes/100 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = c.recv_response()
            assert (answer.status, len(answer.body)) == (200, 100)
            assert answer.get("connection", "").lower() == "keep-alive"


def test_http10_post(stand):
    with Conn(stand.port) as c:
        c.send("POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
        answer = c.recv_all()
    assert answer.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("size", [0, 10, 1000000])
def test_http10_server(through, size):
    """A body that ends with the connection."""
    body = pattern(size)[:size]

    def serve(peer):
        if peer.recv_request():
            peer.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body)
    port, _ = through(serve)
    for _ in range(2):
        answer = http(port)
        assert (answer.status, answer.body) == (200, body)


def test_http10_server_with_length(through):
    port, _ = through(answering(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", close=True))
    with Conn(port) as c:
        for _ in range(3):
            c.request()
            assert c.recv_response().body == b"ok"


# --- nothing is held back ---------------------------------------------------------------------

def test_events_are_not_held_back(through):
    """Each event arrives while the server waits before it sends the next."""
    steps = [threading.Event() for _ in range(5)]

    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        for i, step in enumerate(steps):
            data = b"data: %d\n\n" % i
            peer.send(b"%x\r\n%s\r\n" % (len(data), data))
            step.wait(60)
        peer.send(b"0\r\n\r\n")
    port, _ = through(serve)
    with Conn(port) as c:
        c.request()
        assert c.recv_head().status == 200
        for i, step in enumerate(steps):
            assert c.recv_chunk() == b"data: %d\n\n" % i
            step.set()
        assert c.recv_chunk() == b""


def in_flight(c):
    """Bytes that the other side's kernel has not taken yet."""
    return struct.unpack("i", fcntl.ioctl(c.sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def test_upload_that_is_there_at_once(node, whoami):
    """All of a body is there before the proxy reads its first byte, and the connection to the
    server stands already: it must go on by itself, for nothing will wake it."""
    w, port = whoami(), free_port()
    conf = simple(port, [w], check=False)
    conf["proxy"]["threads"] = 1
    n = node(conf)
    proxy = n.role_pid("proxy")
    with Conn(port) as c:
        for _ in range(3): # the kernel gives a busy connection larger buffers
            c.request("POST", "/", (), b"x" * 20000000)
            assert c.recv_response().status == 200
        for size in (100000, 200000, 400000):
            os.kill(proxy, signal.SIGSTOP)
            try:
                c.request("POST", "/", (), b"x" * size)
                # Not for long: the parent would take the role for hung. A body larger than this
                # kernel's buffers does no harm.
                until = time.monotonic() + 1
                while in_flight(c) > 0 and time.monotonic() < until:
                    time.sleep(0.02)
            finally:
                os.kill(proxy, signal.SIGCONT)
            assert c.recv_response().status == 200


def test_head_of_response_is_not_held_back(through):
    go = threading.Event()

    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        go.wait(60)
        peer.send(b"ok")
    port, _ = through(serve)
    with Conn(port) as c:
        c.request()
        assert c.recv_head().status == 200
        go.set()
        assert c.recv_exactly(2) == b"ok"


def test_upload_is_not_held_back(through):
    """The server has the first part of a body while the client has not sent the rest."""
    first = threading.Event()

    def serve(peer):
        peer.recv_request(body=False)
        assert peer.recv_exactly(5) == b"first"
        first.set()
        assert peer.recv_exactly(6) == b"second"
        peer.reply()
    port, o = through(serve)
    with Conn(port) as c:
        c.send(f"POST / HTTP/1.1\r\n{H}Content-Length: 11\r\n\r\nfirst")
        assert first.wait(30 * SLOW), "the first part did not arrive"
        c.send("second")
        assert c.recv_response().status == 200
    assert not o.errors


# --- memory -----------------------------------------------------------------------------------

BIG = 300 * 1000 * 1000


def proxy_memory(n):
    return memory_kib(n.role_pid("proxy"), "Rss")


@pytest.fixture(scope="module")
def plain_node():
    """A Stand of its own for memory: nothing else has run in its proxy."""
    from stand import Stand
    s = Stand()
    yield s
    s.stop()


@pytest.mark.alone
def test_download_to_a_slow_reader(plain_node):
    """A client that does not read holds up the server, and costs no memory."""
    http(plain_node.port, path="/bytes/1000000")
    before = proxy_memory(plain_node.node)
    clients = []
    for _ in range(10):
        c = Conn(plain_node.port)
        c.request(path=f"/bytes/{BIG}")
        assert c.recv_head().status == 200
        clients.append(c)
    # As soon as all buffers are full nothing moves any more: memory stays as it is.
    last = [0]

    def still():
        now = proxy_memory(plain_node.node)
        same, last[0] = now == last[0], now
        return same
    wait_for(still, every=0.5)
    assert last[0] - before < 8192 * SLOW, f"{last[0] - before} KiB for 10 clients"
    for c in clients:
        c.reset()
    wait_for(lambda: plain_node.whoami.counts()["open"] <= 4, what="servers' connections closed")


@pytest.mark.alone
def test_large_download(plain_node):
    before = proxy_memory(plain_node.node)
    got = 0
    with Conn(plain_node.port, timeout=60) as c:
        c.request(path=f"/bytes/{BIG}")
        c.recv_head()
        got += len(c.buf)
        c.buf = b""
        while got < BIG:
            data = c.sock.recv(1 << 20)
            assert data, f"ended after {got} bytes"
            got += len(data)
    assert got == BIG
    assert proxy_memory(plain_node.node) - before < 8192 * SLOW


@pytest.mark.alone
def test_large_upload(plain_node):
    before = proxy_memory(plain_node.node)
    seen = plain_node.whoami.counts()["body_bytes"]
    block = b"x" * 1000000
    with Conn(plain_node.port, timeout=60) as c:
        c.send(f"POST / HTTP/1.1\r\n{H}Content-Length: {BIG}\r\n\r\n")
        for _ in range(BIG // len(block)):
            c.send(block)
        assert c.recv_response().status == 200
    assert plain_node.whoami.counts()["body_bytes"] - seen == BIG
    assert proxy_memory(plain_node.node) - before < 8192 * SLOW


def test_upload_to_a_server_that_does_not_read(through):
    """The client is held up; then the server reads on, and all of it arrives."""
    go = threading.Event()
    got = []

    def serve(peer):
        head, _ = peer.recv_request(body=False)
        go.wait(60)
        got.append(len(peer.recv_exactly(50000000)))
        peer.reply()
        assert b"Content-Length: 50000000" in head
    port, o = through(serve)
    with Conn(port, timeout=1) as c:
        c.send(f"POST / HTTP/1.1\r\n{H}Content-Length: 50000000\r\n\r\n")
        body, sent = memoryview(b"x" * 50000000), 0
        c.sock.settimeout(1)
        try:
            while sent < len(body):
                sent += c.sock.send(body[sent:sent + 65536])
        except TimeoutError:
            pass
        assert sent < 40000000, "the proxy swallowed the body"
        go.set()
        c.timeout = 60
        c.send(body[sent:])
        assert c.recv_response().status == 200
    assert got == [50000000] and not o.errors


# --- a side goes away -------------------------------------------------------------------------

def test_early_response(stand):
    """An answer before the body has come reaches the client, even one that goes on sending."""
    with Conn(stand.port) as c:
        c.send(f"POST /early HTTP/1.1\r\n{H}Content-Length: 100000000\r\n\r\n")
        c.send(b"x" * 100000)
        answer = c.recv_response()
        assert (answer.status, answer.body) == (413, b"early\n")


def test_early_response_and_keep(stand):
    """Where the server goes on reading, the connection lives on."""
    with Conn(stand.port) as c:
        c.send(f"POST /early?status=200&keep=1 HTTP/1.1\r\n{H}Content-Length: 10\r\n\r\n")
        c.send(b"0123456789")
        assert c.recv_response().status == 200
    assert http(stand.port).status == 200


def test_client_half_closes(stand):
    """A client that has ended its direction still gets its answer."""
    with Conn(stand.port) as c:
        c.request(path="/slow/200?rate=400")
        c.shutdown()
        answer = c.recv_response()
        assert (answer.status, len(answer.body)) == (200, 200)


def test_client_half_closes_after_pipelining(stand):
    with Conn(stand.port) as c:
        c.send(f"GET /1 HTTP/1.1\r\n{H}\r\nGET /2 HTTP/1.1\r\n{H}\r\n")
        c.shutdown()
        assert c.recv_response().status == 200
        assert c.recv_response().status == 200
        assert c.closed()


def test_client_goes_amid_upload(stand):
    """The server learns that the body will not be whole."""
    before = stand.whoami.counts()["aborted"]
    c = Conn(stand.port)
    c.send(f"POST /x HTTP/1.1\r\n{H}Content-Length: 1000\r\n\r\nhalf")
    wait_for(lambda: stand.whoami.counts()["body_bytes"] > 0 or None)
    c.close()
    wait_for(lambda: stand.whoami.counts()["aborted"] > before, what="abort at the server")


def test_client_goes_amid_download(stand):
    """The server's connection is closed, not drained."""
    c = Conn(stand.port)
    c.request(path=f"/bytes/{10 ** 10}")
    assert c.recv_head().status == 200
    before = stand.whoami.counts()["open"]
    c.reset()
    wait_for(lambda: stand.whoami.counts()["open"] < before, what="the server's end closed")


def test_client_goes_while_it_waits(stand):
    c = Conn(stand.port)
    before = stand.whoami.counts()["open"]
    c.request(path="/hang")
    wait_for(lambda: stand.whoami.counts()["open"] >= before)
    c.reset()
    assert http(stand.port).status == 200


def test_server_cuts_a_length(stand):
    """A body that is not whole must not look whole."""
    with Conn(stand.port) as c:
        c.request(path="/truncate/100000")
        with pytest.raises(Closed):
            c.recv_response()


def test_server_cuts_chunks(through):
    def serve(peer):
        peer.recv_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    port, _ = through(serve)
    answer = raw(port, f"GET / HTTP/1.1\r\n{H}\r\n")
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("how", ["/close", "/close?reset=1"])
def test_server_closes_without_an_answer(stand, how):
    """502 with the reason, for a request that may not be repeated at once."""
    answer = http(stand.port, "POST", how, body="x")
    assert answer.status == 502
    assert answer.get("holdfast-reason")


def test_aborts_leave_nothing(stand):
    """300 clients that go away at different points; then all is as before."""
    requests = [f"GET /slow/100000?rate=1000 HTTP/1.1\r\n{H}\r\n", "GET /x HT",
                f"POST /echo HTTP/1.1\r\n{H}Content-Length: 50\r\n\r\nhalf",
                f"GET /hang HTTP/1.1\r\n{H}\r\n", f"GET /sse HTTP/1.1\r\n{H}\r\n",
                f"GET /bytes/10000000 HTTP/1.1\r\n{H}\r\n"]
    for i in range(300):
        c = Conn(stand.port)
        c.send(requests[i % len(requests)])
        if i % 2:
            c.reset()
        else:
            c.close()
    assert http(stand.port).status == 200

    def nothing():
        m = stand.node.metrics()
        active = [v for k, v in m.items() if k.startswith("holdfast_listener_active")]
        return all(v == 0 for v in active)
    wait_for(nothing, 60, "no request under way")


# --- real clients -----------------------------------------------------------------------------

def test_curl(stand, tmp_path):
    """curl sends and fetches 20 MB, with Expect as it does by itself."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(pattern(20000000)[:20000000])
    url = f"http://127.0.0.1:{stand.port}/echo"
    for form in (["--data-binary", f"@{source}"],
                 ["-T", str(source), "-H", "Transfer-Encoding: chunked"]):
        done = subprocess.run(["curl", "-sSf", "--max-time", "60", *form, "-o", str(target), url],
                              capture_output=True, check=False, timeout=90)
        assert done.returncode == 0, done.stderr
        assert target.read_bytes() == source.read_bytes()
        os.unlink(target)


def test_ab_keep_alive(stand):
    """ab speaks HTTP/1.0 with keep-alive."""
    from loadgen import ab
    done = ab(f"http://127.0.0.1:{stand.port}/", 2000, 16, "-k")
    assert done["complete"] == 2000, done["text"]
    assert done["non_2xx"] == 0


@pytest.mark.alone
def test_wrk_counts_agree(stand, wrk):
    """What the client counts is what the server has seen."""
    before = stand.whoami.counts()["requests"]
    result = wrk(f"http://127.0.0.1:{stand.port}/", connections=32, seconds=3).wait()
    assert result["errors"] == 0 and result["bad"] == 0, result["text"]
    seen = stand.whoami.counts()["requests"] - before
    assert result["requests"] <= seen <= result["requests"] + 32
