# SPDX-License-Identifier: Apache-2.0
"""Drills on the pair, in a lab: what they measure, their verdicts and exit statuses, the report."""

import html.parser
import json
import os

import pytest
from conftest import free_port, simple
from labs import Lab, pair

LAX = {"outage": "20s", "failed": 100000, "recovery": "120s", "split_brain": "60s"}


@pytest.fixture
def lab():
    """lab(**more) makes the pair's file with a name of its own; its lab is ended."""
    labs = []

    def make(**more):
        x = Lab(pair(f"drill{os.getpid()}-{len(labs)}", **more))
        labs.append(x)
        return x
    yield make
    for x in labs:
        x.remove()


def drill(lab, *args, timeout=100):
    done = lab.run("drill", *args, "-c", lab.path, timeout=timeout)
    return done


def results(done):
    return {r["scenario"]: r for r in json.loads(done.stdout)["results"]}


@pytest.mark.limit(240)
@pytest.mark.alone
def test_a_node_dies_and_the_other_answers(lab, tmp_path):
    x = lab(slo=LAX)
    report = tmp_path / "report.html"
    done = drill(x, "node-death", "proxy-crash", "--streams", "0", "--json", "--report", report)
    assert done.returncode == 0, done.stdout + done.stderr
    r = results(done)
    assert list(r) == ["node-death", "proxy-crash"]
    death = r["node-death"]
    assert death["verdict"] == "met" and death["why"] == ""
    assert (death["active"], death["active_after"]) == ("lb1", "lb2")
    assert death["requests"] > 500 and death["failed"] < death["requests"] / 2
    assert death["gap_ms"] > 40, "nobody answers before the peer has found out"
    assert death["failed_before"] == 0
    assert death["download_intact"] is None
    assert death["answered_by"]["web2"] > death["answered_by"]["web1"] > 0, "by their weights"
    assert "web3" not in death["answered_by"], "it is a backup"
    assert death["limits"] == {"outage_ms": 20000, "failed": 100000, "recovery_ms": 120000,
                               "split_brain_ms": 60000}
    assert r["proxy-crash"]["refused"] == 0
    assert r["proxy-crash"]["active_after"] == "lb1", "a restart of the proxy moves nothing"
    # Nothing is left of the lab, nor of the drill's own folder.
    assert x.run("lab", "status", "--name", x.name).returncode != 0
    check_page(report.read_text(encoding="utf-8"), ["node-death", "proxy-crash"])


@pytest.mark.limit(240)
@pytest.mark.alone
def test_a_drill_asks_by_tls_where_the_file_says_so(lab):
    x = lab(slo=LAX, listeners={"http": {"bind": "*:80", "redirect_https": True},
                                "https": {"bind": "*:443", "tls": "internal"}})
    done = drill(x, "switchover", "--streams", "3s", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    r = results(done)["switchover"]
    assert r["verdict"] == "met" and r["active_after"] == "lb2"
    assert r["requests"] > 300 and r["failed"] < r["requests"] / 2
    assert r["download_intact"] is True and r["websocket_intact"] is True
    assert r["answered_by"]["web1"] > 0, "answers were understood"
    assert json.loads(done.stdout)["target"].startswith("https://"), "what was asked"


class Page(html.parser.HTMLParser):
    """Balanced, and loading nothing from anywhere."""
    VOID = {"meta", "br", "line", "rect", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.charts = [], [], 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        assert not attrs.get("href", "#").startswith("http")
        self.charts += tag == "svg"
        if tag == "section":
            self.ids.append(attrs["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID, tag

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(text, names):
    page = Page()
    page.feed(text)
    assert page.open == []
    assert len(page.ids) == page.charts == len(names)
    for name in names:
        assert name in text
    assert "@import" not in text and "url(" not in text


@pytest.mark.limit(240)
@pytest.mark.alone
def test_a_limit_that_is_missed_is_named(lab):
    x = lab(slo=dict(LAX, drills={"node-death": {"outage": "1ms"}}))
    done = drill(x, "node-death", "server-death", "--streams", "0")
    assert done.returncode == 1, done.stdout + done.stderr
    line = next(w for w in done.stdout.splitlines() if "node-death" in w)
    assert "missed" in line and "outage: " in line and "limit 1ms" in line
    line = next(w for w in done.stdout.splitlines() if "server-death" in w)
    assert "met" in line
    assert done.stdout.splitlines()[-1] == "1 of 2 drills did not keep their limits."


@pytest.mark.limit(300)
@pytest.mark.alone
def test_on_purpose_nobody_notices(lab):
    """Streams of 5 s through a stop in order, a change of hands, and a reload that is refused."""
    x = lab(slo=LAX)
    done = drill(x, "graceful-stop", "switchover", "bad-reload", "--streams", "5s", "--json",
                 timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, r in results(done).items():
        assert (r["failed"], r["refused"]) == (0, 0), (name, r)
        assert r["download_intact"] and r["websocket_intact"], (name, r)
    r = results(done)
    assert r["graceful-stop"]["active_after"] == r["switchover"]["active_after"] == "lb2"
    assert r["bad-reload"]["active_after"] == "lb1"


@pytest.mark.limit(240)
@pytest.mark.alone
def test_in_a_lab_that_runs_and_the_users_file_stays(lab):
    x = lab(slo=LAX)
    x.up()
    with open(x.path, "rb") as f:
        before = f.read()
    done = x.run("drill", "reload", "bad-reload", "--lab", x.name, "--streams", "0", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    r = results(done)
    assert r["reload"]["verdict"] == "met"
    assert r["bad-reload"]["verdict"] == "skipped" and "your own file" in r["bad-reload"]["why"]
    with open(x.path, "rb") as f:
        assert f.read() == before
    assert x.holder() == "lb1", "the lab runs on"


def test_in_production_only_what_harms_nobody(node, whoami):
    port = free_port()
    n = node(simple(port, [whoami("a"), whoami("b")]))
    n.wait_server("web/a", "up")
    n.wait_server("web/b", "up")
    url = f"http://127.0.0.1:{port}/"
    done = n.cli("drill", "reload", "--url", url, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(done)["reload"]["failed"] == 0
    done = n.cli("drill", "proxy-crash", "--url", url)
    assert done.returncode == 1 and "--i-know" in done.stdout, done.stdout + done.stderr
    done = n.cli("drill", "node-death", "--url", url, "--i-know")
    assert done.returncode == 1 and "in a lab only" in done.stdout, done.stdout + done.stderr
    old = n.role_pid("proxy")
    done = n.cli("drill", "proxy-crash", "--url", url, "--i-know", "--json")
    assert results(done)["proxy-crash"]["refused"] == 0, done.stdout + done.stderr
    assert n.role_pid("proxy") != old


def test_usage(lab, tmp_path):
    x = lab()
    done = x.run("drill", "--list")
    assert done.returncode == 0 and "power-cycle" in done.stdout
    assert len(json.loads(x.run("drill", "--list", "--json").stdout)) == 16
    assert x.run("drill", "-c", x.path).returncode == 2
    done = drill(x, "no-such-thing")
    assert done.returncode == 2 and "--list" in done.stderr
    assert drill(x, "--all", "reload").returncode == 2
    assert drill(x, "reload", "--every", "soon").returncode == 2
    assert x.run("drill", "reload", "--lab", "no-such-lab").returncode == 3
    bad = tmp_path / "bad.yaml"
    bad.write_text("listeners: 1\n")
    done = x.run("drill", "reload", "-c", bad)
    assert done.returncode == 1 and "listeners" in done.stderr
    assert x.run("drill", "reload", "--url", "http://127.0.0.1:1/", "--state",
                 tmp_path).returncode == 3
