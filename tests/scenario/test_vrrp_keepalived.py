# SPDX-License-Identifier: Apache-2.0
"""A real keepalived as the other node: both versions, both families, multicast and unicast, both
ways. Who holds the address is read from the interfaces; a client in a third namespace tells who
answers, and thereby that its neighbour table moved."""

import socket
import subprocess
import time

import pytest

from conftest import HOLDFAST, needs_netns, wait_for
from keepalived import Keepalived, instance, needs_keepalived

pytestmark = [needs_netns, needs_keepalived]

OURS, THEIRS, CLIENT = "10.77.0.11", "10.77.0.12", "10.77.0.50"
OURS6, THEIRS6, CLIENT6 = "fd77::11", "fd77::12", "fd77::50"
VIP, VIP6, LINK6 = "10.77.0.100", "fd77::100", "fe80::77:100"
ROUTER_ID = 51
PORT = 8080


class Case:
    """What the two speak with one another."""

    def __init__(self, version=3, ipv6=False, unicast=False, interval=0.2, password=None):
        self.version = version
        self.ipv6 = ipv6
        self.unicast = unicast
        self.interval = 1.0 if version == 2 else interval
        self.password = password
        self.vip = VIP6 if ipv6 else VIP

    def __str__(self):
        return "-".join([f"v{self.version}", "ipv6" if self.ipv6 else "ipv4",
                         "unicast" if self.unicast else "multicast"]
                        + (["password"] if self.password else []))

    @property
    def master_down(self):
        """The longest that master-down time can be."""
        return 4 * self.interval + (1 if self.version == 2 else 0)

    def holdfast(self, priority, **vip):
        """Our file."""
        bits = "64" if self.ipv6 else "24"
        web = {"addresses": [f"{LINK6}/64", f"{VIP6}/64"] if self.ipv6 else [f"{VIP}/{bits}"],
               "interface": "eth0", "router_id": ROUTER_ID, "version": self.version,
               "advertise": f"{int(self.interval * 1000)}ms",
               "priority": {"ours": priority, "theirs": 300 - priority}}
        if self.version == 2:
            web["advertise"] = f"{int(self.interval)}s"
        if self.unicast:
            web["unicast_peers"] = True
        if self.password:
            web["password"] = self.password
        web.update(vip)
        return {
            "cluster": "t",
            "nodes": {"ours": {"address": OURS6 if self.ipv6 else OURS},
                      "theirs": {"address": THEIRS6 if self.ipv6 else THEIRS}},
            "virtual_ips": {"web": web},
            "listeners": {"http": {"bind": "127.0.0.1:8000"}},
            "routes": {"all": {"to": "web"}},
            "pools": {"web": {"servers": {"a": f"127.0.0.1:{PORT}"}}},
        }

    def keepalived(self, priority, **options):
        """Theirs: one instance."""
        values = {"priority": priority, "version": self.version, "interval": self.interval,
                  "password": self.password,
                  "addresses": [LINK6, f"{VIP6}/64"] if self.ipv6 else [f"{VIP}/24"]}
        if self.unicast:
            values["source"] = THEIRS6 if self.ipv6 else THEIRS
            values["peers"] = [OURS6 if self.ipv6 else OURS]
        values.update(options)
        return instance("web", ROUTER_ID, **values)


class Stage:
    """The LAN: `ours`, `theirs`, and a client; on both nodes a server that says where it is."""

    def __init__(self, lan, request):
        self.lan = lan("ka")
        self.ours = self.lan.host("ours", f"{OURS}/24", f"{OURS6}/64")
        self.theirs = self.lan.host("theirs", f"{THEIRS}/24", f"{THEIRS6}/64")
        self.client = self.lan.host("client", f"{CLIENT}/24", f"{CLIENT6}/64")
        self.processes = []
        self.keepaliveds = []
        request.addfinalizer(self.close)
        for host in (self.ours, self.theirs):
            self.processes.append(host.popen(
                HOLDFAST, "whoami", "--bind", f"*:{PORT}", "--name", host.name, "--close",
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for host in (self.ours, self.theirs): # until its own addresses may be used
            wait_for(lambda: not any(a.get("tentative") for a in host.addresses().values())
                     and any(a.startswith("fe80:") for a in host.addresses()))
        wait_for(lambda: self.who(OURS) == "ours" and self.who(THEIRS) == "theirs")

    def close(self):
        for k in self.keepaliveds:
            k.close()
        for p in self.processes:
            p.kill()
            p.wait(30)

    def keepalived(self, *instances, **options):
        k = Keepalived(self.theirs, *instances, **options)
        self.keepaliveds.append(k)
        return k

    def who(self, address):
        """Who answers the client at the address; None: nobody in time."""
        with self.client.inside():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            s = socket.socket(family, socket.SOCK_STREAM)
        with s:
            s.settimeout(0.5)
            try:
                s.connect((address, PORT))
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                data = b""
                while chunk := s.recv(65536):
                    data += chunk
            except OSError:
                return None
        for name in ("ours", "theirs"):
            if f"name: {name}".encode() in data.lower() or data.startswith(name.encode()):
                return name
        raise AssertionError(f"an answer of nobody: {data!r}")

    def held_by(self, host, address, timeout=30):
        """Waits until that one holds the address alone and answers the client."""
        other = self.theirs if host is self.ours else self.ours

        def settled():
            return (host.holds(address) and not other.holds(address)
                    and self.who(address) == host.name)
        wait_for(settled, timeout, f"{address} held by {host.name} alone, which answers")


@pytest.fixture
def stage(lan, request):
    return Stage(lan, request)


@pytest.fixture
def our_node(stage, node):
    """our_node(conf): a node in the namespace `ours`, called so."""
    return lambda conf, **options: node(conf, name="ours", host=stage.ours, **options)


def vip_of(n):
    return n.status()["virtual_ips"][0]


def wait_state(n, state, timeout=30):
    return wait_for(lambda: (v := vip_of(n))["state"] == state and v, timeout, f"state {state}")


def check_no_complaints(n, k):
    """Neither side found anything wrong with what the other one said."""
    v = vip_of(n)
    assert not {r: c for r, c in v["dropped"].items() if c}
    assert v["counters"]["mismatches_total"] == 0
    assert v["counters"]["advertisements_received_total"] > 0
    assert "vrrp_mismatch" not in n.log and "vrrp_drop" not in n.log
    assert k.complaints() == []


CASES = [Case(3), Case(3, ipv6=True), Case(2, password="geheim"), Case(3, unicast=True),
         Case(3, ipv6=True, unicast=True), Case(2, unicast=True)]
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@each_case
def test_keepalived_is_the_backup(stage, our_node, case):
    """It stands by, takes the address when we end in order (priority 0), and gives it back."""
    n = our_node(case.holdfast(200))
    stage.held_by(stage.ours, case.vip)
    k = stage.keepalived(case.keepalived(100))
    v = vip_of(n)
    # It hears us: longer than it would wait for a dead one.
    sent = v["counters"]["advertisements_sent_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_sent_total"] >= sent + 6)
    assert "Entering MASTER" not in k.log and stage.ours.holds(case.vip)
    began = time.monotonic()
    n.proc.terminate()
    wait_for(lambda: stage.theirs.holds(case.vip))
    took = time.monotonic() - began
    stage.held_by(stage.theirs, case.vip)
    n.stop()
    # Within skew time (less than an interval) and what a busy machine adds.
    assert took < case.interval + 5, took
    n.start()
    stage.held_by(stage.ours, case.vip)
    assert k.log.count("Entering BACKUP") >= 1
    check_no_complaints(n, k)


@each_case
def test_keepalived_is_the_master(stage, our_node, case):
    """We stand by, take the address when it ends in order or dies, and give it back."""
    k = stage.keepalived(case.keepalived(200))
    stage.held_by(stage.theirs, case.vip)
    n = our_node(case.holdfast(100))
    v = wait_state(n, "backup")
    wait_for(lambda: vip_of(n)["counters"]["advertisements_received_total"] >= 6)
    v = vip_of(n)
    assert v["state"] == "backup" and v["peer_priority"] == 200
    if not case.ipv6 or case.unicast: # else it is known by its link-local address
        assert v["holder"] == "theirs"
    assert not stage.ours.holds(case.vip)
    k.stop()
    stage.held_by(stage.ours, case.vip)
    v = vip_of(n)
    assert v["counters"]["priority_zero_received_total"] >= 1
    assert "gave it up" in v["reason"]
    k.start()
    stage.held_by(stage.theirs, case.vip)
    v = wait_state(n, "backup")
    assert "priority 200 was heard" in v["reason"]
    # Without a word. Nobody is left to remove its address.
    k.kill()
    stage.theirs.ip("addr", "del", f"{case.vip}/{64 if case.ipv6 else 24}", "dev", "eth0")
    stage.held_by(stage.ours, case.vip)
    assert "silent" in vip_of(n)["reason"]
    check_no_complaints(n, k)


def test_without_preemption_keepalived_stays(stage, our_node):
    """preempt: false: we have the higher priority, and leave a living one in place."""
    case = Case()
    k = stage.keepalived(case.keepalived(100))
    stage.held_by(stage.theirs, case.vip)
    n = our_node(case.holdfast(200, preempt=False))
    wait_state(n, "backup")
    heard = vip_of(n)["counters"]["advertisements_received_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_received_total"] >= heard + 10)
    assert vip_of(n)["state"] == "backup" and stage.theirs.holds(case.vip)
    k.stop()
    stage.held_by(stage.ours, case.vip)
    check_no_complaints(n, k)


def test_without_preemption_we_stay(stage, our_node):
    """nopreempt: it has the higher priority, and leaves us in place."""
    case = Case()
    n = our_node(case.holdfast(100))
    stage.held_by(stage.ours, case.vip)
    k = stage.keepalived(case.keepalived(200, options=["nopreempt"]))
    sent = vip_of(n)["counters"]["advertisements_sent_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_sent_total"] >= sent + 15)
    assert vip_of(n)["state"] == "active" and "Entering MASTER" not in k.log
    n.stop()
    stage.held_by(stage.theirs, case.vip)
    assert k.complaints() == []


def test_delayed_preemption(stage, our_node):
    """preempt: 3s: the lower one keeps the address so long, and no longer."""
    case = Case()
    stage.keepalived(case.keepalived(100))
    stage.held_by(stage.theirs, case.vip)
    n = our_node(case.holdfast(200, preempt="3s"))
    wait_state(n, "backup")
    wait_for(lambda: vip_of(n)["counters"]["advertisements_received_total"] >= 1)
    began = time.monotonic()
    stage.held_by(stage.ours, case.vip)
    assert time.monotonic() - began > 2.0
    assert "preempts priority 100" in vip_of(n)["reason"]


def test_wrong_password(stage, our_node):
    """Two nodes that cannot believe one another: both hold the address, and ours says why it did
    not take what it heard."""
    case = Case(2, password="geheim")
    n = our_node(case.holdfast(200))
    stage.held_by(stage.ours, case.vip)
    k = stage.keepalived(case.keepalived(100, password="falsch"))
    wait_for(lambda: stage.theirs.holds(case.vip))
    # Once suffices: it puts its own next advertisement off with each one that it drops.
    wait_for(lambda: vip_of(n)["dropped"]["auth"] >= 1)
    v = vip_of(n)
    assert v["state"] == "active" and v["counters"]["advertisements_received_total"] == 0
    assert [key for key, value in n.metrics().items()
            if key.startswith("holdfast_vrrp_dropped_total") and 'reason="auth"' in key
            and value >= 1]
    wait_for(lambda: any("passwd" in c for c in k.complaints()),
             what="keepalived says so too")


def test_no_password_is_another_kind(stage, our_node):
    case = Case(2, password="geheim")
    n = our_node(case.holdfast(100))
    stage.keepalived(case.keepalived(200, password=None))
    wait_for(lambda: vip_of(n)["dropped"]["auth"] >= 2)
    wait_for(lambda: stage.ours.holds(case.vip))
    assert vip_of(n)["counters"]["advertisements_received_total"] == 0


def test_we_learn_a_longer_interval(stage, our_node):
    """The active node speaks each 500 ms, our file says 100 ms: we wait as long as it needs."""
    case = Case(3, interval=0.1)
    k = stage.keepalived(case.keepalived(200, interval=0.5))
    stage.held_by(stage.theirs, case.vip)
    n = our_node(case.holdfast(100))
    wait_for(lambda: vip_of(n)["active_interval_ms"] == 500)
    changes = vip_of(n)["counters"]["transitions_total"]
    heard = vip_of(n)["counters"]["advertisements_received_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_received_total"] >= heard + 10)
    v = vip_of(n)
    assert v["state"] == "backup" and v["counters"]["transitions_total"] == changes
    assert v["counters"]["mismatches_total"] > 0 # told, not dropped
    assert not {r: c for r, c in v["dropped"].items() if c}
    k.stop()
    stage.held_by(stage.ours, case.vip)


def test_keepalived_learns_ours(stage, our_node):
    case = Case(3, interval=1.0)
    n = our_node(case.holdfast(200))
    stage.held_by(stage.ours, case.vip)
    k = stage.keepalived(case.keepalived(100, interval=0.1))
    sent = vip_of(n)["counters"]["advertisements_sent_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_sent_total"] >= sent + 4)
    # It may have begun before it heard us first; from then on it waits.
    began = k.log.count("Entering MASTER")
    wait_for(lambda: vip_of(n)["counters"]["advertisements_sent_total"] >= sent + 9)
    assert k.log.count("Entering MASTER") == began
    stage.held_by(stage.ours, case.vip)


def test_several_addresses(stage, our_node):
    """All of them move, and both sides agree on the list."""
    case = Case()
    more = [f"{VIP}/24", "10.77.0.101/24", "10.77.0.102/32"]
    n = our_node(case.holdfast(200, addresses=more))
    stage.held_by(stage.ours, case.vip)
    k = stage.keepalived(case.keepalived(100, addresses=more))
    for address in ("10.77.0.101", "10.77.0.102"):
        stage.held_by(stage.ours, address)
    sent = vip_of(n)["counters"]["advertisements_sent_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_sent_total"] >= sent + 5)
    n.stop()
    for address in (VIP, "10.77.0.101", "10.77.0.102"):
        stage.held_by(stage.theirs, address)
    n.start()
    for address in (VIP, "10.77.0.101", "10.77.0.102"):
        stage.held_by(stage.ours, address)
    check_no_complaints(n, k)


def test_another_list_is_told_and_not_dropped(stage, our_node):
    case = Case()
    stage.keepalived(case.keepalived(200, addresses=[f"{VIP}/24", "10.77.0.105/24"]))
    stage.held_by(stage.theirs, case.vip)
    n = our_node(case.holdfast(100))
    wait_for(lambda: vip_of(n)["counters"]["mismatches_total"] >= 3)
    assert vip_of(n)["state"] == "backup"
    n.wait_log("vrrp_mismatch")


def test_two_addresses_crosswise(stage, our_node):
    """Each node is active for one address and stands by for the other."""
    case = Case()
    conf = case.holdfast(200)
    conf["virtual_ips"]["other"] = {
        "address": "10.77.0.101/24", "interface": "eth0", "router_id": 52, "advertise": "200ms",
        "priority": {"ours": 100, "theirs": 200}}
    n = our_node(conf)
    k = stage.keepalived(case.keepalived(100),
                         instance("other", 52, ["10.77.0.101/24"], 200, interval=0.2))
    stage.held_by(stage.ours, VIP)
    stage.held_by(stage.theirs, "10.77.0.101")
    k.stop()
    stage.held_by(stage.ours, "10.77.0.101")
    assert stage.ours.holds(VIP)
    k.start()
    stage.held_by(stage.theirs, "10.77.0.101")
    assert stage.ours.holds(VIP)
    for v in n.status()["virtual_ips"]:
        assert not {r: c for r, c in v["dropped"].items() if c}
    assert k.complaints() == []


def test_sync_group(stage, our_node):
    """Two addresses that move together, on both sides; one of ours gives way, and both do."""
    case = Case()
    conf = case.holdfast(200, sync_group="both")
    conf["virtual_ips"]["other"] = {
        "address": "10.77.0.101/24", "interface": "eth0", "router_id": 52, "advertise": "200ms",
        "priority": {"ours": 200, "theirs": 100}, "sync_group": "both"}
    # It is there first, and is heard: a node that only stands by says nothing, and a switchover to
    # nobody is refused.
    k = stage.keepalived("vrrp_sync_group both {\ngroup {\nweb\nother\n}\n}\n",
                         case.keepalived(100),
                         instance("other", 52, ["10.77.0.101/24"], 100, interval=0.2))
    for address in (VIP, "10.77.0.101"):
        stage.held_by(stage.theirs, address)
    n = our_node(conf)
    for address in (VIP, "10.77.0.101"):
        stage.held_by(stage.ours, address)
    # The operator takes one of them away: the other goes with it, and both stay away.
    done = n.cli("switchover", "web")
    assert done.returncode == 0, done.stdout + done.stderr
    for address in (VIP, "10.77.0.101"):
        stage.held_by(stage.theirs, address)
    heard = vip_of(n)["counters"]["advertisements_received_total"]
    wait_for(lambda: vip_of(n)["counters"]["advertisements_received_total"] >= heard + 10)
    for address in (VIP, "10.77.0.101"):
        stage.held_by(stage.theirs, address)
    k.stop()
    for address in (VIP, "10.77.0.101"):
        stage.held_by(stage.ours, address)
    assert k.complaints() == []


def test_the_checksum_without_the_pseudo_header(stage, our_node):
    """keepalived does not take it, as facts have it; ours takes both: it stays the only one that
    hears the other."""
    case = Case()
    n = our_node(case.holdfast(100, checksum="plain"))
    stage.keepalived(case.keepalived(200))
    stage.held_by(stage.theirs, case.vip)
    assert vip_of(n)["state"] == "backup"
    assert vip_of(n)["dropped"]["checksum"] == 0
