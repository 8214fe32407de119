# SPDX-License-Identifier: Apache-2.0
"""Reload as a transaction: in force everywhere when it answers, or nowhere; what did not change
keeps its connections, states and counters."""

import os
import signal
import socket
import threading
import time

import pytest

from conftest import SLOW, Conn, Load, Node, Whoami, free_port, http, wait_for


@pytest.fixture
def servers():
    made = [Whoami("a"), Whoami("b"), Whoami("c")]
    yield made
    for w in made:
        w.stop()


@pytest.fixture
def setting(servers):
    """A node on two of three servers, its port and its file as a dict."""
    class Setting:
        pass
    s = Setting()
    s.servers = servers
    s.port = free_port()
    s.conf = {
        "listeners": {"http": {"bind": f"127.0.0.1:{s.port}"}},
        "pools": {"web": {"check": {"http": "/", "interval": "500ms"},
                          "servers": {w.name: w.address for w in servers[:2]}}},
        "routes": {"all": {"to": "web"}},
        "proxy": {"threads": 2},
    }
    s.node = Node(s.conf)
    yield s
    s.node.stop()
    s.node.remove()


def who(port, path="/"):
    return http(port, "GET", path, timeout=20)


def names(port, n=12):
    return {who(port).get("X-Whoami") for _ in range(n)}


def refused(port):
    try:
        Conn(port, 2).close()
        return False
    except ConnectionRefusedError:
        return True


def generation(node):
    return node.status()["generation"]


@pytest.mark.sanitize
def test_nothing_changed_is_told(setting):
    before = generation(setting.node)
    done = setting.node.reload()
    assert done.returncode == 0
    assert "nothing changed" in done.stdout
    assert generation(setting.node) == before


@pytest.mark.sanitize
def test_a_change_is_in_force_when_reload_returns(setting):
    """In every thread: no answer after the return comes from the old configuration."""
    conf = setting.conf
    for name in "cab":
        w = next(x for x in setting.servers if x.name == name)
        conf["pools"]["web"]["servers"] = {name: w.address}
        done = setting.node.reload(conf)
        assert done.returncode == 0, done.stdout + done.stderr
        assert names(setting.port) == {name}


def test_keep_alive_connections_see_the_change(setting):
    conf = setting.conf
    conns = [Conn(setting.port) for _ in range(8)]
    for c in conns:
        c.request()
        assert c.recv_response().status == 200
    conf["pools"]["web"]["servers"] = {"c": setting.servers[2].address}
    assert setting.node.reload(conf).returncode == 0
    for c in conns:
        c.request()
        answer = c.recv_response()
        assert answer.get("X-Whoami") == "c"
        c.close()


@pytest.mark.sanitize
@pytest.mark.parametrize("broken", ["file", "port", "log"])
def test_a_refused_reload_changes_nothing(setting, broken, tmp_path):
    conf = setting.conf
    other = free_port()
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    conf["pools"]["web"]["servers"] = {"c": setting.servers[2].address}
    conf["listeners"]["more"] = {"bind": f"127.0.0.1:{other}"}
    if broken == "file":
        conf["routes"]["all"]["to"] = "wep"
        want = "did you mean"
    elif broken == "port":
        conf["listeners"]["zz"] = {"bind": f"127.0.0.1:{taken.getsockname()[1]}"}
        want = "Address already in use"
    else:
        conf["listeners"]["more"]["access_log"] = str(tmp_path / "no" / "such" / "folder" / "log")
        want = "access log"
    before = generation(setting.node)
    done = setting.node.reload(conf)
    assert done.returncode == 1
    assert want in done.stdout + done.stderr
    assert names(setting.port) == {"a", "b"}
    assert refused(other)
    assert generation(setting.node) == before
    # The next good one is not hindered by it.
    del conf["listeners"]["more"]
    conf["listeners"].pop("zz", None)
    conf["routes"]["all"]["to"] = "web"
    assert setting.node.reload(conf).returncode == 0
    assert names(setting.port) == {"c"}
    taken.close()


def test_listeners_come_and_go(setting):
    conf = setting.conf
    ports = [free_port() for _ in range(3)]
    for i, port in enumerate(ports):
        conf["listeners"][f"l{i}"] = {"bind": f"127.0.0.1:{port}"}
    assert setting.node.reload(conf).returncode == 0
    for port in ports:
        assert who(port).status == 200
    del conf["listeners"]["l1"]
    assert setting.node.reload(conf).returncode == 0
    assert refused(ports[1])
    for port in (ports[0], ports[2], setting.port):
        assert who(port).status == 200
    # A freed port is free for others.
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", ports[1]))
        s.listen()
    # Many at once need several packets of descriptors.
    many = [free_port() for _ in range(90)]
    conf["listeners"] = {f"m{i}": {"bind": f"127.0.0.1:{p}"} for i, p in enumerate(many)}
    assert setting.node.reload(conf).returncode == 0
    assert who(many[0]).status == 200 and who(many[-1]).status == 200
    assert refused(setting.port)


def test_a_renamed_listener_keeps_its_socket(setting):
    """Same address under another name: nobody is refused meanwhile."""
    conf = setting.conf
    load = Load(setting.port, threads=2, pause=0.001)
    for name in ("x", "y", "z"):
        conf["listeners"] = {name: {"bind": f"127.0.0.1:{setting.port}"}}
        assert setting.node.reload(conf).returncode == 0
    load.stop()
    assert load.count() > 10
    assert not load.failures(), load.failures()[:3]


def test_states_and_counters_survive(setting):
    node = setting.node
    setting.servers[1].kill()
    node.wait_server("web/b", "down")
    for _ in range(20):
        assert who(setting.port).status == 200
    before = node.server("web/a")
    setting.conf["pools"]["web"]["retries"] = 1
    setting.conf["pools"]["other"] = {"check": {"http": "/"},
                                      "servers": {"c": setting.servers[2].address}}
    setting.conf["routes"]["other"] = {"to": "other", "path": "/other"}
    assert node.reload(setting.conf).returncode == 0
    after = node.server("web/a")
    assert node.server("web/b")["state"] == "down"
    assert after["state"] == "up" and after["since"] == before["since"]
    assert after["requests"] >= before["requests"] >= 20
    assert who(setting.port, "/other").get("X-Whoami") == "c"


def test_orders_survive_a_reload(setting):
    node = setting.node
    assert node.cli("drain", "web/a").returncode == 0
    setting.conf["pools"]["web"]["retries"] = 1
    assert node.reload(setting.conf).returncode == 0
    assert node.server("web/a")["order"] == "drain"
    assert names(setting.port) == {"b"}
    # A server that goes and comes back is still drained.
    setting.conf["pools"]["web"]["servers"] = {"b": setting.servers[1].address}
    assert node.reload(setting.conf).returncode == 0
    setting.conf["pools"]["web"]["servers"] = {"a": setting.servers[0].address,
                                               "b": setting.servers[1].address}
    assert node.reload(setting.conf).returncode == 0
    wait_for(lambda: node.server("web/a")["order"] == "drain", what="order remembered")


def websocket(port):
    c = Conn(port, 60)
    c.request("GET", "/upgrade", {"Connection": "Upgrade", "Upgrade": "websocket",
                             "Sec-WebSocket-Version": "13",
                             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    head = c.recv_head()
    assert head.status == 101, head
    return c


def echo(c, text):
    """One masked text frame there, the same unmasked back (RFC 6455 section 5)."""
    data = text.encode()
    c.send(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)
    while True:
        first, length = c.recv_exactly(2)
        got = c.recv_exactly(length & 0x7f)
        if first & 0x0f == 1:
            return got.decode()


@pytest.mark.limit(240)
def test_fifty_reloads_in_ten_seconds_under_load(setting):
    """Not one failure: requests, a WebSocket, a slow download, all over the same time."""
    node, conf = setting.node, setting.conf
    ws = websocket(setting.port)
    assert echo(ws, "before") == "before"
    slow = Conn(setting.port, 120)
    size = 24 << 20
    slow.request("GET", f"/bytes/{size}")
    assert slow.recv_head().status == 200
    got = 0
    load = Load(setting.port, threads=4, pause=0.002)
    began = time.monotonic()
    for i in range(50):
        conf["pools"]["web"]["retries"] = 1 + i % 3
        conf["pools"]["web"]["servers"] = {
            w.name: w.address for w in (setting.servers if i % 2 else setting.servers[:2])}
        done = node.reload(conf)
        assert done.returncode == 0, done.stdout + done.stderr
        got += len(slow.recv_exactly(65536))
    took = time.monotonic() - began
    load.stop()
    assert load.count() > 100
    assert not load.failures(), load.failures()[:5]
    assert echo(ws, "after") == "after"
    ws.close()
    while got < size: # it was under way all the time: the buffers in between hold far less
        got += len(slow.recv_exactly(min(1 << 20, size - got)))
    slow.close()
    assert took < 60 * SLOW, f"{took:.1f} s"
    print(f"50 reloads in {took:.2f} s, {load.count()} requests")


def test_threads_may_change(setting):
    node, conf = setting.node, setting.conf
    ws = websocket(setting.port)
    load = Load(setting.port, threads=4, pause=0.002)
    for threads in (4, 1, 3):
        conf["proxy"]["threads"] = threads
        assert node.reload(conf).returncode == 0
        assert echo(ws, f"threads {threads}") == f"threads {threads}"
        assert who(setting.port).status == 200
    load.stop()
    assert not load.failures(), load.failures()[:5]
    ws.close()


def test_reloads_at_once_are_all_answered(setting):
    node = setting.node
    setting.conf["pools"]["web"]["retries"] = 3
    node.write(setting.conf)
    results = []
    threads = [threading.Thread(target=lambda: results.append(node.cli("reload").returncode))
               for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [0] * 8


def test_sighup_reloads(setting):
    setting.conf["pools"]["web"]["servers"] = {"c": setting.servers[2].address}
    setting.node.write(setting.conf)
    os.kill(setting.node.pid, signal.SIGHUP)
    wait_for(lambda: names(setting.port, 4) == {"c"}, what="reloaded")


def test_a_hung_role_refuses_the_reload_and_the_next_one_works(setting):
    node = setting.node
    setting.conf["pools"]["web"]["retries"] = 3
    pid = node.kill_role("check", signal.SIGSTOP)
    done = node.reload(setting.conf, timeout=90)
    # The role was found hung and replaced meanwhile: then the reload was tried again.
    assert done.returncode == 0 or "check" in done.stdout + done.stderr
    wait_for(lambda: node.pids("check") and node.pids("check") != [pid], 60, "check replaced")
    assert wait_for(lambda: node.reload(setting.conf).returncode == 0, 60, "reload well")


def test_roles_killed_during_reloads_end_up_with_the_new_file(setting):
    node, conf = setting.node, setting.conf
    stop = threading.Event()

    def killer():
        while not stop.is_set():
            for name in ("check", "proxy"):
                for pid in node.pids(name):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                stop.wait(1.2)
    t = threading.Thread(target=killer)
    t.start()
    for i in range(12):
        conf["pools"]["web"]["retries"] = 1 + i % 4
        done = node.reload(conf)
        assert done.returncode == 0, done.stdout + done.stderr
        time.sleep(0.2)
    stop.set()
    t.join()
    conf["pools"]["web"]["servers"] = {"c": setting.servers[2].address}
    assert node.reload(conf).returncode == 0
    wait_for(lambda: all(r["ready"] for r in node.status()["roles"]), what="all ready")
    wait_for(lambda: names(setting.port) == {"c"}, what="new file in force")


def test_reload_of_a_large_file_is_quick_enough(setting):
    node, conf = setting.node, setting.conf
    pools = {f"p{i}": {"servers": {"a": setting.servers[0].address}} for i in range(1000)}
    conf["pools"].update(pools)
    for i in range(1000):
        conf["routes"][f"r{i}"] = {"to": f"p{i}", "host": f"h{i}.test"}
    began = time.monotonic()
    done = node.reload(conf)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    print(f"1000 routes and pools: {took * 1000:.0f} ms")
    assert took < 10 * SLOW
    assert http(setting.port, "GET", "/", {}, None, "h999.test").status == 200


def test_the_outcome_is_on_the_status_and_in_the_metrics(setting):
    node = setting.node
    node.write(dict(setting.conf, broken=True))
    assert node.cli("reload").returncode == 1
    reloads = node.status()["reloads"]
    assert reloads["refused"] == 1 and "broken" in reloads["error"]
    setting.conf["pools"]["web"]["retries"] = 1
    assert node.reload(setting.conf).returncode == 0
    reloads = node.status()["reloads"]
    assert reloads["ok"] == 1 and reloads["refused"] == 1 and not reloads["error"]
    assert any("reload" in name for name in node.metrics())
