# SPDX-License-Identifier: Apache-2.0
"""ecs-authd is killed, with all its processes, before each system call of a write. No secret may be found then but in the
credential file, in ecs.config and in a temporary file beside it that only its owner may read and that the next pass removes."""

import base64
import os
import stat
from pathlib import Path

from traced_host import Helper, Host, OLD_PASSWORD, PASSWORD, SECRET, Tools, play, sample

SCENARIO = "apply"


def forms(secret):
    """As it may be written: itself, as UTF-16, in hexadecimal, and in base64 at each of the three places that it may begin."""
    text = secret.encode()
    yield from (text, secret.encode("utf-16-le"), text.hex().encode(), text.hex().upper().encode())
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + text)
        # Without the ends, which others have a share in.
        yield coded[(0, 2, 3)[offset]:-4]


FORMS = [form for secret in (PASSWORD, SECRET, OLD_PASSWORD) for form in forms(secret)]


def has_secret(data):
    return any(form in data for form in FORMS)


def look_into(path):
    try:
        return path.read_bytes()
    except OSError:  # gone meanwhile
        return b""


def survivors(host):
    """Processes of this case that are still there."""
    for process in Path("/proc").glob("[0-9]*"):
        arguments = look_into(process / "cmdline")
        if str(host.directory).encode() in arguments + look_into(process / "environ"):
            yield process


def found(host):
    """Where secrets are that should not be, and temporary files that may have them for a moment."""
    places, temporary = [], []
    for path in host.directory.rglob("*"):
        if path in (host.environment_file, host.credentials.path) or not path.is_file() or not has_secret(look_into(path)):
            continue
        status = path.stat()
        if path in host.leftovers() and stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == os.geteuid():
            temporary.append(path)
        else:
            places.append(str(path.relative_to(host.directory)))
    for process in survivors(host):
        places += [f"{process}/{name}" for name in ("cmdline", "environ") if has_secret(look_into(process / name))]
    return places, temporary


def kill_and_look(tools, case):
    process, call, n = case.split(":")
    with Host(tools, SCENARIO) as host:
        ended = host.traced(f"all:{process}:{tools.numbers[call]}:{n}")
        if ended.hit is None:
            return None
        after_kill, temporary = found(host)
        tools.measured["temporary files with secrets after a kill"] += len(temporary)
        after_kill += [name for name in ("out", "said") if has_secret(getattr(ended, name).encode())]

        next_pass = host.apply()
        after_next, temporary = found(host)
        tools.measured["after the next pass"] += len(temporary)
        after_next += [str(path) for path in temporary]
        after_next += [name for name in ("stdout", "stderr") if has_secret(getattr(next_pass, name).encode())]
        return [*(f"a secret in {place} after the kill" for place in after_kill),
                *(f"a secret in {place} after the next pass" for place in after_next)]


def cases_of(tools):
    """PROCESS:CALL:N"""
    with Host(tools, SCENARIO) as host:
        calls = [(process, tools.names[number]) for process, number in host.traced("list").calls]
    counts = {}
    for process, call in calls:
        n = counts[process, call] = counts.get((process, call), 0) + 1
        yield f"{process}:{call}:{n}"


def torture(program, short, case):
    with Helper() as helper:
        tools = Tools(program, helper)
        cases = [case] if case else sample(list(cases_of(tools)), short, 60)
        figures = play("secrets", cases, lambda name: kill_and_look(tools, name), program)
        figures.measured.update(tools.measured)
        return figures
