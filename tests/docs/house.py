#!/usr/bin/env python3
"""Checks the house: which room includes which, and how long files and functions are.

A room is a folder of internal/. It may include itself, evio/ and the rooms that ALLOWED names; a header of evio/ includes evio/
alone; a source of evio/ may include anything. No file of either has more than 400 lines, no function more than 40.

  house.py ROOT        checks a tree
  house.py --self-test checks the check
"""

import re
import sys
import tempfile
from pathlib import Path

MOST_LINES = 400
MOST_FUNCTION_LINES = 40
ALLOWED = {
    "base": set(),
    "buffer": {"base"},
    "net": {"base"},
    "poll": {"base"},
    "loop": {"poll", "base", "buffer"},
    "stream": {"loop", "poll", "buffer", "base"},
    "datagram": {"loop", "poll", "buffer", "net", "base"},
    "server": {"stream", "datagram", "net", "loop", "poll", "buffer", "base"},
    "tls": {"stream", "base"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]((?:evio|internal)/[^">]+)[">]')


def room_of(path):
    """internal/loop/loop.hpp -> loop; evio/conn.hpp -> evio; internal/loop.hpp -> None."""
    parts = path.split("/")
    return "evio" if parts[0] == "evio" else parts[1] if len(parts) > 2 else None


def arrow_faults(name, lines):
    room = room_of(name)
    if room != "evio" and room not in ALLOWED:
        yield f"{name}: is in no room; there are {', '.join(ALLOWED)}"
        return
    if room == "evio" and name.endswith(".cpp"):
        return
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if found is None:
            continue
        target = room_of(found[1])
        if target in ("evio", room) or target in ALLOWED.get(room, ()):
            continue
        yield f"{name}:{number}: {room} -> {target} ({found[1]})"


def function_faults(name, lines):
    """As clang-format lays them out: a function begins with a line that ends in ` {` and has a `(`, and ends with a `}` below its
    first column. Namespaces, types and initialisers have no `(` in the lines before their brace."""
    head, start = "", None
    for number, line in enumerate(lines, 1):
        if start is None:
            if not line.strip() or line.lstrip().startswith(("//", "#")):
                head = ""
                continue
            head = line if not head or line[0] != " " else head + line
            ended = line.rstrip()
            if ended.endswith("{") and "(" in head and not re.match(r"\s*(namespace|class|struct|enum|union|extern)\b", head):
                start, indent = number - head.count("\n"), re.match(r" *", head)[0]
            elif ended.endswith((";", "}", "{", ":")):
                head = ""
            else:
                head += "\n"
        elif line.rstrip() in (indent + "}", indent + "};"):
            length = number - start + 1
            if length > MOST_FUNCTION_LINES:
                yield f"{name}:{start}: a function of {length} lines"
            head, start = "", None


def faults(root):
    for folder in ("evio", "internal"):
        for path in sorted((root / folder).rglob("*.[ch]pp")):
            name = path.relative_to(root).as_posix()
            lines = path.read_text().splitlines()
            yield from arrow_faults(name, lines)
            if len(lines) > MOST_LINES:
                yield f"{name}: {len(lines)} lines"
            yield from function_faults(name, lines)


def function(lines):
    return "int f(int a,\n      int b) {\n" + "  ++a;\n" * (lines - 3) + "}\n"


# What a tree has, and what must be found in it.
SAMPLES = {
    "all the arrows there may be": (
        {f"internal/{room}/a.hpp": "".join(f'#include "internal/{to}/a.hpp"\n' for to in {room, *tos}) + "#include <evio/a.hpp>\n"
         for room, tos in ALLOWED.items()} | {"evio/a.cpp": '#include "internal/server/a.hpp"\n', "evio/a.hpp": "#include <vector>\n"},
        []),
    "upwards": ({"internal/loop/a.cpp": '#include "internal/poll/a.hpp"\n#include "internal/stream/a.hpp"\n'},
                ["internal/loop/a.cpp:2: loop -> stream (internal/stream/a.hpp)"]),
    "sideways": ({"internal/stream/a.hpp": "  #  include <internal/datagram/a.hpp>\n"},
                 ["internal/stream/a.hpp:1: stream -> datagram (internal/datagram/a.hpp)"]),
    "out of a public header": ({"evio/detail/a.hpp": '#include "internal/base/a.hpp"\n'},
                               ["evio/detail/a.hpp:1: evio -> base (internal/base/a.hpp)"]),
    "no room": ({"internal/a.hpp": "", "internal/attic/a.hpp": ""},
                ["internal/a.hpp: is in no room", "internal/attic/a.hpp: is in no room"]),
    "a file as long as may be": ({"evio/a.cpp": "\n" * 400}, []),
    "a file too long": ({"evio/a.cpp": "\n" * 401}, ["evio/a.cpp: 401 lines"]),
    "functions as long as may be": ({"evio/a.cpp": "namespace a {\n" + (function(40) + "\n") * 3 + "}  // namespace a\n"}, []),
    "a function too long": ({"evio/a.cpp": "namespace a {\n" + function(3) + function(41) + "}\n"},
                            ["evio/a.cpp:5: a function of 41 lines"]),
    "a member function too long": ({"evio/a.hpp": "class A {\n public:\n" + re.sub("^", "  ", function(41), flags=re.M) + "};\n"},
                                   ["evio/a.hpp:3: a function of 41 lines"]),
    "a long class": ({"evio/a.hpp": "class A {\n" + "  void f();\n" * 60 + "};\n"}, []),
}


def self_test():
    failures = 0
    for what, (tree, expected) in SAMPLES.items():
        with tempfile.TemporaryDirectory() as work:
            for name, text in tree.items():
                path = Path(work) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            found = list(faults(Path(work)))
        if len(found) != len(expected) or not all(f.startswith(e) for f, e in zip(found, expected)):
            print(f"{what}: expected {expected}, found {found}")
            failures += 1
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
