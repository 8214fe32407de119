# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames that must not be, each by itself: the error has the code that RFC 9113 names, ends
what it has to end and nothing more, and no request comes of it."""

import struct

import pytest

from h2hpack import block
from h2stand import BAD, Unseen, case, rfc, served
from h2wire import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENABLE_PUSH, FLOW_CONTROL_ERROR,
                    FRAME_SIZE_ERROR, GOAWAY, H2, HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE,
                    MAX_WINDOW, PADDED, PING, PRIO, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
                    RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, data, frame, goaway, headers,
                    padded, ping, request_fields, rst, settings, window_update)
from stand import make

pytestmark = pytest.mark.sanitize
whole_module, stand = make()

# A client that has had one good exchange, on stream 1. Stream 3 is idle.
REQUEST = block(request_fields(more=[BAD]))
OPEN = frame(HEADERS, END_HEADERS, 3, block(request_fields("POST", "/echo")))
BEGUN = frame(HEADERS, END_STREAM, 3, REQUEST[:10]) # its field block goes on
REST = REQUEST[10:]

CONNECTION_ERRORS = [
    case("DATA on stream 0", "9113-6.1-2 9113-6.1-3", PROTOCOL_ERROR, data(0, b"x")),
    case("DATA padding as long as the payload", "9113-6.1-5", PROTOCOL_ERROR,
         OPEN + frame(DATA, PADDED, 3, padded(b"abc", said=4))),
    case("DATA padding longer than the payload", "9113-6.1-5", PROTOCOL_ERROR,
         OPEN + frame(DATA, PADDED, 3, padded(b"abc", said=200))),
    case("DATA padded without a length", "9113-4.2-2", (FRAME_SIZE_ERROR, PROTOCOL_ERROR),
         OPEN + frame(DATA, PADDED, 3)),
    case("DATA on an idle stream", "9113-5.1-1", PROTOCOL_ERROR, data(5, b"x")),
    case("HEADERS on stream 0", "9113-6.2-4 9113-6.2-5", PROTOCOL_ERROR,
         frame(HEADERS, END_HEADERS | END_STREAM, 0, REQUEST)),
    case("HEADERS padding longer than the payload", "9113-6.2-6", PROTOCOL_ERROR,
         frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 3, padded(REQUEST, said=255))),
    case("HEADERS padding as long as the payload", "9113-6.2-6", PROTOCOL_ERROR,
         frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 3, padded(b"\x82" * 9, said=10))),
    case("HEADERS too short for its priority", "9113-4.2-2 9113-4.2-3", FRAME_SIZE_ERROR,
         frame(HEADERS, END_HEADERS | END_STREAM | PRIO, 3, b"\0\0\0")),
    case("HEADERS on an even stream", "9113-5.1-2 9113-5.1.1-1 9113-5.1.1-3", PROTOCOL_ERROR,
         headers(2, request_fields(more=[BAD]))),
    case("HEADERS on a stream below", "9113-5.1.1-2 9113-5.1.1-3", PROTOCOL_ERROR,
         headers(9, request_fields("POST", "/hang"), end=False) +
         headers(5, request_fields(more=[BAD]))),
    case("HEADERS longer than a frame may be", "9113-4.2-2 9113-4.2-3", FRAME_SIZE_ERROR,
         frame(HEADERS, END_HEADERS | END_STREAM, 3, REQUEST + bytes(16385 - len(REQUEST)))),
    case("PRIORITY on stream 0", "9113-6.3-1", PROTOCOL_ERROR, frame(PRIORITY, 0, 0, bytes(5))),
    case("RST_STREAM on stream 0", "9113-6.4-3 9113-6.4-4", PROTOCOL_ERROR, rst(0)),
    case("RST_STREAM on an idle stream", "9113-6.4-5 9113-6.4-6 9113-5.1-1", PROTOCOL_ERROR,
         rst(5)),
    case("RST_STREAM of 3 bytes", "9113-6.4-7", FRAME_SIZE_ERROR,
         OPEN + frame(RST_STREAM, 0, 3, bytes(3))),
    case("RST_STREAM of 5 bytes", "9113-6.4-7", FRAME_SIZE_ERROR,
         OPEN + frame(RST_STREAM, 0, 3, bytes(5))),
    case("SETTINGS on a stream", "9113-6.5-5 9113-6.5-6", PROTOCOL_ERROR,
         OPEN + frame(SETTINGS, 0, 3)),
    case("SETTINGS ACK with content", "9113-6.5-3 9113-6.5-4", FRAME_SIZE_ERROR,
         frame(SETTINGS, 1, 0, bytes(6))),
    case("SETTINGS of 5 bytes", "9113-6.5-8", FRAME_SIZE_ERROR, frame(SETTINGS, 0, 0, bytes(5))),
    case("SETTINGS with half a setting", "9113-6.5-8", FRAME_SIZE_ERROR,
         frame(SETTINGS, 0, 0, settings((3, 100))[9:] + b"\0\4")),
    case("SETTINGS longer than a frame may be", "9113-4.2-2 9113-4.2-3", FRAME_SIZE_ERROR,
         frame(SETTINGS, 0, 0, settings((100, 1))[9:] * 2731)),
    case("ENABLE_PUSH 2", "9113-6.5.2-3 9113-6.5-7", PROTOCOL_ERROR, settings((ENABLE_PUSH, 2))),
    case("INITIAL_WINDOW_SIZE of 2^31", "9113-6.5.2-7", FLOW_CONTROL_ERROR,
         settings((INITIAL_WINDOW_SIZE, 2**31))),
    case("MAX_FRAME_SIZE of 16383", "9113-6.5.2-8 9113-6.5.2-9", PROTOCOL_ERROR,
         settings((MAX_FRAME_SIZE, 16383))),
    case("MAX_FRAME_SIZE of 2^24", "9113-6.5.2-8 9113-6.5.2-9", PROTOCOL_ERROR,
         settings((MAX_FRAME_SIZE, 2**24))),
    case("INITIAL_WINDOW_SIZE beyond what a window holds", "9113-6.9.2-3", FLOW_CONTROL_ERROR,
         OPEN + window_update(3, MAX_WINDOW - 65535) + settings((INITIAL_WINDOW_SIZE, 65536))),
    case("PUSH_PROMISE from a client", "9113-8.4-6 9113-8.4.1-4", PROTOCOL_ERROR,
         OPEN + frame(PUSH_PROMISE, END_HEADERS, 3, struct.pack(">I", 2) + REQUEST)),
    case("PUSH_PROMISE on stream 0", "9113-6.6-6", PROTOCOL_ERROR,
         frame(PUSH_PROMISE, END_HEADERS, 0, struct.pack(">I", 2) + REQUEST)),
    case("PING on a stream", "9113-6.7-5", PROTOCOL_ERROR, OPEN + frame(PING, 0, 3, bytes(8))),
    case("PING of 7 bytes", "9113-6.7-1 9113-6.7-6", FRAME_SIZE_ERROR, ping(bytes(7))),
    case("PING of 9 bytes", "9113-6.7-1 9113-6.7-6", FRAME_SIZE_ERROR, ping(bytes(9))),
    case("GOAWAY on a stream", "9113-6.8-2", PROTOCOL_ERROR, OPEN + frame(GOAWAY, 0, 3, bytes(8))),
    case("GOAWAY of 7 bytes", "9113-4.2-2 9113-4.2-3", FRAME_SIZE_ERROR,
         frame(GOAWAY, 0, 0, bytes(7))),
    case("WINDOW_UPDATE of 3 bytes", "9113-6.9-5", FRAME_SIZE_ERROR,
         frame(WINDOW_UPDATE, 0, 0, bytes(3))),
    case("WINDOW_UPDATE of 5 bytes on a stream", "9113-6.9-5", FRAME_SIZE_ERROR,
         OPEN + frame(WINDOW_UPDATE, 0, 3, bytes(5))),
    case("WINDOW_UPDATE by 0 for the connection", "9113-6.9-2", PROTOCOL_ERROR,
         window_update(0, 0)),
    case("WINDOW_UPDATE beyond 2^31-1 for the connection", "9113-6.9.1-2 9113-6.9.1-3",
         FLOW_CONTROL_ERROR, window_update(0, MAX_WINDOW)),
    case("WINDOW_UPDATE on an idle stream", "9113-5.1-1", PROTOCOL_ERROR, window_update(5, 1)),
    case("CONTINUATION on stream 0", "9113-6.10-3 9113-6.10-4", PROTOCOL_ERROR,
         frame(CONTINUATION, END_HEADERS, 0, REQUEST)),
    case("CONTINUATION on stream 0 within a field block", "9113-6.10-4", PROTOCOL_ERROR,
         BEGUN + frame(CONTINUATION, END_HEADERS, 0, REST)),
    case("CONTINUATION of nothing", "9113-6.10-5 9113-6.10-6", PROTOCOL_ERROR,
         frame(CONTINUATION, END_HEADERS, 3, REQUEST)),
    case("CONTINUATION after the field block's end", "9113-6.10-5 9113-6.10-6", PROTOCOL_ERROR,
         OPEN + frame(CONTINUATION, END_HEADERS, 3, REST)),
    case("CONTINUATION after DATA", "9113-6.10-5 9113-6.10-6", PROTOCOL_ERROR,
         OPEN + data(3, b"x") + frame(CONTINUATION, END_HEADERS, 3, REST)),
    case("DATA within a field block", "9113-4.3-1 9113-6.2-2 9113-6.2-3 9113-8.1-1", PROTOCOL_ERROR,
         BEGUN + data(3, b"x")),
    case("HEADERS within a field block", "9113-4.3-1 9113-6.2-3", PROTOCOL_ERROR,
         BEGUN + headers(5, request_fields(more=[BAD]))),
    case("PING within a field block", "9113-4.3-1 9113-6.2-3 9113-8.1-1", PROTOCOL_ERROR,
         BEGUN + ping()),
    case("PRIORITY within a field block", "9113-6.2-3", PROTOCOL_ERROR,
         BEGUN + frame(PRIORITY, 0, 3, bytes(5))),
    case("WINDOW_UPDATE within a field block", "9113-6.2-3", PROTOCOL_ERROR,
         BEGUN + window_update(0, 1)),
    case("CONTINUATION of another stream", "9113-6.2-3 9113-6.10-2", PROTOCOL_ERROR,
         BEGUN + frame(CONTINUATION, END_HEADERS, 5, REST)),
    case("frame of no known type within a field block", "9113-5.5-3", PROTOCOL_ERROR,
         BEGUN + frame(99, 0, 3, b"x")),
    case("frame of no known type within a field block, on stream 0", "9113-5.5-3", PROTOCOL_ERROR,
         BEGUN + frame(99, 0, 0, b"x")),
    case("another frame after CONTINUATION", "9113-6.10-1 9113-6.10-2", PROTOCOL_ERROR,
         BEGUN + frame(CONTINUATION, 0, 3, REST[:5]) + ping()),
    case("another stream's after CONTINUATION", "9113-6.10-1 9113-6.10-2", PROTOCOL_ERROR,
         BEGUN + frame(CONTINUATION, 0, 3, REST[:5]) +
         frame(CONTINUATION, END_HEADERS, 5, REST[5:])),
]


@pytest.mark.parametrize("code, bad", CONNECTION_ERRORS)
@rfc("9113-5.4-1 9113-5.4.1-1")
def test_connection_error(stand, code, bad):
    """GOAWAY with that code, and the connection is closed."""
    with Unseen(stand), H2(stand.port) as c:
        assert c.get().status == 200
        c.send(bad)
        c.connection_error(*(code if isinstance(code, tuple) else (code,)))


STREAM_ERRORS = [
    case("PRIORITY of 4 bytes", "9113-6.3-2", FRAME_SIZE_ERROR, frame(PRIORITY, 0, 3, bytes(4))),
    case("PRIORITY of 6 bytes", "9113-6.3-2", FRAME_SIZE_ERROR, frame(PRIORITY, 0, 3, bytes(6))),
    case("WINDOW_UPDATE by 0", "9113-6.9-2", PROTOCOL_ERROR, window_update(3, 0)),
    case("DATA longer than a frame may be", "9113-4.2-2", FRAME_SIZE_ERROR,
         data(3, bytes(16385))),
]


@pytest.mark.parametrize("code, bad", STREAM_ERRORS)
@rfc("9113-5.4.2-1")
def test_stream_error(stand, code, bad):
    """RST_STREAM with that code; the other streams and the connection go on. Or the whole
    connection ends with the code: section 5.4.1 leaves that choice."""
    with H2(stand.port) as c:
        assert c.get().status == 200
        c.send(OPEN, headers(5, request_fields("POST", "/echo"), end=False))
        c.next_stream = 7
        c.send(bad)
        f = c.wait(lambda f: f.kind == GOAWAY or f.kind == RST_STREAM and f.stream == 3)
        assert f.code == code, f
        if f.kind == GOAWAY:
            c.connection_error(code)
            return
        c.send(data(3, b"late"), data(5, b"hello", end=True)) # what was on its way is no error
        assert c.answer(5).body == b"hello"
        served(c)


@rfc("9113-6.9.1-2 9113-6.9.1-3")
def test_window_of_a_stream_beyond_its_limit(stand):
    """FLOW_CONTROL_ERROR for the stream, or for the connection as well."""
    with H2(stand.port) as c:
        c.send(headers(1, request_fields("POST", "/echo"), end=False), window_update(1, MAX_WINDOW))
        f = c.wait(lambda f: f.kind == GOAWAY or f.kind == RST_STREAM and f.stream == 1)
        assert f.code == FLOW_CONTROL_ERROR, f
        if not c.quiet():
            assert all(f.code == FLOW_CONTROL_ERROR for f in c.frames if f.kind == GOAWAY)


CLOSED_STREAM = [
    case("DATA after END_STREAM", "9113-5.1-7 9113-6.1-4", STREAM_CLOSED, data(3, b"x")),
    case("HEADERS after END_STREAM", "9113-5.1-7", STREAM_CLOSED,
         headers(3, [("x-trailer", "1")])),
]


@pytest.mark.parametrize("code, bad", CLOSED_STREAM)
def test_half_closed_stream(stand, code, bad):
    """A frame on a stream whose sender had ended it: an error of the stream, or the connection's."""
    with H2(stand.port) as c:
        s = c.request(path="/hang")
        c.next_stream = 3
        assert s == 1
        c.send(headers(3, request_fields(path="/hang")))
        c.send(bad)
        f = c.wait(lambda f: f.kind in (GOAWAY, RST_STREAM))
        assert f.code == code and (f.kind == GOAWAY or f.stream == 3), f
        if f.kind == RST_STREAM:
            c.next_stream = 5
            served(c)
        else:
            c.connection_error(code)


@pytest.mark.parametrize("code, bad", [
    case("DATA", "9113-6.1-4", STREAM_CLOSED, data(1, b"x")),
    case("HEADERS", "9113-5.1.1-3", PROTOCOL_ERROR, headers(1, request_fields(more=[BAD])))])
def test_closed_stream(stand, code, bad):
    """On a stream that is over: its number is not used again."""
    with Unseen(stand), H2(stand.port) as c:
        assert c.get().status == 200
        c.send(bad)
        f = c.wait(lambda f: f.kind in (GOAWAY, RST_STREAM))
        assert f.code == code, f


HARMLESS = [
    case("frame of no known type", "9113-4.1-2 9113-5.5-1 9113-5.5-2", frame(99, 255, 0, b"?" * 99)),
    case("frame of no known type on a stream", "9113-4.1-2 9113-5.5-2", frame(255, 1, 3, b"?" * 99)),
    case("frame of no known type on an idle stream", "9113-4.1-2", frame(200, 0, 99, b"")),
    case("unknown settings", "9113-5.5-1 9113-6.5.2-10 9113-6.5.3-3",
         settings((0, 1), (0x7777, 12345), (0xffff, 2**32 - 1))),
    case("unused flags of SETTINGS", "9113-4.1-3", frame(SETTINGS, 0xfe, 0)),
    case("unused flags of PING", "9113-4.1-3", frame(PING, 0xfe, 0, bytes(8))),
    case("unused flags of DATA", "9113-4.1-3", frame(DATA, 0xf6, 3, b"abc")),
    case("unused flags of WINDOW_UPDATE", "9113-4.1-3",
         frame(WINDOW_UPDATE, 0xff, 0, struct.pack(">I", 1))),
    case("unused flags of PRIORITY", "9113-4.1-3", frame(PRIORITY, 0xff, 3, bytes(5))),
    case("reserved bit of SETTINGS", "9113-4.1-4", frame(SETTINGS, 0, 0, reserved=1)),
    case("reserved bit of DATA", "9113-4.1-4", frame(DATA, 0, 3, b"abc", reserved=1)),
    case("reserved bit of PING", "9113-4.1-4", frame(PING, 0, 0, bytes(8), reserved=1)),
    case("reserved bit of the increment", "9113-4.1-4",
         frame(WINDOW_UPDATE, 0, 3, struct.pack(">I", 1 | 1 << 31))),
    case("PRIORITY on an idle stream", "9113-5.1-1", frame(PRIORITY, 0, 99, b"\0\0\0\3\7")),
    case("PRIORITY on a closed stream", "9113-5.1-9", frame(PRIORITY, 0, 1, b"\0\0\0\3\7")),
    case("PRIORITY on its own stream", "", frame(PRIORITY, 0, 3, b"\0\0\0\3\7")),
    case("WINDOW_UPDATE on a closed stream", "9113-6.9-3 9113-5.1-9", window_update(1, 99)),
    case("RST_STREAM on a closed stream", "9113-5.1-9 9113-5.4.2-2", rst(1)),
    case("RST_STREAM with an unknown code", "9113-7-1", rst(1, 0xdeadbeef)),
    case("DATA without content", "", data(3)),
    case("DATA of padding alone", "", frame(DATA, PADDED, 3, padded(b"", 200))),
    case("DATA padded with its length alone", "", frame(DATA, PADDED, 3, padded(b"", 0))),
    case("PING ACK that was not asked for", "9113-6.7-4", ping(b"unasked!", ack=True)),
    case("SETTINGS without content", "9113-3.4-1", settings()),
]


@pytest.mark.parametrize("odd", HARMLESS)
def test_harmless(stand, odd):
    """Odd, and allowed: nothing comes of it."""
    with H2(stand.port) as c:
        assert c.get().status == 200
        c.send(OPEN, odd, data(3, b"rest", end=True))
        c.next_stream = 5
        assert c.answer(3).body in (b"rest", b"abcrest")
        served(c)
        assert not [f for f in c.frames if f.kind in (GOAWAY, RST_STREAM)], c.frames
        assert not [f for f in c.frames if f.kind == PING and f.payload == b"unasked!"]


@rfc("9113-7-1")
def test_goaway_with_an_unknown_code(stand):
    """What was asked before is answered."""
    with H2(stand.port) as c:
        s = c.request("POST", "/echo", end=False)
        c.send(goaway(0, 0xdeadbeef), data(s, b"hello", end=True))
        assert c.answer(s).body == b"hello"
