# SPDX-License-Identifier: Apache-2.0
"""Labs as objects, and the pair of nodes with a virtual IP that tests, demonstration and benchmarks
put into them."""

import json
import os
import shutil
import socket
import subprocess
import tempfile

import yaml

from harness import HOLDFAST


def pair(name, **more):
    """Two nodes that share an address, three servers behind."""
    conf = {
        "cluster": name,
        "nodes": {"lb1": {"address": "10.77.0.11"}, "lb2": {"address": "10.77.0.12"}},
        "virtual_ips": {"web": {
            "address": "10.77.0.100/24", "interface": "eth0", "router_id": 51,
            "advertise": "40ms", "priority": {"lb1": 200, "lb2": 100},
            "track": ["proxy", "pool.web"]}},
        "listeners": {"http": {"bind": "*:80"}},
        "routes": {"shop": {"host": ["shop.test", "*.shop.test"], "path": "/", "to": "web"}},
        "pools": {"web": {
            "balance": "round_robin",
            "check": {"http": "/health", "expect": 200, "interval": "2s", "rise": 2, "fall": 3,
                      "timeout": "1s"},
            "servers": {"web1": "10.77.0.21:80",
                        "web2": {"address": "10.77.0.22:80", "weight": 2},
                        "web3": {"address": "10.77.0.23:80", "backup": True}}}},
        "control": {"bind": "127.0.0.1:8404"},
    }
    conf.update(more)
    return conf


class Lab:
    """A file in a folder of its own and, after up(), its lab."""

    def __init__(self, conf, binary=None):
        self.binary = binary or HOLDFAST
        self.name = conf["cluster"]
        self.temp = tempfile.mkdtemp(prefix="hf-lab-")
        os.chmod(self.temp, 0o755)
        self.path = os.path.join(self.temp, "holdfast.yaml")
        self.dir = None
        self.write(conf)

    def write(self, conf):
        with open(self.path, "w", encoding="utf-8") as f:
            yaml.safe_dump(conf, f, sort_keys=False)

    def run(self, *args, timeout=120, **options):
        """`holdfast ARGS…`; a CompletedProcess with text."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([self.binary, *map(str, args)], capture_output=True, text=True,
                              timeout=timeout, check=False,
                              env=dict(os.environ, NO_COLOR="1"), **options)

    def up(self, *args):
        done = self.run("lab", "up", "-c", self.path, "--name", self.name, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        status = json.loads(self.run("lab", "status", "--name", self.name, "--json").stdout)
        self.dir = status["dir"]
        self.hosts = {h["name"]: h for h in status["hosts"]}
        return self

    def ask(self, **request):
        """One request on the lab's socket; its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(60)
            s.connect(os.path.join(self.dir, "lab.sock"))
            s.send(json.dumps(request).encode())
            answer = json.loads(s.recv(1 << 18))
        assert answer["ok"], answer
        return answer

    def fault(self, fault, host=None, **more):
        """Injects it; when it was in force, on the clock of time.monotonic_ns()."""
        if host:
            more["host"] = host
        return self.ask(do="fault", fault=fault, **more).get("at_ns")

    def command(self, host, *argv):
        """The command line that runs argv in a host."""
        return [self.binary, "lab", "exec", "--name", self.name, host, *map(str, argv)]

    def status(self, node):
        """A node's status; None when it does not answer."""
        done = self.run("status", "--json", "--socket", self.hosts[node]["control_socket"],
                        timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def holder(self):
        """The node that says it holds the first address; None where none or several do."""
        active = [n for n, h in self.hosts.items() if h["kind"] == "node"
                  and any(v["state"] == "active"
                          for v in (self.status(n) or {}).get("virtual_ips", []))]
        return active[0] if len(active) == 1 else None

    def down(self):
        """Whoever brought it up: a drill that was killed may have."""
        self.run("lab", "down", "--name", self.name)
        self.dir = None

    def remove(self):
        self.down()
        shutil.rmtree(self.temp, ignore_errors=True)
