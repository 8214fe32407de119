# SPDX-License-Identifier: Apache-2.0
"""Floods, for two seconds each (`./dev bench floods` has them for longer): the daemon stays small, a
well-behaved client is served, and connections that flood are ended by GOAWAY and counted."""

import pytest

from conftest import one_for_all
from floods import KINDS, MIB, Place
from harness import SLOW

pytestmark = [pytest.mark.alone]


whole_module, place = one_for_all(Place)


@pytest.mark.parametrize("kind", KINDS)
def test_flood(place, kind):
    got = place.run(kind, 2)
    assert got["peak"] - got["memory"] <= MIB * 1024, got
    assert not got["failed"] and got["asked"] > 0, got
    assert got["during"] < 15 * SLOW, got # served; how fast, the machine's cores decide
    if KINDS[kind][2]:
        assert got["counted"] > 0, got
        assert got["goaways"] > 0 or kind.endswith("-deaf"), got
    assert place.node.pids("proxy")
