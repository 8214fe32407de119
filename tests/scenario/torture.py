# SPDX-License-Identifier: Apache-2.0
"""An origin and clients that behave badly by seeded chance. Who sent what is told by an id: it
stands in the path and in X-Id, and bodies are made from it."""

import random
import re
import select
import socket
import struct
import threading
import time

from harness import SLOW
from origin import Origin
from wire import Closed, Response

RST = struct.pack("ii", 1, 0)
STUCK = 40 * SLOW # seconds without a byte after which a client calls the node stuck


def material(name, n):
    """The n bytes of the body that belongs to name."""
    unit = f"<{name}>".encode()
    return (unit * (n // len(unit) + 1))[:n]


def size(rng):
    """Mostly small, some beyond one read, a few beyond all socket buffers."""
    return rng.choice([0, 1, rng.randrange(300), rng.randrange(300), rng.randrange(6000),
                       rng.randrange(70000), rng.randrange(400000)])


def pieces(rng, data):
    """Cuts data at random places."""
    n = rng.choice([0, 0, 0, 1, 2, 6])
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(n))
    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)]) if b > a]


def chunked(rng, body, trailer):
    out = []
    while body:
        n = rng.choice([1, 7, 100, 5000, 65536, len(body)])
        part, body = body[:n], body[n:]
        ext = rng.choice(["", "", ";a", ";name=value", ';q="a b"'])
        number = rng.choice(["%x", "%X", "0%x"]) % len(part)
        out.append(f"{number}{ext}\r\n".encode() + part + b"\r\n")
    return b"".join(out) + b"0\r\n" + trailer + b"\r\n"


def field(head, name):
    m = re.search(rb"(?im)^" + name + rb": *([^\r]*)\r$", head)
    return m.group(1).decode() if m else None


class Record:
    """What origins and clients found; shared by all threads."""

    def __init__(self, seed):
        self.seed = seed
        self.lock = threading.Lock()
        self.wrong = []
        self.posts = set()
        self.visits = {}
        self.counts = {}

    def fault(self, text):
        with self.lock:
            self.wrong.append(text)

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def visit(self, method, name):
        """How often an origin saw this request before."""
        with self.lock:
            if method == "POST":
                if name in self.posts:
                    self.wrong.append(f"POST {name} reached an origin twice")
                self.posts.add(name)
            n = self.visits.get(name, 0)
            self.visits[name] = n + 1
            return n


# --- the origin ---------------------------------------------------------------------------------

class Visit:
    """One request at an origin, and the bad answer to it."""

    def __init__(self, peer, record, head):
        self.peer = peer
        self.record = record
        self.head = head
        if len(head.split(b"\r\n", 1)[0].split(b" ")) != 3:
            raise ValueError(f"no request: {head!r}")
        self.method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.name = target.rsplit("/", 1)[1]
        if field(head, b"x-id") != self.name:
            record.fault(f"the origin got a request that nobody sent: {head!r}")
        self.calm = "/calm/" in target
        nth = record.visit(self.method, self.name)
        self.rng = random.Random(f"{record.seed}/{self.name}/{nth}")
        self.keep = not re.search(rb"(?im)^connection: close\r$", head)

    def chance(self, p):
        return not self.calm and self.rng.random() < p

    def send(self, data):
        for piece in pieces(self.rng, data) if not self.calm else [data]:
            self.peer.send(piece)
            if self.chance(0.2):
                time.sleep(self.rng.random() * 0.02)

    def read_body(self):
        if field(self.head, b"expect") and self.chance(0.8):
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if field(self.head, b"transfer-encoding"):
            parts = []
            while chunk := self.peer.recv_chunk():
                parts.append(chunk)
            body = b"".join(parts)
            for k, v in self.peer._fields():
                if k == "x-end" and v != self.name:
                    self.record.fault(f"{self.name} came with the trailer of {v}")
        else:
            body = self.peer.recv_exactly(int(field(self.head, b"content-length") or 0))
        want = material("q" + self.name, int(field(self.head, b"x-body")))
        if body != want:
            self.record.fault(f"the body of {self.name} is not what was sent: "
                              f"{len(body)} bytes of {len(want)}, {body[:80]!r}")

    def answer(self):
        """(bytes, whether the end of the connection is a part of them, status)"""
        rng = self.rng
        n = size(rng) if not self.calm else rng.randrange(3000)
        kind = rng.choice(["length", "length", "chunked", "chunked", "close", "204", "304", "1.0"])
        status = {"204": "204 No Content", "304": "304 Not Modified"}.get(
            kind, rng.choice(["200 OK", "200 OK", "201 Created", "404 Not Found",
                              "500 Internal Server Error", "200 "]))
        if kind in ("204", "304"):
            n = 0
        body = material(self.name, n)
        lines = [f"HTTP/1.{0 if kind == '1.0' else 1} {status}", f"X-Id: {self.name}",
                 f"X-Len: {n}"]
        if self.chance(0.1):
            lines.append("X-Pad: " + "p" * rng.randrange(9000))
        until_close = kind == "close" or kind == "1.0" and rng.random() < 0.5
        if kind == "chunked":
            lines.append("Transfer-Encoding: chunked")
            trailer = f"X-End: {self.name}\r\n".encode() if rng.random() < 0.3 else b""
            body = chunked(rng, body, trailer)
        elif kind == "304":
            if rng.random() < 0.5:
                lines.append("Content-Length: 1234")
        elif kind != "204" and not until_close:
            lines.append(f"Content-Length: {n}")
        if kind == "1.0":
            self.keep = False
        elif rng.random() < 0.1:
            lines.append("Connection: close")
            self.keep = False
        if self.method == "HEAD" or kind in ("204", "304"):
            body = b""
            until_close = False
        head = "\r\n".join(lines + ["", ""]).encode()
        return head + body, until_close

    def interim(self):
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            self.send(self.rng.choice([
                f"HTTP/1.1 103 Early Hints\r\nX-Id: {self.name}\r\nLink: </a>\r\n\r\n",
                f"HTTP/1.1 102 Processing\r\nX-Id: {self.name}\r\n\r\n"]).encode())

    def echo(self):
        """A tunnel: says hello, gives everything back, says goodbye at the end."""
        self.send(f"HTTP/1.1 101 Switching Protocols\r\nX-Id: {self.name}\r\n"
                  f"Connection: Upgrade\r\nUpgrade: echo\r\n\r\nhello {self.name};".encode())
        cut = self.chance(0.2)
        while True:
            data, self.peer.buf = self.peer.buf, b""
            if data:
                self.send(data)
            if cut and self.chance(0.3):
                self.end(self.rng.random() < 0.5)
                return
            try:
                self.peer._more("data")
            except Closed:
                self.send(f"bye {self.name}".encode())
                return

    def end(self, reset):
        if reset:
            self.peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)

    def serve(self):
        """Whether the connection goes on."""
        if field(self.head, b"upgrade") and not self.chance(0.2):
            self.echo()
            return False
        if self.chance(0.05): # not a byte of an answer
            self.end(self.rng.random() < 0.5)
            return False
        if self.chance(0.003):
            self.peer.closed(30 * SLOW) # never answers: the node has to end it
            return False
        early = self.chance(0.15)
        if early:
            if self.chance(0.3): # gives up in the middle of the body
                self.peer.recv_exactly(min(len(self.peer.buf), self.rng.randrange(1000)))
                self.keep = False
        else:
            self.read_body()
        if self.chance(0.1):
            time.sleep(self.rng.random() * 0.1)
        if self.chance(0.02):
            self.send(self.rng.choice([b"\0\0\0\0", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                                       b"HTTP/1.1 200 OK\nX: y\n\n", b"HTTP/2 200\r\n\r\n"]))
            return False
        if self.chance(0.15):
            self.interim()
        data, until_close = self.answer()
        if self.chance(0.07): # only a part of the answer; an end in order would make it whole
            self.send(data[:self.rng.randrange(len(data))])
            self.end(until_close or self.rng.random() < 0.5)
            return False
        if len(data) < 8000 and not until_close and self.chance(0.04):
            self.peer.send(data + self.rng.choice([ # bytes that no request asked for
                b"HTTP/1.1 200 OK\r\nX-Id: stray\r\nContent-Length: 5\r\nX-Len: 5\r\n\r\nstray",
                b"\r\n", b"x", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"]))
            return self.keep and not early and self.rng.random() < 0.5
        self.send(data)
        if early and not until_close and self.keep and self.rng.random() < 0.5:
            self.read_body()
        elif early:
            return False
        if not until_close and self.chance(0.03): # garbage into a connection that is kept already
            time.sleep(self.rng.random() * 0.01)
            self.send(b"\1garbage\r\n\r\n")
            return False
        return self.keep and not until_close and not self.chance(0.1)


def bad_origin(record):
    def serve(peer):
        peer.timeout = STUCK
        try:
            while visit_one(peer, record):
                pass
        except (Closed, OSError, TimeoutError):
            pass
        except Exception as e: # pylint: disable=broad-except
            record.fault(f"origin: {e!r} at {peer.buf[:200]!r}")
    return Origin(serve)


def visit_one(peer, record):
    head = peer.recv_until(b"\r\n\r\n", "request head")
    if head.startswith(b"GET /health "):
        peer.reply(b"ok")
        return True
    record.count("requests at origins")
    return Visit(peer, record, head).serve()


# --- the client ---------------------------------------------------------------------------------

class Request:
    def __init__(self, rng, name, last):
        self.name = name
        self.method = rng.choice(["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"])
        self.minor = 0 if last and rng.random() < 0.15 else 1
        self.upgrade = last and self.minor == 1 and rng.random() < 0.15
        self.wait = False
        self.body = b""
        n = size(rng) if self.method in ("POST", "PUT") else 0
        if self.upgrade:
            self.method, n = "GET", 0
        lines = [f"{self.method} /{rng.choice('abc')}/{name} HTTP/1.{self.minor}", "Host: test",
                 f"X-Id: {name}", f"X-Body: {n}"]
        if rng.random() < 0.1:
            lines.append("X-Pad: " + "p" * rng.randrange(6000))
        if rng.random() < 0.3:
            lines.append(f"X-Route: {rng.randrange(3)}")
        if self.upgrade:
            lines += ["Connection: Upgrade", "Upgrade: echo"]
        body = material("q" + name, n)
        if self.method in ("POST", "PUT"):
            if self.minor == 1 and rng.random() < 0.5:
                lines.append("Transfer-Encoding: chunked")
                trailer = f"X-End: {name}\r\n".encode() if rng.random() < 0.3 else b""
                self.body = chunked(rng, body, trailer)
            else:
                lines.append(f"Content-Length: {n}")
                self.body = body
            if self.minor == 1 and self.body and rng.random() < 0.3:
                lines.append("Expect: 100-continue")
                self.wait = rng.random() < 0.8
        if last and self.minor == 1 and not self.upgrade and rng.random() < 0.3:
            lines.append("Connection: close")
        self.head = "\r\n".join(lines + ["", ""]).encode()


class Gone(Exception):
    """The client has ended its connection itself."""


class Session:
    """One connection of a client: some requests, good or broken off somewhere."""

    def __init__(self, rng, record, port, name):
        self.rng = rng
        self.record = record
        n = rng.choice([1, 1, 2, 4, 8])
        self.requests = [Request(rng, f"{name}-{i}", i == n - 1) for i in range(n)]
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=STUCK)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.now = ""
        self.eof = self.reset = False
        self.got = self.sent = 0
        total = sum(len(r.head) + len(r.body) for r in self.requests)
        self.abort_sent = rng.randrange(total + 1) if rng.random() < 0.12 else None
        self.abort_got = rng.randrange(20000) if rng.random() < 0.08 else None
        self.slow = rng.random() < 0.05

    # Bytes, both ways at once.

    def leave(self):
        how = self.rng.choice(["fin", "rst", "half"])
        if how == "half":
            self.abort_sent = None
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass # it is gone already
            return
        if how == "rst":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        raise Gone()

    def note(self, error):
        """A reset that a send has told of is not told again by recv."""
        if isinstance(error, ConnectionResetError):
            self.reset = True

    def take(self, timeout):
        """Reads what there is; False when nothing came."""
        if self.eof or not select.select([self.sock], [], [], timeout)[0]:
            return False
        if self.slow:
            time.sleep(0.005)
        try:
            data = self.sock.recv(1000 if self.slow else 262144)
        except ConnectionResetError:
            data, self.reset = b"", True
        if not data:
            self.eof = True
        self.buf += data
        self.got += len(data)
        if self.abort_got is not None and self.got >= self.abort_got:
            self.abort_got = 1 << 60
            self.leave()
        return True

    def send(self, data):
        """Sends in pieces, reading meanwhile; False when the other side takes no more."""
        for piece in pieces(self.rng, data):
            while piece:
                if self.abort_sent is not None and self.sent + len(piece) >= self.abort_sent:
                    piece = piece[:self.abort_sent - self.sent]
                    if piece:
                        self.sock.setblocking(True)
                        self.sock.settimeout(STUCK)
                        try:
                            self.sock.sendall(piece)
                        except OSError as e:
                            self.note(e)
                            return False
                    self.leave()
                    return False
                r, w, _ = select.select([] if self.eof else [self.sock], [self.sock], [], STUCK)
                if r:
                    self.take(0)
                    if self.eof:
                        return False
                if w:
                    self.sock.setblocking(False)
                    try:
                        n = self.sock.send(piece)
                    except BlockingIOError:
                        continue
                    except OSError as e:
                        self.note(e)
                        return False
                    finally:
                        self.sock.setblocking(True)
                        self.sock.settimeout(STUCK)
                    self.sent += n
                    piece = piece[n:]
                if not r and not w:
                    raise TimeoutError("the node takes nothing")
            if self.rng.random() < 0.1:
                time.sleep(self.rng.random() * 0.02)
        return True

    def need(self):
        """More bytes; Closed at the end."""
        if self.eof:
            raise Closed("reset" if self.reset else "end", self.buf)
        if not self.take(STUCK):
            raise TimeoutError("the node says nothing")

    # Answers.

    def until(self, mark):
        while mark not in self.buf:
            self.need()
        at = self.buf.index(mark) + len(mark)
        data, self.buf = self.buf[:at], self.buf[at:]
        return data

    def exactly(self, n):
        while len(self.buf) < n:
            self.need()
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def fields(self):
        out = []
        while (line := self.until(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            out.append((name.lower(), value.strip()))
        return out

    def head(self):
        line = self.until(b"\r\n").decode("latin-1")
        m = re.fullmatch(r"HTTP/1\.[01] (\d{3}) [^\r]*\r\n", line)
        if not m:
            raise ValueError(f"no status line: {line!r}")
        return Response(line[:8], int(m.group(1)), "", self.fields())

    def chunks(self):
        parts = []
        while n := int(self.until(b"\r\n").split(b";")[0], 16):
            parts.append(self.exactly(n))
            if self.exactly(2) != b"\r\n":
                raise ValueError("a chunk that does not end with CRLF")
        return b"".join(parts)

    def rest(self):
        while not self.eof:
            self.need()
        if self.reset:
            raise Closed("reset", self.buf)
        data, self.buf = self.buf, b""
        return data

    def interim_or_final(self, q):
        a = self.head()
        if a.status < 200 and a.status not in (100, 101) and a.get("x-id") != q.name:
            raise ValueError(f"interim {a!r}")
        if a.status < 200 and q.minor == 0:
            raise ValueError(f"interim answer to HTTP/1.0: {a!r}")
        return a

    def answer(self, q, a=None):
        """The whole answer to q, checked; whether the connection can go on."""
        self.now = f"{q.name}, {q.head[:20]!r}, body {len(q.body)}"
        while a is None or (a.status < 200 and a.status != 101):
            a = self.interim_or_final(q)
        coding = a.get("transfer-encoding")
        until_close = False
        if q.method == "HEAD" or a.status in (101, 204, 304):
            pass
        elif coding:
            if q.minor == 0:
                raise ValueError("chunks for HTTP/1.0")
            a.body = self.chunks()
            a.trailers = self.fields()
        elif a.get("content-length") is not None:
            a.body = self.exactly(int(a.get("content-length")))
        else:
            a.body = self.rest()
            until_close = True
        self.check(q, a)
        return not until_close and a.get("connection", "").lower() != "close" and q.minor == 1

    def check(self, q, a):
        if a.get("x-id") is None: # an error answer of the node's own
            if a.status not in (502, 503, 504):
                raise ValueError(f"unexpected {a!r}")
            self.record.count(f"answers {a.status} of the node")
            return
        if a.all("x-id") != [q.name]:
            raise ValueError(f"the answer to another request: {a!r}")
        ends = [v for k, v in a.trailers if k == "x-end"]
        if ends not in ([], [q.name]):
            raise ValueError(f"the trailer of another answer: {a.trailers!r}")
        if a.status in (101, 204, 304) or q.method == "HEAD":
            want = b""
        else:
            want = material(q.name, int(a.get("x-len")))
        if a.body != want:
            raise ValueError(f"{len(a.body)} of {len(want)} bytes: {a!r}")
        self.record.count("whole answers")

    def tunnel(self, q):
        rng = self.rng
        sent = b""
        for _ in range(rng.randrange(5)):
            data = material("t" + q.name, size(rng))
            sent += data
            if not self.send(data):
                break
        if rng.random() < 0.2:
            self.abort_got = 0
            self.take(0.01)
            self.leave()
        want = f"hello {q.name};".encode() + sent + f"bye {q.name}".encode()
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while not self.eof:
            self.need()
        if not want.startswith(self.buf) and not self.cut_short(q, sent):
            raise ValueError(f"the tunnel gave other bytes: {self.buf[:200]!r}")
        self.record.count("tunnels" if self.buf == want else "tunnels cut")

    def cut_short(self, q, sent):
        """Whether a part of what was sent came back, then the goodbye: a send that broke off."""
        hello, bye = f"hello {q.name};".encode(), f"bye {q.name}".encode()
        return self.buf.endswith(bye) and (hello + sent).startswith(self.buf[:-len(bye)])

    # Conversations.

    def pipelined(self):
        data = b"".join(q.head + q.body for q in self.requests)
        self.send(data)
        for q in self.requests:
            if not self.answer(q):
                return
            if q.upgrade:
                return

    def one_by_one(self):
        for q in self.requests:
            a = None
            whole = self.send(q.head)
            if whole and q.wait:
                if self.buf or self.take(0.2):
                    a = self.interim_or_final(q)
            if whole and (a is None or a.status < 200):
                whole = self.send(q.body)
            if q.upgrade:
                a = self.head() if a is None else a
                while a.status < 200 and a.status != 101:
                    a = self.head()
                if a.status == 101:
                    self.check(q, a)
                    self.tunnel(q)
                    return
            if not self.answer(q, a) or not whole:
                return
            if self.rng.random() < 0.1:
                time.sleep(self.rng.random() * 0.1)

    def run(self):
        talk = self.rng.choice([self.pipelined, self.one_by_one, self.one_by_one])
        try:
            talk()
            self.record.count("sessions through")
        except Closed:
            self.record.count("sessions cut")
        except Gone:
            self.record.count("sessions broken off")
        except (ConnectionError, BrokenPipeError):
            self.record.count("sessions cut")
        except (TimeoutError, ValueError) as e:
            self.record.fault(f"{self.now} ({talk.__name__}, abort at "
                              f"{self.abort_sent} sent, {self.abort_got} got): {e}")
        finally:
            self.sock.close()
