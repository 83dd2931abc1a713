#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make pictures: what the demo, status and check show on a terminal, from real runs, as SVG."""

import html
import os
import pty
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from standin.sandbox import Sandbox  # noqa: E402
from standin.wait import wait_for  # noqa: E402

COLUMNS = 100
WIDTH, HEIGHT = 7.85, 18  # of a character, in pixels
COLOURS = {"31": "#f85149", "32": "#3fb950", "33": "#d29922", "1": "bold", "2": "#8b949e", "36": "#39c5cf", "34": "#58a6ff"}


def on_terminal(command, environment):
    """What the command writes on a terminal of COLUMNS columns."""
    parent, child = pty.openpty()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.dup2(child, fd)
        os.system(f"stty cols {COLUMNS} rows 50")
        os.execvpe(command[0], command, {**environment, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS),
                                          "LC_ALL": "C.UTF-8"})
    os.close(child)
    data = b""
    try:
        while chunk := os.read(parent, 65536):
            data += chunk
    except OSError:
        pass
    os.close(parent)
    os.waitpid(pid, 0)
    # What was announced for a moment, and wiped away.
    return re.sub("[^\n]*\r\033\\[K", "", data.decode().replace("\r\n", "\n"))


def spans(line):
    """[(style, text)] of a line with escape sequences."""
    style, found = [], []
    for piece in re.split(r"(\033\[[0-9;]*m)", line):
        if not piece.startswith("\033["):
            found += [(style, piece)] if piece else []
            continue
        for code in piece[2:-1].split(";"):
            style = [] if code in ("", "0") else [*style, code] if code in COLOURS else style
    return found


def svg(title, command, text):
    lines = [f"\033[2m$\033[0m {command}", *text.rstrip("\n").split("\n")]
    height = HEIGHT * (len(lines) + 2)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * WIDTH + 32:.0f}" height="{height}" role="img">',
           f"<title>{html.escape(title)}</title>",
           '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
           '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="13" fill="#e6edf3" '
           'xml:space="preserve">']
    for number, line in enumerate(lines):
        parts = []
        for style, piece in spans(line):
            colour = next((COLOURS[c] for c in reversed(style) if c != "1"), None)
            attributes = (f' fill="{colour}"' if colour else "") + (' font-weight="bold"' if "1" in style else "")
            parts.append(f"<tspan{attributes}>{html.escape(piece)}</tspan>" if attributes else html.escape(piece))
        out.append(f'<text x="16" y="{HEIGHT * (number + 1.75):.0f}">{"".join(parts)}</text>')
    return "\n".join([*out, "</g>", "</svg>", ""])


def sandbox_pictures(program):
    """A small host with two registries, one of which has an entry that cannot be used."""
    sandbox = Sandbox(program)
    try:
        sandbox.systemd1.environment_files = [sandbox.environment_file]
        sandbox.start()
        for registry in ("https://index.docker.io/v1/", "registry.example.com"):
            sandbox.credentials.login(registry, "puller", "s3cret")
        for path in (sandbox.credentials.path, sandbox.environment_file):
            path.touch(mode=0o600)
            path.chmod(0o600)
        sandbox.run_daemon()
        wait_for(lambda: (sandbox.directory / "run/status.json").exists() and sandbox.status()["state"] == "live", 20,
                 "the agent is live")
        environment = {**os.environ, **sandbox.environment()}
        shown = {}
        shown["status"] = on_terminal(sandbox.arguments("status"), environment)
        sandbox.agent.mounts = []
        sandbox.agent.restart()
        sandbox.credentials.path.chmod(0o644)
        shown["check"] = on_terminal(sandbox.arguments("check"), environment)
        return {verb: (f"sudo ecs-authd {verb}", text.replace(str(sandbox.directory), "")
                       .replace(sandbox.agent.url, "http://localhost:51678")
                       .replace(str(sandbox.engine.socket).removeprefix(str(sandbox.directory)), "/run/docker.sock"))
                for verb, text in shown.items()}
    finally:
        sandbox.close()


def main():
    program, target = sys.argv[1:]
    demo = on_terminal([sys.executable, str(TOP / "tests/demo/demo.py"), program], dict(os.environ))
    pictures = {"demo": ("make demo", demo), **sandbox_pictures(program)}
    Path(target).mkdir(parents=True, exist_ok=True)
    for name, (command, text) in pictures.items():
        (Path(target) / f"{name}.svg").write_text(svg(f"A terminal with {command}", command, text))
        print(f"{target}/{name}.svg: {len(text.splitlines())} lines")


if __name__ == "__main__":
    main()
