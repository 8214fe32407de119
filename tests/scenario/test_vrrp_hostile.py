# SPDX-License-Identifier: Apache-2.0
"""Advertisements of a stranger: 10,000 that are malformed, foreign or replayed change nothing, and
each is counted with its reason. The stranger is a Python program with raw sockets in a namespace;
what it sends follows from SEED."""

import collections
import random
import socket
import struct
import time

import pytest

from conftest import free_port, memory_kib, needs_netns, wait_for

pytestmark = needs_netns

SEED = 20261121
OURS, PEER, STRANGER = "10.77.0.11", "10.77.0.12", "10.77.0.66"
VIP = "10.77.0.100"
GROUP = "224.0.0.18"
VRID = 51
COUNT = 10000


def conf(port, **vip):
    web = {"address": f"{VIP}/24", "interface": "eth0", "router_id": VRID, "advertise": "100ms",
           "priority": {"ours": 200, "peer": 100}}
    web.update(vip)
    return {
        "cluster": "t",
        "nodes": {"ours": {"address": OURS}, "peer": {"address": PEER}},
        "virtual_ips": {"web": web},
        "listeners": {"http": {"bind": f"127.0.0.1:{port}"}},
        "routes": {"all": {"to": "web"}},
        "pools": {"web": {"servers": {"a": f"127.0.0.1:{port + 1}"}}},
    }


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def advert(version=3, kind=1, vrid=VRID, priority=250, interval=10, addresses=(VIP,), auth=b"",
           auth_type=0, source=STRANGER, target=GROUP, pseudo=True, count=None):
    """An advertisement with the right checksum, whatever else is wrong."""
    packed = b"".join(map(socket.inet_aton, addresses))
    middle = struct.pack("!BB", auth_type, interval) if version == 2 else struct.pack("!H", interval)
    head = struct.pack("!BBBB", version << 4 | kind, vrid, priority,
                       len(addresses) if count is None else count) + middle
    body = packed + (auth.ljust(8, b"\0") if version == 2 else b"")
    whole = head + b"\0\0" + body
    summed = whole
    if version == 3 and pseudo:
        summed = (socket.inet_aton(source) + socket.inet_aton(target)
                  + struct.pack("!HH", 112, len(whole)) + whole)
    return head + struct.pack("!H", checksum(summed)) + body


def noise(rng, size):
    return bytes(rng.getrandbits(8) for _ in range(size))


# What the stranger sends: reason under which it is counted, and a maker of (packet, TTL). Priorities
# are above ours: taken for true, any of them would cost us the address.
BAD = {
    "ttl": lambda rng: (advert(priority=rng.choice((0, 250))), rng.randrange(1, 255)),
    "length": lambda rng: rng.choice((
        (advert()[:rng.randrange(2, 12)], 255),
        (advert() + noise(rng, rng.randrange(1, 12)), 255),
        (advert(count=rng.randrange(2, 256)), 255))),
    "version": lambda rng: rng.choice((
        (advert(version=2, interval=1), 255),
        (bytes([rng.choice((0, 1, 4, 9, 15)) << 4 | 1]) + advert()[1:], 255))),
    "type": lambda rng: (advert(kind=rng.choice((0, 2, 3, 4, 15))), 255),
    "checksum": lambda rng: (wrong_checksum(rng), 255),
    "vrid": lambda rng: (advert(vrid=rng.choice((0, 1, 50, 52, 255))), 255),
    "count": lambda rng: (advert(addresses=()), 255),
    "interval": lambda rng: (advert(interval=0), 255),
    "family": lambda rng: (family(rng), 255),
}


def wrong_checksum(rng):
    whole = advert()
    right = {whole[6:8], advert(pseudo=False)[6:8]}
    while (wrong := noise(rng, 2)) in right:
        pass
    return whole[:6] + wrong + whole[8:]


def family(rng):
    """IPv6 addresses in a packet over IPv4."""
    return advert(addresses=[socket.inet_ntoa(noise(rng, 4)) for _ in range(4)], count=1)


class Stranger:
    """Sends from a host of the LAN: as itself, or with a forged source and TTL."""

    def __init__(self, host):
        with host.inside():
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")

    def send(self, payload, ttl=255, source=STRANGER, target=GROUP):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0xc0, 20 + len(payload), 0, 0, ttl, 112, 0,
                           socket.inet_aton(source), socket.inet_aton(target))
        self.raw.sendto(head + payload, (target, 0))

    def close(self):
        self.raw.close()


@pytest.fixture
def scene(lan, node):
    """Our node, active, and the stranger."""
    class Scene:
        def __init__(self):
            self.lan = lan("foe")
            self.ours = self.lan.host("ours", f"{OURS}/24")
            self.foe = self.lan.host("foe", f"{STRANGER}/24")
            self.stranger = Stranger(self.foe)
            self.node = None

        def start(self, **vip):
            self.node = node(conf(free_port(), **vip), name="ours", host=self.ours)
            wait_for(lambda: self.vip["state"] == "active" and self.ours.holds(VIP))
            return self.node

        @property
        def vip(self):
            return self.node.status()["virtual_ips"][0]

        @property
        def dropped(self):
            return {r: c for r, c in self.vip["dropped"].items() if c}

        def metric(self, reason):
            return sum(v for k, v in self.node.metrics().items()
                       if k.startswith("holdfast_vrrp_dropped_total")
                       and f'reason="{reason}"' in k)

        def slowly(self, i):
            """Below the rate at which a speaker is no longer listened to, and so that no socket
            overflows while its reader waits for a processor."""
            if i % 40 == 39:
                wait_for(lambda: sum(self.dropped.values()) > i - 40, what="it keeps up")
                time.sleep(0.1)
    s = Scene()
    yield s
    s.stranger.close()


def unchanged(scene, before):
    after = scene.vip
    for key in ("state", "since", "reason", "priority", "holding", "conflict"):
        assert after[key] == before[key], key
    for key in ("transitions_total", "activations_total", "advertisements_received_total",
                "priority_zero_received_total", "conflicts_total"):
        assert after["counters"][key] == before["counters"][key], key
    assert scene.ours.holds(VIP)


@pytest.mark.limit(300)
def test_malformed_advertisements_change_nothing(scene):
    rng = random.Random(SEED)
    scene.start()
    reasons = list(BAD)
    for i in range(500): # what is reserved with the first of them is not counted as growth
        scene.stranger.send(*BAD[reasons[i % len(reasons)]](rng))
        scene.slowly(i)
    wait_for(lambda: sum(scene.dropped.values()) == 500)
    before, first, memory = scene.vip, scene.dropped, memory_kib(scene.node.role_pid("vrrp"), "Rss")
    sent = collections.Counter(first)
    for i in range(500, COUNT):
        reason = rng.choice(reasons)
        scene.stranger.send(*BAD[reason](rng))
        sent[reason] += 1
        scene.slowly(i)
    wait_for(lambda: sum(scene.dropped.values()) == COUNT, what="all are counted")
    assert scene.dropped == dict(sent)
    for reason in reasons:
        assert scene.metric(reason) == sent[reason]
    unchanged(scene, before)
    assert memory_kib(scene.node.role_pid("vrrp"), "Rss") < memory + 512
    lines = [line for line in scene.node.log.splitlines() if "vrrp_dropped" in line]
    assert 0 < len(lines) < COUNT / 20, "told, but not each of them"


def test_unicast_takes_only_what_peers_say(scene):
    """Foreign: well made, but not from a node of the file; and our own, sent back to us."""
    scene.start(unicast_peers=True)
    before = scene.vip
    for i in range(200):
        scene.stranger.send(advert(target=OURS, priority=(0, 250)[i % 2]), target=OURS)
    wait_for(lambda: scene.metric("peer") >= 200)
    for _ in range(200):
        scene.stranger.send(advert(source=OURS, target=OURS, priority=254), source=OURS, target=OURS)
    # The kernel does not even take in what claims to come from this machine; or we say "own".
    time.sleep(0.2)
    unchanged(scene, before)
    assert set(scene.dropped) <= {"peer", "own"}


def test_replayed_advertisements_change_nothing(scene):
    """Our own, recorded and sent again: from our address, and from another's."""
    scene.start()
    with scene.foe.inside():
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        ear.bind(("eth0", 0x0800))
    with ear:
        ear.settimeout(30)
        while True:
            packet = ear.recv(2048)
            if packet[9] == 112:
                break
    heard = packet[(packet[0] & 15) * 4:struct.unpack("!H", packet[2:4])[0]]
    assert heard[0] == 0x31 and heard[1] == VRID and heard[2] == 200
    before = scene.vip
    for _ in range(500):
        scene.stranger.send(heard, source=OURS)
        scene.stranger.send(heard, source=STRANGER)
        time.sleep(0.001)
    # The checksum covers the source's address: another's does not fit.
    wait_for(lambda: scene.metric("checksum") >= 250)
    unchanged(scene, before)
    assert set(scene.dropped) <= {"checksum", "own", "rate"}


def test_passwords_are_not_guessed(scene):
    rng = random.Random(SEED)
    scene.start(version=2, advertise="1s", password="geheim")
    before = scene.vip
    guesses = [b"", b"geheim1", b"gehei", b"GEHEIM", b"\0" * 8, b"geheim\0x"]
    for i in range(300):
        guess = rng.choice(guesses + [noise(rng, 8)])
        scene.stranger.send(advert(version=2, interval=1, auth=guess, auth_type=rng.choice((0, 1, 2)),
                                   priority=254))
        scene.slowly(i)
    wait_for(lambda: scene.metric("auth") == 300)
    for _ in range(50):
        scene.stranger.send(advert(version=2, interval=2, auth=b"geheim", auth_type=1,
                                   priority=254))
    wait_for(lambda: scene.metric("interval") == 50)
    unchanged(scene, before)
    # The right one is believed: what was sent before was refused for what it was.
    scene.stranger.send(advert(version=2, interval=1, auth=b"geheim", auth_type=1, priority=254))
    wait_for(lambda: scene.vip["state"] == "backup")


def test_a_flood_is_not_listened_to(scene):
    """Well made and lower than ours: the standard wants an answer to each. Only so many get one,
    and the address stays."""
    scene.start()
    packet = advert(priority=50)
    for i in range(5000):
        scene.stranger.send(packet)
        if i % 100 == 99:
            time.sleep(0.002)
    wait_for(lambda: scene.metric("rate") > 500)
    v = scene.vip
    assert v["state"] == "active" and scene.ours.holds(VIP) and v["conflict"]
    assert v["counters"]["conflicts_total"] == 1
    wait_for(lambda: not scene.vip["conflict"])
