# SPDX-License-Identifier: Apache-2.0
"""A credential helper that gives another token at each call, and counts its calls."""

import json
import os
from pathlib import Path

PROGRAMS = Path("/usr/local/bin")  # HELPER_PATH: root owns what it leads to

SCRIPT = """#!/bin/sh
read -r server
echo "$1 $server $(date +%s.%N)" >> "$MINT/calls"
n=$(grep -c "^get $server " "$MINT/calls")
[ ! -e "$MINT/hang-$server" ] || exec sleep 100
if [ -e "$MINT/fail-$server" ]; then echo no luck >&2; cat "$MINT/fail-$server" >&2; exit 1; fi
if [ -e "$MINT/none-$server" ]; then echo credentials not found in native keychain; exit 1; fi
if [ -p "$MINT/escape-$server" ]; then
	(setsid sh -c 'echo runs; exec sleep 100' > "$MINT/escape-$server" < /dev/null 2>&1 &)
	exec sleep 100
fi
if [ -e "$MINT/wait-$server" ]; then
	seconds=$(cat "$MINT/wait-$server")
	touch "$MINT/waits-$server"
	sleep "$seconds"
fi
token=token-$n
if [ -e "$MINT/seconds" ]; then
	claims=$(printf '{"exp":%d,"n":%d}' $(($(date +%s) + $(cat "$MINT/seconds"))) "$n" | base64 -w0 | tr '+/' '-_' | tr -d '=')
	token=e30.$claims.c2ln
fi
printf '{"Username":"user","Secret":"%s"}' "$token" | tee "$MINT/answer-$server-$n"
"""


class MintingHelper:
    def __init__(self, directory):
        self.directory = directory / "mint"
        self.directory.mkdir()
        self.name = f"mint-{os.getpid()}"
        self.program = PROGRAMS / f"docker-credential-{self.name}"
        self.program.write_text(SCRIPT)
        self.program.chmod(0o755)

    def remove(self):
        self.program.unlink()

    def calls(self, registry=None):
        """When it was asked for the secret of one registry, or of any."""
        log = self.directory / "calls"
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        return [float(time) for verb, server, time in lines if verb == "get" and registry in (None, server)]

    def login(self, registry):
        """(user, password) as it gave it when it was last asked; None: it did not (yet)."""
        try:
            answer = json.loads((self.directory / f"answer-{registry}-{len(self.calls(registry))}").read_text())
        except (FileNotFoundError, ValueError):  # not, or not wholly
            return None
        return answer["Username"], answer["Secret"]

    def does(self, what, registry, text=""):
        (self.directory / f"{what}-{registry}").write_text(text)

    def waits(self, registry):
        return (self.directory / f"waits-{registry}").exists()

    def stops(self, what, registry):
        (self.directory / f"{what}-{registry}").unlink()

    def gives_jwts_of(self, seconds):
        (self.directory / "seconds").write_text(str(seconds))
