# SPDX-License-Identifier: Apache-2.0
"""Nodes and test servers as objects: what the scenario tests, the demonstration and the benchmarks
start, ask and end. Everything ends by process id and is waited for."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import yaml

from wire import Conn, http

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOLDFAST = os.path.abspath(os.environ.get("HOLDFAST", os.path.join(ROOT, "build", "holdfast")))
# Sanitizer builds are several times slower.
SLOW = float(os.environ.get("HOLDFAST_SLOW", "1"))
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
                   "ERROR: LeakSanitizer", "FATAL: ThreadSanitizer")

_used_ports = set()


def free_port():
    """A TCP port nobody uses, outside the range from which outgoing connections get theirs."""
    rng = random.SystemRandom()
    for _ in range(2000):
        port = rng.randrange(12000, 32000)
        if port in _used_ports:
            continue
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                s.bind(("::", port))
        except OSError as e:
            if e.errno not in (97, 99): # no IPv6 on this machine
                continue
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
                    s.bind(("0.0.0.0", port))
            except OSError:
                continue
        _used_ports.add(port)
        return port
    raise RuntimeError("no free port found")


def wait_for(cond, timeout=30, what=None, every=0.02):
    """Calls cond until it gives something true, and returns that. Exceptions of connections and
    of a daemon not reached yet count as false. Fails after timeout seconds."""
    timeout *= SLOW
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            got = cond()
            last = got
            if got:
                return got
        except (OSError, Unreachable, json.JSONDecodeError, EOFError) as e:
            last = e
        if time.monotonic() >= deadline:
            name = what or getattr(cond, "__name__", "condition")
            raise AssertionError(f"waited {timeout:.0f} s in vain for: {name} (last: {last!r})")
        time.sleep(every)


class Unreachable(Exception):
    """The command line's exit status 3, or no control socket."""


def _proc(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            return f.read()
    except OSError:
        return b""


def _stat(pid):
    """(state, ppid, start time) of a process; None when there is none."""
    data = _proc(pid, "stat")
    if not data:
        return None
    fields = data[data.rindex(b")") + 2:].split()
    return fields[0].decode(), int(fields[1]), int(fields[19])


def alive(pid):
    """Whether a process exists and is no zombie. The first thread is one while others, which hold
    the same descriptors, still end."""
    data = _proc(pid, "stat")
    if not data:
        return False
    fields = data[data.rindex(b")") + 2:].split()
    return fields[0] not in (b"Z", b"X") or int(fields[17]) > 1


def wait_gone(pid, timeout=30):
    wait_for(lambda: not alive(pid), timeout, f"end of process {pid}")


def process_name(pid):
    """The first word of the command line: "holdfast: proxy" for a role."""
    return _proc(pid, "cmdline").split(b"\0")[0].decode("utf-8", "replace")


def cpu_seconds(pid):
    """User and system time of a process so far."""
    data = _proc(pid, "stat")
    if not data:
        return 0.0
    fields = data[data.rindex(b")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid, key="Pss"):
    """A row of /proc/PID/smaps_rollup: Rss, Pss, Private_Dirty, …"""
    for line in _proc(pid, "smaps_rollup").decode().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


class Node:
    """A running `holdfast run` with a state folder of its own.

    conf: the file as a dict or as text. name: --node. args, env: further ones for `run`. host: a
    netns.Host to run in."""

    def __init__(self, conf, name=None, start=True, args=(), env=None, wait=True, binary=None,
                 host=None):
        self.host = host
        self.binary = binary or HOLDFAST
        self.dir = tempfile.mkdtemp(prefix="hf-")
        os.chmod(self.dir, 0o755) # roles that dropped their rights may need to pass
        self.state = os.path.join(self.dir, "s")
        self.path = os.path.join(self.dir, "holdfast.yaml")
        self.log_path = os.path.join(self.dir, "log")
        self.id = f"{os.getpid()}-{os.path.basename(self.dir)}"
        self.name = name
        self.args = list(args)
        self.env = dict(env or {})
        self.proc = None
        self._log_start = 0
        self._seen = {} # pid -> start time, of everything that was ever ours
        self.write(conf)
        if start:
            self.start(wait=wait)

    # --- the file ---------------------------------------------------------------------------

    def write(self, conf):
        """Replaces the file, by rename; takes effect at the next reload."""
        text = conf if isinstance(conf, (str, bytes)) else yaml.safe_dump(conf, sort_keys=False,
                                                                         allow_unicode=True)
        data = text if isinstance(text, bytes) else text.encode()
        temp = self.path + ".new"
        with open(temp, "wb") as f:
            f.write(data)
        os.rename(temp, self.path)

    def reload(self, conf=None, timeout=60):
        """Writes conf when given and runs `holdfast reload`; returns the CompletedProcess."""
        if conf is not None:
            self.write(conf)
        return self.cli("reload", timeout=timeout)

    # --- starting and ending ----------------------------------------------------------------

    def start(self, wait=True):
        """Runs (again, after stop or a killed parent); log lines are appended."""
        env = dict(os.environ, HOLDFAST_TEST_ID=self.id, **self.env)
        env.setdefault("NO_COLOR", "1")
        command = [self.binary, "run", "-c", self.path, "--state", self.state]
        if self.name:
            command += ["--node", self.name]
        command += self.args
        if self.host:
            command = self.host.command(*command) # executes it in its own place
        self._log_start = len(self.log)
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env=env, cwd="/")
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=30):
        """Until the parent, proxy, check and control all say that they do their work."""
        def ready():
            # Roles of a killed parent are ready all the time: the new one has to have them.
            if self._log_start and "node_start" not in self.log[self._log_start:]:
                if self.proc.poll() is None:
                    return False
            if self.proc.poll() is not None:
                raise AssertionError(
                    f"the node ended with {self.proc.returncode} instead of starting:\n{self.log}")
            roles = {r["name"]: r for r in self.status(timeout=5)["roles"]}
            self.pids()
            return all(roles.get(n, {}).get("ready") for n in ("proxy", "check", "control"))
        wait_for(ready, timeout, "node ready")

    @property
    def pid(self):
        return self.proc.pid

    def stop(self, timeout=20, check=True):
        """Ends everything that is left of the node and removes nothing. With check: fails when a
        sanitizer has complained in the log."""
        self.pids()
        if self.proc is not None and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(timeout * SLOW)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait(30)
        for pid in self.pids():
            self._kill(pid, signal.SIGKILL)
        for pid, start in self._seen.items():
            st = _stat(pid)
            if st and st[2] == start:
                wait_gone(pid)
        if check:
            self.check_log()

    def check_log(self):
        log = self.log
        for mark in SANITIZER_MARKS:
            if mark in log:
                at = log.index(mark)
                raise AssertionError("sanitizer: " + log[at:at + 4000])

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- asking -----------------------------------------------------------------------------

    def cli(self, *args, timeout=60, input=None):
        """`holdfast ARGS… --state STATE`; a CompletedProcess with text."""
        return subprocess.run([self.binary, *map(str, args), "--state", self.state],
                              capture_output=True, text=True, timeout=timeout * SLOW,
                              input=input, env=dict(os.environ, NO_COLOR="1"), check=False,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))

    def json(self, *args, timeout=60):
        """The same with --json, parsed; Unreachable on exit status 3."""
        done = self.cli(*args, "--json", timeout=timeout)
        if done.returncode == 3:
            raise Unreachable(done.stderr)
        assert done.returncode == 0, f"{args}: {done.returncode} {done.stdout} {done.stderr}"
        return json.loads(done.stdout)

    @property
    def socket(self):
        return os.path.join(self.state, "control.sock")

    def api(self, method, path, body=None, headers=(), timeout=30):
        """A request to the control socket; the Response, its JSON in .json."""
        headers = dict(headers)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        answer = http(self.socket, method, path, headers, body, "localhost", timeout)
        try:
            answer.json = json.loads(answer.body)
        except ValueError:
            answer.json = None
        return answer

    def status(self, timeout=30):
        answer = self.api("GET", "/api/v1/status", timeout=timeout)
        if answer.status != 200:
            raise Unreachable(repr(answer))
        return answer.json

    def server(self, server_id):
        """The status entry of "pool/server"."""
        for s in self.status()["servers"]:
            if s["id"] == server_id:
                return s
        return None

    def wait_server(self, server_id, state, timeout=30):
        """Until the server has that state: "up", "down", "starting"; returns its entry."""
        def check():
            s = self.server(server_id)
            return s if s and s["state"] == state else None
        return wait_for(check, timeout, f"{server_id} {state}")

    def metrics(self):
        """{'name{labels}': value} of /metrics."""
        out = {}
        for line in self.api("GET", "/metrics").text.splitlines():
            if line and not line.startswith("#"):
                key, _, value = line.rpartition(" ")
                out[key] = float(value)
        return out

    @property
    def log(self):
        try:
            with open(self.log_path, "r", encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, text, timeout=30):
        wait_for(lambda: text in self.log, timeout, f"log line with {text!r}")

    # --- processes --------------------------------------------------------------------------

    def _ours(self, pid, table):
        """Ours: started by us, a child of ours, or marked as ours by its environment."""
        if self._seen.get(pid) == table[pid][2]:
            return True
        if f"HOLDFAST_TEST_ID={self.id}\0".encode() in _proc(pid, "environ"):
            return True
        ppid = table[pid][1]
        return ppid in table and ppid > 1 and ppid != os.getpid() and self._ours(ppid, table)

    def pids(self, role=None):
        """The living processes of this node, sorted by start: all, or those of a role: "parent",
        "proxy", "check", "control"."""
        table = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (st := _stat(int(entry))) and st[0] not in "ZX":
                table[int(entry)] = st
        if self.proc is not None and self.proc.pid in table and self.proc.poll() is None:
            self._seen[self.proc.pid] = table[self.proc.pid][2]
        ours = [p for p in table if self._ours(p, table)]
        for pid in ours:
            self._seen[pid] = table[pid][2]
        ours.sort(key=lambda p: (table[p][2], p))
        if role is None:
            return ours
        if role == "parent":
            return [p for p in ours if self.proc is not None and p == self.proc.pid]
        return [p for p in ours if process_name(p) == f"holdfast: {role}"]

    def role_pid(self, role):
        """The one process of a role; waits for it."""
        return wait_for(lambda: self.pids(role), 30, f"a process of role {role}")[-1]

    @staticmethod
    def _kill(pid, sig):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass

    def kill_role(self, role, sig=signal.SIGKILL):
        """Sends a signal to a role's process (or the "parent"); returns the pid. After SIGKILL
        it is gone when this returns."""
        pid = self.role_pid(role)
        self._kill(pid, sig)
        if sig == signal.SIGKILL:
            if self.proc is not None and pid == self.proc.pid:
                self.proc.wait(30)
            else:
                wait_gone(pid)
        return pid


class Whoami:
    """A running `holdfast whoami`. args: --latency 10ms and the like."""

    def __init__(self, name="w", *args, port=None, bind=None, env=None, log=None):
        self.name = name
        self.port = port or (None if bind else free_port())
        self.bind = bind or f"127.0.0.1:{self.port}"
        self.args = [str(a) for a in args]
        self.env = env
        self.log_path = log
        self.proc = None
        self.start()

    @property
    def address(self):
        return self.bind

    @property
    def _to(self):
        return self.bind[len("unix:"):] if self.bind.startswith("unix:") else self.port

    @property
    def pid(self):
        return self.proc.pid

    def start(self):
        """Starts (again, at the same address; counts begin at zero)."""
        out = open(self.log_path, "ab") if self.log_path else subprocess.DEVNULL
        try:
            self.proc = subprocess.Popen(
                [HOLDFAST, "whoami", "--bind", self.bind, "--name", self.name, *self.args],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=dict(os.environ, **(self.env or {})))
        finally:
            if self.log_path:
                out.close()

        def answers():
            if self.proc.poll() is not None:
                raise AssertionError(f"whoami {self.bind} ended with {self.proc.returncode}")
            with Conn(self._to, 5):
                return True
        wait_for(answers, 30, f"whoami {self.name}")
        return self

    def counts(self):
        """What it has seen: the JSON of /counts."""
        return json.loads(http(self._to, "GET", "/counts", timeout=30).body)

    def admin(self, what, **query):
        """POST /admin/WHAT?key=value…"""
        path = f"/admin/{what}?" + "&".join(f"{k}={v}" for k, v in query.items())
        answer = http(self._to, "POST", path, body=b"")
        assert answer.status in (200, 204), answer
        return answer

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.cont()
            self.proc.terminate()
            try:
                self.proc.wait(5 * SLOW)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait(30)

    def kill(self):
        """SIGKILL: connections are reset, new ones refused."""
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait(30)

    def hang(self):
        """SIGSTOP: connections are still made, nothing is answered. All its threads have stopped
        when this returns; on a busy machine that takes a moment."""
        self.proc.send_signal(signal.SIGSTOP)

        def stopped():
            tasks = f"/proc/{self.pid}/task"
            return all((_stat(f"{self.pid}/task/{t}") or "T")[0] == "T" for t in os.listdir(tasks))
        wait_for(stopped, 30, f"whoami {self.name} stopped")

    def cont(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGCONT)
