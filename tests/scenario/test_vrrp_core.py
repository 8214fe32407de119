# SPDX-License-Identifier: Apache-2.0
"""Virtual IPs as the parent sees them, one node in a network namespace of its own: a role that comes
and goes with the file, its rights, the order of the end, hooks, orders for the node, and that the
address stays while processes are replaced or killed."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import HOLDFAST, SLOW, alive, needs_netns, wait_for, wait_gone

pytestmark = needs_netns

VIP = "10.77.0.100"
CAPABILITIES = {"cap_net_admin": 12, "cap_net_raw": 13}


@pytest.fixture
def net(lan):
    """The machine that the node is: a namespace with eth0, 10.77.0.11."""
    return lan("core").host("lb1", "10.77.0.11/24")


@pytest.fixture
def folder():
    """One that every user may write to."""
    with tempfile.TemporaryDirectory(prefix="hf-") as path:
        os.chmod(path, 0o777)
        yield path


@pytest.fixture
def start(net, node):
    """start(conf, …) makes a node on that machine; it is ended after the test."""
    return lambda conf, **options: node(conf, host=net, **options)


def conf_for(vips=True, **notify):
    conf = {
        "cluster": "shop",
        "nodes": {"lb1": {"address": "10.77.0.11"}, "lb2": {"address": "10.77.0.12"}},
        "listeners": {"http": {"bind": "*:8080"}},
        "pools": {"web": {"servers": {"a": "127.0.0.1:9"}}},
        "routes": {"all": {"to": "web"}},
        "proxy": {"threads": 1, "shutdown_timeout": "5s"},
    }
    if vips:
        # With sanitizers a process that ends looks for leaks first: others wait so long for it.
        conf["virtual_ips"] = {"web": {
            "address": f"{VIP}/24", "interface": "eth0", "router_id": 51,
            "advertise": f"{int(100 * SLOW)}ms", "priority": {"lb1": 200, "lb2": 100}}}
        if notify:
            conf["virtual_ips"]["web"]["notify"] = notify
    return conf


def wait_address(net, there=True):
    wait_for(lambda: net.holds(VIP) == there, what=f"{VIP} {'there' if there else 'gone'}")


def roles(node):
    return {r["name"]: r for r in node.status()["roles"]}


def events(node):
    """The JSON lines of the log, in their order."""
    return [json.loads(line) for line in node.log.splitlines() if line.startswith("{")]


def place(lines, **wanted):
    """The number of the first line that has these fields; text: a part of it."""
    text = wanted.pop("text", "")
    for i, line in enumerate(lines):
        if text in line["text"] and all(line.get(k) == v for k, v in wanted.items()):
            return i
    raise AssertionError(f"no line with {wanted} {text!r} among:\n"
                         + "\n".join(map(str, lines)))


def fields(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class Watch:
    """Looks for the address all the time; counts how often it was there and not."""

    def __init__(self, net):
        self.net = net
        self.there = self.gone = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.done.is_set():
            if self.net.holds(VIP):
                self.there += 1
            else:
                self.gone += 1
            time.sleep(0.005)

    def stop(self):
        self.done.set()
        self.thread.join()


# --- a role that not every node needs -----------------------------------------------------------


@pytest.mark.sanitize
def test_the_role_comes_and_goes_with_the_file(start, net):
    node = start(conf_for(vips=False))
    assert set(roles(node)) == {"check", "proxy", "control"}
    assert not node.pids("vrrp")
    assert node.reload(conf_for()).returncode == 0
    wait_for(lambda: roles(node).get("vrrp", {}).get("ready"), what="vrrp ready")
    wait_address(net)
    pid = node.role_pid("vrrp")
    assert node.reload(conf_for(vips=False)).returncode == 0
    wait_gone(pid)
    assert not net.holds(VIP)
    wait_for(lambda: "vrrp" not in roles(node), what="no role vrrp")
    assert "role_died" not in node.log
    # And again, twice, the second time at once after the first.
    for vips in (True, False, True):
        assert node.reload(conf_for(vips=vips)).returncode == 0
    wait_address(net)
    assert roles(node)["vrrp"]["restarts"] == 0
    node.proc.terminate()
    assert node.proc.wait(30 * SLOW) == 0


def test_a_machine_that_is_none_of_the_nodes(start, net, tmp_path):
    net.ip("address", "replace", "10.77.0.13/24", "dev", "eth0")
    net.ip("address", "delete", "10.77.0.11/24", "dev", "eth0")
    node = start(conf_for(vips=False))
    refused = node.reload(conf_for())
    assert refused.returncode == 1
    for word in ("lb1 (10.77.0.11)", "lb2 (10.77.0.12)", "--node"):
        assert word in refused.stdout + refused.stderr
    run = [HOLDFAST, "run", "-c", node.path, "--state", str(tmp_path / "s")]
    done = net.run(*run, check=False)
    assert done.returncode == 1
    assert "lb1 (10.77.0.11)" in done.stderr and "--node" in done.stderr
    done = net.run(*run, "--node", "lb3", check=False)
    assert done.returncode == 1
    assert "lb3" in done.stderr and "lb2 (10.77.0.12)" in done.stderr


@pytest.mark.parametrize("name", [None, "lb2"])
def test_which_node_it_is(start, name):
    """By its address, or as it is told."""
    node = start(conf_for(), name=name)
    assert node.status()["node"] == (name or "lb1")


# --- rights -------------------------------------------------------------------------------------


def test_only_vrrp_keeps_rights(start):
    node = start(conf_for())
    wait_for(lambda: roles(node).get("vrrp", {}).get("ready"), what="vrrp ready")
    for name in ("check", "proxy", "control", "vrrp"):
        of = fields(node.role_pid(name))
        wanted = sum(1 << n for n in CAPABILITIES.values()) if name == "vrrp" else 0
        for which in ("CapEff", "CapPrm"):
            assert int(of[which], 16) == wanted, (name, which)
        for which in ("CapInh", "CapAmb"):
            assert int(of[which], 16) == 0, (name, which)
        assert of["Uid"].split()[0] != "0", name
        assert of["NoNewPrivs"] == "1", name


def test_only_vrrp_has_real_time_priority(start):
    node = start(conf_for())
    wait_for(lambda: roles(node).get("vrrp", {}).get("ready"), what="vrrp ready")
    for name in ("check", "proxy", "control"):
        assert os.sched_getscheduler(node.role_pid(name)) == os.SCHED_OTHER, name
    if "real-time priority is not permitted" in node.log:
        pytest.skip("not permitted on this machine")
    pid = node.role_pid("vrrp")
    assert os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
    assert os.sched_getparam(pid).sched_priority == 1


# --- the end ------------------------------------------------------------------------------------


def check_order_of_end(node, net):
    lines = events(node)
    yielded = place(lines, event="node_stop", text="no virtual IP is held any more")
    drained = place(lines, area="proxy", event="draining")
    proxy = place(lines, event="role_end", object="proxy")
    vrrp = place(lines, event="role_end", object="vrrp")
    assert yielded < drained < proxy < vrrp
    assert "role_died" not in node.log
    assert not net.holds(VIP)


@pytest.mark.sanitize
def test_the_address_is_given_up_before_the_proxies_end(start, net):
    node = start(conf_for())
    wait_address(net)
    node.proc.terminate()
    assert node.proc.wait(30 * SLOW) == 0
    check_order_of_end(node, net)


def test_a_signal_to_all_processes_keeps_the_order(start, net):
    node = start(conf_for())
    wait_address(net)
    for pid in node.pids():
        os.kill(pid, signal.SIGTERM)
    assert node.proc.wait(30 * SLOW) == 0
    check_order_of_end(node, net)


def test_a_second_signal_ends_at_once(start, net):
    node = start(conf_for())
    wait_address(net)
    os.kill(node.role_pid("vrrp"), signal.SIGSTOP)
    node.proc.terminate()
    node.wait_log("node_stop")
    node.proc.terminate()
    assert node.proc.wait(20 * SLOW) == 0
    assert not node.pids()


def test_a_role_that_hangs_does_not_hold_up_the_end(start, net):
    node = start(conf_for())
    wait_address(net)
    os.kill(node.role_pid("vrrp"), signal.SIGSTOP)
    node.proc.terminate()
    assert node.proc.wait(40 * SLOW) == 0
    assert "were not given up within" in node.log
    wait_address(net, there=False) # by its lifetime


# --- replaced, killed ---------------------------------------------------------------------------


@pytest.mark.sanitize
@pytest.mark.limit(180)
def test_upgrade_replaces_it_without_dropping_the_address(start, net):
    node = start(conf_for())
    wait_address(net)
    watch = Watch(net)
    for _ in range(2):
        old = {n: node.role_pid(n) for n in ("proxy", "check", "control", "vrrp")}
        done = node.cli("upgrade")
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for(lambda: all((pids := node.pids(n)) and pids[-1] != old[n] for n in old)
                 and all(r["ready"] for r in roles(node).values()), 60, "all roles replaced")
        wait_gone(old["vrrp"])
    wait_for(lambda: node.status()["virtual_ips"][0]["state"] == "active", what="active")
    watch.stop()
    assert watch.there > 10 and watch.gone == 0, (watch.there, watch.gone)
    lines = events(node)
    started = [i for i, x in enumerate(lines)
               if x["event"] == "role_ready" and x.get("object") == "vrrp"]
    ended = [i for i, x in enumerate(lines)
             if x["event"] == "role_end" and x.get("object") == "vrrp"]
    assert len(started) == 3 and len(ended) == 2
    assert started[1] < ended[0] and started[2] < ended[1]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_ends_is_replaced_without_dropping_the_address(start, net, sig):
    node = start(conf_for())
    wait_address(net)
    watch = Watch(net)
    old = node.role_pid("vrrp")
    os.kill(old, sig)
    wait_gone(old)
    wait_for(lambda: roles(node).get("vrrp", {}).get("ready"), what="vrrp ready")
    wait_for(lambda: node.status()["virtual_ips"][0]["state"] == "active", what="active")
    watch.stop()
    assert watch.there > 0 and watch.gone == 0, (watch.there, watch.gone)


@pytest.mark.limit(180)
def test_it_holds_the_address_without_a_parent_and_is_adopted(start, net):
    node = start(conf_for())
    wait_address(net)
    watch = Watch(net)
    pid = node.role_pid("vrrp")
    node.kill_role("parent")
    time.sleep(6) # longer than an address lives that nobody renews
    assert alive(pid)
    node.start()
    assert node.pids("vrrp") == [pid]
    watch.stop()
    assert watch.there > 100 and watch.gone == 0, (watch.there, watch.gone)
    # It is this parent's now: a file without virtual IPs ends it.
    assert node.reload(conf_for(vips=False)).returncode == 0
    wait_gone(pid)
    assert not net.holds(VIP)


# --- orders for the node ------------------------------------------------------------------------


def test_a_drained_node_stays_drained(start, net):
    node = start(conf_for())
    wait_address(net)
    done = node.cli("drain", "--node")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_address(net, there=False)
    with open(os.path.join(node.state, "orders.json"), encoding="utf-8") as f:
        assert json.load(f)["node"] == "drain"
    # Over a restart of the role, a reload and a restart of everything.
    node.kill_role("vrrp")
    wait_for(lambda: roles(node).get("vrrp", {}).get("ready"), what="vrrp ready")
    conf = conf_for()
    conf["virtual_ips"]["web"]["priority"]["lb1"] = 150
    assert node.reload(conf).returncode == 0
    assert not net.holds(VIP)
    node.stop()
    node.start()
    wait_for(lambda: roles(node).get("vrrp", {}).get("ready"), what="vrrp ready")
    time.sleep(1) # three times what it would need to take the address
    assert not net.holds(VIP)
    done = node.cli("ready", "--node")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_address(net)
    node.stop()
    node.start()
    wait_address(net)


def test_a_node_without_virtual_ips_says_why_it_cannot_be_drained(start):
    node = start(conf_for(vips=False))
    done = node.cli("drain", "--node")
    assert done.returncode == 1
    assert "no virtual IP" in done.stdout + done.stderr


# --- hooks --------------------------------------------------------------------------------------


def hook(folder, body):
    """A program that notes its environment as a line of JSON, then does something."""
    path = os.path.join(folder, "hook")
    with open(path, "w", encoding="ascii") as f:
        f.write("#!/usr/bin/python3\n"
                "import json, os, sys, time\n"
                f"with open({os.path.join(folder, 'told')!r}, 'a') as f:\n"
                "    f.write(json.dumps(dict(os.environ, UID=str(os.getuid()))) + '\\n')\n"
                "to = os.environ['HOLDFAST_TO']\n" + body + "\n")
    os.chmod(path, 0o755)
    return path


def told(folder):
    try:
        with open(os.path.join(folder, "told"), encoding="utf-8") as f:
            return [json.loads(line) for line in f]
    except FileNotFoundError:
        return []


@pytest.mark.sanitize
def test_hooks_run_in_order_with_their_environment(start, net, folder):
    node = start(conf_for(exec=[hook(folder, "time.sleep(0.1)")]))
    wait_address(net)
    assert node.cli("drain", "--node").returncode == 0
    wait_address(net, there=False)
    assert node.cli("ready", "--node").returncode == 0
    wait_address(net)
    wait_for(lambda: [h["HOLDFAST_TO"] for h in told(folder)].count("active") == 2,
             what="second hook of becoming active")
    node.proc.terminate()
    assert node.proc.wait(60 * SLOW) == 0
    calls = told(folder)
    assert [int(h["HOLDFAST_NUMBER"]) for h in calls] == list(range(1, len(calls) + 1))
    for before, after in zip(calls, calls[1:]):
        assert after["HOLDFAST_FROM"] == before["HOLDFAST_TO"]
    assert calls[-1]["HOLDFAST_TO"] != "active" # the node's end was told, too
    for h in calls:
        assert h["HOLDFAST_VIP"] == "web"
        assert h["HOLDFAST_NODE"] == "lb1"
        assert h["HOLDFAST_CLUSTER"] == "shop"
        assert h["HOLDFAST_INTERFACE"] == "eth0"
        assert VIP in h["HOLDFAST_ADDRESSES"]
        assert h["HOLDFAST_REASON"]
        assert h["HOLDFAST_PRIORITY"].isdigit()
        assert "/usr/bin" in h["PATH"]
        assert "NOTIFY_SOCKET" not in h
        assert h["UID"] != "0"
    assert "hook_failed" not in node.log


def test_a_hook_that_hangs_is_ended_and_holds_nothing_up(start, net, folder):
    program = hook(folder, "if to == 'backup': os.fork(); time.sleep(1000)")
    node = start(conf_for(exec=[program], timeout="3s"))
    wait_address(net)
    assert "hook_failed" not in node.log # it still runs
    node.wait_log("beyond its time limit")
    wait_for(lambda: [h["HOLDFAST_TO"] for h in told(folder)][-1:] == ["active"],
             what="the hook after it")
    assert [h["HOLDFAST_TO"] for h in told(folder)] == ["backup", "active"]
    out = subprocess.run(["pgrep", "-f", program], capture_output=True, text=True, check=False)
    assert not [p for p in out.stdout.split() if alive(int(p))], "left behind"
    assert any(e["event"] == "hook_failed" and e["object"] == "web"
               for e in node.json("events")["events"])


def test_a_hook_that_fails_is_told_with_its_first_line(start, net, folder):
    node = start(conf_for(exec=[hook(folder, "print('no luck\\nmore'); sys.exit(3)")]))
    wait_address(net)
    node.wait_log("exit status 3: no luck")
    assert "more" not in "".join(e["text"] for e in events(node) if e["event"] == "hook_failed")


def test_a_hook_that_runs_outlives_an_upgrade(start, net, folder):
    node = start(conf_for(exec=[hook(folder, "time.sleep(2); open("
                                             f"{os.path.join(folder, 'done')!r} + to, 'w')")]))
    wait_address(net)
    assert node.cli("upgrade").returncode == 0
    wait_for(lambda: os.path.exists(os.path.join(folder, "doneactive")), what="hook at its end")
    assert "hook_failed" not in node.log


# --- trouble ------------------------------------------------------------------------------------


@pytest.mark.limit(200)
def test_in_a_crash_loop_the_address_goes_before_clients_are_refused(lan, node):
    """The proxy of the active node is killed as soon as it is seen."""
    lan = lan("crash")
    hosts = [lan.host("lb1", "10.77.0.11/24"), lan.host("lb2", "10.77.0.12/24")]
    nodes = [node(conf_for(), host=h) for h in hosts]
    wait_for(lambda: hosts[0].holds(VIP) and not hosts[1].holds(VIP), what="lb1 has the address")

    def kill_again():
        for pid in nodes[0].pids("proxy"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return '"crash_loop"' in nodes[0].log
    wait_for(kill_again, 90, "crash loop", every=0.002)
    lines = events(nodes[0])
    closed = place(lines, event="crash_loop")
    active = place(lines, area="vrrp", event="vip_active")
    given_up = active + place(lines[active:], area="vrrp", object="web", text="was active")
    assert given_up < closed
    wait_for(lambda: hosts[1].holds(VIP), what="lb2 has the address")
    wait_for(lambda: hosts[0].holds(VIP) and not hosts[1].holds(VIP), 90, "lb1 has it again")


def test_roles_of_an_ordinary_user_in_a_user_namespace(folder):
    """Root of a namespace without other ids: no warning, and no capabilities but vrrp's."""
    path = os.path.join(folder, "holdfast.yaml")
    with open(path, "w", encoding="ascii") as f:
        json.dump(conf_for(), f)
    script = (f"ip link set lo up; exec {HOLDFAST} run -c {path} --node lb1 "
              f"--state {os.path.join(folder, 's')}")
    program = subprocess.Popen(["unshare", "-Urn", "sh", "-c", script], user=65534, group=65534,
                               extra_groups=[], stdin=subprocess.DEVNULL, cwd=folder,
                               stderr=subprocess.PIPE, text=True,
                               env=dict(os.environ, NO_COLOR="1", HOME=folder))
    try:
        lines = []
        for text in program.stderr:
            if "unshare failed" in text or "Operation not permitted" in text:
                pytest.skip("this kernel gives ordinary users no namespaces")
            if text.startswith("{"):
                lines.append(json.loads(text))
                if lines[-1]["event"] == "node_ready":
                    break
        about = [line for line in lines if line["event"] == "privilege"]
        assert any("root of this user namespace" in line["text"] for line in about)
        assert all(line["level"] == "info" for line in about)
        assert place(lines, event="role_ready", object="vrrp") >= 0
        for line in lines:
            if line["event"] == "role_start":
                of = fields(int(line["text"].split()[-1]))
                wanted = sum(1 << n for n in CAPABILITIES.values())
                assert int(of["CapEff"], 16) == (wanted if line["object"] == "vrrp" else 0)
    finally:
        program.terminate()
        program.stderr.read()
        assert program.wait(30 * SLOW) == 0
