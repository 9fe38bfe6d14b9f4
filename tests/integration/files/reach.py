# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries to reach an address in one way, as real programs do: reach.py WAY ADDRESS PORT. Prints {way, errno, ms}."""

import ctypes
import errno
import json
import socket
import struct
import sys
import time

MSG_FASTOPEN = 0x20000000
ICMP_ECHO = b"\x08\x00\xf7\xfe\x00\x00\x00\x01"
LIBC = ctypes.CDLL(None, use_errno=True)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(address, port):
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        if not connection.recv(100):
            raise OSError(errno.ECONNRESET, "no answer")


def udp(address, port):
    return socket.socket(family(address), socket.SOCK_DGRAM)


def udp_connect(address, port):
    udp(address, port).connect((address, port))


def udp_sendto(address, port):
    udp(address, port).sendto(b"hello", (address, port))


def udp_sendmsg(address, port):
    udp(address, port).sendmsg([b"hello"], [], 0, (address, port))


def udp_sendmmsg(address, port):
    """Two messages in one call; IPv4 only."""

    class IoVec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]

    class MsgHdr(ctypes.Structure):
        _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p),
                    ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                    ("flags", ctypes.c_int)]

    class MMsgHdr(ctypes.Structure):
        _fields_ = [("header", MsgHdr), ("sent", ctypes.c_uint)]

    name = ctypes.create_string_buffer(struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port),
                                                   socket.inet_aton(address)), 16)
    iov = IoVec(b"hello", 5)
    messages = (MMsgHdr * 2)()
    for message in messages:
        message.header = MsgHdr(ctypes.addressof(name), 16, ctypes.addressof(iov), 1)
    with udp(address, port) as sender:
        if LIBC.sendmmsg(sender.fileno(), messages, 2, 0) < 0:
            raise OSError(ctypes.get_errno(), "sendmmsg")


def fastopen(address, port):
    with socket.socket(family(address)) as connection:
        connection.settimeout(5)
        connection.sendto(b"GET / HTTP/1.0\r\n\r\n", MSG_FASTOPEN, (address, port))
        connection.recv(100)


def icmp(address, port):
    if family(address) == socket.AF_INET6:
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6).sendto(
            b"\x80" + ICMP_ECHO[1:], (address, 0))
    else:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(ICMP_ECHO, (address, 0))


def ping_socket(address, port):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).sendto(ICMP_ECHO, (address, 0))


def main():
    way, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    began, code = time.monotonic(), 0
    try:
        globals()[way](address, port)
    except OSError as error:
        code = error.errno or -1
    print(json.dumps({"way": way, "address": address, "errno": errno.errorcode.get(code, code),
                      "ms": (time.monotonic() - began) * 1000}))


if __name__ == "__main__":
    main()
