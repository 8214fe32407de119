# SPDX-License-Identifier: Apache-2.0
"""Connections that last: listed with what they are and move, over reloads and upgrades, and ended
when a drain's time is over."""

import socket
import threading
import time

import pytest

from conftest import free_port, simple, wait_for
from tcppeers import Peer, UdpPeer, peers, tcp  # noqa: F401
from wire import Closed, Conn

pytestmark = pytest.mark.sanitize


def rows(n, *args):
    return n.json("connections", *args)["connections"]


def open_one(port, say=b""):
    c = Conn(port)
    c.send(say)
    c.recv_exactly(1 + len(say))
    return c


def test_what_they_are(node, peers, whoami):
    a, u, w = peers(name="a"), peers(UdpPeer, "u"), whoami()
    port, udp, web = free_port(), free_port(), free_port()
    conf = tcp(port, [a])
    conf["listeners"]["u"] = {"bind": f"127.0.0.1:{udp}", "protocol": "udp", "to": "us"}
    conf["listeners"]["web"] = {"bind": f"127.0.0.1:{web}"}
    conf["routes"] = {"all": {"to": "w"}}
    conf["pools"]["us"] = {"servers": {"u": u.address}}
    conf["pools"]["w"] = {"servers": {"w": w.address}}
    n = node(conf)
    assert rows(n) == []
    assert n.cli("connections").stdout == "0 connections that last\n"
    c = open_one(port, b"hello")
    t = Conn(web)
    t.request("GET", "/upgrade", {"Connection": "Upgrade", "Upgrade": "echo"})
    upgraded = t.recv_head().status == 101
    d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    d.connect(("127.0.0.1", udp))
    d.send(b"q")
    d.recv(100)
    found = {r["protocol"]: r for r in rows(n)}
    r = found["TCP"]
    assert r["client"] == f"127.0.0.1:{c.local_port}"
    assert (r["listener"], r["server"], r["draining"]) == ("tcp", "peers/a", False)
    assert (r["bytes_in"], r["bytes_out"]) == (5, 6)
    assert 0 <= r["idle_ms"] <= r["age_ms"] < 30000
    assert abs(r["since_ms"] - time.time() * 1000) < 60000
    r = found["UDP"]
    assert (r["server"], r["bytes_in"], r["bytes_out"]) == ("us/u", 1, 3)
    assert ("tunnel" in found) == upgraded
    assert len(rows(n, "--pool", "peers")) == len(rows(n, "--listener", "tcp")) == 1
    assert len(rows(n, "--pool", "peers/a")) == 1
    assert rows(n, "--older", "1h") == []
    assert n.cli("connections", "--pool", "nope").returncode == 1
    assert n.cli("connections", "--listener", "nope").returncode == 1
    assert n.cli("connections", "--older", "soon").returncode == 2
    text = n.cli("connections", "--pool", "peers").stdout
    assert "peers/a" in text and f"127.0.0.1:{c.local_port}" in text and "1 connection\n" in text
    for x in (c, t, d):
        x.close()
    wait_for(lambda: not rows(n, "--pool", "peers"))


def test_idle_grows_and_bytes_count_while_it_lasts(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a]))
    with open_one(port) as c:
        wait_for(lambda: rows(n)[0]["idle_ms"] > 1200)
        c.send("x" * 100)
        c.recv_exactly(100)
        assert rows(n)[0]["idle_ms"] < 1200
        # metrics know of a connection that goes on
        wait_for(lambda: n.metrics()['holdfast_listener_bytes_in_total{listener="tcp"}'] == 100)


def test_a_long_download_is_listed(node, peers):
    """An ordinary request is, when it has taken 10 s."""
    go = threading.Event()

    def slow(c):
        c.recv(1000)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        go.wait(60)
        c.sendall(b"56789")
    a, port = peers(Peer, slow), free_port()
    n = node(simple(port, [a], check=False))
    with Conn(port) as c:
        c.request("GET", "/slow")
        assert rows(n) == []
        found = wait_for(lambda: rows(n), 40)
        assert found[0]["protocol"] == "HTTP/1.1" and found[0]["age_ms"] >= 10000
        go.set()
        assert c.recv_response().body == b"0123456789"


def test_many_are_cut_to_a_bound_in_time(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a]))
    held = [open_one(port) for _ in range(200)]
    answer = n.json("connections")
    assert answer["found"] == 200 and answer["complete"] and len(answer["connections"]) == 200
    for c in held:
        c.close()


def test_over_reload_and_upgrade(node, peers):
    a, port = peers(), free_port()
    conf = tcp(port, [a])
    n = node(conf)
    with open_one(port) as c:
        conf["pools"]["peers"]["balance"] = "least_conn"
        assert n.reload(conf).returncode == 0
        assert len(rows(n)) == 1
        assert n.cli("upgrade").returncode == 0
        found = wait_for(lambda: rows(n))
        assert found[0]["draining"] and found[0]["client"] == f"127.0.0.1:{c.local_port}"
        with open_one(port):
            assert sorted(r["draining"] for r in rows(n)) == [False, True]
        assert "its proxy is ending" in n.cli("connections").stdout


# --- ends -----------------------------------------------------------------------------------------

def test_kill_after_ends_what_is_still_open(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    n = node(tcp(port, [a, b]))
    held = [Conn(port) for _ in range(6)]
    names = [c.recv_exactly(1) for c in held]
    mine = names.count(b"a")
    out = n.cli("drain", "peers/a", "--kill-after", "500ms")
    assert out.returncode == 0, out
    assert f"{mine} ended that " in out.stdout
    for c, name in zip(held, names):
        if name == b"a":
            with pytest.raises((Closed, ConnectionError)):
                c.recv_exactly(1)
        else:
            c.send("x")
            assert c.recv_exactly(1) == b"x"
        c.close()
    n.wait_log("connections_ended")
    assert n.server("peers/a")["order"] == "drain" # it stays


def test_kill_after_returns_as_soon_as_none_is_open(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    n = node(tcp(port, [a, b]))
    began = time.monotonic()
    answer = n.json("drain", "peers/a", "--kill-after", "60s")
    assert answer["reached"] and "ended" not in answer
    assert time.monotonic() - began < 30


def test_kill_after_reaches_a_proxy_that_is_ending(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a]))
    with open_one(port) as c:
        assert n.cli("upgrade").returncode == 0
        assert n.json("drain", "peers", "--kill-after", "300ms")["ended"] == 1
        with pytest.raises((Closed, ConnectionError)):
            c.recv_exactly(1)


def test_kill_after_moves_requests_that_may_be_sent_again(node, whoami):
    """A request that waits for its answer goes to another server."""
    a, b, port = whoami("a"), whoami("b"), free_port()
    n = node(simple(port, [a, b], check=False))
    a.hang()
    clients = [Conn(port) for _ in range(4)]
    for c in clients:
        c.request("GET", "/")
    wait_for(lambda: n.server("web/a")["active"] > 0)
    assert n.json("drain", "web/a", "--kill-after", "300ms")["ended"] >= 1
    for c in clients:
        assert "name: b\n" in c.recv_response().text
        c.close()
    a.cont()


def test_who_is_in_service_is_not_cut(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a]))
    with open_one(port) as c:
        answer = n.api("POST", "/api/v1/connections/end", {"target": "peers/a"})
        assert answer.status == 409 and "is in service" in answer.json["error"]
        c.send("x")
        assert c.recv_exactly(1) == b"x"
    out = n.cli("drain", "--node", "--kill-after", "1s")
    assert out.returncode == 2 and "not for --node" in out.stderr
    assert n.cli("drain", "peers/a", "--kill-after", "now").returncode == 2


def test_end_of_the_node_waits_for_them(node, peers):
    """They live until shutdown_timeout, as WebSockets do."""
    a, port = peers(), free_port()
    conf = tcp(port, [a])
    conf["proxy"]["shutdown_timeout"] = "1s"
    n = node(conf)
    c = open_one(port)
    began = time.monotonic()
    n.stop()
    assert time.monotonic() - began > 0.9
    with pytest.raises((Closed, ConnectionError)):
        c.recv_exactly(1)
