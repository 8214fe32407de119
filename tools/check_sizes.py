#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what is longer than it should be: files above 600 lines, functions above 80; and the
medians. A style check for people: its exit status is always 0."""

import glob
import os
import re
import statistics

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def functions(lines):
    """(name, first line, length) of each function: a brace in column 0 after its head."""
    head, start = None, None
    for number, line in enumerate(lines, 1):
        if start is None:
            m = re.match(r"[A-Za-z_].*?\b(\w+)\(", line)
            if m and not line.rstrip().endswith(";"):
                head = m.group(1)
            if line.rstrip("\n") == "{" and head:
                start = number
        elif line.rstrip("\n") == "}":
            yield head, start, number - start - 1
            head, start = None, None


def main():
    sizes, lengths, out = [], [], []
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.[ch]"), recursive=True)):
        name = os.path.relpath(path, ROOT)
        with open(path, encoding="utf-8") as f:
            lines = f.readlines()
        if path.endswith(".c"):
            sizes.append(len(lines))
        if len(lines) > 600:
            out.append(f"{name}: {len(lines)} lines")
        for function, start, length in functions(lines):
            lengths.append(length)
            if length > 80:
                out.append(f"{name}:{start}: {function}: {length} lines")
    print("\n".join(out))
    if sizes and lengths:
        print(f"sizes: {len(sizes)} files, median {statistics.median(sizes):.0f}, "
              f"longest {max(sizes)}; {len(lengths)} functions, median "
              f"{statistics.median(lengths):.0f}, longest {max(lengths)}; {len(out)} outliers")


if __name__ == "__main__":
    main()
