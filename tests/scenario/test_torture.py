# SPDX-License-Identifier: Apache-2.0
"""Everything at once: bad origins, bad clients, reloads, orders and questions. HOLDFAST_SEED
repeats a run's choices (not its timing); it is printed when the test fails."""

import copy
import os
import random
import threading
import time

import pytest

from conftest import SLOW, Conn, free_port, memory_kib, wait_for
from torture import Record, Session, bad_origin, material

CLIENTS = 24
NAMES = ["s1", "s2", "s3"]


def configuration(rng, ports, origins, log_path):
    """A random one; with rng None the one that holds everything and is kind."""
    def pick(options, kind):
        return rng.choice(options) if rng else kind
    rows = {n: f"127.0.0.1:{o.port}" for n, o in zip(NAMES, origins)}

    def pool(names):
        out = {
            "servers": {n: rows[n] for n in names},
            "check": {"http": "/health", "interval": "500ms", "timeout": "490ms", "rise": 1,
                      "fall": 3},
            "balance": pick(["round_robin", "least_conn", "random_two", "source_hash"],
                            "round_robin"),
            "retries": pick([0, 1, 3], 2),
            "passive": pick([False, {"failures": 5, "eject": "500ms"}], False),
            "idle_connections": pick([1, 4, 256], 256),
            "queue_timeout": "3s",
        }
        if pick([True, True, False], False): # queues
            out["max_connections"] = rng.choice([1, 2, 6])
        return out
    listener = {"timeouts": {"connect": "3s", "response": f"{4 * SLOW:.0f}s",
                             "keep_alive": pick(["300ms", "2s"], "1s")}}
    if pick([True, False], True):
        listener["access_log"] = {"path": log_path, "format": "json"}
    conf = {
        "proxy": {"threads": pick([1, 2, 3, 4], 2)},
        "listeners": {"one": {"bind": f"127.0.0.1:{ports[0]}", **listener}},
        "routes": {"all": {"to": "web"}},
        "pools": {"web": pool(rng.sample(NAMES, rng.randrange(1, 4)) if rng else NAMES)},
    }
    if pick([True, False], True):
        conf["listeners"]["two"] = {"bind": f"127.0.0.1:{ports[1]}",
                                    "max_connections": pick([6, 100], 100),
                                    **copy.deepcopy(listener)}
    if pick([True, False], True):
        conf["pools"]["alt"] = pool(rng.sample(NAMES, 2) if rng else NAMES)
        conf["routes"]["a"] = {"path": "/a", "to": "alt"}
        conf["routes"]["header"] = {"header": {"X-Route": "1"}, "to": "alt"}
    return conf


def client(number, record, ports, end):
    rng = random.Random(f"{record.seed}/client {number}")
    i = 0
    while time.monotonic() < end and len(record.wrong) < 5:
        i += 1
        try:
            s = Session(rng, record, rng.choice([ports[0], ports[0], ports[1]]), f"{number}-{i}")
        except ConnectionRefusedError:
            continue # the second listener is not there now
        except OSError as e:
            record.count(f"not connected: {e}")
            continue
        s.run()


def steer(n, rng, record, conf_of, end):
    """Reloads, orders and questions until the end."""
    conf = conf_of(None)
    while time.monotonic() < end and len(record.wrong) < 5:
        what = rng.choice(["reload", "reload", "order", "order", "order", "ask"])
        if what == "reload":
            conf = conf_of(rng)
            done = n.reload(conf)
        elif what == "order":
            pool = rng.choice(list(conf["pools"]))
            name = rng.choice(list(conf["pools"][pool]["servers"]))
            done = n.cli(rng.choice(["drain", "disable"] + ["ready"] * 4), f"{pool}/{name}")
        else:
            done = n.cli(*rng.choice([("status",), ("status", "--json"), ("events",)]))
        # 1: not healthy, as it is meant to be.
        if done.returncode != 0 and not (what == "ask" and done.returncode == 1):
            record.fault(f"{done.args}: {done.returncode} {done.stdout} {done.stderr}")
        record.count(what)
        time.sleep(rng.random() * 0.3)


def calm(port, count):
    """Requests that the origins answer well."""
    for i in range(count):
        with Conn(port) as c:
            c.request("GET", f"/calm/calm-{i}", {"X-Id": f"calm-{i}", "X-Body": "0"})
            a = c.recv_response()
            assert a.get("X-Id") == f"calm-{i}", a
            if a.status not in (204, 304):
                assert a.body == material(f"calm-{i}", int(a.get("X-Len")))


def in_use(n):
    """The gauges that are not 0."""
    st = n.status()
    return [(kind, o.get("id") or o["name"], key, o[key])
            for kind in ("listeners", "routes", "pools", "servers") for o in st[kind]
            for key in ("open", "active") if o[key] != 0]


def wait_rest(n):
    left = []

    def none():
        left[:] = in_use(n)
        return not left
    try:
        wait_for(none, 30, "all gauges at 0", every=0.2)
    except AssertionError as e:
        raise AssertionError(f"{e}: {left}") from None


def torture(node, tmp_path, seconds):
    seed = os.environ.get("HOLDFAST_SEED") or str(random.SystemRandom().randrange(10 ** 9))
    print(f"repeat with HOLDFAST_SEED={seed}")
    record = Record(seed)
    ports = [free_port(), free_port()]
    origins = [bad_origin(record) for _ in NAMES]
    # Log files are opened by a role that may have dropped its rights.
    os.chmod(tmp_path, 0o777)

    def conf_of(rng):
        return configuration(rng, ports, origins, str(tmp_path / "access"))
    try:
        n = node(conf_of(None))
        n.wait_server("web/s1", "up")
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=client, args=(i, record, ports, end), daemon=True)
                   for i in range(CLIENTS)]
        threads.append(threading.Thread(target=steer, daemon=True, args=(
            n, random.Random(f"{seed}/steer"), record, conf_of, end)))
        proxy = n.role_pid("proxy")
        for t in threads:
            t.start()
        for t in threads:
            t.join(seconds + 100 * SLOW)
            assert not t.is_alive(), "a client or the steering hangs"
        print(record.counts)
        assert not record.wrong, "\n".join(record.wrong)
        done = n.reload(conf_of(None))
        assert done.returncode == 0, done.stdout + done.stderr
        for pool in ("web", "alt"):
            for name in NAMES:
                assert n.cli("ready", f"{pool}/{name}").returncode == 0
        for name in NAMES:
            n.wait_server(f"web/{name}", "up")
        wait_rest(n)
        calm(ports[0], 40)
        calm(ports[1], 10)
        assert not record.wrong, "\n".join(record.wrong)
        wait_rest(n)
        st = n.status()
        assert [r["restarts"] for r in st["roles"]] == [0] * len(st["roles"]), st["roles"]
        assert n.pids("proxy") == [proxy]
        rss = memory_kib(proxy, "Rss")
        print(f"RSS {rss} KiB")
        if SLOW <= 1:
            assert rss < 64 * 1024
        assert record.counts.get("whole answers", 0) > record.counts["requests at origins"] / 5
    except BaseException:
        print(f"repeat with HOLDFAST_SEED={seed}")
        raise
    finally:
        for o in origins:
            o.stop()


@pytest.mark.sanitize
def test_torture(node, tmp_path):
    torture(node, tmp_path, 12)


@pytest.mark.long
@pytest.mark.limit(400)
def test_long_torture(node, tmp_path):
    torture(node, tmp_path, 180)
