# SPDX-License-Identifier: Apache-2.0
"""A node under a flood (bench/flood.c), with a well-behaved client beside it: what that one is
served, and what the flood costs in memory. Used by the tests and by `./dev bench floods`."""

import json
import os
import subprocess
import threading
import time

from harness import ROOT, Node, Whoami, free_port, memory_kib
from wire import Closed, Conn

FLOOD = os.path.join(ROOT, "build", "bench", "bench-flood")
TLS_LOAD = os.path.join(ROOT, "build", "bench", "bench-tls-load")
MIB = 64 # by which a flood may make the daemon larger

# kind: (listener, connections, counter of the connections that were ended for it, what it is)
KINDS = {
    "reset": ("http", 8, "http2_flood_reset", "streams opened and reset at once"),
    "continuation": ("http", 8, "http2_flood_continuation", "a field block without end"),
    "empty-continuation": ("http", 8, "http2_flood_continuation", "the same, of nothing"),
    "settings": ("http", 8, "http2_flood_settings", "SETTINGS"),
    "settings-deaf": ("http", 8, "http2_flood_settings", "SETTINGS, the ACKs not read"),
    "ping": ("http", 8, "http2_flood_ping", "PING"),
    "ping-deaf": ("http", 8, "http2_flood_ping", "PING, the answers not read"),
    "priority": ("http", 8, "http2_flood_empty", "PRIORITY"),
    "empty-data": ("http", 8, "http2_flood_empty", "DATA without content"),
    "empty-headers": ("http", 8, None, "HEADERS without content"),
    "tiny-windows": ("http", 8, "http2_flood_window", "windows opened byte by byte"),
    "zero-windows": ("http", 40, None, "40 × 100 answers of 1 MB behind closed windows"),
    "slow-read": ("http", 40, None, "40 × 100 answers of 1 MB that are not read"),
    "hpack-bomb": ("http", 8, None, "a field of 4 kB named 16,000 times"),
    "many-fields": ("http", 8, None, "3,000 fields in a request"),
    "requests": ("http", 8, None, "requests without a pause"),
    "slow-heads": ("http", 1000, None, "1,000 HTTP/1.1 heads, a byte each second"),
    "slow-heads-http2": ("http", 1000, None, "1,000 HTTP/2 heads, a field each second"),
    "garbage": ("proxy", 8, None, "noise where a PROXY header is expected"),
    "tls": ("https", 16, None, "TLS handshakes, full ones"),
}


class Steady:
    """A client that asks each 10 ms, or as soon as the answer before has come, on one connection
    that it opens again when it was closed."""

    def __init__(self, port):
        self.port = port
        self.latencies, self.failed = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        conn = None
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                conn = conn or Conn(self.port, 20)
                conn.request("GET", "/steady")
                answer = conn.recv_response()
                if answer.status != 200:
                    self.failed.append(answer)
            except (OSError, Closed) as e:
                self.failed.append(e)
                conn = None
            self.latencies.append(time.monotonic() - began)
            time.sleep(max(0.0, began + 0.01 - time.monotonic()))
        if conn:
            conn.close()

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        return self

    @property
    def p99(self):
        """Seconds."""
        s = sorted(self.latencies)
        return s[min(len(s) - 1, len(s) * 99 // 100)] if s else float("inf")


class Place:
    """The node: listeners http, https and proxy (which expects a PROXY header), and one more for
    the well-behaved client, so that a flood is seen in the counters of its own listener."""

    def __init__(self, threads=2):
        self.whoami = Whoami("w", "--threads", "2")
        self.ports = {n: free_port() for n in ("http", "https", "proxy", "steady")}
        listeners = {n: {"bind": f"127.0.0.1:{p}"} for n, p in self.ports.items()}
        listeners["https"]["tls"] = "internal"
        listeners["proxy"]["accept_proxy"] = ["127.0.0.0/8"]
        self.node = Node({
            "proxy": {"threads": threads},
            "listeners": listeners,
            "routes": {"all": {"to": "web"}},
            "pools": {"web": {"servers": {"w": self.whoami.address}}},
        })
        self.node.wait_server("web/w", "up")

    def stop(self):
        self.node.stop()
        self.whoami.stop()
        self.node.remove()

    def memory(self):
        """KiB of all the node's processes."""
        return sum(memory_kib(p) for p in self.node.pids())

    def counter(self, listener, name):
        return sum(v for k, v in self.node.metrics().items()
                   if k.startswith(f"holdfast_listener_{name}_total") and f'"{listener}"' in k)

    def run(self, kind, seconds):
        """{"before", "during": p99 in s; "failed", "asked", "memory", "peak": KiB; "goaways",
        "connections", "counted"}"""
        listener, connections, counter, _ = KINDS[kind]
        quiet = Steady(self.ports["steady"])
        time.sleep(2)
        quiet.stop()
        memory, counted = self.memory(), counter and self.counter(listener, counter)
        if kind == "tls":
            command = [TLS_LOAD, str(self.ports[listener]), str(connections), str(seconds), "full"]
        else:
            command = [FLOOD, kind, str(self.ports[listener]), str(connections), str(seconds)]
        flood = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        steady, peak = Steady(self.ports["steady"]), memory
        try:
            while flood.poll() is None:
                peak = max(peak, self.memory())
                time.sleep(0.2)
        finally:
            if flood.poll() is None:
                flood.kill()
            out = flood.communicate()[0]
            steady.stop()
        told = json.loads(out) if kind != "tls" and out else {}
        return {"before": quiet.p99, "during": steady.p99, "failed": steady.failed,
                "asked": len(steady.latencies), "memory": memory, "peak": peak,
                "goaways": told.get("goaways"), "connections": told.get("connections"),
                "counted": counter and self.counter(listener, counter) - counted}
