#!/usr/bin/env python3
"""relay_flood.py PROXY [CONNECTIONS [MIB]]: MIB both ways through the proxy example, over CONNECTIONS at once.

Each end sends its own stream, ends its half, and checks every byte of the other's. Every fifth connection has a slow reader at one
end or the other. Prints how long it took and how much memory the proxy has had at most; exits 1 where a byte is wrong or lost, or that is
too much.
"""

import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import time

CHUNK = 64 * 1024
SLOW = 16 * 1024  # a slow reader takes so much at a time, and rests in between
REST = 0.02
MOST_KIB = 128 * 1024  # that the proxy may have
PATTERN = bytes(range(251)) * (2 * CHUNK // 251 + 2)  # a prime: no two places in a chunk's distance look alike


def piece(number, offset, size):
    start = (number * 7 + offset) % 251
    return PATTERN[start:start + size]


class End:
    """One end of a connection: it sends `size` bytes of stream `number`, and checks as many of the other end's."""

    def __init__(self, sock, number, size, from_target, slow):
        self.sock, self.number, self.size = sock, number, size
        self.own, self.others = (number + 1, number) if from_target else (number, number + 1)
        self.sent = self.received = 0
        self.slow, self.rests_until = slow, 0.0
        self.ended = self.over = False

    def write(self):
        if self.sent < self.size:
            try:
                self.sent += self.sock.send(piece(self.own, self.sent, min(CHUNK, self.size - self.sent)))
            except BlockingIOError:
                return
        if self.sent == self.size:
            self.sock.shutdown(socket.SHUT_WR)
            self.ended = True

    def read(self, now):
        try:
            data = self.sock.recv(SLOW if self.slow else CHUNK)
        except BlockingIOError:
            return
        if data != piece(self.others, self.received, len(data)):
            sys.exit(f"connection {self.number}: a byte is wrong after {self.received}")
        self.received += len(data)
        if self.slow:
            self.rests_until = now + REST
        if not data:
            if self.received != self.size:
                sys.exit(f"connection {self.number}: {self.received} bytes of {self.size}")
            self.over = True

    def interest(self, now):
        reads = not self.over and now >= self.rests_until
        return (selectors.EVENT_READ if reads else 0) | (0 if self.ended else selectors.EVENT_WRITE)


def serve(ends, accept=None):
    """Until all of them are over: accept() gives another one, or None when there are no more."""
    while accept or any(not (end.over and end.ended) for end in ends):
        now = time.monotonic()
        chosen = selectors.DefaultSelector()
        if accept:
            chosen.register(accept.__self__, selectors.EVENT_READ)
        for end in ends:
            if interest := end.interest(now):
                chosen.register(end.sock, interest, end)
        for key, events in chosen.select(REST):
            if key.data is None:
                accept = accept if accept() else None
                continue
            if events & selectors.EVENT_WRITE:
                key.data.write()
            if events & selectors.EVENT_READ:
                key.data.read(now)
        chosen.close()


class Target(socket.socket):
    """What the proxy connects to. The first four bytes of a connection are its number."""

    def begin(self, connections, size):
        self.ends, self.connections, self.size = [], connections, size
        self.bind(("127.0.0.1", 0))
        self.listen(1024)

    def take(self):
        sock, _ = self.accept()
        number = struct.unpack("!I", sock.recv(4, socket.MSG_WAITALL))[0]
        sock.setblocking(False)
        self.ends.append(End(sock, number, self.size, True, number % 5 == 1))
        return len(self.ends) < self.connections


def connect(port, number, size):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(struct.pack("!I", number))
    sock.setblocking(False)
    return End(sock, number, size, False, number % 5 == 0)


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main():
    connections, mib = (int(text) for text in (sys.argv[2:] + ["500", "200"][len(sys.argv) - 2:])[:2])
    size = mib * 1024 * 1024 // connections
    target = Target()
    target.begin(connections, size)
    child = os.fork()
    if child == 0:
        serve(target.ends, target.take)
        os._exit(0)
    with subprocess.Popen([sys.argv[1], "--listen=tcp://127.0.0.1:0", f"--to=tcp://127.0.0.1:{target.getsockname()[1]}"],
                          stderr=subprocess.PIPE, text=True) as proxy:
        port = int(re.search(r"on port (\d+)", proxy.stderr.readline())[1])
        idle, began = peak_kib(proxy.pid), time.monotonic()
        serve([connect(port, number, size) for number in range(connections)])
        good = os.waitpid(child, 0)[1] == 0
        took, peak = time.monotonic() - began, peak_kib(proxy.pid)
        proxy.terminate()
    print(f"{connections} connections, {mib} MiB each way, every byte checked: {took:.1f} s; the proxy's memory: {idle} KiB idle, {peak} KiB at most")
    sys.exit(0 if good and peak < MOST_KIB else 1)


if __name__ == "__main__":
    main()
