# SPDX-License-Identifier: Apache-2.0
"""The access log: its two formats, sampling, reopening, and where it may go."""

import json
import os
import re
import signal

import pytest

from conftest import Conn, free_port, http, simple, wait_for


@pytest.fixture
def log_dir(tmp_path):
    """A folder that the parent may write to, whoever it is."""
    os.chmod(tmp_path, 0o777)
    return tmp_path


def lines(path):
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def await_lines(path, n):
    """Waits for n lines; more are a failure."""
    got = wait_for(lambda: len(x := lines(path)) >= n and x, what=f"{n} lines in {path}")
    assert len(got) == n
    return got


def logged(port, servers, log, **pool):
    conf = simple(port, servers, **pool)
    conf["proxy"] = {"threads": 1} # lines of several threads come in any order
    conf["listeners"]["http"]["access_log"] = log
    return conf


def test_json(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    node(logged(port, [w], {"path": str(path)}))
    answer = http(port, path="/a?b=%22c", headers={"User-Agent": "test/1 \"x\"",
                                                  "Referer": "http://r.test/"})
    sent = re.search(r"X-Request-Id: (\w+)", answer.text).group(1)
    entry = json.loads(await_lines(path, 1)[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    want = {"client": "127.0.0.1", "method": "GET", "host": "test", "target": "/a?b=%22c",
            "version": "1.1", "status": 200, "attempts": 1, "listener": "http", "route": "all",
            "server": "web/w", "request_id": sent, "user_agent": "test/1 \"x\"",
            "referer": "http://r.test/"}
    assert {k: entry.get(k) for k in want} == want
    assert entry["bytes_out"] >= len(answer.body)
    assert entry["bytes_in"] > 0
    assert 0 < entry["upstream_ms"] <= entry["duration_ms"] < 60000


def test_combined(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    node(logged(port, [w], {"path": str(path), "format": "combined"}))
    http(port, path="/a", headers={"User-Agent": "evil\"agent"})
    http(port, "POST", "/b", body=b"x")
    first, second = await_lines(path, 2)
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                        r'"GET /a HTTP/1\.1" 200 \d+ "-" "evil\\"agent"', first)
    assert '"POST /b HTTP/1.1" 200' in second


@pytest.mark.sanitize
def test_one_line_for_each_request(node, whoami, log_dir):
    """Keep-alive, pipelining and several threads: as many lines as answers, ids all different."""
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    conf = logged(port, [w], {"path": str(path)})
    conf["proxy"] = {"threads": 3}
    node(conf)
    for _ in range(20):
        with Conn(port) as c:
            c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
            for _ in range(10):
                assert c.recv_response().status == 200
    got = [json.loads(x) for x in await_lines(path, 200)]
    assert len({x["request_id"] for x in got}) == 200
    assert w.counts()["methods"]["GET"] >= 200


def test_errors_have_their_reason(node, log_dir):
    port, path = free_port(), log_dir / "access.log"
    n = node(logged(port, [f"127.0.0.1:{free_port()}"], {"path": str(path)}))
    n.wait_server("web/s1", "down")
    http(port)
    with Conn(port) as c:
        c.send("GET / HTTP/1.1\r\n\r\n")
        assert c.recv_response().status == 400
    first, second = (json.loads(x) for x in await_lines(path, 2))
    assert first["status"] == 503
    assert first["reason"].startswith("no healthy server in pool web (1 down: connect refused")
    assert "server" not in first
    assert second["status"] == 400
    assert second["reason"] == "no Host field"


def test_retries_are_seen(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    gone = f"127.0.0.1:{free_port()}"
    conf = logged(port, [w, gone], {"path": str(path)}, check=False, passive=False)
    conf["proxy"] = {"threads": 1}
    node(conf)
    for _ in range(4):
        assert http(port).status == 200
    got = [json.loads(x) for x in await_lines(path, 4)]
    assert sorted(x["attempts"] for x in got) == [1, 1, 2, 2]
    assert {x["server"] for x in got} == {"web/w"}


def test_sampling_keeps_errors(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    node(logged(port, [w], {"path": str(path), "sample": 0}))
    with Conn(port) as c:
        for _ in range(50):
            c.request()
            assert c.recv_response().status == 200
        c.request(path="/status/500")
        assert c.recv_response().status == 500
        c.request(path="/status/404")
        assert c.recv_response().status == 404
        c.request(path="/status/503")
        assert c.recv_response().status == 503
    got = [json.loads(x)["status"] for x in await_lines(path, 2)]
    assert got == [500, 503]


def test_sampling_share(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    node(logged(port, [w], {"path": str(path), "sample": 0.5}))
    with Conn(port) as c:
        for _ in range(400):
            c.request()
            assert c.recv_response().status == 200
        c.request(path="/status/500")
        c.recv_response()
    # The error is the last line; ten standard deviations for the rest.
    got = wait_for(lambda: (x := lines(path)) and '"status":500' in x[-1] and x, what="the end")
    assert 100 <= len(got) - 1 <= 300


@pytest.mark.sanitize
def test_reopening(node, whoami, log_dir):
    """Rotated by rename and SIGUSR1: no line is lost, the new file takes what follows."""
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    n = node(logged(port, [w], {"path": str(path)}))
    count = 0
    with Conn(port) as c:
        for turn in range(3):
            for _ in range(20):
                c.request()
                assert c.recv_response().status == 200
                count += 1
            old = log_dir / f"access.log.{turn}"
            path.rename(old)
            os.kill(n.pid, signal.SIGUSR1)
            wait_for(path.exists, what="the new file")

            def arrives():
                nonlocal count
                c.request()
                assert c.recv_response().status == 200
                count += 1
                return lines(path)
            wait_for(arrives, what="a line in the new file")
    files = [path] + [log_dir / f"access.log.{i}" for i in range(3)]
    wait_for(lambda: sum(len(lines(f)) for f in files) >= count, what="all lines")
    got = [json.loads(x)["request_id"] for f in files for x in lines(f)]
    assert len(got) == len(set(got)) == count


@pytest.mark.sanitize
def test_reload_turns_it_on_and_off(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    n = node(simple(port, [w]))
    assert http(port).status == 200
    assert not path.exists()
    done = n.reload(logged(port, [w], {"path": str(path)}))
    assert done.returncode == 0, done.stderr
    for _ in range(5):
        http(port)
    await_lines(path, 5)
    assert n.reload(simple(port, [w])).returncode == 0
    for _ in range(5):
        http(port)
    # On again: what came between was not written.
    assert n.reload(logged(port, [w], {"path": str(path)})).returncode == 0
    http(port, path="/last")
    got = wait_for(lambda: (x := lines(path)) and "/last" in x[-1] and x, what="the last line")
    assert len(got) == 6


def test_two_listeners(node, whoami, log_dir):
    w, ports = whoami("w"), [free_port(), free_port()]
    conf = logged(ports[0], [w], {"path": str(log_dir / "one.log")})
    conf["listeners"]["other"] = {"bind": f"127.0.0.1:{ports[1]}",
                                  "access_log": {"path": str(log_dir / "two.log"),
                                                 "format": "combined"}}
    node(conf)
    http(ports[0], path="/1")
    http(ports[1], path="/2")
    assert json.loads(await_lines(log_dir / "one.log", 1)[0])["listener"] == "http"
    assert '"GET /2 HTTP/1.1"' in await_lines(log_dir / "two.log", 1)[0]


def test_stderr(node, whoami):
    w, port = whoami("w"), free_port()
    n = node(logged(port, [w], {"path": "stderr", "format": "combined"}))
    http(port, path="/to-stderr")
    n.wait_log('"GET /to-stderr HTTP/1.1" 200')


def test_path_that_cannot_be_opened(node, whoami):
    """Refused at the start with its reason, not found out by missing lines."""
    n = node(logged(free_port(), [whoami("w")], {"path": "/nonexistent/dir/access.log"}),
             start=False)
    n.start(wait=False)
    wait_for(lambda: n.proc.poll() is not None, what="its end")
    assert n.proc.returncode == 1
    assert "/nonexistent/dir/access.log" in n.log


def test_drained_node_writes_the_rest(node, whoami, log_dir):
    w, port, path = whoami("w"), free_port(), log_dir / "access.log"
    n = node(logged(port, [w], {"path": str(path)}))
    for _ in range(30):
        assert http(port).status == 200
    n.proc.terminate()
    n.proc.wait(60)
    assert len(lines(path)) == 30
