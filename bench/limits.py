# SPDX-License-Identifier: Apache-2.0
"""Memory of idle connections, and the time that a big configuration takes."""

import os
import resource
import subprocess
import tempfile
import time

import yaml

from contenders import HOLDFAST, Node, free_port, wait_for
from wire import Conn


def raise_files():
    """As many descriptors as this machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle_memory(contender, count):
    """Bytes of user memory that each of `count` idle keep-alive connections costs: all are opened,
    each has had one request answered."""
    before = settled(contender)
    conns = []
    try:
        for i in range(count):
            c = Conn(("127.0.0.1", contender.port))
            conns.append(c)
            c.request(path="/bytes/100")
            c.recv_response()
        after = settled(contender)
    finally:
        for c in conns:
            c.close()
    return (after - before) * 1024 / count


def settled(contender):
    """Its memory once that no longer changes."""
    last = contender.memory()
    for _ in range(20):
        time.sleep(0.25)
        now = contender.memory()
        if abs(now - last) < 16:
            return now
        last = now
    return last


def big_configuration(routes=10000, servers=10000, server_port=9, listen=None, check=True):
    """Routes over hosts and paths, pools of ten servers each; the checks are far apart."""
    pools = servers // 10
    conf = {
        "proxy": {"threads": 1},
        "listeners": {"http": {"bind": f"127.0.0.1:{listen or free_port()}"}},
        "routes": {}, "pools": {},
    }
    for i in range(routes):
        conf["routes"][f"r{i}"] = {"host": f"h{i % 5000}.test", "path": f"/p{i // 5000}",
                                   "to": f"p{i % pools}"}
    for i in range(pools):
        pool = {"servers": {f"s{j}": f"127.{1 + i // 250}.{i % 250}.{j + 1}:{server_port}"
                            for j in range(10)}}
        if check:
            pool["check"] = {"tcp": True, "interval": "60s"}
        conf["pools"][f"p{i}"] = pool
    return conf


def write_big(path, **options):
    with open(path, "w", encoding="utf-8") as f:
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        yaml.dump(big_configuration(**options), f, dumper, sort_keys=False)


def check_seconds(rounds=5):
    """The median time of `holdfast check` over 10,000 routes and 10,000 servers."""
    with tempfile.TemporaryDirectory(prefix="hf-big-") as temp:
        path = os.path.join(temp, "big.yaml")
        write_big(path)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run([HOLDFAST, "check", "-c", path], check=True, capture_output=True,
                           stdin=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def start_seconds(rounds=3):
    """The median time from `holdfast run` with that file to the first answer of its port."""
    times = []
    for _ in range(rounds):
        port = free_port()
        node = Node("", start=False)
        write_big(node.path, listen=port)
        try:
            start = time.perf_counter()
            node.start(wait=False)
            wait_for(lambda p=port: answers(p), 60, "first answer", every=0.002)
            times.append(time.perf_counter() - start)
        finally:
            node.stop()
            node.remove()
    return sorted(times)[len(times) // 2]


def answers(port):
    with Conn(port, 10) as c:
        c.request(path="/p0", host="no-such-host.test")
        return c.recv_response().status == 404
