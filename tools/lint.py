#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""All that a machine can say about the source: format, clang-tidy, cppcheck, warnings of gcc and
clang, the order of folders, generated documents that are stale; size outliers are printed only."""

import concurrent.futures
import glob
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def sources(*patterns):
    return sorted(p for x in patterns for p in glob.glob(os.path.join(ROOT, x), recursive=True))


def run(command, **options):
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", check=False, **options)
    return done.returncode, (done.stdout + done.stderr).strip()


def check_format():
    files = sources("src/**/*.[ch]", "tests/unit/*.[ch]", "tests/fuzz/*.[ch]", "tests/sim/*.[ch]",
                    "bench/*.[ch]")
    return run(["clang-format", "--dry-run", "--Werror", *files])


def check_tidy():
    """clang-tidy over the compilation database of a clang build, a few files at a time."""
    files = sources("src/**/*.c")
    groups = [files[i:i + 8] for i in range(0, len(files), 8)]

    def some(group):
        return run(["clang-tidy", "--quiet", "-p", "build-lint", *group])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(some, groups))
    lines = []
    for _, out in results:
        lines += [x for x in out.splitlines()
                  if not x.endswith((" warning generated.", " warnings generated."))
                  and not x.startswith(("Suppressed ", "Use -header-filter"))]
    return max((s for s, _ in results), default=0), "\n".join(lines)


def check_cppcheck():
    # invalidPointerCast: rows of tables reach members by offset; the tables' types are checked
    #   where they are made. ctuuninitvar: takes an out parameter for one that is read.
    # queue.h: without it the members that its macros declare look like syntax errors.
    queue = (glob.glob("/usr/include/*/sys/queue.h") + ["/usr/include/sys/queue.h"])[0]
    return run(["cppcheck", "--quiet", "--enable=warning,performance,portability", "--inline-suppr",
                "--std=c11", "--error-exitcode=1", "-j2", "-D_GNU_SOURCE", "-D__linux__",
                '-DHOLDFAST_VERSION=""', "--suppress=missingIncludeSystem",
                "--suppress=normalCheckLevelMaxBranches", "--suppress=unknownMacro",
                "--suppress=invalidPointerCast", "--suppress=ctuuninitvar", f"--include={queue}",
                "-Isrc", "src"])


def check_clang():
    if not os.path.exists(os.path.join(ROOT, "build-lint", "build.ninja")):
        status, out = run(["meson", "setup", "build-lint"], env=dict(os.environ, CC="clang"))
        if status:
            return status, out
    return run(["ninja", "-C", "build-lint"])


def check_documents():
    """Documents that are made from the program's own tables."""
    stale = []
    for name, command in (("doc/holdfast.yaml.5", ["manual"]),
                          ("doc/holdfast.1", ["manual", "commands"])):
        done = subprocess.run(["build/holdfast", *command], cwd=ROOT, capture_output=True,
                              stdin=subprocess.DEVNULL, check=False)
        path = os.path.join(ROOT, name)
        have = open(path, "rb").read() if os.path.exists(path) else b""
        if done.returncode != 0 or done.stdout != have:
            stale.append(f"{name} is stale: build/holdfast {' '.join(command)} > {name}")
        elif have:
            _, out = run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", path])
            if out:
                stale.append(f"{name}: {out}")
    return int(bool(stale)), "\n".join(stale)


CHECKS = (
    ("clang -Wall -Wextra -Werror", check_clang),
    ("clang-format", check_format),
    ("order of folders", lambda: run(["/usr/bin/python3", "tools/check_layers.py"])),
    ("generated documents", check_documents),
    ("cppcheck", check_cppcheck),
    ("clang-tidy", check_tidy),
)


def main():
    bad = []
    for name, check in CHECKS:
        status, out = check()
        print(f"{name}: {'well' if status == 0 else 'FAILED'}", flush=True)
        if status != 0:
            bad.append(name)
            print(out[-20000:], flush=True)
    print(run(["/usr/bin/python3", "tools/check_sizes.py"])[1])
    print("lint: " + ("well" if not bad else "failed: " + ", ".join(bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
