# SPDX-License-Identifier: Apache-2.0
"""A browser gets its pages: Debian's Chromium, over HTTP/1.1 in clear text and HTTP/2 by TLS, with
many requests at once, an upload and a WebSocket."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import free_port, simple

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "browser")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(not CHROMIUM or not shutil.which("node"), reason="no chromium, no node"),
    pytest.mark.skipif(not os.path.isdir(os.path.join(FOLDER, "node_modules")),
                       reason="tests/browser: npm ci has not run"),
    pytest.mark.limit(240),
]


def visit(origin):
    done = subprocess.run(["node", os.path.join(FOLDER, "visit.mjs"), CHROMIUM, origin],
                          capture_output=True, text=True, timeout=200, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def good(protocol):
    return {"status": 200, "failures": [], "protocol": protocol, "many": 50, "echoed": 100000,
            "socket": "hello"}


def test_a_browser_in_clear_text(node, whoami):
    port = free_port()
    node(simple(port, [whoami("a"), whoami("b")]))
    assert visit(f"http://shop.test:{port}") == good("http/1.1")


def test_a_browser_by_tls_and_http2(node, whoami):
    port = free_port()
    conf = simple(port, [whoami("a"), whoami("b")])
    for listener in conf["listeners"].values():
        listener["tls"] = "internal"
    node(conf)
    assert visit(f"https://shop.test:{port}") == good("h2")
