# SPDX-License-Identifier: Apache-2.0
"""A server whose every byte a test decides: each connection runs the test's function in a thread
of its own."""

import re
import socket
import threading

from harness import free_port
from wire import Closed, Conn


class Peer(Conn):
    """The server's side of a connection."""

    def __init__(self, sock, timeout=30): # pylint: disable=super-init-not-called
        self.timeout = timeout
        self.sock = sock
        self.buf = b""

    def recv_request(self, body=True):
        """(head as bytes, body): the next request, its body unpacked; None at the end."""
        try:
            head = self.recv_until(b"\r\n\r\n", "request head")
        except Closed:
            return None
        if not body:
            return head, b""
        if re.search(rb"(?im)^transfer-encoding: *chunked\r$", head):
            parts = []
            while chunk := self.recv_chunk():
                parts.append(chunk)
            self.trailers = self._fields()
            return head, b"".join(parts)
        m = re.search(rb"(?im)^content-length: *(\d+)\r$", head)
        return head, self.recv_exactly(int(m.group(1))) if m else b""

    def reply(self, body=b"ok", status="200 OK", *fields):
        """A plain answer with a length."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)


class Origin:
    """Listens; serve(peer) is called for each connection. What goes wrong in it is in .errors;
    .connections counts."""

    def __init__(self, serve, backlog=128, port=None):
        self.serve = serve
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.connections = 0
        self.errors = []
        self._peers = []
        self._lock = threading.Lock()
        self._stopped = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self.sock.listen(backlog)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self._lock:
                if self._stopped:
                    sock.close()
                    return
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = Peer(sock)
                self.connections += 1
                self._peers.append(peer)
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer):
        try:
            self.serve(peer)
        except (OSError, Closed) as e:
            if not self._stopped:
                self.errors.append(e)
        except Exception as e: # pylint: disable=broad-except
            self.errors.append(e)
        finally:
            peer.close()

    def stop(self):
        with self._lock:
            self._stopped = True
            peers = list(self._peers)
        try:
            self.sock.shutdown(socket.SHUT_RDWR) # wakes accept
        except OSError:
            pass
        self.sock.close()
        for p in peers:
            try:
                p.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join(10)


def answering(data, close=False):
    """A serve function: answers each request with those bytes."""
    def serve(peer):
        while peer.recv_request():
            peer.send(data)
            if close:
                return
    return serve
