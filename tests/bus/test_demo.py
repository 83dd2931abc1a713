# SPDX-License-Identifier: Apache-2.0
"""make demo, which is the first thing that people run."""

import subprocess
import sys

from bus_host import ECS_AUTHD, TOP


def test_demo():
    result = subprocess.run([sys.executable, TOP / "tests/demo/demo.py", ECS_AUTHD], capture_output=True, text=True, check=False,
                            timeout=120)
    assert result.returncode == 0 and "All of it happened" in result.stdout, result.stdout[-3000:] + result.stderr[-1000:]
