# SPDX-License-Identifier: Apache-2.0
"""An ACME authority for tests: pebble, with a DNS server whose names all lead to this machine. What
it validates it looks for at ports of the test's choice."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
import ssl

from harness import free_port, wait_for, wait_gone

PEBBLE = shutil.which("pebble")
DNS = shutil.which("pebble-challtestsrv")


def _ended(proc):
    if proc is None:
        return
    proc.terminate()
    try:
        proc.wait(10)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait(10)
    wait_gone(proc.pid)


class ChallDns:
    """pebble-challtestsrv as a DNS server: A and AAAA lead here, TXT as set."""

    def __init__(self, folder):
        self.port, self.admin = free_port(), free_port()
        self.log = open(os.path.join(folder, "dns.log"), "ab")
        self.proc = subprocess.Popen(
            [DNS, "-dns01", f"127.0.0.1:{self.port}", "-management", f"127.0.0.1:{self.admin}",
             "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1",
             "-defaultIPv6", ""],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.ask("clear-txt", {"host": "none.test."}) is not None, what="DNS")

    def ask(self, what, data):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}/{what}",
                                         json.dumps(data).encode())
        with urllib.request.urlopen(request, timeout=5) as r:
            return r.read()

    def stop(self):
        _ended(self.proc)
        self.log.close()


class Pebble:
    """env: PEBBLE_… variables; dns: "HOST:PORT", else a ChallDns of its own; eab: {kid: key}; life: seconds that
    its certificates are valid."""

    def __init__(self, http_port=1, tls_port=1, env=None, dns=None, eab=None, life=None):
        self.dir = tempfile.mkdtemp(prefix="hf-ca-")
        os.chmod(self.dir, 0o755)
        self.dns = None if dns else ChallDns(self.dir)
        self.resolver = dns or f"127.0.0.1:{self.dns.port}"
        self.port, self.admin = free_port(), free_port()
        self.env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5",
                    "PEBBLE_AUTHZREUSE": "0", **(env or {})}
        self.ca = os.path.join(self.dir, "ca.pem")
        self.directory = f"https://localhost:{self.port}/dir"
        self.log_path = os.path.join(self.dir, "log")
        self.proc = None
        key = os.path.join(self.dir, "ca.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", self.ca,
                        "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, capture_output=True)
        conf = {"listenAddress": f"127.0.0.1:{self.port}",
                "managementListenAddress": f"127.0.0.1:{self.admin}",
                "certificate": self.ca, "privateKey": key, "httpPort": http_port,
                "tlsPort": tls_port, "ocspResponderURL": "",
                "externalAccountBindingRequired": bool(eab)}
        if life:
            conf["certificateValidityPeriod"] = life
        if eab:
            conf["externalAccountMACKeys"] = eab
        with open(os.path.join(self.dir, "pebble.json"), "w", encoding="utf-8") as f:
            json.dump({"pebble": conf}, f)
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                [PEBBLE, "-config", os.path.join(self.dir, "pebble.json"), "-dnsserver",
                 self.resolver], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, **self.env))
        wait_for(self.root, what="pebble")
        return self

    def _get(self, path):
        context = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(f"https://localhost:{self.admin}{path}", timeout=5,
                                    context=context) as r:
            return r.read()

    def root(self):
        """PEM of what it signs by; another after each start."""
        return self._get("/roots/0")

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def orders(self):
        """How often somebody has ordered so far."""
        return self.log.count("POST /order-plz")

    def kill(self):
        _ended(self.proc)
        self.proc = None

    def stop(self):
        if self.proc:
            self.kill()
        if self.dns:
            self.dns.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
