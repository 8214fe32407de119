# SPDX-License-Identifier: Apache-2.0
"""Each fault of h2_mutants.py is noticed by the test that is named there."""

import os
import subprocess
import sys

import pytest

import h2_mutants

pytestmark = [pytest.mark.long, pytest.mark.limit(300)]
HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.mark.parametrize("name", h2_mutants.FAULTS)
def test_fault_is_noticed(name, tmp_path):
    mutant = h2_mutants.make(name, str(tmp_path))
    test = h2_mutants.FAULTS[name][3]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short", test],
        cwd=HERE, env=dict(os.environ, HOLDFAST=mutant), capture_output=True, text=True,
        timeout=280, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1 and "1 failed" in done.stdout, \
        f"{test} did not notice {name}:\n{done.stdout[-3000:]}"
