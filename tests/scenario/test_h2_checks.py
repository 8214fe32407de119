# SPDX-License-Identifier: Apache-2.0
"""http checks over HTTP/2: of pools whose servers speak it, against Debian's servers and against
one that answers badly."""

import copy
import os
import shutil
import tempfile

import h2.events
import pytest

from conftest import free_port, simple, wait_for
from h2origin import Cert, H2Origin, answering, nghttpd, nginx
from origin import Origin

pytestmark = pytest.mark.sanitize

CHECK = {"interval": "100ms", "timeout": "5s", "rise": 1, "fall": 1}


@pytest.fixture(scope="module")
def cert():
    c = Cert()
    yield c
    c.remove()


@pytest.fixture
def www():
    """A page; its text is longer than a frame."""
    path = tempfile.mkdtemp(prefix="hf-www-")
    os.chmod(path, 0o755)
    with open(os.path.join(path, "health"), "w", encoding="ascii") as f:
        f.write("x" * 20000 + "all is well" + "x" * 20000)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def origin():
    made = []

    def make(serve, kind=H2Origin, **options):
        made.append(kind(serve, **options))
        return made[-1]
    yield make
    for o in made:
        o.stop()


def pools(**rows):
    """Pools of one server each that speak HTTP/2: name=(port, check, what else the pool has)."""
    conf = simple(free_port(), ["127.0.0.1:1"], check=False)
    for name, (port, check, *more) in rows.items():
        conf["pools"][name] = {"protocol": "h2", "check": {**CHECK, "http": "/health", **check},
                               "servers": {"s": f"127.0.0.1:{port}"},
                               **copy.deepcopy(more[0] if more else {})}
    return conf


def why(n, name):
    s = n.server(f"{name}/s")
    return s["reason"] if s["state"] == "down" else ""


def wait_down(n, name, words):
    wait_for(lambda: words in why(n, name), 60, f"{name}: {words}; is {why(n, name)!r}")


@pytest.mark.parametrize("serve", [nghttpd, nginx])
def test_real_servers(node, www, cert, serve):
    plain, secure = serve(www), serve(www, cert)
    trust = {"tls": {"verify": False}}
    try:
        n = node(pools(
            clear=(plain.port, {}), match=(plain.port, {"match": "all is well"}),
            head=(plain.port, {"method": "HEAD"}), absent=(plain.port, {"http": "/absent"}),
            wanted=(plain.port, {"http": "/absent", "expect": 404}),
            other=(plain.port, {"match": "all is lost"}),
            tls=(secure.port, {}, trust), tls_match=(secure.port, {"match": "all is well"}, trust),
            unknown=(secure.port, {}, {"tls": {"server_name": "shop.test"}}),
        ))
        for name in ("clear", "match", "head", "wanted", "tls", "tls_match"):
            n.wait_server(f"{name}/s", "up")
        wait_down(n, "absent", "HTTP 404")
        wait_down(n, "other", "body does not match")
        wait_down(n, "unknown", "TLS handshake failed: certificate not accepted")
        for name in ("match", "tls_match"):
            wait_for(lambda: n.server(f"{name}/s")["checks_ok"] >= 5, 60, "some checks")
            assert n.server(f"{name}/s")["checks_failed"] == 0
    finally:
        plain.stop()
        secure.stop()


def test_the_request(node, origin):
    """What the server sees is what HTTP/1.1 would have said."""
    o = origin(answering())
    n = node(pools(a=(o.port, {"http": "/health?deep=1", "method": "POST", "host": "shop.test",
                               "headers": {"X-Probe": "Yes", "Connection": "x-hop", "X-Hop": "1"}}),
                   b=(o.port, {"http": "/plain"})))
    n.wait_server("a/s", "up")
    n.wait_server("b/s", "up")

    def seen(path):
        return next((dict(r.headers) for p in o.peers for r in list(p.requests.values())
                     if r.get(":path") == path), None)
    a, b = seen("/health?deep=1"), seen("/plain")
    assert a == {":method": "POST", ":scheme": "http", ":authority": "shop.test",
                 ":path": "/health?deep=1", "x-probe": "Yes", "user-agent": "holdfast-check",
                 "accept": "*/*", "content-length": "0", "te": "trailers"}
    assert b[":authority"] == f"127.0.0.1:{o.port}" and b[":method"] == "GET"
    # each question ends its connection with a GOAWAY
    wait_for(lambda: any(p.saw(h2.events.ConnectionTerminated) for p in o.peers))


def test_bad_answers(node, origin, cert, www):
    """Each in words that tell what it was; once the server answers well, it is up."""
    def once(fn):
        def serve(peer):
            if r := peer.request(set()):
                fn(peer, r)
                while peer.more():
                    pass
        return serve

    def belied(peer, r):
        peer.h2.send_headers(r.stream, [(":status", "200"), ("content-length", "9")])
        peer.h2.send_data(r.stream, b"two", end_stream=True)
        peer.flush()

    def twice(peer, r):
        peer.reply(r.stream, b"", headers=[("content-length", "0"), ("content-length", "1")])

    def http1(peer):
        peer.sock.recv(100)
        peer.sock.sendall(b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n")

    def calm(peer, r):
        peer.h2.close_connection(error_code=11, last_stream_id=0, additional_data=b"too_many")
        peer.flush()

    answers = {
        "resets": (once(lambda p, r: p.reset(r.stream, 2)), "stream reset: INTERNAL_ERROR"),
        "refuses": (once(lambda p, r: p.reset(r.stream, 7)), "stream reset: REFUSED_STREAM"),
        "goes": (once(lambda p, r: p.goaway(0)), "GOAWAY: NO_ERROR"),
        "calm": (once(calm), "GOAWAY: ENHANCE_YOUR_CALM: too_many"),
        "belied": (once(belied), "not HTTP/2 as it should be: "),
        "twice": (once(twice), "not HTTP/2 as it should be: "),
        "hangs": (once(lambda p, r: None), "answer timed out"),
        "busy": (answering(status=503), "HTTP 503"),
        "large": (answering(headers=[("x", "y" * 8000)] * 3), "header fields too large"),
    }
    well = set()

    def either(name, bad):
        good = answering(b"all is well")
        return lambda peer: (good if name in well else bad)(peer)
    rows = {name: (origin(either(name, fn)).port, {"match": "well"})
            for name, (fn, _) in answers.items()}
    rows["hangs"][1]["timeout"] = "500ms"
    answers["http1"] = (None, "not HTTP/2: it answers HTTP/1.1 505 HTTP Version Not Supported")
    rows["http1"] = (origin(http1, kind=Origin).port, {})
    old = nginx(www, cert, http2=False)
    answers["alpn"] = (None, "TLS handshake failed: ")
    rows["alpn"] = (old.port, {}, {"tls": {"verify": False}})
    try:
        n = node(pools(**rows))
        for name, (_, words) in answers.items():
            wait_down(n, name, words)
        well.update(answers)
        for name in set(answers) - {"http1", "alpn"}:
            n.wait_server(f"{name}/s", "up", 60)
    finally:
        old.stop()


def test_where_it_is_spoken(node, origin, whoami):
    """A port for checks alone speaks HTTP/1.1, unless the check says otherwise; a reload counts."""
    o, w = origin(answering()), whoami()
    conf = pools(own=(o.port, {"port": w.port}),
                 own_h2=(w.port, {"port": o.port, "protocol": "h2"}),
                 turned=(o.port, {}))
    conf["pools"]["own_h2"]["protocol"] = "http"
    conf["checks"] = {"named": {**CHECK, "address": o.address, "http": "/", "protocol": "h2"},
                      "named1": {**CHECK, "address": w.address, "http": "/health"}}
    n = node(conf)
    for name in ("own", "own_h2", "turned"):
        n.wait_server(f"{name}/s", "up")
    wait_for(lambda: {c["state"] for c in n.status()["checks"]} == {"up"}, what="named checks")
    conf["pools"]["turned"]["check"]["protocol"] = "http"
    n.reload(conf)
    n.wait_server("turned/s", "down")
    del conf["pools"]["turned"]["check"]["protocol"]
    n.reload(conf)
    n.wait_server("turned/s", "up")
    conf["pools"]["turned"]["protocol"] = "http" # of the pool alone
    n.reload(conf)
    n.wait_server("turned/s", "down")
