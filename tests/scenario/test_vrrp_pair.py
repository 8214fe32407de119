# SPDX-License-Identifier: Apache-2.0
"""Nodes that share virtual IPs, in namespaces: deaths, returns, reloads, upgrades, freezes."""

import copy
import os
import pathlib
import signal
import socket
import struct
import tempfile

import pytest

from conftest import alive, needs_netns, wait_for

pytestmark = [needs_netns, pytest.mark.limit(180)]

VIP = "10.77.0.100"


def conf(nodes=2, **vip):
    """The file of so many nodes, and one virtual IP with those values."""
    names = [f"lb{i}" for i in range(1, nodes + 1)]
    web = {"address": f"{VIP}/24", "interface": "eth0", "router_id": 51, "advertise": "40ms",
           "priority": {n: 200 - 50 * i for i, n in enumerate(names)}}
    web.update(vip)
    return {
        "cluster": "shop",
        "nodes": {n: {"address": f"10.77.0.{11 + i}"} for i, n in enumerate(names)},
        "proxy": {"threads": 1},
        "virtual_ips": {"web": web},
        "listeners": {"http": {"bind": "*:80"}},
        "routes": {"all": {"to": "web"}},
        "pools": {"web": {"check": {"tcp": True, "timeout": "500ms"},
                          "servers": {"a": "127.0.0.1:9"}}},
    }


def vip(node, name="web"):
    for v in node.status()["virtual_ips"]:
        if v["name"] == name:
            return v
    return None


def state(node, name="web"):
    v = vip(node, name)
    return v and v["state"]


def wait_state(node, wanted, name="web"):
    wait_for(lambda: state(node, name) == wanted, 30, f"{node.name}: {name} {wanted}")


def count(node, counter, name="web"):
    return vip(node, name)["counters"][counter + "_total"]


def transitions(node, name="web"):
    return count(node, "transitions", name)


def events(node, event):
    return [line for line in node.log.splitlines() if f'"event":"{event}"' in line]


def kill_all(node):
    """The death of a machine, as far as its processes go."""
    for sig in (signal.SIGSTOP, signal.SIGKILL): # none may act on another's death
        for pid in node.pids():
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
    node.proc.wait(30)
    wait_for(lambda: not any(alive(p) for p in node.pids()), 30, "all processes dead")


class Pair:
    """lb1, which is active, and lb2, which stands by; hosts h[0], h[1]."""

    def __init__(self, lan, node, c=None, started=True, addresses=((), ())):
        self.conf = c or conf()
        self.lan = lan("pair")
        self.make = node
        self.h = [self.lan.host(f"lb{i + 1}", f"10.77.0.{11 + i}/24", *addresses[i])
                  for i in range(2)]
        self.n = [node(self.conf, name=f"lb{i + 1}", host=self.h[i], start=False)
                  for i in range(2)]
        if started:
            self.start()

    def start(self):
        for n in self.n:
            n.start()
        self.settled()

    def settled(self, first=0, name="web"):
        """lb1 (or lb2) holds it, the other one stands by."""
        wait_state(self.n[first], "active", name)
        wait_state(self.n[1 - first], "backup", name)

    def held_by(self, which, address=VIP):
        wait_for(lambda: [h.holds(address) for h in self.h] == [which == 0, which == 1], 30,
                 f"{address} on {which}")


@pytest.fixture
def pair(lan, node):
    def make(c=None, **options):
        return Pair(lan, node, c, **options)
    return make


def test_death_and_return(pair):
    p = pair()
    p.held_by(0)
    kill_all(p.n[0])
    wait_state(p.n[1], "active")
    assert p.h[1].holds(VIP)
    assert "was silent for" in vip(p.n[1])["reason"]
    # The kernel takes the dead node's address away.
    wait_for(lambda: not p.h[0].holds(VIP), 10, "address gone")
    p.n[0].start()
    p.settled() # it preempts
    p.held_by(0)


def test_leftovers_are_cleaned_at_the_next_start(pair):
    p = pair()
    kill_all(p.n[0])
    wait_state(p.n[1], "active")
    p.h[0].ip("addr", "add", f"{VIP}/24", "dev", "eth0", check=False) # for good
    assert p.h[0].holds(VIP)
    c = copy.deepcopy(p.conf)
    c["virtual_ips"]["web"]["priority"] = {"lb1": 50, "lb2": 100}
    p.n[0].write(c)
    p.n[0].start()
    wait_state(p.n[0], "backup")
    assert not p.h[0].holds(VIP)
    assert events(p.n[0], "leftover")
    assert state(p.n[1]) == "active"


def test_a_graceful_stop_hands_over(pair):
    p = pair()
    p.n[0].stop()
    wait_state(p.n[1], "active")
    assert "gave it up" in vip(p.n[1])["reason"]
    p.held_by(1)
    log = p.n[0].log
    assert log.index("no virtual IP is held any more") < log.index('"event":"draining"')


def test_without_preemption_the_returned_node_stands_by(pair):
    p = pair(conf(preempt=False))
    p.n[0].stop()
    wait_state(p.n[1], "active")
    p.n[0].start()
    p.settled(1)
    kill_all(p.n[1])
    wait_state(p.n[0], "active")


def test_reload_changes_priority_and_addresses_without_dropping_any(pair):
    p = pair()
    p.held_by(0)
    watch = p.h[0].watch()
    c = copy.deepcopy(p.conf)
    web = c["virtual_ips"]["web"]
    del web["address"]
    web["addresses"] = [f"{VIP}/24", "10.77.0.101/24"]
    web["priority"] = {"lb1": 180, "lb2": 90}
    for n in p.n:
        assert n.reload(c).returncode == 0
    wait_for(lambda: p.h[0].holds("10.77.0.101"), 10, "address added")
    wait_for(lambda: vip(p.n[0])["priority"] == 180, 10, "priority")
    web["addresses"] = [f"{VIP}/24", "10.77.0.102/24"]
    web["advertise"] = "200ms"
    for n in p.n:
        assert n.reload(c).returncode == 0
    wait_for(lambda: p.h[0].holds("10.77.0.102") and not p.h[0].holds("10.77.0.101"), 10,
             "address replaced")
    assert not watch.deleted(VIP)
    assert transitions(p.n[0]) == 2 and transitions(p.n[1]) == 1
    # Priorities turned round: the other one takes over.
    web["priority"] = {"lb1": 90, "lb2": 180}
    for n in p.n:
        assert n.reload(c).returncode == 0
    p.settled(1)
    p.held_by(1, "10.77.0.102")


def test_reload_takes_a_virtual_ip_away_and_brings_it_back(pair):
    p = pair()
    c = copy.deepcopy(p.conf)
    c["virtual_ips"]["web"]["priority"] = {"lb2": 100}
    assert p.n[0].reload(c).returncode == 0
    wait_state(p.n[1], "active")
    p.held_by(1)
    assert "gave it up" in vip(p.n[1])["reason"]
    assert p.n[0].reload(p.conf).returncode == 0
    p.settled()
    p.held_by(0)


def test_a_killed_role_is_not_noticed_by_the_peer(pair):
    p = pair(conf(advertise="200ms"))
    watch = p.h[0].watch()
    before = transitions(p.n[1])
    pid = p.n[0].kill_role("vrrp")
    wait_for(lambda: p.n[0].pids("vrrp") not in ([], [pid]), 10, "a new process")
    wait_for(lambda: events(p.n[0], "vip_resumed"), 10, "the new process acts")
    sent = count(p.n[0], "advertisements_sent")
    wait_for(lambda: count(p.n[0], "advertisements_sent") > sent + 10, 10, "adverts")
    assert not watch.deleted(VIP)
    assert state(p.n[0]) == "active"
    assert transitions(p.n[1]) == before


def test_upgrade_keeps_the_address(pair):
    p = pair()
    watch = p.h[0].watch()
    before = transitions(p.n[0]), transitions(p.n[1])
    old = p.n[0].role_pid("vrrp")
    assert p.n[0].cli("upgrade").returncode == 0
    wait_for(lambda: p.n[0].pids("vrrp") not in ([], [old]) and not alive(old), 30, "replaced")
    wait_for(lambda: events(p.n[0], "vip_resumed"), 10, "the new process acts")
    p.settled()
    assert not watch.deleted(VIP)
    assert (transitions(p.n[0]), transitions(p.n[1])) == before


def test_a_killed_parent_changes_nothing(pair):
    p = pair()
    watch = p.h[0].watch()
    p.n[0].kill_role("parent")
    p.n[0].start()
    p.settled()
    assert not watch.deleted(VIP)
    assert transitions(p.n[1]) == 1


def test_a_frozen_node_loses_the_address_and_comes_back(pair):
    p = pair()
    for pid in p.n[0].pids():
        os.kill(pid, signal.SIGSTOP)
    wait_state(p.n[1], "active")
    wait_for(lambda: not p.h[0].holds(VIP), 4, "address gone from the frozen node")
    for pid in p.n[0].pids():
        os.kill(pid, signal.SIGCONT)
    p.settled()
    p.held_by(0)


def test_ipv6(pair):
    c = conf(addresses=["2001:db8:77::100/64"])
    del c["virtual_ips"]["web"]["address"]
    p = pair(c)
    p.held_by(0, "2001:db8:77::100")
    derived = [a for a in p.h[0].addresses() if a.startswith("fe80::")]
    assert len(derived) == 2 # the interface's own, and the virtual router's
    kill_all(p.n[0])
    wait_state(p.n[1], "active")
    assert p.h[1].holds("2001:db8:77::100")
    wait_for(lambda: not p.h[0].holds("2001:db8:77::100"), 10, "address gone")
    p.n[0].start()
    p.settled()


def test_two_crosswise(pair):
    c = conf()
    c["virtual_ips"]["db"] = dict(c["virtual_ips"]["web"], address="10.77.0.200/24",
                                  router_id=52, priority={"lb1": 100, "lb2": 200})
    p = pair(c)
    p.settled(1, "db")
    p.held_by(0)
    p.held_by(1, "10.77.0.200")
    p.n[1].stop()
    wait_state(p.n[0], "active", "db")
    assert p.h[0].holds(VIP) and p.h[0].holds("10.77.0.200")
    p.n[1].start()
    p.settled(1, "db")
    p.settled(0, "web")


def test_a_sync_group_moves_as_one(pair):
    c = conf(sync_group="both")
    c["virtual_ips"]["inner"] = dict(copy.deepcopy(c["virtual_ips"]["web"]), address="10.78.0.100/24",
                                     interface="eth1", router_id=53)
    p = pair(c, started=False)
    for i, h in enumerate(p.h):
        h.nic("eth1", "br1", f"10.78.0.{11 + i}/24")
    p.start()
    p.settled(0, "inner")
    p.h[0].carrier(False, "eth1")
    wait_state(p.n[1], "active", "web")
    wait_state(p.n[1], "active", "inner")
    wait_state(p.n[0], "backup", "web")
    wait_state(p.n[0], "out", "inner")
    p.held_by(1)
    wait_for(lambda: p.h[1].holds("10.78.0.100", "eth1"), 10, "inner")
    p.h[0].carrier(True, "eth1")
    p.settled(0, "inner")
    p.settled(0, "web")


def test_an_interface_that_goes_and_comes(pair):
    p = pair()
    p.h[0].carrier(False)
    wait_state(p.n[0], "out")
    assert "no carrier" in vip(p.n[0])["reason"]
    wait_state(p.n[1], "active")
    p.h[0].carrier(True)
    p.settled()
    p.held_by(0)
    # Renamed: no such interface; again by its name.
    p.h[0].ip("link", "set", "eth0", "down")
    p.h[0].ip("link", "set", "eth0", "name", "wan0")
    p.h[0].ip("link", "set", "wan0", "up")
    wait_for(lambda: "there is no interface eth0" in vip(p.n[0])["reason"], 10, "reason")
    p.h[0].ip("link", "set", "wan0", "down")
    p.h[0].ip("link", "set", "wan0", "name", "eth0")
    p.h[0].ip("link", "set", "eth0", "up")
    p.settled()


def test_an_interface_without_an_address_takes_no_part(pair):
    p = pair(started=False)
    p.h[0].ip("addr", "del", "10.77.0.11/24", "dev", "eth0")
    for n in p.n:
        n.start()
    wait_state(p.n[1], "active")
    assert state(p.n[0]) == "out"
    assert "no IPv4 address of its own" in vip(p.n[0])["reason"]
    p.h[0].ip("addr", "add", "10.77.0.11/24", "dev", "eth0")
    p.settled()


def test_an_address_that_somebody_removes_is_added_again(pair):
    p = pair()
    p.held_by(0)
    p.h[0].ip("addr", "del", f"{VIP}/24", "dev", "eth0")
    wait_for(lambda: p.h[0].holds(VIP), 10, "address again")
    assert events(p.n[0], "address_lost")
    assert state(p.n[0]) == "active"


def test_a_split_heals_and_is_said(pair):
    p = pair()
    p.h[0].cut()
    wait_state(p.n[1], "active")
    assert state(p.n[0]) == "active"
    p.h[0].heal()
    p.settled()
    p.held_by(0)
    wait_for(lambda: events(p.n[0], "vip_conflict"), 10, "said")
    assert count(p.n[0], "conflicts") == 1
    wait_for(lambda: not vip(p.n[0])["conflict"], 10, "over")


def test_a_stranger_with_the_address_is_said(pair):
    p = pair()
    stranger = p.lan.host("stranger", f"{VIP}/24")
    wait_for(lambda: events(p.n[0], "vip_duplicate"), 30, "said")
    assert stranger.mac() in events(p.n[0], "vip_duplicate")[0]
    assert count(p.n[0], "duplicate_addresses") >= 1
    assert state(p.n[0]) == "active"


def test_drained_and_ready_again(pair):
    p = pair()
    done = p.n[0].cli("drain", "--node")
    assert done.returncode == 0 and "lb2" in done.stdout, done
    p.held_by(1)
    assert state(p.n[0]) == "out" and vip(p.n[0])["drained"]
    p.n[0].stop()
    p.n[0].start() # kept
    wait_for(lambda: "drained" in vip(p.n[0])["reason"], 10, "still drained")
    assert state(p.n[1]) == "active"
    assert p.n[0].cli("ready", "--node").returncode == 0
    p.settled()


def test_switchover_there_and_back(pair):
    p = pair()
    assert p.n[1].cli("switchover", "web").returncode == 1 # it does not hold it
    done = p.n[0].cli("switchover", "web")
    assert done.returncode == 0 and "lb2" in done.stdout, done
    p.settled(1)
    assert vip(p.n[0])["yielded"]
    done = p.n[0].cli("switchover", "web", "--to", "lb1")
    assert done.returncode == 0, done
    p.settled()
    done = p.n[0].cli("switchover", "web", "--to", "lb2")
    assert done.returncode == 0, done
    p.settled(1)
    # Nobody holds it any more: the one that yielded takes it back.
    kill_all(p.n[1])
    wait_state(p.n[0], "active")


def test_switchover_without_another_node_is_refused(lan, node):
    h = lan("one").host("lb1", "10.77.0.11/24")
    n = node(conf(), name="lb1", host=h)
    wait_state(n, "active")
    done = n.cli("switchover", "web")
    assert done.returncode == 1 and "no other node was ever heard" in done.stderr, done
    assert state(n) == "active" and h.holds(VIP)


def test_switchover_to_one_of_three(lan, node):
    net = lan("three")
    c = conf(3)
    hosts = [net.host(f"lb{i}", f"10.77.0.{10 + i}/24") for i in (1, 2, 3)]
    n = [node(c, name=f"lb{i + 1}", host=h) for i, h in enumerate(hosts)]
    wait_state(n[0], "active")
    wait_for(lambda: [state(x) for x in n] == ["active", "backup", "backup"], 10, "settled")
    wait_for(lambda: count(n[0], "advertisements_sent") > 5, 10, "adverts")
    done = wait_for(lambda: (d := n[0].cli("switchover", "web", "--to", "lb3")).returncode == 0
                    and d, 15, "switchover")
    assert "lb3" in done.stdout, done
    wait_for(lambda: [state(x) for x in n] == ["backup", "backup", "active"], 10, "lb3 has it")
    assert vip(n[2])["appointed"]
    assert transitions(n[1]) == 1


def test_unicast_peers(pair):
    p = pair(conf(unicast_peers=True))
    p.held_by(0)
    kill_all(p.n[0])
    wait_state(p.n[1], "active")
    p.n[0].start()
    p.settled()


def test_virtual_mac(pair):
    p = pair(conf(virtual_mac=True))
    client = p.lan.host("client", "10.77.0.50/24")

    def macs():
        with client.inside():
            socket.create_connection((VIP, 80), 2).close()
        return client.ip("neigh", "show", VIP)
    wait_for(lambda: "00:00:5e:00:01:33" in macs(), 20, "the virtual router's MAC")
    p.n[0].stop()
    wait_state(p.n[1], "active")
    client.ip("neigh", "flush", "all")
    wait_for(lambda: "00:00:5e:00:01:33" in macs(), 20, "the same MAC at the other node")
    assert not p.h[0].ip("-d", "link", "show", "type", "macvlan").strip()


@pytest.fixture
def open_dir():
    """A folder that the user of the roles may reach and write to."""
    with tempfile.TemporaryDirectory(prefix="hf-hook-") as d:
        os.chmod(d, 0o777)
        yield pathlib.Path(d)


def test_hooks_run_in_order(pair, open_dir):
    path = open_dir / "hooks"
    script = open_dir / "hook.sh"
    script.write_text("#!/bin/sh\n"
                      f'echo "$HOLDFAST_NODE $HOLDFAST_VIP $HOLDFAST_FROM-$HOLDFAST_TO '
                      f'$HOLDFAST_NUMBER" >> {path}\n')
    script.chmod(0o755)
    p = pair(conf(notify={"exec": [str(script)]}))
    for _ in range(3):
        assert p.n[0].cli("switchover", "web").returncode == 0
        assert p.n[1].cli("switchover", "web").returncode == 0
    p.settled()
    n = transitions(p.n[0])
    wait_for(lambda: f"lb1 web backup-active {n}" in path.read_text(), 30, "the last hook")
    numbers = [int(line.split()[3]) for line in path.read_text().splitlines()
               if line.startswith("lb1")]
    assert numbers == list(range(1, n + 1))


def packet(vrid, priority=255, ttl=255, vip_address=VIP, kind=1):
    """(ttl, bytes) of a version 3 advertisement with a right checksum without pseudo-header."""
    body = struct.pack("!BBBBHH4s", 0x30 | kind, vrid, priority, 1, 4, 0,
                       socket.inet_aton(vip_address))
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xffff) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xffff
    return ttl, body[:6] + struct.pack("!H", total) + body[8:]


def test_refused_packets_are_counted_and_change_nothing(pair):
    p = pair()
    before = transitions(p.n[0]), transitions(p.n[1])
    kinds = {"vrid": packet(99), "ttl": packet(51, ttl=254), "type": packet(51, kind=4),
             "checksum": (255, packet(51)[1][:6] + b"\x12\x34" + packet(51)[1][8:]),
             "length": (255, b"\x31")}
    # What one speaker says beyond measure counts as that: each kind has its own.
    speakers = [f"10.77.0.{61 + i}" for i in range(len(kinds))]
    stranger = p.lan.host("stranger", *(f"{a}/24" for a in speakers))
    for speaker, (name, (ttl, data)) in zip(speakers, kinds.items()):
        with stranger.inside():
            s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
        with s:
            s.bind((speaker, 0))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(speaker))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            for _ in range(2000):
                s.sendto(data, ("224.0.0.18", 0))
            wait_for(lambda: vip(p.n[1])["dropped"][name] >= 200, 20, name)
    assert vip(p.n[1])["dropped"]["rate"] > 0
    assert (transitions(p.n[0]), transitions(p.n[1])) == before
    assert [state(n) for n in p.n] == ["active", "backup"]
    # The log says each kind, not each packet.
    assert 1 <= len(events(p.n[1], "vrrp_dropped")) <= 40
