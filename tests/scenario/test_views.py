# SPDX-License-Identifier: Apache-2.0
"""What a node says about itself: status, top, events, explain, metrics, health, and who may change
things over TCP."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import HOLDFAST, Conn, free_port, http, simple, wait_for


@pytest.fixture
def site(node, whoami):
    """A node with control over TCP and a token before two servers."""
    class Site:
        pass
    s = Site()
    s.port, s.control = free_port(), free_port()
    s.a, s.b = whoami("a"), whoami("b")
    s.conf = simple(s.port, [s.a, s.b])
    s.conf["control"] = {"bind": f"127.0.0.1:{s.control}", "token": "open-sesame"}
    s.node = node(s.conf)
    s.node.wait_server("web/a", "up")
    s.node.wait_server("web/b", "up")

    def get(n, path="/", method="GET"):
        with Conn(s.port) as c:
            for _ in range(n):
                c.request(method, path)
                assert c.recv_response(method).status < 500
    s.get = get
    return s


def find(rows, name, key="name"):
    return next(r for r in rows if r[key] == name)


# --- status -----------------------------------------------------------------------------------

def test_status_json_has_every_object(site):
    st = site.node.json("status")
    assert st["health"] == "healthy"
    assert st["generation"] == 1
    assert {r["name"] for r in st["roles"]} >= {"proxy", "check", "control"}
    assert all(r["ready"] and r["pid"] > 0 for r in st["roles"])
    assert find(st["listeners"], "http")["bind"] == [f"127.0.0.1:{site.port}"]
    assert find(st["routes"], "all")["to"] == "web"
    assert find(st["pools"], "web")["up"] == 2
    a = find(st["servers"], "web/a", "id")
    assert (a["state"], a["order"], a["pool"]) == ("up", "ready", "web")
    assert a["reason"] and a["since"]


def test_status_page_names_reasons(site):
    site.b.kill()
    site.node.wait_server("web/b", "down")
    page = site.node.cli("status")
    assert page.returncode == 0
    for words in ("degraded", "Roles", "Listeners", "Routes", "Pools", "Servers", "1/2",
                  "connect refused"):
        assert words in page.stdout, page.stdout
    assert "\033[" not in page.stdout


def test_status_counts_what_clients_sent(site):
    site.get(30)
    site.get(12, method="POST")
    wait_for(lambda: find(site.node.status()["listeners"], "http")["requests"] == 42,
             what="42 requests on the listener")
    st = site.node.status()
    assert find(st["routes"], "all")["requests"] == 42
    assert find(st["pools"], "web")["requests"] == 42
    assert sum(s["requests"] for s in st["servers"]) == 42


def test_status_colour_on_a_terminal_only(site):
    def on_terminal(env):
        leader, follower = pty.openpty()
        p = subprocess.Popen([HOLDFAST, "status", "--state", site.node.state], stdout=follower,
                             stderr=follower, stdin=subprocess.DEVNULL, env=env)
        os.close(follower)
        out = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break
            if not chunk:
                break
            out += chunk
        os.close(leader)
        assert p.wait(30) == 0
        return out
    env = dict(os.environ, TERM="xterm")
    env.pop("NO_COLOR", None)
    assert b"\033[32m" in on_terminal(env)
    assert b"\033[" not in on_terminal(dict(env, NO_COLOR="1"))


@pytest.mark.parametrize("command", [["status"], ["top"], ["top", "--once"], ["events"],
                                     ["explain", "/"], ["reload"], ["upgrade"],
                                     ["drain", "web/a"]])
def test_no_node_is_exit_3(tmp_path, command):
    done = subprocess.run([HOLDFAST, *command, "--state", str(tmp_path / "none")],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "holdfast run" in done.stderr
    assert done.stdout == ""


def test_dead_node_is_exit_3(node, whoami):
    n = node(simple(free_port(), [whoami("a")]))
    n.stop()
    assert n.cli("status").returncode == 3


def test_wrong_usage_is_exit_2(site):
    assert site.node.cli("status", "surplus").returncode == 2
    done = site.node.cli("stats")
    assert done.returncode == 2
    assert 'did you mean "status"?' in done.stderr
    done = site.node.cli("status", "--jsno")
    assert done.returncode == 2
    assert "did you mean --json?" in done.stderr


# --- top --------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_top_once_shows_rates(site, load):
    running = load(site.port)
    try:
        rates = wait_for(lambda: (lambda r: r if find(r["listeners"], "http")["requests_per_s"] > 0
                                  else None)(site.node.json("top", "--once")), what="a rate")
    finally:
        running.stop()
    for kind, name in (("listeners", "http"), ("routes", "all"), ("pools", "web")):
        row = find(rates[kind], name)
        assert row["requests_per_s"] > 0
        assert row["error_share"] == 0
        assert 0 < row["p50_us"] <= row["p95_us"] <= row["p99_us"]
    assert sum(s["requests_per_s"] for s in rates["servers"]) > 0
    page = site.node.cli("top", "--once").stdout
    for words in ("listener", "route", "pool", "server", "web/a", "req/s", "p99"):
        assert words in page


def test_top_live_ends_with_q(site):
    leader, follower = pty.openpty()
    p = subprocess.Popen([HOLDFAST, "top", "--state", site.node.state], stdin=follower,
                         stdout=follower, stderr=follower,
                         env=dict(os.environ, TERM="xterm", NO_COLOR="1"))
    os.close(follower)
    seen = b""
    end = time.monotonic() + 60
    while b"web/b" not in seen and time.monotonic() < end:
        if select.select([leader], [], [], 1)[0]:
            seen += os.read(leader, 65536)
    assert b"web/b" in seen
    os.write(leader, b"q")
    while time.monotonic() < end: # what is still written must be read, or it cannot end
        try:
            if not select.select([leader], [], [], 1)[0] and p.poll() is not None:
                break
            seen += os.read(leader, 65536)
        except OSError:
            break
    assert p.wait(30) == 0
    os.close(leader)
    assert seen.startswith(b"\033[?1049h")
    assert b"\033[?1049l" in seen


# --- events -----------------------------------------------------------------------------------

def test_events_tell_why(site):
    site.b.kill()
    site.node.wait_server("web/b", "down")
    wait_for(lambda: any(e["event"] == "server_down" and e["object"] == "web/b"
                         and "refused" in e["text"]
                         for e in site.node.json("events")["events"]), what="the event")
    assert "server_down web/b" in site.node.cli("events").stdout
    assert "server_down" in site.node.cli("events", "--since", "10m").stdout
    after = site.node.json("events")["next"]
    assert site.node.json("events", "--since", after)["events"] == []
    assert len(site.node.json("events", "--limit", 1)["events"]) == 1
    assert site.node.cli("events", "--since", "never").returncode == 2


def test_events_follow(site):
    p = subprocess.Popen([HOLDFAST, "events", "--follow", "--json", "--limit", "0", "--state",
                          site.node.state], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        site.b.kill()
        end = time.monotonic() + 60
        seen = b""
        while b"server_down" not in seen and time.monotonic() < end:
            if select.select([p.stdout], [], [], 1)[0]:
                seen += os.read(p.stdout.fileno(), 65536)
        assert b"server_down" in seen
        for line in seen.decode().splitlines():
            assert json.loads(line)["level"]
    finally:
        p.send_signal(signal.SIGTERM)
        p.wait(30)
        p.stdout.close()


def test_events_survive_a_killed_control(site):
    before = site.node.json("events")["next"]
    site.node.kill_role("control")
    site.node.wait_ready()
    wait_for(lambda: site.node.json("events")["next"] > before, what="an event of the restart")
    assert any(e["event"] == "node_ready" for e in site.node.json("events")["events"])


# --- explain ----------------------------------------------------------------------------------

def test_explain_names_the_chain(site):
    e = site.node.json("explain", f"http://any.test:{site.port}/x")
    assert e["listener"]["name"] == "http"
    assert e["route"]["name"] == "all"
    assert e["pool"]["name"] == "web"
    assert e["server"]["id"] in ("web/a", "web/b")
    page = site.node.cli("explain", f"http://any.test:{site.port}/x").stdout
    for words in ("listener", "http", "route", "all", "pool", "web", "server"):
        assert words in page


def test_explain_routes_by_host_and_header(site):
    site.conf["routes"]["beta"] = {"host": "shop.test", "header": {"X-Beta": "yes"}, "to": "web"}
    assert site.node.reload(site.conf).returncode == 0
    assert site.node.json("explain", "http://shop.test/")["route"]["name"] == "all"
    assert site.node.json("explain", "http://shop.test/", "X-Beta: yes")["route"]["name"] == "beta"


def test_explain_dead_pool_and_bad_url(site):
    site.a.kill()
    site.b.kill()
    site.node.wait_server("web/a", "down")
    site.node.wait_server("web/b", "down")
    e = site.node.json("explain", "/")
    assert "connect refused" in json.dumps(e)
    bad = site.node.cli("explain", "ftp://x/")
    assert bad.returncode == 1
    assert "scheme" in bad.stderr


# --- metrics ----------------------------------------------------------------------------------

def exposition(site):
    r = http(site.control, "GET", "/metrics")
    assert r.status == 200
    assert r.get("content-type").startswith("text/plain; version=0.0.4")
    return r.body.decode()


def test_metrics_pass_promtool(site):
    site.get(20)
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition(site), text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.strip() == ""


@pytest.mark.sanitize
def test_metrics_equal_client_and_server_counts(site):
    site.get(50)
    site.get(7, method="POST")
    site.get(5, path="/status/404")

    def total(kind, want=""):
        return sum(v for k, v in site.node.metrics().items()
                   if k.startswith(f"holdfast_{kind}_requests_total{{") and want in k)
    wait_for(lambda: total("listener") == 62, what="62 requests counted")
    for kind in ("listener", "route", "pool", "server"):
        assert total(kind) == 62
        assert total(kind, 'method="GET",code="200"') == 50
        assert total(kind, 'method="POST",code="200"') == 7
        assert total(kind, 'code="404"') == 5
    m = site.node.metrics()
    for kind, labels in (("listener", 'listener="http"'), ("route", 'route="all"'),
                         ("pool", 'pool="web"')):
        name = f"holdfast_{kind}_request_duration_seconds"
        assert m[f"{name}_count{{{labels}}}"] == 62
        assert m[f'{name}_bucket{{{labels},le="+Inf"}}'] == 62
        assert m[f"{name}_sum{{{labels}}}"] > 0
    assert sum(w.counts()["methods"]["POST"] for w in (site.a, site.b)) == 7


def test_metrics_count_over_a_killed_proxy(site):
    site.get(25)
    wait_for(lambda: find(site.node.status()["listeners"], "http")["requests"] == 25,
             what="25 requests")
    site.node.kill_role("proxy")
    site.node.wait_ready()
    wait_for(lambda: http(site.port, "GET", "/").status == 200, what="service")
    count = find(site.node.status()["listeners"], "http")["requests"]
    assert count >= 26 # none of the first 25 is forgotten
    m = site.node.metrics()
    assert m['holdfast_role_restarts_total{role="proxy"}'] == 1


def test_metrics_of_states(site):
    m = site.node.metrics()
    assert m['holdfast_server_up{pool="web",server="a"}'] == 1
    assert m['holdfast_server_state{pool="web",server="a",state="up"}'] == 1
    assert m['holdfast_role_up{role="proxy"}'] == 1
    assert m["holdfast_configuration_generation"] == 1
    site.b.kill()
    site.node.wait_server("web/b", "down")
    m = site.node.metrics()
    assert m['holdfast_server_up{pool="web",server="b"}'] == 0
    assert m['holdfast_server_state{pool="web",server="b",state="down"}'] == 1
    assert m['holdfast_server_checks_total{pool="web",server="b",result="failed"}'] >= 1


def test_stale_series_vanish(site):
    site.get(4)
    assert 'server="b"' in exposition(site)
    del site.conf["pools"]["web"]["servers"]["b"]
    site.conf["routes"] = {"renamed": {"to": "web"}}
    assert site.node.reload(site.conf).returncode == 0
    text = exposition(site)
    assert 'server="b"' not in text
    assert 'route="all"' not in text
    assert 'route="renamed"' in text
    assert 'server="a"' in text


def test_reload_outcomes_are_counted(site):
    site.conf["routes"]["more"] = {"path": "/more", "to": "web"}
    assert site.node.reload(site.conf).returncode == 0
    refused = site.node.reload("listeners: [\n")
    assert refused.returncode == 1
    assert "error" in refused.stderr
    m = site.node.metrics()
    assert m['holdfast_reloads_total{result="ok"}'] >= 1
    assert m['holdfast_reloads_total{result="refused"}'] == 1
    assert m["holdfast_last_reload_successful"] == 0
    assert "the last reload was refused" in site.node.cli("status").stdout
    assert http(site.control, "GET", "/health").status == 200
    assert site.node.status()["health"] == "degraded"
    assert site.node.reload(site.conf).returncode == 0
    wait_for(lambda: site.node.status()["health"] == "healthy", what="healthy again")


# --- health -----------------------------------------------------------------------------------

def test_health_states(site):
    def health():
        r = http(site.control, "GET", "/health")
        return r.status, json.loads(r.body)["state"]
    assert health() == (200, "healthy")
    site.b.kill()
    wait_for(lambda: health() == (200, "degraded"), what="degraded")
    site.a.kill()
    wait_for(lambda: health() == (503, "unhealthy"), what="unhealthy")
    parts = json.loads(http(site.control, "GET", "/health").body)["parts"]
    web = next(p for p in parts if p["kind"] == "pool")
    assert web["state"] == "unhealthy" and "2 down" in web["reason"]
    site.a.start()
    site.b.start()
    wait_for(lambda: health() == (200, "healthy"), what="healthy")


# --- who may change ---------------------------------------------------------------------------

def post(site, path, headers):
    return http(site.control, "POST", path, headers, b"", "127.0.0.1")


@pytest.mark.sanitize
def test_tcp_changes_need_the_token(site):
    good = {"Authorization": "Bearer open-sesame"}
    for path in ("/api/v1/reload", "/api/v1/upgrade", "/api/v1/order"):
        r = post(site, path, {})
        assert r.status == 401
        assert r.get("www-authenticate").startswith("Bearer")
        assert "Authorization" in json.loads(r.body)["error"]
        assert post(site, path, {"Authorization": "Bearer open-sesamf"}).status == 401
    assert post(site, "/api/v1/reload", good).status == 200
    done = http(site.control, "POST", "/api/v1/order", good,
                json.dumps({"target": "web/a", "order": "drain"}).encode(), "localhost")
    assert done.status == 200
    wait_for(lambda: site.node.server("web/a")["order"] == "drain", what="the order")


def test_tcp_changes_refuse_a_rebound_name(site):
    r = http(site.control, "POST", "/api/v1/reload", {"Authorization": "Bearer open-sesame"}, b"",
             "evil.test")
    assert r.status == 403
    assert "Host" in json.loads(r.body)["error"]


def test_tcp_without_token_is_read_only(node, whoami):
    port, control = free_port(), free_port()
    conf = simple(port, [whoami("a")])
    conf["control"] = {"bind": f"127.0.0.1:{control}"}
    n = node(conf)
    r = http(control, "POST", "/api/v1/reload", {"Authorization": "Bearer "}, b"", "127.0.0.1")
    assert r.status == 403
    assert "control.token" in json.loads(r.body)["error"]
    assert http(control, "GET", "/api/v1/status").status == 200
    assert n.cli("reload").returncode == 0


def test_secrets_stay_inside(site):
    for path in ("/api/v1/config", "/api/v1/config?format=yaml", "/api/v1/status"):
        r = http(site.control, "GET", path)
        assert r.status == 200
        assert b"open-sesame" not in r.body
    assert http(site.control, "GET", "/api/v1/config?format=image").status == 403


def test_control_port_moves_with_a_reload(site):
    old, new = site.control, free_port()
    site.conf["control"]["bind"] = f"127.0.0.1:{new}"
    assert site.node.reload(site.conf).returncode == 0
    assert http(new, "GET", "/health").status == 200
    with pytest.raises(OSError):
        http(old, "GET", "/health")
    del site.conf["control"]
    assert site.node.reload(site.conf).returncode == 0
    with pytest.raises(OSError):
        http(new, "GET", "/health")
    assert site.node.status()["health"] == "healthy"


def test_diff_against_the_running_node(site, tmp_path):
    import yaml
    site.conf["pools"]["web"]["balance"] = "least_conn"
    path = tmp_path / "next.yaml"
    path.write_text(yaml.safe_dump(site.conf))
    done = site.node.cli("diff", path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"pools\.web\.balance", done.stdout)


def test_completion_is_bash(tmp_path):
    script = subprocess.run([HOLDFAST, "completion", "bash"], capture_output=True, text=True,
                            timeout=30, check=True).stdout
    check = script + """
COMP_WORDS=(holdfast st) COMP_CWORD=1; _holdfast; echo "${COMPREPLY[@]}"
COMP_WORDS=(holdfast top --o) COMP_CWORD=2; _holdfast; echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", check], capture_output=True, text=True, timeout=30,
                          cwd=tmp_path, check=True)
    assert done.stdout.splitlines() == ["status", "--once"]


# --- changes that the parent makes ------------------------------------------------------------

def test_upgrade_by_command(site):
    before = {r["name"]: r["pid"] for r in site.node.status()["roles"]}
    done = site.node.cli("upgrade")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: all(r["ready"] and r["pid"] != before[r["name"]]
                         for r in site.node.status()["roles"]
                         if r["name"] in ("proxy", "check", "control")), what="new processes")
    site.get(5)
    assert site.node.cli("reload").returncode == 0


def test_without_parent_views_answer_and_changes_say_why(site):
    site.node.kill_role("parent")
    wait_for(lambda: site.node.status()["orphan"], what="orphan")
    site.get(5)
    assert site.node.cli("status").returncode == 0
    assert "the parent process has gone" in site.node.cli("status").stdout
    done = site.node.cli("reload")
    assert done.returncode == 1
    assert "holdfast run" in done.stderr
    site.node.start()
    wait_for(lambda: not site.node.status()["orphan"], what="adoption")
    assert site.node.cli("reload").returncode == 0


def test_parallel_changes_are_all_answered(site):
    running = [subprocess.Popen([HOLDFAST, "reload", "--state", site.node.state],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(12)]
    for p in running:
        out, err = p.communicate(timeout=90)
        assert p.returncode == 0, out + err
