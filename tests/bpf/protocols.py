# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of many protocols send first, as their specifications and real clients have it."""

from __future__ import annotations

import random
import struct

from wire import over_tcp, question


def bson(*elements):
    body = b''.join(elements) + b'\0'
    return struct.pack('<i', len(body) + 4) + body


def mongo_hello():
    """OP_MSG, and OP_QUERY as old drivers send it."""
    body = bson(b'\x10hello\0' + struct.pack('<i', 1), b'\x02$db\0' + struct.pack('<i', 6) + b'admin\0')
    message = struct.pack('<I', 0) + b'\0' + body
    return struct.pack('<iiii', 16 + len(message), 1, 0, 2013) + message


def mongo_query():
    message = struct.pack('<i', 4) + b'admin.$cmd\0' + struct.pack('<ii', 0, -1)
    message += bson(b'\x10ismaster\0' + struct.pack('<i', 1))
    return struct.pack('<iiii', 16 + len(message), 1, 0, 2004) + message


def postgres(*parameters):
    body = struct.pack('!i', 196608) + b''.join(part.encode() + b'\0' for part in parameters) + b'\0'
    return struct.pack('!i', len(body) + 4) + body


def kafka():
    body = struct.pack('!hhih', 18, 3, 1, 6) + b'client' + b'\0\x0capache-kafka\x062.0\0'
    return struct.pack('!i', len(body)) + body


def mqtt():
    body = b'\0\4MQTT\4\2\0\x3c' + b'\0\6client'
    return b'\x10' + bytes([len(body)]) + body


def tpkt(payload):
    return b'\3\0' + struct.pack('!H', len(payload) + 4) + payload


def sun_rpc():
    body = struct.pack('!IIIIII', 0x1234, 0, 2, 100003, 4, 0) + bytes(16)
    return struct.pack('!I', 0x80000000 | len(body)) + body


def zookeeper():
    return struct.pack('!iiqiq', 44, 0, 0, 30000, 0) + struct.pack('!i', 16) + bytes(16)


def tds():
    options = b'\0\0\x1a\0\6\1\0\x20\0\1\xff' + b'\x10\0\0\0\0\0\0'
    return b'\x12\1' + struct.pack('!H', len(options) + 8) + b'\0\0\0\0' + options


def mysql_answer():
    """A client's answer to the server's greeting; the request for TLS before it is shorter."""
    body = struct.pack('<IIB', 0x00a285, 1 << 24, 45) + bytes(23)
    body += b'root\0' + b'\x14' + b'0123456789abcdefghij' + b'mysql_native_password\0'
    return struct.pack('<I', len(body))[:3] + b'\1' + body


# {protocol: the first bytes of its client}. None presents a name to a server of TLS or HTTP, so all pass.
PLAIN = {
    'ssh': b'SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n',
    'smtp': b'EHLO closed.test\r\n',
    'smtp at once': b'EHLO closed.test\r\nMAIL FROM:<a@closed.test>\r\nRCPT TO:<b@closed.test>\r\nDATA\r\n',
    'lmtp': b'LHLO closed.test\r\n',
    'pop3': b'CAPA\r\n',
    'imap': b'a001 CAPABILITY\r\n',
    'imap login': b'A0 LOGIN user@closed.test secret\r\n',
    'managesieve': b'AUTHENTICATE "PLAIN" "AGEAYg=="\r\n',
    'ftp': b'USER anonymous\r\n',
    'nntp': b'MODE READER\r\n',
    'irc': b'CAP LS 302\r\nNICK joe\r\nUSER joe 0 * :Joe\r\n',
    'finger': b'joe@closed.test\r\n',
    'whois': b'closed.test\r\n',
    'ident': b'6193, 23\r\n',
    'gopher': b'/docs\r\n',
    'dict': b'CLIENT dict 1.12\r\nDEFINE wn host\r\n',
    'telnet': b'\xff\xfd\x03\xff\xfb\x18\xff\xfb\x1f',
    'redis, inline': b'PING\r\n',
    'redis, inline key': b'GET host\r\n',
    'redis, inline value': b'SET host closed.test\r\n',
    'redis': b'*2\r\n$3\r\nGET\r\n$11\r\nclosed.test\r\n',
    'redis hello': b'*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n',
    'memcached': b'get closed.test\r\n',
    'memcached, a URL as key': b'get http://closed.test/\r\n',
    'memcached value': b'set host 0 0 11\r\nclosed.test\r\n',
    'memcached, binary': b'\x80\0\0\4\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0host',
    'mongodb': mongo_hello(),
    'mongodb, old': mongo_query(),
    'postgresql': postgres('user', 'postgres', 'database', 'closed.test'),
    'postgresql ssl request': struct.pack('!ii', 8, 80877103),
    'mysql': mysql_answer(),
    'mysql ssl request': b'\x20\0\0\1' + struct.pack('<IIB', 0x00aea285, 1 << 24, 45) + bytes(23),
    'mssql': tds(),
    'oracle': (b'\0\x3a\0\0\1\0\0\0\1\x39\1\x2c\0\0\x08\0\x7f\xff\x7f\x08\0\0\0\1\0\x20\0\x3a' + bytes(6)
               + b'(CONNECT_DATA=(SID=x))'),
    'cassandra': b'\4\0\0\0\5\0\0\0\0',
    'kafka': kafka(),
    'amqp 0-9-1': b'AMQP\0\0\x09\1',
    'amqp 1.0': b'AMQP\3\1\0\0',
    'mqtt': mqtt(),
    'nats': b'CONNECT {"verbose":false,"pedantic":false,"lang":"python3","version":"2.6.0","protocol":1}\r\nPING\r\n',
    'nats, long': b'CONNECT {"jwt":"' + b'x' * 6000 + b'"}\r\nPING\r\n',
    'nats ping': b'PING\r\n',
    'stomp': b'CONNECT\naccept-version:1.2\nhost:closed.test\n\n\0',
    'stomp, its other word': b'STOMP\naccept-version:1.2\nhost:closed.test\n\n\0',
    'beanstalkd': b'put 0 0 60 11\r\nclosed.test\r\n',
    'gearman': b'\0REQ\0\0\0\x07\0\0\0\4test',
    'zookeeper': zookeeper(),
    'zookeeper, four letters': b'ruok\n',
    'ldap': bytes.fromhex('300c020101600702010304008000'),
    'ldap starttls': bytes.fromhex('301d02010177188016') + b'1.3.6.1.4.1.1466.20037',
    'kerberos': b'\0\0\0\x10\x6a\x0e\x30\x0c\xa1\3\2\1\5\xa2\3\2\1\x0a\xa3\0',
    'radsec-like diameter': b'\1\0\0\x14\x80\0\1\1\0\0\0\0\0\0\0\1\0\0\0\1',
    'git': b'0033git-upload-pack /project.git\0host=closed.test\0',
    'rsync': b'@RSYNCD: 31.0\n',
    'svn': b'( 2 ( edit-pipeline svndiff1 ) 27:svn://closed.test/repository 10:SVN/1.14.2 ( ) ) ',
    'cvs': b'BEGIN AUTH REQUEST\n/cvs\nuser\nA\nEND AUTH REQUEST\n',
    'nfs': sun_rpc(),
    'smb': b'\0\0\0\x24\xfeSMB\x40' + bytes(31),
    'smb 1': b'\0\0\0\x23\xffSMBr' + bytes(30),
    'rdp': tpkt(b'\x0e\xe0\0\0\0\0\0\1\0\x08\0\x03\0\0\0'),
    'vnc': b'RFB 003.008\n',
    'x11': b'l\0\x0b\0\0\0\0\0\0\0\0\0',
    'sip': b'OPTIONS sip:carol@closed.test SIP/2.0\r\nVia: SIP/2.0/TCP closed.test\r\nTo: <sip:x@closed.test>\r\n\r\n',
    'sip, kept alive': b'\r\n\r\nREGISTER sip:closed.test SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n\r\n',
    'xmpp': b"<?xml version='1.0'?><stream:stream to='closed.test' xmlns='jabber:client' version='1.0'>",
    'statsd': b'gorets:1|c\nclosed.test:320|ms\n',
    'graphite': b'servers.closed.test.load 0.42 1700000000\n',
    'graphite, pickled': b'\0\0\0\x2e\x80\2]q\0(X\6\0\0\0a.b.c',
    'opentsdb': b'put sys.cpu.user 1700000000 42.5 host=closed.test\n',
    'influx, lines': b'cpu,host=closed.test load=0.64 1700000000000000000\n',
    'syslog': b'<34>1 2026-10-11T22:14:15.003Z closed.test nginx - - - "GET / HTTP/1.1" 200 13\n',
    'syslog, a request at the end': b'<34>Oct 11 22:14:15 closed.test nginx: GET / HTTP/1.1\n' * 200,
    'syslog, counted': b'51 <34>Oct 11 22:14:15 closed.test nginx: GET / HTTP/1.1' * 100 + b'\n',
    'lines of a log': b'web1 nginx GET / HTTP/1.1\nHost: closed.test\n' * 200,
    'json lines': b'{"host":"closed.test","request":"GET / HTTP/1.1"}\n',
    'gelf': b'{"version":"1.1","host":"closed.test"}\0',
    'logstash, beats': b'2W\0\0\0\x012C\0\0\0\x04abcd',
    'fluentd': b'\x93\xa3tag\xce\x65\0\0\0\x81\xa4host\xabclosed.test',
    'zabbix': b'ZBXD\1\x13\0\0\0\0\0\0\0{"request":"x"}    ',
    'nrpe': b'\0\2\0\1\0\0\0\0\0\0_NRPE_CHECK' + bytes(1005),
    'consul rpc': b'\x05\0\0\0\1\0\0\0\1\0\0\0\0',
    'serf': b'\x82\xa7Command\xa9handshake\xa3Seq\0',
    'elasticsearch, between nodes': b'ES\0\0\0\x2d\0\0\0\0\0\0\0\1\x08\0\x6a\xcf\xc7',
    'thrift': b'\x80\1\0\1\0\0\0\4ping\0\0\0\0\0',
    'clickhouse': b'\0\x11ClickHouse client\x15\x09\xb2\xa9\3\0\7default\0',
    'neo4j bolt': b'\x60\x60\xb0\x17\0\0\1\4\0\0\0\4\0\0\0\3\0\0\0\0',
    'ceph': b'ceph v2\n\x10\0' + bytes(16),
    'iscsi': b'\x43\x87\0\0' + bytes(44) + b'InitiatorName=iqn.2026-01.test.closed\0',
    'dns on another port': over_tcp(question('closed.test')),
    'fastcgi': b'\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\x18\0\0\x09\x0bHTTP_HOSTclosed.test',
    'uwsgi': b'\0\x1a\0\0\x09\0HTTP_HOST\x0b\0closed.test',
    'scgi': b'24:CONTENT_LENGTH\0000\0SCGI\0001\0,',
    'ajp': b'\x12\x34\0\1\x0a',
    'socks 4': b'\4\1\0\x50\x0a\0\0\1user\0',
    'socks 5': b'\5\1\0',
    'bittorrent': b'\x13BitTorrent protocol' + bytes(48),
    'printer': b'\x1b%-12345X@PJL SET RESOLUTION=600\r\n',
    'lpd': b'\2queue\n',
    'mpd': b'status\n',
    'clamav': b'zINSTREAM\0',
    'dovecot': b'VERSION\t1\t1\n',
    'postfix policy': b'request=smtpd_access_policy\nhelo_name=closed.test\n\n',
    'milter': b'\0\0\0\x0dO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff',
    'rtmp': b'\3' + bytes(1536),
    'minecraft': b'\x10\0\xf7\5\x0bclosed.test\x63\xdd\1',
    'java objects': b'\xac\xed\0\5sr\0\x0bclosed.test',
    'java rmi': b'JRMI\0\2K',
    'erlang': b'\0\x0dn\0\5\0\0\0\1x@closed',
    'sslv2 hello': b'\x80\x2e\1\3\1\0\x15\0\0\0\x10' + bytes(37),
    'zeros': bytes(64),
    'ones': b'\xff' * 64,
    'a line of text': b'hello, world\n',
    'empty lines': b'\n\n\nhello\n',
    'base64': b'aGVsbG8sIHdvcmxkCg==' * 300 + b'\n',
    'chunks of text': b'x y z ' * 900 + b'\n',
}
for number in range(40):
    chance = random.Random(number)
    PLAIN['random %d' % number] = bytes(chance.choice(range(256)) for _byte in range(chance.choice((5, 40, 300, 5000))))
