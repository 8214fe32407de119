# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 under load, by h2load: no request is lost, and none while the node reloads and drains a
server."""

import re
import subprocess
import threading
import time

import pytest

from conftest import NODES
from harness import Node, Whoami, free_port


def conf(port, servers, note="a"):
    return {
        "proxy": {"threads": 2},
        "listeners": {"http": {"bind": f"127.0.0.1:{port}"}},
        "routes": {"all": {"to": "web"}, note: {"path": f"/{note}", "to": "web"}},
        "pools": {"web": {"servers": {s.name: s.address for s in servers}}},
    }


def h2load(port, requests, connections=100, streams=10):
    """(requests that succeeded, the whole output)"""
    done = subprocess.run(["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams),
                           "-t", "1", f"http://127.0.0.1:{port}/"], capture_output=True,
                          text=True, timeout=110, stdin=subprocess.DEVNULL, check=False)
    m = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, "
                  r"(\d+) timeout", done.stdout)
    assert m, done.stdout + done.stderr
    return int(m.group(2)), done.stdout


@pytest.fixture(scope="module")
def place():
    class Place:
        port = free_port()
        servers = [Whoami("a"), Whoami("b")]
        node = Node(conf(port, servers), start=False)
    Place.node.start()
    for s in Place.servers:
        Place.node.wait_server(f"web/{s.name}", "up")
    yield Place
    Place.node.stop()
    for s in Place.servers:
        s.stop()
    Place.node.remove()


@pytest.mark.alone
@pytest.mark.limit(110)
def test_100000_requests(place, request):
    """Over 100 connections, with nothing else going on."""
    request.node.stash.setdefault(NODES, []).append(place.node)
    before = sum(s.counts()["requests"] for s in place.servers)
    good, out = h2load(place.port, 100_000)
    assert good == 100_000, out
    assert sum(s.counts()["requests"] for s in place.servers) - before == 100_000


@pytest.mark.alone
@pytest.mark.limit(240)
def test_100000_requests_while_things_change(place, request):
    """Reload, drain of a server and back, reload; and the new ones find the node as it should be.
    The same connections live through all of it."""
    request.node.stash.setdefault(NODES, []).append(place.node)
    stop, done = threading.Event(), []

    def change():
        turn = 0
        while not stop.is_set():
            turn += 1
            r = place.node.reload(conf(place.port, place.servers, note=f"n{turn % 2}"))
            done.append(("reload", r.returncode))
            for what in ("drain", "ready"):
                r = place.node.cli(what, "web/a")
                done.append((what, r.returncode))
                time.sleep(0.2)
    t = threading.Thread(target=change)
    t.start()
    try:
        good, out = h2load(place.port, 100_000)
    finally:
        stop.set()
        t.join()
    assert good == 100_000, out
    assert len(done) >= 3 and not [d for d in done if d[1] != 0], done
