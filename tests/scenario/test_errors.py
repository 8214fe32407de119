# SPDX-License-Identifier: Apache-2.0
"""Error answers: their form, own pages, who is told the reason."""

import contextlib
import json

import pytest

from conftest import Conn, Node, free_port, http, simple, wait_for

REASON = "no healthy server in pool web (2 down: connect refused"


def dead(port):
    """A node all of whose servers are down."""
    conf = simple(port, [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"])
    conf["trust"] = ["127.0.0.2"]
    return conf


@pytest.fixture(scope="module")
def down():
    with contextlib.ExitStack() as stack:
        port = free_port()
        n = Node(dead(port), start=False)
        stack.callback(n.remove)
        stack.callback(n.stop)
        n.start()
        n.wait_server("web/s1", "down")
        n.wait_server("web/s2", "down")
        yield port


def ask_from(source, port, headers=(), method="GET"):
    """A request from another address of this machine."""
    import socket
    c = Conn.__new__(Conn)
    c.timeout, c.buf = 30, b""
    c.sock = socket.create_connection(("127.0.0.1", port), 30, (source, 0))
    with c:
        c.request(method, headers=headers)
        return c.recv_response(method)


@pytest.mark.parametrize("accept, want", [
    (None, "text/plain"), ("*/*", "text/plain"), ("text/html", "text/html"),
    ("application/json", "application/json"), ("text/plain", "text/plain"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
    ("application/json;q=0.9, text/html;q=0.3", "application/json"),
    ("image/png", "text/plain"), (",;q=x,/", "text/plain"),
])
def test_forms(down, accept, want):
    answer = http(down, headers={"Accept": accept} if accept else {})
    assert answer.status == 503
    assert answer.get("content-type").split(";")[0] == want
    assert answer.get("cache-control") == "no-store"
    assert answer.get("x-request-id") in answer.text
    if want == "application/json":
        assert json.loads(answer.text) == {"status": 503, "error": "Service Unavailable",
                                           "request_id": answer.get("x-request-id")}


def test_strangers_get_no_reason(down):
    for accept in ("text/plain", "text/html", "application/json"):
        answer = http(down, headers={"Accept": accept})
        assert answer.get("holdfast-reason") is None
        assert "web" not in answer.text and "refused" not in answer.text


def test_trusted_get_the_reason(down):
    answer = ask_from("127.0.0.2", down)
    assert answer.get("holdfast-reason").startswith(REASON)
    assert REASON in answer.text
    answer = ask_from("127.0.0.2", down, {"Accept": "application/json"})
    assert json.loads(answer.text)["reason"] == answer.get("holdfast-reason")


def test_head(down):
    with Conn(down) as c:
        c.request("HEAD")
        answer = c.recv_response("HEAD")
        assert answer.status == 503
        assert int(answer.get("content-length")) > 0
        c.request("HEAD") # and nothing of a body came between
        assert c.recv_response("HEAD").status == 503


def test_connection_goes_on(down):
    with Conn(down) as c:
        for _ in range(5):
            c.request()
            assert c.recv_response().status == 503


def test_pipelined(down):
    with Conn(down) as c:
        c.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        assert [c.recv_response().status for _ in range(4)] == [503] * 4


def test_many_pipelined(down):
    """More than one turn answers, to a client that reads only when it has sent them all."""
    with Conn(down) as c:
        c.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        assert [c.recv_response().status for _ in range(1000)] == [503] * 1000


def test_http10_closes(down):
    with Conn(down) as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        assert c.recv_response().status == 503
        assert c.closed()


def test_post_with_body(down):
    """The answer comes whether or not the body was read; a client that sends on is not cut off
    before it has the answer."""
    answer = http(down, "POST", body=b"x" * 200000)
    assert answer.status == 503


def test_bad_request_has_an_id(down):
    with Conn(down) as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n")
        answer = c.recv_response()
        assert answer.status == 400
        assert answer.get("x-request-id")
        assert answer.get("connection") == "close"
        assert c.closed()


def test_forged_accept_and_id_are_harmless(down):
    answer = ask_from("127.0.0.2", down, {"X-Request-Id": "<script>&\"", "Accept": "text/html"})
    assert "<script>" not in answer.text
    assert answer.get("x-request-id") == "<script>&\""


@pytest.mark.sanitize
def test_own_pages(node, whoami, tmp_path):
    """The most specific list that has the status: route, pool, listener, all."""
    pages = {}
    for name in ("route", "pool", "listener", "all"):
        f = tmp_path / f"{name}.html"
        f.write_text(f"<h1>{name}</h1>")
        pages[name] = str(f)
    port = free_port()
    gone = f"127.0.0.1:{free_port()}"
    check = {"tcp": True, "interval": "100ms", "fall": 1}
    conf = {
        "proxy": {"threads": 1},
        "error_pages": {503: pages["all"], 404: pages["all"]},
        "listeners": {"http": {"bind": f"127.0.0.1:{port}",
                               "error_pages": {503: pages["listener"]}}},
        "routes": {"r": {"path": "/route", "to": "p", "error_pages": {503: pages["route"]}},
                   "p": {"path": "/pool", "to": "p"},
                   "l": {"path": "/listener", "to": "l"}},
        "pools": {"p": {"servers": {"a": gone}, "check": dict(check),
                        "error_pages": {503: pages["pool"]}},
                  "l": {"servers": {"a": gone}, "check": check}},
    }
    n = node(conf)
    n.wait_server("p/a", "down")
    n.wait_server("l/a", "down")
    for path, status, name in (("/route", 503, "route"), ("/pool", 503, "pool"),
                               ("/listener", 503, "listener"), ("/other", 404, "all")):
        answer = http(port, path=path, headers={"Accept": "application/json"})
        assert answer.status == status
        assert answer.text == f"<h1>{name}</h1>"
        assert answer.get("content-type").startswith("text/html")
        assert answer.get("x-request-id")
    # The page is read at reload, never on the way.
    (tmp_path / "route.html").write_text("<h1>new</h1>")
    assert http(port, path="/route").text == "<h1>route</h1>"
    done = n.reload()
    assert done.returncode == 0, done.stdout + done.stderr
    assert http(port, path="/route").text == "<h1>new</h1>"


def test_missing_page_is_an_error(node):
    conf = simple(free_port(), ["127.0.0.1:1"])
    conf["error_pages"] = {503: "/nonexistent/page.html"}
    n = node(conf, start=False)
    done = n.cli("check", "-c", n.path)
    assert done.returncode == 1
    assert "/nonexistent/page.html" in done.stdout + done.stderr


def test_reasons_of_server_failures(node, whoami):
    """502 and 504 say which server failed and how."""
    w = whoami("w")
    port = free_port()
    conf = simple(port, [w], check=False, retries=0, passive=False,
                  timeouts={"response": "300ms"})
    conf["trust"] = ["127.0.0.1"]
    node(conf)
    answer = http(port, path="/close?reset=1")
    assert answer.status == 502
    assert "web/w" in answer.get("holdfast-reason")
    answer = http(port, path="/hang")
    assert answer.status == 504
    assert "answer timed out" in answer.get("holdfast-reason")
    w.kill()
    answer = wait_for(lambda: http(port), what="an answer")
    assert answer.status == 502
    assert "connect refused" in answer.get("holdfast-reason")
