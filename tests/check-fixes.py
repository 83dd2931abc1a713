#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each message that names a fix has a row in tests/fixes.py, with the test that applies the fix. Fails for a message without a
row, a row without a message, and a row whose test does not exist."""

import re
import sys
from pathlib import Path

from fixes import FIXES, NO_FIX, NO_TEST

TOP = Path(__file__).resolve().parent.parent

# C: comments, literals, and everything else that is of interest between two literals.
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|^\s*#[^\n]*(?:\\\n[^\n]*)*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\w+|[^\s\w]', re.S | re.M)
ESCAPES = {"n": "\n", "t": "\t"}

# Words that a fix has: a command, an imperative, a place where more is found.
FIX = re.compile(r"""
    \b(?:docker\ (?:login|logout|logs|inspect|start|restart|stop|ps)|systemctl|journalctl|ch(?:mod|own|attr)|lsattr|df|fuser|namei|sudo
        |mount\ -o|sysctl|ss\ -|printf|make\ install|cloud-init\ status|ecs-authd\ (?:apply|render|check|status))\b
    |(?:^|[.;:,(>]\s|'|\bor\ |\band\ |\bthen:?\s)(?:Run|Set|Mend|Make|Take|Log|Look|Delete|Add|Remove|Raise|Install|Restart(?!\ held|\ job)|Start|Stop|Find
        |See|Give|Use|Move|Mount|Put|Try|Rename|Correct|Replace|Write|Shorten|End|Have|By\ hand)\b
    |\b(?:did\ you\ mean|ha(?:s|ve)\ to\ (?:be\ (?:in|a)|exist)|[Mm]ust\ be|belongs?\ to|goes\ without|[A-Z]\w+=\ right\?|without\ the\ link)
    """, re.X | re.I)


def tokens(text):
    return [t for t in TOKEN.findall(text) if not t.startswith(("/*", "//")) and not t.lstrip().startswith("#")]


def unquote(literal):
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), literal[1:-1])


def calls_of_say(found):
    """The index of the end of each call of say(), by that of its start."""
    ends = {}
    for start, token in enumerate(found[:-1]):
        if token == "say" and found[start + 1] == "(" and found[start - 1] != "void":
            depth = 0
            for end in range(start + 1, len(found)):
                depth += {"(": 1, ")": -1}.get(found[end], 0)
                if depth == 0:
                    break
            ends[start] = end
    return ends


def messages_of_c(text):
    """Each literal, adjacent ones joined; the literals of one call of say() (a finding of check and its fix) are one message."""
    found, ends = tokens(text), None
    ends = calls_of_say(found)
    i = 0
    while i < len(found):
        if i in ends:
            yield " -> ".join(unquote(t) for t in found[i:ends[i]] if t.startswith('"'))
            i = ends[i]
        elif found[i].startswith('"'):
            message = ""
            while found[i].startswith('"') or (found[i].isupper() and len(found[i]) > 3):
                message += unquote(found[i]) if found[i].startswith('"') else "{" + found[i] + "}"
                i += 1
            yield message
        i += 1


def messages_of_catalog(text):
    """Subject and body of each entry."""
    for entry in re.split(r"^-- [0-9a-f]{32}$", text, flags=re.M)[1:]:
        subject, _, rest = entry.strip().partition("\n")
        yield subject.removeprefix("Subject: ") + "\n" + rest.partition("\n\n")[2].strip()


def names_fix(message):
    """Not a single word, as of a setting or a request."""
    return FIX.search(message) and (len(message.split()) > 2 or re.search("[%(]", message))


def messages(path):
    of = messages_of_c if path.suffix == ".c" else messages_of_catalog
    return {m for m in of(path.read_text()) if names_fix(m)}


def exists(test, top):
    """tests/FILE.py::function, or tests/FILE.py::function[id of a parameter]"""
    path, function, parameter = re.fullmatch(r"([^:]+)::(\w+)(?:\[(.*)\])?", test).groups()
    text = (top / path).read_text() if (top / path).is_file() else ""
    return re.search(rf"^def {function}\(", text, re.M) and (not parameter or f'"{parameter}":' in text)


def of_row(part, found):
    """The messages of a row: the one that it has as a whole, or those with that part."""
    return {part} if part in found else {message for message in found if part in message}


def check_row(file, row, found, top):
    part, _, tests = row
    n = len(of_row(part, found))
    if n != 1:
        yield f"{file}: {n or 'no'} messages have the words of this row of tests/fixes.py: {part}"
    for test in [tests] if isinstance(tests, str) else tests:
        if not test.startswith((NO_FIX, NO_TEST)) and not exists(test, top):
            yield f"{file}: there is no {test}, which is to apply the fix of: {part}"


def check(top=TOP, fixes=FIXES):
    sources = [*top.glob("common/*/*.c"), *top.glob("daemon/*.c"), *top.glob("daemon/*/*.c"), top / "units/ecs-authd.catalog"]
    found = {str(path.relative_to(top)): messages(path) for path in sorted(sources)}
    for file in sorted({*found, *fixes}):
        rows = fixes.get(file, [])
        for message in sorted(found.get(file, [])):
            n = sum(message in of_row(part, found[file]) for part, _, _ in rows)
            if n == 0:
                yield f"{file}: names a fix, and has no row in tests/fixes.py: {message}"
            elif n > 1:
                yield f"{file}: has {n} rows in tests/fixes.py: {message}"
        for row in rows:
            yield from check_row(file, row, found.get(file, []), top)


def main():
    mistakes = list(check())
    print("\n".join(mistakes), end="\n" if mistakes else "")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
