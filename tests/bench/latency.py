# SPDX-License-Identifier: Apache-2.0
"""How long it takes from a login to the file that the agent reads: rename of the credential file to rename of the
environment file, in turns, so that all see the same disk and the same noise."""

import statistics

from contestants import Limit, Ours, Peer, credentials

SIZES = (1, 10, 100, 500)


def measure_size(directory, build, program, n, rounds):
    ours = Ours(directory, build, program)
    others = [Limit(directory, build, ours), Peer(directory, build)]
    times = {c.name: [] for c in (ours, *others)}

    for c in (ours, *others):
        c.put(credentials(n, 0))
        c.start()
    try:
        for turn in range(1, rounds + 1):
            for c in (ours, *others):
                times[c.name].append(c.change(credentials(n, turn)))
    finally:
        for c in (ours, *others):
            c.stop()
    return times


def measure(directory, build, program, rounds, sizes=SIZES):
    """{n: {name: (first quartile, median, third quartile) in ms}}"""
    result = {}
    for n in sizes:
        times = measure_size(directory / str(n), build, program, n, rounds)
        result[n] = {name: tuple(q / 1000 for q in statistics.quantiles(t, n=4)) for name, t in times.items()}
    return result
