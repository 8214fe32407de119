#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a request costs: relay, holdfast, HAProxy and nginx in turn, one thread of traffic on one
core, wrk and the origin on the other. CPU time of all processes of the proxy, divided by the
requests that were answered. Rounds are interleaved and medians taken, so that whatever else the
machine does falls on all alike. Prints tables with the limits; the full run writes RESULTS.md."""

import argparse
import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks # noqa: E402
import contenders # noqa: E402
import limits # noqa: E402
from harness import cpu_seconds # noqa: E402
from loadgen import parse_wrk # noqa: E402
from results import write_section # noqa: E402

PROXY_CORE, LOAD_CORE = 0, 1
CLOSE = ["-H", "Connection: close"]
POST = 'wrk.method = "POST"\nwrk.body = string.rep("x", 65536)\n'
# name, connections, path, further arguments of wrk, script
CASES = (
    ("keep-alive, 1 connection", 1, "/bytes/128", [], None),
    ("keep-alive, 64 connections", 64, "/bytes/128", [], None),
    ("keep-alive, 1,000 connections", 1000, "/bytes/128", [], None),
    ("a new connection per request", 64, "/bytes/128", CLOSE, None),
    ("bodies of 16 KiB", 64, "/bytes/16384", [], None),
    ("bodies of 1 MiB", 16, "/bytes/1048576", [], None),
    ("POST of 64 KiB", 64, "/post", [], POST),
)
# case -> [(other, highest ratio of CPU per request)]
CPU_LIMITS = {
    "keep-alive, 64 connections": [("relay", 1.20), ("haproxy", 0.80), ("nginx", 0.90)],
    "keep-alive, 1,000 connections": [("relay", 1.25)],
    "a new connection per request": [("haproxy", 1.0), ("nginx", 1.0)],
    "bodies of 1 MiB": [("relay", 1.20)],
}
P99_LIMIT = 1.25
FOREIGN = 0.05 # share of the machine that other programs may use during a sample
ATTEMPTS = 3


class Sample:
    """One run of wrk against one contender."""

    def __init__(self, us, p99_ms, errors, uncounted, rps):
        self.us, self.p99_ms, self.errors = us, p99_ms, errors
        self.uncounted, self.rps = uncounted, rps


def wrk(contender, case, seconds, script_dir):
    _, connections, path, args, script = case
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s",
               *args]
    if script:
        script_path = os.path.join(script_dir, "wrk.lua")
        with open(script_path, "w", encoding="utf-8") as f:
            f.write(script)
        command += ["-s", script_path]
    command.append(f"http://127.0.0.1:{contender.port}{path}")
    done = subprocess.run(contenders.pinned(LOAD_CORE, command), capture_output=True, text=True,
                          check=True, timeout=seconds + 60, stdin=subprocess.DEVNULL)
    return parse_wrk(done.stdout)


def busy_seconds():
    """Processor time that all programs of this machine have used so far, and what was stolen."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, _, _, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def settle(origin):
    """The origin's count once what was under way has arrived, and a quiet moment if there is one."""
    count = origin.count()
    for _ in range(100):
        busy = busy_seconds()
        time.sleep(0.1)
        last, count = count, origin.count()
        if count - last <= 3 and busy_seconds() - busy <= 0.03:
            break
    return count


def attempt(contender, origin, case, seconds, script_dir):
    """One sample, and the share of the machine that others used meanwhile."""
    count, start = settle(origin), time.monotonic()
    cpu, own = contender.cpu(), cpu_seconds(origin.proc.pid) + children_seconds()
    busy = busy_seconds()
    r = wrk(contender, case, seconds, script_dir)
    busy = busy_seconds() - busy
    cpu = contender.cpu() - cpu
    own = cpu_seconds(origin.proc.pid) + children_seconds() - own
    if r["requests"] == 0:
        raise SystemExit(f"{contender.name}, {case[0]}: no request was answered:\n{r['text']}")
    # wrk forgets the requests that are open when it ends, at most one for each connection; and
    # holdfast and HAProxy check the origin every two seconds each.
    more = settle(origin) - count - r["requests"]
    allowed = case[1] + (time.monotonic() - start) + 4
    sample = Sample(cpu * 1e6 / r["requests"], r["p99_ms"], r["errors"] + r["bad"],
                    0 if 0 <= more <= allowed else more, r["rps"])
    return sample, (busy - cpu - own) / seconds / 2


def measure(contender, origin, case, seconds, script_dir):
    """A sample while nobody else used more than a twentieth of the machine; after some attempts
    the quietest."""
    tries = []
    for _ in range(ATTEMPTS):
        tries.append(attempt(contender, origin, case, seconds, script_dir))
        if tries[-1][1] <= FOREIGN:
            break
    return min(tries, key=lambda t: t[1])


def rounds(origin, number, seconds, cases):
    """{(case, contender): [Sample]} and the number of samples that other programs disturbed; the
    contenders run all the time, idle but for their turn."""
    out, disturbed = {}, 0
    running = []
    try:
        for c in contenders.ALL:
            running.append(c(origin.port, PROXY_CORE))
        with tempfile.TemporaryDirectory(prefix="hf-wrk-") as temp:
            for c in running:
                for case in cases:
                    wrk(c, case, 1, temp)
            for turn in range(number):
                for case in cases:
                    for c in running[turn % len(running):] + running[:turn % len(running)]:
                        sample, foreign = measure(c, origin, case, seconds, temp)
                        out.setdefault((case[0], c.name), []).append(sample)
                        disturbed += foreign > FOREIGN
                print(f"round {turn + 1} of {number} done", flush=True)
    finally:
        for c in running:
            c.stop()
    return out, disturbed


def median(samples, key):
    return statistics.median(getattr(s, key) for s in samples)


class Report:
    """Lines for the terminal and for the file, and whether every limit was kept."""

    def __init__(self):
        self.lines, self.missed = [], []

    def say(self, line=""):
        self.lines.append(line)
        print(line, flush=True)

    def table(self, head, rows):
        self.say("| " + " | ".join(head) + " |")
        self.say("|" + " --- |" * len(head))
        for row in rows:
            self.say("| " + " | ".join(str(x) for x in row) + " |")
        self.say()

    def verdict(self, what, value, limit, text=None):
        good = value <= limit
        if not good:
            self.missed.append(what)
        return [what, text or f"{value:.2f}", f"{limit:g}", "met" if good else "**missed**"]


def tables(report, results, cases):
    names = [c.name for c in contenders.ALL]
    report.say("### CPU microseconds per request\n")
    rows = []
    for case in cases:
        us = {n: median(results[case[0], n], "us") for n in names}
        rows.append([case[0], *(f"{us[n]:.1f}" for n in names),
                     *(f"{us['holdfast'] / us[n]:.2f}" for n in names if n != "holdfast")])
    report.table(["case", *names, *(f"holdfast : {n}" for n in names if n != "holdfast")], rows)
    report.say("### Latency: p99 in milliseconds (median of the rounds), requests per second\n")
    report.table(["case", *names, *(f"{n}/s" for n in names)],
                 [[c[0], *(f"{median(results[c[0], n], 'p99_ms'):.2f}" for n in names),
                   *(f"{median(results[c[0], n], 'rps'):.0f}" for n in names)] for c in cases])


def limit_rows(report, results, cases):
    rows = []
    for case in cases:
        mine = results[case[0], "holdfast"]
        for other, most in CPU_LIMITS.get(case[0], []):
            ratio = median(mine, "us") / median(results[case[0], other], "us")
            rows.append(report.verdict(f"CPU, {case[0]}, holdfast : {other}", ratio, most))
        for other in ("haproxy", "nginx"):
            theirs = max(median(results[case[0], other], "p99_ms"), 0.001)
            rows.append(report.verdict(f"p99, {case[0]}, holdfast : {other}",
                                       median(mine, "p99_ms") / theirs, P99_LIMIT))
    errors = sum(s.errors for k, v in results.items() for s in v if k[1] == "holdfast")
    wrong = sum(abs(s.uncounted) for k, v in results.items() for s in v if k[1] == "holdfast")
    rows.append(report.verdict("errors through holdfast", errors, 0, str(errors)))
    rows.append(report.verdict("requests on which client and origin disagree", wrong, 0, str(wrong)))
    return rows


def memory_rows(report, origin, connections):
    rows, cells = [], {}
    for c in (contenders.Holdfast, contenders.Haproxy, contenders.Nginx):
        running = c(origin.port, PROXY_CORE)
        try:
            cells[c.name] = limits.idle_memory(running, connections)
        finally:
            running.stop()
    report.say(f"### User memory of an idle keep-alive connection ({connections:,} of them)\n")
    report.table(list(cells), [[f"{v:.0f} bytes" for v in cells.values()]])
    rows.append(report.verdict("bytes for an idle connection", cells["holdfast"], 1024,
                               f"{cells['holdfast']:.0f}"))
    return rows


def load_rows(report):
    check, start = limits.check_seconds() * 1000, limits.start_seconds() * 1000
    report.say("### 10,000 routes and 10,000 servers\n")
    report.table(["`holdfast check`", "`holdfast run` to the first answer"],
                 [[f"{check:.0f} ms", f"{start:.0f} ms"]])
    return [report.verdict("milliseconds to load them", check, 300, f"{check:.0f}")]


def check_rows(report):
    out, rows = {kind: checks.measure(kind=kind) for kind in ("http", "tcp")}, []
    report.say("### 10,000 servers checked every 2 s: percent of a core, all processes of the node\n")
    report.table(["", "all", *checks.ROLES, "probes per second"],
                 [[kind, f"{m['all']:.1f}", *(f"{m[r]:.1f}" for r in checks.ROLES),
                   f"{m['probes']:.0f}"] for kind, m in out.items()])
    for kind, m in out.items():
        rows.append(report.verdict(f"percent of a core, 10,000 {kind} checks", m["all"], 25,
                                   f"{m['all']:.1f}"))
    return rows


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [x.split(":", 1)[1].strip() for x in f if x.startswith("model name")]
    return f"{len(models)} × {models[0] if models else platform.machine()}"


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--quick", action="store_true", help="one short round, nothing written")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--no-limits", action="store_true", help="no memory, no load times")
    args = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("needs two cores: one for the proxy, one for the load")
    if limits.raise_files() < 12000:
        sys.exit("needs 12,000 descriptors: ulimit -n")
    number = args.rounds or (1 if args.quick else 5)
    seconds = int(args.seconds or (2 if args.quick else 4))
    cases = [c for c in CASES if not args.case or any(x in c[0] for x in args.case)]
    report = Report()
    report.say("## Requests\n")
    report.say(f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {machine()}, Linux {platform.release()}, "
               f"{number} interleaved rounds of {seconds} s, medians. Each proxy: one thread on core "
               f"{PROXY_CORE}, with connections to the origin kept, forwarded headers, request ids "
               f"and counters on; wrk and the origin on core {LOAD_CORE}.\n")
    for c in contenders.ALL:
        report.say(f"- {c.name}: {c.version()}")
    report.say()
    origin = contenders.Origin(LOAD_CORE)
    try:
        results, disturbed = rounds(origin, number, seconds, cases)
        report.say(f"Samples during which other programs used more than {FOREIGN:.0%} of the "
                   f"machine: {disturbed} of {sum(map(len, results.values()))}.\n")
        tables(report, results, cases)
        rows = limit_rows(report, results, cases)
        if not args.no_limits:
            rows += memory_rows(report, origin, 1000 if args.quick else 10000)
            rows += load_rows(report)
            rows += [] if args.quick else check_rows(report)
    finally:
        origin.stop()
    report.say("### Limits\n")
    report.table(["what", "measured", "limit", ""], rows)
    report.say(f"{len(rows) - len(report.missed)} of {len(rows)} limits met.")
    if not args.quick and not args.case and not args.no_limits:
        write_section("requests", report.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
