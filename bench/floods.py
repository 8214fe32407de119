#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench floods [--quick] [--seconds N] [KIND…]: each kind of flood against a well-behaved
client's latency and the daemon's memory, before and during; the table goes into RESULTS.md."""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

from floods import KINDS, MIB, Place # noqa: E402
from results import write_section # noqa: E402

HEAD = """## Floods

A hostile client (`bench/flood.c`) that keeps a core busy for {seconds} s, on a machine of {cores} cores, which
it shares with the daemon, the server behind it and a well-behaved client; that one asks each 10 ms, or as
soon as the answer before has come. Memory is that of all the daemon's
processes (proportional set size). "Ended" are connections that were ended for the flood and counted as
such. `./dev bench floods` measures this; `tests/scenario/test_h2_floods.py` holds it, for 2 s each.

| flood | p99 before, ms | p99 during, ms | failed | memory before, MiB | highest, MiB | more, MiB | connections | ended |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def main():
    parser = argparse.ArgumentParser(prog="./dev bench floods")
    parser.add_argument("--quick", action="store_true", help="3 s each; writes nothing")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    args = parser.parse_args()
    seconds = 3 if args.quick else args.seconds
    lines, bad = HEAD.format(seconds=seconds, cores=os.cpu_count()).split("\n"), []
    for kind in args.kinds or KINDS:
        place = Place() # its own, so that none pays for the one before
        try:
            r = place.run(kind, seconds)
        finally:
            place.stop()
        more = (r["peak"] - r["memory"]) / 1024
        lines.append(f"| {KINDS[kind][3]} | {r['before'] * 1e3:.1f} | {r['during'] * 1e3:.1f} "
                     f"| {len(r['failed'])} of {r['asked']} | {r['memory'] / 1024:.1f} "
                     f"| {r['peak'] / 1024:.1f} | {more:.1f} | {r['connections'] or ''} "
                     f"| {'' if r['counted'] is None else int(r['counted'])} |")
        print(lines[-1], flush=True)
        if more > MIB or r["failed"]:
            bad.append(kind)
    if not args.quick and not args.kinds:
        write_section("floods", lines)
    if bad:
        print("too much memory, or requests that failed: " + ", ".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
