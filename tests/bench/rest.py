# SPDX-License-Identifier: Apache-2.0
"""What it takes while nothing happens, and while others write beside the credential file."""

import os
import re
import time
from pathlib import Path

from contestants import Ours, children, credentials, wait_until

TICKS = os.sysconf("SC_CLK_TCK")
NOISE_PER_SECOND = 10000
FOLD_SECONDS = 3  # after which the journal's lines of one burst are told


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def wake_ups(pid):
    """Each time that it went to sleep was once awake."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def own_kib(pid):
    """Memory that is no file's; what it shares with its child counts half."""
    return int(re.search(r"^Pss_Anon: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))


def write_beside(directory, seconds):
    """Others write and close files, so many a second."""
    begin, n = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        for i in range(50):
            os.close(os.open(directory / f"other-{i % 10}", os.O_CREAT | os.O_WRONLY))
        n += 50
        time.sleep(max(0, n / NOISE_PER_SECOND - (time.monotonic() - begin)))
    return n / (time.monotonic() - begin)


def measure(directory, build, program, seconds, noise_seconds=10):
    """{process: {...}} at rest, and the noise: writes per second, and the part of a core that it took."""
    ours = Ours(directory, build, program)
    ours.put(credentials(10, 0))
    ours.start()
    try:
        for turn in range(5):
            ours.change(credentials(10, turn + 1))
        wait_until(lambda: "(the last of" in (ours.directory / "log").read_text(), "the line that tells of them")
        time.sleep(FOLD_SECONDS)
        pids = [ours.process.pid, *children(ours.process.pid)]
        before = {pid: wake_ups(pid) for pid in pids}
        time.sleep(seconds)
        rest = {name_of(pid): {
            "wake-ups": wake_ups(pid) - before[pid],
            "own KiB": own_kib(pid),
            "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
            "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        } for pid in pids}
        used = sum(map(cpu_seconds, pids))
        rate = write_beside(ours.directory, noise_seconds)
        return rest, (rate, (sum(map(cpu_seconds, pids)) - used) / noise_seconds)
    finally:
        ours.stop()
