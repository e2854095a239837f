#!/usr/bin/env python3
"""Checks what a document shows: its C++ compiles and runs, its commands exist and run, its links lead somewhere.

A C++ block (```cpp) is compiled with -Wall -Wextra -Werror.
  * One that contains `int main` is a whole program: it is compiled as it stands and linked.
  * Any other is a fragment. It is compiled with evio and common standard headers included, `namespace evio` not opened, as
    the kind of code that an HTML comment before the block names:
      <!-- fragment: statements -->     in a function with `evio::Events events; evio::Server server; evio::Conn conn;`
                                        in scope (this is also what a fragment without a comment is)
      <!-- fragment: declarations -->   at namespace scope
      <!-- fragment: data -->           the body of that callback, its parameters in scope under the names that
                                        evio/events.hpp gives them; also opened closed detached tick serving pre_write.
                                        A body need not end in a return.
  * <!-- prelude
        ...
    -->                                 before it: C++ that the reader need not see, put at namespace scope before the fragment.

What runs is named by a comment before the block, for a whole program (```cpp) and for commands (```sh) alike:
  <!-- run -->                                it must exit with 0
  <!-- run: port 5000, send "hi\\n", expect "hi\\n" -->
                                              a server: 5000 is replaced by a free port wherever the block says it (for a
                                              command: or --port=FREE is added), one client connects, sends and expects, in any
                                              number of steps; then SIGTERM ends it, which is the end it may have.
                                              `exits` as the last step: it must end by itself, with 0.

Commands (```sh, one a line, `$ ` before it or not, # begins a comment) are checked also when they do not run: a path in the
repository must exist, and be executable where it is the command; examples/run must name an example that knows each flag; a preset
must be one of CMakePresets.json. To run, `examples/run NAME` is the example that is already built.

  <!-- skip: REASON -->   before a block: it is not checked. Blocks of other languages never are.

Every relative link ([text](path), the part before #) must exist, and so must every test that is named as `SomeTest.Name`.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT = 120  # seconds, the last resort: nothing here takes one on a machine that is not busy
WARNINGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-pthread"]
LENIENT = ["-Wno-unused", "-Wno-unused-parameter"]  # clang counts the second apart
FRAGMENT_HEADERS = """algorithm array atomic chrono charconv cstdint cstdio cstdlib cstring deque functional iostream list
map memory mutex optional queue random set span string string_view thread unordered_map unordered_set utility vector
evio/evio.hpp""".split()
CALLBACKS = {
    "serving": "Action(const Server& server)",
    "opened": "Action(Conn& conn, Output& out, Options& opts)",
    "closed": "Action(Conn& conn, const Error& err)",
    "detached": "Action(Conn& conn, DetachedConn rwc)",
    "pre_write": "void()",
    "data": "Action(Conn& conn, const Bytes& in, Output& out)",
    "tick": "Action(std::chrono::nanoseconds& delay)",
}


class Wrong(Exception):
    """What is wrong with a block, for the author of the document."""


@dataclass
class Block:
    language: str
    line: int  # of its first line of text
    text: str
    notes: dict = field(default_factory=dict)


def parse(document):
    """The fenced blocks of a document, each with the comments right before it."""
    blocks, notes, fence, comment = [], {}, None, None
    for number, line in enumerate(document.splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                blocks.append(fence)
                fence, notes = None, {}
            else:
                fence.text += line + "\n"
        elif comment is not None or line.lstrip().startswith("<!--"):
            comment = (comment or "") + line + "\n"
            if "-->" in line:
                key, _, value = comment.strip().removeprefix("<!--").removesuffix("-->").strip().partition(
                    "\n" if comment.lstrip().startswith("<!-- prelude") else ":")
                notes[key.strip().rstrip(":")] = value.strip("\n").strip()
                comment = None
        elif line.lstrip().startswith("```"):
            fence = Block(line.strip("` \t").split(" ")[0], number + 1, "", notes)
        elif line.strip():
            notes = {}
    if fence is not None:
        raise Wrong(f"line {fence.line - 1}: the block never ends")
    return blocks


def is_program(block):
    return re.search(r"\bint main\s*\(", block.text) is not None


class Checker:
    def __init__(self, args, document, work):
        self.args, self.document, self.work = args, document, Path(work)
        self.flags = WARNINGS + ["-I", str(args.root)]

    def run_tool(self, command, **options):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20 * TIMEOUT, check=False, **options)
        if done.returncode != 0:
            raise Wrong(done.stdout + done.stderr)
        return done.stdout

    def prepare(self):
        # Parsed once, for all fragments: the headers take longer than they do.
        self.common = self.work / "fragment.hpp"
        self.common.write_text("".join(f"#include <{name}>\n" for name in FRAGMENT_HEADERS))
        self.run_tool([self.args.compiler, *self.flags, *LENIENT, "-x", "c++-header", self.common,
                       "-o", f"{self.common}.gch"])

    # C++

    def check_cpp(self, block):
        source = self.work / f"block_{block.line}.cpp"
        located = f'#line {block.line} "{self.document.name}"\n{block.text}'
        if is_program(block):
            self.check_program(block, source, located)
            return
        if "run" in block.notes:
            raise Wrong("only a whole program can run")
        source.write_text(block.notes.get("prelude", "") + "\n" + self.wrapped(block, located))
        self.run_tool([self.args.compiler, *self.flags, *LENIENT, "-include", self.common, "-fsyntax-only", source])

    def check_program(self, block, source, located):
        steps = parse_steps(block.notes.get("run", ""))
        with reserved_port() as free:
            if "port" in steps:
                located = located.replace(str(steps["port"]), str(free))
            source.write_text(located)
            program = source.with_suffix("")
            self.compile_program(source, program)
            if "run" in block.notes:
                self.serve([str(program)], free if "port" in steps else None, steps)

    def compile_program(self, source, program):
        self.run_tool([self.args.compiler, *self.flags, source, "-o", program, self.args.library,
                       f"-Wl,-rpath,{Path(self.args.library).parent}"])

    def wrapped(self, block, located):
        kind = block.notes.get("fragment", "statements")
        if kind == "declarations":
            return located
        if kind == "statements":
            return ("void fragment(evio::Events events, evio::Server server, evio::Conn conn);\n"
                    "void fragment(evio::Events events, evio::Server server, evio::Conn conn) {\n" + located + "}\n")
        if kind not in CALLBACKS:
            raise Wrong(f"no fragment is of the kind {kind!r}")
        result, parameters = CALLBACKS[kind].rstrip(")").split("(")
        parameters = re.sub(r"\b(Action|Server|Conn|Output|Options|Error|DetachedConn|Bytes)\b", r"evio::\1", parameters)
        end = "return evio::Action::None;\n" if result == "Action" else ""
        return f"auto fragment = []({parameters}) -> {'evio::' if end else ''}{result} {{\n{located}{end}}};\n"

    # Commands

    def check_sh(self, block):
        commands = [shlex.split(line.strip().removeprefix("$ "), comments=True)
                    for line in block.text.replace("\\\n", " ").splitlines()]
        commands = [command for command in commands if command]
        for command in commands:
            self.check_command(command)
        if "run" in block.notes:
            self.run_commands(block, commands)

    def check_command(self, command):
        first = command[0]
        if "/" in first and not first.startswith(("/", "~", "http")) and not os.access(self.args.root / first, os.X_OK):
            if not first.startswith(("build/", "./build/")):
                raise Wrong(f"{first}: there is no such program")
        if first.removeprefix("./") == "examples/run":
            self.check_example(command[1:])
        if first == "cmake" or first == "ctest":
            self.check_presets(command)

    def check_example(self, words):
        name = words[0] if words else ""
        if not (self.args.root / "examples" / f"{name}.cpp").exists():
            raise Wrong(f"examples/run {name}: there is no such example")
        usage = self.run_tool([self.args.examples / name, "--help"])
        for word in words[1:]:
            if word in ("&", "|", ";", "&&"):
                break
            flag = word.split("=")[0]
            if flag.startswith("--") and not re.search(re.escape(flag) + r"\b", usage):
                raise Wrong(f"examples/run {name}: it has no flag {flag}")

    def check_presets(self, command):
        presets = json.loads((self.args.root / "CMakePresets.json").read_text())
        names = {preset["name"] for preset in presets["configurePresets"] if not preset.get("hidden")}
        for word, following in zip(command, command[1:] + [""]):
            name = following if word == "--preset" else word.removeprefix("--preset=")
            if word.startswith("--preset") and name not in names:
                raise Wrong(f"there is no preset {name}")

    def run_commands(self, block, commands):
        steps = parse_steps(block.notes["run"])
        port = steps.pop("port", None)
        for command in commands:
            if command[0].removeprefix("./") == "examples/run":
                command[:2] = [str(self.args.examples / command[1])]
        if port is None:
            script = "\n".join(shlex.join(command) for command in commands)
            self.serve(["sh", "-eu", "-c", script], None, steps)
            return
        if len(commands) != 1:
            raise Wrong("a block that is talked to is one command")
        with reserved_port() as free:
            replaced = [word.replace(str(port), str(free)) for word in commands[0]]
            if replaced == commands[0]:
                replaced.append(f"--port={free}")
            self.serve(replaced, free, steps)

    def serve(self, command, port, steps):
        """Runs a command; where a port is given, talks to it."""
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self.args.root)
            try:
                if port is not None:
                    talk(process, port, steps["talk"])
                    if not steps["exits"]:
                        end(process)
                        return
                if process.wait(TIMEOUT) != 0:
                    raise Wrong(f"{command[0]}: exit status {process.returncode}")
            except (Wrong, OSError, subprocess.TimeoutExpired) as error:
                said.seek(0)
                raise Wrong(f"{error}\nit printed:\n{said.read()}") from error
            finally:
                process.terminate()
                process.wait(TIMEOUT)

    # The document

    def check_links(self, text):
        for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            document = self.document.parent / path if path else self.document
            if not document.exists():
                yield f"{self.document.name}: the link to {path} leads nowhere"
            elif anchor and anchor not in anchors(document.read_text()):
                yield f"{self.document.name}: the link to {target} leads to no heading"

    def check_tests(self, text):
        named = set(re.findall(r"`(\w+)\.(\w+)`", text))
        if not named:
            return
        sources = "".join(path.read_text() for path in sorted((self.args.root / "tests").rglob("*.cpp")))
        tests = set(re.findall(r"^TEST(?:_P|_F)?\(\s*(\w+),\s*(\w+)\)", sources, re.M))
        suites = {suite for suite, _ in tests}
        for suite, name in sorted(test for test in named - tests if test[0] in suites or test[0].endswith("Test")):
            yield f"{self.document.name}: there is no test {suite}.{name}"

    def check_block(self, block):
        check = {"cpp": self.check_cpp, "c++": self.check_cpp, "sh": self.check_sh, "bash": self.check_sh,
                 "shell": self.check_sh, "console": self.check_sh}.get(block.language)
        if check is None or block.notes.get("skip"):
            return None
        try:
            check(block)
        except (Wrong, OSError, ValueError, subprocess.TimeoutExpired) as error:
            return f"{self.document.name}:{block.line}: {str(error).strip()}"
        return None

    def check(self):
        text = self.document.read_text()
        blocks = parse(text)
        if any(block.language in ("cpp", "c++") and not is_program(block) for block in blocks):
            self.prepare()
        with ThreadPoolExecutor(2) as pool:
            faults = [fault for fault in pool.map(self.check_block, blocks) if fault]
        faults += self.check_links(text)
        faults += self.check_tests(text)
        checked = sum(block.language in ("cpp", "sh") and "skip" not in block.notes for block in blocks)
        ran = sum("run" in block.notes for block in blocks)
        print(f"{self.document.name}: {len(blocks)} blocks, {checked} checked, {ran} of them run, {len(faults)} faults")
        return faults


def parse_steps(note):
    steps = {"talk": [], "exits": False}
    for word, text in re.findall(r'(\w+)(?:\s+("(?:[^"\\]|\\.)*"|\d+))?', note):
        if word == "port":
            steps["port"] = int(text)
        elif word in ("send", "expect") and text.startswith('"'):
            steps["talk"].append((word, json.loads(text).encode()))
        elif word == "exits":
            steps["exits"] = True
        else:
            raise Wrong(f"run: what is {word!r}?")
    return steps


@contextlib.contextmanager
def reserved_port():
    """A port that no one else gets meanwhile, though it takes minutes until its server is compiled: it is bound at every address, and
    so given neither to who asks for any port nor to an outgoing connection. As it is not listened on, a server that sets SO_REUSEADDR,
    as each of these does, may bind it too (socket(7)). The option is set here after the bind: before it, two of these could meet."""
    with socket.socket(socket.AF_INET6 if has_ipv6() else socket.AF_INET) as holder:
        holder.bind(("", 0))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield holder.getsockname()[1]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def connect(process, port):
    """Tries until somebody listens: the server says nothing when it is ready."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def end(process):
    """Ends a server by SIGTERM, which it must still be there for: by itself it ends only when it has failed."""
    if process.poll() is None:
        process.terminate()
        if process.wait(TIMEOUT) in (0, -signal.SIGTERM):
            return
    raise Wrong(f"exit status {process.returncode}")


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def anchors(text):
    """What the headings of a document can be linked to by: as the sites that show Markdown make it."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(text), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def talk(process, port, steps):
    with connect(process, port) as client:
        for word, text in steps:
            if word == "send":
                client.sendall(text)
                continue
            got = b""
            while len(got) < len(text):
                piece = client.recv(len(text) - len(got))
                if not piece:
                    break
                got += piece
            if got != text:
                raise Wrong(f"expected {text!r}, got {got!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the repository")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--library", required=True, help="libevio.a or libevio.so")
    parser.add_argument("--examples", type=Path, required=True, help="the folder of the examples' programs")
    parser.add_argument("document", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        try:
            faults = Checker(args, args.document, work).check()
        except Wrong as error:
            faults = [f"{args.document.name}: {error}"]
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
