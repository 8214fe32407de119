# SPDX-License-Identifier: Apache-2.0
"""What people see of virtual IPs and what they order: status, metrics, events, switchovers,
draining a node, webhooks."""

import http.server
import json
import subprocess
import threading

from conftest import needs_netns, wait_for
from vippair import VIP

pytestmark = needs_netns


# --- what is shown ----------------------------------------------------------------------------

def test_status_of_both(pair):
    p = pair().start()
    one, two = p.vip("lb1"), p.vip("lb2")
    assert one["state"] == "active" and one["holding"] and one["holder"] == "lb1"
    assert two["state"] == "backup" and not two["holding"] and two["holder"] == "lb1"
    assert two["peer"] == "10.77.0.11" and two["peer_node"] == "lb1"
    assert two["peer_priority"] == 200 and two["active_interval_ms"] == 100
    assert one["addresses"] == [f"{VIP}/24"] and one["router_id"] == 51
    assert one["nodes"] == [{"name": "lb1", "priority": 200}, {"name": "lb2", "priority": 100}]
    assert [c["name"] for c in one["conditions"]] == ["proxy", "pool.web"]
    assert one["reason"] and one["since"]
    page = p.lb2.cli("status").stdout
    assert "Virtual IPs" in page and "Conditions" in page
    row = next(r for r in page.splitlines() if r.strip().startswith("web ") and VIP in r)
    assert "backup" in row and "lb1" in row and "100" in row
    assert p.lb1.api("GET", "/health").json["state"] == "healthy"
    top = p.lb1.cli("top", "--once").stdout
    assert "active" in top and "virtual IP" in top


def test_a_failed_condition_is_shown(pair):
    p = pair().start()
    p.servers.kill("a")
    p.servers.kill("b")
    p.wait_condition("lb1", "pool.web", False)

    def told():
        return next(x for x in p.lb1.api("GET", "/health").json["parts"]
                    if x["kind"] == "virtual_ip")
    # Both may be active for a moment, when they notice at different times.
    wait_for(lambda: told()["reason"] ==
             "pool.web: 0 of 2 servers in service, at least 1 is needed")
    assert told()["state"] == "degraded" and told()["name"] == "web"
    page = p.lb1.cli("status").stdout
    assert "failed" in page and "0 of 2 servers in service" in page
    assert p.lb1.metrics()['holdfast_condition_well{vip="web",condition="pool.web"}'] == 0
    assert "condition_failed pool.web" in p.lb1.cli("events").stdout


def test_metrics(pair):
    p = pair().start()
    text = p.lb1.api("GET", "/metrics").text
    m = p.lb1.metrics()
    assert m['holdfast_vrrp_state{vip="web",state="active"}'] == 1
    assert m['holdfast_vrrp_priority{vip="web"}'] == 200
    assert m['holdfast_vrrp_holding{vip="web"}'] == 1
    assert m['holdfast_vrrp_transitions_total{vip="web"}'] >= 1
    assert m['holdfast_vrrp_dropped_total{vip="web",reason="checksum"}'] == 0
    assert m['holdfast_condition_well{vip="web",condition="proxy"}'] == 1
    assert m["holdfast_node_drained"] == 0
    wait_for(lambda: p.lb2.metrics()
             ['holdfast_vrrp_advertisements_received_total{vip="web"}'] >= 3)
    wait_for(lambda: p.lb1.metrics()['holdfast_vrrp_advertisements_sent_total{vip="web"}'] >
             m['holdfast_vrrp_advertisements_sent_total{vip="web"}'])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# --- switchover -------------------------------------------------------------------------------

def test_switchover(pair):
    p = pair().start()
    done = p.lb1.cli("switchover", "web")
    assert done.returncode == 0, done.stderr
    assert "web: lb2 holds it now, after " in done.stdout
    p.wait_holder("lb2")
    assert p.get().status == 200
    assert p.vip("lb1")["yielded"]
    # The lower priority keeps it, until somebody orders otherwise.
    answer = p.lb2.json("switchover", "web", "--to", "lb1")
    assert answer["ok"] and answer["holder"] == "lb1" and answer["from"] == "lb2"
    assert 0 < answer["ms"] < 5000
    p.wait_holder("lb1")
    # Asked of the one that is to have it.
    assert p.lb2.json("switchover", "web", "--to", "lb2")["holder"] == "lb2"
    p.wait_holder("lb2")
    events = p.lb2.cli("events").stdout
    assert "switchover" in events and "active" in events


def refused(node, *args):
    done = node.cli("switchover", *args)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    return done.stderr


def test_switchovers_that_are_refused(pair):
    p = pair().start()
    assert 'no virtual IP "mail"' in refused(p.lb1, "mail")
    assert '"lb9" is no node that may hold web; there are lb1, lb2' in \
        refused(p.lb1, "web", "--to", "lb9")
    assert "this node does not hold web" in refused(p.lb2, "web")
    p.lb2.stop()
    # It is given up, nobody takes it, it is back.
    assert "web" in refused(p.lb1, "web")
    p.wait_holder("lb1")
    assert p.get().status == 200


# --- draining a node --------------------------------------------------------------------------

def test_a_drained_node_holds_nothing_until_it_is_ready(pair):
    p = pair().start()
    done = p.lb1.cli("drain", "--node", "--wait")
    assert done.returncode == 0, done.stderr
    assert "this node: holds no virtual IP after" in done.stdout
    assert p.holders() == ["lb2"]
    assert p.vip("lb1")["state"] == "out" and p.lb1.status()["drained"]
    assert p.lb1.metrics()["holdfast_node_drained"] == 1
    assert "drained by order" in p.lb1.cli("status").stdout
    assert p.lb1.api("GET", "/health").json["state"] == "healthy" # it was ordered
    assert p.get().status == 200
    p.lb1.stop()
    p.lb1.start()
    wait_for(lambda: p.vip("lb1")["drained"], what="drained after a restart")
    assert p.vip("lb1")["state"] == "out" and p.holders() == ["lb2"]
    answer = p.lb1.json("ready", "--node", "--wait", "30s")
    assert answer["ok"] and answer["reached"]
    p.wait_holder("lb1")
    assert p.lb1.metrics()["holdfast_node_drained"] == 0


# --- webhooks ---------------------------------------------------------------------------------

class Receiver:
    """A web server in a namespace that keeps what it was told; refuses the first `refuse`."""

    def __init__(self, host, address, refuse=0):
        told = self.told = []
        left = [refuse]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self): # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = 503 if left[0] > 0 else 200
                left[0] -= status == 503
                if status == 200:
                    told.append((self.path, json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *unused):
                pass
        with host.inside():
            self.server = http.server.ThreadingHTTPServer((address, 8080), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_webhooks_tell_each_transition_in_order(pair):
    def change(name, c):
        c["virtual_ips"]["web"]["notify"] = {
            "webhook": "http://me:secret@10.77.0.9:8080/told?key=hidden", "timeout": "2s"}
    p = pair(change=change)
    r = Receiver(p.client, "10.77.0.9", refuse=2)
    try:
        p.start()
        for to in ("lb2", "lb1", "lb2"):
            assert p.lb1.cli("switchover", "web", "--to", to).returncode == 0
            p.wait_holder(to)

        def states(node):
            return [b["to"] for _, b in r.told if b["node"] == node]
        wait_for(lambda: states("lb1")[-4:] == ["active", "backup", "active", "backup"],
                 what="lb1's transitions")
        wait_for(lambda: states("lb2")[-3:] == ["active", "backup", "active"],
                 what="lb2's transitions")
        for node in ("lb1", "lb2"):
            numbers = [b["number"] for _, b in r.told if b["node"] == node]
            assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)
        path, body = r.told[-1]
        assert path == "/told?key=hidden"
        assert body["cluster"] == "shop" and body["vip"] == "web"
        assert body["addresses"] == [f"{VIP}/24"] and body["interface"] == "eth0"
        assert body["reason"] and body["from"] and body["time"].endswith("Z")
        p.lb2.stop() # its last word is not lost
        wait_for(lambda: states("lb2")[-1] == "out", what="lb2's end")
        for text in (p.lb1.log, p.lb1.cli("show", "-c", p.lb1.path).stdout,
                     p.lb1.api("GET", "/api/v1/config").text):
            assert "hidden" not in text and "secret" not in text
    finally:
        r.close()


def test_a_webhook_that_hangs_holds_nothing_up(pair):
    def change(name, c):
        c["virtual_ips"]["web"]["notify"] = {"webhook": "http://10.77.0.9:8080/",
                                             "timeout": "200ms"}
    p = pair(change=change)
    with p.client.inside():
        deaf = http.server.socketserver.TCPServer(("10.77.0.9", 8080), None) # never accepts
    try:
        p.start()
        for to in ("lb2", "lb1"):
            assert p.lb1.cli("switchover", "web", "--to", to).returncode == 0
            p.wait_holder(to)
        p.lb1.wait_log('"webhook_failed","object":"web"')
        assert p.lb1.status()["health"] == "healthy"
        assert p.get().status == 200
    finally:
        deaf.server_close()
