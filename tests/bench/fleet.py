# SPDX-License-Identifier: Apache-2.0
"""A fleet whose credentials change at once, played with the code that decides on each host (fleet.c)."""

import subprocess

HOSTS = (1, 100, 10_000, 1_000_000)
JITTERS = (0, 60, 300, 900, 3600)  # seconds


def play(build, hosts, jitter):
    """(restarts in the second with most of them, s until half, 99 of 100 and all are live, restarts in each 60th of that)"""
    out = subprocess.run([build / "fleet", str(hosts), str(jitter)], check=True, capture_output=True, text=True).stdout
    figures, parts = out.splitlines()
    most, half, nearly, every = figures.split()
    return int(most), float(half), float(nearly), float(every), [int(n) for n in parts.split()]


def measure(build):
    return {hosts: {jitter: play(build, hosts, jitter) for jitter in JITTERS} for hosts in HOSTS}
