# SPDX-License-Identifier: Apache-2.0
"""Processes: whatever ends, the service goes on. Roles killed, the parent killed and replaced, the
orderly end and the sudden one, a crash loop, a hung role, upgrade, and what systemd is told."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import (HOLDFAST, SLOW, Closed, Conn, Load, Node, Whoami, alive, free_port, http,
                      wait_for, wait_gone)


@pytest.fixture
def servers():
    made = [Whoami("a"), Whoami("b")]
    yield made
    for w in made:
        w.stop()


def conf_for(port, servers, **more):
    conf = {
        "listeners": {"http": {"bind": f"127.0.0.1:{port}"}},
        "pools": {"web": {"check": {"http": "/"},
                          "servers": {w.name: w.address for w in servers}}},
        "routes": {"all": {"to": "web"}},
        "proxy": {"threads": 2, "shutdown_timeout": "20s"},
    }
    conf.update(more)
    return conf


@pytest.fixture
def nodes():
    made = []

    def make(*args, **kwargs):
        node = Node(*args, **kwargs)
        made.append(node)
        return node
    yield make
    for node in made:
        node.stop()
        node.remove()


@pytest.fixture
def node(nodes, servers):
    port = free_port()
    made = nodes(conf_for(port, servers))
    made.port = port
    return made


def status_of(port, timeout=10):
    """The status of a GET; 0 when the connection failed."""
    try:
        return http(port, "GET", "/", timeout=timeout).status
    except (OSError, Closed):
        return 0


def answers(port):
    return status_of(port) == 200


def role(node, name):
    return next(r for r in node.status()["roles"] if r["name"] == name)


@pytest.mark.sanitize
@pytest.mark.parametrize("name", ["proxy", "check", "control"])
def test_a_killed_role_comes_back(node, name):
    before = {n: node.role_pid(n) for n in ("proxy", "check", "control")}
    node.kill_role(name)
    wait_for(lambda: node.pids(name) and node.pids(name) != [before[name]], what=f"new {name}")
    wait_for(lambda: role(node, name)["ready"], what=f"{name} ready")
    assert answers(node.port)
    for other in before:
        if other != name:
            assert node.pids(other) == [before[other]]
    entry = role(node, name)
    assert entry["restarts"] == 1
    assert "signal 9" in entry["reason"]
    assert node.cli("events").stdout.count("role_died") == 1


@pytest.mark.parametrize("name", ["proxy", "check", "control"])
def test_a_role_told_to_end_is_replaced_first(node, name):
    """SIGTERM to a role: its successor works while it finishes; nobody notices."""
    old = node.role_pid(name)
    load = Load(node.port, threads=2, pause=0.002)
    time.sleep(0.3)
    os.kill(old, signal.SIGTERM)
    wait_gone(old)
    wait_for(lambda: node.pids(name) and role(node, name)["ready"], what=f"{name} ready")
    time.sleep(0.3)
    load.stop()
    assert not load.failures(), load.failures()[:5]


def test_the_port_stays_open_while_the_proxy_is_replaced(node):
    """A client that connects while there is no proxy waits in the socket's queue."""
    refused = []
    done = threading.Event()

    def connect():
        while not done.is_set():
            try:
                Conn(node.port, 10).close()
            except ConnectionRefusedError as e:
                refused.append(e)
            except OSError:
                pass
    thread = threading.Thread(target=connect)
    thread.start()
    for _ in range(3):
        old = node.kill_role("proxy")
        wait_for(lambda: node.pids("proxy") not in ([], [old]), what="new proxy")
        wait_for(lambda: answers(node.port), what="service")
    done.set()
    thread.join()
    assert not refused


def test_states_survive_the_death_of_check(node, servers):
    node.wait_server("web/a", "up")
    servers[0].kill()
    node.wait_server("web/a", "down")
    node.kill_role("check")
    wait_for(lambda: role(node, "check")["ready"], what="check ready")
    assert node.server("web/a")["state"] == "down"
    assert node.server("web/b")["state"] == "up"


def test_orders_survive_the_death_of_check_and_of_everything(nodes, servers):
    port = free_port()
    node = nodes(conf_for(port, servers))
    assert node.cli("drain", "web/a").returncode == 0
    node.kill_role("check")
    wait_for(lambda: role(node, "check")["ready"], what="check ready")
    assert node.server("web/a")["order"] == "drain"
    node.stop()
    node.start()
    assert wait_for(lambda: node.server("web/a")["order"] == "drain", what="order kept")
    assert node.cli("ready", "web/a").returncode == 0
    wait_for(lambda: node.server("web/a")["order"] == "ready", what="order taken back")


# --- the parent ---------------------------------------------------------------------------------


@pytest.mark.sanitize
def test_roles_serve_without_a_parent_and_are_adopted(node):
    with Conn(node.port) as kept:
        kept.request()
        assert kept.recv_response().status == 200
        before = {n: node.role_pid(n) for n in ("proxy", "check", "control")}
        node.kill_role("parent")
        for _ in range(20):
            assert answers(node.port)
        node.start()
        for name, pid in before.items():
            assert node.pids(name) == [pid], name
        kept.request()
        assert kept.recv_response().status == 200
    # They are this parent's now: a killed one comes back, a reload works, the end is orderly.
    node.kill_role("proxy")
    wait_for(lambda: role(node, "proxy")["ready"] and answers(node.port), what="proxy restarted")
    assert node.reload().returncode == 0
    node.proc.terminate()
    assert node.proc.wait(30 * SLOW) == 0
    assert not node.pids()


def test_a_role_that_died_with_the_parent_is_started_anew(node):
    check, proxy = node.role_pid("check"), node.role_pid("proxy")
    node.kill_role("parent")
    node.kill_role("check")
    assert answers(node.port)
    node.start()
    assert node.pids("proxy") == [proxy]
    wait_for(lambda: node.pids("check") not in ([], [check]), what="new check")
    assert answers(node.port)


def test_everything_killed_starts_afresh(node):
    for name in ("parent", "proxy", "check", "control"):
        node.kill_role(name)
    assert status_of(node.port) == 0
    node.start()
    assert answers(node.port)


def test_a_changed_file_takes_effect_with_the_new_parent(nodes, servers):
    port, later = free_port(), free_port()
    node = nodes(conf_for(port, servers))
    node.kill_role("parent")
    node.write(conf_for(later, servers))
    node.start()
    wait_for(lambda: answers(later), what="new address")
    wait_for(lambda: status_of(port) == 0, what="old address closed")


def test_a_broken_file_does_not_hinder_adoption(nodes, servers):
    port = free_port()
    node = nodes(conf_for(port, servers))
    node.kill_role("parent")
    node.write("nonsense: true\n")
    node.start()
    assert answers(port)
    node.wait_log("reload_refused")


def test_killing_roles_under_load_costs_only_requests_in_flight(node):
    load = Load(node.port, threads=4, pause=0.002)
    time.sleep(1)
    for name in ("check", "control", "parent", "proxy"):
        if name == "proxy":
            node.start()
        node.kill_role(name)
        time.sleep(0.5)
    wait_for(lambda: role(node, "proxy")["ready"], what="proxy ready")
    time.sleep(0.5)
    load.stop()
    assert load.count() > 200
    # One proxy died once: each client had at most one request with it and one in the queue.
    assert len(load.failures()) <= 8, load.failures()


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_the_orderly_end_finishes_what_is_open(nodes, sig):
    slow = Whoami("slow", "--latency", "2s")
    try:
        port = free_port()
        conf = conf_for(port, [slow])
        conf["pools"]["web"]["check"] = {"tcp": True}
        node = nodes(conf)
        with Conn(port) as c:
            c.request()
            wait_for(lambda: node.server("web/slow")["active"] == 1, what="request on its way")
            node.proc.send_signal(sig)
            wait_for(lambda: status_of(port) == 0, what="port closed")
            assert c.recv_response().status == 200
        assert node.proc.wait(30 * SLOW) == 0
        assert not node.pids()
        assert not os.path.exists(node.socket)
    finally:
        slow.stop()


def test_a_second_signal_ends_at_once(nodes):
    slow = Whoami("slow", "--latency", "60s")
    try:
        port = free_port()
        conf = conf_for(port, [slow])
        conf["pools"]["web"]["check"] = {"tcp": True}
        conf["proxy"]["shutdown_timeout"] = "50s"
        node = nodes(conf)
        with Conn(port) as c:
            c.request()
            wait_for(lambda: node.server("web/slow")["active"] == 1, what="request on its way")
            node.proc.terminate()
            node.wait_log("open requests may finish")
            assert node.proc.poll() is None
            node.proc.terminate()
            assert node.proc.wait(20 * SLOW) == 0
        assert not node.pids()
    finally:
        slow.stop()


def test_the_time_for_finishing_is_bounded(nodes):
    slow = Whoami("slow", "--latency", "60s")
    try:
        port = free_port()
        conf = conf_for(port, [slow])
        conf["pools"]["web"]["check"] = {"tcp": True}
        conf["proxy"]["shutdown_timeout"] = "1s"
        node = nodes(conf)
        with Conn(port) as c:
            c.request()
            wait_for(lambda: node.server("web/slow")["active"] == 1, what="request on its way")
            node.proc.terminate()
            assert node.proc.wait(30 * SLOW) == 0
    finally:
        slow.stop()


# --- starts that must fail ----------------------------------------------------------------------


def run_once(path, state, timeout=30, **env):
    return subprocess.run([HOLDFAST, "run", "-c", path, "--state", state], capture_output=True,
                          text=True, timeout=timeout * SLOW, check=False,
                          env=dict(os.environ, NO_COLOR="1", **env))


def test_a_second_node_on_the_same_folder_is_refused(node):
    done = run_once(node.path, node.state)
    assert done.returncode == 1
    assert f"pid {node.pid}" in done.stderr
    assert answers(node.port)


def test_a_port_in_use_is_an_error_that_names_it(node, tmp_path):
    done = run_once(node.path, str(tmp_path / "s"))
    assert done.returncode == 1
    assert f"127.0.0.1:{node.port}" in done.stderr
    assert "Address already in use" in done.stderr
    assert 'listener' in done.stderr and 'http' in done.stderr


def test_a_broken_file_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("listeners:\n  http: { bind: nowhere }\nrouts: {}\n")
    done = run_once(str(path), str(tmp_path / "s"))
    assert done.returncode == 1
    assert "bad.yaml:2:" in done.stderr
    assert "bad.yaml:3:" in done.stderr


def test_a_folder_with_too_long_a_path_is_told(node, tmp_path):
    done = run_once(node.path, str(tmp_path / ("x" * 90)))
    assert done.returncode == 1
    assert "too long" in done.stderr


def test_a_missing_file_and_no_file_are_told(tmp_path):
    done = run_once(str(tmp_path / "none.yaml"), str(tmp_path / "s"))
    assert done.returncode == 1
    assert "none.yaml" in done.stderr
    done = subprocess.run([HOLDFAST, "run"], capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 2


# --- trouble ------------------------------------------------------------------------------------


def test_a_hung_role_is_ended_and_replaced(node):
    pid = node.kill_role("control", signal.SIGSTOP)
    wait_gone(pid, 60)
    wait_for(lambda: role(node, "control")["ready"], 60, "control ready")
    assert "hung" in role(node, "control")["reason"]
    assert answers(node.port)


def test_a_stopped_parent_does_not_blame_its_roles(node):
    before = {n: node.role_pid(n) for n in ("proxy", "check", "control")}
    os.kill(node.pid, signal.SIGSTOP)
    time.sleep(12)
    assert answers(node.port)
    os.kill(node.pid, signal.SIGCONT)
    assert node.reload().returncode == 0
    time.sleep(1)
    for name, pid in before.items():
        assert node.pids(name) == [pid]


@pytest.mark.limit(200)
def test_a_crash_loop_refuses_clients_and_recovers(node):
    """The proxy is killed as soon as it is seen, until the parent calls it a crash loop."""
    def kill_again():
        for pid in node.pids("proxy"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return "crash_loop" in node.log
    wait_for(kill_again, 90, "crash loop", every=0.002)

    def refused():
        try:
            Conn(node.port, 1).close()
            return False
        except ConnectionRefusedError:
            return True
    wait_for(refused, what="clients refused")
    wait_for(lambda: answers(node.port), 60, "service again")
    node.wait_log("crash loop over")
    assert answers(node.port)


def test_no_restart_leaves_roles_dead(nodes, servers):
    port = free_port()
    node = nodes(conf_for(port, servers), args=["--no-restart"])
    node.kill_role("proxy")
    node.wait_log("--no-restart")
    time.sleep(0.5)
    assert not node.pids("proxy")


# --- upgrade ------------------------------------------------------------------------------------


@pytest.fixture
def own_binary(tmp_path):
    tmp_path.chmod(0o755)
    path = str(tmp_path / "holdfast")
    shutil.copy(HOLDFAST, path)
    return path


def replace(path, source):
    shutil.copy(source, path + ".new")
    os.rename(path + ".new", path)


@pytest.mark.limit(180)
def test_upgrade_refuses_no_connection_and_cuts_none(nodes, servers, own_binary):
    port = free_port()
    node = nodes(conf_for(port, servers), binary=own_binary)
    before = {n: node.role_pid(n) for n in ("proxy", "check", "control")}
    load = Load(port, threads=4, pause=0.002)
    time.sleep(0.5)
    for _ in range(2):
        replace(own_binary, HOLDFAST)
        done = node.cli("upgrade")
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for(lambda: all((pids := node.pids(n)) and pids[-1] != before[n] for n in before)
                 and all(r["ready"] for r in node.status()["roles"]), 60, "all roles replaced")
        before = {n: node.role_pid(n) for n in before}
    load.stop()
    assert load.count() > 100
    assert not load.failures(), load.failures()[:5]
    assert node.proc.poll() is None
    wait_for(lambda: len(node.pids("proxy")) == 1, 60, "old proxies ended")


def test_an_upgrade_that_takes_its_time_is_answered(nodes, servers, own_binary):
    """The parent is away for longer than control looks after it: its successor answers."""
    node = nodes(conf_for(free_port(), servers), binary=own_binary)
    with open(own_binary + ".new", "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\n[ "$1" = --self-test ] || sleep 1.2\nexec {HOLDFAST} "$@"\n')
    os.chmod(own_binary + ".new", 0o755)
    os.rename(own_binary + ".new", own_binary)
    done = subprocess.run([HOLDFAST, "upgrade", "--state", node.state], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and "in service" in done.stdout, done.stdout + done.stderr


def test_a_download_outlives_an_upgrade(nodes, servers, own_binary):
    port = free_port()
    slow = Whoami("slow", "--latency", "3s")
    try:
        conf = conf_for(port, [slow])
        conf["pools"]["web"]["check"] = {"tcp": True}
        node = nodes(conf, binary=own_binary)
        old = node.role_pid("proxy")
        with Conn(port) as c:
            c.request()
            wait_for(lambda: node.server("web/slow")["active"] == 1, what="request on its way")
            assert node.cli("upgrade").returncode == 0
            wait_for(lambda: node.pids("proxy")[-1] != old, what="new proxy")
            assert alive(old)
            assert c.recv_response().status == 200
        wait_gone(old)
    finally:
        slow.stop()


def test_a_binary_that_does_not_work_is_not_taken(nodes, servers, own_binary):
    port = free_port()
    node = nodes(conf_for(port, servers), binary=own_binary)
    before = {n: node.role_pid(n) for n in ("proxy", "check", "control")}
    replace(own_binary, "/bin/false")
    done = subprocess.run([HOLDFAST, "upgrade", "--state", node.state], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "self-test" in done.stdout + done.stderr
    for name, pid in before.items():
        assert node.pids(name) == [pid]
    assert answers(port)
    os.unlink(own_binary)
    done = subprocess.run([HOLDFAST, "upgrade", "--state", node.state], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert answers(port)


def test_the_self_test(tmp_path):
    done = subprocess.run([HOLDFAST, "--self-test"], capture_output=True, text=True, timeout=30,
                          check=False, cwd=tmp_path)
    assert done.returncode == 0
    assert "self-test passed" in done.stdout


# --- the service manager ------------------------------------------------------------------------


class Manager:
    """A socket that systemd would have made."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.setblocking(False)
        self.text = ""

    def told(self, what):
        while True:
            try:
                self.text += self.sock.recv(4096).decode() + "\n\n"
            except BlockingIOError:
                return what in self.text


def test_the_service_manager_is_told(nodes, servers, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    port = free_port()
    node = nodes(conf_for(port, servers),
                 env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"})
    wait_for(lambda: manager.told("READY=1"), what="READY")
    assert f"MAINPID={node.pid}" in manager.text
    manager.text = ""
    os.kill(node.pid, signal.SIGHUP)
    wait_for(lambda: manager.told("READY=1"), what="READY after the reload")
    assert re.search(r"RELOADING=1\nMONOTONIC_USEC=\d+", manager.text)
    manager.text = ""
    wait_for(lambda: manager.told("WATCHDOG=1"), what="WATCHDOG")
    node.proc.terminate()
    assert node.proc.wait(30 * SLOW) == 0
    assert manager.told("STOPPING=1")


# --- how it looks -------------------------------------------------------------------------------


def test_processes_have_names_and_no_root(node):
    for name in ("proxy", "check", "control"):
        pid = node.role_pid(name)
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert fields["Name"] == f"holdfast: {name}"[:15]
        assert fields["NoNewPrivs"] == "1"
        if os.geteuid() == 0 and "keep the privileges of root" not in node.log:
            assert fields["Uid"].split()[0] != "0"
            assert int(fields["CapEff"], 16) == 0


def test_log_lines_are_json_where_no_person_reads(node):
    import json
    lines = [json.loads(line) for line in node.log.splitlines()]
    assert {"time", "level", "area", "event", "text"} <= set(lines[0])
    assert any(line["event"] == "node_ready" for line in lines)
