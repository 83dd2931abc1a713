# SPDX-License-Identifier: Apache-2.0
"""What a part of `make torture` has found: how many cases it tried, and each one in which a promise was broken."""

from dataclasses import dataclass, field


@dataclass
class Figures:
    part: str
    tried: int = 0
    violations: list = field(default_factory=list)  # (what was seen, the command that repeats it)
    measured: dict = field(default_factory=dict)    # name: value, for the table
    skipped: str = ""                               # why the part could not run here

    def case(self, *problems, repeat):
        """One case was tried; problems: what was seen of each promise that was broken (None or "" where it was kept)."""
        self.tried += 1
        self.violations += [(problem, repeat) for problem in problems if problem]

    def row(self):
        outcome = f"skipped: {self.skipped}" if self.skipped else f"{len(self.violations)} violated"
        more = ", ".join(f"{name} {value}" for name, value in self.measured.items())
        return f"{self.part:<12} {self.tried:>7} tried  {outcome:<14} {more}".rstrip()
