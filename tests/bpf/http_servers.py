# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers of HTTP on loopback, each of which serves one host. They are Debian's packages.

They run in the foreground, below a directory of their own, in the network of the process that starts them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = 'closed.test'  # each serves it
MARKER = b'this is the closed host'
# A server that refuses to read the request has not served it, whichever host it takes it for.
REFUSED = {b'400', b'414', b'431', b'505'}
PATIENCE = 1.0  # seconds for an answer: squid asks another server
STARTS = 20
# +: behind a load balancer that speaks the PROXY protocol
ALL = ('nginx', 'nginx+', 'apache', 'haproxy', 'haproxy+', 'squid', 'php', 'node', 'python')

NGINX = '''
daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log crit;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen 127.0.0.1:{port} default_server; listen 127.0.0.1:{second} default_server proxy_protocol;
            return 200 other; }}
  server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{second} proxy_protocol; server_name {host};
            return 200 "{marker}"; }}
}}
'''
APACHE = '''
ServerRoot {directory}
PidFile {directory}/pid
ErrorLog {directory}/error.log
ServerName other.test
{modules}
Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
  ServerName other.test
  ErrorDocument 404 other
</VirtualHost>
<VirtualHost *:{port}>
  ServerName {host}
  Header always set X-Host "{marker}"
</VirtualHost>
'''
APACHE_MODULES = ('mpm_event', 'authz_core', 'headers')
HAPROXY = '''
global
  maxconn 200
defaults
  mode http
  timeout client 3s
  timeout server 3s
  timeout connect 3s
frontend all
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{second} accept-proxy
  acl closed req.hdr(host),field(1,:),lower {host}
  http-request return status 200 content-type text/plain string "{marker}" if closed
  http-request return status 404
'''
SQUID = '''
http_port 127.0.0.1:{port}
pid_filename none
cache_log {directory}/cache.log
access_log none
cache deny all
http_access allow all
coredump_dir {directory}
hosts_file {directory}/hosts
dns_nameservers 127.0.0.1
logfile_rotate 0
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
'''
PHP = '''<?php
$host = explode(':', $_SERVER['HTTP_HOST'] ?? '')[0];
echo strtolower(rtrim($host, '.')) === '{host}' ? '{marker}' : 'other';
'''
NODE = '''
require('http').createServer((request, answer) => {{
  const host = (request.headers.host || '').split(':')[0].replace(/\\.$/, '').toLowerCase();
  answer.end(host === '{host}' ? '{marker}' : 'other');
}}).listen({port}, '127.0.0.1');
'''
PYTHON = '''
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = (self.headers['Host'] or '').split(':')[0].rstrip('.').lower()
        text = b'{marker}' if host == '{host}' or sys.argv[1] != '127.0.0.1' else b'other'
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_POST = do_HEAD = do_PUT = do_OPTIONS = do_GET
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
'''


def _files(directory, values):
    """Writes what the servers read. Returns {name: (command, ports)}."""
    written = {}
    for name, text, port in (('nginx', NGINX, 8001), ('apache', APACHE, 8003), ('haproxy', HAPROXY, 8004),
                             ('squid', SQUID, 8006), ('php', PHP, 8007), ('node', NODE, 8008), ('python', PYTHON, 8009)):
        home = directory / name
        home.mkdir()
        home.chmod(0o777)
        (home / 'conf').write_text(text.format(directory=home, port=port, second=port + 1000, **values))
        written[name] = home / 'conf', port
    (directory / 'squid' / 'hosts').write_text('127.0.0.3 %s\n' % HOST)
    return written


def _commands(files):
    conf = {name: str(path) for name, (path, _port) in files.items()}
    return {'nginx': ['nginx', '-c', conf['nginx'], '-e', conf['nginx'] + '.log'],
            'apache': ['apache2', '-X', '-f', conf['apache']],
            'haproxy': ['haproxy', '-db', '-f', conf['haproxy']],
            'squid': ['squid', '-N', '-f', conf['squid']],
            'php': ['php', '-S', '127.0.0.1:%d' % files['php'][1], conf['php']],
            'node': ['node', conf['node']],
            'python': [sys.executable, conf['python'], '127.0.0.1', str(files['python'][1])],
            'origin': [sys.executable, conf['python'], '127.0.0.3', '80']}


@contextlib.contextmanager
def servers(directory):
    """Starts all; {name: port}. A name with `+` expects the PROXY protocol."""
    Path(directory).chmod(0o755)  # squid is not root
    modules = '\n'.join('LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so' % (name, name)
                        for name in APACHE_MODULES)
    files = _files(Path(directory), {'host': HOST, 'marker': MARKER.decode(), 'modules': modules})
    ports = {name: port for name, (_path, port) in files.items()}
    ports.update({name + '+': ports[name] + 1000 for name in ('nginx', 'haproxy')})
    running = []
    try:
        for name, command in _commands(files).items():
            with open(Path(directory) / (name + '.out'), 'wb') as output:
                running.append(subprocess.Popen(
                    ['setpriv', '--pdeathsig', 'KILL', *command], stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'}))
        for name, port in ports.items():
            _wait_for(port, Path(directory) / (name.rstrip('+') + '.out'))
        yield ports
    finally:
        for server in running:
            server.send_signal(signal.SIGKILL)
            server.wait()


def _wait_for(port, output):
    end = time.monotonic() + STARTS
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, output.read_text()
            time.sleep(0.05)


def serves(port, head):
    """Does the server at this port answer the request as the closed host?"""
    with socket.create_connection(('127.0.0.1', port), timeout=STARTS) as client:
        answer, part = b'', b'x'
        client.settimeout(PATIENCE)
        try:
            client.sendall(head)
            while part and MARKER not in answer:
                part = client.recv(65536)
                answer += part
                if b'\r\n\r\n' in answer:
                    client.settimeout(0.1)  # only its text can be missing
        except OSError:
            pass
    status = re.match(rb'HTTP/\S+ (\d+)', answer)
    return MARKER in answer and not (status and status[1] in REFUSED)


def served(ports, heads):
    """[the names of the servers that serve the closed host] for each head."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        asked = [{name: pool.submit(serves, port, head) for name, port in ports.items()} for head in heads]
        return [[name for name, answer in answers.items() if answer.result()] for answers in asked]
