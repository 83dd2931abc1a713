# SPDX-License-Identifier: Apache-2.0
"""What systemd-analyze(1) thinks of the unit: 0 is exposed to nothing, 10 to everything."""

import re
import shutil
import subprocess

from measured import CannotHere, play

EXPOSURE_MAX = 1.5


def torture(program, _short, chosen):
    unit = program.with_name("ecs-authd.service")
    measured = {}

    def exposure():
        if not shutil.which("systemd-analyze") or not unit.exists():
            raise CannotHere
        result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], check=False,
                                capture_output=True, text=True, timeout=60)
        found = re.search(r"Overall exposure level.*: ([0-9.]+)", result.stdout)
        if not found:  # before systemd 250 it could not look at a file
            raise CannotHere
        measured["exposure"] = found[1]
        if float(found[1]) > EXPOSURE_MAX:
            return [f"{found[1]}, and {EXPOSURE_MAX} at most is promised"]
        return []

    figures = play("score", {"exposure": exposure}, None, chosen)
    figures.measured.update(measured)
    return figures
