# SPDX-License-Identifier: Apache-2.0
"""A configuration with 10,000 routes and 10,000 servers: loaded in time, every route found, reload
and restart within their bounds. The limits are several times what is measured (./dev bench)."""

import sys
import time

import pytest
from conftest import ROOT, Conn, SLOW, free_port, wait_for

sys.path.insert(0, f"{ROOT}/bench")
sys.dont_write_bytecode = True


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A big file, written once, and its listener's port."""
    import limits
    path = tmp_path_factory.mktemp("big") / "big.yaml"
    port = free_port()
    limits.write_big(str(path), listen=port)
    return path.read_bytes(), port


def answer(port, host, path):
    with Conn(port) as c:
        c.request(path=path, host=host)
        return c.recv_response()


@pytest.mark.alone
def test_check_is_quick(node, big):
    n = node(big[0], start=False)
    best = 1e9
    for _ in range(3):
        start = time.monotonic()
        done = n.cli("check", "-c", n.path)
        best = min(best, time.monotonic() - start)
        assert done.returncode == 0, done.stderr[-2000:]
    assert best < 1.0 * SLOW


@pytest.mark.alone
def test_run_find_routes_and_reload(node, big):
    text, port = big
    n = node(text, wait=False)
    wait_for(lambda: answer(port, "none.test", "/p0").status == 404, 30, "first answer")
    # the servers do not exist: 503 or 502 says that the route was found, 404 that it was not
    for host, path, found in (("h0.test", "/p0", True), ("h4999.test", "/p1/x", True),
                              ("h77.test", "/p2", False), ("h5000.test", "/p0", False)):
        status = answer(port, host, path).status
        assert (status in (502, 503)) == found and (status == 404) != found, (host, path, status)
    n.wait_ready()
    second = free_port()
    changed = text.replace(f"bind: 127.0.0.1:{port}".encode(),
                           f"bind: 127.0.0.1:{second}".encode(), 1)
    assert changed != text
    start = time.monotonic()
    done = n.reload(changed)
    took = time.monotonic() - start
    assert done.returncode == 0, done.stdout + done.stderr
    assert answer(second, "none.test", "/").status == 404
    assert took < 10 * SLOW


@pytest.mark.alone
def test_killed_proxy_is_back_soon(node, big):
    text, port = big
    n = node(text)
    n.kill_role("proxy")
    start = time.monotonic()
    assert answer(port, "none.test", "/").status == 404
    assert time.monotonic() - start < 3 * SLOW # measured: well below 200 ms
