#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run_fuzz.py BUILD SECONDS [TARGET…]: every fuzz target for SECONDS, two at a time. What it
learns is kept in .cache/fuzz/NAME; a finding is left in .cache/fuzz/NAME-crash-… and ends in
exit status 1."""

import concurrent.futures
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def fuzz(program, seconds):
    name = os.path.basename(program)[len("fuzz_"):]
    learned = os.path.join(ROOT, ".cache", "fuzz", name)
    os.makedirs(learned, exist_ok=True)
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
    done = subprocess.run(
        [program, learned, corpus, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
         f"-artifact_prefix={learned}-", "-print_final_stats=1", "-verbosity=1"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        timeout=seconds + 300)
    runs = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    cover = re.findall(r"cov: (\d+)", done.stderr)
    print(f"fuzz_{name}: {'well' if done.returncode == 0 else 'FINDING'}: "
          f"{runs.group(1) if runs else '?'} runs, {cover[-1] if cover else '?'} edges", flush=True)
    if done.returncode != 0:
        print(done.stderr[-6000:], flush=True)
    return done.returncode == 0


def main():
    build, seconds, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    programs = sorted(p for p in glob.glob(os.path.join(ROOT, build, "tests", "fuzz", "fuzz_*"))
                      if os.access(p, os.X_OK) and os.path.isfile(p))
    if wanted:
        programs = [p for p in programs
                    if os.path.basename(p) in wanted or os.path.basename(p)[5:] in wanted]
    if not programs:
        sys.exit("no such fuzz target")
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        good = list(pool.map(lambda p: fuzz(p, seconds), programs))
    print(f"{sum(good)} targets without a finding, {len(good) - sum(good)} with one")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
