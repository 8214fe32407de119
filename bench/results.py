# SPDX-License-Identifier: Apache-2.0
"""RESULTS.md: each measurement has a section of its own there, between two marks, and writes only
that."""

import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "RESULTS.md")


def write_section(name, lines):
    """Puts a section in place of its earlier one, or at the end."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    try:
        with open(PATH, encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        text = "# Measurements\n"
    section = begin + "\n".join(lines).rstrip("\n") + "\n" + end
    before, mark, rest = text.partition(begin)
    _, closing, after = rest.partition(end)
    text = before + section + after if mark and closing else text.rstrip("\n") + "\n\n" + section
    with open(PATH, "w", encoding="utf-8") as f:
        f.write(text)
    print(f"written: {PATH}")
