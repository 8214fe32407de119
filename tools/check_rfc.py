#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the table of what RFC 9113 and RFC 7541 demand (tests/scenario/rfc9113.md) against the tests:
each row names the tests that show it or says why it does not bind, each of these tests is there and
says the same of itself (@rfc("…"), case("name", "…", …)), and no demand is left out.

check_rfc.py [STAMP]: touches STAMP when all is well. check_rfc.py --write: puts the tests into the
table, from what they say."""

import ast
import collections
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCENARIOS = os.path.join(ROOT, "tests", "scenario")
TABLE = os.path.join(SCENARIOS, "rfc9113.md")
NO = "does not bind: "
# How many sentences of each section demand something (MUST, MUST NOT, REQUIRED, SHALL), counted in
# the texts of the RFCs; those that only explain these words are left out.
CENSUS = {
    "9113": "3.2:2 3.3:2 3.4:4 4.1:4 4.2:3 4.3:3 4.3.1:2 5.1:9 5.1.1:3 5.1.2:2 5.2.1:1 5.2.2:1 "
            "5.4:1 5.4.1:1 5.4.2:2 5.5:5 6.1:5 6.2:6 6.3:2 6.4:7 6.5:8 6.5.2:10 6.5.3:4 6.6:13 "
            "6.7:6 6.8:5 6.9:5 6.9.1:3 6.9.2:3 6.9.3:1 6.10:6 7:1 8.1:5 8.1.1:3 8.2:1 8.2.1:7 "
            "8.2.2:4 8.2.3:1 8.3:8 8.3.1:11 8.3.2:1 8.4:6 8.4.1:5 8.4.2:1 8.5:3 8.7:2 9.1.1:1 "
            "9.2:3 9.2.1:6 9.2.2:2 9.2.3:2 10.3:2 10.4:2 10.5.1:1 10.6:3",
    "7541": "2.1:2 2.3.2:1 2.3.3:1 3.2:1 4.2:3 5.1:1 5.2:3 6.1:1 6.2.3:3 6.3:2 7.1.3:2",
}


def expected():
    for rfc, sections in CENSUS.items():
        for section in sections.split():
            number, _, n = section.partition(":")
            for i in range(1, int(n) + 1):
                yield f"{rfc}-{number}-{i}"


# --- the tests --------------------------------------------------------------------------------

def text_of(node, where):
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        sys.exit(f"{where}:{node.lineno}: what rfc() and case() are given has to be plain text")
    return node.value


def calls(tree, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def name_of(node, where):
    """A case's name; that of several, made in a loop, is its fixed part with * for the rest."""
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "*" for v in node.values)
    return text_of(node, where)


def cases_of(node, where):
    """(name, rows) of the case() calls within an expression."""
    return [(name_of(c.args[0], where), text_of(c.args[1], where)) for c in calls(node, "case")]


def claims_of(path):
    """{test: rows} of a module; tests of a parameter set as test[name]."""
    where = os.path.basename(path)
    with open(path, encoding="utf-8") as f:
        tree = ast.parse(f.read())
    lists = {t.id: cases_of(n.value, where) for n in tree.body if isinstance(n, ast.Assign)
             for t in n.targets if isinstance(t, ast.Name)}
    out = {}
    for f in tree.body:
        if not isinstance(f, ast.FunctionDef) or not f.name.startswith("test_"):
            continue
        own = f"{where}::{f.name}"
        for d in f.decorator_list:
            for c in calls(d, "rfc"):
                out.setdefault(own, []).extend(text_of(c.args[0], where).split())
            if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.parametrize":
                cases = lists.get(d.args[1].id, []) if isinstance(d.args[1], ast.Name) else \
                    cases_of(d.args[1], where)
                for name, rows in cases:
                    if rows:
                        out.setdefault(f"{own}[{name}]", []).extend(rows.split())
    return out


def claims():
    out = {}
    for name in sorted(os.listdir(SCENARIOS)):
        if re.fullmatch(r"test_h2_\w+\.py", name):
            out.update(claims_of(os.path.join(SCENARIOS, name)))
    return out


# --- the table --------------------------------------------------------------------------------

def rows():
    """[(line number, id, cells)]"""
    out = []
    with open(TABLE, encoding="utf-8") as f:
        for at, line in enumerate(f, 1):
            if re.match(r"\| \d{4}-", line):
                cells = [c.strip() for c in line.rstrip("\n").strip("|").split(" | ")]
                out.append((at, cells[0].strip("| "), cells))
    return out


def tests_of(cell):
    return [] if cell.startswith(NO) else re.findall(r"`([^`]+)`", cell)


def problems():
    said, have = claims(), rows()
    by_row = collections.defaultdict(set)
    for test, ids in said.items():
        for i in ids:
            by_row[i].add(test)
    ids = [i for _, i, _ in have]
    wanted = list(expected())
    for i in wanted:
        if i not in ids:
            yield f"{i} has no row"
    for i in sorted(set(by_row) - set(wanted)):
        yield f"{', '.join(sorted(by_row[i]))}: there is no {i}"
    for i, n in collections.Counter(ids).items():
        if n > 1 or i not in wanted:
            yield f"{i}: {n} rows, where {wanted.count(i)} should be"
    for at, i, cells in have:
        here = f"rfc9113.md:{at}: {i}"
        if len(cells) != 5:
            yield f"{here}: {len(cells)} cells instead of 5"
            continue
        named = set(tests_of(cells[4]))
        if cells[4].startswith(NO):
            if by_row[i]:
                yield f"{here} does not bind, but {', '.join(sorted(by_row[i]))} shows it"
            elif len(cells[4]) < len(NO) + 20:
                yield f"{here}: why does it not bind?"
            continue
        if not named:
            yield f"{here}: no test shows it"
        for test in sorted(named - by_row[i]):
            yield f"{here}: {test} " + ("does not say that it shows this" if test in said
                                        else "is not there")
        for test in sorted(by_row[i] - named):
            yield f"{here}: {test} is missing"


def write():
    """The tests of each row that binds, as they say it."""
    by_row = collections.defaultdict(list)
    for test, ids in claims().items():
        for i in ids:
            if test not in by_row[i]:
                by_row[i].append(test)
    with open(TABLE, encoding="utf-8") as f:
        lines = f.readlines()
    for at, i, cells in rows():
        if len(cells) == 5 and not cells[4].startswith(NO):
            cells[4] = " ".join(f"`{t}`" for t in sorted(by_row[i]))
        lines[at - 1] = "| " + " | ".join(cells).strip() + " |\n"
    with open(TABLE, "w", encoding="utf-8") as f:
        f.writelines(lines)


def main():
    if sys.argv[1:] == ["--write"]:
        write()
        return 0
    found = list(problems())
    for p in found:
        print(p)
    if found:
        print(f"{len(found)} problems in the table of RFC 9113 and RFC 7541: tests/scenario/"
              "rfc9113.md, tools/check_rfc.py")
        return 1
    have = rows()
    binds = [c for _, _, c in have if not c[4].startswith(NO)]
    print(f"{len(have)} demands: {len(binds)} bind and are shown by "
          f"{len({t for c in binds for t in tests_of(c[4])})} tests, "
          f"{len(have) - len(binds)} do not bind")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8"):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
