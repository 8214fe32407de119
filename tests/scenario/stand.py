# SPDX-License-Identifier: Apache-2.0
"""One node in front of test servers, for all tests of a module."""

import pytest

from conftest import NODES
from harness import Node, Whoami, free_port
from origin import Origin


class Stand:
    """A node with one listener; route `/NAME` leads to pool NAME, all else to pool web, whose
    server is a Whoami."""

    def __init__(self, listener=None, pools=None, routes=None, **top):
        self.whoami = Whoami("w")
        self.port = free_port()
        self.origins = {}
        conf = {
            "proxy": {"threads": 2},
            "trust": ["127.0.0.0/8"],
            "listeners": {"http": {"bind": f"127.0.0.1:{self.port}", **(listener or {})}},
            "routes": {"all": {"to": "web"}, **(routes or {})},
            "pools": {"web": {"servers": {"w": self.whoami.address}}, **(pools or {})},
            **top,
        }
        self.node = Node(conf, start=False)
        try:
            self.node.start()
            self.node.wait_server("web/w", "up")
        except BaseException:
            self.stop()
            raise

    def stop(self):
        try:
            self.node.stop()
        finally:
            self.whoami.stop()
        self.node.remove()


def make(**options):
    """A fixture for a module: the Stand, made once."""
    @pytest.fixture(scope="module")
    def whole_module():
        s = Stand(**options)
        yield s
        s.stop()

    @pytest.fixture
    def stand(request, whole_module):
        request.node.stash.setdefault(NODES, []).append(whole_module.node)
        yield whole_module
        whole_module.node.check_log()
    return whole_module, stand


@pytest.fixture
def origin():
    """origin(serve) makes an Origin; stopped after the test."""
    made = []

    def start(serve, **options):
        o = Origin(serve, **options)
        made.append(o)
        return o
    yield start
    for o in made:
        o.stop()
