# SPDX-License-Identifier: Apache-2.0
"""Planned handovers of a virtual IP under load: nothing fails, and what was begun before goes on:
downloads, WebSockets, idle connections; and afterwards nothing of it is left on the nodes."""

import json
import random
import signal
import threading
import time

import pytest

from conftest import HOLDFAST, Closed, Conn, needs_netns, wait_for
from vippair import VIP, VIP6

pytestmark = needs_netns

DOWNLOAD = 2_000_000
RATE = 250_000 # bytes a second: a download lasts 8 s


class Download(threading.Thread):
    """A slow download on a connection of its own; .error when it was not whole."""

    def __init__(self, pair, address):
        super().__init__(daemon=True)
        with pair.client.inside():
            self.conn = Conn((address, 80), timeout=60)
        self.conn.send(f"GET /slow/{DOWNLOAD}?rate={RATE} HTTP/1.1\r\nHost: test\r\n\r\n")
        head = self.conn.recv_head()
        assert head.status == 200, head
        self.got = 0
        self.error = None
        self.start()

    def run(self):
        try:
            while self.got < DOWNLOAD:
                self.got += len(self.conn.recv_exactly(min(50_000, DOWNLOAD - self.got)))
        except (Closed, OSError) as e:
            self.error = f"after {self.got} bytes: {e!r}"

    def result(self):
        self.join(90)
        assert not self.is_alive(), f"hangs after {self.got} bytes"
        self.conn.close()
        assert self.error is None, self.error


class Echo:
    """An upgraded connection (as a WebSocket is to the proxy): what is sent comes back."""

    def __init__(self, pair, address):
        with pair.client.inside():
            self.conn = Conn((address, 80), timeout=60)
        self.conn.send("GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n"
                       "Upgrade: echo\r\n\r\n")
        assert self.conn.recv_head().status == 101
        self.say()

    def say(self):
        word = random.randbytes(20).hex().encode()
        self.conn.send(word)
        assert self.conn.recv_exactly(len(word)) == word

    def close(self):
        self.conn.close()


class Kept:
    """A kept connection without a request: idle until asked."""

    def __init__(self, pair, address):
        with pair.client.inside():
            self.conn = Conn((address, 80), timeout=60)
        self.ask()

    def ask(self):
        self.conn.request()
        assert self.conn.recv_response().status == 200


class Requests(threading.Thread):
    """Requests on new connections, one after the other, every 5 ms; .failed: what went wrong."""

    def __init__(self, pair, address):
        super().__init__(daemon=True)
        self.pair = pair
        self.address = address
        self.n = 0
        self.failed = []
        self.longest = 0.0
        self.end = threading.Event()
        self.start()

    def one(self):
        begun = time.monotonic()
        try:
            with Conn((self.address, 80), timeout=20) as c:
                c.request()
                if c.recv_response().status != 200:
                    self.failed.append("status")
        except (Closed, OSError) as e:
            self.failed.append(repr(e))
        self.longest = max(self.longest, time.monotonic() - begun)
        self.n += 1

    def run(self):
        with self.pair.client.inside():
            while not self.end.wait(0.005):
                self.one()

    def stop(self):
        self.end.set()
        self.join(60)
        assert self.n > 50
        assert not self.failed, f"{len(self.failed)} of {self.n}: {self.failed[:5]}"
        return self.longest


def settle(name, c):
    """What all of these tests have in common."""
    c["proxy"]["shutdown_timeout"] = "30s"


def six(name, c):
    settle(name, c)
    c["virtual_ips"]["web"]["address"] = f"{VIP6}/64"


def own_mac(name, c):
    settle(name, c)
    c["virtual_ips"]["web"]["virtual_mac"] = True


def bound(name, c):
    settle(name, c)
    c["listeners"]["http"]["bind"] = f"{VIP}:80"


VARIANTS = {"ipv4": (settle, VIP), "ipv6": (six, VIP6), "virtual_mac": (own_mac, VIP),
            "bound": (bound, VIP)}


def holders(p, address):
    """Who has it on a link that answers for it: not on the loopback."""
    return [n for n, h in p.hosts.items() if any(h.holds(address, d) for d in links(h))]


def links(host):
    return [x["ifname"] for x in json.loads(host.ip("-j", "link")) if x["ifname"] != "lo"]


def wait_holder(p, name, address):
    wait_for(lambda: holders(p, address) == [name], what=f"{name} alone holds {address}")


def start(pair, variant):
    change, address = VARIANTS[variant]
    p = pair(change=change)
    for name in ("lb1", "lb2"):
        p.start(name)
    wait_holder(p, "lb1", address)
    wait_for(lambda: p.vip("lb2")["state"] == "backup" and p.vip("lb1")["peer_known"],
             what="lb2 stands by, and lb1 knows")
    for name in ("lb1", "lb2"):
        p.nodes[name].wait_server("web/a", "up")
        p.nodes[name].wait_server("web/b", "up")
    return p, address


def nothing_left(p, *names):
    """Neither rules nor addresses of a handover."""
    def clean():
        for n in names:
            h = p.hosts[n]
            if h.run("nft", "list", "ruleset").stdout.strip():
                return False
            if any(h.holds(a, "lo") for a in (VIP, VIP6)):
                return False
        return True
    wait_for(clean, what="nothing of the handover is left")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.limit(240)
def test_switchover_and_back(pair, variant):
    p, address = start(pair, variant)
    load = Requests(p, address)
    downloads = [Download(p, address) for _ in range(3)]
    echo, kept = Echo(p, address), Kept(p, address)
    assert p.lb1.cli("switchover", "web").returncode == 0
    wait_holder(p, "lb2", address)
    echo.say()
    later = Echo(p, address)
    kept.ask()
    downloads.append(Download(p, address))
    assert p.lb2.cli("switchover", "web").returncode == 0
    wait_holder(p, "lb1", address)
    echo.say()
    later.say()
    for d in downloads:
        d.result()
    echo.say()
    later.say()
    kept.ask()
    load.stop()
    echo.close()
    later.close()
    kept.conn.close()


@pytest.mark.limit(240)
def test_stop_and_return(pair):
    """The node finishes what is open, then ends; its return costs nothing either."""
    p, address = start(pair, "ipv4")
    load = Requests(p, address)
    downloads = [Download(p, address) for _ in range(3)]
    p.lb1.proc.terminate()
    wait_holder(p, "lb2", address)
    for d in downloads:
        d.result()
    assert p.lb1.proc.wait(60) == 0
    nothing_left(p, "lb1")
    downloads = [Download(p, address) for _ in range(3)]
    p.lb1.start()
    wait_holder(p, "lb1", address)
    for d in downloads:
        d.result()
    load.stop()


@pytest.mark.limit(240)
def test_drained_and_preempted(pair):
    """The preferred node goes and comes again and again; the other one still advertises when it is
    preempted, and keeps its connections."""
    def quick(name, c):
        settle(name, c)
        c["virtual_ips"]["web"]["advertise"] = "40ms"
    p = pair(change=quick).start()
    load = Requests(p, VIP)
    echos = [Echo(p, VIP)]
    for _ in range(5):
        assert p.lb1.cli("drain", "--node").returncode == 0
        wait_holder(p, "lb2", VIP)
        echos.append(Echo(p, VIP))
        assert p.lb1.cli("ready", "--node").returncode == 0
        wait_holder(p, "lb1", VIP)
        time.sleep(0.2) # several advertisements
        echos.append(Echo(p, VIP))
        for e in echos:
            e.say()
    for e in echos:
        e.close()
    load.stop()


@pytest.mark.limit(240)
def test_three_moves_and_a_dead_end(pair):
    """Handed there and back, then the node that keeps connections dies: its clients are told, all
    others go on."""
    p, address = start(pair, "ipv4")
    first = Echo(p, address)
    assert p.lb1.cli("switchover", "web").returncode == 0
    wait_holder(p, "lb2", address)
    second = Echo(p, address)
    first.say()
    for pid in p.lb1.pids():
        p.lb1._kill(pid, signal.SIGKILL) # pylint: disable=protected-access
    nothing_left(p, "lb1")
    second.say()
    assert first.conn.closed(60)
    second.say()
    second.close()


def test_killed_while_connections_are_kept(pair):
    """A role that comes back goes on with it. Where none comes back, rules end with the process
    that made them, and the address on the loopback within seconds."""
    p, address = start(pair, "ipv4")
    echo = Echo(p, address)
    assert p.lb1.cli("switchover", "web").returncode == 0
    wait_holder(p, "lb2", address)
    echo.say()
    assert p.hosts["lb1"].holds(VIP, "lo")
    rules = {"lb1": "arp", "lb2": "dup to 10.77.0.11"}
    for n, rule in rules.items():
        assert rule in p.hosts[n].run("nft", "list", "ruleset").stdout
        before = p.nodes[n].role_pid("vrrp")
        p.nodes[n].kill_role("vrrp")
        # The rules went with the process that made them.
        wait_for(lambda n=n, before=before: p.nodes[n].role_pid("vrrp") not in (None, before),
                 what=f"vrrp of {n} is back")
        wait_for(lambda n=n, rule=rule: rule in p.hosts[n].run("nft", "list", "ruleset").stdout,
                 what=f"{n} relays")
        wait_holder(p, "lb2", address)
        echo.say()
    for pid in [p.lb1.pid, p.lb1.role_pid("vrrp")]:
        p.lb1._kill(pid, signal.SIGKILL) # pylint: disable=protected-access
    nothing_left(p, "lb1")
    echo.close()


@pytest.mark.limit(240)
def test_upgrade_while_connections_are_kept(pair):
    """Of the node that keeps them, and of the one that passes them on."""
    p, address = start(pair, "ipv4")
    echo = Echo(p, address)
    downloads = [Download(p, address) for _ in range(3)]
    assert p.lb1.cli("switchover", "web").returncode == 0
    wait_holder(p, "lb2", address)
    load = Requests(p, address)
    for n in ("lb1", "lb2"):
        before = p.nodes[n].role_pid("vrrp")
        assert p.nodes[n].cli("upgrade").returncode == 0
        wait_for(lambda n=n, before=before: p.nodes[n].role_pid("vrrp") not in (None, before),
                 what=f"a new process for vrrp of {n}")
        echo.say()
    for d in downloads:
        d.result()
    echo.say()
    load.stop()
    echo.close()
    nothing_left(p, "lb1")


def test_the_last_connection_ends_the_handover(pair):
    p, address = start(pair, "ipv4")
    echo = Echo(p, address)
    assert p.lb1.cli("switchover", "web").returncode == 0
    wait_holder(p, "lb2", address)
    echo.say()
    wait_for(lambda: p.vip("lb1")["relaying"], what="status says that it relays")
    echo.close()
    nothing_left(p, "lb1")


def mac_of(p, address):
    """What the client's neighbour table says of the address."""
    with p.client.inside(), Conn((address, 80)) as c:
        c.request()
        assert c.recv_response().status == 200
    return json.loads(p.client.ip("-j", "neigh", "show", address))[0]["lladdr"]


def test_the_mac_stays_over_a_failover(pair):
    p, address = start(pair, "virtual_mac")
    own = {h.mac() for h in p.hosts.values()}
    before = mac_of(p, address)
    assert before == "00:00:5e:00:01:33" and before not in own
    for pid in p.lb1.pids():
        p.lb1._kill(pid, signal.SIGKILL) # pylint: disable=protected-access
    wait_for(lambda: address in str(p.hosts["lb2"].ip("addr")), what="lb2 has the address")
    assert mac_of(p, address) == before
    p.client.ip("neigh", "flush", "dev", "eth0")
    wait_holder(p, "lb2", address)
    assert mac_of(p, address) == before
    # It comes back, finds its link and makes it anew.
    p.lb1.start()
    wait_holder(p, "lb1", address)
    assert mac_of(p, address) == before
    p.lb1.stop()
    assert not [d for d in links(p.hosts["lb1"]) if d.startswith("hf4")]


def test_check_says_what_the_machine_lacks(pair):
    p = pair(change=settle)
    host = p.hosts["lb1"]
    p.start("lb1")
    assert "will break" not in p.lb1.log
    well = host.run(HOLDFAST, "check", "-c", p.lb1.path).stdout
    assert "will break" not in well and "virtual IP" in well
    host.ip("link", "set", "lo", "down")
    said = host.run(HOLDFAST, "check", "-c", p.lb1.path)
    assert said.returncode == 0
    assert "warning: established connections will break at a planned handover: " \
           "the loopback interface is not up" in said.stdout
    said = json.loads(host.run(HOLDFAST, "check", "--json", "-c", p.lb1.path).stdout)
    assert said["well"] and said["warnings"] >= 1 and "will break" in said["text"]
