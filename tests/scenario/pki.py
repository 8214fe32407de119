# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl command; and a server that speaks TLS and says what it
saw."""

import http.server
import json
import os
import ssl
import subprocess
import threading


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True,
                          input=stdin, timeout=60).stdout


class Authority:
    """An authority whose files lie in a folder."""

    def __init__(self, folder, name="Test CA"):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.cert = os.path.join(self.folder, "ca.pem")
        self.key = os.path.join(self.folder, "ca.key")
        self.serial = 100
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.cert, "-days", "90", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, *more, rsa=False, file=None, days=90):
        """Paths of a certificate for these names and of its key; IP:… for addresses."""
        base = os.path.join(self.folder, file or name.replace("*", "_"))
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", "-newkey", *kind, "-nodes", "-keyout", base + ".key", "-out",
                base + ".csr", "-subj", f"/CN={name}")
        names = ",".join(n if ":" in n else f"DNS:{n}" for n in (name, *more))
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName={names}\nkeyUsage=digitalSignature\n"
                    "extendedKeyUsage=serverAuth,clientAuth\n")
        self.serial += 1
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self.key,
                "-set_serial", str(self.serial), "-days", str(days), "-extfile", base + ".ext",
                "-out", base + ".pem")
        return base + ".pem", base + ".key"

    def crl(self, *certs):
        """Path of a list that revokes these certificates."""
        index = os.path.join(self.folder, "index.txt")
        conf = os.path.join(self.folder, "crl.cnf")
        out = os.path.join(self.folder, "ca.crl")
        for p in (index, os.path.join(self.folder, "index.txt.attr")):
            with open(p, "w", encoding="ascii"):
                pass
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\ndefault_md=sha256\n"
                    f"default_crl_days=30\ncertificate={self.cert}\nprivate_key={self.key}\n")
        for c in certs:
            openssl("ca", "-config", conf, "-revoke", c)
        openssl("ca", "-config", conf, "-gencrl", "-out", out)
        return out

    def context(self, cert=None, version=None, **options):
        """A client's context that trusts this authority."""
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.load_verify_locations(self.cert)
        if cert:
            c.load_cert_chain(*cert)
        if version:
            c.minimum_version = c.maximum_version = version
        for name, value in options.items():
            getattr(c, name)(value)
        return c


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self): # pylint: disable=invalid-name
        sock = self.connection
        peer = sock.getpeercert() or {}
        body = json.dumps({"resumed": sock.session_reused, "sni": getattr(sock, "sni", None),
                           "version": sock.version(), "headers": self.headers.items(),
                           "connection": id(sock), "path": self.path,
                           "peer": [v for rdn in peer.get("subject", ()) for _, v in rdn]})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self): # pylint: disable=invalid-name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format, *args): # pylint: disable=redefined-builtin
        pass


class TlsServer:
    """An HTTP/1.1 server over TLS on a port of 127.0.0.1; each answer says what it saw."""

    def __init__(self, cert, key, name="s", client_ca=None, version=None):
        self.name = name
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(cert, key)
        c.sni_callback = lambda sock, host, ctx: setattr(sock, "sni", host)
        if version:
            c.maximum_version = version
        if client_ca:
            c.load_verify_locations(client_ca)
            c.verify_mode = ssl.CERT_REQUIRED
        outer = self

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, client_address):
                request.settimeout(60)
                try:
                    request = c.wrap_socket(request, server_side=True)
                    outer.handshakes += 1
                    self.RequestHandlerClass(request, client_address, self)
                except OSError:
                    pass

            def handle_error(self, request, client_address):
                pass

        self.handshakes = 0
        self.httpd = Server(("127.0.0.1", 0), _Handler)
        self.port = self.httpd.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.httpd.shutdown()
        self.httpd.server_close()
