# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processes say on the wire, made by hand: DNS messages, TLS ClientHellos, packets with a question inside."""

from __future__ import annotations

import random
import ssl
import struct

from policies import UDP
from workbench import frame

A, CNAME, MX, AAAA = 1, 5, 15, 28
ROOT = b'\0'
QUESTION = b'\xc0\x0c'  # "the name of the question", in a record


# --- DNS ---

def wire_name(name):
    """The labels of a name behind their lengths; no limit is checked, so that what DNS forbids can be made, too."""
    labels = name if isinstance(name, (list, tuple)) else [label.encode() for label in name.split('.') if label]
    return b''.join(bytes([len(label)]) + label for label in labels) + ROOT


def question(name, kind=A, count=1, flags=0x0100, name_bytes=None, identity=0x1234):
    """A DNS message that asks for a name; `name_bytes` in place of it, as they come."""
    return (struct.pack('!HHHHHH', identity, flags, count, 0, 0, 0)
            + (wire_name(name) if name_bytes is None else name_bytes) + struct.pack('!HH', kind, 1))


def record(kind, data, owner=QUESTION, seconds=300):
    return owner + struct.pack('!HHIH', kind, 1, seconds, len(data)) + data


def answer(name, records, count=None, questions=1, flags=0x8180, kind=A):
    """A DNS message that answers a question with these records."""
    return (struct.pack('!HHHHHH', 0x1234, flags, questions, len(records) if count is None else count, 0, 0)
            + wire_name(name) + struct.pack('!HH', kind, 1) + b''.join(records))


def over_tcp(message):
    return struct.pack('!H', len(message)) + message


def question_frame(name, **options):
    """A packet with a question over UDP, as `passes` takes it."""
    return frame('203.0.113.53', 53, UDP, payload=question(name), **options)


def answer_frame(message, address='198.51.100.9', **options):
    """A packet that brings an answer."""
    return frame(address, 40000, UDP, source_port=53, payload=message, **options)


# --- TLS ---

def client_hello(name, protocols=()):
    """What Python's ssl, which is OpenSSL, sends first; None: no name. `protocols`: names for ALPN, to make it long."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    said = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return said.read()
    raise AssertionError('a handshake without a server')


def extension(kind, data):
    return struct.pack('!HH', kind, len(data)) + data


def sni(name, kind=0):
    entry = bytes([kind]) + struct.pack('!H', len(name)) + name
    return extension(0, struct.pack('!H', len(entry)) + entry)


def made_hello(extensions, session=b'', version=0x0303, ciphers=b'\x13\x01\xc0\x2f'):
    """A ClientHello of these parts, in one record."""
    body = (struct.pack('!H', version) + bytes(32) + bytes([len(session)]) + session
            + struct.pack('!H', len(ciphers)) + ciphers + b'\x01\0'
            + struct.pack('!H', len(extensions)) + extensions)
    return in_records(b'\x01' + len(body).to_bytes(3, 'big') + body)


def in_records(handshake, size=16384):
    """The handshake's bytes in TLS records of up to so many bytes."""
    parts = [handshake[start:start + size] for start in range(0, len(handshake), size)]
    return b''.join(b'\x16\x03\x01' + struct.pack('!H', len(part)) + part for part in parts)


def long_protocols(size):
    """ALPN protocols that make a ClientHello longer by about so many bytes."""
    chance = random.Random(size)
    return [''.join(chance.choices('abcdefgh', k=99)) for _name in range(size // 100)]
