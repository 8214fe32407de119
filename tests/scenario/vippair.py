# SPDX-License-Identifier: Apache-2.0
"""A pair of nodes that share an address, in namespaces: lb1 is preferred, lb2 stands by; a client,
a gateway, and test servers beside them."""

import socket
import subprocess

from harness import HOLDFAST, wait_for
from wire import Conn, http

VIP = "10.77.0.100"
VIP6 = "fd00:77::100"
ADVERTISE_MS = 100


def reaches(host, address, port=9):
    """Whether a host gets an answer from an address, be it a refusal."""
    try:
        with host.inside(), socket.create_connection((address, port), timeout=1):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


class Servers:
    """`holdfast whoami` for each of the pool's servers, in a host of their own."""

    def __init__(self, host, names):
        self.host = host
        self.procs = {}
        for i, name in enumerate(names):
            host.ip("addr", "add", f"10.77.0.{21 + i}/24", "dev", "eth0")
        self.binds = {n: f"10.77.0.{21 + i}:80" for i, n in enumerate(names)}
        for name in names:
            self.start(name)

    def start(self, name):
        self.procs[name] = self.host.popen(
            HOLDFAST, "whoami", "--bind", self.binds[name], "--name", name,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers():
            with self.host.inside(), Conn((self.binds[name].split(":")[0], 80), 5):
                return True
        wait_for(answers, what=f"server {name}")

    def kill(self, name):
        proc = self.procs.pop(name)
        proc.kill()
        proc.wait(30)

    def stop(self):
        for name in list(self.procs):
            self.kill(name)


class Pair:
    """lb1 and lb2, each with the file of conf(name); a change to it by change(name, conf)."""

    def __init__(self, lan, node, change=None, servers=("a", "b"), args=None):
        self.net = lan("vip")
        self.client = self.net.host("client", "10.77.0.9/24", "fd00:77::9/64")
        self.gateway = self.net.host("gw", "10.77.0.1/24", "fd00:77::1/64")
        self.servers = Servers(self.net.host("srv"), servers)
        self.hosts = {}
        self.nodes = {}
        self._make = node
        self._change = change
        self._args = args or {}
        for i, name in enumerate(("lb1", "lb2"), 11):
            h = self.net.host(name, f"10.77.0.{i}/24", f"fd00:77::{i}/64")
            h.ip("route", "add", "default", "via", "10.77.0.1")
            h.ip("-6", "route", "add", "default", "via", "fd00:77::1")
            self.hosts[name] = h

    def conf(self, name):
        """The file as that node has it."""
        c = {
            "cluster": "shop",
            "proxy": {"threads": 1, "shutdown_timeout": "5s"},
            "nodes": {"lb1": {"address": "10.77.0.11"}, "lb2": {"address": "10.77.0.12"}},
            "virtual_ips": {"web": {
                "address": f"{VIP}/24", "interface": "eth0", "router_id": 51,
                "advertise": f"{ADVERTISE_MS}ms", "priority": {"lb1": 200, "lb2": 100},
                "track": ["proxy", "pool.web"]}},
            "listeners": {"http": {"bind": "*:80"}},
            "routes": {"all": {"to": "web"}},
            "pools": {"web": {
                "check": {"http": "/health", "interval": "1s", "timeout": "900ms", "rise": 1,
                          "fall": 2},
                "servers": dict(self.servers.binds)}},
        }
        if self._change:
            self._change(name, c)
        return c

    def is_well(self, node):
        """Whether nothing keeps a node from its priority, and it knows of the other."""
        v = self.vip(node)
        return (v["priority"] == v["base_priority"] and v["peer_known"] and not v["conflict"] and
                all(c["known"] and c["well"] for c in v["conditions"]))

    def start(self, *names):
        """Starts the nodes: one by name, or both, and then waits until lb1 holds the address and
        all is well."""
        for h in self.net.hosts: # a busy machine takes its time until a bridge's ports pass frames
            wait_for(lambda h=h: reaches(h, "10.77.0.1"), what=f"{h.name} reaches the gateway")
        for name in names or ("lb1", "lb2"):
            self.nodes[name] = self._make(self.conf(name), name=name, host=self.hosts[name],
                                          args=self._args.get(name, ()))
        if not names:
            self.settle()
        return self

    def settle(self):
        """Until lb1 holds the address, lb2 stands by, and both are well."""
        def settled():
            one, two = self.vip("lb1"), self.vip("lb2")
            return (one["state"] == "active" and two["state"] == "backup" and
                    two["holder"] == "lb1" and self.is_well("lb1") and self.is_well("lb2"))
        wait_for(settled, 60, "lb1 active, lb2 standing by, both well")

    def __getattr__(self, name):
        if name in ("lb1", "lb2"):
            return self.nodes[name]
        raise AttributeError(name)

    def vip(self, node, name="web"):
        """What a node says about the virtual IP."""
        for v in self.nodes[node].status()["virtual_ips"]:
            if v["name"] == name:
                return v
        return None

    def holders(self, address=VIP):
        """The nodes that have the address on their interface."""
        return [n for n, h in self.hosts.items() if h.holds(address)]

    def wait_holder(self, name, address=VIP, timeout=30):
        """Until that node alone has the address."""
        wait_for(lambda: self.holders(address) == [name], timeout, f"{name} alone holds {address}")

    def wait_condition(self, node, condition, well, timeout=30):
        """Until the condition is so; returns it."""
        def check():
            for c in self.vip(node)["conditions"]:
                if c["name"] == condition and c["known"] and c["well"] == well:
                    return c
            return None
        return wait_for(check, timeout, f"{condition} of {node} {'well' if well else 'failed'}")

    def get(self, path="/", address=VIP, timeout=10):
        """The client's request to the address."""
        with self.client.inside():
            return http((address, 80), "GET", path, timeout=timeout)

    def switch(self, rules):
        """Rules of nftables for what passes between the hosts."""
        subprocess.run(["ip", "netns", "exec", self.net.ns, "nft", "-f", "-"], input=rules,
                       text=True, check=True, timeout=30)

    def transitions(self, node):
        return self.vip(node)["counters"]["transitions_total"]

    def stop(self):
        self.servers.stop()
