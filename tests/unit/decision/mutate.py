#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How good are the tests of the decision? Changes common/decision/ in one place at a time, as a slip would, and shows
each change that no test in this folder notices. mutate.py [WORD]: only changes of lines that have WORD in them."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
FILES = ["when-to-restart", "facts", "when-to-write", "apply-outcome"]
TESTS = ["when-to-restart", "facts", "when-to-write", "apply-outcome", "every-history"]  # the slow one last: it is asked only if the others pass
SHARED = [f"common/base/{name}.c" for name in ("digest", "directories", "log", "problems", "state-file", "write-all", "secret")]

SWAPS = [
    (r" < ", [" <= ", " >= "]), (r" > ", [" >= ", " <= "]), (r" <= ", [" < ", " > "]), (r" >= ", [" > ", " < "]),
    (r" == ", [" != "]), (r" != ", [" == "]), (r" && ", [" || "]), (r" \|\| ", [" && "]),
    (r"(?<=[( ])!(?=[a-z(])", [""]), (r"\btrue\b", ["false"]), (r"\bfalse\b", ["true"]),
    (r"\bLOOK_SOON_USEC", ["LOOK_LATER_USEC"]), (r"\bLOOK_LATER_USEC", ["LOOK_SOON_USEC"]),
    (r" \+ (?=[a-z_A-Z])", [" - "]), (r"\b_MIN_USEC", ["_MAX_USEC"]), (r"\+\+", ["--"]),
    (r"ACTION_WAIT, ", ["ACTION_HOLD, "]), (r"ACTION_HOLD, ", ["ACTION_WAIT, "]),
    (r"(?<=, )REASON_(?!NONE)\w+(?=[,)])", ["REASON_NONE"]), (r"(?<=return )REASON_\w+", ["REASON_NONE"]),
    (r"(?<=return )OUTCOME_\w+", ["OUTCOME_OPEN", "OUTCOME_DONE"]),
]
# A statement that stands alone on its line; what it declares stays.
STATEMENT = re.compile(r"^ +(?:[a-z_]+(?:->|\.)[\w.>-]+ = |[\w>.-]+\+\+;|[a-z_]+\().*;$")
# Why a change may go unnoticed: it changes nothing that anybody could see.
SAME = [
    ("i < failures && pause < max", "the second half only keeps the pause from running over"),
    ("return pause < max ? pause : max", "equal is equal"),
    ("now + LOOK_SOON_USEC < deadline ?", "equal is equal"),
    ("f->waiting_since_usec > f->idle_usec ?", "equal is equal"),
    ("(settled > f->needed_usec ?", "equal is equal"),
    ("if (settled > latest)", "equal is equal"),
    ("f->needed_usec + ASKING_MAX_USEC)", "equal is equal"),
    ("next < f->pause_usec ?", "equal is equal"),
]


def mutants(text):
    """(line number, the line as it would be) for each change."""
    for number, line in enumerate(text.split("\n")):
        code = line.split("/*")[0]
        if not code.startswith(" ") or code.lstrip().startswith("*"):
            continue
        for pattern, replacements in SWAPS:
            for match in re.finditer(pattern, code):
                for replacement in replacements:
                    yield number, line[:match.start()] + replacement + line[match.end():]
        if STATEMENT.match(line):
            yield number, ";"


def run(command, cwd):
    # A mutant that goes on for ever has been noticed too.
    try:
        return subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=120, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def flags(option, *packages):
    return subprocess.run(["pkg-config", option, *packages], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


COMPILE = ["gcc", "-O1", "-w", "-std=c17", "-D_GNU_SOURCE", "-Icommon", "-Itests/unit", *flags("--cflags", "libsystemd")]
LIBS = flags("--libs", "cmocka", "libsystemd", "libcrypto")


def object_of(work, source):
    target = work / (source.replace("/", "-") + ".o")
    return target if run([*COMPILE, "-c", "-o", str(target), str(TOP / source)], TOP) else None


def is_noticed(mutant, objects, work):
    """None: it does not even compile."""
    name, number, line = mutant
    with tempfile.TemporaryDirectory(dir=work) as directory:
        own = Path(directory)
        lines = (TOP / f"common/decision/{name}.c").read_text().split("\n")
        lines[number] = line
        (own / f"{name}.c").write_text("\n".join(lines))
        if not run([*COMPILE, "-c", "-o", str(own / "m.o"), str(own / f"{name}.c")], TOP):
            return None
        others = [str(o) for n, o in objects.items() if n != name and not n.startswith("test-")]
        for test in TESTS:
            program = own / test
            if not run(["gcc", "-o", str(program), str(objects["test-" + test]), str(own / "m.o"), *others, *LIBS], TOP):
                return None
            if not run([str(program)], own):
                return True
    return False


def check_original(objects, work):
    """What does not pass as it is would catch everything, or nothing."""
    name = FILES[0]
    lines = (TOP / f"common/decision/{name}.c").read_text().split("\n")
    if is_noticed((name, 0, lines[0]), objects, work) is not False:
        sys.exit("the decision as it is does not pass its own tests, or is not linked with all that it needs")


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    work = Path(tempfile.mkdtemp())
    try:
        objects = {name: object_of(work, f"common/decision/{name}.c") for name in FILES}
        objects |= {source: object_of(work, source) for source in SHARED}
        objects |= {"test-" + test: object_of(work, f"tests/unit/decision/test-{test}.c") for test in TESTS}
        everything = [(name, number, line) for name in FILES
                      for number, line in mutants((TOP / f"common/decision/{name}.c").read_text())]
        originals = {name: (TOP / f"common/decision/{name}.c").read_text().split("\n") for name in FILES}
        everything = [m for m in everything if word in originals[m[0]][m[1]]]
        check_original(objects, work)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            noticed = list(pool.map(lambda m: is_noticed(m, objects, work), everything))
    finally:
        shutil.rmtree(work)

    caught = noticed.count(True)
    survivors = []
    for (name, number, line), seen in zip(everything, noticed):
        if seen is not False:
            continue
        original = originals[name][number].strip()
        why = next((reason for part, reason in SAME if part in original), None)
        survivors += [] if why else [original]
        print(f"{name}.c:{number + 1}: {original}\n    as: {line.strip()}" + (f"\n    the same: {why}" if why else ""))
    print(f"{caught} caught, {len(survivors)} not, {noticed.count(False) - len(survivors)} that change nothing")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
