# SPDX-License-Identifier: Apache-2.0
"""The test server itself: what other tests prove with it must be true of it."""

import json
import subprocess
import threading
import time

import pytest

from harness import HOLDFAST, wait_for
from wire import Closed, Conn, http, raw

pytestmark = pytest.mark.sanitize


def test_says_who_answered(whoami):
    w = whoami("alpha")
    answer = http(w.port, path="/some/path?x=1", headers={"X-Thing": "a thing"})
    assert (answer.status, answer.get("x-whoami")) == (200, "alpha")
    assert "name: alpha\n" in answer.text
    assert "GET /some/path?x=1 HTTP/1.1\r\n" in answer.text
    assert "X-Thing: a thing\r\n" in answer.text
    assert "client: 127.0.0.1:" in answer.text


def test_json(whoami):
    w = whoami("alpha")
    answer = http(w.port, "POST", "/p?q", {"Accept": "text/html, application/json;q=0.9"}, "body")
    got = json.loads(answer.body)
    assert answer.get("content-type") == "application/json"
    assert (got["name"], got["method"], got["path"], got["target"]) == ("alpha", "POST", "/p",
                                                                         "/p?q")
    assert ["Content-Length", "4"] in got["headers"]


def test_counts(whoami):
    w = whoami()
    for i in range(7):
        http(w.port, "POST" if i % 2 else "GET", headers={"X-Test-Id": f"id-{i % 3}"}, body="x")
    http(w.port, path="/health")
    counts = w.counts()
    assert counts["requests"] == 7
    assert counts["methods"]["GET"] == 4 and counts["methods"]["POST"] == 3
    assert counts["ids"] == {"id-0": 3, "id-1": 2, "id-2": 2}
    assert counts["health"] == 1
    w.admin("reset")
    assert w.counts()["requests"] == 0 and w.counts()["ids"] == {}


def test_counts_from_many_clients(whoami):
    """Nothing is lost between threads."""
    w = whoami("w", "--threads", 4)

    def client(name):
        with Conn(w.port) as c:
            for i in range(200):
                c.request(headers={"X-Test-Id": f"{name}-{i}"})
                assert c.recv_response().status == 200
    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    counts = w.counts()
    assert counts["requests"] == 1600
    assert len(counts["ids"]) == 1600 and set(counts["ids"].values()) == {1}


def test_record(whoami, tmp_path):
    """What was answered stands in the file, even after SIGKILL."""
    path = tmp_path / "record"
    w = whoami("w", "--record", path)
    for i in range(5):
        http(w.port, "POST", headers={"X-Test-Id": f"n{i}"}, body="")
    w.kill()
    assert path.read_text() == "".join(f"POST n{i}\n" for i in range(5))


def test_errors(whoami):
    w = whoami("w", "--error", "100:503")
    assert http(w.port).status == 503
    assert http(w.port, path="/health").status == 200
    w.admin("error", percent=0)
    assert http(w.port).status == 200
    w.admin("error", percent=50)
    got = {http(w.port).status for _ in range(100)}
    assert got == {200, 503}


def test_latency(whoami):
    w = whoami("w", "--latency", "300ms")
    start = time.monotonic()
    assert http(w.port).status == 200
    assert time.monotonic() - start >= 0.3
    w.admin("latency", value="0ms")
    assert http(w.port).status == 200


def test_hang(whoami):
    """No answer, and the connection stays."""
    w = whoami("w", "--hang", 100)
    with Conn(w.port) as c:
        c.request()
        assert c.silent(0.5)
        assert http(w.port, path="/health").status == 200
        w.admin("hang", percent=0)
        assert http(w.port).status == 200
        assert c.silent(0.1)


def test_close(whoami):
    w = whoami("w", "--close")
    with Conn(w.port) as c:
        c.request()
        assert c.recv_response().get("connection") == "close"
        assert c.closed()


def test_size(whoami):
    w = whoami("w", "--size", 5000)
    assert len(http(w.port).body) == 5000


def test_idle(whoami):
    """A kept connection is closed after its time."""
    w = whoami("w", "--idle", "300ms")
    with Conn(w.port) as c:
        c.request()
        assert c.recv_response().status == 200
        assert c.closed()


def test_health(whoami):
    w = whoami()
    assert http(w.port, path="/health").status == 200
    w.admin("health", status=503)
    assert http(w.port, path="/health").status == 503
    assert http(w.port).status == 200


@pytest.mark.parametrize("path, size", [("/bytes/0", 0), ("/bytes/100000", 100000),
                                        ("/chunked/12345", 12345), ("/chunked/0", 0),
                                        ("/slow/50?rate=200", 50)])
def test_sizes(whoami, path, size):
    answer = http(whoami().port, path=path)
    assert (answer.status, len(answer.body)) == (200, size)


def test_status(whoami):
    w = whoami()
    for status in (200, 201, 301, 404, 418, 500, 599):
        assert http(w.port, path=f"/status/{status}").status == status
    assert http(w.port, path="/status/99").status == 400


def test_truncate(whoami):
    with pytest.raises(Closed):
        http(whoami().port, path="/truncate/1000")


def test_unix_socket(whoami, tmp_path):
    path = str(tmp_path / "w.sock")
    whoami("u", bind=f"unix:{path}")
    assert http(path).get("x-whoami") == "u"


def test_malformed_request(whoami):
    w = whoami()
    assert raw(w.port, "GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert w.counts()["refused"] == 1


def test_many_connections(whoami):
    w = whoami()
    conns = [Conn(w.port) for _ in range(500)]
    for c in conns:
        c.request()
    for c in conns:
        assert c.recv_response().status == 200
    assert w.counts()["open"] >= 500
    for c in conns:
        c.close()
    wait_for(lambda: w.counts()["open"] == 1)


@pytest.mark.parametrize("args, word", [
    ([], "--bind"), (["--bind", "nonsense"], "nonsense"),
    (["--bind", "127.0.0.1:1x"], "127.0.0.1:1x"),
    (["--bind", "127.0.0.1:9", "--latency", "10"], "--latency"),
    (["--bind", "127.0.0.1:9", "--error", "101"], "--error"),
    (["--bind", "127.0.0.1:9", "--error", "5:99"], "--error"),
    (["--bind", "127.0.0.1:9", "--hang", "x"], "--hang"),
    (["--bind", "127.0.0.1:9", "--threads", "0"], "--threads"),
    (["--bind", "127.0.0.1:9", "--name", "a\nb"], "--name"),
    (["--bind", "127.0.0.1:9", "--no-such-option"], "--no-such-option"),
])
def test_refused_options(args, word):
    done = subprocess.run([HOLDFAST, "whoami", *args], capture_output=True, text=True, timeout=60,
                          check=False, stdin=subprocess.DEVNULL)
    assert done.returncode in (1, 2)
    assert word in done.stderr


def test_port_in_use(whoami):
    """Two cannot share a port by accident."""
    w = whoami()
    done = subprocess.run([HOLDFAST, "whoami", "--bind", w.bind], capture_output=True, text=True,
                          timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "in use" in done.stderr


def test_ends_well(whoami):
    """SIGTERM ends it with status 0."""
    w = whoami()
    w.proc.terminate()
    assert w.proc.wait(30) == 0
