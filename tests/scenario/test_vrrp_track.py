# SPDX-License-Identifier: Apache-2.0
"""What must be well for a node to hold an address, and what happens when it is not."""

import os
import signal
import time

import pytest

from conftest import SLOW, needs_netns, wait_for
from vippair import ADVERTISE_MS, VIP, VIP6

pytestmark = needs_netns

SKEW_MS = (256 - 100) * ADVERTISE_MS / 256 # of lb2
MARGIN_MS = 400 * SLOW                     # for the test's own looking and a busy machine


def track(*conditions, **long):
    """A change of the file: what is tracked."""
    def change(name, c):
        c["virtual_ips"]["web"]["track"] = long or list(conditions)
    return change


# --- pools ------------------------------------------------------------------------------------

def test_with_every_server_dead_one_node_still_answers(pair):
    def change(name, c):
        c["trust"] = ["10.77.0.0/24"] # the client is told the reason
    p = pair(change=change).start()
    before = {n: p.transitions(n) for n in ("lb1", "lb2")}
    p.servers.kill("a")
    p.servers.kill("b")
    for n in ("lb1", "lb2"):
        why = p.wait_condition(n, "pool.web", False)
        assert why["reason"] == "0 of 2 servers in service, at least 1 is needed"
    answer = wait_for(lambda: (r := p.get()).status == 503 and r)
    assert "web" in answer.get("holdfast-reason")
    # The order is kept in the low band.
    assert wait_for(lambda: p.vip("lb1")["priority"] == 2)
    assert wait_for(lambda: p.vip("lb2")["priority"] == 1)
    p.wait_holder("lb1")
    p.servers.start("a")
    wait_for(lambda: p.get().status == 200)
    wait_for(lambda: p.vip("lb1")["priority"] == 200 and p.vip("lb2")["priority"] == 100)
    # It stayed where it was, or came back: the two nodes may see deaths and returns at different
    # times.
    p.wait_holder("lb1")
    after = {n: p.transitions(n) for n in ("lb1", "lb2")}
    assert after["lb1"] - before["lb1"] in (0, 2, 4), (before, after)


def test_a_node_without_enough_servers_gives_way(pair):
    p = pair(change=track(**{"pool.web": {"min": 2}})).start()
    p.lb1.cli("disable", "web/a")
    p.wait_holder("lb2")
    v = p.vip("lb1")
    assert v["state"] == "backup" and v["holder"] == "lb2"
    assert v["conditions"][0]["reason"] == "1 of 2 servers in service, at least 2 are needed"
    assert p.get().status == 200
    p.lb1.cli("ready", "web/a")
    p.wait_holder("lb1") # it is preferred again


# --- checks and weights -----------------------------------------------------------------------

def flag_check(directory, weight=None):
    """A named check: the file directory/NODE is there."""
    def change(name, c):
        c["checks"] = {"flag": {"exec": ["/usr/bin/test", "-e", f"{directory}/{name}"],
                                "interval": "100ms", "rise": 2, "fall": 3}}
        c["virtual_ips"]["web"]["track"] = {
            "proxy": {}, "check.flag": {"weight": weight} if weight else {}}
    return change


@pytest.fixture
def flags(tmp_path_factory):
    """A folder that the roles' user can look into, with a file for each node."""
    d = tmp_path_factory.mktemp("flags")
    for parent in (d, d.parent, d.parent.parent):
        os.chmod(parent, 0o755)
    for name in ("lb1", "lb2"):
        (d / name).touch()
    return d


def test_a_check_by_a_program_with_rise_and_fall(pair, flags):
    p = pair(change=flag_check(flags)).start()
    p.wait_condition("lb1", "check.flag", True)
    (flags / "lb1").unlink()
    p.wait_holder("lb2")
    failed = p.wait_condition("lb1", "check.flag", False)
    assert "1" in failed["reason"] # its exit status
    check = p.lb1.status()["checks"][0]
    assert check["name"] == "flag" and check["state"] == "down"
    assert check["checks_failed"] >= 3 # fall
    (flags / "lb1").touch()
    p.wait_holder("lb1")
    assert p.lb1.metrics()['holdfast_check_up{check="flag"}'] == 1


@pytest.mark.parametrize("weight, priority, holder", [(50, 150, "lb1"), (120, 80, "lb2")])
def test_weights(pair, flags, weight, priority, holder):
    p = pair(change=flag_check(flags, weight)).start()
    p.wait_condition("lb1", "check.flag", True)
    (flags / "lb1").unlink()
    wait_for(lambda: p.vip("lb1")["priority"] == priority)
    p.wait_holder(holder)
    time.sleep(5 * ADVERTISE_MS / 1000) # nothing else follows from it
    assert p.holders() == [holder]


# --- the proxy --------------------------------------------------------------------------------

def test_a_restart_of_the_proxy_does_not_move_the_address(pair):
    p = pair().start()
    before = p.transitions("lb1")
    old = p.lb1.kill_role("proxy")
    wait_for(lambda: p.lb1.role_pid("proxy") != old and p.get().status == 200)
    p.wait_condition("lb1", "proxy", True)
    time.sleep(0.3) # longer than it may be away
    assert p.transitions("lb1") == before
    assert p.holders() == ["lb1"]


def moved(p, begin):
    """Milliseconds until lb2 had the address."""
    wait_for(lambda: p.hosts["lb2"].holds(VIP), every=0.005)
    return (time.monotonic() - begin) * 1000


@pytest.mark.alone
def test_a_proxy_that_is_not_restarted_moves_the_address(pair):
    p = pair(args={"lb1": ["--no-restart"]}).start()
    begin = time.monotonic()
    p.lb1.kill_role("proxy")
    ms = moved(p, begin)
    assert 250 - ADVERTISE_MS < ms < 250 + SKEW_MS + MARGIN_MS, ms
    assert p.get().status == 200
    why = p.wait_condition("lb1", "proxy", False)
    assert why["reason"].startswith("the proxy does not run")
    p.wait_holder("lb2")


@pytest.mark.alone
def test_a_proxy_that_hangs_moves_the_address(pair):
    p = pair().start()
    begin = time.monotonic()
    p.lb1.kill_role("proxy", signal.SIGSTOP)
    ms = moved(p, begin)
    assert 800 < ms < 1050 + SKEW_MS + MARGIN_MS, ms
    assert p.get().status == 200
    p.lb1.kill_role("proxy", signal.SIGCONT)
    p.wait_holder("lb1") # or a new one, where the parent was faster
    assert p.get().status == 200


# --- links and the gateway --------------------------------------------------------------------

def test_an_interface_without_a_carrier(pair):
    p = pair(change=track("proxy", "interface.up0"))
    for h in p.hosts.values():
        h.ip("link", "add", "up0", "type", "veth", "peer", "name", "up1")
        h.ip("link", "set", "up0", "up")
        h.ip("link", "set", "up1", "up")
    p.start()
    p.hosts["lb1"].ip("link", "set", "up1", "down")
    p.wait_holder("lb2")
    assert p.wait_condition("lb1", "interface.up0", False)["reason"] == \
        "interface up0 has no carrier"
    p.hosts["lb1"].ip("link", "set", "up1", "up")
    p.wait_holder("lb1")
    p.hosts["lb1"].ip("link", "del", "up0")
    p.wait_holder("lb2")
    assert p.wait_condition("lb1", "interface.up0", False)["reason"] == \
        "there is no interface up0"


def deafen(p, node, on):
    """Whether the gateway's answers to a node are lost on the way."""
    if on:
        p.switch(f"""table bridge f {{
                         chain c {{
                             type filter hook forward priority 0
                             iifname "p-gw" oifname "p-{node}" drop
                         }}
                     }}""")
    else:
        p.switch("delete table bridge f")


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_a_gateway_that_does_not_answer(pair, family):
    six = family == "IPv6"
    address = VIP6 if six else VIP
    gateway = "fd00:77::1" if six else "10.77.0.1"

    def change(name, c):
        track("proxy", "gateway")(name, c)
        if six:
            c["virtual_ips"]["web"]["address"] = f"{VIP6}/64"
            c["nodes"] = {"lb1": {"address": "fd00:77::11"}, "lb2": {"address": "fd00:77::12"}}
    p = pair(change=change)
    p.start()
    p.wait_holder("lb1", address)
    deafen(p, "lb1", True)
    p.wait_holder("lb2", address)
    assert p.wait_condition("lb1", "gateway", False)["reason"] == \
        f"the gateway {gateway} does not answer"
    p.wait_condition("lb2", "gateway", True)
    deafen(p, "lb1", False)
    p.wait_holder("lb1", address)
    p.hosts["lb1"].ip("-6" if six else "-4", "route", "del", "default")
    p.wait_holder("lb2", address)
    assert p.wait_condition("lb1", "gateway", False)["reason"] == \
        f"there is no default route for {family}"


# --- over changes of the program --------------------------------------------------------------

def test_verdicts_outlive_a_reload(pair):
    p = pair(change=track("proxy", "gateway")).start()
    deafen(p, "lb1", True)
    p.wait_holder("lb2")
    since = p.wait_condition("lb1", "gateway", False)["since"]
    conf = p.conf("lb1")
    conf["virtual_ips"]["web"]["priority"]["lb1"] = 210
    assert p.lb1.reload(conf).returncode == 0
    assert p.wait_condition("lb1", "gateway", False)["since"] == since
    assert p.holders() == ["lb2"]


def test_verdicts_outlive_the_role(pair):
    p = pair(change=track("proxy", "gateway")).start()
    deafen(p, "lb1", True)
    p.wait_holder("lb2")
    since = p.wait_condition("lb1", "gateway", False)["since"]
    before = p.transitions("lb2")
    p.lb1.kill_role("vrrp")
    wait_for(lambda: p.lb1.role_pid("vrrp") and p.vip("lb1")["state"] == "backup")
    time.sleep(1) # time enough to take the address back, if it thought that all is well
    assert p.wait_condition("lb1", "gateway", False)["since"] == since
    assert p.holders() == ["lb2"] and p.transitions("lb2") == before


def test_an_upgrade_does_not_move_the_address(pair):
    p = pair(change=track("proxy", "pool.web", "gateway")).start()
    before = p.transitions("lb1"), p.transitions("lb2")
    pids = {r: p.lb1.role_pid(r) for r in ("proxy", "vrrp")}
    assert p.lb1.cli("upgrade").returncode == 0
    for role, pid in pids.items():
        wait_for(lambda role=role, pid=pid: p.lb1.pids(role) and pid not in p.lb1.pids(role),
                 what=f"a new {role}")
    time.sleep(0.5)
    assert p.holders() == ["lb1"] and p.get().status == 200
    assert (p.transitions("lb1"), p.transitions("lb2")) == before
