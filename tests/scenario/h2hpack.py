# SPDX-License-Identifier: Apache-2.0
"""HPACK (RFC 7541) as its parts, so that tests can put together field blocks that no encoder makes:
integers longer than they need be, indices that lead nowhere, size updates in the wrong place."""

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

STATIC_METHOD_GET, STATIC_METHOD_POST, STATIC_PATH, STATIC_SCHEME_HTTP = 2, 3, 4, 6
STATIC_AUTHORITY = 1
FIRST_DYNAMIC = 62
EOS = (0x3fffffff, 30)
# How a literal is put: (first byte's pattern, bits of its index)
INDEXING, PLAIN, NEVER = (0x40, 6), (0x00, 4), (0x10, 4)


def to_bytes(x):
    return x.encode("latin-1") if isinstance(x, str) else x


def integer(value, bits, pattern=0, stretch=0):
    """An integer with a prefix of that many bits; stretch: zero bytes too many at its end."""
    top = (1 << bits) - 1
    if value < top and not stretch:
        return bytes([pattern | value])
    out, value = [pattern | top], value - top
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    for _ in range(stretch):
        out[-1] |= 128
        out.append(0)
    return bytes(out)


def bits_to_bytes(codes, padding=None):
    """[(code, length), …] as bytes, filled up with ones, or with the bits `padding` ("1111")."""
    text = "".join(f"{code:0{length}b}" for code, length in codes)
    if padding is None:
        padding = "1" * (-len(text) % 8)
    text += padding
    assert len(text) % 8 == 0, f"{len(text)} bits are no whole bytes"
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def huffman_codes(text):
    return [(REQUEST_CODES[b], REQUEST_CODES_LENGTH[b]) for b in to_bytes(text)]


def string(text, huffman=False):
    data = to_bytes(text)
    if huffman:
        data = bits_to_bytes(huffman_codes(data))
    return integer(len(data), 7, 0x80 if huffman else 0) + data


def raw_huffman(data):
    """A string literal said to be Huffman coded, of exactly those bytes."""
    return integer(len(data), 7, 0x80) + data


def indexed(index):
    return integer(index, 7, 0x80)


def literal(name, value, how=PLAIN, huffman=False):
    """name: text, or the index of the name."""
    pattern, bits = how
    if isinstance(name, int):
        return integer(name, bits, pattern) + string(value, huffman)
    return bytes([pattern]) + string(name, huffman) + string(value, huffman)


def size_update(size):
    return integer(size, 5, 0x20)


def block(fields, how=PLAIN, huffman=False):
    """A field block of literals that leave the table alone, unless said otherwise."""
    return b"".join(literal(n, v, how, huffman) for n, v in fields)
