# SPDX-License-Identifier: Apache-2.0
"""`holdfast lab`: the cluster of a file in namespaces: what it builds, what may be done to it, and
that nothing of it is left, however it ends."""

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import pytest

from conftest import HOLDFAST, SLOW, alive, wait_for, wait_gone

USER = 65534

PAIR = """
cluster: shop
nodes:
  lb1: { address: 10.77.0.11 }
  lb2: { address: 10.77.0.12 }
virtual_ips:
  web:
    address: 10.77.0.100/24
    interface: eth0
    router_id: 51
    advertise: 40ms
    priority: { lb1: 200, lb2: 100 }
    track: [proxy, pool.web]
listeners:
  http: { bind: "*:80" }
routes:
  shop: { host: [shop.test, "*.shop.test"], to: web }
pools:
  web:
    check: { http: /health, expect: 200, interval: 2s, rise: 2, fall: 3, timeout: 1s }
    servers: { web1: 10.77.0.21:80, web2: 10.77.0.22:80 }
control: { bind: 127.0.0.1:8404 }
"""

PRODUCTION = """
cluster: prod
nodes:
  a: { address: 10.1.0.11 }
  b: { address: 10.1.0.12 }
virtual_ips:
  inside:
    address: 10.1.0.100/16
    interface: lan0
    router_id: 1
    advertise: 100ms
    priority: { a: 200, b: 100 }
    track: [proxy, interface.lan0]
  outside:
    address: 192.0.2.100/24
    interface: wan0
    router_id: 2
    advertise: 100ms
    priority: { a: 100, b: 200 }
    track: [proxy, interface.wan0, gateway]
  six:
    address: "2001:db8:77::100/64"
    interface: wan0
    router_id: 3
    advertise: 100ms
    priority: { a: 200, b: 100 }
listeners:
  http: { bind: "*:80" }
  local: { bind: ["127.0.0.1:8080", "unix:/tmp/lab-test-listener.sock"] }
routes:
  all: { to: web }
  here: { host: here.test, to: here }
pools:
  web:
    check: { http: / }
    servers: { w1: 10.1.5.21:80, w2: 10.2.0.22:8080, w3: "[2001:db8:99::3]:80" }
  here:
    check: { http: / }
    servers: { l1: 127.0.0.1:9000, l2: 127.0.0.1:9001 }
"""


class Lab:
    """A lab with a folder of its own; `user`: whom it belongs to, who has a copy of the binary;
    `words`: what its commands begin with."""

    def __init__(self, conf, user=None, words=()):
        self.user, self.words = user, list(words)
        self.dir = tempfile.mkdtemp(prefix="hfl-")
        os.chmod(self.dir, 0o755)
        self.state = os.path.join(self.dir, "lab")
        self.conf = os.path.join(self.dir, "f.yaml")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(conf)
        self.binary = HOLDFAST
        if user is not None:
            self.binary = shutil.copy(HOLDFAST, os.path.join(self.dir, "holdfast"))
            os.chown(self.dir, user, user)

    def as_user(self, command):
        if self.user is None:
            return self.words + command
        return self.words + ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups",
                "--"] + command

    def command(self, what, *args):
        return self.as_user([self.binary, "lab", what, "--state", self.state, *args])

    def cli(self, what, *args, timeout=90, **options):
        return subprocess.run(self.command(what, *args), capture_output=True, text=True,
                              timeout=timeout * SLOW, check=False,
                              env=dict(os.environ, NO_COLOR="1"), **options)

    def up(self, *args):
        done = self.cli("up", "-c", self.conf, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def down(self):
        if os.path.exists(os.path.join(self.state, "lock")):
            done = self.cli("down")
            assert done.returncode == 0, done.stdout + done.stderr
        assert not os.path.exists(self.state)

    def run(self, host, *argv, **options):
        return self.cli("exec", host, *argv, **options)

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(60 * SLOW)
            s.connect(os.path.join(self.state, "lab.sock"))
            s.sendall(json.dumps(request).encode())
            return json.loads(s.recv(1 << 20))

    def fault(self, fault, host=None, **more):
        answer = self.ask(do="fault", fault=fault, **({"host": host} if host else {}), **more)
        assert answer["ok"], answer
        return answer["at_ns"]

    def host(self, name):
        return next(h for h in self.ask(do="status")["hosts"] if h["name"] == name)

    def node(self, name):
        """`holdfast status --json` of a node; None where it does not answer."""
        done = subprocess.run([HOLDFAST, "status", "--json", "--state",
                               f"{self.state}/nodes/{name}/state"], capture_output=True,
                              timeout=60 * SLOW, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def keeper(self):
        """Its process id as the machine sees it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(os.path.join(self.state, "lab.sock"))
            cred = s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return int.from_bytes(cred[:4], "little")

    def get(self, address, host="shop.test", source="client"):
        """The answer's first line ("name: web1") or "" """
        done = self.run(source, "curl", "-s", "-g", "-m", "3", "-H", f"Host: {host}",
                        f"http://{address}/")
        return done.stdout.split("\n")[0] if done.returncode == 0 else ""

    def addresses(self, host):
        out = self.run(host, "ip", "-j", "address").stdout
        return {a["local"] for link in json.loads(out) for a in link["addr_info"]}

    def remove(self):
        try:
            self.down()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def lab():
    labs = []

    def make(conf=PAIR, up=True, args=(), **options):
        made = Lab(conf, **options)
        labs.append(made)
        if up:
            made.up(*args)
        return made
    yield make
    for made in labs:
        made.remove()


@pytest.fixture(scope="module")
def pair():
    made = Lab(PAIR)
    try:
        made.up()
        yield made
    finally:
        made.remove()


@pytest.fixture
def machine():
    """Looks like a machine of its own: what other programs do does not show in it. Gives the words
    that bring a command into it."""
    with subprocess.Popen(["unshare", "-nmpf", "--mount-proc", "--propagation", "private", "sh",
                           "-c", "ip link set lo up; mkdir -p /run/netns; "
                           "mount -t tmpfs none /run/netns; echo up; exec /usr/bin/python3 -c "
                           "'import signal, time; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
                           "time.sleep(1000)'"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as inside:
        assert inside.stdout.readline() == "up\n"
        with open(f"/proc/{inside.pid}/task/{inside.pid}/children", encoding="utf-8") as f:
            first = f.read().strip()
        yield ["nsenter", "-t", first, "-n", "-m", "-p"]
        os.kill(int(first), signal.SIGKILL)


def state_of(words):
    """What a lab must leave as it was."""
    def out(*command):
        return subprocess.run([*words, *command], capture_output=True, text=True,
                              check=True).stdout
    return {"links": out("ip", "-o", "link"), "namespaces": out("ip", "netns"),
            # A network namespace that somebody else removes takes its mount along everywhere.
            "mounts": [m for m in out("cat", "/proc/1/mountinfo").splitlines()
                       if "/run/netns/" not in m],
            "listening": out("ss", "-Hltn"),
            "processes": [p for p in out("ps", "-eo", "args=").splitlines() if p[:3] != "ps "]}


def may_have_namespaces(user):
    done = subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                           "unshare", "-Urnpf", "--mount-proc", "true"], capture_output=True,
                          check=False)
    return done.returncode == 0


# --- beginning and end ------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["down", "killed"])
@pytest.mark.parametrize("user", [None, USER], ids=["root", "user"])
def test_nothing_is_left(machine, lab, user, end):
    if user is not None and not may_have_namespaces(user):
        pytest.skip("this kernel lets no ordinary user make namespaces")
    before = state_of(machine)
    assert "lo" in before["links"] and len(before["processes"]) == 1
    made = lab(user=user, words=machine)
    during = state_of(machine)
    for key in ("links", "namespaces", "mounts"):
        assert during[key] == before[key]
    assert len(during["processes"]) > 10 and during["listening"].count("127.0.0.1:") == 2
    assert made.get("10.77.0.100") in ("name: web1", "name: web2")
    keeper = made.keeper()
    if end == "down":
        done = made.cli("down")
        assert done.returncode == 0 and "nothing of it is left" in done.stdout
        assert not alive(keeper)
        assert not os.path.exists(made.state)
    else:
        os.kill(keeper, signal.SIGKILL)
        wait_gone(keeper)
        assert made.cli("status").returncode == 3
    try:
        wait_for(lambda: state_of(machine) == before, 10)
    except AssertionError:
        assert state_of(machine) == before


def test_a_killed_lab_leaves_no_obstacle(lab):
    made = lab()
    for _ in range(2):
        keeper = made.keeper()
        os.kill(keeper, signal.SIGKILL)
        wait_gone(keeper)
        made.up()
        assert made.get("10.77.0.100").startswith("name: web")
    os.kill(made.keeper(), signal.SIGKILL)
    wait_for(lambda: made.cli("status").returncode == 3)
    made.down() # cleans what is left


def test_an_interrupted_up_leaves_nothing(lab):
    made = lab(up=False)
    with subprocess.Popen(made.command("up", "-c", made.conf, "--foreground"),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as up:
        assert b"host" in up.stdout.readline()
        keeper = made.keeper()
        assert up.poll() is None
        up.send_signal(signal.SIGINT)
        assert up.wait(30 * SLOW) == 0
    assert not alive(keeper)
    assert not os.path.exists(made.state)
    with subprocess.Popen(made.command("up", "-c", made.conf, "--foreground"),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as up:
        assert b"host" in up.stdout.readline()
        keeper = made.keeper()
        up.kill()
    wait_gone(keeper)
    wait_for(lambda: not os.path.exists(made.state), what="an empty folder")


def test_two_labs_at_once(lab):
    one, two = lab(), lab()
    assert one.get("10.77.0.100") and two.get("10.77.0.100")
    again = one.cli("up", "-c", one.conf)
    assert again.returncode == 1 and "runs already" in again.stderr, again.stderr
    one.down()
    assert two.get("10.77.0.100")


def test_named_labs(tmp_path):
    conf = tmp_path / "f.yaml"
    conf.write_text(PAIR)
    names = [f"t{os.getpid()}-{i}" for i in range(2)]

    def cli(*args):
        return subprocess.run([HOLDFAST, "lab", *args], capture_output=True, text=True,
                              timeout=90 * SLOW, check=False)
    try:
        for n in names:
            done = cli("up", "-c", str(conf), "--name", n, "--bare")
            assert done.returncode == 0, done.stderr
        listed = {e["name"] for e in json.loads(cli("list", "--json").stdout)}
        assert listed >= set(names)
        unclear = cli("status")
        assert unclear.returncode == 3 and "--name" in unclear.stderr
        again = cli("up", "-c", str(conf), "--name", names[0])
        assert again.returncode == 1 and f"lab down --name {names[0]}" in again.stderr
    finally:
        for n in names:
            assert cli("down", "--name", n).returncode == 0
    assert cli("down", "--name", names[0]).returncode == 3
    assert cli("up", "-c", str(conf), "--name", "a/b").returncode == 1


def test_what_is_refused_says_why(lab):
    made = lab(conf="listeners: { http: { bind: 80 } }\n", up=False)
    done = made.cli("up", "-c", made.conf)
    assert done.returncode == 1 and "not well" in done.stderr
    assert not os.path.exists(made.state)
    assert made.cli("up").returncode == 2
    assert made.cli("sideways").returncode == 2
    assert made.cli("exec", "lb1").returncode == 2
    assert made.cli("status").returncode == 3
    os.mkdir(made.state)
    kept = os.path.join(made.state, "letter")
    with open(kept, "w", encoding="utf-8") as f:
        f.write("mine")
    made.conf = lab(up=False).conf
    done = made.cli("up", "-c", made.conf)
    assert done.returncode == 1 and "no lab's" in done.stderr
    assert os.listdir(made.state) == ["letter"]
    shutil.rmtree(made.state)


def test_a_node_that_cannot_run_is_told(lab):
    made = lab(conf=PAIR.replace('"*:80"', '"192.0.2.77:80"'), up=False)
    done = made.cli("up", "-c", made.conf)
    assert done.returncode == 1
    assert "has ended (exit status 1)" in done.stderr and "192.0.2.77" in done.stderr
    assert not os.path.exists(made.state)


def test_more_than_the_machine_holds_is_refused(lab):
    servers = ", ".join(f"s{i}: 10.77.{1 + i // 100}.{1 + i % 100}:80" for i in range(200))
    nodes = "".join(f"  n{i}: {{ address: 10.77.0.{20 + i} }}\n" for i in range(20))
    made = lab(conf="nodes:\n" + nodes + "listeners: { http: { bind: '*:80' } }\n"
               "routes: { all: { to: web } }\n" f"pools: {{ web: {{ servers: {{ {servers} }} }} }}\n",
               up=False)
    with open("/proc/sys/net/ipv4/neigh/default/gc_thresh3", encoding="utf-8") as f:
        if int(f.read()) > 10000:
            return # this machine has room for it
    done = made.cli("up", "-c", made.conf)
    assert done.returncode == 1 and "gc_thresh3" in done.stderr, done.stderr


# --- what is built ----------------------------------------------------------------------------

def test_hosts(pair):
    status = pair.ask(do="status")
    hosts = {h["name"]: h for h in status["hosts"]}
    assert list(hosts) == ["lb1", "lb2", "web1", "web2", "client"]
    assert hosts["lb1"]["addresses"] == ["10.77.0.11"] and hosts["lb1"]["kind"] == "node"
    assert hosts["web1"]["kind"] == "server" and hosts["client"]["kind"] == "client"
    assert all(h["state"] == "running" for h in hosts.values())
    shown = pair.cli("status").stdout
    assert "10.77.0.21" in shown and hosts["lb1"]["api"] in shown
    # Names are known, hosts reach one another and have their own.
    assert pair.run("client", "curl", "-s", "http://web2/").stdout.startswith("name: web2")
    assert pair.run("lb2", "hostname").stdout == "lb2\n"
    links = json.loads(pair.run("lb1", "ip", "-j", "link").stdout)
    assert sorted(x["ifname"] for x in links) == ["eth0", "lo"]
    assert pair.run("lb1", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]


def test_apis_on_loopback(pair):
    for name in ("lb1", "lb2"):
        api = pair.host(name)["api"]
        assert api.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(api + "/api/v1/status", timeout=30) as answer:
            assert json.load(answer)["node"] == name
        for _ in range(20):
            with urllib.request.urlopen(api + "/metrics", timeout=30) as answer:
                assert len(answer.read()) > 1000


def test_logs(pair):
    assert "node_start" in pair.cli("logs", "lb1").stdout
    assert "whoami web1 listens on 10.77.0.21:80" in pair.cli("logs", "web1").stdout
    assert pair.cli("logs", "nobody").returncode == 1
    with subprocess.Popen(pair.command("logs", "lb2", "-f"), stdout=subprocess.PIPE) as follow:
        subprocess.run([HOLDFAST, "reload", "--state", f"{pair.state}/nodes/lb2/state"],
                       check=True, capture_output=True, timeout=60 * SLOW)
        deadline = time.monotonic() + 30 * SLOW
        while b"reload" not in follow.stdout.readline():
            assert time.monotonic() < deadline
        follow.terminate()


def test_a_production_file_runs_unchanged(lab):
    made = lab(conf=PRODUCTION)
    wait_for(lambda: "192.0.2.100" in made.addresses("b"))
    wait_for(lambda: "10.1.0.100" in made.addresses("a"))
    wait_for(lambda: "2001:db8:77::100" in made.addresses("a"))
    for address in ("10.1.0.100", "192.0.2.100", "[2001:db8:77::100]"):
        wait_for(lambda a=address: made.get(a).startswith("name: w"), what=address)
    names = {made.get("10.1.0.100") for _ in range(12)}
    assert names == {"name: w1", "name: w2", "name: w3"}
    for node in ("10.1.0.11", "10.1.0.12"):
        assert made.get(node, host="here.test") in ("name: l1", "name: l2")
    assert not os.path.exists("/tmp/lab-test-listener.sock")


def test_bare(lab):
    made = lab(args=["--bare"])
    assert made.ask(do="status")["bare"] is True
    assert made.get("10.77.0.21") == "name: web1"
    assert made.get("10.77.0.11") == ""
    assert made.host("lb1")["pid"] == 0


# --- programs in it ---------------------------------------------------------------------------

def test_exec_passes_everything_on(pair):
    assert pair.run("lb1", "sh", "-c", "exit 7").returncode == 7
    assert pair.run("lb1", "sh", "-c", "kill -TERM $$").returncode == 128 + 15
    assert pair.run("lb1", "no-such-program").returncode == 127
    assert pair.run("nowhere", "true").returncode == 1
    text = "x" * 1000000
    done = pair.run("lb2", "sh", "-c", "cat; echo to-err >&2", input=text)
    assert done.stdout == text and done.stderr == "to-err\n"
    # Options behind the program are the program's.
    assert pair.run("lb1", "printf", "%s.", "-c", "--json", "--").stdout == "-c.--json.--."
    env = dict(os.environ, LAB_WORD="salut")
    done = subprocess.run(pair.command("exec", "lb1", "sh", "-c", "echo $LAB_WORD; pwd"),
                          capture_output=True, text=True, env=env, cwd="/usr/share", check=True,
                          timeout=60 * SLOW)
    assert done.stdout == "salut\n/usr/share\n"


def test_exec_ends_with_its_asker(pair):
    with subprocess.Popen(pair.command("exec", "lb1", "sh", "-c", "echo up; exec sleep 3137"),
                          stdout=subprocess.PIPE) as asker:
        assert asker.stdout.readline() == b"up\n"
        asker.kill()
    wait_for(lambda: "sleep 3137" not in pair.run("lb1", "ps", "axo", "args").stdout)


def test_exec_at_a_terminal(pair):
    pid, fd = pty.fork()
    if pid == 0:
        command = pair.command("exec", "lb1", "sh", "-c",
                               "test -t 0 && test -t 1 && echo is-one; trap 'echo int; exit 5' "
                               "INT; echo ready; while :; do sleep 0.05; done")
        os.execvp(command[0], command)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(fd, 1000)
    assert b"is-one" in seen
    os.write(fd, b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 5
    os.close(fd)


# --- faults -----------------------------------------------------------------------------------

def processes(lab, host):
    """Process ids in a host, as the lab sees them, but for the asking ones."""
    out = lab.run("client", "sh", "-c",
                  "for p in /proc/[0-9]*; do echo ${p#/proc/} $(stat -Lc %i $p/ns/net); done")
    own = lab.run(host, "stat", "-Lc", "%i", "/proc/self/ns/net").stdout.strip()
    return {int(line.split()[0]) for line in out.stdout.splitlines() if line.split()[1:] == [own]}


def test_kill_and_start(lab):
    made = lab()
    wait_for(lambda: "10.77.0.100" in made.addresses("lb1"))
    # A program of its own session that ignores everything is a process of the host as well.
    with subprocess.Popen(made.command("exec", "lb1", "sh", "-c",
                                       "trap '' TERM HUP INT; setsid sleep 3138 & sleep 3138")):
        wait_for(lambda: made.run("lb1", "pgrep", "-fc", "^sleep 3138").stdout == "2\n")
        assert len(processes(made, "lb1")) >= 6
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        at = made.fault("kill", "lb1")
        assert before <= at <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        assert processes(made, "lb1") == set()
    host = made.host("lb1")
    assert host["state"] == "stopped" and "KILL" in host["exit"]
    assert made.node("lb1") is None and made.node("lb2")["node"] == "lb2"
    wait_for(lambda: "10.77.0.100" in made.addresses("lb2"))
    made.fault("start", "lb1")
    wait_for(lambda: (made.node("lb1") or {}).get("health") == "healthy")
    assert made.host("lb1")["state"] == "running"
    assert not made.ask(do="fault", host="lb1", fault="start")["ok"]
    made.fault("kill", "web1")
    assert made.get("10.77.0.21") == ""
    made.fault("start", "web1")
    wait_for(lambda: made.get("10.77.0.21") == "name: web1")


def test_kill_role_and_terminate(lab):
    made = lab()

    def role(name):
        return next((r for r in (made.node("lb2") or {"roles": []})["roles"]
                     if r["name"] == name), {})
    old = role("check")["pid"]
    made.fault("kill-role", "lb2", role="check")
    wait_for(lambda: role("check").get("ready") and role("check")["pid"] != old)
    assert not made.ask(do="fault", host="lb2", fault="kill-role", role="cook")["ok"]
    proxy = role("proxy")["pid"]
    made.fault("kill-role", "lb2", role="parent")
    wait_for(lambda: made.host("lb2")["state"] == "stopped")
    assert made.get("10.77.0.12").startswith("name: ") # the roles go on
    made.fault("start", "lb2")
    wait_for(lambda: role("proxy").get("ready"))
    assert role("proxy")["pid"] == proxy
    made.fault("terminate", "lb2")
    wait_for(lambda: made.host("lb2")["state"] == "stopped")
    assert made.host("lb2")["exit"] == "exit status 0"


def test_freeze_and_thaw(pair):
    pair.fault("freeze", "web1")
    assert pair.host("web1")["state"] == "frozen"
    assert pair.get("10.77.0.21") == ""
    pair.fault("thaw", "web1")
    assert pair.host("web1")["state"] == "running"
    assert pair.get("10.77.0.21") == "name: web1"
    pair.fault("freeze", "web2")
    pair.fault("kill", "web2") # what is frozen dies as well
    assert pair.host("web2")["state"] == "stopped"
    pair.fault("start", "web2")
    wait_for(lambda: pair.get("10.77.0.22") == "name: web2")


def reaches(lab, source, to):
    return lab.get(to, source=source) != ""


def test_cut_and_mend(pair):
    pair.fault("cut", "web1")
    assert pair.host("web1")["state"] == "cut"
    assert not reaches(pair, "client", "10.77.0.21") and reaches(pair, "client", "10.77.0.22")
    pair.fault("mend", "web1")
    wait_for(lambda: reaches(pair, "client", "10.77.0.21"))


def test_block_and_pass(pair):
    pair.fault("block", "client", to="web1")
    assert not reaches(pair, "client", "10.77.0.21")
    assert reaches(pair, "client", "10.77.0.22") and reaches(pair, "lb1", "10.77.0.21")
    assert pair.host("client")["blocked"] == ["web1"]
    pair.fault("block", "client", to="web2")
    assert not reaches(pair, "client", "10.77.0.22")
    pair.fault("pass", "client", to="web1")
    wait_for(lambda: reaches(pair, "client", "10.77.0.21"))
    assert not reaches(pair, "client", "10.77.0.22")
    pair.fault("cut", "web1")
    pair.fault("freeze", "web2")
    pair.fault("pass-all")
    wait_for(lambda: reaches(pair, "client", "10.77.0.21"))
    wait_for(lambda: reaches(pair, "client", "10.77.0.22"))
    assert not pair.ask(do="fault", host="client", fault="block", to="nowhere")["ok"]
    assert not pair.ask(do="fault", host="client", fault="wish")["ok"]
    assert not pair.ask(do="fault", host="nowhere", fault="cut")["ok"]


def test_a_one_way_block(pair):
    """Frames pass the other way: what lb1 advertises is heard, what lb2 sends is not."""
    pair.fault("block", "lb2", to="lb1")
    try:
        assert not reaches(pair, "lb1", "10.77.0.12") and reaches(pair, "lb1", "10.77.0.21")
        count = "cat /sys/class/net/eth0/statistics/rx_packets"
        before = int(pair.run("lb2", "sh", "-c", count).stdout)
        wait_for(lambda: int(pair.run("lb2", "sh", "-c", count).stdout) > before)
    finally:
        pair.fault("pass-all")
    wait_for(lambda: reaches(pair, "lb1", "10.77.0.12"))


def test_strangers_requests(pair):
    path = os.path.join(pair.state, "lab.sock")
    assert os.stat(path).st_mode & 0o077 == 0
    for junk in (b"{", b"[]", b"null", b'{"do": 1}', b'{"do": "exec", "host": "lb1"}',
                 b'{"do": "exec", "host": "lb1", "argv": ["true"]}', b"\0" * 1000,
                 b'{"do": "fault"}', b'{"do": "fault", "fault": "kill-role", "host": "lb1"}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(30)
            s.connect(path)
            s.send(junk)
            answer = s.recv(65536)
            assert not answer or json.loads(answer)["ok"] is False
    assert pair.ask(do="status")["ok"]
