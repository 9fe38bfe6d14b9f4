# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process inside a guard: it tries what the guard denies and what it does not, judges each outcome, and counts.

client.py DIRECTORY GUARD NUMBER SEED PAUSE CGROUP. It ends when the board says so, or when it is outside.
"""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time

import shared
import targets
from targets import TARGETS

SENT_AGAIN = 0.15   # seconds; TCP sends a packet again that was swallowed, later than this
PATIENCE = 30   # seconds; nothing that is allowed takes this long, and nothing that is denied should
REFUSALS = {errno.EACCES, errno.EPERM}
CUTS = {errno.ECONNABORTED, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT}
THROUGH, DENIED, CUT, SILENT = "through", "denied", "cut off", "silent"    # CUT: denied as well, by whoever ends the connection
FIELD = {THROUGH: shared.THROUGH, DENIED: shared.DENIED, CUT: shared.DENIED, SILENT: shared.SILENT}


class Odd(Exception):
    """Neither an answer nor a refusal."""


def attempt(target):
    """How it ended."""
    try:
        return WAYS[target.way](target.where)
    except OSError as error:
        if error.errno in CUTS or (target.way == "udp" and error.errno == errno.EPERM):  # the packet, not the socket
            return CUT
        if error.errno in REFUSALS:
            return DENIED
        if isinstance(error, TimeoutError):
            return SILENT
        raise Odd(f"{errno.errorcode.get(error.errno, error.errno)}") from error


def _opened(address, kind):
    opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    opened.settimeout(PATIENCE)
    return opened


def _reset(connection):
    """No TIME_WAIT is left behind: there are many."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def tcp(address):
    with _opened(address, socket.SOCK_STREAM) as connection:
        _reset(connection)
        connection.connect((address, targets.ECHO))
    return THROUGH


def udp(address):
    with _opened(address, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (address, targets.ECHO))
        sender.recv(64)
    return THROUGH


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def dns(name):
    """The world's resolver knows every name; NXDOMAIN is the guard's answer."""
    number = os.urandom(2)
    with _opened(targets.RESOLVER, socket.SOCK_DGRAM) as asker:
        asker.connect((targets.RESOLVER, targets.DNS))
        asker.send(number + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + wire(name) + struct.pack(">HH", 1, 1))
        while True:
            answer = asker.recv(512)
            if answer[:2] == number:
                return DENIED if answer[3] & 15 else THROUGH


def _presented(port, data):
    with _opened(targets.SHARED, socket.SOCK_STREAM) as connection:
        connection.connect((targets.SHARED, port))
        _reset(connection)
        connection.sendall(data)
        return THROUGH if connection.recv(64) else DENIED


def http(name):
    return _presented(targets.HTTP, f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())


def tls(name):
    return _presented(targets.TLS, hello(name))


def hello(name):
    """A ClientHello of TLS 1.2 with this name."""
    entry = b"\0" + struct.pack(">H", len(name)) + name.encode()
    names = struct.pack(">H", len(entry)) + entry
    extensions = struct.pack(">HH", 0, len(names)) + names
    body = (b"\x03\x03" + os.urandom(32) + b"\0" + struct.pack(">HH", 2, 0x1301) + b"\x01\0"
            + struct.pack(">H", len(extensions)) + extensions)
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


WAYS = {"tcp": tcp, "udp": udp, "dns": dns, "http": http, "tls": tls}


class Client:
    def __init__(self, directory, guard, number, seed, pause, cgroup):
        self.board = shared.Board(os.path.join(directory, guard + ".board"))
        self.tally = shared.Tally(os.path.join(directory, f"{guard}.{number}.tally"))
        self.wrong = os.path.join(directory, f"{guard}.{number}.wrong")
        self.guard, self.number, self.pause, self.cgroup = guard, number, float(pause), cgroup
        self.random = random.Random(seed)

    def is_inside(self):
        with open("/proc/self/cgroup", encoding="utf-8") as lines:
            return any(line.rstrip("\n").partition("::")[2] == self.cgroup for line in lines)

    def run(self):
        while not self.board.between(self.board.moment(), self.board.moment()) & shared.STOP and self.is_inside():
            target = self.random.randrange(len(TARGETS))
            chance = self.random.random()
            if chance < 0.02:
                subprocess.run(["/bin/true"], check=True)
                self.tally.ran()
            elif chance < 0.07:
                self.in_a_child(target)
            else:
                self.one(target)
            time.sleep(self.random.uniform(0, 2 * self.pause))

    def in_a_child(self, target):
        pid = os.fork()
        if not pid:
            try:
                self.one(target)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        self.tally.ran()

    def one(self, number):
        target = TARGETS[number]
        first, was_inside = self.board.moment(), self.is_inside()
        self.tally.begin(number, first)
        began = time.monotonic()
        try:
            outcome = attempt(target)
        except Odd as odd:
            self.tell(target, f"ended with {odd}", first)
            outcome = None
        took = time.monotonic() - began
        is_inside, last = self.is_inside(), self.board.moment()
        mask = self.board.between(first, last)
        may = {targets.expected(policy, target) for policy in range(len(targets.POLICIES)) if mask & 1 << policy}
        sure = was_inside and is_inside and not mask & shared.GREY
        if outcome and self.was_met_between(target, may, outcome, took):
            self.tally.add(number, shared.AGAIN)
            self.tally.add(number, FIELD[outcome])
        elif outcome == THROUGH:
            self.tally.add(number, FIELD[outcome])
            if sure and may == {targets.DENIED}:
                self.tell(target, "came through", first)
            if sure and may - {targets.DENIED} == {targets.RECORDED}:
                self.tally.add(number, shared.LOW)
            if targets.RECORDED in may:
                self.tally.add(number, shared.HIGH)
        elif outcome in (DENIED, CUT, SILENT):
            self.tally.add(number, FIELD[outcome])
            if targets.DENIED not in may:
                self.tell(target, f"was denied ({outcome}, after {took:.3f} s)", first)
            self.tally.add(number, shared.LOW)
            # earlier rules may have recorded the socket, before later ones denied its packet
            self.tally.add(number, shared.HIGH, 1 + (target.way == "udp" and outcome == CUT and targets.RECORDED in may))
        if target.way in ("http", "tls") and may != {targets.PASSES}:
            # until the agent ends the connection, TCP sends again what was refused: each exchange of rules has it judged anew,
            # also one that failed, or that was of the same rules
            self.tally.add(number, shared.HIGH, last - first + (outcome == THROUGH and not sure) + 2 * (took > SENT_AGAIN))
        self.tally.add(number, shared.ENDED)

    @staticmethod
    def was_met_between(target, may, outcome, took):
        """May earlier rules have let the socket through, and later ones not its first packet?

        Then the packet is swallowed and recorded by itself. TCP sends it again, and whatever is in force then judges that.
        """
        if target.way != "tcp" or len(may) == 1 or not (outcome == THROUGH or targets.DENIED in may):
            return False
        return took > SENT_AGAIN or outcome == CUT or (outcome == THROUGH and {targets.RECORDED, targets.PASSES} <= may)

    def tell(self, target, what, first):
        policies = [self.board.memory[4 + moment % self.board.MOMENTS] for moment in range(first, self.board.moment() + 1)]
        with open(self.wrong, "a", encoding="utf-8") as log:
            log.write(json.dumps({"what": f"{target.way} {target.where} {what}", "client": self.number, "pid": os.getpid(),
                                  "time": time.time(), "moment": first, "masks": policies}) + "\n")


if __name__ == "__main__":
    Client(*sys.argv[1:]).run()
