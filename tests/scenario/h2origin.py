# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 servers for tests: one whose answers a test decides (python3-h2 keeps the protocol), and
Debian's own ones as they are."""

import os
import shutil
import ssl
import subprocess
import tempfile

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from harness import free_port, wait_for
from origin import Origin
from wire import Closed, Conn


class Request:
    def __init__(self, stream, headers):
        self.stream = stream
        self.headers = headers
        self.body = b""
        self.trailers = []
        self.whole = False

    def get(self, name, default=None):
        return dict(self.headers).get(name, default)


class H2Peer:
    """The server's side of a connection. .requests: by stream, as far as they have come; .log: what
    else came, as h2's events."""

    def __init__(self, peer, settings=None, acknowledge=True):
        self.peer = peer
        self.acknowledge = acknowledge
        self.requests = {}
        self.log = []
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1",
                                           validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.peer.sock.sendall(data)

    def more(self):
        """Takes what has come, waiting for something; False at the end."""
        data = self.peer.sock.recv(65536)
        if not data:
            return False
        for e in self.h2.receive_data(data):
            self._take(e)
        self.flush()
        return True

    def _take(self, e):
        self.log.append(e)
        if isinstance(e, h2.events.RequestReceived):
            self.requests[e.stream_id] = Request(e.stream_id, e.headers)
        elif isinstance(e, h2.events.DataReceived):
            self.requests[e.stream_id].body += e.data
            if self.acknowledge and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            self.requests[e.stream_id].trailers = e.headers
        elif isinstance(e, h2.events.StreamEnded):
            self.requests[e.stream_id].whole = True

    def saw(self, kind):
        return [e for e in self.log if isinstance(e, kind)]

    def until(self, cond):
        """Until cond() is true; raises Closed when the proxy ends first."""
        while not (got := cond()):
            if not self.more():
                raise Closed("the proxy closed")
        return got

    def request(self, seen, whole=True):
        """The next request that is not in the set `seen`, put there; None at the end."""
        def found():
            for r in self.requests.values():
                if r.stream not in seen and (r.whole or not whole):
                    return r
            return None
        try:
            r = self.until(found)
        except (Closed, ConnectionError):
            return None
        seen.add(r.stream)
        return r

    def send(self, stream, data, end=False):
        """As the windows allow, waiting for them."""
        while data:
            n = min(self.h2.local_flow_control_window(stream), 16384, len(data))
            if n <= 0:
                if not self.more():
                    raise Closed("the proxy closed")
                continue
            self.h2.send_data(stream, data[:n], end_stream=end and n == len(data))
            data = data[n:]
            self.flush()

    def reply(self, stream, body=b"ok", status=200, headers=(), trailers=()):
        self.h2.send_headers(stream, [(":status", str(status)), *headers],
                             end_stream=not body and not trailers)
        self.flush()
        if body:
            self.send(stream, body, end=not trailers)
        if trailers:
            self.h2.send_headers(stream, list(trailers), end_stream=True)
        self.flush()

    def reset(self, stream, code):
        self.h2.reset_stream(stream, code)
        self.flush()

    def goaway(self, last, code=0):
        self.h2.close_connection(error_code=code, last_stream_id=last)
        self.flush()


class H2Origin(Origin):
    """serve(H2Peer) for each connection."""

    def __init__(self, serve, settings=None, acknowledge=True, tls=None):
        def run(peer):
            if tls:
                peer.sock = tls.wrap_socket(peer.sock, server_side=True)
            p = H2Peer(peer, settings, acknowledge)
            self.peers.append(p)
            serve(p)
        self.peers = []
        super().__init__(run)

    def stop(self):
        super().stop()


def answering(body=b"ok", **options):
    """A serve function: answers each whole request the same."""
    def serve(peer):
        seen = set()
        while r := peer.request(seen):
            peer.reply(r.stream, body, **options)
    return serve


class Program:
    """A server that is a program; .stop() asks it to end, .kill() ends it."""

    def __init__(self, command, port, env=None):
        self.port, self.address = port, f"127.0.0.1:{port}"
        self.command, self.env = command, env
        self.proc = None
        self.start()

    def start(self):
        self.proc = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     env=dict(os.environ, **(self.env or {})))

        def answers():
            assert self.proc.poll() is None, f"{self.command} ended with {self.proc.returncode}"
            with Conn(self.port, 5):
                return True
        wait_for(answers, 30, self.command[0])

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(30)

    def stop(self, timeout=10):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()


def nghttpd(www, cert=None):
    port = free_port()
    tls = [cert.key, cert.pem] if cert else []
    return Program(["nghttpd", "-d", www, "-a", "127.0.0.1", *([] if cert else ["--no-tls"]),
                    str(port), *tls], port)


def nginx(www, cert=None, http2=True):
    """Debian's nginx, HTTP/2 by prior knowledge or by ALPN."""
    port = free_port()
    home = tempfile.mkdtemp(prefix="ngx-")
    tls = f"ssl_certificate {cert.pem}; ssl_certificate_key {cert.key};" if cert else ""
    with open(os.path.join(home, "c"), "w", encoding="ascii") as f:
        f.write(f"""daemon off; pid {home}/pid; error_log stderr; worker_processes 1;
user root; events {{ worker_connections 512; }}
http {{ access_log off; keepalive_requests 100000; client_body_temp_path {home}/b;
proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
scgi_temp_path {home}/s;
server {{ listen 127.0.0.1:{port} {"ssl" if cert else ""} {"http2" if http2 else ""}; {tls}
root {www}; }} }}
""")
    p = Program(["/usr/sbin/nginx", "-e", "stderr", "-p", home, "-c", os.path.join(home, "c")], port)
    p.home = home
    return p


class Cert:
    """A certificate of its own making for a name, with its key."""

    def __init__(self, name="shop.test"):
        self.home = tempfile.mkdtemp(prefix="crt-")
        os.chmod(self.home, 0o755)
        self.pem, self.key = os.path.join(self.home, "c.pem"), os.path.join(self.home, "c.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}", "-keyout", self.key, "-out",
                        self.pem], check=True, capture_output=True)

    def context(self, *alpn):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(self.pem, self.key)
        if alpn:
            c.set_alpn_protocols(list(alpn))
        return c

    def remove(self):
        shutil.rmtree(self.home, ignore_errors=True)
