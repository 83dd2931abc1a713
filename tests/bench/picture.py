# SPDX-License-Identifier: Apache-2.0
"""Lines over two axes, as an SVG that is read in light and in dark."""

import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 64, 150, 20, 44
COLOURS = ("#1f77b4", "#7f7f7f", "#d62728", "#ff9900")
STYLE = ("text{font:13px sans-serif;fill:#24292f}.grid{stroke:#d0d7de}.back{fill:#ffffff}"
         "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.back{fill:#0d1117}}")


class Axis:
    def __init__(self, values, begin, end, log):
        self.scale = math.log10 if log else float
        low, high = min(values), max(values)
        if log:
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        self.low, self.high, self.begin, self.end = self.scale(low), self.scale(high), begin, end

    def place(self, value):
        return self.begin + (self.scale(value) - self.low) / (self.high - self.low) * (self.end - self.begin)


def decades(axis):
    return [10 ** p for p in range(round(axis.low), round(axis.high) + 1)]


def draw(series, x_title, y_title, log=True, x_marks=None):
    """series: {name: [(x, y)]}"""
    points = [p for line in series.values() for p in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, log)
    y = Axis([p[1] for p in points] + ([] if log else [0]), HEIGHT - BOTTOM, TOP, log)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">', f"<style>{STYLE}</style>",
           f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>']
    y_marks = decades(y) if log else [y.high * i / 4 for i in range(5)]
    for mark in y_marks:
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.place(mark):.0f}" y2="{y.place(mark):.0f}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y.place(mark) + 4:.0f}" text-anchor="end">{mark:g}</text>')
    for mark in x_marks or (decades(x) if log else [x.high * i / 6 for i in range(7)]):
        out.append(f'<text x="{x.place(mark):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{mark:g}</text>')
    for i, (name, line) in enumerate(series.items()):
        path = " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in line)
        out.append(f'<polyline fill="none" stroke="{COLOURS[i]}" stroke-width="2.5" points="{path}"/>')
        out.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{TOP + 22 * i}" width="14" height="4" fill="{COLOURS[i]}"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 32}" y="{TOP + 22 * i + 7}">{name}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{x_title}</text>')
    out.append(f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}" text-anchor="middle" '
               f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.0f})">{y_title}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
