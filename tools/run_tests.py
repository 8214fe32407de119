#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs all tests and counts them: the unit tests and fuzz replays of build/, the same with
sanitizers (build-asan/), the scenario tests, and those marked `sanitize` with the sanitizer builds.
Counted is each test function once; the repetitions under sanitizers count only when they fail.
A scenario test that fails is run a second time, alone: if it passes then it counts as passed and is
named as such. The last line is "N passed, N failed"; the exit status is 1 when a test failed."""

import argparse
import concurrent.futures
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCENARIOS = os.path.join(ROOT, "tests", "scenario")
WORKERS = 3 * min(2, os.cpu_count() or 1) # they wait more than they work
PYTEST_LIMIT = 900 # seconds for one file of scenario tests
SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    # Without a say each process would sleep for a second before it ends.
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1:atexit_sleep_ms=0:suppressions="
                    + os.path.join(ROOT, "tools", "tsan.supp"),
}


class Tally:
    """What was counted, from any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = 0
        self.failed = []    # names
        self.second_try = []

    def add(self, passed, failed):
        with self.lock:
            self.passed += passed
            self.failed += failed


def say(text=""):
    print(text, flush=True)


running = set() # process groups


def interrupted(signum, frame):
    """Ends what runs, in order so that fixtures end what they started, and then itself."""
    for group in list(running):
        signal_group(group, signal.SIGINT)
    deadline = time.monotonic() + 20
    while running and time.monotonic() < deadline:
        time.sleep(0.1)
    for group in list(running):
        signal_group(group, signal.SIGKILL)
    os._exit(1)


def signal_group(group, sig):
    try:
        os.killpg(group, sig)
    except ProcessLookupError:
        pass


def run_bounded(command, timeout, **options):
    """Runs a command in a session of its own; at the time limit its whole group is killed.
    Returns (exit status, output)."""
    proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True, text=True,
                            errors="replace", **options)
    running.add(proc.pid)
    try:
        out, _ = proc.communicate(timeout=timeout)
        return proc.returncode, out
    except subprocess.TimeoutExpired:
        signal_group(proc.pid, signal.SIGKILL)
        out, _ = proc.communicate()
        return -1, out + f"\n(ended at its limit of {timeout} s)\n"
    finally:
        running.discard(proc.pid)


# --- unit tests -------------------------------------------------------------------------------

def cmocka_results(xml_dir):
    """(passed names, [(failed name, message)]) from the XML files that a program left."""
    passed, failed = [], []
    for entry in sorted(os.listdir(xml_dir)):
        try:
            tree = ET.parse(os.path.join(xml_dir, entry))
        except ET.ParseError:
            continue
        for case in tree.iter("testcase"):
            bad = [x for x in case if x.tag in ("failure", "error")]
            if bad:
                failed.append((case.get("name"), (bad[0].text or "").strip()))
            elif not [x for x in case if x.tag == "skipped"]:
                passed.append(case.get("name"))
    return passed, failed


def run_unit(test, build, counted, tally, factor):
    """Runs one program of `meson introspect --tests`."""
    xml_dir = tempfile.mkdtemp(prefix="hf-unit-")
    env = dict(os.environ, **SANITIZER_ENV, CMOCKA_MESSAGE_OUTPUT="xml",
               CMOCKA_XML_FILE=os.path.join(xml_dir, "%g.xml"))
    env.update(test["env"])
    try:
        status, out = run_bounded(test["cmd"], test["timeout"] * factor, env=env,
                                  cwd=test.get("workdir") or build)
        passed, failed = cmocka_results(xml_dir)
    finally:
        shutil.rmtree(xml_dir, ignore_errors=True)
    where = os.path.basename(build)
    bad = [f"{where}: {test['name']}: {name}" for name, _ in failed]
    if status != 0 and not bad:
        bad = [f"{where}: {test['name']}: ended with {status}"]
    good = len(passed) if passed or failed else int(status == 0)
    tally.add(good if counted else 0, bad)
    if bad:
        say("\n".join(["", *(f"FAILED {x}" for x in bad), *(m for _, m in failed),
                       out[-6000:].rstrip()]))
    return good


def unit_tests(build, counted, tally, factor=1):
    start = time.monotonic()
    path = os.path.join(ROOT, build)
    listing = subprocess.run(["meson", "introspect", "--tests", path], check=True,
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
    tests = json.loads(listing.stdout)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(lambda t: run_unit(t, path, counted, tally, factor), tests))
    say(f"{build}: {len(tests)} programs, {sum(done)} unit tests passed "
        f"({time.monotonic() - start:.0f} s)")


# --- scenario tests ---------------------------------------------------------------------------

def pytest_run(args, env, limit=PYTEST_LIMIT):
    """Runs pytest; (passed ids, failed ids, output). Ids are "file.py::name"."""
    with tempfile.TemporaryDirectory(prefix="hf-junit-") as temp:
        xml = os.path.join(temp, "out.xml")
        status, out = run_bounded(
            ["/usr/bin/python3", "-m", "pytest", "-q", "-rN", "--tb=short", "-p", "no:cacheprovider",
             "--no-header", f"--junitxml={xml}", *args], limit, cwd=SCENARIOS,
            env=dict(os.environ, **SANITIZER_ENV, PYTHONDONTWRITEBYTECODE="1", **env))
        passed, failed = [], []
        try:
            for case in ET.parse(xml).iter("testcase"):
                ident = case.get("classname", "").replace(".", "/") + ".py::" + case.get("name")
                if [x for x in case if x.tag in ("failure", "error")]:
                    failed.append(ident)
                elif not [x for x in case if x.tag == "skipped"]:
                    passed.append(ident)
                else:
                    say(f"SKIPPED {ident}")
        except (OSError, ET.ParseError):
            pass
    failed = list(dict.fromkeys(failed))
    passed = [p for p in passed if p not in failed]
    if status not in (0, 5) and not failed:
        failed = [" ".join(a for a in args if not a.startswith("-"))]
        out += f"\n(pytest ended with {status})"
    return passed, failed, out


def scenario_files(patterns):
    files = sorted(f for f in os.listdir(SCENARIOS) if re.fullmatch(r"test_\w+\.py", f))
    return [f for f in files if not patterns or any(p in f for p in patterns)]


# Files of tests that mostly wait, for more than a minute together: they begin first.
SLOW = ("test_vrrp_keepalived.py", "test_vrrp_handover.py", "test_acme.py", "test_supervision.py",
        "test_vrrp_track.py", "test_check_states.py", "test_http_timeouts.py")


def slow_first(files):
    """The slow ones, then the big ones, so that the workers end at about the same time."""
    return sorted(files, key=lambda f: (f not in SLOW,
                                        -os.path.getsize(os.path.join(SCENARIOS, f))))


def holding(files, mark, extra):
    """Those of files that have tests with the mark: one look at all is quicker than to start
    pytest for each of them."""
    status, out = run_bounded(
        ["/usr/bin/python3", "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider",
         "-m", mark, *extra, *files], PYTEST_LIMIT, cwd=SCENARIOS,
        env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    if status not in (0, 5): # what is wrong shows when they run
        return files
    return [f for f in files if re.search(rf"^(\S*/)?{re.escape(f)}: \d+$", out, re.M)]


def scenario_pass(builds, files, mark, workers, extra):
    """Runs files, some at a time, with each of builds, {label: environment}; returns what passed
    and what failed, (label, id) and the output of failures."""
    todo = queue.Queue()
    for f in slow_first(holding(files, mark, extra)):
        for label in builds:
            todo.put((label, f))
    passed, failed, lock = [], [], threading.Lock()

    def work():
        while True:
            try:
                label, f = todo.get_nowait()
            except queue.Empty:
                return
            start = time.monotonic()
            p, bad, out = pytest_run([f, "-m", mark, *extra], builds[label])
            with lock:
                passed.extend((label, ident) for ident in p)
                failed.extend((label, ident, out) for ident in bad)
                if p or bad:
                    say(f"{label}: {f}: {len(p)} passed, {len(bad)} failed "
                        f"({time.monotonic() - start:.0f} s)")
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return passed, failed


def scenarios(builds, files, tally, counted, mark="", extra=()):
    both = f"({mark}) and " if mark else ""
    passed, failed = scenario_pass(builds, files, both + "not alone", WORKERS, extra)
    if not mark: # a sanitizer's time and memory say nothing
        p, f = scenario_pass(builds, files, "alone", 1, extra)
        passed, failed = passed + p, failed + f
    lost = []
    for label, ident, out in failed:
        again, _, out2 = pytest_run([ident, *extra], builds[label])
        if again:
            passed.append((label, ident))
            tally.second_try.append(f"{label}: {ident}")
            say(f"\nfailed at the first try, passed alone: {ident}\n{out[-6000:].rstrip()}")
        else:
            lost.append(f"{label}: {ident}")
            say(f"\nFAILED {label}: {ident}\n{out2[-12000:].rstrip()}")
    tally.add(len(passed) if counted else 0, lost)


def main():
    parser = argparse.ArgumentParser(prog="./dev test")
    parser.add_argument("--long", action="store_true", help="long tests as well")
    parser.add_argument("--only-unit", action="store_true", help="no scenario tests, no sanitizers")
    parser.add_argument("--scenario", nargs="*", metavar="PATTERN",
                        help="only the scenario tests whose file names contain a pattern")
    args = parser.parse_args()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *what: threading.Thread(target=interrupted, args=what).start())
    tally, start = Tally(), time.monotonic()
    extra = ["--long"] if args.long else []
    only_scenarios = args.scenario is not None
    everything = not args.only_unit and not only_scenarios
    if not only_scenarios:
        unit_tests("build", True, tally)
    if everything:
        unit_tests("build-asan", False, tally, factor=3)
    if not args.only_unit:
        files = scenario_files(args.scenario)
        scenarios({"scenario": {}}, files, tally, True, extra=extra)
    if everything:
        scenarios({build: {"HOLDFAST": os.path.join(ROOT, build, "holdfast"), "HOLDFAST_SLOW": "3"}
                   for build in ("build-asan", "build-tsan")},
                  files, tally, False, mark="sanitize", extra=extra)
    say()
    if tally.second_try:
        say("passed only at the second try:\n  " + "\n  ".join(tally.second_try))
    if tally.failed:
        say("failed:\n  " + "\n  ".join(tally.failed))
    say(f"({time.monotonic() - start:.0f} s)")
    say(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
