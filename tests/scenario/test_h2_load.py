# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 under load: no request is lost, and none while the node reloads and drains a server (by
h2load), is upgraded or ends (by clients that come back after GOAWAY)."""

import collections
import re
import ssl
import subprocess
import threading
import time

import pytest

from certfiles import Cert
from conftest import NODES, makes
from h2clients import H2Load
from harness import Node, Whoami, free_port, wait_for, wait_gone


def conf(port, servers, note="a"):
    return {
        "proxy": {"threads": 2},
        "listeners": {"http": {"bind": f"127.0.0.1:{port}"}},
        "routes": {"all": {"to": "web"}, note: {"path": f"/{note}", "to": "web"}},
        "pools": {"web": {"servers": {s.name: s.address for s in servers}}},
    }


@pytest.fixture
def stand(node, whoami, tmp_path):
    """stand() is a node with two servers of its own; its port for clear text, and that for TLS."""
    tmp_path.chmod(0o755)
    servers = [whoami("a"), whoami("b")]

    def make():
        port, tls = free_port(), free_port()
        c = conf(port, servers)
        cert, key = Cert("test").write(str(tmp_path), "test")
        c["listeners"]["https"] = {"bind": f"127.0.0.1:{tls}",
                                   "tls": {"certificates": [{"cert": cert, "key": key}]}}
        n = node(c)
        for s in servers:
            n.wait_server(f"web/{s.name}", "up")
        return n, port, tls

    def seen():
        """What the servers have seen: id -> how often."""
        out = collections.Counter()
        for s in servers:
            counts = s.counts()
            assert not counts["ids_lost"]
            out.update(counts["ids"])
        return out
    make.seen = seen
    return make


h2_load = makes(H2Load)


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


# --- the proxy is replaced ----------------------------------------------------------------------

def told(load):
    """Everybody was told to leave, nothing went wrong, nothing was answered twice."""
    assert not load.errors, (len(load.errors), load.errors[:3])
    assert load.goaways >= len(load.threads)
    assert len(set(load.answered)) == len(load.answered)


def upgrade_under_load(stand, load, n, requests):
    """Streams that count are answered, GOAWAY leaves out only what no server saw, and new
    connections find the new program: each request is answered once and was seen once."""
    load.wait(requests // 4)
    old, answered = n.role_pid("proxy"), load.connections
    done = n.cli("upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_gone(old) # though all clients go on: with the new one
    load.wait(requests // 4)
    load.finish(requests)
    told(load)
    assert load.connections >= 2 * answered
    assert len(load.answered) >= requests
    assert stand.seen() == collections.Counter(load.answered)
    assert n.role_pid("proxy") != old


@pytest.mark.sanitize
@pytest.mark.parametrize("kind", ["clear", "tls"])
def test_upgrade(stand, h2_load, kind):
    n, port, tls = stand()
    options = {}
    if kind == "tls":
        c = ssl._create_unverified_context()
        c.set_alpn_protocols(["h2"])
        port, options = tls, {"tls": c}
    upgrade_under_load(stand, h2_load(port, **options), n, 20_000 if kind == "clear" else 10_000)


@pytest.mark.long
@pytest.mark.limit(240)
def test_upgrade_within_100000_requests(stand, h2_load):
    n, port, _ = stand()
    upgrade_under_load(stand, h2_load(port, connections=100, streams=10), n, 100_000)


@pytest.mark.sanitize
def test_end_of_the_node(stand, h2_load):
    """What it has taken on is answered; what its last GOAWAY leaves out no server has seen."""
    n, port, _ = stand()
    load = h2_load(port)
    load.wait(5_000)
    load.last_connections = True
    n.proc.terminate()
    wait_for(lambda: not any(t.is_alive() for t in load.threads), 60, "end of the clients")
    assert n.proc.wait(30) == 0
    told(load)
    assert load.connections == len(load.threads)
    assert stand.seen() == collections.Counter(load.answered)
