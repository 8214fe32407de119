# SPDX-License-Identifier: Apache-2.0
"""Faults put into the HTTP/2 code on purpose, one at a time, each with the test that has to notice
it. A mutant is the program with one object made anew, linked with the libraries of the build."""

import json
import os
import shlex
import subprocess

from harness import ROOT

BUILD = os.path.join(ROOT, "build")

# name: (source, text that occurs once, what takes its place, tests)
FAULTS = {
    "length_not_checked": (
        "src/proxy/http2_recv.c", "if (st->sized && st->in_left > 0)", "if (false)",
        "test_h2_messages.py::test_broken_body[less than the length]"),
    "connection_fields_forwarded": (
        "src/http/h2_nv.c",
        "if (f->hop && f->id != HTTP_FIELD_TRAILER && f->id != HTTP_FIELD_PROXY_AUTHENTICATE)",
        "if (false)",
        "test_h2_messages.py::test_answers_from_http1"),
    "connection_fields_taken": (
        "src/http/h2_text.c", 'if (IS("connection") || IS("keep-alive"))',
        'if (IS("keep-alive"))',
        "test_h2_messages.py::test_malformed[Connection]"),
    "upper_case_taken": (
        "src/http/h2_text.c", "return *p >= 'A' && *p <= 'Z' ? H2_FAULT_UPPERCASE : "
        "H2_FAULT_BAD_NAME;", "return *p >= 'A' && *p <= 'Z' ? H2_FAULT_NONE : H2_FAULT_BAD_NAME;",
        "test_h2_messages.py::test_malformed[one upper-case letter]"),
    "goaway_names_too_few": (
        "src/proxy/http2.c", "nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,",
        "0, NGHTTP2_NO_ERROR,",
        "test_h2_streams.py::test_upgrade_says_goaway"),
    "windows_stay_closed": (
        "src/proxy/front_http2.c", "nghttp2_session_consume(st->h->ng, st->id, n);", "",
        "test_h2_streams.py::test_windows_are_given_back"),
    "trailers_dropped": (
        "src/proxy/http2_send.c", "if (!flow_empty(&st->trailers)) {", "if (false) {",
        "test_h2_client.py::test_trailers_both_ways"),
    "resets_not_passed_on": (
        "src/proxy/front_http2.c", 'exchange_cut(x, "the client reset the stream");',
        "(void)whole;",
        "test_h2_client.py::test_frames_after_our_reset"),
    "host_not_compared": (
        "src/http/h2_text.c", "H2_FAULT_OTHER_HOST;", "H2_FAULT_NONE;",
        "test_h2_messages.py::test_malformed[Host that differs from :authority]"),
    "resets_not_counted": (
        "src/proxy/http2_flood.c", "if (++h->resets <= h->c->listener->conf->http2.max_resets)",
        "if (true)",
        "test_h2_floods.py::test_flood[reset]"),
    "windows_towards_clients_ignored": (
        "src/proxy/front_http2.c", "if (h->held < HTTP2_HELD &&", "if (true || h->held < HTTP2_HELD &&",
        "test_h2_floods.py::test_flood[zero-windows]"),
    "never_indexed_forgotten": (
        "src/proxy/front_http2.c", "NGHTTP2_NV_FLAG_NO_INDEX", "NGHTTP2_NV_FLAG_NONE",
        "test_h2_client.py::test_never_indexed"),
}


def compile_command(source):
    """How the build makes the object of a source."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as f:
        for entry in json.load(f):
            path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
            if path == os.path.join(ROOT, source):
                return shlex.split(entry["command"])
    raise AssertionError(f"the build does not know {source}")


def option(command, name, value):
    """The command with another word behind an option."""
    at = command.index(name)
    return [*command[:at + 1], value, *command[at + 2:]]


def make(name, folder):
    """Builds a mutant in folder; its path."""
    source, before, after, _ = FAULTS[name]
    with open(os.path.join(ROOT, source), encoding="utf-8") as f:
        text = f.read()
    assert text.count(before) == 1, \
        f"{source}: {before!r} occurs {text.count(before)} times: write the fault {name} anew"
    mutated, made = (os.path.join(folder, f"{name}.{x}") for x in ("c", "o"))
    with open(mutated, "w", encoding="utf-8") as f:
        f.write(text.replace(before, after))
    command, words = [], iter(compile_command(source))
    for w in words:
        if w in ("-MQ", "-MF"): # what depends on what is of no interest here
            next(words)
        elif w != "-MD":
            command.append(w)
    command = option(option(command, "-o", made), "-c", mutated)
    subprocess.run([*command, "-w"], cwd=BUILD, check=True, capture_output=True, text=True)
    listing = subprocess.run(["ninja", "-t", "commands", "holdfast"], cwd=BUILD, check=True,
                             capture_output=True, text=True)
    link = shlex.split(listing.stdout.strip().splitlines()[-1])
    out = os.path.join(folder, name)
    link = option(link, "-o", out)
    # In front of the libraries: nothing of the archive's own object is missing then.
    at = next(i for i, w in enumerate(link) if w.endswith("src_main.c.o"))
    link.insert(at, made)
    subprocess.run(link, cwd=BUILD, check=True, capture_output=True, text=True)
    return out
