# SPDX-License-Identifier: Apache-2.0
"""Text for people: 80 columns, colours on a terminal that wants them."""

import os
import sys
import textwrap

WIDTH = 80


class Screen:
    def __init__(self):
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.hidden = {}  # text that is shown as another one

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.colours else text

    def write(self, text, indent="", hanging="", code=""):
        for old, new in self.hidden.items():
            text = text.replace(old, new)
        lines = textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=hanging or indent,
                              break_on_hyphens=False)
        for line in lines or [""]:
            print(self.paint(line, code) if code else line, flush=True)

    def title(self, text):
        print()
        self.write(text, code="1")

    def say(self, text):
        self.write(text, "   ")

    def command(self, text):
        self.write(f"$ {text}", "   ", "     ", code="36")

    def show(self, text, code=""):
        """What is in a file, or what a program said."""
        for line in text.splitlines():
            self.write(line, "     ", "       ", code=code)

    def done(self, text):
        self.write(f"ok  {text}", "   ", "       ", code="32")

    def failed(self, text):
        for line in ["", *text.splitlines()]:
            self.write(line, code="31")
