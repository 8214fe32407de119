#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration. In a terminal: two nodes that share an address, one of which dies (see
demo_pair.py). With --once it runs by itself and has a part before that: one node in front of three
test servers under load. A server is killed, another hangs and comes back, the proxy role is killed
with SIGKILL, the file is reloaded. Every request has an id; the client writes down what became of
it, and each server which ids it has seen (in a file, so that a killed server's count is not lost).
It ends with status 0 only if client and servers agree, no POST was sent twice, nothing failed but
what was in flight in a process that was killed, and the pair kept its promises."""

import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

from harness import HOLDFAST, Node, Whoami, free_port, wait_for # noqa: E402
from loadgen import Load # noqa: E402
from wire import http # noqa: E402
import demo_pair # noqa: E402

CLIENTS = 8


class Demo:
    """The node, the servers, the load, and what is known of them."""

    def __init__(self, broken=None):
        self.broken = broken
        self.dir = tempfile.mkdtemp(prefix="hf-demo-")
        self.port, self.second_port = free_port(), free_port()
        self.servers, self.node, self.load = {}, None, None
        self.began = time.time()
        self.server_killed = None
        self.proxy_killed = None
        self.complaints = []
        self.records = []

    def say(self, text):
        print(f"{time.time() - self.began:6.1f} s  {text}", flush=True)

    def expect(self, good, complaint):
        if not good:
            self.complaints.append(complaint)

    def conf(self, servers=("a", "b", "c"), second=False):
        listeners = {"http": {"bind": f"127.0.0.1:{self.port}"}}
        if second:
            listeners["second"] = {"bind": f"127.0.0.1:{self.second_port}"}
        return {
            "proxy": {"threads": 2},
            "trust": ["127.0.0.0/8"], # the client may see the reasons of failures
            "listeners": listeners,
            "routes": {"all": {"to": "web"}},
            "pools": {"web": {
                "check": {"http": "/health", "interval": "300ms", "timeout": "250ms", "rise": 1,
                          "fall": 2},
                "retries": 0 if self.broken == "retries" else 2,
                "timeouts": {"response": "20s"},
                "servers": {n: self.servers[n].address for n in servers},
            }},
        }

    def record(self, name):
        return os.path.join(self.dir, name)

    def start(self):
        for name in ("a", "b", "c"):
            self.servers[name] = Whoami(name, "--record", self.record(name))
        args = ["--no-restart"] if self.broken == "restart" else []
        self.node = Node(self.conf(), start=False, args=args)
        self.node.start()
        for name in self.servers:
            self.node.wait_server(f"web/{name}", "up")
        self.say(f"a node on port {self.port} with three servers a, b and c, all up"
                 + (f" (--break {self.broken})" if self.broken else ""))

    def start_load(self):
        self.load = Load(self.port, threads=CLIENTS, prefix="d",
                         timeout=5 if self.broken == "restart" else 15)
        self.say(f"{CLIENTS} clients send GET and POST, one after the other, as fast as they can")

    def stop(self):
        for s in self.servers.values():
            s.cont() # what one of them holds would hold up the clients' end
        if self.load:
            self.load.stop()
        if self.node:
            self.node.stop()
        for s in self.servers.values():
            s.stop()

    def remove(self):
        if self.node:
            self.node.remove()
        for name in os.listdir(self.dir):
            os.unlink(os.path.join(self.dir, name))
        os.rmdir(self.dir)

    def pause(self, seconds, requests=50):
        """Goes on for a while, and until some requests more have ended, in bounded time."""
        count = self.load.count()
        time.sleep(seconds)
        try:
            wait_for(lambda: self.load.count() >= count + requests, 5 if self.broken else 30)
        except AssertionError:
            self.expect(False, "the clients get no answers any more")

    def wait_state(self, server, state):
        try:
            entry = self.node.wait_server(f"web/{server}", state)
            self.say(f"the checks say: {server} is {state}: {entry.get('reason', '')}")
        except AssertionError:
            self.expect(False, f"server {server} was not found {state}")

    # --- what happens -------------------------------------------------------------------------

    def kill_server(self):
        # A POST that a dying server holds is lost with it and must not be repeated, whoever stands
        # before that server; so for this moment the clients send what may be repeated.
        self.load.no_posts()
        self.say("server a is killed (while the clients send GET only)")
        before = time.time()
        self.servers["a"].kill()
        self.server_killed = (before, time.time())
        self.load.only_get = False
        self.wait_state("a", "down")

    def hang_server(self):
        self.say("server b hangs (SIGSTOP): it takes connections and answers nothing")
        self.servers["b"].hang()
        self.wait_state("b", "down")
        self.say("4 more clients come, and notice nothing of it")
        more = Load(self.port, threads=4, timeout=15, prefix="m")
        try:
            wait_for(lambda: more.count() >= 100, 10)
        except AssertionError:
            self.expect(False, "new clients get no answers while a server hangs")
        self.say("server b wakes up (SIGCONT) and answers what it had taken")
        self.servers["b"].cont()
        self.records += more.stop()
        self.wait_state("b", "up")

    def kill_proxy(self):
        old = self.node.role_pid("proxy")
        self.say(f"the proxy role (process {old}) is killed with SIGKILL")
        before = time.time()
        self.node.kill_role("proxy")
        self.proxy_killed = (before, time.time())
        try:
            wait_for(lambda: self.node.pids("proxy"), 5)
            self.say(f"the proxy role is back (process {self.node.role_pid('proxy')})")
        except AssertionError:
            self.expect(False, "the proxy role did not come back")

    def reload(self):
        self.say("the file is reloaded: server a is taken out, a second listener is added")
        done = self.node.reload(self.conf(servers=("b", "c"), second=True))
        self.expect(done.returncode == 0, f"the reload was refused: {done.stdout}{done.stderr}")
        try:
            status = http(self.second_port, timeout=10).status
        except OSError as e:
            status = e
        self.expect(status == 200, f"the new listener does not answer: {status}")

    # --- what became of it --------------------------------------------------------------------

    def seen(self):
        """{id: how often any server saw it}, from the servers' records."""
        out = collections.Counter()
        for name in self.servers:
            if os.path.exists(self.record(name)):
                with open(self.record(name), encoding="utf-8", errors="replace") as f:
                    out.update(line.split()[1] for line in f if len(line.split()) == 2)
        return out

    @staticmethod
    def overlaps(record, span):
        return span is not None and record.start <= span[1] and record.end >= span[0]

    def judge(self, records):
        seen = self.seen()
        failed = [r for r in records if r.error]
        in_proxy = [r for r in failed if r.status == 0 and self.overlaps(r, self.proxy_killed)]
        # A POST that the killed server had may have been done: repeating it would be wrong.
        in_server = [r for r in failed if r.method == "POST" and r not in in_proxy
                     and self.overlaps(r, self.server_killed)]
        other = [r for r in failed if r not in in_proxy and r not in in_server]
        answered = [r for r in records if not r.error]
        unseen = [r for r in answered if not seen[r.id]]
        twice = [r for r in records if r.method == "POST" and seen[r.id] > 1]
        strangers = set(seen) - {r.id for r in records}
        print(f"\n{'':24}{'client':>10}{'servers':>10}")
        for method in ("GET", "POST"):
            of = [r for r in answered if r.method == method]
            by = [r for r in of if seen[r.id]]
            print(f"{method + ' answered':24}{len(of):10}{len(by):10}")
        print(f"{'failed':24}{len(failed):10}{sum(1 for r in failed if seen[r.id]):10}")
        print(f"  in flight in the killed proxy: {len(in_proxy)}, POST in flight in the killed "
              f"server: {len(in_server)}, other: {len(other)}")
        print(f"  sent to a second server: GET "
              f"{sum(1 for r in records if r.method == 'GET' and seen[r.id] > 1)}, POST {len(twice)}\n")
        for r in other[:10]:
            print(f"  failed: {r.method} {r.id} at {r.start - self.began:.2f} s after "
                  f"{r.end - r.start:.3f} s: {r.error}")
        self.expect(not other, f"{len(other)} requests failed that should not")
        self.expect(not unseen, f"{len(unseen)} requests were answered that no server saw")
        self.expect(not twice, f"{len(twice)} POST requests were sent twice")
        self.expect(not strangers, f"the servers saw {len(strangers)} ids that nobody sent")
        self.expect(len(in_proxy) <= CLIENTS and len(in_server) <= CLIENTS, "too many in flight")
        self.expect(len(answered) > 500, f"only {len(answered)} requests were answered")


def once(broken):
    demo = Demo(broken)
    try:
        demo.start()
        demo.start_load()
        demo.pause(1)
        demo.kill_server()
        demo.pause(0.5)
        demo.hang_server()
        demo.pause(0.5)
        demo.kill_proxy()
        demo.pause(1)
        demo.reload()
        demo.pause(1)
        records = demo.records + demo.load.stop()
        demo.load = None
        demo.say("the clients stop")
        demo.judge(records)
        if demo.complaints:
            print("NOT shown:\n  " + "\n  ".join(demo.complaints))
            tail = "\n    ".join(demo.node.log.splitlines()[-25:])
            print(f"  the node's log ends:\n    {tail}")
            return 1
        print("shown: a server died, one hung, the proxy was killed, the file was reloaded, and "
              "nothing was lost.")
        return 0
    finally:
        demo.stop()
        demo.remove()


def pair(live, began):
    """The two nodes; the exit status."""
    def say(text):
        print(("\n" if live else "") + f"{time.time() - began:6.1f} s  {text}", flush=True)

    complaints = demo_pair.run(say, live)
    if complaints:
        print("NOT shown:\n  " + "\n  ".join(complaints))
        return 1
    print("shown: a node died and another answered in its place; on purpose it may be stopped, "
          "moved, reloaded, and nothing was lost.")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--once", action="store_true", help="by itself; exit status says whether "
                        "all was shown")
    parser.add_argument("--break", dest="broken", choices=("retries", "restart"),
                        help="switch that off; the demonstration must fail then")
    args = parser.parse_args()
    for sig in (signal.SIGTERM, signal.SIGHUP): # what was started is ended in any case
        signal.signal(sig, signal.default_int_handler)
    began = time.time()
    if args.once or args.broken or not sys.stdout.isatty():
        status = once(args.broken)
        return status if status or args.broken else pair(False, began)
    return pair(True, began)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(1)
    except (AssertionError, subprocess.SubprocessError) as e:
        print(f"the demonstration could not be run: {e}", file=sys.stderr)
        sys.exit(1)
