# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 server whose every frame a test decides: for each connection the test's function runs
in a thread of its own, with a Peer. Clear text with prior knowledge, or TLS."""

import socket
import ssl
import threading

from h2wire import (DATA, HEADERS, PREFACE, RST_STREAM, Closed, Violation, Wire, data,
                    demand, headers, settings)
from harness import free_port, wait_for


class Request:
    def __init__(self, head):
        self.stream, self.fields, self.head = head.stream, head.fields, head
        self.never_indexed = head.never_indexed
        self.body, self.trailers, self.reset = b"", None, None

    def get(self, name):
        return dict(self.fields).get(name)

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def __repr__(self):
        return f"<Request {self.fields} {self.body[:100]!r}>"


class Peer(Wire):
    """The server's side. prelude: its preface is sent and the client's is taken at once."""

    def __init__(self, sock, first=(), **options):
        super().__init__(sock, "client", **options)
        self.first = first
        self.done = set() # streams that this side has ended by reply()

    def begin(self):
        """Takes the client's preface and sends our SETTINGS."""
        self.sock.settimeout(self.timeout)
        got = b""
        while len(got) < len(PREFACE):
            part = self.sock.recv(len(PREFACE) - len(got))
            if not part:
                raise Closed("closed within the preface")
            got += part
        demand(got == PREFACE, f"{got!r} is no preface")
        self.send(settings(*self.first))

    def request(self, body=True, timeout=None):
        """The next request, whole; body=False: its head only."""
        f = self.wait(lambda f: f.kind == HEADERS and f.fields is not None or
                      f.kind == 9 and f.fields is not None, "request", timeout)
        r = Request(f)
        end = f.end
        while body and not end:
            f = self.on(r.stream, DATA, HEADERS, RST_STREAM)
            if f.kind == DATA:
                r.body += f.data
            elif f.kind == HEADERS:
                r.trailers = f.fields
            else:
                r.reset = f.code
                break
            end = f.end
        return r

    def open_now(self):
        """Streams that the client has opened and that this side has not ended."""
        return len(self.lint.seen - self.done)

    def reply(self, request, body=b"ok", status=200, more=(), trailers=None):
        s = request.stream if isinstance(request, Request) else request
        self.done.add(s)
        fields = [(":status", str(status)), *more]
        parts = [headers(s, fields, end=not body and trailers is None)]
        if body:
            parts.append(data(s, body, end=trailers is None))
        if trailers is not None:
            parts.append(headers(s, trailers))
        self.send(*parts)

    def serve(self):
        """Plain answers for as long as the connection lives; /health too."""
        while True:
            self.reply(self.request(timeout=3600))


class Server:
    """serve(peer) is called for each connection, its preface done. .violations: what a client did
    against the RFC; .errors: what else went wrong; .requests: heads of all requests."""

    def __init__(self, serve=None, first=(), tls=None, begin=True, port=None, **options):
        self.serve = serve or Peer.serve
        self.first, self.tls, self.begin, self.options = first, tls, begin, options
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.peers, self.violations, self.errors = [], [], []
        self.finished = 0 # connections that are over
        self._lock = threading.Lock()
        self._stopped = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self.sock.listen(128)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def connections(self):
        return len(self.peers)

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = None
        try:
            if self.tls:
                sock.settimeout(20)
                sock = self.tls.wrap_socket(sock, server_side=True)
            peer = Peer(sock, self.first, **self.options)
            with self._lock:
                if self._stopped:
                    return
                self.peers.append(peer)
            if self.begin:
                peer.begin()
            self.serve(peer)
        except Violation as e:
            self.violations.append(e)
        except Closed:
            pass # the test looks at what came
        except (OSError, ssl.SSLError) as e:
            if not self._stopped:
                self.errors.append(e)
        except Exception as e: # pylint: disable=broad-except
            self.errors.append(e)
        finally:
            sock.close()
            with self._lock:
                self.finished += 1

    def wait_finished(self, n=1):
        wait_for(lambda: self.finished >= n, what="end of the connection to the server")
        self.check()

    def check(self):
        assert not self.violations, self.violations
        assert not self.errors, self.errors

    def stop(self):
        with self._lock:
            self._stopped = True
            peers = list(self.peers)
        for s in (self.sock, *(p.sock for p in peers)):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sock.close()
        self._thread.join(10)
