# SPDX-License-Identifier: Apache-2.0
"""The demonstration holds what it shows, and fails when what it shows is switched off."""

import subprocess

import pytest
from conftest import HOLDFAST, ROOT


def demo(*args):
    return subprocess.run(["/usr/bin/python3", f"{ROOT}/tools/demo.py", "--once", *args],
                          capture_output=True, text=True, timeout=170, check=False,
                          stdin=subprocess.DEVNULL)


@pytest.mark.alone
@pytest.mark.limit(180)
def test_once_shows_what_it_claims():
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was lost" in done.stdout.splitlines()[-1]


@pytest.mark.alone
@pytest.mark.limit(180)
def test_without_retries_it_fails():
    done = demo("--break", "retries")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "requests failed that should not" in done.stdout


@pytest.mark.alone
@pytest.mark.limit(180)
def test_without_restart_it_fails():
    done = demo("--break", "restart")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "did not come back" in done.stdout


def test_the_binary_is_the_one_under_test():
    done = subprocess.run([HOLDFAST, "version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "holdfast" in done.stdout.lower()
