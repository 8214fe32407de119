# SPDX-License-Identifier: Apache-2.0
"""Ambiguous framing end to end: requests that leave room for two readings are refused and nothing
hidden in them is served; such responses become 502 and their connection is not used again."""

import pytest

from conftest import simple
from harness import Node, free_port, wait_for
from origin import Origin, answering
from stand import make, origin # noqa: F401 pylint: disable=unused-import
from wire import Conn, raw

pytestmark = pytest.mark.sanitize
whole_module, stand = make()

H = "Host: test\r\n"
HIDDEN = "GET /hidden HTTP/1.1\r\nHost: test\r\nX-Test-Id: hidden\r\n\r\n"


def post(fields, body=""):
    return f"POST /x HTTP/1.1\r\n{H}{fields}\r\n\r\n{body}"


def get(line="GET / HTTP/1.1", fields=H):
    return f"{line}\r\n{fields}\r\n"


REFUSED = {
    "length and chunked": post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "chunked and length": post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    "differing lengths": post("Content-Length: 0\r\nContent-Length: 5"),
    "same length twice": post("Content-Length: 5\r\nContent-Length: 5"),
    "list of lengths": post("Content-Length: 5, 5"),
    "empty length": post("Content-Length:"),
    "length with plus": post("Content-Length: +5"),
    "length in hex": post("Content-Length: 0x5"),
    "length with text": post("Content-Length: 5x"),
    "huge length": post("Content-Length: 99999999999999999999"),
    "negative length": post("Content-Length: -1"),
    "gzip, chunked": post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    "chunked twice": post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
    "two codings": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
    "unknown coding": post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    "chunked in 1.0": "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "blank before the colon": post("Content-Length : 5"),
    "folded coding": post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    "folded field": get(fields=H + "X: a\r\n b\r\n"),
    "blank before the first field": get(fields=" X: a\r\n" + H),
    "empty name": get(fields=": x\r\n" + H),
    "control byte in a value": get(fields=H + "X: a\x01b\r\n"),
    "NUL in a value": get(fields=H + "X: a\0b\r\n"),
    "NUL in a name": get(fields=H + "X\0: a\r\n"),
    "bare LF lines": "GET / HTTP/1.1\nHost: test\n\n",
    "bare LF in the head": get(fields="Host: test\nX: y\r\n"),
    "bare CR in a value": get(fields=H + "X: a\rY: b\r\n"),
    "no Host": get(fields=""),
    "two Hosts": get(fields="Host: test\r\nHost: other\r\n"),
    "Host with user": get(fields="Host: a@test\r\n"),
    "Host with a slash": get(fields="Host: test/x\r\n"),
    "Host with a blank": get(fields="Host: te st\r\n"),
    "Host other than the target's": get("GET http://other/ HTTP/1.1"),
    "target with a tab": get("GET /a\tb HTTP/1.1"),
    "target with a blank": get("GET /a b HTTP/1.1"),
    "target with a fragment": get("GET /a#b HTTP/1.1"),
    "target without a slash": get("GET a HTTP/1.1"),
    "asterisk for GET": get("GET * HTTP/1.1"),
    "lower-case protocol": get("GET / http/1.1"),
    "HTTP/0.9": "GET /\r\n",
    "TLS ClientHello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "chunk size with plus": post("Transfer-Encoding: chunked", "+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with 0x": post("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size too large": post("Transfer-Encoding: chunked", "ffffffffffffffff1\r\nx"),
    "chunk with bare LF": post("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n"),
    "chunk longer than said": post("Transfer-Encoding: chunked", "4\r\nhello\r\n0\r\n\r\n"),
    "chunk without its end": post("Transfer-Encoding: chunked", "5\r\nhelloXX0\r\n\r\n"),
    "chunked end with bare LF": post("Transfer-Encoding: chunked", "0\r\n\n"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(stand, name):
    """400, the connection is closed, and a request hidden behind it is not served."""
    answer = raw(stand.port, REFUSED[name] + HIDDEN)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1, "more than one answer"
    assert "hidden" not in stand.whoami.counts()["ids"]


def test_refused_says_why(stand):
    """The reason goes to a trusted client."""
    answer = raw(stand.port, REFUSED["two Hosts"])
    assert b"more than one Host" in answer


@pytest.mark.parametrize("version", ["2.0", "1.2", "3.0", "0.9"])
def test_version_refused(stand, version):
    answer = raw(stand.port, f"GET / HTTP/{version}\r\n{H}\r\n")
    assert answer.startswith(b"HTTP/1.1 505 "), answer[:200]


def test_http2_preface_refused_where_http2_is_off(node, whoami):
    port = free_port()
    conf = simple(port, [whoami("a")])
    conf["listeners"]["http"]["http2"] = False
    node(conf)
    answer = raw(port, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 505 "), answer[:200]


def test_refused_after_a_good_one(stand):
    """The good request in front is answered, the bad one refused, the one behind it ignored."""
    good = get("GET /good HTTP/1.1")
    answer = raw(stand.port, good + REFUSED["two Hosts"] + HIDDEN)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert "hidden" not in stand.whoami.counts()["ids"]


def test_bad_chunk_later(stand):
    """A body that turns out malformed after the head went on to the server ends both sides."""
    before = stand.whoami.counts()["requests"]
    with Conn(stand.port) as c:
        c.send(post("Transfer-Encoding: chunked", "5\r\nhello\r\n"))
        wait_for(lambda: stand.whoami.counts()["requests"] > before, what="head at the server")
        c.send("zz\r\n" + HIDDEN)
        answer = c.recv_all()
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert "hidden" not in stand.whoami.counts()["ids"]


def test_slow_bad_byte(stand):
    """Refused when the bad byte comes, not when the head is whole."""
    with Conn(stand.port) as c:
        c.send("GET / HTTP/1.1\r\nHost: test\r\nX: \x01")
        assert c.recv_head().status == 400
        assert c.closed()


# --- responses --------------------------------------------------------------------------------

OK = "HTTP/1.1 200 OK\r\n"
BAD_RESPONSES = {
    "length and chunked": OK + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "differing lengths": OK + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "same length twice": OK + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "bad length": OK + "Content-Length: +2\r\n\r\nab",
    "empty length": OK + "Content-Length:\r\n\r\n",
    "unknown coding": OK + "Transfer-Encoding: gzip\r\n\r\nab",
    "chunked in 1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded field": OK + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "blank before the colon": OK + "Content-Length : 2\r\n\r\nab",
    "empty name": OK + ": x\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + "X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "control byte in a value": OK + "X: \x01\r\nContent-Length: 0\r\n\r\n",
    "bare LF": "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": "hello, this is something else\r\n",
    "HTTP/2.0": "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "head of 1 MB": OK + "X: " + "a" * 1000000 + "\r\n\r\n",
    "1000 fields": OK + "X: a\r\n" * 1000 + "\r\n",
    "101 unasked": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


@pytest.fixture(scope="module")
def bad_server():
    """(Node, origin, port): the origin answers with what .data holds."""
    holder = type("Holder", (), {"data": b""})()
    holder.origin = Origin(lambda peer: answering(holder.data)(peer))
    holder.port = free_port()
    conf = simple(holder.port, [holder.origin.address], check=False, retries=0,
                  passive=False)
    conf["trust"] = ["127.0.0.0/8"]
    holder.node = Node(conf)
    yield holder
    holder.node.stop()
    holder.origin.stop()
    holder.node.remove()


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_bad_response(bad_server, name):
    """502, and the next request goes over another connection."""
    bad_server.data = BAD_RESPONSES[name].encode("latin-1")
    before = bad_server.origin.connections
    with Conn(bad_server.port) as c:
        c.request()
        answer = c.recv_response()
        assert answer.status == 502, answer
        assert answer.get("x-request-id")
        bad_server.data = (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
                           b"ab")
        c.request()
        answer = c.recv_response()
        assert (answer.status, answer.body) == (200, b"ab")
    assert bad_server.origin.connections == before + 2


def test_bytes_after_the_response(bad_server):
    """What follows a response is never taken for the answer to another request."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    bad_server.data = good + evil
    with Conn(bad_server.port) as c:
        for _ in range(10):
            c.request()
            assert c.recv_response().body == b"ab"


def test_bad_chunk_in_response(bad_server):
    """The client must see that the body is not whole."""
    bad_server.data = OK.encode() + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n"
    answer = raw(bad_server.port, f"GET / HTTP/1.1\r\n{H}\r\n")
    assert b"0\r\n\r\n" not in answer
    assert answer == b"" or answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 502"))
