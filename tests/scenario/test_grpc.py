# SPDX-License-Identifier: Apache-2.0
"""gRPC through the proxy, with the clients and servers of python3-grpcio: all four kinds of calls,
statuses, deadlines, cancellation, servers that die or leave, reload, drain and upgrade."""

import os
import threading
import time

import pytest

from conftest import free_port, makes, simple, wait_for
from grpcpeer import Calls, Client
from h2origin import Cert, Program

import grpc # noqa pylint: disable=wrong-import-order

CODE = grpc.StatusCode
HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def server():
    """server(name) is a gRPC server, a program of its own."""
    made = []

    def make(name):
        port = free_port()
        made.append(Program(["/usr/bin/python3", os.path.join(HERE, "grpcpeer.py"), str(port), name],
                            port))
        made[-1].name = name
        return made[-1]
    yield make
    for p in made:
        p.kill()


client = makes(Client, "close")
calls = makes(Calls)


def over_h2(port, servers, **pool):
    conf = simple(port, servers, check=False, protocol="h2", **pool)
    conf["trust"] = ["127.0.0.1/32"]
    return conf


def failure(call, *args, **options):
    """(code, details) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as e:
        got = call(*args, timeout=30, **options)
        if hasattr(got, "__iter__") and not isinstance(got, bytes):
            list(got)
    return e.value.code(), e.value.details()


# --- calls ------------------------------------------------------------------------------------

def test_four_kinds_of_calls(node, server, client):
    a, port = server("a"), free_port()
    n = node(over_h2(port, [a]))
    c = client(port)
    assert c.Echo(b"hello", timeout=30) == b"hello"
    assert list(c.Count(b"500 0", timeout=30)) == [b"%d" % i for i in range(500)]
    assert c.Sum(iter([b"x" * 50000] * 40), timeout=30) == b"40 2000000"
    # Each message waits for the answer to the one before: nothing may be held back.
    answered = threading.Semaphore(1)

    def requests():
        for i in range(200):
            answered.acquire() # pylint: disable=consider-using-with
            yield b"%d" % i
    for i, r in enumerate(c.Chat(requests(), timeout=30)):
        assert r == b"re: %d" % i
        answered.release()
    assert n.metrics()['holdfast_server_response_errors_total{pool="web",server="a"}'] == 0


def test_messages_come_as_they_are_sent(node, server, client):
    """A stream whose second message takes its time: the first is there long before."""
    a, port = server("a"), free_port()
    node(over_h2(port, [a]))
    stream = client(port).Count(b"2 3", timeout=60)
    began = time.monotonic()
    assert next(stream) == b"0"
    assert time.monotonic() - began < 2.9
    stream.cancel()


def test_metadata_and_large_messages(node, server, client):
    a, port = server("a"), free_port()
    node(over_h2(port, [a]))
    c = client(port)
    data = bytes(range(256))
    got, call = c.Echo.with_call(b"", timeout=30,
                                 metadata=[("x-in", "some text"), ("x-bytes-bin", data)])
    assert got == b""
    assert ("x-out", "some text") in call.initial_metadata()
    assert dict(call.initial_metadata())["x-bytes-bin"] == data
    assert ("x-end", "some text") in call.trailing_metadata()
    big = os.urandom(8000000)
    assert c.Echo(big, timeout=60) == big


def test_statuses_of_the_server(node, server, client):
    a, port = server("a"), free_port()
    node(over_h2(port, [a]))
    c = client(port)
    for code in (CODE.NOT_FOUND, CODE.UNAVAILABLE, CODE.INTERNAL, CODE.RESOURCE_EXHAUSTED):
        assert failure(c.Fail, f"{code.name} it is so".encode()) == (code, "it is so")
    missing = c.channel.unary_unary("/test.Test/None")
    assert failure(missing, b"")[0] == CODE.UNIMPLEMENTED


def test_end_before_the_requests_end(node, server, client):
    a, port = server("a"), free_port()
    n = node(over_h2(port, [a]))
    c = client(port)
    hold = threading.Event()

    def requests():
        yield b"one"
        hold.wait(30)
        yield b"two"
    try:
        for _ in range(5):
            assert list(c.Early(requests(), timeout=30)) == [b"got one"]
    finally:
        hold.set()
    assert c.Echo(b"x", timeout=30) == b"x"
    assert n.metrics()['holdfast_server_response_errors_total{pool="web",server="a"}'] == 0


def test_deadlines_and_cancelling_reach_the_server(node, server, client):
    a, port = server("a"), free_port()
    node(over_h2(port, [a]))
    c = client(port)
    with pytest.raises(grpc.RpcError) as e:
        c.Sleep(b"60", timeout=0.5)
    assert e.value.code() == CODE.DEADLINE_EXCEEDED
    wait_for(lambda: c.Seen(b"", timeout=30) == b"1")
    call = c.Sleep.future(b"60", timeout=60)
    time.sleep(0.2)
    call.cancel()
    wait_for(lambda: c.Seen(b"", timeout=30) == b"2")


# --- answers of our own -----------------------------------------------------------------------

def test_answers_of_our_own(node, server, client):
    a, port, nobody = server("a"), free_port(), free_port()
    conf = over_h2(port, [a], timeouts={"response": "600ms"})
    conf["pools"]["gone"] = {"protocol": "h2", "servers": {"x": f"127.0.0.1:{nobody}"}}
    conf["routes"] = {"all": {"path": "/test.Test", "to": "web", "max_body": "1MiB"},
                      "gone": {"path": "/gone.Gone", "to": "gone"}}
    n = node(conf)
    c = client(port)
    code, text = failure(c.channel.unary_unary("/gone.Gone/X"), b"")
    assert code == CODE.UNAVAILABLE and "connect refused" in text
    code, text = failure(c.channel.unary_unary("/other.Other/X"), b"")
    assert code == CODE.UNIMPLEMENTED and "no route" in text
    code, text = failure(c.Sleep, b"30")
    assert code == CODE.DEADLINE_EXCEEDED and "timed out" in text
    code, text = failure(c.Echo, b"x" * 3000000)
    assert code == CODE.RESOURCE_EXHAUSTED and "max_body" in text
    # A stream that has begun.
    code, text = failure(c.Count, b"2 5")
    assert code == CODE.DEADLINE_EXCEEDED and "stopped" in text
    # Strangers are told no inner matters; counters tell of statuses of HTTP.
    del conf["trust"]
    assert n.reload(conf).returncode == 0
    code, text = failure(c.channel.unary_unary("/gone.Gone/X"), b"")
    assert code == CODE.UNAVAILABLE and "refused" not in text
    assert n.metrics()['holdfast_listener_requests_total{listener="http",method="POST",'
                       'code="404"}'] == 1


def test_a_server_dies_in_the_middle(node, server, client):
    a, port = server("a"), free_port()
    node(over_h2(port, [a]))
    stream = client(port).Count(b"100000 0.01", timeout=60)
    assert next(stream) == b"0"
    a.kill()
    with pytest.raises(grpc.RpcError) as e:
        list(stream)
    assert e.value.code() == CODE.UNAVAILABLE
    assert "closed in the middle" in e.value.details()


# --- under load -------------------------------------------------------------------------------

def some(c, more=100):
    """Until so many more calls have gone well."""
    at = c.well
    wait_for(lambda: c.well >= at + more or c.errors, 60, "calls")


def test_a_rolling_restart_loses_no_call(node, server, calls):
    """Drained first: a gRPC server that is told to stop cancels calls that it has just got."""
    a, b, port = server("a"), server("b"), free_port()
    n = node(over_h2(port, [a, b]))

    def active(name):
        return n.metrics()[f'holdfast_server_active_requests{{pool="web",server="{name}"}}']
    c = calls(port)
    for s in (a, b, a):
        some(c)
        assert n.cli("drain", f"web/{s.name}").returncode == 0
        wait_for(lambda s=s: active(s.name) == 0)
        s.stop(30)
        some(c)
        s.start()
        assert n.cli("ready", f"web/{s.name}").returncode == 0
    some(c)
    errors, well = c.stop()
    assert not errors and well >= 500, (errors[:5], len(errors), well)


def test_reload_and_drain_lose_no_call(node, server, calls):
    a, b, port = server("a"), server("b"), free_port()
    conf = over_h2(port, [a, b])
    n = node(conf)
    c = calls(port)
    some(c)
    for i in range(3):
        conf["pools"]["web"]["queue_length"] = 500 + i
        conf["proxy"]["threads"] = 1 + i % 2
        assert n.reload(conf).returncode == 0
        some(c)
    for order in ("drain", "ready"):
        assert n.cli(order, "web/a").returncode == 0
        some(c)
    errors, well = c.stop()
    assert not errors and well >= 500, (errors[:5], len(errors), well)


def test_upgrade_loses_no_call(node, server, calls):
    a, port = server("a"), free_port()
    n = node(over_h2(port, [a]))
    c = calls(port)
    some(c)
    assert n.cli("upgrade").returncode == 0
    some(c)
    errors, well = c.stop()
    assert not errors, (errors[:5], len(errors), well)


def test_over_tls(node, server, client, tmp_path):
    """ALPN with the client; the server is spoken to in clear text."""
    a, port, cert = server("a"), free_port(), Cert()
    conf = over_h2(port, [a])
    conf["listeners"]["http"]["tls"] = {"certificates": [{"cert": cert.pem, "key": cert.key}]}
    os.chmod(cert.key, 0o644)
    try:
        node(conf)
        with open(cert.pem, "rb") as f:
            trusted = grpc.ssl_channel_credentials(f.read())
        c = client(port, credentials=trusted,
                   options=[("grpc.ssl_target_name_override", "shop.test")])
        assert c.Echo(b"x" * 300000, timeout=30) == b"x" * 300000
        assert list(c.Count(b"100 0", timeout=30))[-1] == b"99"
        assert failure(c.Fail, b"NOT_FOUND no") == (CODE.NOT_FOUND, "no")
    finally:
        cert.remove()
