# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 connections and streams as RFC 9113 wants them: prefaces, settings, flow control, what is
still taken after a stream's end, and what a sender may do. Each frame that comes is held against the
rules for senders as well (h2wire.Lint)."""

import struct
import threading
import time

import pytest

from h2hpack import INDEXING, FIRST_DYNAMIC, block, indexed, literal
from h2stand import BAD, Unseen, arrived, case, rfc, served
from h2wire import (ACK, CANCEL, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM,
                    FLOW_CONTROL_ERROR, GOAWAY, H2, HEADERS, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE,
                    MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PADDED,
                    PREFACE, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS,
                    Closed, data, frame, goaway, headers, padded, ping, request_fields, rst,
                    settings, window_update)
from harness import wait_for
from stand import make
from wire import raw

pytestmark = pytest.mark.sanitize
whole_module, stand = make(listener={"http2": {"max_streams": 20}})


# --- prefaces ---------------------------------------------------------------------------------

@rfc("9113-3.4-2 9113-3.3-2 9113-3.2-2 9113-6.5-1")
def test_server_preface(stand):
    """SETTINGS come first, and without waiting for a request."""
    with H2(stand.port) as c:
        f = c.wait(lambda f: True)
        assert f.kind == SETTINGS and not f.ack and f.stream == 0


@rfc("9113-3.4-3 9113-6.5.3-4 9113-6.5-3")
def test_settings_are_acknowledged(stand):
    """Each SETTINGS once, the ACK without content, before anything that came later."""
    with H2(stand.port) as c:
        c.send(settings((0x99, 1)), settings())
        c.sync()
        acks = [f for f in c.frames if f.kind == SETTINGS and f.ack]
        assert len(acks) == 3 and not any(f.payload for f in acks)


BAD_PREFACES = [
    case("another word", "9113-3.4-4", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings()),
    case("a frame that is not SETTINGS", "9113-3.4-1 9113-3.4-4", PREFACE + ping()),
    case("a request at once", "9113-3.4-1 9113-3.4-4",
         PREFACE + headers(1, request_fields(more=[BAD]))),
    case("an ACK at once", "9113-3.4-1 9113-3.4-4", PREFACE + settings(ack=True)),
    case("a field too long for SETTINGS", "9113-3.4-4",
         PREFACE + frame(SETTINGS, 0, 0, bytes(5))),
    case("HTTP/1.1 after the preface", "9113-3.4-4",
         PREFACE + b"GET / HTTP/1.1\r\nHost: test\r\nX-Test-Id: bad\r\n\r\n"),
]


@pytest.mark.parametrize("start", BAD_PREFACES)
def test_bad_preface(stand, start):
    """The connection ends; GOAWAY may be left out here, but tells no other story."""
    with Unseen(stand), H2(stand.port, start=False) as c:
        c.send(start + headers(3, request_fields(more=[BAD])))
        if start.startswith(PREFACE):
            c.closed()
            errors = [f for f in c.frames if f.kind == GOAWAY]
            assert all(f.code in (PROTOCOL_ERROR, 6) for f in errors), c.frames
        else: # nothing tells that this was to be HTTP/2
            assert raw(stand.port, start)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 505")


@rfc("9113-3.2-1")
def test_h2c_is_not_selected(stand):
    """Upgrade: h2c is answered by HTTP/1.1."""
    got = raw(stand.port, "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings, close"
              "\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 ") and not got.startswith(b"HTTP/1.1 101"), got[:200]


@rfc("9113-4.2-1")
def test_preface_in_pieces(stand):
    """Byte by byte; and frames of the full length."""
    with H2(stand.port, start=False) as c:
        for b in PREFACE + settings():
            c.sock.send(bytes([b]))
        c._note(PREFACE + settings()) # pylint: disable=protected-access
        served(c)
        s = c.request("POST", "/echo", end=False)
        c.send(data(s, b"x" * 16384), data(s, b"y" * 16384, end=True))
        assert c.answer(s).body == b"x" * 16384 + b"y" * 16384


# --- settings ---------------------------------------------------------------------------------

@rfc("9113-6.5-2 9113-6.5.3-1 9113-4.1-1")
def test_settings_are_obeyed(stand):
    """Each setting that this specification has, and its change in the middle."""
    with H2(stand.port, first=[(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (MAX_CONCURRENT_STREAMS, 0),
                               (INITIAL_WINDOW_SIZE, 100), (MAX_FRAME_SIZE, 20000),
                               (MAX_HEADER_LIST_SIZE, 100000)], refill=False) as c:
        s = c.request(path="/bytes/1000")
        got = 0
        while got < 100:
            got += len(c.on(s, DATA).payload)
        assert got == 100
        c.send(settings((INITIAL_WINDOW_SIZE, 65535)))
        assert len(c.answer_body(s)) == 900
        c.send(window_update(0, 1 << 20), settings((INITIAL_WINDOW_SIZE, 1 << 20)))
        a = c.get(path="/bytes/200000")
        assert len(a.body) == 200000
        assert max(len(f.payload) for f in c.frames) <= 20000
        c.send(settings((MAX_FRAME_SIZE, 16384)))
        c.sync()
        assert len(c.get(path="/bytes/200000").body) == 200000


@rfc("9113-6.5.3-2")
def test_settings_in_their_order(stand):
    """The last of several values counts."""
    with H2(stand.port, refill=False, first=[(INITIAL_WINDOW_SIZE, 1000), (INITIAL_WINDOW_SIZE, 7),
                                             (INITIAL_WINDOW_SIZE, 500), (INITIAL_WINDOW_SIZE, 10)]
            ) as c:
        s = c.request(path="/bytes/1000")
        assert len(c.on(s, DATA).payload) == 10
        c.sync()
        assert sum(len(f.payload) for f in c.frames if f.kind == DATA) == 10


@rfc("9113-6.5.2-1 9113-6.5.2-4 9113-6.5.2-5 9113-6.6-7")
def test_nothing_is_pushed(stand):
    """Allowed or not: and the server says nothing of ENABLE_PUSH but 0."""
    for value in (0, 1):
        with H2(stand.port, first=[(ENABLE_PUSH, value)]) as c:
            assert c.get(path="/early-hints").status == 200
            served(c)
            assert not [f for f in c.frames if f.kind == PUSH_PROMISE]
            assert c.peer_settings.get(ENABLE_PUSH, 0) == 0


@rfc("9113-4.3.1-1 7541-4.2-1 7541-4.2-2 7541-4.2-3")
def test_header_table_gets_smaller(stand):
    """Down to nothing, and up again within one breath: the least of it is told."""
    with H2(stand.port) as c:
        for i in range(5):
            assert c.get(path=f"/still?{i}").status == 200
        c.send(settings((HEADER_TABLE_SIZE, 0)))
        c.settings_acked(), c.settings_acked()
        served(c)
        assert c.decoder.header_table_size == 0
        c.send(settings((HEADER_TABLE_SIZE, 4096)))
        c.sync()
        served(c)
        # Two changes before the next field block: both are told, the smaller first.
        c.send(settings((HEADER_TABLE_SIZE, 128)), settings((HEADER_TABLE_SIZE, 4096)))
        c.sync()
        c.decoder.max_allowed_table_size = 4096
        at = len(c.frames)
        served(c)
        first = next(f for f in c.frames[at:] if f.kind == HEADERS)
        assert first.payload[0] & 0xe0 == 0x20, first.payload[:4].hex()
        smallest = first.payload[0] & 31
        if smallest == 31:
            smallest += first.payload[1] & 127
        assert smallest <= 128


# --- PING, GOAWAY -----------------------------------------------------------------------------

@rfc("9113-6.7-2 9113-6.7-3")
def test_ping(stand):
    with H2(stand.port) as c:
        c.send(ping(b"abcdefgh"), ping(b"\0\1\2\3\4\5\6\7"))
        got = [c.wait(lambda f: f.kind == 6) for _ in range(2)]
        assert [f.payload for f in got] == [b"abcdefgh", b"\0\1\2\3\4\5\6\7"]
        assert all(f.flags == ACK for f in got)


@rfc("9113-6.7-4")
def test_ping_ack_is_not_answered(stand):
    with H2(stand.port) as c:
        c.send(ping(b"unasked!", ack=True))
        c.sync()
        assert [f.payload for f in c.frames if f.kind == 6].count(b"unasked!") == 0


@rfc("9113-6.8-5")
def test_debug_data_is_not_kept(stand):
    """What a client writes into GOAWAY stands nowhere."""
    with H2(stand.port) as c:
        served(c)
        c.send(goaway(0, PROTOCOL_ERROR, b"secret-of-a-client"))
        c.closed()
    assert "secret-of-a-client" not in stand.node.log


# --- identifiers and states -------------------------------------------------------------------

@rfc("9113-5.1.1-2")
def test_identifiers_may_be_skipped(stand):
    """Streams that were passed over are closed: a request on one is an error of the connection."""
    with Unseen(stand), H2(stand.port) as c:
        c.send(headers(7, request_fields()))
        assert c.answer(7).status == 200
        c.send(headers(5, request_fields(more=[BAD])))
        c.connection_error(PROTOCOL_ERROR, 5)


@rfc("9113-5.1.2-1 9113-5.1.2-2")
def test_too_many_streams(stand):
    """The one too many is refused, and no server sees it; the others go on. Or the connection
    ends, which section 5.4.1 allows: the client had acknowledged the limit."""
    with H2(stand.port) as c:
        c.sync()
        most = c.peer_settings[MAX_CONCURRENT_STREAMS]
        assert most == 20
        c.settings_acked()
        streams = [c.request("POST", "/echo", end=False) for _ in range(most)]
        with Unseen(stand):
            extra = c.request("GET", "/", more=[BAD])
            f = c.wait(lambda f: f.kind == GOAWAY or f.kind == RST_STREAM and f.stream == extra)
            assert f.code in (REFUSED_STREAM, PROTOCOL_ERROR), f
        if f.kind == GOAWAY:
            c.connection_error(PROTOCOL_ERROR)
            return
        for s in streams:
            c.send(data(s, b"hello", end=True))
        assert [c.answer(s).body for s in streams] == [b"hello"] * most
        served(c)


@rfc("9113-5.1-9 9113-5.4.2-1 9113-6.4-2 9113-6.9-4 9113-10.5.1-1")
def test_frames_after_a_reset_by_the_server(stand):
    """What comes for a stream that the server has reset still counts for the connection: the table
    of the field compression, the window."""
    with H2(stand.port) as c:
        fields = request_fields("POST", "/x", more=[("Bad", "name")])
        s = c.new_stream()
        c.send(headers(s, fields, end=False))
        c.stream_error(s, PROTOCOL_ERROR)
        for _ in range(40): # ten times the window, were it not given back
            c.send(data(s, bytes(16000)))
            c.sync()
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, literal("x-kept", "in the table", INDEXING)))
        s = c.new_stream()
        c.send(headers(s, block(request_fields(path="/dump")) + indexed(FIRST_DYNAMIC)))
        assert b"in the table" in c.answer(s).body


@rfc("9113-6.4-1 9113-5.1-8 9113-5.4.2-2")
def test_reset_by_the_client(stand):
    """Nothing more comes on the stream, no RST_STREAM either; the server's connection ends."""
    with H2(stand.port) as c:
        s = c.request(path="/slow/1000000?rate=1000")
        c.on(s, HEADERS)
        c.send(rst(s))
        c.sync()
        at = len(c.frames)
        served(c)
        time.sleep(0.3)
        served(c)
        assert not [f for f in c.frames[at:] if f.stream == s], c.frames[at:]


@rfc("9113-5.2.2-1 9113-6.9-1")
def test_control_frames_while_windows_are_closed(stand):
    """PING, SETTINGS and heads come and go while no data may."""
    with H2(stand.port, first=[(INITIAL_WINDOW_SIZE, 0)], refill=False) as c:
        streams = [c.request(path="/bytes/100000") for _ in range(5)]
        for s in streams:
            assert c.on(s, HEADERS).status == 200
        c.sync()
        c.send(settings((0x99, 1)))
        c.settings_acked(), c.settings_acked()
        assert c.get(path="/status/204").status == 204
        assert not [f for f in c.frames if f.kind == DATA and f.payload]
        for s in streams:
            c.send(window_update(s, 200000))
        c.send(window_update(0, 1000000))
        assert [len(c.answer_body(s)) for s in streams] == [100000] * 5


@rfc("9113-5.2.1-1 9113-6.9.1-1")
def test_windows_are_respected(stand):
    """The connection's and the stream's, to the byte."""
    with H2(stand.port, refill=False) as c:
        s = c.request(path="/bytes/200000")
        got = 0
        while got < 65535:
            got += len(c.on(s, DATA).payload)
        c.send(window_update(s, 1000)) # the connection's is still closed
        c.sync()
        assert sum(len(f.payload) for f in c.frames if f.kind == DATA) == 65535
        c.send(window_update(0, 300)) # now 300 of the stream's 1000 may come
        got = 0
        while got < 300: # in one frame or several, as they come from the server
            got += len(c.on(s, DATA).payload)
        c.sync()
        assert sum(len(f.payload) for f in c.frames if f.kind == DATA) == 65835
        c.send(window_update(0, 1 << 20), window_update(s, 1 << 20))
        while not c.on(s, DATA).end:
            pass
        assert sum(len(f.payload) for f in c.frames if f.kind == DATA) == 200000


@rfc("9113-6.9.2-1 9113-6.9.2-2")
def test_window_below_zero(stand):
    """A window that SETTINGS took below zero has to rise above it first."""
    with H2(stand.port, first=[(INITIAL_WINDOW_SIZE, 1000)], refill=False) as c:
        s = c.request(path="/bytes/5000")
        got = 0
        while got < 1000:
            got += len(c.on(s, DATA).payload)
        c.send(settings((INITIAL_WINDOW_SIZE, 200))) # 800 below zero
        c.settings_acked(), c.settings_acked()
        c.send(window_update(s, 800))
        c.sync()
        assert sum(len(f.payload) for f in c.frames if f.kind == DATA) == 1000
        c.send(window_update(s, 1))
        assert len(c.on(s, DATA).payload) == 1
        c.send(settings((INITIAL_WINDOW_SIZE, 60000)))
        assert len(c.answer_body(s)) == 3999


@rfc("9113-6.9-4 9113-6.9.1-1")
def test_windows_are_given_back(stand):
    """A long upload: as the server takes the bytes, the windows open again; padding counts too."""
    with H2(stand.port) as c:
        s = c.request("POST", "/echo?discard=1", end=False)
        c.sync()
        room = {0: 65535, s: c.peer_settings.get(INITIAL_WINDOW_SIZE, 65535)}
        seen = left = 0
        for f in c.frames:
            if f.kind == 8 and f.stream in room:
                room[f.stream] += struct.unpack(">I", f.payload)[0]
        seen, left = len(c.frames), 2_000_000
        while left > 0:
            while min(room.values()) < 1000:
                if len(c.frames) == seen:
                    c.waiting.append(c._next(time.monotonic() + 20, "WINDOW_UPDATE"))
                for f in c.frames[seen:]:
                    if f.kind == 8 and f.stream in room:
                        room[f.stream] += struct.unpack(">I", f.payload)[0]
                seen = len(c.frames)
            payload = padded(bytes(600), 99)
            c.send(frame(DATA, PADDED, s, payload))
            left -= len(payload)
            room[0] -= len(payload)
            room[s] -= len(payload)
        c.send(data(s, end=True))
        assert c.answer(s).status == 200


@rfc("9113-6.9.1-1 9113-5.2.1-1")
def test_client_beyond_the_window(stand):
    """More than our windows hold while the server takes nothing."""
    with H2(stand.port) as c:
        s = c.request("POST", "/hang", end=False)
        c.sync()
        try:
            for _ in range(4000): # 64 MB: beyond whatever the window may be
                c.sock.sendall(data(s, bytes(16384)))
        except OSError:
            pass
        f = c.wait(lambda f: f.kind in (GOAWAY, RST_STREAM))
        assert f.code == FLOW_CONTROL_ERROR, f


@rfc("9113-6.9-3")
def test_window_update_after_the_end(stand):
    with H2(stand.port) as c:
        s = c.request()
        c.answer(s)
        c.send(window_update(s, 1000))
        served(c)
        s = c.request(path="/slow/200")
        c.on(s, HEADERS)
        c.send(window_update(s, 1000)) # half-closed (remote)
        assert c.answer_body(s) is not None
        served(c)


@rfc("9113-6.10-1 9113-6.2-2")
def test_field_block_in_many_frames(stand):
    """HEADERS, with padding and priority, and CONTINUATION, cut within names and values."""
    with H2(stand.port) as c:
        b = block(request_fields(path="/dump"))
        c.send(frame(HEADERS, END_STREAM | PADDED | 32, 1, padded(bytes(5) + b[:1], 10)))
        parts = [b[1:2], b[2:3], b[3:10], b[10:11], b"", b[11:30], b[30:]]
        for p in parts:
            c.send(frame(CONTINUATION, END_HEADERS if p is parts[-1] else 0, 1, p))
        c.next_stream = 3
        assert c.answer(1).status == 200
        served(c)


@rfc("9113-6.1-1 9113-6.2-1")
def test_padding_of_ours(stand):
    """If there were padding it would be zeros: every frame that came was looked at (h2wire.Lint)."""
    with H2(stand.port) as c:
        assert len(c.get(path="/bytes/100000").body) == 100000
        for f in c.frames:
            if f.kind in (DATA, HEADERS) and f.flags & PADDED:
                assert not any(f.payload[len(f.payload) - f.payload[0]:])


@rfc("9113-5.4-1")
def test_error_tells_the_last_stream(stand):
    """GOAWAY names the last stream that was dealt with."""
    with H2(stand.port) as c:
        served(c)
        served(c)
        c.send(frame(DATA, 0, 0, b"x"))
        assert c.connection_error(PROTOCOL_ERROR).last == 3


# --- drain ------------------------------------------------------------------------------------

@rfc("9113-6.8-1 9113-6.8-3 9113-8.7-1 9113-8.7-2 9113-6.8-4")
def test_upgrade_says_goaway(stand):
    """Streams that are open when a proxy is replaced are served; GOAWAY never names one of them as
    not seen, and its last stream never goes up (h2wire.Lint)."""
    with H2(stand.port) as c:
        s = c.request("POST", "/echo", end=False)
        c.sync()
        old = stand.node.role_pid("proxy")
        stand.node.cli("upgrade")
        first = c.kind(GOAWAY)
        assert first.code == NO_ERROR and first.last >= s
        late = c.request("GET", "/late") # may have been on its way
        c.send(data(s, b"hello", end=True))
        assert c.answer(s).body == b"hello"
        c.closed()
        final = [f for f in c.frames if f.kind == GOAWAY][-1]
        assert final.last >= s and final.code == NO_ERROR
        if late <= final.last:
            assert c.answer(late).status == 200
        wait_for(lambda: stand.node.role_pid("proxy") != old)
    with H2(stand.port) as c:
        served(c)
