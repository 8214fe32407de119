# SPDX-License-Identifier: Apache-2.0
"""One node in front of test servers, for all tests of a module."""

from conftest import makes, one_for_all
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
    """Fixtures for a module: the Stand, made once."""
    return one_for_all(lambda: Stand(**options))


origin = makes(Origin)
