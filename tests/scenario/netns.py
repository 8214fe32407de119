# SPDX-License-Identifier: Apache-2.0
"""Networks of namespaces for scenario tests: a bridge, and hosts on it. All names carry the id of
the test's process; everything is removed at the end, whatever happened."""

import contextlib
import ctypes
import datetime
import itertools
import json
import os
import subprocess
import tempfile
import time

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_count = itertools.count()

needs_netns = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")


def ip(*args, check=True):
    """`ip ARGS…`; its output."""
    done = subprocess.run(["ip", *map(str, args)], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """A namespace with eth0 on the LAN's bridge. ns: its name, for `ip netns exec`."""

    def __init__(self, lan, name, addresses):
        self.lan = lan
        self.name = name
        self.ns = f"{lan.id}-{name}"
        self.port = f"p-{name}"[:15] # its end on the bridge
        ip("netns", "add", self.ns)
        self.ip("link", "set", "lo", "up")
        ip("-n", lan.ns, "link", "add", self.port, "type", "veth", "peer", "name", "eth0",
           "netns", self.ns)
        ip("-n", lan.ns, "link", "set", self.port, "master", "br0", "up")
        for a in addresses:
            nodad = ("nodad",) if ":" in a else ()
            self.ip("addr", "add", a, "dev", "eth0", *nodad)
        self.ip("link", "set", "eth0", "up")

    def ip(self, *args, check=True):
        return ip("-n", self.ns, *args, check=check)

    def command(self, *command):
        """The words that run a command here."""
        return ["ip", "netns", "exec", self.ns, *map(str, command)]

    def run(self, *command, timeout=30, check=True):
        """Runs a command here; the CompletedProcess with text."""
        return subprocess.run(self.command(*command), capture_output=True, text=True,
                              timeout=timeout, check=check)

    def popen(self, *command, **options):
        return subprocess.Popen(self.command(*command), **options)

    @contextlib.contextmanager
    def inside(self):
        """This thread is here: sockets opened meanwhile stay here."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(f"/run/netns/{self.ns}", "rb") as there:
            if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield self
            finally:
                if _libc.setns(home.fileno(), CLONE_NEWNET) != 0:
                    os._exit(1) # nothing in this process could be trusted any more

    def addresses(self, dev="eth0"):
        """{"10.77.0.100/24": its description as `ip -j addr` tells it}"""
        out = self.ip("-j", "addr", "show", "dev", dev, check=False)
        found = json.loads(out) if out.strip() else []
        return {f"{a['local']}/{a['prefixlen']}": a for link in found
                for a in link.get("addr_info", [])}

    def holds(self, address, dev="eth0"):
        """Whether an address ("10.77.0.100") is on the interface."""
        return any(a.split("/")[0] == address for a in self.addresses(dev))

    def mac(self, dev="eth0"):
        return json.loads(self.ip("-j", "link", "show", "dev", dev))[0]["address"]

    def nic(self, dev, bridge, *addresses):
        """One more interface, on another bridge of the LAN."""
        port = f"{dev}-{self.name}"[:15]
        self.lan.bridge(bridge)
        ip("-n", self.lan.ns, "link", "add", port, "type", "veth", "peer", "name", dev, "netns",
           self.ns)
        ip("-n", self.lan.ns, "link", "set", port, "master", bridge, "up")
        for a in addresses:
            self.ip("addr", "add", a, "dev", dev)
        self.ip("link", "set", dev, "up")

    def watch(self):
        """Notes every change of an address from now on; ended with the LAN."""
        w = AddressWatch(self)
        self.lan.watches.append(w)
        return w

    def cut(self):
        """Nothing passes between it and the LAN, but its interface keeps its carrier."""
        ip("-n", self.lan.ns, "link", "set", self.port, "nomaster")

    def heal(self):
        ip("-n", self.lan.ns, "link", "set", self.port, "master", "br0")

    def carrier(self, on, dev="eth0"):
        """Plugs the cable in or pulls it out."""
        port = self.port if dev == "eth0" else f"{dev}-{self.name}"[:15]
        ip("-n", self.lan.ns, "link", "set", port, "up" if on else "down")


class AddressWatch:
    """`ip monitor address` in a host: (time, line) for each change."""

    def __init__(self, host):
        self.path = tempfile.mkstemp(prefix="hf-monitor-")[1]
        self.proc = host.popen("ip", "-o", "-ts", "monitor", "address", stdin=subprocess.DEVNULL,
                               stdout=open(self.path, "wb"), stderr=subprocess.DEVNULL)
        # It listens when it has shown a change that we make.
        for _ in range(200):
            host.ip("addr", "add", "127.9.9.9/32", "dev", "lo")
            host.ip("addr", "del", "127.9.9.9/32", "dev", "lo")
            if "127.9.9.9" in self.text():
                return
            time.sleep(0.02)
        raise RuntimeError("ip monitor shows nothing")

    def text(self):
        with open(self.path, "r", encoding="utf-8") as f:
            return f.read()

    def changes(self, address):
        """[(time of day in seconds since the epoch, "added" or "deleted")] of an address."""
        found = []
        for line in self.text().splitlines():
            if f" {address}/" in line and line.startswith("["):
                stamp, _, rest = line[1:].partition("]")
                at = datetime.datetime.fromisoformat(stamp).timestamp()
                found.append((at, "deleted" if "Deleted" in rest else "added"))
        return found

    def deleted(self, address):
        return [c for c in self.changes(address) if c[1] == "deleted"]

    def close(self):
        self.proc.terminate()
        self.proc.wait(10)
        os.unlink(self.path)


class Lan:
    """A bridge in a namespace of its own; host(name, "10.77.0.11/24", …) puts hosts on it."""

    def __init__(self, label="lan"):
        self.id = f"hf-{label}-{os.getpid()}-{next(_count)}"
        self.ns = f"{self.id}-sw"
        self.hosts = []
        self.watches = []
        self.bridges = set()
        ip("netns", "add", self.ns)
        try:
            self.bridge("br0")
        except RuntimeError:
            self.close()
            raise

    def bridge(self, name):
        if name not in self.bridges:
            ip("-n", self.ns, "link", "add", name, "type", "bridge", "mcast_snooping", "0",
               "forward_delay", "0")
            ip("-n", self.ns, "link", "set", name, "up")
            self.bridges.add(name)

    def host(self, name, *addresses):
        h = Host(self, name, addresses)
        self.hosts.append(h)
        return h

    def close(self):
        for w in self.watches:
            w.close()
        for line in ip("netns", "list").splitlines():
            name = line.split()[0] if line.strip() else ""
            if name.startswith(self.id + "-"):
                ip("netns", "del", name, check=False)
