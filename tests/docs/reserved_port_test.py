#!/usr/bin/env python3
"""check_docs.reserved_port(): nobody gets the port meanwhile but a server that is told it."""

import socket
import sys
import unittest

sys.dont_write_bytecode = True
from check_docs import has_ipv6, reserved_port  # noqa: E402


class ReservedPortTest(unittest.TestCase):
    def places(self, port):
        yield socket.AF_INET, ("127.0.0.1", port)
        yield socket.AF_INET, ("127.0.0.2", port)
        if has_ipv6():
            yield socket.AF_INET6, ("::1", port)

    def test_is_nobody_elses(self):
        with reserved_port() as port:
            for family, place in self.places(port):
                with socket.socket(family) as other, self.assertRaises(OSError, msg=place):
                    other.bind(place)

    def test_is_not_served_until_its_server_is_there(self):
        with reserved_port() as port:
            for family, place in self.places(port):
                with socket.socket(family) as client, self.assertRaises(ConnectionRefusedError, msg=place):
                    client.connect(place)

    def test_is_its_servers(self):
        with reserved_port() as port:
            for family, place in self.places(port):
                with socket.socket(family) as server, socket.socket(family) as client:
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    server.bind(place)
                    server.listen()
                    client.connect(place)

    def test_two_are_two(self):
        with reserved_port() as one, reserved_port() as other:
            self.assertNotEqual(one, other)


if __name__ == "__main__":
    unittest.main()
