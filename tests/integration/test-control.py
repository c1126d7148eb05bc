#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients of the control socket that mean no good, beside a hold that is served.

usage: as test-daemon.py
"""

import random
import socket
import struct
import threading
import time
import unittest

from daemoncase import EXIT_ON_TERM, DaemonCase, eventually, main

GREETING = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n"
SEED = 20261122
CLIENTS_MAX = 16  # DG_CONTROL_CLIENTS_MAX


def call(member, body=b"", signature=""):
    """A D-Bus method call, little-endian."""
    def field(code, kind, text):
        data = struct.pack("<BB2s", code, 1, kind.encode() + b"\0")
        if kind == "g":
            return data + struct.pack("<B", len(text)) + text.encode() + b"\0"
        return data + struct.pack("<I", len(text)) + text.encode() + b"\0"

    fields = b""
    for code, kind, text in ((1, "o", "/org/daxguard1"), (2, "s", "org.daxguard1.Manager"), (3, "s", member),
                             (8, "g", signature)):
        if text:
            fields += bytes(-len(fields) % 8) + field(code, kind, text)
    head = struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), 7, len(fields)) + fields
    return head + bytes(-len(head) % 8) + body


STATUS = call("GetStatus")
HOLDERS = call("ListHolders", struct.pack("<I6s", 5, b"259:0\0"), "s")


class ControlTest(DaemonCase):
    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.settimeout(5)
        sock.connect(self.path("run/control"))
        return sock

    def say(self, data):
        """To a daemon that may hang up at any byte."""
        try:
            sock = self.connect()
            sock.sendall(data)
            return sock
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            return None

    def start_with_socket(self):
        daemon = self.start()
        eventually(self.can_be_asked)
        return daemon

    def answers(self):
        """All clients are gone, and the next one is served."""
        eventually(self.is_served)

    def is_served(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(1)
            try:
                sock.connect(self.path("run/control"))
                sock.sendall(GREETING)
                if not sock.recv(100).startswith(b"OK "):
                    return False
                sock.sendall(STATUS)
                return b"Version" in sock.recv(65536)
            except OSError:
                return False

    def test_garbage(self):
        """Anything at all, before and after the greeting, in pieces and all at once."""
        daemon = self.start_with_socket()
        chance = random.Random(SEED)
        for i in range(150):
            data = bytearray(GREETING * (i % 4 > 0) + chance.choice([STATUS, HOLDERS]) * chance.randint(1, 5))
            for _ in range(chance.randint(0, 12)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            sock = self.say(bytes(data[:chance.randint(1, len(data))]))
            if sock and chance.random() < 0.5:
                try:
                    sock.recv(4096) if i % 10 == 0 else sock.sendall(chance.randbytes(300))
                except OSError:
                    pass
            if sock:
                sock.close()
        self.answers()
        self.assertIsNone(daemon.poll())

    def test_lengths_that_lie(self):
        daemon = self.start_with_socket()
        for body, fields in ((0xffffffff, 100), (0x8000000, 100), (100, 0xffffffff), (1 << 27, 1 << 26)):
            self.say(GREETING + struct.pack("<cBBBIII", b"l", 1, 0, 1, body, 7, fields) + bytes(4096))
        self.answers()
        self.assertIsNone(daemon.poll())

    def test_a_hold_is_served_meanwhile(self):
        """All places taken by who does not read, flooded, and more who want in."""
        holder = self.holder(EXIT_ON_TERM)
        daemon = self.start_with_socket()
        over = threading.Event()

        def flood():
            while not over.is_set():
                sock = self.say(GREETING + (STATUS + HOLDERS) * 200)
                if sock:
                    kept.append(sock)
                time.sleep(0.005)

        kept = [sock for sock in (self.say(GREETING + STATUS * 3) for _ in range(CLIENTS_MAX)) if sock]
        threads = [threading.Thread(target=flood) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            self.module.hold()
            self.assertEqual(self.module.wait(), "ACKED")
            self.assertEqual(holder.wait(5), 0)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.ended()["state"], "done")
        for sock in kept:
            sock.close()
        self.answers()
        self.assertIsNone(daemon.poll())


if __name__ == "__main__":
    main()
