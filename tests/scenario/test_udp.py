# SPDX-License-Identifier: Apache-2.0
"""UDP listeners: sessions, servers that fail, times, the address that answers, a real name server."""

import os
import socket
import subprocess

import pytest

from conftest import free_port, wait_for
from netns import needs_netns
from tcppeers import UdpPeer, folder, peers, program  # noqa: F401

pytestmark = pytest.mark.sanitize


def udp(port, servers, listener=None, **pool):
    if not isinstance(servers, dict):
        servers = {s.name: s.address for s in servers}
    return {
        "proxy": {"threads": 2},
        "listeners": {"dns": {"bind": f"127.0.0.1:{port}", "protocol": "udp", "to": "names",
                              **(listener or {})}},
        "pools": {"names": {"servers": servers, **pool}},
    }


class Client:
    def __init__(self, port, host="127.0.0.1"):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                                  socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.sock.connect((host, port))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.sock.close()

    def ask(self, data=b"q"):
        self.sock.send(data)
        return self.sock.recv(65535)


def who(port):
    with Client(port) as c:
        return c.ask().split(b":")[0].decode()


def wire(n, what):
    return n.metrics()[f'holdfast_listener_{what}{{listener="dns"}}']


def test_datagrams_both_ways(node, peers):
    a, port = peers(UdpPeer), free_port()
    n = node(udp(port, [a]))
    with Client(port) as c:
        for size in (0, 1, 512, 1472, 9000, 60000):
            data = os.urandom(size)
            assert c.ask(data) == b"a:" + data
        for i in range(200):
            c.sock.send(b"%d" % i)
        assert {c.sock.recv(100) for _ in range(200)} == {b"a:%d" % i for i in range(200)}
    assert len(a.clients) == 1 # one session
    assert wire(n, "udp_sessions_total") == 1
    assert wire(n, "udp_dropped_total") == 0
    assert n.status()["listeners"][0]["protocol"] == "udp"


def test_a_session_stays_with_its_server(node, peers):
    a, b, port = peers(UdpPeer, "a"), peers(UdpPeer, "b"), free_port()
    node(udp(port, [a, b]))
    clients = [Client(port) for _ in range(6)]
    first = [c.ask()[:1] for c in clients]
    assert sorted(first) == [b"a"] * 3 + [b"b"] * 3
    for _ in range(3):
        assert [c.ask()[:1] for c in clients] == first
    for c in clients:
        c.sock.close()


def test_a_dead_server_costs_no_question(node, peers):
    """The refusal that the network reports sends the first datagram to another server."""
    a, port = peers(UdpPeer), free_port()
    n = node(udp(port, {"a": a.address, "dead": f"127.0.0.1:{free_port()}"},
                 passive={"failures": 3, "eject": "60s"}))
    for _ in range(10):
        assert who(port) == "a"
    wait_for(lambda: n.server("names/dead")["state"] == "down")
    assert "refused" in n.server("names/dead")["reason"]


def test_a_server_that_comes_to_its_end(node, peers):
    """The question that meets nobody there any more goes on, and the session with it."""
    a, b, port = peers(UdpPeer, "a"), peers(UdpPeer, "b"), free_port()
    node(udp(port, [a, b]))
    clients = [Client(port) for _ in range(4)]
    for c in clients:
        for _ in range(3):
            c.ask()
    a.stop()
    for c in clients:
        assert [c.ask(b"%d" % i) for i in range(2)] == [b"b:0", b"b:1"]
        c.sock.close()


def test_empty_datagrams(node, peers):
    """They are passed on, both ways, and leave nothing behind (the sanitizers look)."""
    a, port = peers(UdpPeer), free_port()
    node(udp(port, [a]))
    with Client(port) as c:
        assert c.ask(b"") == b"a:"
        a.silent = True
        for i in range(2, 12):
            c.sock.send(b"")
            wait_for(lambda i=i: a.got == i)


def test_sessions_end_when_idle(node, peers):
    a, port = peers(UdpPeer), free_port()
    n = node(udp(port, [a], timeouts={"session": "300ms"}))
    with Client(port) as c:
        c.ask()
        assert n.status()["listeners"][0]["open"] == 1
        wait_for(lambda: n.status()["listeners"][0]["open"] == 0)
        c.ask()
    assert len(a.clients) == 2 # another port: another session
    assert wire(n, "udp_sessions_total") == 2


def test_the_longest_idle_makes_room(node, peers):
    a, port = peers(UdpPeer), free_port()
    n = node(udp(port, [a], listener={"max_connections": 4}))
    clients = [Client(port) for _ in range(7)]
    for c in clients:
        assert c.ask() == b"a:q"
    assert n.status()["listeners"][0]["open"] == 4
    assert clients[0].ask() == b"a:q" # anew
    for c in clients:
        c.sock.close()


def test_orders(node, peers):
    a, b, port = peers(UdpPeer, "a"), peers(UdpPeer, "b"), free_port()
    n = node(udp(port, [a, b]))
    clients = [Client(port) for _ in range(4)]
    first = [c.ask()[:1] for c in clients]
    assert n.cli("drain", "names/a").returncode == 0
    assert [c.ask()[:1] for c in clients] == first
    assert {who(port) for _ in range(6)} == {"b"}
    assert n.cli("disable", "names/a").returncode == 0
    wait_for(lambda: {c.ask()[:1] for c in clients} == {b"b"})
    for c in clients:
        c.sock.close()


def test_sessions_survive_a_reload(node, peers):
    a, port = peers(UdpPeer, "a"), free_port()
    b = peers(UdpPeer, "b")
    conf = udp(port, [a])
    n = node(conf)
    with Client(port) as c:
        c.ask()
        conf["pools"]["other"] = {"servers": {"b": b.address}}
        conf["listeners"]["dns"]["to"] = "other"
        assert n.reload(conf).returncode == 0
        assert c.ask() == b"a:q"
        assert who(port) == "b"
    assert len(a.clients) == 1


def test_a_port_is_free_as_soon_as_it_is_not_configured(node, peers):
    a, port, second = peers(UdpPeer), free_port(), free_port()
    conf = udp(port, [a])
    conf["listeners"]["more"] = {"bind": f"127.0.0.1:{second}", "protocol": "udp", "to": "names"}
    n = node(conf)
    with Client(second) as c:
        c.ask()
        del conf["listeners"]["more"]
        assert n.reload(conf).returncode == 0
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.bind(("127.0.0.1", second))
        taken.close()


def test_upgrade_and_restart_lose_no_listener(node, peers):
    a, port = peers(UdpPeer), free_port()
    n = node(udp(port, [a]))
    assert n.cli("upgrade").returncode == 0
    assert who(port) == "a"
    n.kill_role("proxy")
    wait_for(lambda: who(port) == "a")


def test_a_port_in_use_is_an_error(node, peers):
    a, b = peers(UdpPeer, "a"), peers(UdpPeer, "b")
    conf = udp(free_port(), [a])
    n = node(conf)
    conf["listeners"]["more"] = {"bind": b.address, "protocol": "udp", "to": "names"}
    answer = n.reload(conf)
    assert answer.returncode == 1
    assert f"cannot listen on {b.address} (UDP): Address already in use" in answer.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1"])
def test_answers_come_from_the_address_that_was_asked(node, peers, host):
    """On a wildcard, where the system would choose another one: a connected client hears nothing
    from an address that it did not ask."""
    a, port = peers(UdpPeer), free_port()
    node(udp(port, [a], listener={"bind": f"*:{port}"}))
    with Client(port, host) as c:
        assert c.ask() == b"a:q"


@needs_netns
def test_answers_come_from_a_virtual_address(lan, node, peers):
    net = lan()
    host = net.host("srv", "10.77.0.11/24")
    host.run("ip", "addr", "add", "10.77.0.100/24", "dev", "eth0")
    client = net.host("cli", "10.77.0.12/24")
    server = ("import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
              "s.bind(('127.0.0.1',5300))\n"
              "while 1:\n d,a=s.recvfrom(999)\n s.sendto(b'a:'+d,a)\n")
    echo = host.popen("/usr/bin/python3", "-c", server)
    try:
        conf = udp(5353, {"a": "127.0.0.1:5300"}, listener={"bind": "0.0.0.0:5353"})
        node(conf, host=host)
        for to in ("10.77.0.11", "10.77.0.100"):
            ask = ("import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                   f"s.settimeout(9)\ns.connect(('{to}',5353))\ns.send(b'q')\nprint(s.recv(99))")
            assert "a:q" in client.run("/usr/bin/python3", "-c", ask).stdout
    finally:
        echo.kill()
        echo.wait()


def test_a_name_server(node, program, folder):
    """BIND behind UDP and TCP on one port, asked by dig."""
    port, own = free_port(), free_port()
    with open(os.path.join(folder, "zone"), "w", encoding="ascii") as f:
        f.write("$TTL 60\n@ IN SOA ns.shop.test. a.shop.test. 1 60 60 60 60\n@ IN NS ns\n"
                "ns IN A 10.0.0.53\nwww IN A 10.0.0.80\n"
                + "".join(f"big IN TXT \"{i:0>200}\"\n" for i in range(30)))
    with open(os.path.join(folder, "named.conf"), "w", encoding="ascii") as f:
        f.write(f"options {{ directory \"{folder}\"; listen-on port {own} {{ 127.0.0.1; }}; "
                f"listen-on-v6 {{ none; }}; pid-file none; recursion no; "
                f"session-keyfile \"{folder}/k\"; }};\ncontrols {{ }};\n"
                f"zone \"shop.test\" {{ type primary; file \"{folder}/zone\"; }};\n")
    program("named", "-g", "-c", os.path.join(folder, "named.conf"), "-n", "1", port=own)
    conf = udp(port, {"bind": f"127.0.0.1:{own}"}, balance="source_hash")
    conf["listeners"]["dns-tcp"] = {"bind": f"127.0.0.1:{port}", "protocol": "tcp", "to": "names"}
    n = node(conf)

    def dig(*args):
        return subprocess.run(["dig", "-p", str(port), "@127.0.0.1", "+short", "+tries=3", *args],
                              capture_output=True, text=True, timeout=60, check=True).stdout
    for _ in range(5):
        assert dig("www.shop.test").strip() == "10.0.0.80"
    assert len(dig("big.shop.test", "TXT").splitlines()) == 30 # truncated: dig goes on by TCP
    m = n.metrics()
    assert m['holdfast_listener_udp_sessions_total{listener="dns"}'] >= 6
    assert m['holdfast_listener_connections_total{listener="dns-tcp"}'] >= 1


def test_a_silent_server_and_a_flood(node, peers):
    """Strangers who ask and do not wait cost a bounded table; who comes then is served."""
    a, port = peers(UdpPeer), free_port()
    a.silent = True
    n = node(udp(port, [a], listener={"max_connections": 64}))
    clients = [Client(port) for _ in range(300)]
    for c in clients:
        c.sock.send(b"x")
    wait_for(lambda: wire(n, "udp_sessions_total") == 300)
    assert n.status()["listeners"][0]["open"] <= 64
    a.silent = False
    assert who(port) == "a"
    for c in clients:
        c.sock.close()
