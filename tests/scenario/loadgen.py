# SPDX-License-Identifier: Apache-2.0
"""Load for tests: wrk and ab in the background, and a client that knows the fate of every single
request it sent."""

import collections
import re
import socket
import subprocess
import threading
import time

from wire import Closed, Conn


class Wrk:
    """wrk in the background. stop() ends it early; either way .result holds what it printed."""

    def __init__(self, url, connections=16, seconds=60, threads=1, headers=(), script=None):
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
        for h in headers:
            command += ["-H", h]
        if script:
            command += ["-s", script]
        self.proc = subprocess.Popen(command + [url], stdin=subprocess.DEVNULL, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seconds = seconds
        self.result = None

    def stop(self):
        """Asks it to finish now (SIGINT) and returns the result."""
        if self.result is None and self.proc.poll() is None:
            self.proc.send_signal(2)
        return self.wait()

    def wait(self):
        if self.result is None:
            try:
                text, _ = self.proc.communicate(timeout=self.seconds + 60)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                text, _ = self.proc.communicate()
            self.result = parse_wrk(text)
        return self.result


def parse_wrk(text):
    """{requests, errors (of sockets), bad (not 2xx or 3xx), rps, p99_ms, text}"""
    def number(pattern):
        m = re.search(pattern, text)
        return float(m.group(1)) if m else 0
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                        text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text)
    unit = {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}
    return {
        "requests": int(number(r"(\d+) requests in")),
        "errors": sum(map(int, sockets.groups())) if sockets else 0,
        "connect_errors": int(sockets.group(1)) if sockets else 0,
        "bad": int(number(r"Non-2xx or 3xx responses: (\d+)")),
        "rps": number(r"Requests/sec:\s+([\d.]+)"),
        "p99_ms": float(p99.group(1)) * unit[p99.group(2)] if p99 else 0,
        "text": text,
    }


def ab(url, requests=1000, connections=8, *args, timeout=120):
    """Runs ab; {complete, failed, non_2xx, text}."""
    done = subprocess.run(["ab", "-q", "-n", str(requests), "-c", str(connections), *args, url],
                          capture_output=True, text=True, timeout=timeout, check=False,
                          stdin=subprocess.DEVNULL)

    def number(name):
        m = re.search(name + r":\s+(\d+)", done.stdout)
        return int(m.group(1)) if m else 0
    assert "Complete requests" in done.stdout, done.stdout + done.stderr
    return {"complete": number("Complete requests"), "failed": number("Failed requests"),
            "non_2xx": number("Non-2xx responses"), "text": done.stdout + done.stderr}


Sent = collections.namedtuple("Sent", "id method start end status error server")


class Load:
    """Threads that send one request after the other, GET and every post_every-th a POST, each with
    an id of its own in X-Test-Id, and write down what became of it. A connection is kept until it
    is closed; a request whose connection is cut before its answer is a failure, never repeated:
    the client hides nothing. A kept connection that the other side closes between two requests is
    opened anew and counted as no failure."""

    def __init__(self, port, threads=8, path="/", post_every=4, pause=0.0, timeout=30,
                 keep_alive=True, prefix="r", host="test"):
        self.port, self.path, self.post_every = port, path, post_every
        self.pause, self.timeout, self.keep_alive = pause, timeout, keep_alive
        self.prefix, self.host = prefix, host
        self.records = []
        self.only_get = False
        self._posting = [False] * threads
        self._stop = threading.Event()
        self._lists = [[] for _ in range(threads)]
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                         for i in range(threads)]
        for t in self._threads:
            t.start()

    def _run(self, number):
        conn = None
        count = 0
        while not self._stop.is_set():
            count += 1
            due = self.post_every and count % self.post_every == 0
            self._posting[number] = due
            post = due and not self.only_get
            conn = self._one(conn, f"{self.prefix}-{number}-{count}", post, self._lists[number])
            self._posting[number] = False
            if self.pause:
                self._stop.wait(self.pause)
        if conn:
            conn.close()

    def _open(self, conn):
        """A usable connection: the kept one unless the other side has closed it meanwhile."""
        if conn:
            try:
                conn.sock.setblocking(False)
                data = conn.sock.recv(1, socket.MSG_PEEK)
                stale = data == b""
            except BlockingIOError:
                stale = False
            except OSError:
                stale = True
            if not stale:
                return conn
            conn.close()
        return Conn(self.port, self.timeout)

    def _one(self, conn, ident, post, out):
        method = "POST" if post else "GET"
        headers = {"X-Test-Id": ident}
        if not self.keep_alive:
            headers["Connection"] = "close"
        start = time.time()
        status, error, server = 0, None, None
        try:
            conn = self._open(conn)
            conn.request(method, self.path, headers, ident if post else None, self.host)
            answer = conn.recv_response(method)
            status, server = answer.status, answer.get("x-whoami")
            if status >= 400:
                error = f"{status} {answer.get('holdfast-reason', '')}".strip()
            if answer.get("connection", "").lower() == "close" or not self.keep_alive:
                conn.close()
                conn = None
        except (OSError, Closed, AssertionError, ValueError) as e:
            error = f"{type(e).__name__}: {e}"
            if conn:
                conn.close()
            conn = None
        out.append(Sent(ident, method, start, time.time(), status, error, server))
        return conn

    def no_posts(self, seconds=30):
        """From now on only GET, until only_get is set to False; returns when no POST is open."""
        self.only_get = True
        deadline = time.monotonic() + seconds
        while any(self._posting) and time.monotonic() < deadline:
            time.sleep(0.001)

    def count(self):
        return sum(len(x) for x in self._lists)

    def failures(self):
        return [r for x in self._lists for r in list(x) if r.error]

    def stop(self):
        """Ends it after the requests under way; returns all records in order of their start."""
        self._stop.set()
        for t in self._threads:
            t.join(self.timeout + 30)
            assert not t.is_alive(), "a load thread hangs"
        self.records = sorted((r for x in self._lists for r in x), key=lambda r: r.start)
        return self.records
