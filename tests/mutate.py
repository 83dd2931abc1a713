#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How good are the unit tests? Changes common/ in one place at a time, as a slip would, and shows each change that no unit test
notices. `make mutate` builds what it needs and starts it: ROOM= one room instead of the three that decide and write, WORD=
only changes whose place ("lease.c:37: if (...)") has that in it, SAMPLE= so many of them, chosen by SEED=; SAMPLE=all takes
hours; AGAIN= only those that a file, the output of a run before, shows.

A change that the compiler refuses, as it does with the warnings of this project, or that it makes the same program of, is
none. Each of the others is run against the tests that are linked with its file: that of the file first, then the fast ones
of its room, then the rest. What passes all of them gets a second chance with the sanitizers, as in `make unit-check`."""

import itertools
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutants import mutants_of, place_of, why_same

TOP = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("BUILD", "build"))
COMPILE = shlex.split(os.environ.get("COMPILE", ""))
LIBS = shlex.split(os.environ.get("LIBS", ""))
# A test that takes longer, in seconds, has time limits of its own: one that fails is tried again.
SLOW = 3
# Most of their time they wait.
JOBS = 4 * (os.cpu_count() or 1)
# A wild kill(2) or unlink(2) reaches nothing: the test is alone with its processes, and with these directories.
ALONE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--pid", "--fork", "--kill-child",
         "--mount-proc", "sh", "-c",
         'mount --bind "$0" /tmp && mount --bind /tmp/bin /usr/local/bin && mount -t tmpfs shm /dev/shm && '
         'cd /tmp && ulimit -f 1000000 && STATE_DIRECTORY=/tmp/state ./test; exit $?']


@dataclass
class Kind:
    """How everything is compiled: fast, or with the sanitizers."""
    objects: Path
    flags: list
    work: Path

    def compile(self, source, target):
        return run([*COMPILE, *self.flags, f"-ffile-prefix-map={source.parent}=.", "-c", "-o", str(target), str(source)], TOP)

    def link(self, test, mutant, target, *options):
        command = [COMPILE[0], *self.flags, *options, "-o", str(target), str(self.objects / f"tests/unit/{test}.o"),
                   *([str(mutant)] if mutant else []), str(self.library), "-Wl,--as-needed", *LIBS]
        if not options and shutil.which("ld.gold"):  # in a third of the time
            command.insert(1, "-fuse-ld=gold")
        return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)

    @property
    def library(self):
        return self.work / f"{self.objects.name}.a"

    def make_library(self):
        # With the rooms of the daemon: some tests are theirs.
        members = sorted(str(o) for folder in ("common", "daemon") for o in (self.objects / folder).glob("*/*.o"))
        if not run(["ar", "rcs", str(self.library), *members], TOP):
            sys.exit("the objects are not there: start it with `make mutate`")


def run(command, cwd, limit=120):
    # What goes on for ever has been noticed too.
    try:
        return subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit,
                              check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def run_alone(directory, limit):
    """Until the first test that fails. What goes on for ever has been noticed too."""
    with subprocess.Popen([*ALONE, str(directory)], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        end = threading.Timer(limit, process.kill)
        end.start()
        failed = any(b"FAILED" in line for line in process.stdout)
        if failed:
            process.kill()
        end.cancel()
    return not failed and process.returncode == 0


def passes(kind, test, mutant, limit):
    """None: it cannot be linked."""
    with tempfile.TemporaryDirectory(dir=kind.work, ignore_cleanup_errors=True) as directory:
        own = Path(directory)
        for name in ("bin", "state"):
            (own / name).mkdir()
        own.chmod(0o755)
        if kind.link(test, mutant, own / "test").returncode != 0:
            return None
        return run_alone(own, limit)


class Tests:
    """Which tests notice what is wrong in a file, and how long they take."""

    def __init__(self, kinds, pool, stems):
        self.kinds = kinds
        names = sorted(str(p.relative_to(TOP / "tests/unit"))[:-2] for p in (TOP / "tests/unit").glob("*/test-*.c"))
        self.needs = dict(zip(names, pool.map(self.linked_with, names)))
        names = [name for name in names if self.needs[name] & stems]
        self.times = dict(zip(names, pool.map(self.time, names)))

    def linked_with(self, name):
        result = self.kinds[0].link(name, None, self.kinds[0].work / name.replace("/", "-"), "-Wl,-M")
        return set(re.findall(r"\.a\(([\w-]+)\.o\)", result.stdout))

    def time(self, name):
        started = time.monotonic()
        self.check_original(self.kinds[0], name)
        took = time.monotonic() - started
        self.check_original(self.kinds[1], name)
        return took

    @staticmethod
    def check_original(kind, name):
        """What does not pass as it is would catch everything."""
        if not any(passes(kind, name, None, 300) for _ in range(5)):  # the machine may be busy
            sys.exit(f"{name} does not pass as it is ({kind.objects.name})")

    def of(self, room, stem):
        near = [name for name in self.times if stem in self.needs[name]]
        return sorted(near, key=lambda name: (name != f"{room}/test-{stem}", name.split("/")[0] != room, self.times[name]))

    def notice(self, names, kind, mutant):
        """The first of them that fails."""
        factor = 4 if kind is self.kinds[0] else 12
        return next((name for name in names if not self.passes(kind, name, mutant, 5 + factor * self.times[name])), None)

    def passes(self, kind, name, mutant, limit):
        verdict = passes(kind, name, mutant, limit)
        if verdict is False and self.times[name] >= SLOW:  # it may have been the machine that was slow
            verdict = passes(kind, name, mutant, limit)
        if verdict is None:
            raise RuntimeError(f"{name} cannot be linked with {mutant.name}")
        return verdict


@dataclass
class Tried:
    mutant: object
    directory: Path
    outcome: str = "different"  # or "refused", "equal", "caught", "survives"
    by: str | None = None


def write_and_compile(kind, mutant, directory):
    source = directory / f"{mutant.stem}.c"
    target = directory / f"{mutant.stem}.{kind.objects.name}.o"
    source.write_text(mutant.text())
    return target if kind.compile(source, target) else None


def compile_one(kind, mutant, originals):
    directory = Path(tempfile.mkdtemp(dir=kind.work))
    tried = Tried(mutant, directory)
    built = write_and_compile(kind, mutant, directory)
    if not built:
        tried.outcome = "refused"
    elif built.read_bytes() == originals[mutant.stem]:
        tried.outcome = "equal"
    if tried.outcome != "different":
        shutil.rmtree(directory)
    return tried


def try_one(tests, tried):
    m = tried.mutant
    fast, sanitized = tests.kinds
    names = tests.of(m.room, m.stem)
    tried.by = tests.notice(names, fast, tried.directory / f"{m.stem}.{fast.objects.name}.o")
    if not tried.by and not why_same(m):
        built = write_and_compile(sanitized, m, tried.directory)
        near = [name for name in names if name.split("/")[0] == m.room]
        tried.by = tests.notice(near, sanitized, built) if built else None
    tried.outcome = "caught" if tried.by else "survives"
    shutil.rmtree(tried.directory)
    if tried.outcome == "survives":
        print(f"{m}" + (f"\n    the same: {why_same(m)}" if why_same(m) else ""), flush=True)
    return tried


def choose(everything, wanted, compiled):
    """Compiles them one after the other until so many are different programs."""
    chosen, n = [], 0
    for tried in compiled(everything):
        chosen.append(tried)
        n += tried.outcome == "different"
        if n == wanted:
            break
    return chosen


def in_parts(pool, function, size):
    def results(items):
        for start in itertools.count(0, size):
            part = items[start:start + size]
            if not part:
                return
            yield from pool.map(function, part)
    return results


def table(rooms, everything, tried):
    print(f"\n{'room':<13}{'in all':>8}{'refused':>9}{'equal':>7}{'run':>6}{'caught':>8}{'the same':>10}{'missed':>8}{'':>8}")
    missed_in_all = 0
    for room in [*rooms, "together"]:
        mine = [t for t in tried if room in (t.mutant.room, "together")]
        count = {o: sum(t.outcome == o for t in mine) for o in ("refused", "equal", "caught", "survives")}
        same = sum(t.outcome == "survives" and why_same(t.mutant) is not None for t in mine)
        missed = missed_in_all = count["survives"] - same
        judged = count["caught"] + missed
        share = f"{100 * count['caught'] / judged:.1f} %" if judged else ""
        n = sum(room in (m.room, "together") for m in everything)
        print(f"{room:<13}{n:>8}{count['refused']:>9}{count['equal']:>7}{count['caught'] + count['survives']:>6}"
              f"{count['caught']:>8}{same:>10}{missed:>8}{share:>8}")
    return missed_in_all


def main():
    rooms = os.environ.get("ROOM", "decision ecsconfig credentials").split()
    word, seed, wanted = os.environ.get("WORD", ""), int(os.environ.get("SEED", "1")), os.environ.get("SAMPLE", "600")
    everything = [m for room in rooms for path in sorted((TOP / "common" / room).glob("*.c")) for m in mutants_of(path)]
    again = Path(os.environ["AGAIN"]).read_text() if os.environ.get("AGAIN") else None
    everything = [m for m in everything if word in place_of(m) and (again is None or str(m) in again)]
    if not everything:
        sys.exit("nothing to change there")
    order = list(everything)
    random.Random(seed).shuffle(order)
    work = Path(tempfile.mkdtemp())
    try:
        kinds = [Kind(TOP / BUILD / "mutate", ["-O1"], work),
                 Kind(TOP / BUILD / "sanitize", shlex.split(os.environ["SANITIZE"]), work)]
        for kind in kinds:
            kind.make_library()
        with ThreadPoolExecutor(JOBS) as pool:
            tests = Tests(kinds, pool, {m.stem for m in everything})
            originals = {}
            for m in everything:
                if m.stem not in originals:
                    originals[m.stem] = write_and_compile(kinds[0], m.unchanged(), Path(tempfile.mkdtemp(dir=work))).read_bytes()
            tried = choose(order, None if wanted == "all" else int(wanted),
                           in_parts(pool, lambda m: compile_one(kinds[0], m, originals), 16))
            print(f"{sum(t.outcome == 'different' for t in tried)} changes, seed {seed}", flush=True)
            jobs = [pool.submit(try_one, tests, t) for t in tried if t.outcome == "different"]
            try:
                for n, job in enumerate(jobs, 1):
                    job.result()
                    if n % 50 == 0:
                        print(f"... {n}", flush=True)
            except KeyboardInterrupt:  # the table is of what was done until then
                pool.shutdown(cancel_futures=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if table(rooms, everything, tried) else 0


if __name__ == "__main__":
    sys.exit(main())
