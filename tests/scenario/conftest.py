# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario tests, the time limit of each test, and what a failure shows: the log of
every node it started. Tests import what they need from here."""

import faulthandler
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=unused-import
from harness import (HOLDFAST, ROOT, SLOW, Node, Unreachable, Whoami, alive, cpu_seconds,  # noqa
                     free_port, memory_kib, process_name, wait_for, wait_gone)
from netns import Host, Lan, needs_netns  # noqa
from vippair import Pair  # noqa
from loadgen import Load, Wrk, ab, parse_wrk  # noqa
from wire import Closed, Conn, Response, http, raw  # noqa

# Files whose tests run with the sanitizer builds as well, beside the tests marked `sanitize`.
SANITIZED = {"test_body_edges.py", "test_http_bodies.py", "test_http_framing.py",
             "test_http_upgrade.py", "test_retries.py"}
TIME_LIMIT = 120 # seconds for a test's call; @pytest.mark.limit(240) for another


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked `long` as well")


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): time limit of this test")
    config.addinivalue_line("markers", "long: only with --long")
    config.addinivalue_line("markers", "alone: measures time or memory: nothing beside it")
    config.addinivalue_line("markers", "sanitize: also run with ASan and UBSan, and with TSan")
    if not os.access(HOLDFAST, os.X_OK):
        raise pytest.UsageError(f"{HOLDFAST} is not there: build first, or set HOLDFAST")


def pytest_collection_modifyitems(config, items):
    """Long tests are left out, not skipped: what is counted has run."""
    for i in items:
        if i.path.name in SANITIZED and not i.get_closest_marker("alone"):
            i.add_marker("sanitize")
    if config.getoption("--long"):
        return
    left_out = [i for i in items if i.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [i for i in items if not i.get_closest_marker("long")]


# --- time limits ------------------------------------------------------------------------------

def _limited(item, seconds):
    def ring(signum, frame):
        faulthandler.dump_traceback(file=sys.__stderr__)
        pytest.fail(f"took longer than its limit of {seconds:.0f} s")
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    _limited(item, 90 * SLOW)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("limit")
    _limited(item, (mark.args[0] if mark else TIME_LIMIT) * SLOW)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    _limited(item, 120 * SLOW)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


# --- what a failure shows ---------------------------------------------------------------------

NODES = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed:
        return
    for n in item.stash.get(NODES, []):
        lines = n.log.splitlines()
        cut = [f"… {len(lines) - 200} lines before"] if len(lines) > 200 else []
        report.sections.append((f"log of {n.path}", "\n".join(cut + lines[-200:])))


# --- fixtures ---------------------------------------------------------------------------------

@pytest.fixture
def node(request):
    """node(conf, …) makes a Node, started unless start=False; it is ended after the test."""
    nodes = request.node.stash.setdefault(NODES, [])

    def make(conf, start=True, wait=True, **options):
        n = Node(conf, start=False, **options)
        nodes.append(n)
        if start:
            n.start(wait=wait)
        return n
    yield make
    errors = []
    for n in nodes:
        try:
            n.stop()
        except AssertionError as e:
            errors.append(str(e))
    if errors:
        pytest.fail("\n".join(errors))
    for n in nodes:
        n.remove()


@pytest.fixture
def lan():
    """lan() makes a Lan of namespaces (netns.py), removed after the test; use it before `node`."""
    lans = []

    def make(*args, **options):
        x = Lan(*args, **options)
        lans.append(x)
        return x
    yield make
    for x in lans:
        x.close()


@pytest.fixture
def pair(lan, node):
    """pair(change=…) makes a Pair of nodes with a virtual IP (vippair.py), not started."""
    pairs = []

    def make(**options):
        pairs.append(Pair(lan, node, **options))
        return pairs[-1]
    yield make
    for p in pairs:
        p.stop()


def makes(kind, end="stop"):
    """A fixture: name(…) makes one of that kind; after the test they are ended, unless the test did
    so."""
    @pytest.fixture
    def made():
        things = []

        def make(*args, **options):
            things.append(kind(*args, **options))
            return things[-1]
        yield make
        for x in things:
            getattr(x, end)()
    return made


def one_for_all(kind):
    """Fixtures `whole_module` and another one: what kind() makes, once for a module; it has a node,
    and stop()."""
    @pytest.fixture(scope="module")
    def whole_module():
        x = kind()
        yield x
        x.stop()

    @pytest.fixture
    def place(request, whole_module):
        request.node.stash.setdefault(NODES, []).append(whole_module.node)
        yield whole_module
        whole_module.node.check_log()
    return whole_module, place


whoami = makes(Whoami)
load = makes(Load)
wrk = makes(Wrk)


def simple(port, servers, check=True, **pool):
    """A configuration: one listener, one route, pool `web` of the given Whoamis (or addresses)."""
    rows = {s.name if hasattr(s, "name") else f"s{i}": s.address if hasattr(s, "address") else s
            for i, s in enumerate(servers, 1)}
    web = {"servers": rows}
    if check:
        web["check"] = {"http": "/health", "interval": "200ms", "timeout": "190ms",
                        "rise": 1, "fall": 2}
    web.update(pool)
    return {
        "proxy": {"threads": 2},
        "listeners": {"http": {"bind": f"127.0.0.1:{port}"}},
        "routes": {"all": {"to": "web"}},
        "pools": {"web": web},
    }
