# SPDX-License-Identifier: Apache-2.0
"""Field compression, RFC 7541: what a decoder has to refuse, what it has to take, and what our own
encoder may do. A field block that cannot be decoded ends the connection (RFC 9113, 4.3)."""

import pytest

from h2hpack import (EOS, FIRST_DYNAMIC, INDEXING, NEVER, PLAIN, STATIC_AUTHORITY, STATIC_METHOD_GET,
                     STATIC_PATH, STATIC_SCHEME_HTTP, bits_to_bytes, block, huffman_codes, indexed,
                     integer, literal, raw_huffman, size_update, string)
from h2stand import BAD, Unseen, case, rfc, served
from h2wire import (COMPRESSION_ERROR, CONTINUATION, END_HEADERS, END_STREAM, H2, HEADERS,
                    HEADER_TABLE_SIZE, frame, headers, request_fields, settings)
from stand import make

pytestmark = pytest.mark.sanitize
whole_module, stand = make(listener={"max_header_size": "16KB"})

GOOD = block(request_fields(more=[BAD]))
DUMP = block(request_fields(path="/dump"))


def value(encoded):
    """A literal field whose value is exactly those bytes."""
    return bytes([0]) + string("x-odd") + encoded


UNDECODABLE = [
    case("index 0", "7541-6.1-1", indexed(0)),
    case("index beyond an empty table", "7541-2.3.3-1", indexed(FIRST_DYNAMIC)),
    case("index far beyond", "7541-2.3.3-1", indexed(100000)),
    case("name's index beyond the table", "7541-2.3.3-1", literal(FIRST_DYNAMIC, "x")),
    case("name's index beyond the table, to be indexed", "7541-2.3.3-1",
         literal(FIRST_DYNAMIC, "x", INDEXING)),
    case("name's index beyond the table, never indexed", "7541-2.3.3-1",
         literal(FIRST_DYNAMIC, "x", NEVER)),
    case("index of an evicted field", "7541-2.3.3-1",
         literal("x-a", "1", INDEXING) + literal("x-b", "b" * 4050, INDEXING) +
         indexed(FIRST_DYNAMIC + 1)),
    case("index after the table was emptied", "7541-2.3.3-1",
         literal("x-a", "1", INDEXING) + literal("x-big", "b" * 5000, INDEXING) +
         indexed(FIRST_DYNAMIC)),
    case("integer above 2^32", "7541-5.1-1", b"\xff\x80\x80\x80\x80\x80\x01"),
    case("integer above 2^64", "7541-5.1-1", b"\xff" + b"\xff" * 10 + b"\x01"),
    case("integer without end", "7541-5.1-1", b"\xff" + b"\x80" * 100 + b"\0"),
    case("integer of ones without end", "7541-5.1-1", b"\xff" + b"\xff" * 100),
    case("string length above 2^32", "7541-5.1-1",
         bytes([0]) + string("x") + b"\x7f\x80\x80\x80\x80\x80\x01"),
    case("table size above 2^32", "7541-5.1-1", b"\x3f\x80\x80\x80\x80\x80\x01"),
    case("padding of 8 bits", "7541-5.2-1", value(raw_huffman(bits_to_bytes(huffman_codes("1234"))
                                                              + b"\xff"))),
    case("padding of 15 bits", "7541-5.2-1",
         value(raw_huffman(bits_to_bytes(huffman_codes("0"), "1" * 11)))),
    case("padding alone", "7541-5.2-1", value(raw_huffman(b"\xff"))),
    case("padding of zeros", "7541-5.2-2",
         value(raw_huffman(bits_to_bytes(huffman_codes("0"), "000")))),
    case("padding with one bit wrong", "7541-5.2-2",
         value(raw_huffman(bits_to_bytes(huffman_codes("0"), "110")))),
    case("EOS", "7541-5.2-3", value(raw_huffman(bits_to_bytes([EOS])))),
    case("EOS within a text", "7541-5.2-3",
         value(raw_huffman(bits_to_bytes(huffman_codes("ab") + [EOS] + huffman_codes("c"))))),
    case("table size within the block", "7541-4.2-2", size_update(0)),
    case("table size at the block's end", "7541-4.2-2", size_update(4096)),
    case("string longer than the block", "9113-4.3-3", bytes([0]) + string("x") + b"\x7e"),
    case("name longer than the block", "9113-4.3-3", bytes([0]) + b"\x1fabc"),
    case("integer cut off", "9113-4.3-3", b"\xff\x80"),
    case("literal without a value", "9113-4.3-3", bytes([0]) + string("x")),
]
AT_THE_START = [
    case("table size above the limit", "7541-6.3-1 7541-6.3-2", size_update(4097)),
    case("table size far above the limit", "7541-6.3-1 7541-6.3-2", size_update(1 << 24)),
    case("the limit passed in the second of two", "7541-6.3-2", size_update(0) + size_update(4097)),
]


def refused(stand, fields):
    """COMPRESSION_ERROR for the connection, and no request comes of the block."""
    with Unseen(stand), H2(stand.port) as c:
        s = c.request("POST", "/echo", end=False)
        c.sync()
        c.send(headers(s + 2, fields))
        c.connection_error(COMPRESSION_ERROR)


@pytest.mark.parametrize("odd", AT_THE_START)
@rfc("9113-4.3-3")
def test_undecodable_from_the_start(stand, odd):
    refused(stand, odd + GOOD)


@pytest.mark.parametrize("odd", UNDECODABLE)
@rfc("9113-4.3-2 9113-4.3-3 7541-3.2-1")
def test_undecodable(stand, odd):
    refused(stand, GOOD + odd)


@rfc("9113-4.3-3")
def test_undecodable_trailers(stand):
    with H2(stand.port) as c:
        s = c.request("POST", "/echo", end=False)
        c.send(headers(s, indexed(0)))
        c.connection_error(COMPRESSION_ERROR)


@rfc("9113-4.3.1-2")
def test_no_update_after_a_smaller_table(stand):
    """A server that made its table smaller than the usual one needs to be told. Ours never does:
    it says the usual size or nothing, so nothing has to be told."""
    with H2(stand.port) as c:
        served(c)
        assert c.peer_settings.get(HEADER_TABLE_SIZE, 4096) >= 4096
        c.send(headers(3, size_update(100) + size_update(4096) + DUMP))
        c.next_stream = 5
        assert c.answer(3).status == 200


FINE = [
    case("integers longer than need be", "7541-5.1-1",
         bytes([0]) + integer(127, 7, stretch=2) + b"x" * 127 + string("abc")),
    case("the same field twice in the table", "7541-2.3.2-1",
         literal("x-a", "abc", INDEXING) * 2 + indexed(FIRST_DYNAMIC) + indexed(FIRST_DYNAMIC + 1)),
    case("a field larger than the table", "7541-3.2-1", literal("x-a", "abc" * 2000, INDEXING)),
    case("a field of a name that it evicts", "7541-3.2-1",
         literal("x-a", "abc" * 1000, INDEXING) + literal(FIRST_DYNAMIC, "abc" * 1100, INDEXING)),
    case("Huffman with a padding of 7 bits", "7541-5.2-1",
         value(raw_huffman(bits_to_bytes(huffman_codes("abc\xf9")[:3] + huffman_codes("("))))),
    case("every byte in Huffman", "7541-3.2-1",
         literal("x-a", "abc" + "".join(map(chr, range(33, 127))), huffman=True)),
    case("an empty value", "7541-3.2-1", literal("x-a", "") + literal("x-b", "abc")),
    case("an empty value in Huffman", "7541-3.2-1",
         literal("x-a", "", huffman=True) + literal("x-b", "abc")),
]


@pytest.mark.parametrize("odd", FINE)
def test_fine(stand, odd):
    """Odd, and allowed."""
    with H2(stand.port) as c:
        s = c.new_stream()
        c.send(headers(s, DUMP + odd))
        a = c.answer(s)
        assert a.status == 200 and b"abc" in a.body, a
        served(c)


@rfc("7541-6.3-1")
def test_size_updates_at_the_start(stand):
    """Several, up to the limit; the table is emptied by the smallest."""
    with H2(stand.port) as c:
        c.send(headers(1, DUMP + literal("x-a", "abc", INDEXING)))
        assert c.answer(1).status == 200
        c.send(headers(3, size_update(0) + size_update(4096) + DUMP))
        assert b"abc" not in c.answer(3).body
        c.send(headers(5, DUMP + indexed(FIRST_DYNAMIC)))
        c.connection_error(COMPRESSION_ERROR)


@rfc("7541-2.1-2 7541-3.2-1")
def test_order_of_fields(stand):
    """As they stood in the block, whatever represents them."""
    with H2(stand.port) as c:
        c.send(headers(1, DUMP + literal("x-third", "3", INDEXING)))
        c.answer(1)
        fields = (literal("x-first", "1") + literal("x-second", "2", NEVER, True) +
                  indexed(FIRST_DYNAMIC) + literal("x-fourth", "4", INDEXING))
        start = (indexed(STATIC_METHOD_GET) + indexed(STATIC_SCHEME_HTTP) +
                 literal(STATIC_AUTHORITY, "test", PLAIN) + literal(STATIC_PATH, "/dump"))
        c.send(headers(3, start + fields))
        text = c.answer(3).body.decode().lower()
        at = [text.index(n) for n in ("x-first: 1", "x-second: 2", "x-third: 3", "x-fourth: 4")]
        assert at == sorted(at)


@rfc("7541-2.1-1")
def test_order_of_our_fields(stand):
    """An answer's fields as the server gave them."""
    with H2(stand.port) as c:
        names = [n for n, _ in c.get(path="/trailers").head.fields]
        assert names[0] == ":status"
        wanted = ["server", "date", "x-whoami", "content-type", "trailer"]
        assert [n for n in names if n in wanted] == wanted


@rfc("9113-10.5.1-1")
def test_list_too_large(stand):
    """Fields beyond the limit: 431, and the table is still the same on both sides."""
    with Unseen(stand), H2(stand.port) as c:
        more = b"".join(literal(f"x-{i}", "v" * 1000) for i in range(30))
        b = DUMP + literal("x-kept", "abc", INDEXING) + block([BAD]) + more
        parts = [b[i:i + 16000] for i in range(0, len(b), 16000)]
        c.send(frame(HEADERS, END_STREAM, 1, parts[0]),
               *(frame(CONTINUATION, END_HEADERS if p is parts[-1] else 0, 1, p)
                 for p in parts[1:]))
        c.next_stream = 3
        assert c.answer(1).status == 431
        c.send(headers(3, DUMP + indexed(FIRST_DYNAMIC)))
        assert b"abc" in c.answer(3).body
