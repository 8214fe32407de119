# SPDX-License-Identifier: Apache-2.0
"""Fields that the proxy sets, passes on and removes, both ways; whom it trusts."""

import contextlib
import re
import socket
import threading

import pytest

from conftest import Conn, Node, Whoami, free_port, http, simple


class Echo:
    """A node in front of one whoami; fields(…) gives what the whoami was sent."""

    def __init__(self, stack, **top):
        self.port = free_port()
        w = Whoami("w")
        stack.callback(w.stop)
        conf = simple(self.port, [w])
        conf.update(top)
        self.node = Node(conf, start=False)
        stack.callback(self.node.remove)
        stack.callback(self.node.stop)
        self.node.start()

    def fields(self, headers=(), **options):
        answer = http(self.port, headers=headers, **options)
        assert answer.status == 200, answer
        request = answer.text[answer.text.index(" HTTP/1.1\r\n"):]
        out = {}
        for line in request.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name:
                out.setdefault(name.lower(), []).append(value.strip())
        return out


@pytest.fixture(scope="module")
def strict():
    with contextlib.ExitStack() as stack:
        yield Echo(stack)


@pytest.fixture(scope="module")
def trusting():
    with contextlib.ExitStack() as stack:
        yield Echo(stack, trust=["127.0.0.0/8"])


FORGED = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https",
          "X-Forwarded-Host": "evil.test", "X-Forwarded-Port": "443",
          "Forwarded": "for=1.2.3.4", "X-Request-Id": "forged"}


def test_forwarded_fields_are_set(strict):
    f = strict.fields()
    assert f["host"] == ["test"]
    assert f["x-forwarded-for"] == ["127.0.0.1"]
    assert f["x-forwarded-proto"] == ["http"]
    assert f["x-forwarded-host"] == ["test"]
    assert f["x-forwarded-port"] == [str(strict.port)]
    assert re.fullmatch(r"[0-9a-f]{32}", f["x-request-id"][0])


def test_strangers_cannot_forge(strict):
    f = strict.fields(FORGED)
    assert f["x-forwarded-for"] == ["127.0.0.1"]
    assert f["x-forwarded-proto"] == ["http"]
    assert f["x-forwarded-host"] == ["test"]
    assert f["x-forwarded-port"] == [str(strict.port)]
    assert f["x-request-id"] != ["forged"] and len(f["x-request-id"]) == 1
    assert "forwarded" not in f


def test_trusted_are_believed(trusting):
    f = trusting.fields(FORGED)
    assert f["x-forwarded-for"] == ["1.2.3.4, 127.0.0.1"]
    assert f["x-forwarded-proto"] == ["https"]
    assert f["x-forwarded-host"] == ["evil.test"]
    assert f["x-forwarded-port"] == ["443"]
    assert f["x-request-id"] == ["forged"]
    assert f["forwarded"] == ["for=1.2.3.4"]


def test_trusted_without_fields(trusting):
    f = trusting.fields()
    assert f["x-forwarded-for"] == ["127.0.0.1"]
    assert f["x-forwarded-proto"] == ["http"]
    assert len(f["x-request-id"]) == 1


def test_several_forwarded_for_are_joined(trusting):
    f = trusting.fields([("X-Forwarded-For", "1.1.1.1, 2.2.2.2"), ("X-Forwarded-For", "3.3.3.3")])
    assert f["x-forwarded-for"] == ["1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"]


def test_two_request_ids_become_one(trusting):
    f = trusting.fields([("X-Request-Id", "one"), ("X-Request-Id", "two")])
    assert f["x-request-id"] == ["one"]


def test_long_request_id_is_replaced(trusting):
    f = trusting.fields({"X-Request-Id": "x" * 1000})
    assert len(f["x-request-id"][0]) == 32


def test_request_ids_differ(strict):
    ids = {strict.fields()["x-request-id"][0] for _ in range(50)}
    assert len(ids) == 50


HOP = {"Connection": "close, X-Mine, Keep-Alive", "X-Mine": "1", "Keep-Alive": "timeout=5",
       "Proxy-Connection": "keep-alive", "TE": "trailers", "Proxy-Authorization": "Basic eA==",
       "Upgrade": "h2c", "X-Other": "2"}


def test_hop_by_hop_fields_go(strict):
    f = strict.fields(HOP)
    for name in ("x-mine", "keep-alive", "proxy-connection", "te", "upgrade"):
        assert name not in f, name
    assert f["x-other"] == ["2"]
    assert "close" not in ",".join(f.get("connection", []))


def test_connection_cannot_remove_what_we_set(strict):
    """A client names our own fields in Connection; they are set after the removal."""
    f = strict.fields({"Connection": "X-Forwarded-For, X-Request-Id, X-Forwarded-Proto, Host"})
    assert f["x-forwarded-for"] == ["127.0.0.1"]
    assert f["x-forwarded-proto"] == ["http"]
    assert f["host"] == ["test"]
    assert len(f["x-request-id"]) == 1


def test_other_fields_go_as_they_came(strict):
    sent = [("X-Twice", "a"), ("Cookie", "a=b; c=d"), ("X-Twice", "b"), ("Accept", "a/b;q=0.1"),
            ("Authorization", "Bearer x"), ("X-Empty", "")]
    f = strict.fields(sent)
    assert f["x-twice"] == ["a", "b"]
    assert f["cookie"] == ["a=b; c=d"]
    assert f["accept"] == ["a/b;q=0.1"]
    assert f["authorization"] == ["Bearer x"]
    assert f["x-empty"] == [""]


def test_http10_request_goes_on_as_http11(strict):
    with Conn(strict.port) as c:
        c.send("GET / HTTP/1.0\r\nHost: old.test\r\n\r\n")
        answer = c.recv_response()
        assert "GET / HTTP/1.1\r\nHost: old.test\r\n" in answer.text
        assert c.closed()


def test_http10_keep_alive(strict):
    with Conn(strict.port) as c:
        for _ in range(3):
            c.send("GET / HTTP/1.0\r\nHost: old.test\r\nConnection: keep-alive\r\n\r\n")
            answer = c.recv_response()
            assert answer.status == 200
            assert answer.get("connection").lower() == "keep-alive"


def test_connection_close_is_answered(strict):
    with Conn(strict.port) as c:
        c.request(headers={"Connection": "close"})
        assert c.recv_response().get("connection") == "close"
        assert c.closed()


def test_unix_listener(node, whoami, tmp_path):
    path = tmp_path / "web.sock"
    w = whoami("w")
    conf = simple(free_port(), [w])
    conf["listeners"]["local"] = {"bind": f"unix:{path}"}
    node(conf)
    answer = http(str(path))
    assert answer.status == 200
    assert "X-Forwarded-For: unix\r\n" in answer.text
    assert "X-Forwarded-Port" not in answer.text


class Scripted:
    """A server that answers every request with the same bytes."""

    def __init__(self, answer):
        self.answer = answer
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(conn,), daemon=True).start()

    def _talk(self, conn):
        data = b""
        with conn, contextlib.suppress(OSError):
            while chunk := conn.recv(65536):
                data += chunk
                while b"\r\n\r\n" in data:
                    data = data.split(b"\r\n\r\n", 1)[1]
                    conn.sendall(self.answer)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.fixture
def scripted():
    servers = []

    def make(answer):
        servers.append(Scripted(answer))
        return servers[-1]
    yield make
    for s in servers:
        s.close()


def test_response_fields(node, scripted):
    s = scripted(b"HTTP/1.1 200 Fine By Me\r\nServer: theirs\r\nX-Twice: a\r\nX-Twice: b\r\n"
                 b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
                 b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok")
    port = free_port()
    node(simple(port, [s.address], check=False))
    answer = http(port)
    assert (answer.status, answer.reason) == (200, "Fine By Me")
    assert answer.all("x-twice") == ["a", "b"]
    assert answer.all("set-cookie") == ["a=b", "c=d"]
    assert answer.get("server") == "theirs"
    for name in ("x-hop", "keep-alive"):
        assert answer.get(name) is None, name
    assert answer.body == b"ok"


@pytest.mark.parametrize("trusted", [False, True])
def test_reason_of_a_server_behind(node, scripted, trusted):
    """A Holdfast further back trusts us; a stranger must not see what it tells."""
    s = scripted(b"HTTP/1.1 503 Service Unavailable\r\nHoldfast-Reason: inner topology\r\n"
                 b"Content-Length: 0\r\n\r\n")
    port = free_port()
    conf = simple(port, [s.address], check=False)
    if trusted:
        conf["trust"] = ["127.0.0.1"]
    node(conf)
    answer = http(port)
    assert answer.status == 503
    assert answer.get("holdfast-reason") == ("inner topology" if trusted else None)
