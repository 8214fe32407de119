# SPDX-License-Identifier: Apache-2.0
"""What a failing server costs: nothing where a request may be repeated, never a second POST, never a
storm of retries."""

import collections
import contextlib
import re
import socket
import threading
import time

import pytest

from conftest import Closed, Conn, free_port, http, simple, wait_for


class Server:
    """A server in this process: handle(connection, number of the request on it, request) answers
    with bytes, or None to close. Counts requests by X-Test-Id."""

    def __init__(self, handle):
        self.handle = handle
        self.seen = collections.Counter()
        self.requests = 0
        self.connections = 0
        self.lock = threading.Lock()
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(conn,), daemon=True).start()

    def _talk(self, conn):
        data, number = b"", 0
        with conn, contextlib.suppress(OSError):
            while chunk := conn.recv(65536):
                data += chunk
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    while length and len(data) < int(length.group(1)):
                        data += conn.recv(65536)
                    data = data[int(length.group(1)) if length else 0:]
                    number += 1
                    self._note(head)
                    answer = self.handle(self, number, head)
                    if answer is None:
                        return
                    conn.sendall(answer)

    def _note(self, head):
        with self.lock:
            self.requests += 1
            found = re.search(rb"(?i)x-test-id: (\S+)", head)
            if found:
                self.seen[found.group(1).decode()] += 1

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def server():
    servers = []

    def make(handle):
        servers.append(Server(handle))
        return servers[-1]
    yield make
    for s in servers:
        s.close()


def pool(port, servers, **options):
    """No checks, no passive checks, one thread: only retries stand between client and failure."""
    conf = simple(port, servers, check=False, passive=False)
    conf["pools"]["web"].update(options)
    conf["proxy"] = {"threads": 1}
    conf["trust"] = ["127.0.0.1"]
    return conf


def nobody():
    return f"127.0.0.1:{free_port()}"


def test_dead_server_costs_gets_nothing(node, whoami):
    w, port = whoami("w"), free_port()
    n = node(pool(port, [w, nobody()]))
    with Conn(port) as c:
        for _ in range(40):
            c.request()
            assert c.recv_response().status == 200
    assert w.counts()["methods"]["GET"] == 40
    metrics = n.metrics()
    assert metrics['holdfast_pool_retries_total{pool="web"}'] == 20
    assert metrics['holdfast_server_connect_errors_total{pool="web",server="s2"}'] == 20


def test_post_is_retried_when_it_was_not_sent(node, whoami):
    """Nobody listens: the request never left, so a POST may go elsewhere."""
    w, port = whoami("w"), free_port()
    node(pool(port, [w, nobody()]))
    for i in range(20):
        assert http(port, "POST", headers={"X-Test-Id": f"p{i}"}, body=b"x" * 1000).status == 200
    ids = w.counts()["ids"]
    assert {ids[f"p{i}"] for i in range(20)} == {1}


def test_large_post_is_retried_when_it_was_not_sent(node, whoami):
    w, port = whoami("w"), free_port()
    node(pool(port, [w, nobody()]))
    for _ in range(4):
        answer = http(port, "POST", "/echo", body=b"y" * 3000000)
        assert answer.status == 200 and answer.body == b"y" * 3000000


def test_post_that_was_sent_is_not_repeated(node, server):
    """The server took it and died: nobody knows what it did with it."""
    bad, port = server(lambda s, n, head: None), free_port()
    good = server(lambda s, n, head: OK)
    node(pool(port, [bad.address, good.address]))
    results = collections.Counter()
    for i in range(20):
        answer = http(port, "POST", headers={"X-Test-Id": f"p{i}"}, body=b"x")
        results[answer.status] += 1
        if answer.status == 502:
            assert "may not be sent twice" in answer.get("holdfast-reason")
    assert results == {200: 10, 502: 10}
    assert set((bad.seen + good.seen).values()) == {1}


@pytest.mark.sanitize
def test_get_that_was_sent_is_repeated(node, server):
    bad, port = server(lambda s, n, head: None), free_port()
    good = server(lambda s, n, head: OK)
    node(pool(port, [bad.address, good.address], retry_budget="100%"))
    for i in range(20):
        assert http(port, headers={"X-Test-Id": f"g{i}"}).status == 200
    assert set(good.seen.values()) == {1}
    assert set(bad.seen.values()) == {1}


@pytest.mark.parametrize("method, repeated", [("GET", True), ("HEAD", True), ("OPTIONS", True),
                                              ("PUT", True), ("DELETE", True), ("POST", False),
                                              ("PATCH", False), ("STRANGE", False)])
def test_which_methods_are_repeated(node, server, method, repeated):
    bad, port = server(lambda s, n, head: None), free_port()
    good = server(lambda s, n, head: b"HTTP/1.1 204 No Content\r\n\r\n")
    node(pool(port, [bad.address, good.address]))
    statuses = {http(port, method, headers={"Content-Length": "0"}).status for _ in range(2)}
    assert statuses == ({204} if repeated else {204, 502})


def stale(server, number, head):
    """Answers the first request of a connection and closes it at the second: as a server whose
    keep-alive time ends in the moment the next request comes."""
    return OK if number == 1 else None


def test_stale_connection_is_invisible(node, server):
    s, port = server(stale), free_port()
    n = node(pool(port, [s.address], retries=0))
    with Conn(port) as c:
        for i in range(10):
            c.request(headers={"X-Test-Id": f"g{i}"})
            assert c.recv_response().status == 200
    # No fault of the server, so nothing that counts against it.
    metrics = n.metrics()
    assert metrics.get('holdfast_server_response_errors_total{pool="web",server="s1"}', 0) == 0
    assert s.requests > 10


def test_stale_connection_and_post(node, server):
    s, port = server(stale), free_port()
    node(pool(port, [s.address]))
    sent = {}
    with Conn(port) as c:
        for i in range(10):
            c.request("POST", headers={"X-Test-Id": f"p{i}"}, body=b"x")
            sent[f"p{i}"] = c.recv_response().status
    assert set(sent.values()) <= {200, 502}
    # Whatever the answer: the server never had one twice.
    assert max(s.seen.values()) == 1


def test_closed_idle_connection_is_not_used(node, whoami):
    """The server closes kept connections early; the proxy sees it and POSTs lose nothing."""
    w, port = whoami("w", "--idle", "100ms"), free_port()
    n = node(pool(port, [w], retries=0))
    for i in range(8):
        assert http(port, "POST", headers={"X-Test-Id": f"p{i}"}, body=b"x").status == 200
        # Until the server has closed what was kept, and the proxy knows.
        key = 'holdfast_server_open_connections{pool="web",server="w"}'
        wait_for(lambda: n.metrics().get(key, 0) == 0, what="no open connection")
    ids = w.counts()["ids"]
    assert [ids[f"p{i}"] for i in range(8)] == [1] * 8


def test_cut_response_is_not_repeated(node, whoami):
    """Once bytes have gone to the client there is no way back; it must see the cut."""
    a, b, port = whoami("a"), whoami("b"), free_port()
    node(pool(port, [a, b]))
    with pytest.raises(Closed):
        http(port, path="/truncate/100000", headers={"X-Test-Id": "cut"})
    seen = [w.counts()["ids"].get("cut", 0) for w in (a, b)]
    assert sum(seen) == 1


def test_error_status_is_not_repeated(node, whoami):
    """A 500 is an answer."""
    a, b, port = whoami("a"), whoami("b"), free_port()
    node(pool(port, [a, b]))
    assert http(port, path="/status/500", headers={"X-Test-Id": "x"}).status == 500
    assert sum(w.counts()["ids"].get("x", 0) for w in (a, b)) == 1


@pytest.mark.parametrize("retries, attempts", [(0, 1), (1, 2), (3, 4)])
def test_number_of_retries(node, retries, attempts):
    port = free_port()
    node(pool(port, [nobody() for _ in range(6)], retries=retries))
    answer = http(port)
    assert answer.status == 502
    assert f"(attempt {attempts}" in answer.get("holdfast-reason")


def test_retries_go_elsewhere(node, server):
    """Never twice to the server that has just failed."""
    port = free_port()
    servers = [server(lambda s, n, head: None) for _ in range(3)]
    node(pool(port, [s.address for s in servers], retries=10))
    answer = http(port, headers={"X-Test-Id": "one"})
    assert answer.status == 502
    assert [s.seen["one"] for s in servers] == [1, 1, 1]


def test_retries_of_a_route(node):
    port = free_port()
    conf = pool(port, [nobody() for _ in range(4)], retries=3)
    conf["routes"]["never"] = {"path": "/never", "to": "web", "retries": 0}
    node(conf)
    assert "(attempt 1" in http(port, path="/never").get("holdfast-reason")
    assert "(attempt 4" in http(port, path="/").get("holdfast-reason")


@pytest.mark.sanitize
def test_budget_holds_under_a_storm(node, server):
    """Every attempt fails: what reaches the servers stays near the number of requests."""
    port, total = free_port(), 400
    servers = [server(lambda s, n, head: None) for _ in range(3)]
    n = node(pool(port, [s.address for s in servers], retries=2, retry_budget="20%"))
    with Conn(port) as c:
        for _ in range(total):
            c.request()
            answer = c.recv_response()
            assert answer.status == 502
    attempts = sum(s.requests for s in servers)
    # 10 are always free in ten seconds; a slow machine may take several of these windows.
    assert total < attempts <= total * 1.35
    metrics = n.metrics()
    assert metrics['holdfast_pool_retry_budget_exhausted_total{pool="web"}'] > 0
    assert metrics['holdfast_pool_retries_total{pool="web"}'] == attempts - total


@pytest.mark.sanitize
def test_hung_server_and_get(node, whoami):
    """It costs a request at most its time limit; then another server answers."""
    good, hung, port = whoami("good"), whoami("hung"), free_port()
    node(pool(port, [good, hung], timeouts={"response": "300ms"}))
    hung.hang()
    for i in range(6):
        start = time.monotonic()
        answer = http(port, headers={"X-Test-Id": f"g{i}"})
        assert answer.status == 200 and answer.get("x-whoami") == "good"
        assert time.monotonic() - start < 20
    assert len(good.counts()["ids"]) == 6


def test_hung_server_and_post(node, whoami):
    good, hung, port = whoami("good"), whoami("hung"), free_port()
    node(pool(port, [good, hung], timeouts={"response": "300ms"}))
    hung.hang()
    statuses = [http(port, "POST", headers={"X-Test-Id": f"p{i}"}, body=b"x").status
                for i in range(6)]
    assert sorted(statuses) == [200] * 3 + [504] * 3
    hung.cont()
    # The hung one may answer what it had; nobody had any of them twice.
    total = collections.Counter(good.counts()["ids"]) + collections.Counter(hung.counts()["ids"])
    assert max(total.values()) == 1


def test_hung_server_is_taken_out(node, whoami):
    """Passive checks end the waiting: after a few failures nobody is sent there."""
    good, hung, port = whoami("good"), whoami("hung"), free_port()
    conf = pool(port, [good, hung], timeouts={"response": "200ms"},
                passive={"failures": 3, "eject": "60s"},
                check={"tcp": True, "interval": "60s"})
    n = node(conf)
    hung.hang()

    def out():
        assert http(port).status == 200
        return n.server("web/hung")["state"] == "down"
    wait_for(out, what="the hung server down")
    before = n.metrics()['holdfast_pool_retries_total{pool="web"}']
    for _ in range(20):
        assert http(port).get("x-whoami") == "good"
    assert n.metrics()['holdfast_pool_retries_total{pool="web"}'] == before


@pytest.mark.sanitize
def test_kill_and_return_under_load(node, whoami, load, tmp_path):
    """A server dies under GETs and POSTs and comes back: no GET fails, no POST is doubled, by the
    servers' own records, which outlive them."""
    files = [tmp_path / "a", tmp_path / "b"]
    a, b = (whoami(f.name, "--record", f) for f in files)
    port = free_port()
    n = node(simple(port, [a, b], passive={"eject": "500ms"}))
    x = load(port, threads=6, post_every=5)
    wait_for(lambda: x.count() > 200, what="load")
    b.kill()
    n.wait_server("web/b", "down")
    at = x.count()
    wait_for(lambda: x.count() > at + 200, what="load on one server")
    b.start()
    n.wait_server("web/b", "up")
    at = x.count()
    wait_for(lambda: x.count() > at + 200, what="load on both")
    records = x.stop()
    failed = [r for r in records if r.error]
    assert [r for r in failed if r.method == "GET"] == []
    # Only POSTs that the killed server had in its hands.
    assert len(failed) <= 6 * 2
    taken = collections.Counter(line for f in files for line in f.read_text().splitlines())
    posts = [f"POST {r.id}" for r in records if r.method == "POST"]
    assert [p for p in posts if taken[p] > 1] == []
    answered = [f"{r.method} {r.id}" for r in records if not r.error]
    assert [p for p in answered if taken[p] < 1] == []
