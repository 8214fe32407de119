#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What 10,000 checked servers cost: CPU seconds of each role of a node over ten seconds, as percent
of one core. The servers are many names for a few ports of `holdfast whoami`."""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests",
                                "scenario"))

from harness import Node, Whoami, cpu_seconds, free_port, wait_for  # noqa: E402

ROLES = ("parent", "check", "proxy", "control")


def conf(servers, origins, interval, kind):
    check = {"http": "/health"} if kind == "http" else {"tcp": True}
    pools = {}
    for p in range(max(1, servers // 100)):
        rows = {f"s{i}": origins[(p + i) % len(origins)].address
                for i in range(min(100, servers - p * 100))}
        pools[f"p{p}"] = {"check": {**check, "interval": interval}, "servers": rows}
    return {"listeners": {"http": {"bind": f"127.0.0.1:{free_port()}"}},
            "routes": {"all": {"to": "p0"}}, "pools": pools}


def measure(servers=10000, interval="2s", kind="http", seconds=10.0, origins=8):
    """{'check': percent, …, 'all': percent, 'probes': per second} of one core."""
    whoamis = [Whoami(f"w{i}") for i in range(origins)]
    node = Node(conf(servers, whoamis, interval, kind), start=False)
    try:
        node.start()
        wait_for(lambda: all(s["state"] == "up" for s in node.status()["servers"]), 60,
                 "all servers up")
        time.sleep(3) # let the first rounds spread
        pids = {r: node.role_pid(r) for r in ROLES}
        probes = sum(s["checks_ok"] for s in node.status()["servers"])
        before = {r: cpu_seconds(p) for r, p in pids.items()}
        start = time.monotonic()
        time.sleep(seconds)
        used = {r: cpu_seconds(p) - before[r] for r, p in pids.items()}
        took = time.monotonic() - start
        states = node.status()["servers"]
        out = {r: 100 * used[r] / took for r in ROLES}
        out["all"] = sum(out.values())
        out["probes"] = (sum(s["checks_ok"] for s in states) - probes) / took
        out["failed"] = sum(s["checks_failed"] for s in states)
        return out
    finally:
        node.stop(check=False)
        node.remove()
        for w in whoamis:
            w.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--servers", type=int, default=10000)
    p.add_argument("--interval", default="2s")
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--kind", choices=("http", "tcp", "both"), default="both")
    a = p.parse_args()
    for kind in ("http", "tcp") if a.kind == "both" else (a.kind,):
        m = measure(a.servers, a.interval, kind, a.seconds)
        roles = ", ".join(f"{r} {m[r]:.1f}" for r in ROLES)
        print(f"{a.servers} {kind} checks each {a.interval}: {m['all']:.1f} % of a core ({roles});"
              f" {m['probes']:.0f} probes/s, {m['failed']} failed", flush=True)


if __name__ == "__main__":
    main()
