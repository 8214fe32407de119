#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long nobody answers when something breaks: a pair of nodes with a virtual IP in the lab, a
client with a new connection every 5 ms. Beside it keepalived with HAProxy, with the defaults that
people use and tuned to the same protocol at 100 ms, in the same lab, by the same client. Prints
tables with the limits; a full run writes its section into RESULTS.md."""

import argparse
import concurrent.futures
import datetime
import json
import os
import platform
import signal
import statistics
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

from harness import HOLDFAST, wait_for # noqa: E402
from labs import Lab, pair # noqa: E402
from results import write_section # noqa: E402

ADDRESS = "10.77.0.100"
# Scenario, and whether nothing may fail: then a download and a WebSocket are watched as well.
SCENARIOS = (("node-death", False), ("proxy-crash", False), ("partition", False),
             ("graceful-stop", True), ("switchover", True), ("upgrade", True), ("reload", True))
RECORD = struct.Struct("QQHBBHBB40s") # struct drill_record


class Report:
    def __init__(self):
        self.lines, self.limits, self.missed = [], 0, 0

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, heads, rows):
        self.say("| " + " | ".join(heads) + " |")
        self.say("| " + " | ".join("---" for _ in heads) + " |")
        for row in rows:
            self.say("| " + " | ".join(map(str, row)) + " |")
        self.say()

    def limit(self, what, measured, limit, unit=""):
        met = measured <= limit
        self.limits += 1
        self.missed += not met
        return [what, f"{measured:.0f}{unit}", f"{limit}{unit}", "met" if met else "**missed**"]


def middle(values):
    return statistics.median(values) if values else float("nan")


# --- holdfast -------------------------------------------------------------------------------------

def drills(lab, name, runs, streams):
    """The results of so many drills in a lab that stands."""
    done = lab.run("drill", name, "-c", lab.path, "--repeat", runs, "--json", "--streams",
                   "20s" if streams else "0", timeout=120 * runs + 60)
    if not done.stdout.startswith("{"):
        sys.exit(f"holdfast drill {name}: {done.stdout}{done.stderr}")
    results = json.loads(done.stdout)["results"]
    for r in results:
        if "requests" not in r:
            sys.exit(f"holdfast drill {name} could not be run: {r['why']}")
    return results


def row_of(name, streams, results):
    gaps = [r["gap_ms"] for r in results]
    failed = [r["failed"] for r in results]
    row = [name, len(results), f"{middle(gaps):.0f} ms", f"{max(gaps):.0f} ms",
           f"{middle(failed):.0f}", max(failed), sum(r["refused"] for r in results),
           f"{max(r['split_brain_after_ms'] for r in results):.0f} ms",
           f"{intact(results)} of {len(results)}" if streams else "-"]
    print("  " + " ".join(map(str, row)), file=sys.stderr, flush=True)
    return row


def intact(results):
    return sum(bool(r["download_intact"] and r["websocket_intact"]) for r in results)


def limits_of(report, name, results):
    gaps = [r["gap_ms"] for r in results]
    if name == "node-death":
        return [report.limit(f"{name}, longest gap, median", middle(gaps), 150, " ms"),
                report.limit(f"{name}, longest gap, worst", max(gaps), 200, " ms"),
                report.limit(f"{name}, requests failed after the node's return",
                             sum(r["failed_after"] for r in results), 0)]
    if name == "proxy-crash":
        return [report.limit(f"{name}, refused connections", sum(r["refused"] for r in results), 0)]
    if name == "partition": # an interval until they hear each other, and two ticks of a timer
        return [report.limit(f"{name}, both hold the address after it, worst",
                             max(r["split_brain_after_ms"] for r in results), 48, " ms")]
    return [report.limit(f"{name}, failed requests", sum(r["failed"] for r in results), 0),
            report.limit(f"{name}, streams cut", len(results) - intact(results), 0)]


def in_a_lab(name, runs, streams):
    lab = Lab(pair(f"bench-{name}-{os.getpid()}"))
    try:
        return drills(lab, name, runs, streams)
    finally:
        lab.remove()


def holdfast(report, runs, stream_runs):
    """Where milliseconds are measured one after the other; what may lose nothing side by side,
    each in a lab of its own, because each run takes as long as its download."""
    rows, limits = [], []
    timed = [s for s in SCENARIOS if not s[1]]
    silent = [s for s in SCENARIOS if s[1]]
    for name, streams in timed:
        results = in_a_lab(name, runs, streams)
        rows.append(row_of(name, streams, results))
        limits += limits_of(report, name, results)
    with concurrent.futures.ThreadPoolExecutor(len(silent)) as pool:
        waiting = [(name, pool.submit(in_a_lab, name, stream_runs, True)) for name, _ in silent]
        for name, job in waiting:
            results = job.result()
            rows.append(row_of(name, True, results))
            limits += limits_of(report, name, results)
    return rows, limits


# --- keepalived and HAProxy -----------------------------------------------------------------------

def keepalived_conf(folder, node, tuned):
    advertise, version = ("0.1", 3) if tuned else ("1", 2)
    interval, fall = ("1", 1) if tuned else ("2", 2)
    return f"""global_defs {{
	vrrp_version {version}
	script_user root
	enable_script_security
}}
vrrp_script haproxy {{
	script "{folder}/alive {folder}/{node}.haproxy.pid"
	interval {interval}
	fall {fall}
	rise 1
	weight -150
}}
vrrp_instance web {{
	state BACKUP
	interface eth0
	virtual_router_id 51
	priority {200 if node == "lb1" else 100}
	advert_int {advertise}
	virtual_ipaddress {{
		{ADDRESS}/24
	}}
	track_script {{
		haproxy
	}}
}}
"""


HAPROXY_CONF = """global
	maxconn 10000
	no strict-limits
	hard-stop-after 30s
defaults
	mode http
	timeout connect 3s
	timeout client 60s
	timeout server 60s
	option redispatch
	retries 2
frontend http
	bind *:80
	default_backend web
backend web
	option httpchk GET /health
	server web1 10.77.0.21:80 check inter 2s
	server web2 10.77.0.22:80 check inter 2s weight 2
	server web3 10.77.0.23:80 check inter 2s backup
"""


class Others:
    """keepalived and HAProxy in the nodes of a bare lab."""

    def __init__(self, tuned):
        self.lab = Lab(pair(f"benchk{os.getpid()}"))
        self.folder = self.lab.temp
        self.procs = {}
        self.write("alive", "#!/bin/sh\nkill -0 \"$(cat \"$1\")\"\n", 0o755)
        self.write("haproxy.cfg", HAPROXY_CONF)
        for node in ("lb1", "lb2"):
            self.write(f"{node}.keepalived", keepalived_conf(self.folder, node, tuned), 0o600)
        self.lab.up("--bare")
        for node in ("lb1", "lb2"):
            self.start(node)
        wait_for(lambda: self.answers() and self.held("lb1"), 60, "keepalived's address")

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    def spawn(self, node, *argv):
        with open(os.path.join(self.folder, f"{node}.log"), "ab") as log:
            p = subprocess.Popen(self.lab.command(node, *argv), stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log)
        self.procs.setdefault(node, []).append(p)

    def start(self, node):
        for p in self.procs.pop(node, []):
            p.wait(30)
        pid = f"{self.folder}/{node}.haproxy.pid"
        self.spawn(node, "/bin/sh", "-c", f"echo $$ > {pid}; exec haproxy -W -db -f "
                                          f"{self.folder}/haproxy.cfg")
        self.spawn(node, "keepalived", "--dont-fork", "--log-console", "--vrrp",
                   "-f", f"{self.folder}/{node}.keepalived", "-p", f"{self.folder}/{node}.pid",
                   "-r", f"{self.folder}/{node}.vrrp.pid")

    def signal(self, node, program, sig):
        """To the program whose process id a file holds."""
        name = f"{node}.haproxy.pid" if program == "haproxy" else f"{node}.pid"
        at = time.monotonic_ns()
        done = subprocess.run(self.lab.command(node, "/bin/sh", "-c",
                                               f"kill -{sig} $(cat {self.folder}/{name})"),
                              capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return at

    def held(self, node):
        out = subprocess.run(self.lab.command(node, "ip", "-4", "addr", "show", "dev", "eth0"),
                             capture_output=True, text=True, check=False,
                             stdin=subprocess.DEVNULL).stdout
        return ADDRESS + "/" in out

    def answers(self):
        return subprocess.run(self.lab.command("client", "curl", "-s", "-m", "1", "-o",
                                               "/dev/null", f"http://{ADDRESS}/"),
                              check=False, stdin=subprocess.DEVNULL).returncode == 0

    def stop(self):
        self.lab.remove()
        for procs in self.procs.values():
            for p in procs:
                p.wait(30)

    # --- what happens -------------------------------------------------------------------------

    def node_death(self):
        at = self.lab.fault("cut", "lb1")
        self.lab.fault("kill", "lb1")
        time.sleep(5)
        self.lab.fault("mend", "lb1")
        return at

    def graceful_stop(self):
        at = self.signal("lb1", "keepalived", "TERM") # as on shutdown: first the address,
        time.sleep(1)
        self.signal("lb1", "haproxy", "USR1")         # then the balancer, softly
        time.sleep(4)
        self.lab.fault("kill", "lb1")
        return at

    def proxy_crash(self):
        at = self.signal("lb1", "haproxy", "KILL") # its worker follows the master
        time.sleep(9)
        self.lab.fault("kill", "lb1")
        return at

    def reload(self):
        at = self.signal("lb1", "haproxy", "USR2")
        time.sleep(4)
        return at

    def measure(self, action):
        """(longest gap in ms, failed, refused) of what happens and of the return."""
        out = os.path.join(self.folder, "samples")
        with open(out, "wb") as f:
            client = subprocess.Popen(self.lab.command("client", HOLDFAST, "drill-client",
                                                       f"{ADDRESS}:80", "--host", "shop.test"),
                                      stdin=subprocess.PIPE, stdout=f)
        time.sleep(2)
        at = action()
        if not self.alive("lb1"):
            self.start("lb1")
        wait_for(lambda: self.held("lb1") and not self.held("lb2"), 60, "the address's return")
        time.sleep(2)
        end = time.monotonic_ns()
        client.stdin.close()
        client.wait(60)
        wait_for(self.answers, 60, "answers")
        return judge(out, at, end)

    def alive(self, node):
        return all(p.poll() is None for p in self.procs.get(node, [])) and node in self.procs


def judge(path, fault, end):
    with open(path, "rb") as f:
        data = f.read()
    samples = [RECORD.unpack_from(data, i)[:6] for i in range(0, len(data) - 63, RECORD.size)]
    ends = sorted(e for _, e, status, kind, error, _ in samples
                  if kind == 0 and error == 0 and status < 500)
    points = [fault, *(e for e in ends if fault < e < end), end]
    gap = max(b - a for a, b in zip(points, points[1:])) / 1e6
    late = [s for s in samples if s[3] < 2 and s[1] >= fault]
    return (gap, sum(1 for s in late if s[4] or s[2] >= 500), sum(1 for s in late if s[4] == 1))


def others(runs):
    rows = []
    for tuned in (False, True):
        name = "tuned (version 3, 100 ms)" if tuned else "as usual (version 2, 1 s)"
        stand = Others(tuned)
        try:
            for scenario, action in (("node-death", stand.node_death),
                                     ("proxy-crash", stand.proxy_crash),
                                     ("graceful-stop", stand.graceful_stop),
                                     ("reload", stand.reload)):
                got = [stand.measure(action) for _ in range(runs)]
                gaps, failed = [g[0] for g in got], [g[1] for g in got]
                rows.append([name, scenario, runs, f"{middle(gaps):.0f} ms", f"{max(gaps):.0f} ms",
                             f"{middle(failed):.0f}", max(failed), sum(g[2] for g in got)])
                print("  " + " ".join(map(str, rows[-1])), file=sys.stderr, flush=True)
        finally:
            stand.stop()
    return rows


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return " ".join((done.stdout or done.stderr).split()[:3])


def main():
    parser = argparse.ArgumentParser(prog="./dev bench failover")
    parser.add_argument("--quick", action="store_true", help="three runs each, nothing written")
    parser.add_argument("--runs", type=int, help="of holdfast (20)")
    parser.add_argument("--stream-runs", type=int, help="those with a download of 20 s (as --runs)")
    parser.add_argument("--other-runs", type=int, help="of keepalived with HAProxy (5)")
    args = parser.parse_args()
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.default_int_handler)
    runs = args.runs or (3 if args.quick else 20)
    other_runs = args.other_runs if args.other_runs is not None else (2 if args.quick else 5)
    report = Report()
    report.say("# Failover\n")
    report.say(f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {os.cpu_count()} cores, Linux "
               f"{platform.release()}. Two nodes with a virtual IP, three servers and a client in "
               "network namespaces; a new connection every 5 ms and 50 requests a second on each "
               "of 4 kept connections; the return of the node counts. The longest gap is the "
               "longest time in which no new connection was answered.\n")
    rows, limits = holdfast(report, runs, args.stream_runs or runs)
    report.say("## holdfast (`advertise: 40ms`)\n")
    report.table(["drill", "runs", "gap, median", "gap, worst", "failed, median", "failed, worst",
                  "refused, all", "both held it after, worst", "download and WebSocket intact"],
                 rows)
    if other_runs > 0:
        report.say(f"## {version('keepalived', '--version')} with {version('haproxy', '-v')}\n")
        report.table(["set up", "what", "runs", "gap, median", "gap, worst", "failed, median",
                      "failed, worst", "refused, all"], others(other_runs))
    report.say("## Limits of failover\n")
    report.table(["what", "measured", "limit", ""], limits)
    report.say(f"{report.limits - report.missed} of {report.limits} limits met.")
    if not args.quick:
        write_section("failover", report.lines)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
