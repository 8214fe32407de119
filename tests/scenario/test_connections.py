# SPDX-License-Identifier: Apache-2.0
"""Connections that last: listed with what they are and move, over reloads and upgrades, and ended
when a drain's time is over."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import HOLDFAST, SLOW, free_port, simple, wait_for
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


# --- ends: the time of a drain is the node's ------------------------------------------------------

SOON = "1500ms" # time enough to do something before


def is_cut(c):
    with pytest.raises((Closed, ConnectionError)):
        c.recv_exactly(1)
    c.close()
    return True


def lives(c):
    c.send("x")
    return c.recv_exactly(1) == b"x"


def slow_download(c):
    """A server whose answer never gets whole."""
    c.recv(1000)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
    while c.recv(1000):
        pass


def test_kill_after_ends_what_is_still_open(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    n = node(tcp(port, [a, b]))
    held = [Conn(port) for _ in range(6)]
    names = [c.recv_exactly(1) for c in held]
    mine = names.count(b"a")
    out = n.cli("drain", "peers/a", "--kill-after", "500ms", "--wait")
    assert out.returncode == 0, out
    assert f"{mine} ended that " in out.stdout and "what is open is ended in 500ms" in out.stdout
    for c, name in zip(held, names):
        assert is_cut(c) if name == b"a" else lives(c)
        c.close()
    n.wait_log("connections_ended")
    assert f"{mine} that were still open when the time of the drain was over" in n.log \
        or mine == 1 and "1 that was still open" in n.log
    wait_for(lambda: n.server("peers/a")["end_at"] is None)
    a = n.server("peers/a")
    assert (a["order"], a["ended"]) == ("drain", mine) # it stays
    assert f"its time is over: {mine} ended" in n.cli("status").stdout


def test_what_is_open_is_ended_though_nobody_waits(node, peers):
    """TCP, a WebSocket's tunnel, a slow download and a UDP session, each by the node's own clock:
    the command has returned, or was killed."""
    a, u, d, port = peers(), peers(UdpPeer, "u"), peers(Peer, slow_download, "d"), free_port()
    w, web, udp, slow = peers(Peer, upgraded, "w"), free_port(), free_port(), free_port()
    conf = tcp(port, [a])
    conf["listeners"]["u"] = {"bind": f"127.0.0.1:{udp}", "protocol": "udp", "to": "us"}
    conf["listeners"]["web"] = {"bind": f"127.0.0.1:{web}"}
    conf["listeners"]["slow"] = {"bind": f"127.0.0.1:{slow}"}
    conf["routes"] = {"slow": {"path": "/slow", "to": "d"}, "all": {"to": "w"}}
    conf["pools"].update({"us": {"servers": {"u": u.address}}, "d": {"servers": {"d": d.address}},
                          "w": {"servers": {"w": w.address}}})
    n = node(conf)
    one = open_one(port)
    tunnel, download = Conn(web), Conn(slow)
    tunnel.request("GET", "/", {"Connection": "Upgrade", "Upgrade": "websocket"})
    assert tunnel.recv_head().status == 101
    download.request("GET", "/slow")
    assert download.recv_head().status == 200 and download.recv_exactly(5) == b"01234"
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(20)
    s.connect(("127.0.0.1", udp))
    s.send(b"q")
    assert s.recv(100) == b"u:q"
    for pool in ("w", "d", "us"):
        out = n.cli("drain", pool, "--kill-after", SOON)
        assert out.returncode == 0 and f"{pool}: what is open is ended in {SOON}" in out.stdout
    waits = subprocess.Popen([HOLDFAST, "drain", "peers/a", "--kill-after", SOON, "--wait",
                              "--state", n.state], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)
    assert b"what is open is ended" in waits.stdout.readline() + waits.stdout.readline()
    waits.kill()
    waits.communicate()
    assert is_cut(one) and is_cut(tunnel) and is_cut(download)
    wait_for(lambda: not rows(n))
    for server in ("peers/a", "w/w", "d/d", "us/u"):
        wait_for(lambda x=server: (n.server(x)["end_at"], n.server(x)["ended"]) == (None, 1))
    s.close()


def upgraded(c):
    c.recv(1000)
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
              b"Upgrade: websocket\r\n\r\n")
    while c.recv(1000):
        pass


def test_ready_before_its_time_takes_it_back(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    n = node(tcp(port, [a, b]))
    held = {}
    while len(held) < 2:
        c = Conn(port)
        held[c.recv_exactly(1)] = c
    answer = n.json("drain", "peers", "--kill-after", f"{3 * SLOW:.0f}s")
    assert answer["servers"] == 2 and answer["end_at"] == n.server("peers/a")["end_at"]
    assert n.cli("ready", "peers/a").returncode == 0
    assert n.server("peers/a")["end_at"] is None
    assert is_cut(held[b"b"]) and lives(held[b"a"])
    # another order's time counts, or that it has none
    n.json("drain", "peers/a", "--kill-after", "1h")
    assert "what is open is ended in 59m" in n.cli("status").stdout
    n.json("drain", "peers/a")
    assert "what is open is ended" not in n.cli("status").stdout
    n.json("drain", "peers/a", "--kill-after", "1h")
    assert lives(held[b"a"])
    n.json("disable", "peers/a")
    assert is_cut(held[b"a"]) and n.server("peers/a")["end_at"] is None


def test_the_time_holds_over_reloads_and_the_end_of_processes(node, peers):
    """What is open is of a proxy that an upgrade has replaced: all that could forget the time dies
    meanwhile, and its server leaves the file."""
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    conf = tcp(port, [a])
    conf["proxy"]["shutdown_timeout"] = "5m"
    n = node(conf)
    held = [open_one(port) for _ in range(3)]
    assert n.cli("upgrade").returncode == 0
    serving = n.role_pid("proxy")
    until = time.time() + 9
    end = n.json("drain", "peers/a", "--kill-after", "10s")["end_at"]

    def all_live():
        return time.time() > until or all(lives(c) for c in held)
    conf["pools"]["peers"]["balance"] = "least_conn"
    assert n.reload(conf).returncode == 0
    os.kill(serving, signal.SIGKILL)
    n.kill_role("check")
    n.kill_role("control")
    n.wait_ready()
    assert all_live()
    n.kill_role("parent")
    n.start()
    assert all_live() and (time.time() > until or n.server("peers/a")["end_at"] == end)
    conf["pools"]["peers"]["servers"] = {"b": b.address}
    assert n.reload(conf).returncode == 0
    assert all_live()
    assert all(is_cut(c) for c in held)
    n.wait_log("3 that were still open when the time of the drain was over")


def test_a_server_that_leaves_the_file_is_meant(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    conf = tcp(port, [a])
    n = node(conf)
    with open_one(port) as c:
        n.json("drain", "peers/a", "--kill-after", SOON)
        conf["pools"]["peers"]["servers"] = {"b": b.address}
        assert n.reload(conf).returncode == 0
        assert is_cut(c)
    n.wait_log("1 that was still open when the time of the drain was over")


def test_the_time_runs_out_while_the_node_is_down(node, peers):
    a, port = peers(), free_port()
    n = node(tcp(port, [a]))
    n.json("drain", "peers/a", "--kill-after", SOON)
    n.stop()
    time.sleep(1.6)
    n.start()
    wait_for(lambda: n.server("peers/a")["end_at"] is None)
    assert n.server("peers/a")["order"] == "drain" and n.server("peers/a")["ended"] == 0
    assert n.cli("ready", "peers/a").returncode == 0
    wait_for(lambda: n.server("peers/a")["order"] == "ready")
    with open_one(port) as c:
        assert lives(c)
    # nor does a proxy that is killed in between forget it
    n.json("drain", "peers/a", "--kill-after", SOON)
    n.kill_role("proxy")
    n.wait_ready()
    wait_for(lambda: n.server("peers/a")["end_at"] is None)


def test_kill_after_waits_no_longer_than_something_is_open(node, peers):
    a, b, port = peers(name="a"), peers(name="b"), free_port()
    n = node(tcp(port, [a, b]))
    began = time.monotonic()
    answer = n.json("drain", "peers/a", "--kill-after", "60s", "--wait")
    assert answer["reached"] and "ended" not in answer
    assert time.monotonic() - began < 30


def test_kill_after_moves_requests_that_may_be_sent_again(node, whoami):
    """A request that waits for its answer goes to another server."""
    a, b, port = whoami("a"), whoami("b"), free_port()
    n = node(simple(port, [a, b], check=False))
    a.hang()
    clients = [Conn(port) for _ in range(4)]
    for c in clients:
        c.request("GET", "/")
    wait_for(lambda: n.server("web/a")["active"] > 0)
    assert n.json("drain", "web/a", "--kill-after", "0s", "--wait")["ended"] >= 1
    for c in clients:
        assert "name: b\n" in c.recv_response().text
        c.close()
    a.cont()


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
