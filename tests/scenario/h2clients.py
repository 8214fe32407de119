# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients under load that know the fate of every request: many connections with many streams
each, every request with an id of its own, which its answer has to bring back. What a GOAWAY leaves
out is asked again on a new connection, as RFC 9113, 6.8 allows; nothing else is ever repeated.
(h2load of nghttp2 1.52 never opens a second connection: what it has left to ask when GOAWAY comes
it counts as failed, so that it cannot tell what was lost.)"""

import threading

from h2wire import (DATA, GOAWAY, HEADERS, MAX_WINDOW, NO_ERROR, RST_STREAM, H2, Closed, data, headers,
                    request_fields, window_update)
from harness import wait_for

KINDS = (HEADERS, DATA, RST_STREAM, GOAWAY)


class _Client:
    """One connection after the other, in a thread. late: goes on asking after the first GOAWAY, as
    if that were still on its way, until one names the last stream."""

    def __init__(self, load, late):
        self.load, self.late = load, late
        self.wire, self.last = None, None   # last: of the latest GOAWAY
        self.open, self.done = {}, 0        # stream -> id; the highest stream that was answered
        self.parts = {}                     # stream -> what came of its body

    def run(self):
        while not self.load.over() and self.connect():
            try:
                while self.turn():
                    pass
            except Closed as e:
                # After GOAWAY the end is no surprise, unless something that counts is open.
                if self.last is None or any(s <= self.last for s in self.open):
                    self.fail(e)
            except (OSError, AssertionError) as e:
                self.fail(e)
            self.wire.close()
            if self.last is not None:
                self.load.left_out([i for s, i in self.open.items() if s > self.last])

    def connect(self):
        self.open, self.parts, self.done, self.last = {}, {}, 0, None
        try:
            self.wire = H2(self.load.port, refill=False, **self.load.options)
            self.wire.send(window_update(0, MAX_WINDOW - 65535))
        except OSError as e:
            self.load.errors.append(f"no connection: {e!r}")
            return False
        with self.load.lock:
            self.load.connections += 1
        return True

    def turn(self):
        """Asks as many as may be open and takes a frame; False when nothing is left."""
        w = self.wire
        if self.last is None or self.late and self.last == MAX_WINDOW:
            out = b""
            for ident in self.load.take(self.load.streams - len(self.open)):
                s = w.new_stream()
                self.open[s] = ident
                more = (("content-length", str(len(ident))), ("x-test-id", ident))
                out += headers(s, request_fields("POST", "/echo", more=more), end=False)
                out += data(s, ident.encode(), end=True)
            if out:
                w.send(out)
            elif not self.open and self.last is None:
                return False
        f = w.wait(lambda f: f.kind in KINDS)
        del w.frames[:-20]
        if f.kind == GOAWAY:
            assert f.code == NO_ERROR and f.last >= self.done, f"{f}, last {f.last}"
            self.load.goaways += self.last is None
            self.last = f.last
            return True
        assert f.stream in self.open and (self.last is None or f.stream <= self.last), f
        assert f.kind != RST_STREAM, f
        if f.kind == HEADERS:
            assert f.status == 200 and f.stream not in self.parts, f
            self.parts[f.stream] = b""
        else:
            self.parts[f.stream] += f.data
        if f.end:
            ident, body = self.open.pop(f.stream), self.parts.pop(f.stream)
            assert body.decode() == ident, f"{ident} was answered {body!r}"
            self.done = max(self.done, f.stream)
            self.load.answered.append(ident)
        return True

    def fail(self, e):
        lost = [f"{i} (stream {s})" for s, i in self.open.items()
                if self.last is None or s <= self.last]
        self.load.errors.append(f"{type(e).__name__}: {e}; GOAWAY: {self.last}; lost: {lost}")


class H2Load:
    """The clients, every other one of them late, in the background until finish(). .answered: the ids that were; .errors: whatever
    must not happen; .goaways: connections that were told to leave; .repeated: requests that a GOAWAY
    left out."""

    def __init__(self, port, connections=20, streams=20, **options):
        self.port, self.streams, self.options = port, streams, options
        self.lock = threading.Lock()
        self.answered, self.errors, self.connections, self.goaways = [], [], 0, 0
        self.again, self.repeated = [], 0
        self.asked, self.limit = 0, None
        self.last_connections = False   # True: who is told to leave does not come back
        self.threads = [threading.Thread(target=_Client(self, i % 2 == 1).run, daemon=True)
                        for i in range(connections)]
        for t in self.threads:
            t.start()

    # --- for the clients ------------------------------------------------------------------------

    def over(self):
        with self.lock:
            return (self.last_connections and self.connections >= len(self.threads)) or \
                (self.limit is not None and self.asked >= self.limit and not self.again)

    def take(self, n):
        """Up to n ids of requests to send."""
        with self.lock:
            out, self.again = self.again[:n], self.again[n:]
            fresh = n - len(out)
            if self.limit is not None:
                fresh = max(0, min(fresh, self.limit - self.asked))
            out += [f"r{i}" for i in range(self.asked, self.asked + fresh)]
            self.asked += fresh
            return out

    def left_out(self, idents):
        with self.lock:
            self.again += idents
            self.repeated += len(idents)

    # --- for the test ---------------------------------------------------------------------------

    def wait(self, more, timeout=60):
        """Until so many more requests have been answered, or something went wrong."""
        at = len(self.answered) + more
        wait_for(lambda: len(self.answered) >= at or self.errors or
                 not any(t.is_alive() for t in self.threads), timeout, f"{at} answers")

    def finish(self, requests=0, timeout=90):
        """Goes on until so many have been asked in all, and ends."""
        with self.lock:
            self.limit = max(requests, self.asked)
        wait_for(lambda: not any(t.is_alive() for t in self.threads), timeout, "end of the clients")

    def stop(self):
        with self.lock:
            self.limit, self.again, self.last_connections = 0, [], True
        for t in self.threads:
            t.join(60)
