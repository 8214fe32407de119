# SPDX-License-Identifier: Apache-2.0
"""A real keepalived in a namespace: the other node of the scenario tests of virtual IPs."""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from harness import wait_for, wait_gone

KEEPALIVED = shutil.which("keepalived", path="/usr/sbin:/sbin:/usr/bin:/bin")
needs_keepalived = pytest.mark.skipif(KEEPALIVED is None, reason="keepalived is not installed")

# What it says of packets that it does not like, or of another node that it cannot follow.
COMPLAINTS = ("invalid", "mismatch", "bogus", "dropp", "wrong", "incorrect", "unexpected",
              "bad ", "does not match", "different", "not matching", "duplicate", "error",
              "truncated", "too short", "ignor", "expected")


def instance(name, router_id, addresses, priority=100, version=3, interval=1.0, state="BACKUP",
             password=None, source=None, peers=(), options=()):
    """One vrrp_instance of its file. peers: unicast, from source. options: further lines."""
    lines = [f"vrrp_instance {name} {{", "interface eth0", f"virtual_router_id {router_id}",
             f"priority {priority}", f"version {version}", f"advert_int {interval:g}",
             f"state {state}"]
    if password:
        lines += ["authentication {", "auth_type PASS", f"auth_pass {password}", "}"]
    if peers:
        lines += [f"unicast_src_ip {source}", "unicast_peer {", *peers, "}"]
    lines += ["virtual_ipaddress {", *addresses, "}", *options, "}"]
    return "\n".join(lines) + "\n"


class Keepalived:
    """Runs with the given instances; ended by close()."""

    def __init__(self, host, *instances, start=True):
        self.host = host
        self.dir = tempfile.mkdtemp(prefix="hf-keepalived-")
        self.conf = os.path.join(self.dir, "keepalived.conf")
        self.log_path = os.path.join(self.dir, "log")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("global_defs {\nvrrp_garp_master_refresh 0\n}\n" + "".join(instances))
        self.proc = None
        self._group = []
        if start:
            self.start()

    def start(self):
        """Starts (again); its log goes on."""
        at = len(self.log)
        with open(self.log_path, "ab") as log:
            self.proc = self.host.popen(
                KEEPALIVED, "--dont-fork", "--vrrp", f"--use-file={self.conf}",
                f"--pid={self.dir}/pid", f"--vrrp_pid={self.dir}/vrrp-pid", "--log-console",
                "--log-detail", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: "Entering" in self.log[at:] or self.proc.poll() is not None,
                 what="keepalived runs")
        assert self.proc.poll() is None, self.log
        return self

    @property
    def log(self):
        try:
            with open(self.log_path, "r", encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def _children(self):
        try:
            with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children", encoding="ascii") as f:
                return [int(p) for p in f.read().split()]
        except OSError:
            return []

    def stop(self):
        """In order: it says priority 0."""
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(30)

    def kill(self):
        """All of it at once, without a word. Its addresses stay on the interface."""
        if self.proc and self.proc.poll() is None:
            children = self._children()
            # Stopped first: its child would notice the end of its parent, and end in order.
            for sig in (signal.SIGSTOP, signal.SIGKILL):
                for pid in (self.proc.pid, *children):
                    os.kill(pid, sig)
            self.proc.wait(30)
            for pid in children:
                wait_gone(pid)

    def complaints(self):
        return [line for line in self.log.splitlines()
                if any(c in line.lower() for c in COMPLAINTS)]

    def close(self):
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
