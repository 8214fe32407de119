# SPDX-License-Identifier: Apache-2.0
"""A raw HTTP/1.1 client for tests: sends exactly the bytes it is given and shows exactly what
came back. It never retries and never corrects anything."""

import select
import socket
import time


class Response:
    """One parsed response. headers keeps order and repetitions; names in lower case."""

    def __init__(self, version, status, reason, headers):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = b""
        self.trailers = []

    def all(self, name):
        return [v for n, v in self.headers if n == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return f"<Response {self.status} {self.headers} {self.body[:200]!r}>"


class Closed(Exception):
    """The other side closed before the message was complete; .data is what had come."""

    def __init__(self, what, data=b""):
        super().__init__(f"{what}; had {data[:300]!r}")
        self.data = data


def _connect(address, timeout):
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock
    if isinstance(address, int):
        address = ("127.0.0.1", address)
    sock = socket.create_connection(address, timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Conn:
    """A connection to a port, an (address, port) or the path of a unix socket."""

    def __init__(self, address, timeout=30):
        self.timeout = timeout
        self.sock = _connect(address, timeout)
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def shutdown(self):
        """Ends the sending direction only."""
        self.sock.shutdown(socket.SHUT_WR)

    @property
    def local_port(self):
        return self.sock.getsockname()[1]

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.settimeout(self.timeout)
        self.sock.sendall(data)

    def request(self, method="GET", path="/", headers=(), body=None, host="test", version="1.1"):
        """Sends a well-formed request. headers: a dict or pairs; they win over the defaults."""
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        names = {n.lower() for n, _ in pairs}
        lines = [f"{method} {path} HTTP/{version}"]
        if "host" not in names and host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{n}: {v}" for n, v in pairs]
        if isinstance(body, str):
            body = body.encode()
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def _more(self, what, deadline=None):
        left = self.timeout if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no {what} in time; had {self.buf[:300]!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except socket.timeout:
            raise TimeoutError(f"no {what} in {left:.1f} s; had {self.buf[:300]!r}") from None
        except ConnectionResetError:
            raise Closed(f"reset while waiting for {what}", self.buf) from None
        if not data:
            raise Closed(f"closed while waiting for {what}", self.buf)
        self.buf += data

    def recv_until(self, mark, what="mark"):
        while mark not in self.buf:
            self._more(what)
        at = self.buf.index(mark) + len(mark)
        data, self.buf = self.buf[:at], self.buf[at:]
        return data

    def recv_exactly(self, n, what="bytes"):
        parts, have = [self.buf], len(self.buf)
        self.buf = b""
        while have < n:
            try:
                self._more(what)
            except (Closed, TimeoutError):
                self.buf = b"".join(parts)
                raise
            parts.append(self.buf)
            have += len(self.buf)
            self.buf = b""
        data = b"".join(parts)
        self.buf = data[n:]
        return data[:n]

    def recv_line(self, what="line"):
        return self.recv_until(b"\r\n", what)[:-2]

    def _fields(self):
        fields = []
        while True:
            line = self.recv_line("header")
            if not line:
                return fields
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name.lower(), value.strip()))

    def recv_head(self):
        """The next response's head, body not read."""
        line = self.recv_line("status line").decode("latin-1")
        version, _, rest = line.partition(" ")
        status, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/") or not status.isdigit():
            raise AssertionError(f"no status line: {line!r} {self.buf[:200]!r}")
        return Response(version, int(status), reason, self._fields())

    def recv_chunk(self):
        """The next chunk's data; b"" for the last one (its trailers follow)."""
        size = int(self.recv_line("chunk size").split(b";")[0], 16)
        if size == 0:
            return b""
        data = self.recv_exactly(size + 2, "chunk")
        if data[-2:] != b"\r\n":
            raise AssertionError(f"chunk does not end with CRLF: {data[-20:]!r}")
        return data[:-2]

    def recv_response(self, method="GET", skip_1xx=True):
        """The next whole response; 1xx before it are passed over (but 101)."""
        head = self.recv_head()
        while skip_1xx and 100 <= head.status < 200 and head.status != 101:
            head = self.recv_head()
        if method == "HEAD" or head.status < 200 or head.status in (204, 304):
            return head
        if "chunked" in head.get("transfer-encoding", "").lower():
            parts = []
            while chunk := self.recv_chunk():
                parts.append(chunk)
            head.body = b"".join(parts)
            head.trailers = self._fields()
        elif head.get("content-length") is not None:
            head.body = self.recv_exactly(int(head.get("content-length")), "body")
        else:
            head.body = self.recv_all()
        return head

    def recv_all(self):
        """Everything until the other side closes."""
        parts = [self.buf]
        self.buf = b""
        while True:
            try:
                self._more("end")
            except Closed:
                return b"".join(parts)
            parts.append(self.buf)
            self.buf = b""

    def closed(self, timeout=30):
        """True when the other side closes (or resets) within timeout seconds; data is kept."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._more("close", deadline)
            except Closed:
                return True
            except TimeoutError:
                return False

    def silent(self, seconds):
        """True when nothing at all comes for that long."""
        if self.buf:
            return False
        return not select.select([self.sock], [], [], seconds)[0]


def raw(address, data, timeout=30):
    """Sends bytes; returns all that comes until the other side closes, or until timeout seconds
    have passed."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    out = b""
    deadline = time.monotonic() + timeout
    with Conn(address, timeout) as c:
        try:
            c.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass # it may answer and close before it has read all
        while (left := deadline - time.monotonic()) > 0:
            c.sock.settimeout(left)
            try:
                got = c.sock.recv(262144)
            except (socket.timeout, ConnectionResetError):
                break
            if not got:
                break
            out += got
    return out


def http(address, method="GET", path="/", headers=(), body=None, host="test", timeout=30):
    """One request on a connection of its own."""
    with Conn(address, timeout) as c:
        c.request(method, path, headers, body, host)
        return c.recv_response(method)
