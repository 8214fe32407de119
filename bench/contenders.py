# SPDX-License-Identifier: Apache-2.0
"""The programs that are measured, each with one thread of traffic pinned to a core, kept
connections to the origin, forwarded headers and request ids: what a user of any of them would set."""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

from harness import HOLDFAST, Node, cpu_seconds, free_port, memory_kib, wait_for # noqa: E402
from wire import http # noqa: E402

RELAY = os.path.join(ROOT, "build", "bench", "bench-relay")
ORIGIN = os.path.join(ROOT, "build", "bench", "bench-origin")
HAPROXY = os.environ.get("HAPROXY", "haproxy")
NGINX = os.environ.get("NGINX", "nginx")


def tree(pid):
    """A process and all that descend from it."""
    out = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                for child in f.read().split():
                    out += tree(int(child))
    except OSError:
        pass
    return out


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


class Contender:
    """A program under measurement between self.port and the origin's port."""
    name = ""
    has_http = True

    def __init__(self, origin_port, core):
        self.origin_port, self.core = origin_port, core
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="hf-bench-")
        os.chmod(self.dir, 0o755)
        self.proc = None
        try:
            self.launch()
            wait_for(self.serves, 30, f"{self.name} serves")
        except BaseException:
            self.stop()
            raise

    def serves(self):
        return http(self.port, path="/bytes/1").status == 200

    def launch(self):
        raise NotImplementedError

    def run(self, command):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.proc = subprocess.Popen(pinned(self.core, command), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def pids(self):
        return tree(self.proc.pid)

    def cpu(self):
        """Seconds of processor time so far, of all its processes."""
        return sum(cpu_seconds(p) for p in self.pids())

    def memory(self):
        """KiB of user memory of all its processes, shared pages in their shares."""
        return sum(memory_kib(p, "Pss") for p in self.pids())

    def stop(self):
        if self.proc:
            self.proc.terminate()
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


class Relay(Contender):
    name = "relay"

    def launch(self):
        self.run([RELAY, str(self.port), str(self.origin_port)])

    @staticmethod
    def version():
        return "bench/relay.c: one connection to the origin for each client, 64 KiB buffer"


class Holdfast(Contender):
    name = "holdfast"

    def launch(self):
        self.start_node({
            "proxy": {"threads": 1, "max_connections": 12000},
            "listeners": {"http": {"bind": f"127.0.0.1:{self.port}",
                                   "timeouts": {"keep_alive": "300s"}}},
            "routes": {"all": {"to": "web"}},
            "pools": {"web": {"check": {"http": "/bytes/1", "interval": "2s"},
                              "servers": {"origin": f"127.0.0.1:{self.origin_port}"}}},
        })

    def start_node(self, conf):
        self.node = Node(conf, start=False)
        old = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.core})
        try:
            self.node.start()
        finally:
            os.sched_setaffinity(0, old)
        self.proc = self.node.proc

    def memory(self):
        return sum(memory_kib(p, "Pss") for p in self.node.pids("proxy"))

    def stop(self):
        self.node.stop()
        self.node.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def version():
        done = subprocess.run([HOLDFAST, "version"], capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip().splitlines()[0]


class Haproxy(Contender):
    name = "haproxy"

    def launch(self):
        path = self.write("haproxy.cfg", f"""
global
	nbthread 1
	maxconn 12000
	no strict-limits
defaults
	mode http
	timeout connect 3s
	timeout client 300s
	timeout server 60s
	option forwardfor
	http-reuse always
	unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt%pid
frontend http
	bind 127.0.0.1:{self.port}
	unique-id-header X-Request-Id
	http-request set-header X-Forwarded-Proto http
	http-request set-header X-Forwarded-Host %[req.hdr(host)]
	http-request set-header X-Forwarded-Port %[dst_port]
	default_backend web
backend web
	option httpchk GET /bytes/1
	server origin 127.0.0.1:{self.origin_port} check inter 2s pool-max-conn -1
""")
        self.run([HAPROXY, "-db", "-f", path])

    @staticmethod
    def version():
        out = subprocess.run([HAPROXY, "-v"], capture_output=True, text=True, check=False).stdout
        return " ".join(out.split()[:3])


class Nginx(Contender):
    name = "nginx"

    def launch(self):
        path = self.write("nginx.conf", f"""
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {self.dir}/pid;
error_log {self.dir}/error.log;
events {{ worker_connections 19000; multi_accept on; }}
http {{
	access_log off;
	keepalive_timeout 300s;
	keepalive_requests 1000000000;
	client_body_temp_path {self.dir}/b;
	proxy_temp_path {self.dir}/p;
	fastcgi_temp_path {self.dir}/f;
	uwsgi_temp_path {self.dir}/u;
	scgi_temp_path {self.dir}/s;
	client_body_buffer_size 128k;
	client_max_body_size 0;
	proxy_max_temp_file_size 0;
	upstream web {{
		server 127.0.0.1:{self.origin_port};
		keepalive 1024;
		keepalive_requests 1000000000;
	}}
	server {{
		listen 127.0.0.1:{self.port};
		location / {{
			proxy_pass http://web;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header X-Forwarded-Port $server_port;
			proxy_set_header X-Request-Id $request_id;
		}}
	}}
}}
""")
        self.run([NGINX, "-p", self.dir, "-c", path])

    @staticmethod
    def version():
        out = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=False)
        return (out.stderr or out.stdout).strip().replace("nginx version: ", "")


class Origin:
    """The origin on its core, and how many requests it has seen."""

    def __init__(self, core):
        self.port = free_port()
        self.proc = subprocess.Popen(pinned(core, [ORIGIN, str(self.port)]),
                                     stdin=subprocess.DEVNULL)
        wait_for(lambda: self.count() >= 0, 30, "origin")

    def count(self):
        return int(http(self.port, path="/count").body)

    def stop(self):
        self.proc.terminate()
        self.proc.wait(20)


ALL = (Relay, Holdfast, Haproxy, Nginx)
