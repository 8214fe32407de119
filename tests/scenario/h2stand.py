# SPDX-License-Identifier: Apache-2.0
"""What the tests of HTTP/2 share: marks that tie a test to rows of rfc9113.md (tools/check_rfc.py
reads them), and nodes to test against."""

import pytest

from harness import wait_for


BAD = ("x-test-id", "bad") # a field of requests that no server may see


def rfc(rows): # pylint: disable=unused-argument
    """The test shows these rows, "9113-6.5-3 9113-6.5-4"."""
    return lambda test: test


def case(name, rows, *values): # pylint: disable=unused-argument
    """A parameter set of that name, which shows these rows."""
    return pytest.param(*values, id=name)


class Unseen:
    """with Unseen(stand): no request marked as BAD gets through to the test server."""

    def __init__(self, stand):
        self.stand = stand

    def count(self):
        return self.stand.whoami.counts()["ids"].get("bad", 0)

    def __enter__(self):
        self.before = self.count()
        return self

    def __exit__(self, kind, *unused):
        if kind is None:
            assert self.count() == self.before, "the server got the bad request"


def served(client):
    """The connection still serves."""
    answer = client.get(path="/still")
    assert answer.status == 200, answer


def arrived(stand, before):
    wait_for(lambda: stand.whoami.counts()["requests"] > before, what="request at the server")
