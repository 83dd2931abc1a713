# SPDX-License-Identifier: Apache-2.0
"""What is asked of the Docker Engine for a login, and what Docker's events cost while tasks are waited for; with the
stand-ins of the bus level."""

import os
import sys
import time

from contestants import HERE, children
from rest import TICKS

sys.path[:0] = [str(HERE.parent), str(HERE.parent / "bus")]

EVENTS_PER_SECOND = 2000


def cpu_of_all(pid):
    """Of a process, of those that it has waited for, and of those that it has still."""
    seconds = 0
    for p in (pid, *children(pid)):
        with open(f"/proc/{p}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        seconds += sum(map(int, fields[11:15])) / TICKS
    return seconds


def count_requests(host):
    """To the engine, from a login until the agent is live with it, and with the agent's answer seen."""
    host.engine.requests.clear()
    host.login()
    host.wait_live()
    host.wait_idle()
    return len(host.engine.requests)


def measure_events(host, seconds):
    """Held, since a task runs and the agent keeps no state: each event may be the end of a task."""
    host.engine.run_task("one")
    since = host.daemon.mark()
    host.login()
    host.daemon.wait_said("Restart held", since)
    pid = host.daemon.process.pid
    before, begin, n = cpu_of_all(pid), time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        for _ in range(20):
            host.engine.tell("exec_start", "other")
        n += 20
        time.sleep(max(0, n / EVENTS_PER_SECOND - (time.monotonic() - begin)))
    took = time.monotonic() - begin
    return n / took, (cpu_of_all(pid) - before) / took


def measure(program, seconds=10):
    os.environ["ECS_AUTHD"] = str(program)
    from bus_host import BusHost
    host = BusHost()
    try:
        host.start()
        host.agent.datadir = None
        host.agent.restart()
        host.run_live()
        return count_requests(host), measure_events(host, seconds)
    finally:
        host.close()
