# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as frames, for tests: sends exactly the bytes it is given, and holds whatever comes against
what RFC 9113 demands of a sender (Lint). Either side of a connection: H2 is a client, h2server.py
has the server. Nothing here is repaired, repeated or left out."""

import select
import socket
import ssl
import struct
import time

import hpack

from h2hpack import block, to_bytes
from harness import SLOW

(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION) = range(10)
NAMES = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
         "WINDOW_UPDATE", "CONTINUATION")
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32
# The flags that a type has: all others are to be unset.
FLAGS = {DATA: END_STREAM | PADDED, HEADERS: END_STREAM | END_HEADERS | PADDED | PRIO, PRIORITY: 0,
         RST_STREAM: 0, SETTINGS: ACK, PUSH_PROMISE: END_HEADERS | PADDED, PING: ACK, GOAWAY: 0,
         WINDOW_UPDATE: 0, CONTINUATION: END_HEADERS}
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED,
 FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM,
 INADEQUATE_SECURITY, HTTP_1_1_REQUIRED) = range(14)
CODES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
         "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
         "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")
(HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE,
 MAX_HEADER_LIST_SIZE) = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = 2**31 - 1
TIMEOUT = 15 * SLOW # seconds until something that has to come has not


def code_name(code):
    return CODES[code] if code < len(CODES) else hex(code)


def frame(kind, flags=0, stream=0, payload=b"", reserved=0, length=None):
    """A frame; length: what its header says when that is not the truth."""
    n = len(payload) if length is None else length
    return struct.pack(">I", n)[1:] + struct.pack(">BBI", kind, flags,
                                                  stream | reserved << 31) + payload


def padded(payload, pad=0, said=None):
    """The payload of a padded frame; said: the length of padding it claims."""
    return bytes([pad if said is None else said]) + payload + bytes(pad)


def settings(*pairs, ack=False):
    return frame(SETTINGS, ACK if ack else 0, 0,
                 b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last=0, code=NO_ERROR, debug=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def ping(data=b"holdfast", ack=False):
    return frame(PING, ACK if ack else 0, 0, data)


def data(stream, payload=b"", end=False):
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def headers(stream, fields, end=True):
    """A HEADERS frame; fields: pairs, or a field block made by h2hpack."""
    payload = fields if isinstance(fields, bytes) else block(fields)
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, payload)


def request_fields(method="GET", path="/", authority="test", scheme="http", more=()):
    fields = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(n, v) for n, v in fields if v is not None] + list(more)


class Frame:
    """One frame that came. fields: of the block that ends in it, decoded, as text."""

    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.fields = None
        self.never_indexed = set() # names

    @property
    def end(self):
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def ack(self):
        return bool(self.flags & ACK)

    @property
    def code(self):
        """Of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload)[0]

    @property
    def last(self):
        return struct.unpack(">I", self.payload[:4])[0] & MAX_WINDOW

    @property
    def data(self):
        if self.kind == DATA and self.flags & PADDED:
            return self.payload[1:len(self.payload) - self.payload[0]]
        return self.payload

    def get(self, name):
        return dict(self.fields or ()).get(name)

    @property
    def status(self):
        return int(self.get(":status") or 0)

    def __repr__(self):
        name = NAMES[self.kind] if self.kind < len(NAMES) else f"type {self.kind}"
        more = ""
        if self.kind in (RST_STREAM, GOAWAY):
            more = " " + code_name(self.code)
        elif self.fields is not None:
            more = f" {self.fields}"
        return f"<{name} {self.flags:#x} stream {self.stream} {len(self.payload)} B{more}>"


class Violation(AssertionError):
    """What the other side sent is not allowed."""


class Closed(Exception):
    """The other side closed; .reset: by RST."""

    def __init__(self, what, reset=False):
        super().__init__(what)
        self.reset = reset


def demand(true, what):
    if not true:
        raise Violation(what)


class Lint:
    """What the peer sends against what it may send. peer: "server" or "client"."""

    def __init__(self, peer):
        self.peer = peer
        self.max_frame = 16384  # what we take
        self.frames = 0
        self.block = None       # stream whose field block goes on
        self.ended = {}         # stream -> what ended the peer's sending
        self.reset_by_us = set()
        self.seen = set()
        self.last_goaway = MAX_WINDOW
        self.window = 65535     # what the peer may still send: of the connection
        self.initial = 65535
        self.windows = {}

    def open_window(self, stream, n):
        if stream == 0:
            self.window += n
        else:
            self.windows[stream] = self.windows.get(stream, self.initial) + n

    def initial_changed(self, value):
        for s in self.windows:
            self.windows[s] += value - self.initial
        self.initial = value

    def check(self, f, reserved):
        self.frames += 1
        demand(self.frames > 1 or f.kind == SETTINGS and not f.ack, f"the first frame was {f}")
        demand(not reserved, f"reserved bit set in {f}")
        demand(len(f.payload) <= self.max_frame, f"{f} exceeds {self.max_frame}")
        demand(f.kind in FLAGS and not f.flags & ~FLAGS[f.kind], f"unused flags set in {f}")
        demand(f.kind != PUSH_PROMISE, "PUSH_PROMISE, which nobody asked for")
        demand((f.kind == CONTINUATION) == (self.block is not None) and
               (self.block in (None, f.stream)), f"{f} within the block of stream {self.block}")
        demand((f.stream == 0) == (f.kind in (SETTINGS, PING, GOAWAY)) or f.kind == WINDOW_UPDATE,
               f"{f} on stream {f.stream}")
        if f.kind in (DATA, HEADERS) and f.flags & PADDED:
            pad = f.payload[0]
            demand(not any(f.payload[len(f.payload) - pad:]), f"padding of {f} is not zero")
        if f.kind == SETTINGS:
            self._settings(f)
        if f.kind == GOAWAY:
            demand(f.last <= self.last_goaway, f"{f}: last stream went up to {f.last}")
            self.last_goaway = f.last
        if f.stream and f.kind != PRIORITY:
            self._stream(f)

    def _settings(self, f):
        demand(not (f.ack and f.payload) and len(f.payload) % 6 == 0, f"malformed {f}")
        for at in range(0, len(f.payload), 6):
            k, v = struct.unpack(">HI", f.payload[at:at + 6])
            demand(k != ENABLE_PUSH or v == 0 or (v == 1 and self.peer == "client"),
                   f"ENABLE_PUSH {v} from a {self.peer}")
            demand(k != INITIAL_WINDOW_SIZE or v <= MAX_WINDOW, f"INITIAL_WINDOW_SIZE {v}")
            demand(k != MAX_FRAME_SIZE or 16384 <= v < 2**24, f"MAX_FRAME_SIZE {v}")

    def _stream(self, f):
        demand(f.stream % 2 == 1, f"{f}: streams of clients are odd")
        if f.kind in (DATA, HEADERS):
            demand(f.stream not in self.ended, f"{f} after {self.ended.get(f.stream)}")
        if f.kind == RST_STREAM:
            demand(f.stream in self.seen, f"{f} for an idle stream")
            demand(f.stream not in self.reset_by_us, f"{f} in answer to our RST_STREAM")
        if self.peer == "client" and f.kind == HEADERS and f.stream not in self.seen:
            top = max(self.seen, default=0)
            demand(f.stream > top, f"{f}: not above {top}")
        if f.kind != WINDOW_UPDATE:
            self.seen.add(f.stream)
        if f.kind in (HEADERS, CONTINUATION):
            self.block = None if f.flags & END_HEADERS else f.stream
        if f.kind == DATA:
            self.window -= len(f.payload)
            self.open_window(f.stream, -len(f.payload))
            demand(self.window >= 0, f"{f}: {-self.window} bytes beyond the connection's window")
            if f.payload:
                demand(self.windows[f.stream] >= 0,
                       f"{f}: {-self.windows[f.stream]} bytes beyond the stream's window")
        if f.kind == RST_STREAM or f.end:
            self.ended[f.stream] = repr(f)


class Wire:
    """One side of a connection. refill: windows are opened again as data comes; ack: SETTINGS and
    PING are answered without being asked."""

    def __init__(self, sock, peer, refill=True, ack=True, timeout=None):
        self.sock = sock
        self.timeout = timeout or TIMEOUT
        self.lint = Lint(peer)
        self.refill, self.ack = refill, ack
        self.buf = b""
        self.waiting = []        # frames read and not asked for yet
        self.frames = []         # all that came
        self.decoder = hpack.Decoder(max_header_list_size=1 << 24)
        self.peer_settings = {}
        self._block = b""
        self._pending = []       # our SETTINGS that are not acknowledged

    # --- sending ----------------------------------------------------------------------------

    def send(self, *frames):
        """Sends bytes. What they allow the other side, and forbid it, is held against it: SETTINGS
        that widen at once, others from their ACK on."""
        out = b"".join(frames)
        self._note(out)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(out)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass # what it said before it closed is read

    def _note(self, out):
        if out.startswith(PREFACE):
            out = out[len(PREFACE):]
        while len(out) >= 9:
            n, (kind, flags, stream) = int.from_bytes(out[:3], "big"), struct.unpack(">BBI", out[3:9])
            stream &= MAX_WINDOW
            payload, out = out[9:9 + n], out[9 + n:]
            if kind == HEADERS:
                self.lint.seen.add(stream)
            if kind == RST_STREAM:
                self.lint.reset_by_us.add(stream)
            if kind == WINDOW_UPDATE and n == 4:
                self.lint.open_window(stream, int.from_bytes(payload, "big") & MAX_WINDOW)
            if kind == SETTINGS and not flags & ACK and n % 6 == 0:
                pairs = [struct.unpack(">HI", payload[i:i + 6]) for i in range(0, n, 6)]
                self._pending.append(pairs)
                self._apply(pairs, lambda new, old: new > old)

    def _apply(self, pairs, when):
        for k, v in pairs:
            if k == INITIAL_WINDOW_SIZE and when(v, self.lint.initial):
                self.lint.initial_changed(v)
            if k == MAX_FRAME_SIZE and when(v, self.lint.max_frame):
                self.lint.max_frame = v
            if k == HEADER_TABLE_SIZE and when(v, self.decoder.max_allowed_table_size):
                self.decoder.max_allowed_table_size = v

    # --- receiving --------------------------------------------------------------------------

    def _more(self, deadline, what):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no {what} in time; came: {self.frames[-12:]}")
        self.sock.settimeout(left)
        try:
            got = self.sock.recv(262144)
        except socket.timeout:
            raise TimeoutError(f"no {what} in time; came: {self.frames[-12:]}") from None
        except (ConnectionResetError, ssl.SSLError) as e:
            raise Closed(f"reset while waiting for {what} ({e}); came: {self.frames[-12:]}",
                         True) from None
        if not got:
            raise Closed(f"closed while waiting for {what}; came: {self.frames[-12:]}")
        self.buf += got

    def _next(self, deadline, what):
        while len(self.buf) < 9 or len(self.buf) < 9 + int.from_bytes(self.buf[:3], "big"):
            self._more(deadline, what)
        n = int.from_bytes(self.buf[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buf[3:9])
        f = Frame(kind, flags, stream & MAX_WINDOW, self.buf[9:9 + n])
        self.buf = self.buf[9 + n:]
        self.frames.append(f)
        self.lint.check(f, stream >> 31)
        self._keep_up(f)
        return f

    def _keep_up(self, f):
        if f.kind in (HEADERS, CONTINUATION):
            part = f.payload
            if f.kind == HEADERS and f.flags & PADDED:
                part = part[1:len(part) - part[0]]
            if f.kind == HEADERS and f.flags & PRIO:
                part = part[5:]
            self._block += part
            if f.flags & END_HEADERS:
                got = self.decoder.decode(self._block, raw=True)
                self._block = b""
                f.fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in got]
                f.never_indexed = {h[0].decode("latin-1") for h in got
                                   if not getattr(h, "indexable", True)}
        if f.kind == SETTINGS and not f.ack:
            for at in range(0, len(f.payload), 6):
                k, v = struct.unpack(">HI", f.payload[at:at + 6])
                self.peer_settings[k] = v
            if self.ack:
                self.send(settings(ack=True))
        if f.kind == SETTINGS and f.ack:
            demand(self._pending, f"{f} for SETTINGS that were not sent")
            self._apply(self._pending.pop(0), lambda new, old: True)
        if f.kind == PING and not f.ack and self.ack:
            self.send(ping(f.payload, ack=True))
        if f.kind == DATA and f.payload and self.refill:
            self.send(window_update(0, len(f.payload)))
            if not f.end:
                self.send(window_update(f.stream, len(f.payload)))

    def wait(self, want, what="frame", timeout=None):
        """The next frame for which want(frame); others are kept for later."""
        for i, f in enumerate(self.waiting):
            if want(f):
                return self.waiting.pop(i)
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            f = self._next(deadline, what)
            if want(f):
                return f
            self.waiting.append(f)

    def on(self, stream, *kinds, timeout=None):
        """The next frame of a stream (of those kinds)."""
        return self.wait(lambda f: f.stream == stream and (not kinds or f.kind in kinds),
                         f"frame of stream {stream}", timeout)

    def kind(self, kind, timeout=None):
        return self.wait(lambda f: f.kind == kind, NAMES[kind], timeout)

    def settings_acked(self):
        return self.wait(lambda f: f.kind == SETTINGS and f.ack, "ACK of SETTINGS")

    def sync(self, mark=None):
        """Until a PING sent now is answered: everything before it has been dealt with."""
        mark = mark or struct.pack(">d", time.monotonic())
        self.send(ping(mark))
        return self.wait(lambda f: f.kind == PING and f.ack and f.payload == mark, "PING ACK")

    def quiet(self, seconds=0.3):
        """Whether nothing more comes for that long."""
        while not self.waiting and select.select([self.sock], [], [], seconds)[0]:
            try:
                self.waiting.append(self._next(time.monotonic() + self.timeout, "frame"))
            except Closed:
                return False
        return not self.waiting

    def closed(self, timeout=None):
        """Until the other side closes: what came before that, GOAWAY of errors among it."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            try:
                self.waiting.append(self._next(deadline, "end of the connection"))
            except Closed:
                return self.frames

    # --- expectations -----------------------------------------------------------------------

    def connection_error(self, *codes):
        """GOAWAY with one of the codes, and then the end of the connection."""
        self.closed()
        errors = [f for f in self.frames if f.kind == GOAWAY and f.code != NO_ERROR]
        assert errors, f"ended without GOAWAY; came: {self.frames}"
        assert errors[-1].code in codes, \
            f"{errors[-1]}, not {' or '.join(map(code_name, codes))}; came: {self.frames}"
        return errors[-1]

    def stream_error(self, stream, *codes):
        """RST_STREAM with one of the codes, and the connection goes on."""
        f = self.wait(lambda f: f.kind == GOAWAY and f.code or
                      f.kind == RST_STREAM and f.stream == stream, f"RST_STREAM of {stream}")
        assert f.kind == RST_STREAM, f"a connection error: {f}; came: {self.frames}"
        assert f.code in codes, f"{f}, not {' or '.join(map(code_name, codes))}"
        self.sync()
        return f

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Answer:
    def __init__(self):
        self.interim, self.head, self.trailers, self.body = [], None, None, b""

    @property
    def status(self):
        return self.head.status if self.head else 0

    def get(self, name):
        return self.head.get(name)

    def __repr__(self):
        return f"<Answer {self.head} {self.body[:100]!r}>"


class H2(Wire):
    """A client. start: preface and SETTINGS are sent at once."""

    def __init__(self, port, start=True, first=(), tls=None, server_name="test", **options):
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_name)
        super().__init__(sock, "server", **options)
        self.next_stream = 1
        if start:
            self.send(PREFACE, settings(*first))

    def new_stream(self):
        s = self.next_stream
        self.next_stream += 2
        return s

    def request(self, *args, end=True, **options):
        """Sends a request's head; its stream."""
        s = self.new_stream()
        self.send(headers(s, request_fields(*args, **options), end))
        return s

    def answer(self, stream):
        """The whole answer on a stream."""
        a = Answer()
        while True:
            f = self.on(stream)
            assert f.kind != RST_STREAM, f"stream {stream}: {f} instead of the answer {a}"
            if f.kind == DATA:
                a.body += f.data
            elif f.kind in (HEADERS, CONTINUATION) and f.fields is not None:
                if a.head is not None:
                    a.trailers = f.fields
                elif f.status < 200:
                    a.interim.append(f)
                else:
                    a.head = f
            if f.end:
                return a

    def answer_body(self, stream):
        """What is left of the body, to its end."""
        body = b""
        while True:
            f = self.on(stream, DATA, HEADERS, RST_STREAM)
            assert f.kind != RST_STREAM, f"stream {stream}: {f} within the body"
            body += f.data if f.kind == DATA else b""
            if f.end:
                return body

    def get(self, *args, body=None, **options):
        """A whole exchange."""
        s = self.request(*args, end=body is None, **options)
        if body is not None:
            self.send(data(s, to_bytes(body), end=True))
        return self.answer(s)

    def malformed(self, stream, *codes):
        """The stream is reset with PROTOCOL_ERROR; an answer of 4xx may come before."""
        self.stream_error(stream, *(codes or (PROTOCOL_ERROR,)))
        for f in self.frames:
            assert f.stream != stream or f.fields is None or 400 <= f.status < 500, f
