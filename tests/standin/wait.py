# SPDX-License-Identifier: Apache-2.0
import time


def wait_for(condition, seconds, what, seen=lambda: ""):
    """The first true value of condition(); an AssertionError with what was seen instead when it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}\n{seen()}")
        time.sleep(0.01)


def never(condition, seconds, what):
    """For what must not happen: fails as soon as it does, and is sure only of the time that it looked."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not condition(), what
        time.sleep(0.1)
