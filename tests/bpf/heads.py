# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads of HTTP requests, of which most are odd in one or two places, as some server may still take them."""

from __future__ import annotations

HOST, OTHER = b'closed.test', b'fine.test'
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'  # of the PROXY protocol, second version
BINARY_PROXY = SIGNATURE + b'\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x00\x50'

# {part of a head: what may stand there}; the first is the usual one
PARTS = {
    'in front': [b'', b'\r\n', b'\n', b'\r\n' * 3, b'\r', b' ', b'\t', b'\n' * 30, b'\r\n' * 40, b' \r\n', b'\0',
                 b'\x0b', b'PROXY TCP4 1.2.3.4 5.6.7.8 80 80\r\n', b'PROXY UNKNOWN\r\n', BINARY_PROXY,
                 SIGNATURE + b'\x20\x00\x00\x00', b'PROXY TCP4 1.2.3.4 5.6.7.8 80 80\n', BINARY_PROXY + b'\r\n'],
    'method': [b'GET', b'POST', b'OPTIONS', b'PROPFIND', b'get', b'Get', b'X', b'M-SEARCH', b'G.T', b'A' * 70, b'GET:',
               b'G(T', b'CONNECT', b'HEAD', b'PUT', b'2GET', b'_GET', b'\xffGET', b'GE\0T'],
    'first blank': [b' ', b'  ', b'\t', b' \t ', b'\x0b', b'\x0c', b'\r', b'\x1f', b'\xa0', b' ' * 70, b'', b'\0',
                    b'\x85'],
    'target': [b'/', b'*', b'http://closed.test/', b'http://fine.test/', b'HTTP://CLOSED.test:80/x',
               b'http://u:p@closed.test/', b'//closed.test/', b'http:/closed.test/', b'http:closed.test/',
               b'closed.test', b'closed.test:80', b'/a b', b'http://closed.test', b'http://closed.test?x',
               b'http://closed.test#x', b'http:\\\\closed.test/', b'?x', b'x', b'https://closed.test/',
               b'http://fine.test@closed.test/', b'http://closed.test@fine.test/', b'ftp://closed.test/',
               b'http://closed%2etest/', b'http://closed.test./', b'http:///closed.test/', b'ws://closed.test/',
               b'/' + b'x' * 300, b'/' + b'x' * 3000, b'/\xff', b'/\0', b'/HTTP/1.1', b'http://[closed.test]/',
               b'closed.test/', b'http://closed.test\t/', b'fine.test:80', b'http:// closed.test/',
               b'http://closed.test:080/', b'http://closed.test:x/'],
    'second blank': [b' ', b'  ', b'\t', b'\x0b', b'\x1c', b'\r', b'\xa0', b' ' * 70, b'', b'\0'],
    'version': [b'HTTP/1.1', b'HTTP/1.0', b'HTTP/0.9', b'HTTP/2.0', b'HTTP/1.2', b'HTTP/1.10', b'HTTP/01.01',
                b'http/1.1', b'HTTP/1', b'HTTP/1.', b'HTTP/1.1x', b'HTTP /1.1', b'HTTP/ 1.1', b'', b'HTTP', b'ICE/1.0',
                b'RTSP/1.0', b'HTTPS/1.1', b'HTTP/1.1 x', b'HTTP/1,1', b'HTTP/3.0'],
    'line end': [b'\r\n', b'\n', b'\r', b'\r\r\n', b' \r\n', b'\t\r\n', b' ' * 70 + b'\r\n', b'\n\r', b'\0\r\n',
                 b'\xa0\r\n', b'\x0b\n', b'  \n', b'\r\n\r'],
    'before': [b'', b'Accept: */*\r\n', b'Accept: */*\n', b'X: y\r', b'X: y\r\r\n', b' folded\r\n', b'X:\r\n y\r\n',
               b'nonsense\r\n', b':\r\n', b': x\r\n', b'X: \0\r\n', b' \r\n', b'\t\r\n', b'X: y\r\n' * 90,
               b'X: ' + b'y' * 3500 + b'\r\n', b'X: ' + b'y' * 4500 + b'\r\n', b'Host: fine.test\r\n',
               b'Host: fine.test\n', b'Host: closed.test\r\n', b'Content-Length: 0\r\n', b'X: y\n\r',
               b'Transfer-Encoding: chunked\r\n', b'X: y\r\n z\r\n', b'\x0b\r\n', b'\0\r\n', b'Hosts: x\r\n',
               b'X-Host: fine.test\r\n', b'X: y\x0b', b'X: y\x85', b'X: "\r\n'],
    'name': [b'Host', b'host', b'HOST', b'hOsT', b'Host ', b' Host', b'\tHost', b'Host\t', b'Host\x0b', b'\0Host',
             b'Ho\0st', b'\x0bHost', b'Host\0', b'\xa0Host', b'Host\xa0', b'"Host"', b'Host\r', b'Host\r\n ',
             b'H\xc3\xb6st', b'Ho st', b'(Host', b'Host/', b'\x1cHost', b'Hos\xc5\xa5', b'Host_', b'HTTP_HOST',
             b'\xef\xbb\xbfHost'],
    'colon': [b': ', b':', b':\t', b':   ', b':' + b' ' * 20, b':' + b' ' * 270, b':\r\n ', b':\n ', b':\r\n\t',
              b':\x0b', b':\x0c', b':\xa0', b':\0', b' : ', b'=', b'', b'::', b': \r\n ', b':\r ', b':\x1f',
              b':\r\n\r\n '],
    'value': [HOST, HOST.upper(), HOST + b':80', HOST + b'.', HOST + b' ', HOST + b'\t', b'a@' + HOST, HOST + b'/',
              HOST + b'/x', b'fine.test, ' + HOST, HOST + b', fine.test', b'"closed.test"', HOST + b':80:80',
              HOST + b':x', b'x ' + HOST, HOST + b' x', b'http://' + HOST, b'[closed.test]', b'.' + HOST, HOST + b'..',
              b'closed%2etest', HOST + b'\0', HOST + b';x', HOST + b'#', HOST + b'?', HOST + b'\\', HOST + b',',
              HOST + b'.:80', b'x@y@' + HOST, HOST + b'@fine.test', b'closed.test:80 ', b'clo\0sed.test',
              b'closed.test\r', b'\0' + HOST, b'closed..test', HOST + b':', OTHER, b'', HOST + b'\x0b', HOST + b'\xa0',
              b'x' * 300, HOST + b'\r x', HOST + b'\r\n x', HOST + b'\r\n .fine.test', HOST + b'\xff',
              b'closed.test:8001', HOST + b'(x)'],
    'behind': [b'\r\n', b'\n', b'\r', b'\r\r\n', b'\r\nHost: fine.test\r\n', b'\nHost: fine.test\n',
               b'\r\nHost: closed.test\r\n', b'\r\n Host: fine.test\r\n', b'\r\nX: y\rHost: closed.test\r\n',
               b'\r\nHost : fine.test\r\n', b'\r\nX: y\r\n', b'\r\n y\r\n', b'\r\nX: ' + b'y' * 5000 + b'\r\n',
               b'\n\r\n', b'\r\n:\r\n', b'\r\nHost:\r\n', b'\rHost: fine.test\r\n',
               b'\r\nHost: fine.test, closed.test\r\n'],
    'end': [b'\r\n', b'\n', b'\r', b'\r\r\n', b'\n\r\n', b'', b'\r\nrest', b'\n\n', b' \r\n\r\n'],
}
USUAL = {part: choices[0] for part, choices in PARTS.items()}


def head(**parts):
    """The bytes of a head; `first_blank` for the part 'first blank'."""
    chosen = dict(USUAL, **{part.replace('_', ' '): value for part, value in parts.items()})
    return b''.join(chosen[part] for part in PARTS)


def odd_in_one_place():
    """Each choice for each part, with HTTP/1.1 and the closed host elsewhere."""
    return [head(**{part: choice}) for part, choices in PARTS.items() for choice in choices]


def generated(chance):
    """A head that is odd in a few places, mostly."""
    chosen = dict(USUAL)
    for part in chance.sample(list(PARTS), chance.choice((1, 2, 2, 2, 3, 3, 4))):
        chosen[part] = chance.choice(PARTS[part])
    return b''.join(chosen[part] for part in PARTS)
