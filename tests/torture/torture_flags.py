# SPDX-License-Identifier: Apache-2.0
"""What the program was built with."""

import shutil

from hardening import CHECKS, CannotTell
from measured import CannotHere, play


def torture(program, _short, chosen):
    def check(name):
        if not shutil.which("readelf"):
            raise CannotHere
        try:
            return [] if CHECKS[name](program) else [f"{program} has it not"]
        except CannotTell:
            raise CannotHere from None

    return play("flags", {name: lambda name=name: check(name) for name in CHECKS}, None, chosen)
