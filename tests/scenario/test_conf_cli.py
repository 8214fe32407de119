# SPDX-License-Identifier: Apache-2.0
"""check, show, schema and diff as a user runs them: examples, bad files of every kind, exit codes,
and that the schema agrees with the program about what is right."""

import glob
import json
import os
import random
import socket
import subprocess
import time

import jsonschema
import pytest
import yaml

from conftest import HOLDFAST, ROOT, SLOW, free_port

EXAMPLES = sorted(glob.glob(os.path.join(ROOT, "examples", "*.yaml")))
MINIMAL = """\
listeners:
  http: { bind: "*:80" }
pools:
  web:
    check: { http: /health }
    servers: { a: 10.0.0.21:80, b: 10.0.0.22:80 }
routes:
  all: { to: web }
"""


def holdfast(*args, **env):
    return subprocess.run([HOLDFAST, *args], capture_output=True, timeout=60 * SLOW, check=False,
                          text=True, errors="replace", env={**os.environ, **env})


def write(folder, text, name="f.yaml"):
    path = os.path.join(folder, name)
    mode = "wb" if isinstance(text, bytes) else "w"
    with open(path, mode) as f:
        f.write(text)
    return path


@pytest.fixture(scope="module", name="schema")
def fixture_schema():
    schema = json.loads(holdfast("schema").stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


# --- examples ---------------------------------------------------------------------------------

def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("path", EXAMPLES, ids=os.path.basename)
def test_example_is_well(path):
    r = holdfast("check", "-c", path)
    assert r.returncode == 0, r.stdout
    assert ": well, " in r.stdout.splitlines()[-1]
    # fast advertisements ask something of the machine; a host that no route knows gets 404
    expected = 2 if os.path.basename(path) == "pair.yaml" else 0
    assert r.stdout.count(": warning: ") == expected, r.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=os.path.basename)
def test_example_matches_schema(path, schema):
    with open(path, encoding="utf-8") as f:
        schema.validate(yaml.safe_load(f))


@pytest.mark.parametrize("path", EXAMPLES, ids=os.path.basename)
def test_shown_example_is_the_same(path, schema, tmp_path):
    """What show prints matches the schema, and loads as the same configuration."""
    for args, name in (((), "f.yaml"), (("--json",), "f.json")):
        r = holdfast("show", "-c", path, *args)
        assert r.returncode == 0, r.stderr
        shown = yaml.safe_load(r.stdout)
        schema.validate(shown)
        text = r.stdout.replace("***", "change-me-please")
        again = write(tmp_path, text, name)
        r = holdfast("diff", "-c", path, again)
        assert r.returncode == 0, r.stderr
        assert r.stdout == "no changes\n"


def test_readme_file_is_well(tmp_path):
    assert holdfast("check", "-c", write(tmp_path, MINIMAL)).returncode == 0


# --- errors -----------------------------------------------------------------------------------

def test_six_mistakes_six_errors(tmp_path):
    path = write(tmp_path, """\
listeners:
  http: { bind: "*:80", max_line: 8 }
pools:
  web:
    blance: round_robin
    check: { http: health, interval: 2 }
    servers: { a: 10.0.0.21:80, b: 10.0.0.22 }
routes:
  all: { to: wbe }
""")
    r = holdfast("check", "-c", path)
    assert r.returncode == 1
    errors = [line for line in r.stdout.splitlines() if ": error: " in line]
    places = [line.split(": error: ")[0].rsplit(":", 2)[1:] for line in errors]
    assert places == [["2", "35"], ["5", "5"], ["6", "20"], ["6", "38"], ["7", "36"], ["9", "14"]]
    assert 'did you mean "balance"?' in errors[1]
    assert 'did you mean "web"?' in errors[5]
    lines = r.stdout.splitlines()
    at = lines.index(errors[1])
    assert lines[at + 1] == "    5 |     blance: round_robin"
    assert lines[at + 2] == "      |     ^~~~~~"


BAD = {
    "empty": b"",
    "comment": b"# nothing\n",
    "garbage": random.Random(1).randbytes(1 << 20),
    "zeros": b"\0" * 100000,
    "utf16": MINIMAL.encode("utf-16"),
    "latin1": b"listeners:\n  http: { bind: \"\xe4\" }\n",
    "elf": b"\x7fELF" + bytes(range(256)) * 100,
    "brackets": b"[" * 1000000,
    "braces": b"{a: " * 100000,
    "dashes": b"- " * 1000000,
    "indents": b"a:\n" + b"".join(b" " * i + b"- \n" for i in range(1, 1500)),
    "many_keys": b"".join(b"k%d: 1\n" % i for i in range(200000)),
    "same_keys": b"a: 1\n" * 300000,
    "long_line": b"user: \"" + b"x" * 8000000 + b"\"\n",
    "long_comment": b"#" * 15000000,
    "anchors": b"a: &a [1]\n" + b"".join(b"k%d: *a\n" % i for i in range(1000)),
    "bomb": b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n",
    "many_bad_servers": b"pools:\n  a:\n    servers:\n" +
                        b"".join(b"      s%d: bad\n" % i for i in range(16000)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, tmp_path):
    """An error that says so, at once, and no crash."""
    path = write(tmp_path, BAD[name])
    start = time.monotonic()
    r = holdfast("check", "-c", path)
    took = time.monotonic() - start
    assert r.returncode == 1, r.stdout[-500:]
    assert ": error: " in r.stdout
    assert len(r.stdout) < 100000
    assert took < 10 * SLOW # a second on a quiet machine


def test_100_mb(tmp_path):
    path = write(tmp_path, b"a: b\n")
    os.truncate(path, 100 * 1024 * 1024)
    start = time.monotonic()
    r = holdfast("check", "-c", path)
    assert r.returncode == 1
    assert "larger than 16 MiB" in r.stdout
    assert time.monotonic() - start < 10 * SLOW


def test_no_such_file(tmp_path):
    r = holdfast("check", "-c", str(tmp_path / "nothing.yaml"))
    assert r.returncode == 1
    assert "No such file or directory" in r.stdout


def test_no_colour_in_a_pipe(tmp_path):
    r = holdfast("check", "-c", write(tmp_path, "a: 1\n"))
    assert "\033" not in r.stdout


def test_warning_exits_0(tmp_path):
    text = MINIMAL.replace(", b: 10.0.0.22:80", "")
    r = holdfast("check", "-c", write(tmp_path, text))
    assert r.returncode == 0
    assert ": warning: pool \"web\" has one server: when it fails" in r.stdout


def test_check_json(tmp_path):
    r = holdfast("check", "--json", "-c", write(tmp_path, MINIMAL))
    assert r.returncode == 0
    assert json.loads(r.stdout)["well"] is True
    r = holdfast("check", "--json", "-c", write(tmp_path, "a: 1\n"))
    assert r.returncode == 1
    assert json.loads(r.stdout)["errors"] == 4


def test_which_node_this_would_be(tmp_path):
    nodes = "nodes: {{ {}: {{ address: 203.0.113.1 }}, other: {{ address: 203.0.113.2 }} }}\n"
    host = socket.gethostname().split(".")[0]
    path = write(tmp_path, nodes.format(host) + MINIMAL)
    r = holdfast("check", "-c", path)
    assert r.returncode == 0
    assert f"this machine would be node {host}\n" in r.stdout
    assert ": well, " in r.stdout.splitlines()[-1]
    assert json.loads(holdfast("check", "--json", "-c", path).stdout)["node"] == host
    path = write(tmp_path, nodes.format("lb1") + MINIMAL)
    r = holdfast("check", "-c", path)
    assert r.returncode == 0
    assert "this machine would be none of the nodes (lb1, other)\n" in r.stdout
    assert json.loads(holdfast("check", "--json", "-c", path).stdout)["node"] is None
    nodes = "nodes: { lb1: { address: 127.0.0.1 }, lb2: { address: 203.0.113.2 } }\n"
    r = holdfast("check", "-c", write(tmp_path, nodes + MINIMAL))
    assert "this machine would be node lb1\n" in r.stdout


def test_variables(tmp_path):
    path = write(tmp_path, MINIMAL.replace("*:80", "*:${PORT}"))
    assert "is not set" in holdfast("check", "-c", path).stdout
    r = holdfast("show", "-c", path, PORT="8081")
    assert yaml.safe_load(r.stdout)["listeners"]["http"]["bind"] == "*:8081"


def test_include(tmp_path):
    os.mkdir(tmp_path / "conf.d")
    path = write(tmp_path, "include: conf.d/*.yaml\n" + MINIMAL)
    more = "pools: { more: { check: { tcp: true }, servers: { a: 10.1.0.1:80, b: 10.1.0.2:80 } } }\n"
    write(tmp_path / "conf.d", more + "routes: { more: { path: /more, to: more } }\n", "more.yaml")
    r = holdfast("check", "-c", path)
    assert r.returncode == 0 and "2 routes, 2 pools, 4 servers" in r.stdout, r.stdout
    write(tmp_path / "conf.d", "pools: { web: { servers: { a: 10.1.0.1:80 } } }\n", "web.yaml")
    r = holdfast("check", "-c", path)
    assert r.returncode == 1
    assert 'conf.d/web.yaml:1:10: error: "web" is defined in' in r.stdout


# --- the schema -------------------------------------------------------------------------------

@pytest.mark.parametrize("change", [
    ("max_conections: 5",), ("max_line: 8",), ("max_headers: 0",), ("protocol: sctp",),
    ("max_connections: many",), ("timeouts: { conect: 1s }",), ("timeouts: { connect: 5 }",),
    ("access_log: [1]",), ("access_log: { format: xml }",), ('error_pages: { "200": a }',),
    ("access_log: { sample: 2 }",),
], ids=lambda c: c[0])
def test_schema_refuses_what_check_refuses(change, schema, tmp_path):
    text = MINIMAL.replace('"*:80"', '"*:80", ' + change[0])
    assert holdfast("check", "-c", write(tmp_path, text)).returncode == 1
    assert not schema.is_valid(yaml.safe_load(text))


VIPS = """\
nodes: { lb1: { address: 10.0.0.11 }, lb2: { address: 10.0.0.12 } }
checks: { db: { tcp: true, address: "10.0.0.9:80" } }
virtual_ips:
  web: { address: 10.0.0.100/24, interface: eth0, router_id: 51, priority: { lb1: 200, lb2: 100 } }
slo: { outage: 1s, drills: { node-death: { failed: 0 } } }
""" + MINIMAL


@pytest.mark.parametrize("change", [
    "", "preempt: 30s", "preempt: off", "track: proxy", "track: []", "advertise: 40ms",
    "track: [proxy, { pool.web: { min: 2 } }]", "track: { proxy: , check.db: { weight: 150 } }",
    "handover: off", "handover: 10s", "checksum: plain", "unicast_peers: true", "sync_group: a",
    "notify: { exec: [/bin/x], webhook: \"https://a.test/\" }", "virtual_mac: yes",
], ids=lambda c: c or "as_it_is")
def test_schema_takes_what_check_takes(change, schema, tmp_path):
    text = VIPS.replace("lb2: 100 } }", "lb2: 100 }, " + change + " }")
    r = holdfast("check", "-c", write(tmp_path, text))
    assert r.returncode == 0, r.stdout
    schema.validate(yaml.safe_load(text))
    shown = yaml.safe_load(holdfast("show", "-c", str(tmp_path / "f.yaml")).stdout)
    schema.validate(shown)


@pytest.mark.parametrize("old,new", [
    ("router_id: 51", "router_id: 256"), ("lb1: 200", "lb1: 255"), ("interface: eth0, ", ""),
    ("lb2: 100 } }", "lb2: 100 }, track: { pool.web: 2 } }"),
    ("lb2: 100 } }", "lb2: 100 }, track: { pool.web: { mni: 2 } } }"),
    ("lb2: 100 } }", "lb2: 100 }, preempt: later }"), ("lb2: 100 } }", "lb2: 100 }, version: 4 }"),
    ("tcp: true", "tcp: true, intervall: 1s"), ("outage: 1s", "outage: 1"),
    ("failed: 0", "filed: 0"), ("outage: 1s", "drils: {}"),
])
def test_schema_refuses_what_check_refuses_of_virtual_ips(old, new, schema, tmp_path):
    text = VIPS.replace(old, new)
    assert text != VIPS
    assert holdfast("check", "-c", write(tmp_path, text)).returncode == 1
    assert not schema.is_valid(yaml.safe_load(text))


def test_schema_needs_what_check_needs(schema, tmp_path):
    text = MINIMAL.replace("{ to: web }", "{ path: / }")
    assert holdfast("check", "-c", write(tmp_path, text)).returncode == 1
    assert not schema.is_valid(yaml.safe_load(text))


# --- diff -------------------------------------------------------------------------------------

def test_diff_of_files(tmp_path):
    old = write(tmp_path, MINIMAL, "old.yaml")
    new = write(tmp_path, MINIMAL.replace("b: 10.0.0.22:80", "c: 10.0.0.23:80"), "new.yaml")
    r = holdfast("diff", "-c", old, new)
    assert r.returncode == 0
    lines = r.stdout.splitlines()
    assert lines[0].startswith("pools.web.servers.b: removed (")
    assert lines[1].startswith("pools.web.servers.c: added (")
    assert lines[2] == "2 changes"
    r = holdfast("diff", "--json", "-c", old, new)
    assert [c["change"] for c in json.loads(r.stdout)] == ["removed", "added"]


def test_diff_refuses_a_broken_file(tmp_path):
    r = holdfast("diff", "-c", write(tmp_path, MINIMAL), write(tmp_path, "a: [}", "b.yaml"))
    assert r.returncode == 1
    assert "b.yaml:1:5: error: " in r.stderr


def test_diff_without_a_node(tmp_path):
    r = holdfast("diff", "--state", str(tmp_path), write(tmp_path, MINIMAL))
    assert r.returncode == 3


def test_diff_with_the_running_node(tmp_path, node, whoami):
    server = whoami()
    conf = {
        "listeners": {"http": {"bind": f"127.0.0.1:{free_port()}"}},
        "pools": {"web": {"check": {"tcp": True}, "servers": {"a": server.address}}},
        "routes": {"all": {"to": "web"}},
    }
    n = node(conf)
    r = n.cli("diff", write(tmp_path, yaml.safe_dump(conf)))
    assert r.returncode == 0, r.stderr
    assert r.stdout == "no changes\n"
    conf["pools"]["web"]["retries"] = 1
    r = n.cli("diff", write(tmp_path, yaml.safe_dump(conf)))
    assert r.stdout.startswith("pools.web.retries: 2 -> 1 (")
    assert n.reload(conf).returncode == 0
    r = n.cli("diff", write(tmp_path, yaml.safe_dump(conf)))
    assert r.stdout == "no changes\n"
