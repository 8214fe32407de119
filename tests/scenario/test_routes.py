# SPDX-License-Identifier: Apache-2.0
"""Routes end to end: one whoami for each route tells which one a request took."""

import contextlib

import pytest

from conftest import Conn, Node, Whoami, free_port, http

ROUTES = {
    "any": {"to": "any"},
    "shop": {"host": ["shop.test", "www.shop.test"], "to": "shop"},
    "api": {"host": "shop.test", "path": "/api", "to": "api"},
    "apiv2": {"host": "shop.test", "path": "/api/v2", "to": "apiv2"},
    "post": {"host": "shop.test", "path": "/api", "method": ["POST"], "to": "post"},
    "beta": {"host": "shop.test", "path": "/api", "method": ["POST"],
             "header": {"X-Beta": "yes"}, "to": "beta"},
    "wild": {"host": "*.shop.test", "to": "wild"},
    "wildeu": {"host": "*.eu.shop.test", "to": "wildeu"},
    "admin": {"host": "shop.test", "path": "/admin", "to": "admin"},
    "local": {"host": "net.test", "client": ["127.0.0.0/8"], "to": "local"},
    "far": {"host": "far.test", "client": ["10.0.0.0/8"], "to": "far"},
    "inside": {"host": "shop.test", "path": "/status", "listener": "inside", "to": "inside"},
}


class Site:
    """A node with all routes in the given order, a whoami behind each."""

    def __init__(self, stack, names):
        self.port, self.inside = free_port(), free_port()
        servers = {}
        for name in ROUTES:
            w = Whoami(name)
            stack.callback(w.stop)
            servers[name] = w
        self.conf = {
            "proxy": {"threads": 1},
            "listeners": {"http": {"bind": f"127.0.0.1:{self.port}"},
                          "inside": {"bind": f"127.0.0.1:{self.inside}"}},
            "routes": {n: ROUTES[n] for n in names},
            "pools": {n: {"check": {"tcp": True, "interval": "1s"},
                          "servers": {"one": w.address}} for n, w in servers.items()},
        }
        self.node = Node(self.conf, start=False)
        stack.callback(self.node.remove)
        stack.callback(self.node.stop)
        self.node.start()

    def ask(self, method="GET", host="shop.test", path="/", headers=(), port=None):
        return http(port or self.port, method, path, headers, host=host,
                    body=b"" if method == "POST" else None)


@pytest.fixture(scope="module")
def site():
    with contextlib.ExitStack() as stack:
        yield Site(stack, ROUTES)


CASES = [
    ("GET", "shop.test", "/", {}, "shop"),
    ("GET", "www.shop.test", "/x", {}, "shop"),
    ("GET", "SHOP.TEST", "/", {}, "shop"),
    ("GET", "shop.test:8080", "/", {}, "shop"),
    ("GET", "shop.test.", "/", {}, "shop"),
    ("GET", "shop.test", "/api", {}, "api"),
    ("GET", "shop.test", "/api/", {}, "api"),
    ("GET", "shop.test", "/api?x=/api/v2", {}, "api"),
    ("GET", "shop.test", "/apix", {}, "shop"),
    ("GET", "shop.test", "/api/v2/y", {}, "apiv2"),
    ("GET", "shop.test", "/api/v2?x", {}, "apiv2"),
    ("POST", "shop.test", "/api", {}, "post"),
    ("POST", "shop.test", "/api", {"X-Beta": "yes"}, "beta"),
    ("POST", "shop.test", "/api", {"x-beta": "no"}, "post"),
    ("GET", "shop.test", "/api", {"X-Beta": "yes"}, "api"),
    ("GET", "a.shop.test", "/api", {}, "wild"),
    ("GET", "a.b.shop.test", "/", {}, "wild"),
    ("GET", "de.eu.shop.test", "/", {}, "wildeu"),
    ("GET", "eu.shop.test", "/", {}, "wild"),
    ("GET", "xshop.test", "/", {}, "any"),
    ("GET", "127.0.0.1", "/", {}, "any"),
    ("GET", "shop.test", "/admin/x", {}, "admin"),
    ("GET", "shop.test", "/x/../admin", {}, "admin"),
    ("GET", "shop.test", "/x/%2e%2e/admin", {}, "admin"),
    ("GET", "shop.test", "//admin", {}, "admin"),
    ("GET", "shop.test", "/%61dmin", {}, "admin"),
    ("GET", "net.test", "/", {}, "local"),
    ("GET", "far.test", "/", {}, "any"),
    ("GET", "shop.test", "/status", {}, "shop"),
]


@pytest.mark.parametrize("method, host, path, headers, want", CASES)
def test_takes(site, method, host, path, headers, want):
    answer = site.ask(method, host, path, headers)
    assert answer.status == 200
    assert answer.get("x-whoami") == want


def test_route_of_one_listener(site):
    assert site.ask(path="/status", port=site.inside).get("x-whoami") == "inside"
    assert site.ask(path="/status").get("x-whoami") == "shop"


def test_path_goes_on_as_sent(site):
    """What is cleaned for the comparison is not rewritten for the server."""
    answer = site.ask(path="/x/../admin/%2e/y%20z?a=%2e")
    assert answer.get("x-whoami") == "admin"
    assert "GET /x/../admin/%2e/y%20z?a=%2e HTTP/1.1" in answer.text


def test_absolute_form(site):
    """The host of the target decides (RFC 9112, 3.2.2)."""
    with Conn(site.port) as c:
        c.send("GET http://a.shop.test/x HTTP/1.1\r\nHost: a.shop.test\r\n\r\n")
        assert c.recv_response().get("x-whoami") == "wild"


def test_http10_without_host(site):
    with Conn(site.port) as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        assert c.recv_response().get("x-whoami") == "any"


def test_explain_agrees(site):
    """What `explain` says is what happens."""
    for method, host, path, headers, want in CASES:
        if method != "GET" or ":" in host:
            continue
        said = site.node.json("explain", f"http://{host}:{site.port}{path}",
                              *[f"{n}: {v}" for n, v in headers.items()])
        assert said["route"]["name"] == want, (host, path)
        assert said["server"]["id"] == f"{want}/one"


@pytest.mark.sanitize
def test_order_in_file_does_not_matter():
    with contextlib.ExitStack() as stack:
        site = Site(stack, reversed(list(ROUTES)))
        for method, host, path, headers, want in CASES:
            assert site.ask(method, host, path, headers).get("x-whoami") == want


def test_no_route(node, whoami):
    port, w = free_port(), whoami("w")
    n = node({
        "proxy": {"threads": 1},
        "trust": ["127.0.0.1"],
        "listeners": {"http": {"bind": f"127.0.0.1:{port}"}},
        "routes": {"shop": {"host": "shop.test", "path": "/x", "to": "w"}},
        "pools": {"w": {"servers": {"one": w.address}}},
    })
    with Conn(port) as c: # the connection goes on after it
        for path, status in (("/", 404), ("/x", 200), ("/xy", 404), ("/x/y", 200)):
            c.request(path=path, host="shop.test")
            answer = c.recv_response()
            assert answer.status == status
            if status == 404:
                assert answer.get("holdfast-reason") == \
                    f"no route for host shop.test and path {path}"
    said = n.json("explain", f"http://shop.test:{port}/")
    assert said["answer"].startswith("404: no route")
    assert said["route"]["candidates"] == ["shop: no: path / is not at or below /x"]


def test_tie_is_refused(node):
    n = node({
        "listeners": {"http": {"bind": f"127.0.0.1:{free_port()}"}},
        "routes": {"one": {"path": "/a", "to": "w"}, "two": {"path": "/a", "to": "w"}},
        "pools": {"w": {"servers": {"one": "127.0.0.1:1"}}},
    }, start=False)
    done = n.cli("check", "-c", n.path)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "one" in text and "two" in text and "error" in text
