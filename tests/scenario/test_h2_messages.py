# SPDX-License-Identifier: Apache-2.0
"""HTTP in HTTP/2 (RFC 9113, 8): what makes a request malformed, so that no server sees it, and how
messages are turned into HTTP/1.1 and back."""

import pytest

from h2stand import BAD, Unseen, case, rfc, served
from h2wire import H2, HEADERS, RST_STREAM, data, headers, request_fields
from harness import free_port
from origin import Origin
from stand import make
from wire import Closed

pytestmark = pytest.mark.sanitize
RAW = free_port()
whole_module, stand = make(pools={"raw": {"servers": {"r": f"127.0.0.1:{RAW}"}, "retries": 0,
                                          "passive": False}},
                           routes={"raw": {"path": "/raw", "to": "raw"}})


def fields(*more, **options):
    return request_fields(more=[BAD, *more], **options)


def without(name):
    return [f for f in fields() if f[0] != name]


def twice(name):
    return [f for f in fields() for _ in range(2 if f[0] == name else 1)]


def last(name):
    """A pseudo-header field after the others."""
    return without(name) + [f for f in fields() if f[0] == name]


MALFORMED = [
    case("upper case in a name", "9113-8.2-1 9113-8.2.1-2 9113-8.2.1-6", fields(("X-Upper", "1"))),
    case("one upper-case letter", "9113-8.2.1-2", fields(("x-uppeR", "1"))),
    *[case(f"byte {ord(c):#x} in a name", "9113-8.2.1-1 9113-8.2.1-2", fields((f"x{c}y", "1")))
      for c in ("\0", "\t", "\n", "\r", " ", "A", "Z", "\x7f", "\x80", "\xff")],
    case("colon in a name", "9113-8.2.1-3", fields(("x:y", "1"))),
    case("colon at a name's end", "9113-8.2.1-3", fields(("x:", "1"))),
    case("empty name", "9113-8.2.1-2", fields(("", "1"))),
    *[case(f"{n} in a value", "9113-8.2.1-1 9113-8.2.1-4", fields(("x", f"a{c}b")))
      for n, c in (("NUL", "\0"), ("LF", "\n"), ("CR", "\r"), ("CRLF", "\r\nx-injected: 1"))],
    *[case(f"{n} of a value", "9113-8.2.1-5", fields(("x", v)))
      for n, v in (("blank at the start", " a"), ("blank at the end", "a "),
                   ("tab at the start", "\ta"), ("tab at the end", "a\t"), ("blank instead", " "))],
    case("LF at the end of a value", "9113-8.2.1-4", fields(("x", "a\n"))),
    case("NUL at the end of a value", "9113-8.2.1-4", fields(("x", "a\0"))),
    case("Connection", "9113-8.2.2-1 9113-8.2.2-2", fields(("connection", "close"))),
    case("Connection with a name", "9113-8.2.2-2", fields(("connection", "x-test-id"))),
    case("Keep-Alive", "9113-8.2.2-2", fields(("keep-alive", "timeout=5"))),
    case("Proxy-Connection", "9113-8.2.2-2", fields(("proxy-connection", "close"))),
    case("Transfer-Encoding", "9113-8.2.2-2", fields(("transfer-encoding", "chunked"))),
    case("Upgrade", "9113-8.2.2-2", fields(("upgrade", "websocket"))),
    case("TE: gzip", "9113-8.2.2-3", fields(("te", "gzip"))),
    case("TE: trailers, gzip", "9113-8.2.2-3", fields(("te", "trailers, gzip"))),
    case("unknown pseudo-header field", "9113-8.3-1 9113-8.3-4", [(":x", "1")] + fields()),
    case("empty pseudo-header name", "9113-8.3-4", [(":", "1")] + fields()),
    case(":status in a request", "9113-8.3-2", [(":status", "200")] + fields()),
    case(":protocol without CONNECT", "9113-8.3-4", [(":protocol", "websocket")] + fields()),
    *[case(f"{n} after the others", "9113-8.3-5 9113-8.3-6", last(n))
      for n in (":method", ":scheme", ":path", ":authority")],
    *[case(f"{n} twice", "9113-8.3-7 9113-8.3-8", twice(n))
      for n in (":method", ":scheme", ":path", ":authority")],
    *[case(f"no {n}", "9113-8.3.1-11", without(n)) for n in (":method", ":scheme", ":path")],
    case("nothing at all", "9113-8.3.1-11", [BAD]),
    case("empty :method", "9113-8.3.1-11", fields(method="")),
    case("blank in :method", "9113-8.3.1-11 9113-10.3-1", fields(method="GET /x HTTP/1.1\r\n")),
    case("two words in :method", "9113-8.3.1-11 9113-10.3-1", fields(method="GET x")),
    case("LF in :method", "9113-8.2.1-4", fields(method="GET\n")),
    case("empty :scheme", "9113-8.3.1-11", fields(scheme="")),
    case("blank in :scheme", "9113-8.3.1-11", fields(scheme="ht tp")),
    case("CR in :scheme", "9113-8.2.1-4", fields(scheme="http\r")),
    case("empty :path", "9113-8.3.1-8 9113-8.3.1-11", fields(path="")),
    case(":path without a slash", "9113-8.3.1-11", fields(path="x")),
    case(":path with a blank", "9113-8.3.1-11 9113-10.3-1", fields(path="/ HTTP/1.1")),
    case(":path with CRLF", "9113-8.2.1-4 9113-10.3-1", fields(path="/ HTTP/1.1\r\nx: y\r\n\r\n")),
    case(":path with NUL", "9113-8.2.1-4", fields(path="/a\0b")),
    case(":path with a tab", "9113-8.3.1-11", fields(path="/a\tb")),
    case(":path with a fragment", "9113-8.3.1-11", fields(path="/a#b")),
    case(":path of a URI", "9113-8.3.1-11", fields(path="http://test/")),
    case(":path * for GET", "9113-8.3.1-10", fields(path="*")),
    case("empty :authority", "9113-8.3.1-5", fields(authority="")),
    case("user in :authority", "9113-8.3.1-7", fields(authority="user@test")),
    case("user and password in :authority", "9113-8.3.1-7", fields(authority="user:word@test")),
    case("slash in :authority", "9113-10.3-1", fields(authority="test/x")),
    case("blank in :authority", "9113-10.3-1", fields(authority="te st")),
    case("CRLF in :authority", "9113-8.2.1-4 9113-10.3-1", fields(authority="test\r\nx: y")),
    case("Host that differs from :authority", "9113-8.3.1-1 9113-8.3.1-3", fields(("host", "other"))),
    case("Host with another port than :authority", "9113-8.3.1-3 9113-8.3.1-4",
         fields(("host", "test:81"))),
    case("two Hosts", "9113-10.3-1", fields(("host", "test"), ("host", "test"))),
    case("neither :authority nor Host", "9113-10.3-1", without(":authority")),
    case("Host with a user", "9113-8.3.1-7", without(":authority") + [("host", "a@test")]),
    case("two lengths", "9113-8.1.1-1", fields(("content-length", "0"), ("content-length", "5"))),
    case("a length of text", "9113-8.1.1-1", fields(("content-length", "x"))),
    case("a length with a plus", "9113-8.1.1-1", fields(("content-length", "+0"))),
    case("a huge length", "9113-8.1.1-1", fields(("content-length", "9" * 30))),
    case("a length and no data", "9113-8.1.1-1", fields(("content-length", "5"))),
    case("CONNECT with :scheme and :path", "9113-8.5-1", fields(method="CONNECT")),
    case("CONNECT with :path", "9113-8.5-1", fields(method="CONNECT", scheme=None)),
]


@pytest.mark.parametrize("bad", MALFORMED)
@rfc("9113-8.1.1-1 9113-8.1.1-2 9113-8.2.1-7 9113-10.3-1")
def test_malformed(stand, bad):
    """RST_STREAM with PROTOCOL_ERROR; the other streams go on, and no server sees it."""
    with Unseen(stand), H2(stand.port) as c:
        other = c.request("POST", "/echo", end=False)
        s = c.new_stream()
        c.send(headers(s, bad))
        c.malformed(s)
        c.send(data(other, b"hello", end=True))
        assert c.answer(other).body == b"hello"
        served(c)


POST = request_fields("POST", "/echo")
LENGTH_5 = request_fields("POST", "/echo", more=[("content-length", "5")])
BROKEN_BODIES = [
    case("less than the length", "9113-8.1.1-1", LENGTH_5, data(3, b"abc", end=True)),
    case("nothing of the length", "9113-8.1.1-1", LENGTH_5, data(3, b"", end=True)),
    case("more than the length", "9113-8.1.1-1", LENGTH_5, data(3, b"abcdefg", end=True)),
    case("more than the length, in pieces", "9113-8.1.1-1", LENGTH_5,
         data(3, b"abcde") + data(3, b"GET / HTTP/1.1\r\n\r\n", end=True)),
    case("less than the length before trailers", "9113-8.1.1-1", LENGTH_5,
         data(3, b"abc") + headers(3, [("x-trailer", "1")])),
    case("trailers that end nothing", "9113-8.1-4", POST,
         data(3, b"abc") + headers(3, [("x-trailer", "1")], end=False)),
    case("second head", "9113-8.1-4", POST, headers(3, POST, end=False)),
    case("pseudo-header field in trailers", "9113-8.1-2 9113-8.1-3 9113-8.3-3", POST,
         data(3, b"abc") + headers(3, [("x-trailer", "1"), (":path", "/")])),
    case(":status in trailers", "9113-8.1-3 9113-8.3-3", POST,
         data(3, b"abc") + headers(3, [(":status", "200")])),
    case("upper case in trailers", "9113-8.2.1-2", POST,
         data(3, b"abc") + headers(3, [("X-Trailer", "1")])),
    case("CRLF in trailers", "9113-8.2.1-4", POST,
         data(3, b"abc") + headers(3, [("x-trailer", "1\r\n\r\nGET / HTTP/1.1")])),
    case("Connection in trailers", "9113-8.2.2-2", POST,
         data(3, b"abc") + headers(3, [("connection", "close")])),
    case("Transfer-Encoding in trailers", "9113-8.2.2-2", POST,
         data(3, b"abc") + headers(3, [("transfer-encoding", "chunked")])),
]


@pytest.fixture(scope="module")
def heads():
    """An HTTP/1.1 server on /raw: what it got, byte for byte, and what it is to say."""
    class Heads:
        def __init__(self):
            self.got, self.whole = [], []
            self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

        def serve(self, peer):
            while True:
                try:
                    request = peer.recv_request()
                except Closed: # within a message
                    return
                if request is None:
                    return
                self.got.append(request[0].decode("latin-1"))
                self.whole.append((*request, getattr(peer, "trailers", [])))
                peer.send(self.answer)
                if b"Connection: close" in self.answer:
                    return
    h = Heads()
    server = Origin(h.serve, port=RAW)
    yield h
    server.stop()


def head_of(heads, c, *args, **options):
    """The HTTP/1.1 head that comes of a request."""
    before = len(heads.got)
    answer = c.get(*args, **options)
    assert answer.status == 200, answer
    assert len(heads.got) == before + 1
    return heads.got[-1]


@pytest.mark.parametrize("head, rest", BROKEN_BODIES)
@rfc("9113-8.1.1-1 9113-8.1.1-2")
def test_broken_body(stand, heads, head, rest):
    """RST_STREAM with PROTOCOL_ERROR; the server never gets a whole request."""
    whole = len(heads.whole)
    head = [(n, "/raw" if n == ":path" else v) for n, v in head]
    with H2(stand.port) as c:
        other = c.request("POST", "/echo", end=False)
        c.new_stream()
        c.send(headers(3, head, end=False), rest)
        c.malformed(3)
        c.send(data(other, b"hello", end=True))
        assert c.answer(other).body == b"hello"
        served(c)
    assert len(heads.whole) == whole, heads.whole[-1]


# --- to HTTP/1.1 ------------------------------------------------------------------------------

@rfc("9113-8.3.1-6 9113-8.3.1-1")
def test_host_from_authority(stand, heads):
    with H2(stand.port) as c:
        for more in ((), [("host", "shop.test:8080")]):
            h = head_of(heads, c, path="/raw/a?b=c", authority="shop.test:8080", more=more)
            assert h.startswith("GET /raw/a?b=c HTTP/1.1\r\n")
            assert h.lower().count("\r\nhost:") == 1 and "\r\nhost: shop.test:8080\r\n" in h.lower()
        h = head_of(heads, c, path="/raw", authority=None, more=[("host", "shop.test")])
        assert "\r\nhost: shop.test\r\n" in h.lower()


@rfc("9113-8.3.1-4")
def test_default_port(stand, heads):
    """test and test:80 are one authority of scheme http; so are names in other letters."""
    with H2(stand.port) as c:
        for authority, host in (("test", "test:80"), ("test:80", "test"), ("TEST", "test")):
            h = head_of(heads, c, path="/raw", authority=authority, more=[("host", host)])
            assert h.lower().count("\r\nhost:") == 1


@rfc("9113-8.2.3-1")
def test_cookies_are_joined(stand, heads):
    with H2(stand.port) as c:
        h = head_of(heads, c, path="/raw", more=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"),
                                                 ("cookie", "c=3; d=4")])
        assert h.lower().count("\r\ncookie:") == 1
        assert "cookie: a=1; b=2; c=3; d=4\r\n" in h.lower()


@rfc("9113-8.2.2-3 9113-10.3-2")
def test_te_trailers(stand, heads):
    """Allowed. It speaks of this connection, so it is not passed on as it is."""
    with H2(stand.port) as c:
        h = head_of(heads, c, path="/raw", more=[("te", "trailers")]).lower()
        assert "\r\nte:" not in h or "te" in h.split("\r\nconnection:")[1].split("\r\n")[0]


@rfc("9113-8.3.1-9 9113-8.3.1-10")
def test_options_asterisk(stand):
    with H2(stand.port) as c:
        assert c.get("OPTIONS", "*").status < 500
        served(c)


@rfc("9113-8.1.1-1")
def test_framing_towards_the_server(stand, heads):
    """A length stays one, other bodies are chunked, none is none; trailers go along."""
    with H2(stand.port) as c:
        h = head_of(heads, c, "POST", "/raw", more=[("content-length", "5")], body="hello").lower()
        assert "\r\ncontent-length: 5\r\n" in h and "transfer-encoding" not in h
        assert heads.whole[-1][1] == b"hello"
        h = head_of(heads, c, "POST", "/raw", body="hello").lower()
        assert heads.whole[-1][1] == b"hello"
        assert ("\r\ntransfer-encoding: chunked\r\n" in h) != ("\r\ncontent-length: 5\r\n" in h)
        h = head_of(heads, c, "GET", "/raw").lower()
        assert "content-length" not in h and "transfer-encoding" not in h
        s = c.request("POST", "/raw", end=False)
        c.send(data(s, b"hello"), headers(s, [("x-sum", "5"), ("x-more", "6")]))
        assert c.answer(s).status == 200
        assert heads.whole[-1][1] == b"hello"
        assert heads.whole[-1][2] == [("x-sum", "5"), ("x-more", "6")]


def test_empty_body_by_an_empty_frame(stand, heads):
    """END_STREAM on a DATA frame without content: with a length of 0, and without a length."""
    with H2(stand.port) as c:
        head_of(heads, c, "POST", "/raw", more=[("content-length", "0")], body="")
        assert heads.whole[-1][1] == b""
        head_of(heads, c, "POST", "/raw", body="")
        assert heads.whole[-1][1] == b""


# --- from HTTP/1.1 ----------------------------------------------------------------------------

@rfc("9113-8.2-1 9113-8.2.2-1 9113-8.2.2-4 9113-10.3-2 9113-8.3.2-1 9113-8.3-1 9113-8.3-2")
def test_answers_from_http1(stand, heads):
    """Names in lower case, nothing that speaks of the server's connection, :status first."""
    heads.answer, plain = (
        b"HTTP/1.1 200 OK\r\nX-Upper-Case: Kept As It Is\r\nConnection: keep-alive, X-Hop\r\n"
        b"Keep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n"
        b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n",
        heads.answer)
    try:
        with H2(stand.port) as c:
            a = c.get(path="/raw")
    finally:
        heads.answer = plain
    assert a.body == b"ok" and a.trailers == [("x-sum", "2")]
    got = dict(a.head.fields)
    assert a.head.fields[0] == (":status", "200")
    assert got["x-upper-case"] == "Kept As It Is"
    assert not set(got) & {"connection", "keep-alive", "x-hop", "proxy-connection", "upgrade",
                           "transfer-encoding"}
    assert all(n == n.lower() for n in got) and [n for n in got if n[0] == ":"] == [":status"]


@rfc("9113-8.3.2-1")
def test_interim_answers(stand):
    """103 and then 200, each with its :status."""
    with H2(stand.port) as c:
        a = c.get(path="/early-hints")
        assert [f.status for f in a.interim] == [103] and a.status == 200
        assert all(f.fields[0][0] == ":status" and not f.end for f in a.interim)


BAD_ANSWERS = [
    case("body shorter than its length", "",
         b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort"),
    case("chunks without an end", "",
         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nshort\r\n"),
    case("NUL in a value", "", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
    case("blank in a name", "", b"HTTP/1.1 200 OK\r\nX y: a\r\nContent-Length: 0\r\n\r\n"),
    case("line folding", "", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
@rfc("9113-8.1.1-1 9113-10.3-1")
def test_bad_answers_from_http1(stand, heads, answer):
    """502, or a reset once the head is out: never an end that looks like one."""
    heads.answer, plain = answer, heads.answer
    try:
        with H2(stand.port) as c:
            s = c.request(path="/raw")
            f = c.on(s, HEADERS, RST_STREAM)
            if f.kind == HEADERS and f.status == 200:
                f = c.wait(lambda f: f.stream == s and (f.end or f.kind == RST_STREAM))
                assert f.kind == RST_STREAM, f
            else:
                assert f.kind == RST_STREAM or f.status == 502, f
            served(c)
    finally:
        heads.answer = plain


@rfc("9113-8.1.1-1")
def test_head_has_no_body(stand):
    with H2(stand.port) as c:
        a = c.get("HEAD", "/bytes/100")
        assert a.status == 200 and a.get("content-length") == "100" and a.body == b""


@rfc("9113-8.5-2 9113-8.5-3")
def test_connect_is_refused(stand):
    """Nobody gets a tunnel to anywhere."""
    with Unseen(stand), H2(stand.port) as c:
        s = c.new_stream()
        c.send(headers(s, [(":method", "CONNECT"), (":authority", "127.0.0.1:22"), BAD], end=False))
        f = c.on(s)
        if f.kind == HEADERS:
            assert 400 <= f.status < 600
        else:
            assert f.kind == RST_STREAM
        served(c)
