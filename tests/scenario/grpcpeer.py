# SPDX-License-Identifier: Apache-2.0
"""gRPC for tests, by python3-grpcio: a server (this file as a program: PORT) whose methods take and
give plain bytes, and a client of it. SIGTERM: it takes no more calls and ends those it has."""

import os
import signal
import sys
import threading
import time
from concurrent import futures

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0" # tests start programs while channels are open

import grpc # noqa pylint: disable=wrong-import-position

SERVICE = "test.Test"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
KINDS = {"Echo": "unary_unary", "Fail": "unary_unary", "Sleep": "unary_unary",
         "Name": "unary_unary", "Seen": "unary_unary", "Count": "unary_stream",
         "Sum": "stream_unary", "Chat": "stream_stream", "Early": "stream_stream"}


class Methods:
    """Each gets and gives bytes."""

    def __init__(self, name):
        self.name = name.encode()
        self.cancelled = 0
        self.calls = 0

    def Echo(self, request, context): # pylint: disable=invalid-name
        self.calls += 1
        given = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-out", given.get("x-in", "")),
                                       ("x-bytes-bin", given.get("x-bytes-bin", b""))])
        context.set_trailing_metadata([("x-end", given.get("x-in", ""))])
        return request

    def Fail(self, request, context): # pylint: disable=invalid-name
        code, _, text = request.decode().partition(" ")
        context.set_trailing_metadata([("x-end", "failed")])
        context.abort(getattr(grpc.StatusCode, code), text)

    def _gone(self):
        self.cancelled += 1

    def Sleep(self, request, context): # pylint: disable=invalid-name
        context.add_callback(lambda: context.is_active() or self._gone())
        until = time.monotonic() + float(request)
        while time.monotonic() < until and context.is_active():
            time.sleep(0.02)
        return self.name

    def Name(self, request, context): # pylint: disable=invalid-name
        return self.name

    def Seen(self, request, context): # pylint: disable=invalid-name
        return str(self.cancelled).encode()

    def Count(self, request, context): # pylint: disable=invalid-name
        n, delay = request.split()
        for i in range(int(n)):
            yield str(i).encode()
            if float(delay):
                time.sleep(float(delay))

    def Sum(self, requests, context): # pylint: disable=invalid-name
        n = size = 0
        for r in requests:
            n += 1
            size += len(r)
        return f"{n} {size}".encode()

    def Chat(self, requests, context): # pylint: disable=invalid-name
        for r in requests:
            yield b"re: " + r

    def Early(self, requests, context): # pylint: disable=invalid-name
        yield b"got " + next(requests)


def serve(port, name):
    methods = Methods(name)
    handlers = {m: getattr(grpc, kind + "_rpc_method_handler")(getattr(methods, m))
                for m, kind in KINDS.items()}
    server = grpc.server(futures.ThreadPoolExecutor(64), options=UNLIMITED)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    assert server.add_insecure_port(f"127.0.0.1:{port}")
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    server.start()
    over.wait()
    server.stop(20).wait()


class Client:
    """A channel; a method of it for each of the server's."""

    def __init__(self, port, credentials=None, options=()):
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1),
                   *UNLIMITED, *options]
        where = f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
        self.channel = grpc.secure_channel(where, credentials, options) if credentials else \
            grpc.insecure_channel(where, options)
        for m, kind in KINDS.items():
            setattr(self, m, getattr(self.channel, kind)(f"/{SERVICE}/{m}"))

    def close(self):
        self.channel.close()


class Calls:
    """Echo and Chat, again and again in some threads; .stop() gives the errors and how many went
    well."""

    def __init__(self, port, threads=6):
        self.clients = [Client(port) for _ in range(2)]
        self.errors, self.well = [], 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]
        for t in self._threads:
            t.start()

    def _run(self, i):
        c = self.clients[i % len(self.clients)]
        body = b"x" * (100 + 7000 * i)
        while not self._over.is_set():
            try:
                if i % 3 == 2:
                    got = list(c.Chat(iter([body] * 3), timeout=60))
                    assert got == [b"re: " + body] * 3
                else:
                    assert c.Echo(body, timeout=60) == body
                with self._lock:
                    self.well += 1
            except grpc.RpcError as e:
                self.errors.append((e.code(), e.details()))
            except AssertionError as e:
                self.errors.append(e)

    def stop(self):
        self._over.set()
        for t in self._threads:
            t.join(60)
        for c in self.clients:
            c.close()
        return self.errors, self.well


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
