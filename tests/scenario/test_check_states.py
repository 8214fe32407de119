# SPDX-License-Identifier: Apache-2.0
"""Health checks: states and their reasons, what probes look at, reloads and restarts, live
traffic's verdict."""

import os
import pathlib
import signal
import socket
import tempfile
import threading
import time

import pytest
from conftest import Conn, SLOW, free_port, http, simple, wait_for


def get(port, path="/", **headers):
    return http(port, "GET", path, headers)


def answered_by(port, n=1, path="/"):
    """How many of n requests each server answered, one after the other; all must succeed."""
    seen = {}
    with Conn(port) as c:
        for _ in range(n):
            c.request(path=path)
            answer = c.recv_response()
            assert answer.status == 200, answer
            name = answer.get("x-whoami")
            seen[name] = seen.get(name, 0) + 1
    return seen


def check(**options):
    return {"http": "/health", "interval": "50ms", "timeout": "5s", "rise": 2, "fall": 2,
            **options}


class Gone:
    """A server that does not exist."""

    def __init__(self, name):
        self.name, self.address = name, f"127.0.0.1:{free_port()}"


def pool_conf(port, servers, **pool):
    """One listener, one route, pool `web` of these servers and with these settings."""
    conf = simple(port, servers, False)
    conf["pools"]["web"].update(pool)
    return conf


@pytest.fixture
def folder():
    """A folder that every user may pass: roles and exec checks are not the user of the test."""
    with tempfile.TemporaryDirectory(prefix="hf-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


# --- states and reasons -----------------------------------------------------------------------

@pytest.mark.sanitize
def test_up_down_up(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check(fall=3)))
    assert n.wait_server("web/a", "up")["reason"] == "first check succeeded"
    a.kill()
    down = n.wait_server("web/a", "down")
    assert down["reason"] == "connect refused (3 of 3 checks)"
    assert down["checks_failed"] >= 3
    assert answered_by(port, 20) == {"b": 20}
    a.start()
    up = n.wait_server("web/a", "up")
    assert up["reason"] == "2 checks succeeded"
    assert up["since"] > down["since"]
    assert set(answered_by(port, 20)) == {"a", "b"}
    log = n.log
    assert "connect refused (3 of 3 checks)" in log and "2 checks succeeded" in log


def test_unhealthy_from_the_start(node, whoami):
    a, b = whoami("a"), whoami("b")
    a.admin("health", status=503)
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check()))
    s = n.wait_server("web/a", "down")
    assert s["reason"].startswith("HTTP 503")
    assert answered_by(port, 10) == {"b": 10}
    assert a.counts()["requests"] == 0


@pytest.mark.parametrize("expect, status, state", [
    ("200", 200, "up"), ("200", 204, "down"), ("200-299", 204, "up"), ([404, "500-503"], 502, "up"),
    ([404, "500-503"], 200, "down"), (None, 302, "up"), (None, 404, "down"),
])
def test_expected_statuses(node, whoami, expect, status, state):
    a = whoami("a")
    a.admin("health", status=status)
    options = check() if expect is None else check(expect=expect)
    n = node(pool_conf(free_port(), [a], check=options))
    s = n.wait_server("web/a", state)
    if state == "down":
        assert f"HTTP {status}" in s["reason"]


def test_body_match(node, whoami):
    a, b = whoami("alpha"), whoami("beta")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check(http="/", match="alpha")))
    n.wait_server("web/alpha", "up")
    assert n.wait_server("web/beta", "down")["reason"].startswith("body does not match")
    assert answered_by(port, 10) == {"alpha": 10}


def test_what_a_probe_asks(node):
    """Method, path, host and headers as configured, to the port of the check."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listen:
        def serve():
            c, _ = listen.accept()
            data = b""
            while b"\r\n\r\n" not in data:
                data += c.recv(4096)
            seen.append(data.decode())
            c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            c.close()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        options = check(http="/ready?x=1", method="HEAD", host="shop.test", interval="60s",
                        headers={"X-Probe": "yes"}, port=listen.getsockname()[1])
        n = node(pool_conf(free_port(), [Gone("s1")], check=options))
        n.wait_server("web/s1", "up")
        thread.join(30)
    assert seen[0].startswith("HEAD /ready?x=1 HTTP/1.1\r\nHost: shop.test\r\n")
    assert "\r\nX-Probe: yes\r\n" in seen[0]
    assert "\r\nUser-Agent: holdfast-check\r\n" in seen[0]


def test_tcp_check(node, whoami):
    a = whoami("a")
    n = node(pool_conf(free_port(), [a], check={"tcp": True, "interval": "50ms", "fall": 2}))
    n.wait_server("web/a", "up")
    a.kill()
    assert n.wait_server("web/a", "down")["reason"] == "connect refused (2 of 2 checks)"
    a.start()
    n.wait_server("web/a", "up")


def test_unix_socket_server(node, whoami, folder):
    a = whoami("a", bind=f"unix:{folder}/a.sock")
    os.chmod(folder / "a.sock", 0o666)
    n = node(pool_conf(free_port(), [a], check=check()))
    n.wait_server("web/a", "up")
    a.kill()
    n.wait_server("web/a", "down")


def test_hung_server(node, whoami):
    """It still takes connections but answers nothing."""
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check(timeout="1s")))
    n.wait_server("web/a", "up")
    a.hang()
    assert "answer timed out" in n.wait_server("web/a", "down")["reason"]
    assert answered_by(port, 10) == {"b": 10}
    a.cont()
    n.wait_server("web/a", "up")


def test_no_check_is_up(node, whoami):
    a = whoami("a")
    port = free_port()
    n = node(pool_conf(port, [a]))
    s = n.wait_server("web/a", "up")
    assert s["reason"] == "no check configured"
    assert answered_by(port, 3) == {"a": 3}


def test_probes_keep_their_connection(node, whoami):
    a = whoami("a")
    n = node(pool_conf(free_port(), [a], check=check(interval="20ms")))
    n.wait_server("web/a", "up")
    wait_for(lambda: a.counts()["health"] >= 50, 60, "50 probes", every=1)
    counts = a.counts()
    assert counts["connections"] < counts["health"] / 2


def test_probes_are_counted(node, whoami):
    a = whoami("a")
    n = node(pool_conf(free_port(), [a], check=check()))
    s = wait_for(lambda: (s := n.server("web/a")) and s["checks_ok"] >= 5 and s, 30, "5 probes")
    assert s["check_us"] > 0
    assert s["checks_failed"] == 0
    assert s["checked"]


# --- exec checks ------------------------------------------------------------------------------

def script(folder, text):
    path = folder / "probe.sh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_exec_check(node, whoami, folder):
    a = whoami("a")
    flag = folder / "ill"
    path = script(folder, f'test ! -e {flag} && exit 0\necho "disk of $HOLDFAST_SERVER is full"\n'
                            'exit 3\n')
    n = node(pool_conf(free_port(), [a], check={
        "exec": [path, "argument"], "interval": "100ms", "timeout": "10s", "rise": 1, "fall": 2}))
    n.wait_server("web/a", "up")
    flag.write_text("")
    s = n.wait_server("web/a", "down")
    assert s["reason"] == "exit 3: disk of a is full (2 of 2 checks)"
    flag.unlink()
    n.wait_server("web/a", "up")


def test_exec_time_limit(node, whoami, folder):
    a = whoami("a")
    mark = folder / "pid"
    path = script(folder, f"echo $$ > {mark} 2>/dev/null\nsleep 1000\n")
    n = node(pool_conf(free_port(), [a], check={
        "exec": [path], "interval": "100ms", "timeout": "200ms", "rise": 1, "fall": 1}))
    s = n.wait_server("web/a", "down")
    assert "time limit" in s["reason"]


def test_exec_missing_program(node, whoami):
    a = whoami("a")
    n = node(pool_conf(free_port(), [a], check={
        "exec": ["/nonexistent/program"], "interval": "100ms", "fall": 1}))
    s = n.wait_server("web/a", "down")
    assert "/nonexistent/program" in s["reason"] or "No such file" in s["reason"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_exec_own_user(node, whoami, folder):
    a = whoami("a")
    path = script(folder, 'test "$(id -un)" = daemon && exit 0\nid -un\nexit 1\n')
    n = node(pool_conf(free_port(), [a], check={
        "exec": [path], "user": "daemon", "interval": "100ms", "timeout": "10s"}))
    n.wait_server("web/a", "up")


# --- named checks -----------------------------------------------------------------------------

def named(port, servers, checks):
    """A configuration with named checks, which no route leads to."""
    return {**simple(port, servers), "checks": checks}


def logged(n, event, name):
    """Lines of the log that tell of that event of the named check."""
    mark = f'"event":"{event}","object":"check.{name}"'
    return [line for line in n.log.splitlines() if mark in line]


def test_named_checks(node, whoami, folder):
    a, db, port = whoami("a"), whoami("db"), free_port()
    path = script(folder, f"cp /proc/self/environ {folder}/environ\n"
                          f"test -e {folder}/well || {{ echo disk is full; exit 3; }}")
    os.chmod(folder, 0o777)
    n = node(named(port, [a], {
        "db": check(address=db.address, rise=1, interval="100ms"),
        "disk": {"exec": [path], "interval": "100ms", "timeout": "10s", "rise": 1, "fall": 1}}))
    wait_for(lambda: logged(n, "check_down", "disk"))
    assert "disk is full" in logged(n, "check_down", "disk")[0]
    environ = (folder / "environ").read_bytes().split(b"\0")
    assert b"HOLDFAST_CHECK=disk" in environ
    assert not [e for e in environ if e.startswith((b"HOLDFAST_POOL=", b"HOLDFAST_ADDRESS="))]
    (folder / "well").touch()
    wait_for(lambda: logged(n, "check_up", "disk"))
    db.kill()
    wait_for(lambda: logged(n, "check_down", "db"))
    # they are no pools: nothing is routed there, nobody gives them orders
    assert get(port).get("x-whoami") == "a"
    assert [p["name"] for p in n.status()["pools"]] == ["web"]
    for target in ("db", "check.db", "check.db/db"):
        assert n.cli("drain", target).returncode == 1
    assert "pool_down" not in n.log


def test_named_checks_over_reload(node, whoami, folder):
    a, db, port = whoami("a"), whoami("db"), free_port()
    counter = folder / "runs"
    path = script(folder, f"echo >> {counter}")
    counter.touch()
    os.chmod(counter, 0o666)
    exec_check = {"exec": [path], "interval": "100ms", "timeout": "10s"}
    n = node(named(port, [a], {"disk": exec_check}))
    wait_for(lambda: counter.stat().st_size > 3)
    # what did not change goes on; what is new is proved
    n.reload(named(port, [a], {"disk": exec_check, "db": check(address=db.address)}))
    size = counter.stat().st_size
    wait_for(lambda: counter.stat().st_size > size + 3)
    wait_for(lambda: logged(n, "check_up", "db"))
    assert len(logged(n, "check_down", "disk")) == 0
    n.reload(simple(port, [a]))
    n.wait_ready()
    size = counter.stat().st_size
    assert get(port).status == 200
    n.reload(named(port, [a], {"disk": exec_check}))
    wait_for(lambda: counter.stat().st_size > size)


# --- orders -----------------------------------------------------------------------------------

def test_drain_lets_open_requests_end(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check()))
    n.wait_server("web/a", "up")
    n.wait_server("web/b", "up")
    conns = [Conn(port) for _ in range(4)]
    for c in conns:
        c.request(path="/slow/30000?rate=10000")
    wait_for(lambda: n.server("web/a")["active"] >= 1, 30, "a request on a")
    out = n.cli("drain", "web/a")
    assert out.returncode == 0, out.stderr
    assert "drain" in out.stdout
    assert n.server("web/a")["order"] == "drain"
    assert answered_by(port, 10) == {"b": 10}
    out = n.cli("drain", "web/a", "--wait", "60s")
    assert out.returncode == 0, out.stdout + out.stderr
    assert n.server("web/a")["active"] == 0
    for c in conns:
        answer = c.recv_response()
        assert answer.status == 200 and len(answer.body) == 30000
        c.close()
    out = n.cli("ready", "web/a", "--wait")
    assert out.returncode == 0, out.stdout + out.stderr
    wait_for(lambda: "a" in answered_by(port, 4), 30, "a is back")


def test_drain_wait_gives_up(node, whoami):
    a = whoami("a")
    port = free_port()
    n = node(pool_conf(port, [a], check=check()))
    n.wait_server("web/a", "up")
    with Conn(port) as c:
        c.request(path="/slow/1000000?rate=1000")
        wait_for(lambda: n.server("web/a")["active"] == 1, 30, "the request is open")
        out = n.cli("drain", "web/a", "--wait", "300ms")
        assert out.returncode == 1
        assert "1 request still open" in out.stderr
        assert "no server in service" in out.stdout # the warning
    assert n.server("web/a")["order"] == "drain"


def test_disable_cuts(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check()))
    n.wait_server("web/a", "up")
    n.wait_server("web/b", "up")
    conns = [Conn(port) for _ in range(4)]
    for c in conns:
        c.request(path="/slow/1000000?rate=1000")
    wait_for(lambda: n.server("web/a")["active"] >= 1, 30, "a request on a")
    out = n.cli("disable", "web/a", "--wait", "60s")
    assert out.returncode == 0, out.stdout + out.stderr
    assert n.server("web/a")["active"] == 0
    assert answered_by(port, 10) == {"b": 10}
    for c in conns:
        c.close()


def test_order_for_a_pool(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check()))
    n.wait_server("web/a", "up")
    out = n.json("disable", "web")
    assert out["servers"] == 2
    assert get(port).status == 503
    assert n.cli("ready", "web").returncode == 0
    assert {s["order"] for s in n.status()["servers"]} == {"ready"}
    wait_for(lambda: get(port).status == 200, 30, "service again")


def test_order_for_nobody(node, whoami):
    a = whoami("a")
    n = node(pool_conf(free_port(), [a]))
    for target in ("web/b", "wob", "wob/*", "", "web/"):
        out = n.cli("drain", target)
        assert out.returncode in (1, 2), (target, out.stdout, out.stderr)
        assert out.stderr
    assert n.server("web/a")["order"] == "ready"


def test_orders_survive(node, whoami):
    """A reload, a killed check, a restart of the node."""
    a, b, c = whoami("a"), whoami("b"), whoami("c")
    port = free_port()
    conf = pool_conf(port, [a, b, c], check=check())
    n = node(conf)
    assert n.cli("drain", "web/a").returncode == 0
    assert n.cli("disable", "web/b").returncode == 0

    def orders():
        return {s["name"]: s["order"] for s in n.status()["servers"]}
    want = {"a": "drain", "b": "disable", "c": "ready"}
    assert orders() == want
    conf["pools"]["web"]["slow_start"] = "100ms"
    assert n.reload(conf).returncode == 0
    assert orders() == want
    n.kill_role("check")
    n.wait_ready()
    assert orders() == want
    n.stop()
    n.start()
    wait_for(lambda: orders() == want, 30, "orders kept over a restart")
    assert answered_by(port, 10) == {"c": 10}
    assert n.cli("ready", "web/a").returncode == 0
    assert n.cli("ready", "web/b").returncode == 0
    wait_for(lambda: set(answered_by(port, 6)) == {"a", "b", "c"}, 30, "all in service")


# --- reloads and restarts ---------------------------------------------------------------------

def test_states_kept_over_reload(node, whoami):
    a, b = whoami("a"), whoami("b")
    b.admin("health", status=503)
    port = free_port()
    conf = pool_conf(port, [a, b], check=check())
    n = node(conf)
    before = [n.wait_server("web/a", "up"), n.wait_server("web/b", "down")]
    c = whoami("c")
    conf["pools"]["web"]["servers"]["c"] = c.address
    out = n.reload(conf)
    assert out.returncode == 0, out.stderr
    for old in before:
        new = n.server(old["id"])
        for key in ("state", "reason", "since"):
            assert new[key] == old[key]
        assert new["checks_ok"] >= old["checks_ok"]
    n.wait_server("web/c", "up")
    wait_for(lambda: set(answered_by(port, 6)) == {"a", "c"}, 30, "c takes part")


def test_new_address_is_proved_anew(node, whoami):
    a, b = whoami("a"), whoami("b")
    b.admin("health", status=503)
    port = free_port()
    conf = pool_conf(port, [a], check=check())
    n = node(conf)
    n.wait_server("web/a", "up")
    conf["pools"]["web"]["servers"]["a"] = b.address
    assert n.reload(conf).returncode == 0
    assert "HTTP 503" in n.wait_server("web/a", "down")["reason"]
    conf["pools"]["web"]["servers"]["a"] = a.address
    assert n.reload(conf).returncode == 0
    n.wait_server("web/a", "up")
    wait_for(lambda: get(port).status == 200, 30, "service")


def test_all_servers_replaced_under_load(node, whoami, load):
    """New servers are proved before they are all there is: no request fails."""
    old = [whoami("a"), whoami("b")]
    port = free_port()
    n = node(pool_conf(port, old, check=check(interval="2s"), panic_threshold="0%"))
    for s in old:
        n.wait_server(f"web/{s.name}", "up")
    x = load(port, threads=4)
    new = [whoami("c"), whoami("d")]
    for servers in (new, old, new):
        wait_for(lambda c=x.count(): x.count() > c + 50, 30, "requests")
        out = n.reload(pool_conf(port, servers, check=check(interval="2s"),
                                 panic_threshold="0%"))
        assert out.returncode == 0, out.stderr
    wait_for(lambda c=x.count(): x.count() > c + 50, 30, "requests")
    records = x.stop()
    assert not [r for r in records if r.error], [r for r in records if r.error][:5]


def test_reload_to_dead_servers_is_bounded(node, whoami):
    a = whoami("a")
    port = free_port()
    n = node(pool_conf(port, [a], check=check()))
    n.wait_server("web/a", "up")
    start = time.monotonic()
    out = n.reload(pool_conf(port, [Gone("s1")], check=check()))
    assert out.returncode == 0, out.stderr
    assert time.monotonic() - start < 10 * SLOW
    n.wait_server("web/s1", "down")


def test_unproved_server_gets_nothing(node, whoami):
    a, b = whoami("a"), whoami("b")
    b.admin("health", status=500)
    port = free_port()
    conf = pool_conf(port, [a], check=check())
    n = node(conf)
    n.wait_server("web/a", "up")
    conf["pools"]["web"]["servers"]["b"] = b.address
    assert n.reload(conf).returncode == 0
    assert answered_by(port, 20) == {"a": 20}
    n.wait_server("web/b", "down")
    assert b.counts()["requests"] == 0
    b.admin("health", status=200)
    n.wait_server("web/b", "up")
    wait_for(lambda: "b" in answered_by(port, 4), 30, "b takes part")


def test_changed_check_applies_at_once(node, whoami):
    a = whoami("a")
    conf = pool_conf(free_port(), [a], check=check(interval="60s"))
    n = node(conf)
    n.wait_server("web/a", "up")
    conf["pools"]["web"]["check"] = check(interval="60s", fast_interval="50ms", expect="299")
    assert n.reload(conf).returncode == 0
    n.wait_server("web/a", "down")
    del conf["pools"]["web"]["check"]
    assert n.reload(conf).returncode == 0
    assert n.wait_server("web/a", "up")["reason"] == "no check configured"


@pytest.mark.sanitize
def test_killed_check_keeps_states(node, whoami, load):
    a, b, c = whoami("a"), whoami("b"), whoami("c")
    c.admin("health", status=503)
    port = free_port()
    n = node(pool_conf(port, [a, b, c], check=check()))
    before = {s["id"]: s for s in (n.wait_server("web/a", "up"), n.wait_server("web/b", "up"),
                                   n.wait_server("web/c", "down"))}
    x = load(port, threads=2)
    for _ in range(3):
        n.kill_role("check")
        for s in n.status()["servers"]:
            assert s["state"] == before[s["id"]]["state"], s
        n.wait_ready()
        probes = c.counts()["health"]
        wait_for(lambda p=probes: c.counts()["health"] > p, 30, "probes go on")
        for s in n.status()["servers"]:
            assert s["state"] == before[s["id"]]["state"], s
            assert s["since"] == before[s["id"]]["since"]
    records = x.stop()
    assert not [r for r in records if r.error], [r for r in records if r.error][:5]
    assert {r.server for r in records} == {"a", "b"}
    a.kill()
    n.wait_server("web/a", "down") # it does its work


def test_first_request_after_a_restart(node, whoami):
    """A node says that it serves when its servers had their first proof."""
    a, b = whoami("a"), whoami("b")
    b.admin("health", status=503)
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check(interval="60s")))
    for _ in range(2):
        n.wait_ready()
        assert answered_by(port, 10) == {"a": 10}
        assert b.counts()["requests"] == 0
        n.stop()
        n.start()
    s = n.server("web/a")
    assert s["reason"] == "first check succeeded"


# --- slow start, spread -----------------------------------------------------------------------

def test_slow_start(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], check=check(), slow_start="20s"))
    assert n.wait_server("web/a", "up")["ramp"] == 100 # none when the node itself starts
    b.kill()
    n.wait_server("web/b", "down")
    b.start()
    n.wait_server("web/b", "up")
    seen = answered_by(port, 300)
    ramp = n.server("web/b")["ramp"]
    assert ramp < 100
    # An even share would be 150; up to now its share never was above ramp : 100.
    assert seen.get("b", 0) <= 300 * ramp / (100 + ramp) + 15, (seen, ramp)
    wait_for(lambda: n.server("web/b")["ramp"] > ramp, 30, "its share grows")
    wait_for(lambda: n.server("web/b")["ramp"] == 100, 60, "its whole share")
    seen = answered_by(port, 100)
    assert 40 <= seen["b"] <= 60


def test_probes_are_spread(node):
    """60 servers of one interval are not probed in the same moment."""
    times = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listen:
        listen.settimeout(0.2)

        def accept():
            while not stop.is_set():
                try:
                    c, _ = listen.accept()
                except TimeoutError:
                    continue
                times.append(time.monotonic())
                c.close()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        port = listen.getsockname()[1]
        node(pool_conf(free_port(), [f"127.0.0.1:{port}"] * 60, check={
            "tcp": True, "interval": "1s", "timeout": "10s", "jitter": "10%"}))
        wait_for(lambda: len(times) > 60 * 5, 60, "five rounds")
        stop.set()
        thread.join(30)
    # After the first round: tenths of a second in which a probe came.
    rest = times[90:]
    span = int((rest[-1] - rest[0]) * 10)
    used = {int((t - rest[0]) * 10) for t in rest}
    assert len(used) >= span * 0.6, (len(used), span)


# --- live traffic -----------------------------------------------------------------------------

PASSIVE = {"failures": 3, "eject": "1s", "max_ejected": "50%"}


@pytest.mark.sanitize
def test_passive_ejection_and_return(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], passive=PASSIVE, retries=2, retry_budget="100%"))
    n.wait_server("web/a", "up")
    a.kill()

    def ejected():
        assert get(port).status == 200 # retried on the other one
        return n.server("web/a")["ejected"]
    wait_for(ejected, 30, "a ejected")
    n.wait_log("ejected for 1.0s: 3 consecutive failures (connect refused)")
    a.start()
    s = n.wait_server("web/a", "up")
    assert not s["ejected"]
    assert "on trial after an ejection of" in s["reason"]
    wait_for(lambda: "a" in answered_by(port, 4), 30, "a takes part again")


def test_passive_with_check_needs_a_success(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], passive={**PASSIVE, "eject": "200ms"}, retries=2, retry_budget="100%",
                       check=check(fall=100, interval="1s", down_interval="50ms")))
    n.wait_server("web/a", "up")
    n.wait_server("web/b", "up")
    a.kill()
    wait_for(lambda: get(port).status == 200 and n.server("web/a")["ejected"], 30, "a ejected")
    time.sleep(1) # longer than the ejection: without a successful probe it stays out
    assert n.server("web/a")["ejected"]
    a.start()
    s = n.wait_server("web/a", "up")
    assert "check succeeded after an ejection" in s["reason"]


def test_ejection_has_a_limit(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], passive={**PASSIVE, "eject": "60s"}, panic_threshold="0%"))
    n.wait_server("web/a", "up")
    a.kill()
    b.kill()

    def held():
        get(port)
        return "not ejected after" in n.log
    wait_for(held, 60, "the limit held an ejection back")
    states = n.status()["servers"]
    assert sum(s["ejected"] for s in states) == 1
    assert sum(s["state"] == "up" for s in states) == 1


def test_passive_off(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], passive=False, retries=2, retry_budget="100%"))
    a.kill()
    for _ in range(30):
        assert get(port).status == 200
    s = n.server("web/a")
    assert s["state"] == "up" and not s["ejected"]


def test_panic_threshold(node, whoami):
    """Too few healthy servers: all are used rather than the last one overrun."""
    servers = [whoami(x) for x in "abcd"]
    for s in servers[1:]:
        s.admin("health", status=503)
    port = free_port()
    conf = pool_conf(port, servers, check=check(), panic_threshold="50%")
    n = node(conf)
    for s in servers[1:]:
        n.wait_server(f"web/{s.name}", "down")
    wait_for(lambda: set(answered_by(port, 20)) == {"a", "b", "c", "d"}, 30, "all used")
    conf["pools"]["web"]["panic_threshold"] = "0%"
    assert n.reload(conf).returncode == 0
    wait_for(lambda: answered_by(port, 20) == {"a": 20}, 30, "only the healthy one")


def test_ejected_over_a_killed_check(node, whoami):
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], passive={**PASSIVE, "eject": "60s"}, retries=2, retry_budget="100%"))
    a.kill()
    wait_for(lambda: get(port).status == 200 and n.server("web/a")["ejected"], 30, "a ejected")
    n.kill_role("check", signal.SIGKILL)
    n.wait_ready()
    assert n.server("web/a")["ejected"]
    assert answered_by(port, 10) == {"b": 10}


def test_last_ready_server_is_not_ejected(node, whoami):
    """A drained server is up, but it is no help."""
    a, b = whoami("a"), whoami("b")
    port = free_port()
    n = node(pool_conf(port, [a, b], passive={**PASSIVE, "eject": "60s"}, panic_threshold="0%"))
    assert n.cli("drain", "web/b").returncode == 0
    a.kill()

    def held():
        assert get(port).status in (502, 503)
        return "not ejected after" in n.log
    wait_for(held, 60, "the limit held an ejection back")
    assert not n.server("web/a")["ejected"]
    a.start()
    wait_for(lambda: get(port).status == 200, 30, "service")
