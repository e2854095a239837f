#!/usr/bin/env python3
"""chart.py RESULTS.md: prints the chart of what stands there, as SVG.

It reads the tables, so that the chart says what they say. What is not in them is drawn as not measured.
"""

import math
import pathlib
import re
import sys
from xml.sax.saxutils import escape

from report import ECHO, LIMIT, OURS

SERVERS = ["bare", "evio", "libev", "libevent", "libuv", "asio", "bufferevent"]
WIDTH, MARGIN = 800, 16
INK, FAINT, GRID = "#1f2328", "#57606a", "#d8dee4"
OUR_COLOUR, BARE_COLOUR, PEER_COLOUR = "#d55e00", "#a8a8a8", "#7da7d0"
# Apart in hue and in lightness, and by shape, for those who do not see the hue.
MARKS = {"evio": ("#d55e00", "circle"), "libev": ("#56b4e9", "down"), "libevent": ("#009e73", "diamond"), "libuv": ("#0072b2", "square"),
         "asio": ("#3c4043", "up"), "bufferevent": ("#cc79a7", "cross")}


class Table:
    """A table of the results: {server: {column: cell}}; the last of columns with one name counts."""

    def __init__(self, heading, lines):
        cells = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines]
        self.heading, self.head = heading, cells[0]
        self.rows = {row[0]: dict(zip(cells[0], row)) for row in cells[2:]}

    def numbers(self, column):
        return {server: float(row[column].replace(",", "")) for server, row in self.rows.items() if row[column] != "–"}


def tables_of(text):
    heading, lines = "", []
    for line in text.splitlines() + [""]:
        if line.startswith("|"):
            lines.append(line)
            continue
        if lines:
            yield Table(heading, lines)
        lines = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def column(tables, heading, name):
    """What the table with such a column under that heading says of each server."""
    return next((table.numbers(name) for table in tables if table.heading.startswith(heading) and name in table.head), {})


class Picture:
    def __init__(self):
        self.parts = []

    def add(self, tag, content="", **attributes):
        words = "".join(f' {name.rstrip("_").replace("_", "-")}="{value:.1f}"' if isinstance(value, float) else
                        f' {name.rstrip("_").replace("_", "-")}="{value}"' for name, value in attributes.items())
        self.parts.append(f"<{tag}{words}>{content}</{tag}>" if content else f"<{tag}{words}/>")

    def text(self, x, y, words, **attributes):
        self.add("text", escape(words), x=float(x), y=float(y), **attributes)

    def line(self, x1, y1, x2, y2, colour, width=1.0, **attributes):
        self.add("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), stroke=colour, stroke_width=width, **attributes)

    def rect(self, x, y, width, height, colour):
        self.add("rect", x=float(x), y=float(y), width=float(width), height=float(height), fill=colour)

    def mark(self, x, y, server):
        colour, shape = MARKS[server]
        r = 5.5 if server == OURS else 4.5
        if shape == "circle":
            self.add("circle", cx=float(x), cy=float(y), r=r, fill=colour)
        elif shape == "cross":
            self.add("path", d=f"M{x - r:.1f},{y - r:.1f}l{2 * r},{2 * r}m{-2 * r},0l{2 * r},{-2 * r}", stroke=colour, stroke_width=2.6)
        else:
            path = {"square": (-r, -r, 2 * r, 0, 0, 2 * r, -2 * r, 0), "diamond": (0, -r - 1, r + 1, r + 1, -r - 1, r + 1, -r - 1, -r - 1),
                    "up": (0, -r, r + 0.5, 2 * r, -2 * r - 1, 0), "down": (0, r, r + 0.5, -2 * r, -2 * r - 1, 0)}[shape]
            first, *steps = [f"{a},{b}" for a, b in zip(path[::2], path[1::2])]
            dx, dy = map(float, first.split(","))
            self.add("path", d=f"M{x + dx:.1f},{y + dy:.1f}l{' '.join(steps)}z", fill=colour)

    def svg(self, height):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
                f'font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif" font-size="13" fill="{INK}">\n'
                f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def title(picture, x, y, words, unit):
    picture.text(x, y, words, font_weight="bold")
    picture.text(x, y + 17, unit, font_size=12, fill=FAINT)


def bars(picture, x, y, step, width, values, digits):
    """A bar for each server. One that is far longer than all others is cut, so that those can be told apart."""
    if not values:
        picture.text(x, y + 2.5 * step + 4.5, "not measured", fill=FAINT)
        return
    longest, second = sorted([0, 0, *values.values()])[:-3:-1]
    most = 1.35 * second if longest > 2.5 * second > 0 else longest or 1
    for row, server in enumerate(SERVERS):
        middle = y + (row + 0.5) * step
        if server not in values:
            continue
        length = max(1.0, width * min(1, values[server] / most))
        colour = {OURS: OUR_COLOUR, LIMIT: BARE_COLOUR}.get(server, PEER_COLOUR)
        picture.rect(x, middle - 7, length, 14, colour)
        if values[server] > most:
            picture.add("path", d=f"M{x + length - 22:.1f},{middle + 9:.1f}l6,-18h6l-6,18z", fill="#ffffff")
        picture.text(x + length + 5, middle + 4.5, f"{values[server]:,.{digits}f}", font_weight="bold" if server == OURS else "normal")
    picture.line(x, y, x, y + step * len(SERVERS), INK)


def bar_panels(picture, tables, y):
    step, first, apart, width = 22, 100, 234, 150
    rows = y + 34
    slow = next((table for table in tables if "MiB left" in table.head), None)
    after = " after {} × 1 MiB".format(re.search(r"of ([\d,]+) readers", slow.heading)[1]) if slow else ""
    panels = [("Instructions per 6-byte echo", "in user space; fewer is better", column(tables, "Instructions", "instructions a message, 50 waiting"), 0),
              ("Memory per idle connection", "bytes; less is better", column(tables, "Memory of idle connections", "bytes an idle connection"), 0),
              ("Memory left by slow readers", f"MiB{after}; less is better", column(tables, "Memory of", "MiB left"), 0)]
    picture.rect(MARGIN - 8, rows + SERVERS.index(OURS) * step, WIDTH - 2 * MARGIN + 16, step, "#fdf0e6")
    for row, server in enumerate(SERVERS):
        picture.text(first - 8, rows + (row + 0.5) * step + 4.5, server, text_anchor="end", font_weight="bold" if server == OURS else "normal",
                     fill=OUR_COLOUR if server == OURS else INK)
    for number, (words, unit, values, digits) in enumerate(panels):
        title(picture, first + number * apart - 2, y + 8, words, unit)
        bars(picture, first + number * apart, rows, step, width, values, digits)
    return rows + step * len(SERVERS)


def cpu_of(tables):
    """[(what, {server: (ratio, standard error)})] of the echo scenarios."""
    found = []
    for scenario, (heading, _, label) in ECHO.items():
        wanted = heading + (": 2" if scenario == "loops" else "")
        for table in tables:
            if table.heading != wanted or "CPU ns a message" not in table.head:
                continue
            pairs = {server: re.findall(r"[\d.]+", row["to bare"]) for server, row in table.rows.items()}
            found.append((label, {server: tuple(map(float, pair)) for server, pair in pairs.items() if len(pair) == 2}))
    return found


def legend(picture, y):
    x = MARGIN + 6
    for server in MARKS:
        picture.mark(x, y - 4.5, server)
        picture.text(x + 11, y, server, font_weight="bold" if server == OURS else "normal")
        x += 46 + 8.2 * len(server)


def cpu_group(picture, left, width, at, top, values):
    """The points of a scenario. One beyond the axis is an arrow with its number."""
    servers, beyond = [server for server in MARKS if server in values], 0
    for number, server in enumerate(servers):
        x = left + width * (number + 1.3) / (len(MARKS) + 1.6)
        value, error = values[server]
        if at(value) < top:
            picture.text(x, top - 8 - 14 * beyond, f"{value:.1f}" if value > 9.95 else f"{value:.2f}", font_size=12, text_anchor="end")
            picture.add("path", d=f"M{x + 7:.1f},{top - 18 - 14 * beyond:.1f}l5,9h-10z", fill=MARKS[server][0])
            beyond += 1
            continue
        low, high = at(value - 2 * error), max(top, at(value + 2 * error))  # without a cap where the axis ends
        picture.line(x, low, x, high, MARKS[server][0], 2.0)
        for end in (low, high)[:2 if high > top else 1]:
            picture.line(x - 3.5, end, x + 3.5, end, MARKS[server][0], 2.0)
        picture.mark(x, at(value), server)


def cpu_panel(picture, tables, y):
    groups = cpu_of(tables)
    title(picture, MARGIN, y, "CPU time per message, as a multiple of the bare epoll loop’s; lower is better",
          "Whiskers: ± 2 standard errors of the paired rounds. Where they cross the line, no difference from bare was measured.")
    if not groups:
        picture.text(MARGIN, y + 44, "not measured", fill=FAINT)
        return y + 60
    legend(picture, y + 44)
    # In steps of 0.2: as deep as the points go, but no higher than lets those near 1 be told apart.
    lowest = min([4, *(math.floor((value - 2 * error) * 5) for _, values in groups for value, error in values.values())])
    low, high = max(0, lowest) / 5, 1.6
    top, bottom, left, right = y + 96, y + 286, MARGIN + 58, WIDTH - MARGIN

    def at(value):
        return bottom - (bottom - top) * (max(value, low) - low) / (high - low)

    width = (right - left) / len(groups)
    for tick in range(round(low * 5), round(high * 5) + 1):
        value, is_bare = tick / 5, tick == 5
        picture.line(left, at(value), right, at(value), INK if is_bare else GRID, 1.5 if is_bare else 1.0)
        picture.text(left - 6, at(value) + 4.5, "bare = 1" if is_bare else f"{value:.1f}", text_anchor="end",
                     font_weight="bold" if is_bare else "normal")
    for number, (label, values) in enumerate(groups):
        if number:
            picture.line(left + number * width, top - 34, left + number * width, bottom, GRID, 1.0, stroke_dasharray="2 3")
        for row, words in enumerate(label):
            picture.text(left + (number + 0.5) * width, bottom + 18 + 15 * row, words, text_anchor="middle", font_size=12)
        cpu_group(picture, left + number * width, width, at, top, values)
    return bottom + 18 + 15


def main():
    tables = list(tables_of(pathlib.Path(sys.argv[1]).read_text()))
    picture = Picture()
    end = cpu_panel(picture, tables, bar_panels(picture, tables, 20) + 40)
    print(picture.svg(round(end + 14)), end="")


if __name__ == "__main__":
    main()
