#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each message that names a fix has a row in tests/fixes.py, with the test that applies the fix. Fails for a message without a
row, a row without a message, and a row whose test does not exist."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# C: comments, literals, and everything else that is of interest between two literals.
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|^\s*#[^\n]*(?:\\\n[^\n]*)*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\w+|[^\s\w]', re.S | re.M)
ESCAPES = {"n": "\n", "t": "\t"}

# Words that a fix has: a command, an imperative, a pointer to further information.
FIX = re.compile(r"""
    \b(?:docker\ (?:login|logout|logs|inspect|restart)|systemctl|journalctl|chmod|chown|lsattr|chattr|df|fuser|namei|sudo|mount\ -o|sysctl
        |ss\ -|printf|make\ install|cloud-init\ status|base64|ecs-authd\ (?:apply|render|check|status))\b
    | (?:^|[.;:,(>]\s|\bor\ |\band\ |\bthen:?\s)(?:[Rr]un|[Ss]et|[Mm]end|[Mm]ake|[Tt]ake|[Ll]og|[Ll]ook|[Dd]elete|[Aa]dd|[Rr]emove|[Rr]aise
        |[Ii]nstall|[Rr]estart|[Ff]ind|[Ss]ee|[Gg]ive|[Uu]se|[Mm]ove|[Mm]ount|[Pp]ut|[Tt]ry|[Rr]ename|[Ww]rite|[Ss]horten)\ [\w'\[(*%=-]
    | \b(?:did\ you\ mean|has\ to\ be|have\ to\ be|must\ be|by\ hand:|needs\ a|belongs?\ to|[A-Z]\w+=\ right\?)
    """, re.X)


def tokens(text):
    return [t for t in TOKEN.findall(text) if not t.startswith(("/*", "//")) and not t.lstrip().startswith("#")]


def unquote(literal):
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), literal[1:-1])


def calls_of_say(found):
    """The index after the end of each call of say(), by the index of its start."""
    ends = {}
    for start, token in enumerate(found[:-1]):
        if token == "say" and found[start + 1] == "(" and found[start - 1] in ";){}":
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


def messages(top=TOP):
    """{file: [messages that name a fix]}"""
    found = {}
    for path in sorted([*top.glob("common/*/*.c"), *top.glob("daemon/*.c"), *top.glob("daemon/*/*.c"), top / "units/ecs-authd.catalog"]):
        of = messages_of_c if path.suffix == ".c" else messages_of_catalog
        found[str(path.relative_to(top))] = [m for m in of(path.read_text()) if FIX.search(m)]
    return found


if __name__ == "__main__":
    n = 0
    for file, ms in messages().items():
        if ms:
            print("#####", file)
        for m in ms:
            n += 1
            print(repr(m))
    print(n)
