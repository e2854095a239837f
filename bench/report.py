#!/usr/bin/env python3
"""report.py WORK: prints RESULTS.md from what bench/run measured. chart.py draws the chart from that.

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
ECHO = {  # scenario: title, and how a column and the chart name it
    "small": ("50 connections, one message of 6 bytes each", "50 × 6 B", ("50 connections", "6 B")),
    "pipelined": ("50 connections, 16 messages of 64 bytes pipelined on each", "50 × 16 × 64 B", ("50 connections", "16 × 64 B")),
    "bulk": ("8 connections, one message of 1 MiB each", "8 × 1 MiB", ("8 connections", "1 MiB")),
    "mostly_idle": ("1,000 connections, 100 of them with one message of 6 bytes each", "1,000, 10 % active",
                    ("1,000, of which", "100 send 6 B")),
    "connects": ("Connect, one message of 6 bytes, close; 50 at a time", "connect + echo", ("connect, echo", "6 B, close")),
    "udp": ("UDP: 50 sockets, one datagram of 6 bytes each", "UDP", ("UDP", "50 × 6 B")),
    "loops": ("50 connections, one message of 6 bytes each, several loops", "2 loops", ("two loops", "50 × 6 B")),
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


def ratios(rounds, others, name):
    """What `name` is to the others' in each round that both have."""
    return [rounds[r][name] / others[r][name] for r in rounds if name in rounds[r] and others.get(r, {}).get(name)]


def error(values):
    """The standard error of a median, by the distance of the quartiles; half the range where there are too few."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2
    low, _, high = statistics.quantiles(values, n=4)
    return 0.93 * (high - low) / len(values) ** 0.5


def ratio(rounds, others, name):
    """The median of the ratios, and how far to trust it."""
    values = ratios(rounds, others, name)
    if not values:
        return "–"
    return "1" if rounds is others else f"{statistics.median(values):.3f} ± {error(values):.3f}"


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
    core = any("core_rate" in numbers for rounds in servers.values() for numbers in rounds.values())
    rows = []
    for server, rounds in sorted(servers.items(), key=lambda item: -median(item[1], "rate")):
        rows.append([server, number(median(rounds, "rate")), ratio(rounds, limit, "rate"),
                     *([ratio(rounds, limit, "core_rate")] if core else []),
                     number(median(rounds, "p50_us"), 1), number(median(rounds, "p99_us"), 1),
                     number(median(rounds, "p999_us"), 1), number(median(rounds, "cpu_ns")), ratio(rounds, limit, "cpu_ns")])
    return table(["server", "messages/s", "to bare", *(["to bare, on one core"] if core else []), "p50 µs", "p99 µs",
                  "p99.9 µs", "CPU ns a message", "to bare"], rows)


def echo_part(raw):
    out = []
    for (scenario, variant), servers in raw.items():
        if scenario not in ECHO:
            continue
        loops, apart = variant.split()[0], "apart" in variant
        title = ECHO[scenario][0] + (f": {loops}" if scenario == "loops" else "")
        together = "" if apart else "Server and clients share the processors.\n\n"
        lost = sum(numbers["lost"] + numbers.get("core_lost", 0) for rounds in servers.values() for numbers in rounds.values())
        lost = f"\n{lost:.0f} datagrams were lost.\n" if lost else ""
        out.append(f"### {title}\n\n{together}{echo_table(servers)}{lost}")
    return "\n".join(out)


def beside_part(raw):
    out = []
    for (scenario, variant), servers in raw.items():
        if scenario != "beside":
            continue
        rows = [[s, number(median(r, "p50_us"), 1), ratio(r, servers.get("asio", {}), "p50_us"), number(median(r, "p99_us"), 1),
                 number(median(r, "blocks")), ratio(r, servers.get(LIMIT, {}), "blocks"),
                 number(median(r, "block_ns"))]
                for s, r in sorted(servers.items(), key=lambda item: median(item[1], "p50_us"))]
        together = "" if "apart" in variant else "Server and clients share the processors.\n\n"
        out.append(together + table(["server", "request: p50 µs", "to asio's", "p99 µs", "blocks/s", "to bare's", "CPU ns a block"], rows))
        out.append("\n8 connections carry blocks of 1 MiB, each its next one when it has the last one back. Another one asks for 6 bytes, "
                   "at any moment, a millisecond after the last answer on average.\n")
    return "".join(out)


def scaling_part(raw):
    """What a loop does among others, to what one does alone in the same round."""
    kinds = collections.defaultdict(dict)
    for (scenario, variant), servers in raw.items():
        if scenario == "scaling":
            loops, what = variant.split(" ", 1)
            for server, rounds in servers.items():
                kinds[what, server][int(loops)] = rounds
    rows = []
    for (what, server), by_loops in kinds.items():
        alone = by_loops[1]
        for loops, rounds in sorted(by_loops.items()):
            for numbers in rounds.values():
                numbers["loop_rate"] = numbers["rate"] / loops
            rows.append([what, server, str(loops), number(median(rounds, "rate")), ratio(rounds, alone, "loop_rate"),
                         number(median(rounds, "cpu_ns")), ratio(rounds, alone, "cpu_ns")])
    head = ["what", "server", "loops", "a second", "a loop, to one alone", "CPU ns each", "to one loop's"]
    return ("50 connections for each loop. Loops have a processor each; the clients have as many, or what is left. Where *a loop, to one alone* "
            "falls and *CPU ns each* does not rise, the clients are the limit.\n\n" + table(head, rows)) if rows else ""


def notes_part(raw):
    rows = {"wake": [], "send": []}
    for (scenario, variant), servers in raw.items():
        if scenario != "notes":
            continue
        what, threads, loops = variant.split()
        for server in (name for name in ("evio", "libuv_fenced", "libuv", "asio") if name in servers):
            rounds = servers[server]
            rows[what].append([f"{threads} → {loops}", server, number(median(rounds, "rate")),
                               ratio(rounds, servers.get("libuv", {}), "rate"), number(median(rounds, "cpu_ns")),
                               number(median(rounds, "calls"), 4), number(median(rounds, "p50_us"), 1),
                               number(median(rounds, "p99_us"), 1), number(median(rounds, "ping_calls"), 2)])
    head = ["threads → loops", "library", "notes/s", "to libuv", "CPU ns a note", "wake-ups a note", "p50 µs", "p99 µs", "wake-ups, one at a time"]
    text = {"wake": "Wake (`Conn::wake`, `uv_async_send`, `asio::post`): a callback on the loop is asked for. Where one is pending already, "
                    "`uv_async_send` returns after a plain read, and the callback may miss what the caller wrote just before "
                    "([libuv #349](https://github.com/libuv/libuv/pull/349)); `Conn::wake` promises that it is seen, for which "
                    "processors take a barrier of some nanoseconds. *libuv_fenced* is what a user of libuv writes for the same promise: "
                    "a fence before each call.",
            "send": "Send (`Conn::send`, `uv_async_send` with a string behind a mutex, `asio::post` with a string): eight bytes "
                    "go to a connection's peer."}
    return "\n".join(f"{text[what]}\n\n{table(head, rows[what])}" for what in rows if rows[what])


def timers_part(raw):
    """Of each library and number: nanoseconds, with what they vary by from round to round."""
    rows = []
    columns = ("arm_ns", "anew_ns", "pair_ns", "cancel_ns", "expire_ns")
    for (scenario, variant), servers in raw.items():
        if scenario != "timers":
            continue
        for server in (name for name in ("evio", "libuv", "libevent", "asio") if name in servers):
            values = [[numbers[column] for numbers in servers[server].values()] for column in columns]
            rows.append([f"{int(variant):,}", server, *(f"{statistics.median(v):.0f} ± {error(v):.0f}" for v in values)])
    text = ("Nanoseconds of the process's processor time, on an event loop, 200 of a kind in each of its turns, whose cost counts. *Arm*, *cancel*: "
            "until so many are armed, and until none is, in an order that is not that of arming. *Arm anew*: any of those that are armed, for another "
            "time. *Arm and cancel*: one more than so many. *Expire*: all are due, and are called. The delays are of 1 to 60 s.\n\n"
            "evio's timers are functions given to `Server::post_after`, made anew each time, with a clock that is read when they are; those of libuv and "
            "libevent are objects that the user has made before, and begin when the loop has last looked at the clock.")
    head = ["armed", "library", "arm", "arm anew", "arm and cancel", "cancel", "expire"]
    return f"{text}\n\n{table(head, rows)}" if rows else ""


def relay_part(raw):
    rounds = {variant: servers[OURS] for (scenario, variant), servers in raw.items() if scenario == "relay"}
    if len(rounds) < 3:
        return ""

    def spent(mode):
        values = [numbers["cpu_ns"] for numbers in rounds[mode].values()]
        return f"{statistics.median(values):,.0f} ± {error(values):,.0f}"

    def most(name):
        return max(numbers[name] for numbers in rounds["flood"].values())

    rows = [["64 bytes there and back, on 50 pairs: CPU ns", spent("trips")], ["64 KiB there and back: CPU ns", spent("stream")],
            ["200 MiB both ways: most KiB pending", number(most("pending_kib"))],
            ["the same: MiB more than idle", number(most("more_rss_mib"), 1)]]
    return ("Each connection has another, to which everything goes: `congested` pauses that one, `drained` resumes it. The two ends are threads of the same "
            "process; CPU is what the loop's thread used. Through an end that reads no more while it writes 200 MiB pass both ways, "
            f"{len(rounds['flood'])} of {len(rounds['flood'])} times, with `high_water` 256 KiB.\n\n" + table(["evio as a relay", ""], rows))


def dials_part(raw):
    rows = []
    for (scenario, variant), servers in raw.items():
        if scenario != "dials":
            continue
        limit = servers.get(LIMIT, {})
        for server, rounds in sorted(servers.items(), key=lambda item: median(item[1], "cpu_ns")):
            rows.append([variant, server, number(median(rounds, "rate")), ratio(rounds, limit, "rate"), number(median(rounds, "cpu_ns")),
                         ratio(rounds, limit, "cpu_ns")])
    head = ["what", "library", "a second", "to bare", "CPU ns each", "to bare"]
    return ("50 dials are under way on one loop, each to a numeric address of the loopback, with TCP_NODELAY. CPU is what the loop's thread used; "
            "the listener is another thread's. *reset*: with SO_LINGER of 0, so that the socket is gone at once; *close*: as the library "
            "closes. *echo*: 64 bytes there and back before. *bare* leaves it to close(2) to take a socket from its poller.\n\n"
            + table(head, rows)) if rows else ""


def proxy_part(raw):
    rows = []
    for (scenario, variant), proxies in raw.items():
        if scenario != "proxy":
            continue
        limit = proxies.get(LIMIT, {})
        for proxy, rounds in sorted(proxies.items(), key=lambda item: median(item[1], "cpu_ns")):
            rows.append([variant, proxy, number(median(rounds, "rate")), number(median(rounds, "p50_us")),
                         number(median(rounds, "cpu_ns")), ratio(rounds, limit, "cpu_ns")])
    head = ["what", "proxy", "a second", "p50 µs", "CPU ns each", "to bare"]
    return ("Each proxy has one thread and a processor of its own; the clients and the echo server behind it have another. *bare* "
            "copies by hand.\n\n" + table(head, rows) + proxy_memory(raw)) if rows else ""


def proxy_memory(raw):
    out = ""
    for (scenario, variant), proxies in raw.items():
        if scenario != "proxy_memory":
            continue
        few, many = variant.split()
        rows = [[proxy, number(median(rounds, "idle_bytes")), number(median(rounds, "rss") / 1024)]
                for proxy, rounds in sorted(proxies.items(), key=lambda item: median(item[1], "idle_bytes"))]
        out = "\n" + table(["proxy", "bytes an idle pair", "KiB in all"], rows)
        out += (f"\nThe slope of the resident memory from {int(few):,} to {int(many):,} connections through the proxy, each of which had a message "
                "echoed; kernel memory aside. nginx has made its connections, and its events, before.\n")
    return out


def tls_part(raw):
    return "\n".join(text for text in (tls_table(raw), tls_flood_table(raw), tls_memory_table(raw)) if text)


def tls_table(raw):
    rows = []
    for (scenario, variant), servers in raw.items():
        if scenario != "tls":
            continue
        limit = servers.get(LIMIT, {})
        for server, rounds in sorted(servers.items(), key=lambda item: median(item[1], "cpu_ns")):
            rows.append([variant, server, number(median(rounds, "rate")), ratio(rounds, limit, "core_rate"), number(median(rounds, "p50_us")),
                         number(median(rounds, "cpu_ns")), ratio(rounds, limit, "cpu_ns")])
    head = ["what", "server", "a second", "on one core, to bare", "p50 µs", "CPU ns each", "to bare"]
    return ("*bare* is epoll and OpenSSL by hand. All have the same versions, ciphers, modes and session tickets. A handshake is: connect, "
            "handshake, echo of 6 bytes, close. The client's side of TLS costs about as much as the server's, and is in what is done *on one "
            "core*.\n\n" + table(head, rows)) if rows else ""


def tls_flood_table(raw):
    """The worst of all rounds too: that is what is promised."""
    out = ""
    for (scenario, variant), servers in raw.items():
        if scenario != "tls_flood":
            continue
        rows = [[s, number(median(r, "worst_us") / 1000, 1), number(max(n["worst_us"] for n in r.values()) / 1000, 1),
                 number(median(r, "p99_us") / 1000, 1), number(median(r, "asks")), number(median(r, "flood_us") / 1000)]
                for s, r in sorted(servers.items(), key=lambda item: median(item[1], "worst_us"))]
        out += (f"A connection asks for 6 bytes again and again while {int(variant):,} others shake hands, all at once:\n\n"
                + table(["server", "worst ms", "of all rounds", "p99 ms", "asks", "ms until all are done"], rows))
    return out


def tls_memory_table(raw):
    out = ""
    for (scenario, variant), servers in raw.items():
        if scenario != "tls_memory":
            continue
        rows = [[s, number(r[0]["idle_bytes"]), number(r[0]["burst_bytes"]), number(r[0]["rss"] / 1024)]
                for s, r in sorted(servers.items(), key=lambda item: item[1][0]["idle_bytes"])]
        out += table(["server", "bytes an idle connection", "bytes more after a burst of 1 MiB", "KiB in all"], rows)
        out += f"\nThe slope of the resident memory up to {int(variant):,} connections with TLS, OpenSSL's part included.\n"
    return out


def tls_proxy_part(raw):
    rows = []
    for (scenario, variant), proxies in raw.items():
        if scenario != "tls_proxy":
            continue
        for proxy, rounds in sorted(proxies.items(), key=lambda item: median(item[1], "cpu_ns")):
            rows.append([variant, proxy, number(median(rounds, "rate")), number(median(rounds, "p50_us")),
                         number(median(rounds, "cpu_ns")), ratio(rounds, proxies.get("haproxy", {}), "cpu_ns")])
    head = ["what", "proxy", "a second", "p50 µs", "CPU ns each", "to haproxy"]
    return ("TLS towards the clients, none towards the echo server behind. Each proxy has one thread and a processor of its own; the clients "
            "and the echo server have another.\n\n" + table(head, rows)) if rows else ""


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


MIB = 1 << 20


def slow_part(raw):
    out = ""
    for (scenario, variant), servers in raw.items():
        if scenario != "slow_readers":
            continue
        rows = [[s, number(r[0]["held_bytes"] / MIB, 1), number(r[0]["left_bytes"] / MIB, 1)]
                for s, r in sorted(servers.items(), key=lambda item: item[1][0]["left_bytes"])]
        out += f"### Memory of {int(variant):,} readers of 1 MiB each\n\n" + table(["server", "MiB while they wait", "MiB left"], rows)
        out += ("\nThe connections are opened one after the other. Each asks for 1 MiB and reads nothing until all have asked. "
                "Then they read, one after the other, and stay open. What is left is resident memory, less what was there before them. "
                "The allocator is the C library's, as it comes. It can give back only what is free at the end of its heap, and what a "
                "server allocates for a connection lies between the answers. *bare* allocates nothing for a connection.\n")
    return out


PLACES = {
    "together": "On one core: server and client share a processor, and what both need for a request makes the rate.",
    "apart": "The client has a processor of its own. Its one thread is the limit, so that the servers differ by what they use of theirs.",
}


def versus_part(raw, example, peer, head):
    tables = [(text, versus_table(raw, f"{example}_{place}", peer, head)) for place, text in PLACES.items()]
    return "\n".join(f"{text}\n\n{rows}" for text, rows in tables if rows)


def versus_table(raw, wanted, peer, head):
    rows = []
    for (scenario, variant), servers in raw.items():
        if scenario != wanted:
            continue
        for server, rounds in sorted(servers.items(), key=lambda item: -median(item[1], "rate")):
            against = servers.get(peer, {})
            rows.append([*([variant.replace(" ", ", -P ").upper()] if head else []), server,
                         number(median(rounds, "rate")), ratio(rounds, against, "rate"), number(median(rounds, "p50_us")),
                         number(median(rounds, "p99_us")), number(median(rounds, "cpu_ns")), ratio(rounds, against, "cpu_ns")])
    return table([*head, "server", "requests/s", f"to {peer}", "p50 µs", "p99 µs", "CPU ns a request", f"to {peer}"],
                 rows) if rows else ""


def glance_part(raw):
    """Ratios of throughput to the bare loop, a column for each scenario."""
    kinds = [(key, servers) for key, servers in raw.items()
             if key[0] in ECHO and LIMIT in servers and (key[0] != "loops" or key[1].startswith("2"))]
    names = list(dict.fromkeys(name for _, servers in kinds for name in servers))
    if not kinds:
        return ""

    def medians_of(what):
        return {(key, name): statistics.median(found) for key, servers in kinds for name in names if name in servers
                and (found := ratios(servers[name], servers[LIMIT], what))}

    def rows_of(medians):
        return [[name, *(number(medians.get((key, name)), 2) for key, _ in kinds)] for name in names]

    medians, on_one_core = medians_of("rate"), medians_of("core_rate")
    titles = [ECHO[key[0]][1] for key, _ in kinds]
    tables = [table(["messages/s to bare", *titles], rows_of(medians))]
    if on_one_core:
        tables.append(table(["the same, server and clients on one core", *titles], rows_of(on_one_core)))
    return "\n".join(tables)


def counts_part(work):
    """The scripts' own tables."""
    files = [work / f"{name}.md" for name in ("instructions", "syscalls")]
    return "\n".join(file.read_text() for file in files if file.exists())


def conditions(work):
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "")
    versions = work / "versions"
    rows = [["date", datetime.date.today().isoformat()], ["kernel", f"{platform.system()} {platform.release()} {platform.machine()}"],
            ["compiler", compiler + ", -O2"], ["commit", (work / "commit").read_text().strip()],
            ["processors", f"{len(os.sched_getaffinity(0))} × {model}"],
            ["load average before and after", f"{(work / 'load_before').read_text().strip()}; {(work / 'load_after').read_text().strip()}"],
            *([["others", ", ".join(dict.fromkeys(versions.read_text().split("\n")[:-1]))]] if versions.exists() else [])]
    return "".join(f"- {name}: {value}\n" for name, value in rows)


METHOD = """Everything is on the loopback. Rounds are short and alternate between the servers; what is shown is the median of the rounds.
A ratio is the median of the ratios within each round, for what is measured side by side shares its noise; behind ± stands its standard
error: two that differ by less than that twice are equal. *CPU* is what the server used in user space and in the kernel, which other work on
the machine disturbs less than the rate. The load average says how much other work there was: 0 is a machine of one's own.

Of the servers, *bare* is epoll_wait, read and write by hand, the limit; *libevent* and *bufferevent* are its two ways; all are in
[servers/](servers), each written as its own users would write it for speed. asio needs a buffer for each connection, since it tries the next
read at once: that is its memory. The load generator checks every byte that comes back. One processor serves (or one for each loop, where there are
enough) and others load it. Then the load generator is often the limit, and a server that is slower wakes it less often, which makes it look
faster; *on one core* both share a processor, and the rate is what both need for a message.

The next best, which is not measured here, is a server of the shape of uSockets: the user's memory is embedded in each socket, and the hot path
allocates nothing. The one figure known of it is 1,016 instructions to connect, echo once and close; evio takes 1,263.
"""


def main():
    work = pathlib.Path(sys.argv[1])
    raw = read_raw(work / "raw")
    parts = [("At a glance", glance_part(raw)),
             ("Instructions and system calls of an echoed message", counts_part(work)),
             ("Echo", echo_part(raw)),
             ("A small request beside blocks of 1 MiB", beside_part(raw)),
             ("Other threads to the loops", notes_part(raw)),
             ("More loops", scaling_part(raw)),
             ("Timers", timers_part(raw)),
             ("Relay", relay_part(raw)),
             ("Connections to others", dials_part(raw)),
             ("The proxy example beside haproxy and nginx", proxy_part(raw)),
             ("TLS", tls_part(raw)),
             ("The proxy example as a TLS terminator beside haproxy", tls_proxy_part(raw)),
             ("Memory of idle connections", memory_part(raw)),
             ("Memory after slow readers", slow_part(raw)),
             ("The redis example beside redis-server", versus_part(raw, "redis", "redis-server", ["command"])),
             ("The http example beside nginx", versus_part(raw, "http", "nginx", [])),
             ("The http example with TLS beside nginx", versus_part(raw, "https", "nginx", []))]
    print("# Results\n\nWritten by `bench/run`. How it is measured stands at the end.\n")
    print(conditions(work))
    for title, text in parts:
        if text:
            print(f"## {title}\n\n{text}")
    print(f"## How it is measured\n\n{METHOD}", end="")


if __name__ == "__main__":
    main()
