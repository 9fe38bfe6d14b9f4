# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First requests of HTTP/2, packed by the library `hpack`."""

from __future__ import annotations

import hpack

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
HEADERS, PRIORITY, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 1, 2, 4, 6, 8, 9
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 0x20
HOSTS = [('closed.test', True), ('a.closed.test:2379', True), ('CLOSED.TEST', True), ('fine.test', False),
         ('10.0.0.1:80', False), ('abcdefghijklmnopqrstuvwxyz-0123456789.closed.test:12345', True),
         ('x' * 63 + '.closed.test', True), ('[::1]:2379', False), ('ABCDEFGHIJKLMNOPQRSTUVWXYZ_.fine.test', False),
         ('.'.join(['y' * 40] * 5) + '.closed.test', True), ('', False), ('notclosed.test', False),
         ('closed.test.', True), ('localhost', False)]
OTHERS = [('accept', '*/*'), ('user-agent', 'grpc-go/1.50.0'), ('te', 'trailers'),
          ('content-type', 'application/grpc'), ('x-host', 'closed.test'), ('grpc-timeout', '4999969u'),
          ('x-binary', '\x00\xff~{}'), ('referer', 'http://closed.test/'), ('long', 'z' * 600)]


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + payload


def headers(payload, flags=END_HEADERS):
    return frame(HEADERS, flags, 1, payload)


def packed(chance, host):
    fields = [(':method', 'POST'), (':scheme', 'http'), (':path', '/etcdserverpb.KV/Range')]
    fields.insert(chance.randrange(4), (':authority', host)) if chance.random() < 0.8 else fields.append(('host', host))
    return hpack.Encoder().encode(fields + chance.sample(OTHERS, chance.randrange(6)), huffman=chance.random() < 0.7)


def request(chance, host):
    """(the first bytes of a client, must they be denied)"""
    name, denied = host
    block, flags = packed(chance, name), END_HEADERS
    if chance.random() < 0.3:
        block, flags = bytes([0x80, 0, 0, 0, 16]) + block, flags | WITH_PRIORITY
    if chance.random() < 0.3:
        padding = chance.randrange(256)
        block, flags = bytes([padding]) + block + bytes(padding), flags | PADDED
    others = [frame(WINDOW_UPDATE, 0, 0, b'\0\0\xff\0'), frame(PING, 0, 0, b'12345678'), frame(SETTINGS, 1, 0, b''),
              frame(PRIORITY, 0, 3, b'\0\0\0\0\x10')]
    front = [chance.choice(others) for _frame in range(chance.choice((0, 1, 2, 6)))]
    return PREFACE + frame(SETTINGS, 0, 0, b'\0\3\0\0\0d') + b''.join(front) + headers(block, flags), denied


_SETTINGS = frame(SETTINGS, 0, 0, b'')
_FINE = hpack.Encoder().encode([(':authority', 'fine.test')])
UNREADABLE = [PREFACE + _SETTINGS + part for part in (
    headers(b'\x82\x86', 0) + frame(CONTINUATION, END_HEADERS, 1, _FINE),  # the host comes in another frame
    headers(_FINE + _FINE), headers(b'\x40\x0a:authority\x09fine.test'), headers(b'\x40\x83\x9c\xe8\x4f\x09fine.test'),
    headers(b'\x41\x88\xff\xff\xff\xff\xff\xff\xff\xff'),  # no character has this code
    headers(hpack.Encoder().encode([(':authority', 'user@fine.test')])), headers(b'\x41\x7f\xff\x7f' + b'a' * 300),
    b'\xff' * 100, _SETTINGS * 40)]
