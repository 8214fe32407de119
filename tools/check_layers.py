#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the order of the folders of src/: a folder may include itself and what stands below it,
and the roles never include one another."""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE = {"base"}
LIBRARY = BASE | {"net", "tls", "http", "stat"}
IPC = LIBRARY | {"conf", "ipc"}
ROLE = IPC | {"core"}
ALLOWED = {
    "base": set(),
    "net": BASE,
    "stat": BASE,
    "http": BASE,
    "tls": BASE | {"net"},
    "conf": BASE | {"net", "tls", "http"},
    "ipc": LIBRARY | {"conf"},
    "core": IPC,
    "proxy": ROLE,
    "check": ROLE,
    "vrrp": ROLE,
    "acme": ROLE,
    "control": ROLE,
    "lab": ROLE,
    "drill": ROLE | {"lab"},
    "cli": ROLE | {"lab", "drill"},
}


def problems():
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "*", "*.[ch]"))):
        folder = os.path.basename(os.path.dirname(path))
        name = os.path.relpath(path, ROOT)
        if folder not in ALLOWED:
            yield f"{name}: folder {folder} has no place in the order (tools/check_layers.py)"
            continue
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = re.match(r'\s*#\s*include\s+"(?:([\w.-]+)/)?([\w.-]+)"', line)
                if not m:
                    continue
                target = m.group(1)
                if target is None:
                    yield f"{name}:{number}: include by folder: \"{folder}/{m.group(2)}\""
                elif target != folder and target not in ALLOWED[folder]:
                    yield f"{name}:{number}: {folder} may not include {target}"


def main():
    found = list(problems())
    print("\n".join(found + [f"order of folders: {len(found)} violations"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
