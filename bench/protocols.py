#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What TLS, HTTP/2, WebSocket and TCP cost beside HAProxy and nginx: CPU time of all processes of
the proxy for one operation, one thread of traffic on one core, load and origin on the other. All
three are Debian's and use the same OpenSSL, the same P-256 certificate, TLS 1.3 and tickets.
Rounds are interleaved, medians taken. Writes its section of RESULTS.md."""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import contenders # noqa: E402
import limits # noqa: E402
import run # noqa: E402
from contenders import HAPROXY, NGINX, free_port, pinned # noqa: E402
from harness import cpu_seconds # noqa: E402
from loadgen import parse_wrk # noqa: E402
from results import write_section # noqa: E402

ECHO = os.path.join(contenders.ROOT, "build", "bench", "bench-echo")
TLS_LOAD = os.path.join(contenders.ROOT, "build", "bench", "bench-tls-load")
PORTS = ("http", "https", "ws", "echo", "iperf")


class Sides:
    """What all contenders share: a certificate and the servers behind them."""

    def __init__(self, folder):
        self.dir = folder
        self.pem = os.path.join(folder, "server.pem")
        self.cert, self.key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test",
                        "-keyout", self.key, "-out", self.cert], check=True,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(self.pem, "w", encoding="ascii") as out:
            for path in (self.cert, self.key):
                with open(path, encoding="ascii") as f:
                    out.write(f.read())
        self.origin = contenders.Origin(run.LOAD_CORE)
        self.echo, self.iperf = free_port(), free_port()
        self.procs = [self.start([ECHO, "serve", str(self.echo)]),
                      self.start(["iperf3", "-s", "-p", str(self.iperf)])]

    @staticmethod
    def start(command):
        return subprocess.Popen(pinned(run.LOAD_CORE, command), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def cpu(self):
        return sum(cpu_seconds(p.pid) for p in self.procs + [self.origin.proc])

    def stop(self):
        self.origin.stop()
        for p in self.procs:
            p.terminate()
            p.wait(20)


class Many:
    """A contender with a port for each protocol."""

    def __init__(self, sides, core):
        self.sides = sides
        self.ports = {name: free_port() for name in PORTS}
        super().__init__(sides.origin.port, core)

    def serves(self):
        done = subprocess.run(["curl", "-ksS", "-o", "/dev/null", "-w", "%{http_code}",
                               f"https://127.0.0.1:{self.ports['https']}/bytes/1"],
                              capture_output=True, text=True, check=False, timeout=20)
        return done.stdout == "200"


class Holdfast(Many, contenders.Holdfast):
    def launch(self):
        bind = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        check = {"tcp": True, "interval": "2s"}
        self.start_node({
            "proxy": {"threads": 1, "max_connections": 12000},
            "listeners": {
                "http": {"bind": bind["http"]},
                "https": {"bind": bind["https"],
                          "tls": {"certificates": [{"cert": self.sides.cert,
                                                    "key": self.sides.key}]}},
                "ws": {"bind": bind["ws"]},
                "echo": {"bind": bind["echo"], "protocol": "tcp", "to": "echo"},
                "iperf": {"bind": bind["iperf"], "protocol": "tcp", "to": "iperf"}},
            "routes": {"all": {"to": "web"}, "ws": {"listener": "ws", "to": "echo"}},
            "pools": {
                "web": {"check": {"http": "/bytes/1", "interval": "2s"},
                        "servers": {"origin": f"127.0.0.1:{self.origin_port}"}},
                "echo": {"check": check, "servers": {"a": f"127.0.0.1:{self.sides.echo}"}},
                "iperf": {"servers": {"a": f"127.0.0.1:{self.sides.iperf}"}}},
        })


class Haproxy(Many, contenders.Haproxy):
    def launch(self):
        p = self.ports
        self.run([HAPROXY, "-db", "-f", self.write("haproxy.cfg", f"""
global
	nbthread 1
	maxconn 12000
	no strict-limits
	ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
	mode http
	timeout connect 3s
	timeout client 300s
	timeout server 60s
	timeout tunnel 1h
	option forwardfor
	http-reuse always
	unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt%pid
frontend web
	bind 127.0.0.1:{p['http']}
	bind 127.0.0.1:{p['https']} ssl crt {self.sides.pem} alpn h2,http/1.1
	unique-id-header X-Request-Id
	http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
	http-request set-header X-Forwarded-Host %[req.hdr(host)]
	http-request set-header X-Forwarded-Port %[dst_port]
	default_backend web
backend web
	option httpchk GET /bytes/1
	server origin 127.0.0.1:{self.origin_port} check inter 2s pool-max-conn -1
frontend ws
	bind 127.0.0.1:{p['ws']}
	default_backend ws
backend ws
	server a 127.0.0.1:{self.sides.echo} check inter 2s
listen echo
	mode tcp
	bind 127.0.0.1:{p['echo']}
	server a 127.0.0.1:{self.sides.echo} check inter 2s
listen iperf
	mode tcp
	option splice-auto
	option splice-request
	option splice-response
	bind 127.0.0.1:{p['iperf']}
	server a 127.0.0.1:{self.sides.iperf}
""")])


class Nginx(Many, contenders.Nginx):
    def launch(self):
        p = self.ports
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        forward = """
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header X-Forwarded-Port $server_port;
			proxy_set_header X-Request-Id $request_id;"""
        self.run([NGINX, "-p", self.dir, "-c", self.write("nginx.conf", f"""
daemon off;
load_module {module};
worker_processes 1;
worker_rlimit_nofile 20000;
pid {self.dir}/pid;
error_log {self.dir}/error.log;
events {{ worker_connections 19000; multi_accept on; }}
stream {{
	server {{ listen 127.0.0.1:{p['echo']}; proxy_pass 127.0.0.1:{self.sides.echo};
	          tcp_nodelay on; }}
	server {{ listen 127.0.0.1:{p['iperf']}; proxy_pass 127.0.0.1:{self.sides.iperf}; }}
}}
http {{
	access_log off;
	keepalive_timeout 300s;
	keepalive_requests 1000000000;
	http2_max_concurrent_streams 128;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_session_tickets on;
	client_body_temp_path {self.dir}/b;
	proxy_temp_path {self.dir}/p;
	fastcgi_temp_path {self.dir}/f;
	uwsgi_temp_path {self.dir}/u;
	scgi_temp_path {self.dir}/s;
	upstream web {{
		server 127.0.0.1:{self.origin_port};
		keepalive 1024;
		keepalive_requests 1000000000;
	}}
	server {{
		listen 127.0.0.1:{p['http']} http2;
		location / {{ proxy_pass http://web; {forward} }}
	}}
	server {{
		listen 127.0.0.1:{p['https']} ssl http2;
		ssl_certificate {self.sides.cert};
		ssl_certificate_key {self.sides.key};
		location / {{ proxy_pass http://web; {forward} }}
	}}
	server {{
		listen 127.0.0.1:{p['ws']};
		location / {{
			proxy_pass http://127.0.0.1:{self.sides.echo};
			proxy_http_version 1.1;
			proxy_read_timeout 1h;
			proxy_set_header Connection upgrade;
			proxy_set_header Upgrade websocket;
		}}
	}}
}}
""")])


ALL = (Holdfast, Haproxy, Nginx)


# --- what drives them: each returns (operations, errors) ------------------------------------------

def output(command, seconds):
    done = subprocess.run(pinned(run.LOAD_CORE, command), capture_output=True, text=True,
                          check=False, timeout=seconds + 60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wrk(connections, path):
    def drive(ports, seconds):
        r = parse_wrk(output(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                              "--timeout", "10s",
                              f"https://127.0.0.1:{ports['https']}{path}"], seconds))
        return r["requests"], r["errors"] + r["bad"]
    return drive


def tls_load(mode):
    def drive(ports, seconds):
        text = output([TLS_LOAD, str(ports["https"]), "8", str(seconds), mode], seconds)
        return int(re.search(r"(\d+) handshakes", text).group(1)), 0
    return drive


def h2load(scheme, connections, streams):
    def drive(ports, seconds):
        port = ports["https" if scheme == "https" else "http"]
        text = output(["h2load", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
                       "--warm-up-time=0", f"{scheme}://127.0.0.1:{port}/bytes/128"], seconds)
        m = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
        done, succeeded, failed, errored = map(int, m.groups())
        return done, done - succeeded + failed + errored
    return drive


def echo(port, *more):
    def drive(ports, seconds):
        text = output([ECHO, "load", str(ports[port]), "64", str(seconds), "64", *more], seconds)
        return int(text.split()[0]), 0
    return drive


def iperf(*more):
    def drive(ports, seconds):
        text = output(["iperf3", "-c", "127.0.0.1", "-p", str(ports["iperf"]), "-t", str(seconds),
                       "-J", *more], seconds)
        return json.loads(text)["end"]["sum_received"]["bytes"] / 1e9, 0
    return drive


# name, unit, drive, who counts, [(other or "better", highest ratio of CPU per operation)]
CASES = (
    ("HTTPS keep-alive, 64 connections", "µs", wrk(64, "/bytes/128"), ALL,
     [("haproxy", 0.85), ("nginx", 0.95)]),
    ("HTTPS keep-alive, bodies of 16 KiB", "µs", wrk(64, "/bytes/16384"), ALL, []),
    ("TLS 1.3 full handshakes, P-256", "µs", tls_load("full"), ALL, [("better", 1 / 0.97)]),
    ("TLS 1.3 resumed handshakes", "µs", tls_load("resumed"), ALL, [("better", 1 / 1.1)]),
    ("HTTP/2 over TLS, 1 stream, 16 connections", "µs", h2load("https", 16, 1), ALL, []),
    ("HTTP/2 over TLS, 100 streams, 10 connections", "µs", h2load("https", 10, 100), ALL,
     [("better", 0.85)]),
    ("HTTP/2 in clear text, 1 stream, 16 connections", "µs", h2load("http", 16, 1), ALL, []),
    ("HTTP/2 in clear text, 100 streams, 10 connections", "µs", h2load("http", 10, 100), ALL,
     [("better", 0.85)]),
    ("WebSocket echo, 64 bytes, 64 connections", "µs", echo("ws", "websocket"), ALL, []),
    ("TCP, 64 bytes there and back, 64 connections", "µs", echo("echo"), ALL, []),
    ("TCP stream from the client, for a gigabyte", "ms", iperf(), ALL, [("haproxy", 1.0)]),
    ("TCP stream to the client, for a gigabyte", "ms", iperf("-R"), ALL, [("haproxy", 1.0)]),
)
SCALE = {"µs": 1e6, "ms": 1e3}


def attempt(contender, sides, case, seconds):
    """(CPU seconds for an operation, errors), and the share of the machine that others used."""
    busy = run.busy_seconds()
    for _ in range(50): # what the last sample left behind has come to rest
        time.sleep(0.1)
        last, busy = busy, run.busy_seconds()
        if busy - last <= 0.03:
            break
    cpu, own = contender.cpu(), sides.cpu() + run.children_seconds()
    busy, start = run.busy_seconds(), time.monotonic()
    done, errors = case[2](contender.ports, seconds)
    took = time.monotonic() - start
    busy = run.busy_seconds() - busy
    cpu = contender.cpu() - cpu
    own = sides.cpu() + run.children_seconds() - own
    if done == 0:
        sys.exit(f"{contender.name}, {case[0]}: nothing was done")
    return (cpu / done, errors), (busy - cpu - own) / took / 2


def measure(contender, sides, case, seconds):
    tries = []
    for _ in range(run.ATTEMPTS):
        tries.append(attempt(contender, sides, case, seconds))
        if tries[-1][1] <= run.FOREIGN:
            break
    return min(tries, key=lambda t: t[1])


def rounds(sides, number, seconds, cases):
    """{(case, contender): [(CPU seconds, errors)]}, samples that others disturbed."""
    out, disturbed, running = {}, 0, []
    try:
        for c in ALL:
            running.append(c(sides, run.PROXY_CORE))
        for turn in range(number):
            for case in cases:
                for c in running[turn % len(running):] + running[:turn % len(running)]:
                    sample, foreign = measure(c, sides, case, seconds)
                    out.setdefault((case[0], c.name), []).append(sample)
                    disturbed += foreign > run.FOREIGN
            print(f"round {turn + 1} of {number} done", flush=True)
    finally:
        for c in running:
            c.stop()
    return out, disturbed


def tables(report, results, cases):
    """The tables; returns the rows of limits."""
    names = [c.name for c in ALL]
    cost = {(case[0], n): statistics.median(s[0] for s in results[case[0], n])
            for case in cases for n in names}
    report.say("CPU time for an operation\n")
    report.table(["case", "", *names, "holdfast : haproxy", "holdfast : nginx"],
                 [[case[0], case[1], *(f"{cost[case[0], n] * SCALE[case[1]]:.1f}" for n in names),
                   *(f"{cost[case[0], 'holdfast'] / cost[case[0], n]:.2f}"
                     for n in ("haproxy", "nginx"))] for case in cases])
    rows = []
    for case in cases:
        mine, theirs = cost[case[0], "holdfast"], {n: cost[case[0], n] for n in names[1:]}
        for other, most in case[4]:
            best = min(theirs.values()) if other == "better" else theirs[other]
            rows.append(report.verdict(f"{case[0]}, holdfast : {other}", mine / best,
                                       round(most, 3)))
    errors = sum(s[1] for k, v in results.items() for s in v if k[1] == "holdfast")
    rows.append(report.verdict("errors through holdfast", errors, 0, str(errors)))
    return rows


def main():
    parser = argparse.ArgumentParser(prog="./dev bench protocols")
    parser.add_argument("--quick", action="store_true", help="one short round, nothing written")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    args = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("needs two cores: one for the proxy, one for the load")
    limits.raise_files()
    number, seconds = args.rounds or (1 if args.quick else 5), args.seconds or 2
    cases = [c for c in CASES if not args.case or any(x in c[0] for x in args.case)]
    report = run.Report()
    report.say("## TLS, HTTP/2, WebSocket and TCP\n")
    report.say(f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {run.machine()}, {number} interleaved "
               f"rounds of {seconds} s, medians. As above: one thread of each proxy on one core, "
               "load and servers on the other; all use the same libssl, certificate and origin.\n")
    for c in ALL:
        report.say(f"- {c.name}: {c.version()}")
    report.say()
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as folder:
        os.chmod(folder, 0o755)
        sides = Sides(folder)
        try:
            results, disturbed = rounds(sides, number, seconds, cases)
        finally:
            sides.stop()
    report.say(f"Samples during which other programs used more than {run.FOREIGN:.0%} of the "
               f"machine: {disturbed} of {sum(map(len, results.values()))}.\n")
    rows = tables(report, results, cases)
    report.table(["what", "measured", "limit", ""], rows)
    report.say(f"{len(rows) - len(report.missed)} of {len(rows)} limits met.")
    if not args.quick and not args.case:
        write_section("protocols", report.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
