#!/usr/bin/env python3
"""report.py WORK ROOT: prints RESULTS.md from what bench/run measured, and writes the chart's numbers.

WORK/raw has a line for each measurement: scenario, variant, server, round, "name=number ...", parted by tabs. Everything is the
median over the rounds; a ratio is the median of the rounds' ratios, since what is measured side by side shares its noise.
"""

import collections
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys

OURS = "evio"
LIMIT = "bare"
ECHO = {  # scenario: title, and how the chart names it
    "small": ("50 connections, one message of 6 bytes each", "50 × 6 B"),
    "pipelined": ("50 connections, 16 messages of 64 bytes pipelined on each", "50 × 16 × 64 B"),
    "bulk": ("8 connections, one message of 1 MiB each", "8 × 1 MiB"),
    "mostly_idle": ("1,000 connections, 100 of them with one message of 6 bytes each", "1,000, 10 % active"),
    "connects": ("Connect, one message of 6 bytes, close; 50 at a time", "connect + echo"),
    "udp": ("UDP: 50 sockets, one datagram of 6 bytes each", "UDP"),
    "loops": ("50 connections, one message of 6 bytes each, several loops", "2 loops"),
}


def read_raw(path):
    """{(scenario, variant): {server: {round: {name: number}}}} in the order of the file."""
    table = collections.defaultdict(lambda: collections.defaultdict(dict))
    for line in path.read_text().splitlines():
        scenario, variant, server, turn, values = line.split("\t")
        numbers = {k: float(v) for k, v in (word.split("=") for word in values.split())}
        table[scenario, variant][server][int(turn)] = numbers
    return table


def median(rounds, name):
    return statistics.median(numbers[name] for numbers in rounds.values())


def ratio(rounds, others, name):
    """The median of what `name` is to the others' in the same round; None when there is nothing to compare with."""
    both = [rounds[r][name] / others[r][name] for r in rounds if r in others and others[r][name]]
    return statistics.median(both) if both else None


def spread(rounds, name):
    """How far the middle half of the rounds lies apart, in percent of the median."""
    values = sorted(numbers[name] for numbers in rounds.values())
    if len(values) < 4:
        return (values[-1] - values[0]) / 2 / statistics.median(values) * 100
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / statistics.median(values) * 100


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    """A Markdown table; the first column left, the others right. Rows that are ours are bold."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in rows:
        cells = [f"**{cell}**" for cell in row] if OURS in row else row
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def echo_table(servers):
    limit = servers.get(LIMIT, {})
    rows = []
    for server, rounds in sorted(servers.items(), key=lambda item: -median(item[1], "rate")):
        rows.append([server, number(median(rounds, "rate")), number(ratio(rounds, limit, "rate"), 3),
                     f"± {spread(rounds, 'rate'):.0f} %", number(median(rounds, "p50_us"), 1),
                     number(median(rounds, "p99_us"), 1), number(median(rounds, "p999_us"), 1),
                     number(median(rounds, "cpu_ns")), number(ratio(rounds, limit, "cpu_ns"), 3)])
    return table(["server", "messages/s", "to bare", "spread", "p50 µs", "p99 µs", "p99.9 µs", "CPU ns a message", "to bare"],
                 rows)


def echo_part(raw):
    out = []
    for (scenario, variant), servers in raw.items():
        if scenario not in ECHO:
            continue
        loops, apart = variant.split()[0], "apart" in variant
        title = ECHO[scenario][0] + (f": {loops}" if scenario == "loops" else "")
        together = "" if apart else "Server and clients share the processors.\n\n"
        lost = sum(numbers["lost"] for rounds in servers.values() for numbers in rounds.values())
        lost = f"\n{lost:.0f} datagrams were lost.\n" if lost else ""
        out.append(f"### {title}\n\n{together}{echo_table(servers)}{lost}")
    return "\n".join(out)


def notes_part(raw):
    rows = {"wake": [], "send": []}
    for (scenario, variant), servers in raw.items():
        if scenario != "notes":
            continue
        what, threads, loops = variant.split()
        for server, rounds in sorted(servers.items(), key=lambda item: -median(item[1], "rate")):
            rows[what].append([f"{threads} → {loops}", server, number(median(rounds, "rate")), number(median(rounds, "cpu_ns")),
                               number(median(rounds, "calls"), 4), number(median(rounds, "p50_us"), 1),
                               number(median(rounds, "p99_us"), 1), number(median(rounds, "ping_calls"), 2)])
    head = ["threads → loops", "library", "notes/s", "CPU ns a note", "wake-ups a note", "p50 µs", "p99 µs", "wake-ups, one at a time"]
    text = {"wake": "Wake (`Conn::wake`, `uv_async_send`, `asio::post`): a callback on the loop is asked for.",
            "send": "Send (`Conn::send`, `uv_async_send` with a string behind a mutex, `asio::post` with a string): eight bytes "
                    "go to a connection's peer."}
    return "\n".join(f"{text[what]}\n\n{table(head, rows[what])}" for what in rows if rows[what])


def memory_part(raw):
    out = ""
    for (scenario, variant), servers in raw.items():
        if scenario != "memory":
            continue
        rows = [[s, number(r[0]["idle_bytes"]), number(r[0]["burst_bytes"]), number(r[0]["rss"] / 1024)]
                for s, r in sorted(servers.items(), key=lambda item: item[1][0]["idle_bytes"])]
        out += table(["server", "bytes an idle connection", "bytes more after a burst of 1 MiB", "KiB in all"], rows)
        out += f"\nThe slope of the resident memory up to {int(variant):,} connections, kernel memory aside.\n"
    return out


def versus_part(raw, wanted, peer, head):
    rows = []
    for (scenario, variant), servers in raw.items():
        if scenario != wanted:
            continue
        for server, rounds in sorted(servers.items(), key=lambda item: -median(item[1], "rate")):
            against = servers.get(peer, {})
            rows.append([*([variant.replace(" ", ", -P ").upper()] if wanted == "redis" else []), server,
                         number(median(rounds, "rate")), number(ratio(rounds, against, "rate"), 3),
                         f"± {spread(rounds, 'rate'):.0f} %", number(median(rounds, "p50_us")),
                         number(median(rounds, "p99_us")), number(median(rounds, "cpu_ns")),
                         number(ratio(rounds, against, "cpu_ns"), 3)])
    return table([*head, "server", "requests/s", f"to {peer}", "spread", "p50 µs", "p99 µs", "CPU ns a request", f"to {peer}"],
                 rows) if rows else ""


def glance_part(raw, work):
    """Ratios of throughput to the bare loop, a column for each scenario; the same for the chart."""
    kinds = [(key, servers) for key, servers in raw.items()
             if key[0] in ECHO and LIMIT in servers and (key[0] != "loops" or key[1].startswith("2"))]
    names = list(dict.fromkeys(name for _, servers in kinds for name in servers))
    ratios = {(key, name): ratio(servers[name], servers[LIMIT], "rate") if name in servers else None
              for key, servers in kinds for name in names}
    if not kinds:
        return ""
    with open(work / "ratios.tsv", "w", encoding="utf-8") as file:
        print("scenario", *names, sep="\t", file=file)
        for key, _ in kinds:
            cells = [f"{ratios[key, n]:.3f}" if ratios[key, n] is not None else "?" for n in names]
            print(ECHO[key[0]][1], *cells, sep="\t", file=file)
    rows = [[name, *(number(ratios[key, name], 2) for key, _ in kinds)] for name in names]
    return table(["messages/s to bare", *(ECHO[key[0]][1] for key, _ in kinds)], rows)


def counts_part(work):
    """The scripts' own tables, and the first numbers of the instructions for the chart."""
    texts = {name: (work / f"{name}.md").read_text() for name in ("instructions", "syscalls") if (work / f"{name}.md").exists()}
    counts = [line.strip("| ").split(" | ")[:2] for line in texts.get("instructions", "").split("\n\n")[0].splitlines()[2:]]
    (work / "counts.tsv").write_text("".join(f"{name}\t{value}\n" for name, value in counts))
    return "\n".join(texts.values())


def conditions(work, root):
    def said(*command):
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip().split("\n")[0]

    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "")
    versions = work / "versions"
    rows = [["date", datetime.date.today().isoformat()], ["kernel", f"{platform.system()} {platform.release()} {platform.machine()}"],
            ["compiler", said("c++", "--version") + ", -O2"], ["commit", said("git", "describe", "--always", "--dirty") or "–"],
            ["processors", f"{len(os.sched_getaffinity(0))} × {model}"],
            ["load average before and after", f"{(work / 'load_before').read_text().strip()}; {(work / 'load_after').read_text().strip()}"],
            *([["others", ", ".join(dict.fromkeys(versions.read_text().split("\n")[:-1]))]] if versions.exists() else [])]
    return "".join(f"- {name}: {value}\n" for name, value in rows)


METHOD = """Everything is on the loopback. Rounds alternate between the servers, and what is shown is the median of the rounds; a
ratio is the median of the ratios within each round. *Spread* is half the distance between the quartiles of the rounds, in percent
of the median: differences smaller than that are noise. *CPU* is what the server used in user space and in the kernel, which other
work on the machine disturbs less than the rate. The load average says how much other work there was. Of the servers, *bare* is
epoll_wait, read and write by hand, the limit; *libevent* and *bufferevent* are its two ways; all are in [servers/](servers), each
written as its own users would write it for speed. The load generator checks every byte that comes back.
"""


def main():
    work, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    raw = read_raw(work / "raw")
    parts = [("At a glance", glance_part(raw, work)),
             ("Instructions and system calls of an echoed message", counts_part(work)),
             ("Echo", echo_part(raw)),
             ("Other threads to the loops", notes_part(raw)),
             ("Memory of idle connections", memory_part(raw)),
             ("The redis example beside redis-server", versus_part(raw, "redis", "redis-server", ["command"])),
             ("The http example beside nginx", versus_part(raw, "http", "nginx", []))]
    print("# Results\n\nWritten by `bench/run`. How it is measured stands at the end.\n")
    print(conditions(work, root))
    for title, text in parts:
        if text:
            print(f"## {title}\n\n{text}")
    print(f"## How it is measured\n\n{METHOD}", end="")


if __name__ == "__main__":
    main()
