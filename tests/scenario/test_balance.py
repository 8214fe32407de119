# SPDX-License-Identifier: Apache-2.0
"""Balancing end to end: the algorithms by the servers' own counts, backups, limits and queues."""

import collections
import threading

import pytest

from conftest import Conn, free_port, http, simple, wait_for


def take(port, n, headers=(), path="/"):
    """n requests on one connection; how many each server answered."""
    got = collections.Counter()
    with Conn(port) as c:
        for _ in range(n):
            c.request(headers=headers, path=path)
            answer = c.recv_response()
            assert answer.status == 200, answer
            got[answer.get("x-whoami")] += 1
    return got


def one_thread(conf):
    conf["proxy"] = {"threads": 1}
    return conf


def counted(servers):
    return {w.name: w.counts()["methods"].get("GET", 0) for w in servers}


def test_round_robin_is_exact(node, whoami):
    servers = [whoami(n) for n in "abc"]
    port = free_port()
    node(one_thread(simple(port, servers)))
    assert take(port, 300) == {"a": 100, "b": 100, "c": 100}


def test_round_robin_by_weight(node, whoami):
    servers = {n: whoami(n) for n in "abc"}
    port = free_port()
    conf = one_thread(simple(port, []))
    conf["pools"]["web"]["servers"] = {
        n: {"address": w.address, "weight": k} for (n, w), k in zip(servers.items(), (1, 2, 5))}
    node(conf)
    assert take(port, 400) == {"a": 50, "b": 100, "c": 250}


def test_round_robin_over_threads(node, whoami):
    """Threads count apart; together they are even to within a turn each."""
    servers = [whoami(n) for n in "ab"]
    port = free_port()
    conf = simple(port, servers)
    conf["proxy"] = {"threads": 4}
    node(conf)
    got = collections.Counter()
    for _ in range(200):
        got[http(port).get("x-whoami")] += 1
    assert abs(got["a"] - got["b"]) <= 4


def test_least_conn_avoids_the_busy(node, whoami):
    servers = {n: whoami(n) for n in "abc"}
    port = free_port()
    conf = one_thread(simple(port, servers.values(), balance="least_conn"))
    node(conf)
    busy = [Conn(port) for _ in range(2)]
    try:
        # Two answers that take long occupy two servers; all the rest goes to the third.
        names = []
        for c in busy:
            c.request(path="/slow/100000000?rate=1000")
            names.append(c.recv_head().get("x-whoami"))
        assert len(set(names)) == 2
        free = ({"a", "b", "c"} - set(names)).pop()
        assert take(port, 50) == {free: 50}
    finally:
        for c in busy:
            c.close()


def test_least_conn_spreads_when_idle(node, whoami):
    servers = [whoami(n) for n in "abc"]
    port = free_port()
    node(one_thread(simple(port, servers, balance="least_conn")))
    got = take(port, 300)
    assert min(got[n] for n in "abc") >= 50


def test_random_two_uses_all(node, whoami):
    servers = [whoami(n) for n in "abcd"]
    port = free_port()
    node(one_thread(simple(port, servers, balance="random_two")))
    got = take(port, 400)
    assert min(got[n] for n in "abcd") >= 50


def test_random_two_avoids_the_busy(node, whoami):
    servers = [whoami(n) for n in "ab"]
    port = free_port()
    node(one_thread(simple(port, servers, balance="random_two")))
    with Conn(port) as c:
        c.request(path="/slow/100000000?rate=1000")
        busy = c.recv_head().get("x-whoami")
        other = ({"a", "b"} - {busy}).pop()
        assert take(port, 40) == {other: 40}


def test_header_hash_sticks(node, whoami):
    servers = [whoami(n) for n in "abcd"]
    port = free_port()
    n = node(simple(port, servers, balance="header_hash", hash_header="X-User"))
    home = {}
    for user in range(60):
        got = take(port, 3, {"X-User": f"user{user}"})
        assert len(got) == 1
        home[user] = next(iter(got))
    assert set(home.values()) == set("abcd")
    # Also over a reload, and when another server comes few users move.
    extra = whoami("e")
    done = n.reload(simple(port, servers + [extra], balance="header_hash", hash_header="X-User"))
    assert done.returncode == 0, done.stderr
    n.wait_server("web/e", "up")
    moved = {u for u in home
             if take(port, 1, {"X-User": f"user{u}"}) != collections.Counter([home[u]])}
    assert len(moved) <= 30
    for user in moved:
        assert take(port, 1, {"X-User": f"user{user}"}).total() == 1


def test_header_hash_without_header_spreads(node, whoami):
    servers = [whoami(n) for n in "ab"]
    port = free_port()
    node(one_thread(simple(port, servers, balance="header_hash", hash_header="X-User")))
    got = take(port, 200)
    assert min(got["a"], got["b"]) >= 50


@pytest.mark.sanitize
def test_header_hash_survives_a_death(node, whoami):
    servers = {n: whoami(n) for n in "abc"}
    port = free_port()
    n = node(simple(port, servers.values(), balance="header_hash", hash_header="X-User"))
    home = {u: next(iter(take(port, 1, {"X-User": f"user{u}"}))) for u in range(30)}
    servers["b"].kill()
    n.wait_server("web/b", "down")
    for user, server in home.items():
        got = next(iter(take(port, 1, {"X-User": f"user{user}"})))
        # Who was elsewhere stays there.
        assert got == server if server != "b" else got in ("a", "c")
    servers["b"].start()
    n.wait_server("web/b", "up")
    for user, server in home.items():
        assert next(iter(take(port, 1, {"X-User": f"user{user}"}))) == server


def test_source_hash_sticks(node, whoami):
    servers = [whoami(n) for n in "abcd"]
    port = free_port()
    conf = simple(port, servers, balance="source_hash")
    conf["proxy"] = {"threads": 3}
    node(conf)
    names = {http(port).get("x-whoami") for _ in range(30)}
    assert len(names) == 1


@pytest.mark.sanitize
def test_backup_only_when_needed(node, whoami):
    a, b, spare = whoami("a"), whoami("b"), whoami("spare")
    port = free_port()
    conf = one_thread(simple(port, [a, b]))
    conf["pools"]["web"]["servers"]["spare"] = {"address": spare.address, "backup": True}
    n = node(conf)
    assert take(port, 40) == {"a": 20, "b": 20}
    a.kill()
    n.wait_server("web/a", "down")
    assert take(port, 20) == {"b": 20}
    b.kill()
    n.wait_server("web/b", "down")
    assert take(port, 20) == {"spare": 20}
    a.start()
    n.wait_server("web/a", "up")
    assert take(port, 20) == {"a": 20}


class Held:
    """Requests that are under way until their answers are read."""

    def __init__(self, port, n, path="/slow/1000000?rate=1000"):
        self.conns = []
        for _ in range(n):
            c = Conn(port)
            c.request(path=path)
            c.recv_head()
            self.conns.append(c)

    def close(self, n=None):
        for c in self.conns[:n]:
            c.close()
        self.conns = self.conns[len(self.conns) if n is None else n:]


@pytest.mark.sanitize
def test_limit_and_queue(node, whoami):
    """No server gets more than its limit; who waits gets a place when one comes free."""
    a, b = whoami("a"), whoami("b")
    port = free_port()
    conf = simple(port, [a, b], max_connections=2, queue_timeout="30s")
    conf["trust"] = ["127.0.0.1"]
    n = node(conf)
    held = Held(port, 4)
    answers = []

    def ask():
        answers.append(http(port, timeout=60).status)
    threads = [threading.Thread(target=ask) for _ in range(5)]
    for t in threads:
        t.start()
    key = 'holdfast_pool_queued_total{pool="web"}'
    wait_for(lambda: n.metrics().get(key) == 5, what="five that wait")
    assert answers == []
    held.close(1)
    for t in threads:
        t.join(60)
    assert answers == [200] * 5
    held.close()


def test_limit_of_one_server(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    conf = one_thread(simple(port, [a, b]))
    conf["pools"]["web"]["servers"]["a"] = {"address": a.address, "max_connections": 1}
    node(conf)
    held = Held(port, 6)
    # One on a, all the others on b.
    assert take(port, 10) == {"b": 10}
    held.close()


def test_queues_of_two_pools(node, whoami):
    """Both are full and one waits in each: the thread that tries them goes on with others."""
    servers = {name: whoami(name, "--latency", "1500ms") for name in "ab"}
    servers["c"] = whoami("c")
    port = free_port()
    conf = one_thread(simple(port, []))
    conf["pools"] = {name: {"servers": {name: w.address}, "max_connections": 1,
                            "queue_timeout": "60s", "check": {"tcp": True}}
                     for name, w in servers.items()}
    conf["routes"] = {name: {"path": f"/{name}", "to": name} for name in servers}
    n = node(conf)
    waiting = []
    for path in ("/a", "/b", "/a", "/b"):
        c = Conn(port, 60)
        c.request(path=path)
        waiting.append(c)
    for pool in "ab":
        key = f'holdfast_pool_queued_total{{pool="{pool}"}}'
        wait_for(lambda k=key: n.metrics().get(k) == 1, what=f"one that waits for pool {pool}")
    assert take(port, 5, path="/c") == {"c": 5}
    for c in waiting:
        assert c.recv_response().status == 200
        c.close()


def test_queue_timeout(node, whoami):
    a = whoami("a")
    port = free_port()
    conf = simple(port, [a], max_connections=1, queue_timeout="200ms")
    conf["trust"] = ["127.0.0.1"]
    n = node(conf)
    held = Held(port, 1)
    answer = http(port)
    assert answer.status == 503
    assert answer.get("holdfast-reason") == \
        "no free connection in pool web within its queue_timeout"
    assert answer.get("retry-after")
    assert n.metrics()['holdfast_pool_queue_timeouts_total{pool="web"}'] == 1
    held.close()
    wait_for(lambda: http(port).status == 200, what="a free place")


def test_queue_length(node, whoami):
    a = whoami("a")
    port = free_port()
    conf = one_thread(simple(port, [a], max_connections=1, queue_timeout="30s", queue_length=2))
    conf["trust"] = ["127.0.0.1"]
    n = node(conf)
    held = Held(port, 1)
    waiting = []
    for _ in range(2):
        c = Conn(port)
        c.request()
        waiting.append(c)
    key = 'holdfast_pool_queued_total{pool="web"}'
    wait_for(lambda: n.metrics().get(key) == 2, what="two that wait")
    answer = http(port)
    assert answer.status == 503
    assert "full" in answer.get("holdfast-reason")
    held.close()
    for c in waiting:
        assert c.recv_response().status == 200
        c.close()


def test_who_gives_up_leaves_the_queue(node, whoami):
    """A client that closes while it waits takes no place and reaches no server."""
    a = whoami("a")
    port = free_port()
    n = node(one_thread(simple(port, [a], max_connections=1, queue_timeout="30s")))
    held = Held(port, 1)
    gone = Conn(port)
    gone.request(headers={"X-Test-Id": "gone"})
    key = 'holdfast_pool_queued_total{pool="web"}'
    wait_for(lambda: n.metrics().get(key) == 1, what="one that waits")
    gone.reset()
    wait_for(lambda: n.metrics().get('holdfast_pool_active_requests{pool="web"}') == 1,
             what="its end")
    held.close()
    wait_for(lambda: http(port).status == 200, what="a free place")
    assert "gone" not in a.counts()["ids"]


@pytest.mark.parametrize("balance", ["round_robin", "least_conn", "random_two", "source_hash",
                                     "header_hash"])
def test_dead_server_gets_nothing(node, whoami, balance):
    """Every algorithm goes round a server that is down; with all down all say so."""
    servers = {n: whoami(n) for n in "abc"}
    port = free_port()
    pool = {"balance": balance}
    if balance == "header_hash":
        pool["hash_header"] = "X-User"
    n = node(simple(port, servers.values(), **pool))
    servers["a"].kill()
    n.wait_server("web/a", "down")
    got = collections.Counter()
    for user in range(30):
        got += take(port, 2, {"X-User": str(user)})
    assert set(got) <= {"b", "c"}
    assert sum(got.values()) == 60
    servers["b"].kill()
    servers["c"].kill()
    n.wait_server("web/b", "down")
    n.wait_server("web/c", "down")
    assert http(port).status == 503
