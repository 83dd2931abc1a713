# SPDX-License-Identifier: Apache-2.0
"""From exec to READY=1, which is when ecs.service may start."""

import os
import socket
import statistics
import subprocess
import time

from contestants import Ours, credentials


def one_start(ours, listener):
    begin = time.monotonic()
    process = subprocess.Popen(ours.command(), env=os.environ | ours.variables() | {"NOTIFY_SOCKET": listener.getsockname()},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while b"READY=1" not in listener.recv(4096):
        pass
    took = time.monotonic() - begin
    process.terminate()
    process.wait()
    return took


def measure(directory, build, program, rounds, sizes=(1, 100)):
    """{n: (first start, median of those that find the file as it should be)} in ms"""
    result = {}
    for n in sizes:
        ours = Ours(directory / str(n), build, program)
        ours.put(credentials(n, 0))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(ours.directory / "notify"))
            listener.settimeout(30)
            first = one_start(ours, listener)
            result[n] = tuple(1000 * t for t in (first, statistics.median(one_start(ours, listener) for _ in range(rounds))))
    return result
