# SPDX-License-Identifier: Apache-2.0
"""What systemd-analyze(1) thinks of the unit: 0 is exposed to nothing, 10 to everything."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from measured import CannotHere, play

UNIT = Path(__file__).resolve().parents[2] / "units" / "ecs-authd.service.in"
EXPOSURE_MAX = 1.5


def analyze(*arguments):
    result = subprocess.run(["systemd-analyze", *arguments], check=False, capture_output=True, text=True, timeout=60)
    return result.stdout + result.stderr


def installed(program, directory):
    """The unit, as `make install` makes it for a program in that place."""
    unit = Path(directory) / "ecs-authd.service"
    unit.write_text(UNIT.read_text().replace("@BINDIR@", str(program.parent)))
    return unit


def torture(program, _short, chosen):
    measured = {}

    def exposure():
        # Before systemd 250 it could not look at a file.
        if not shutil.which("systemd-analyze") or "--offline" not in analyze("--help"):
            raise CannotHere
        with tempfile.TemporaryDirectory() as directory:
            told = analyze("security", "--offline=true", "--no-pager", str(installed(program, directory)))
        found = re.search(r"Overall exposure level.*: ([0-9.]+)", told)
        if not found:
            return [f"there is no score: {told.strip()[-300:]}"]
        measured["exposure"] = found[1]
        if float(found[1]) > EXPOSURE_MAX:
            return [f"{found[1]}, and {EXPOSURE_MAX} at most is promised"]
        return []

    figures = play("score", {"exposure": exposure}, None, chosen)
    figures.measured.update(measured)
    return figures
