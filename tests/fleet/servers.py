# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of the fleet: an HTTP and HTTPS server with a UDP echo, the HTTP proxy, or the resolver.

In: name and addresses on the command line. Out: on standard output, one JSON line for everything that
reached the service; one byte on --ready-fd when it is up.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HTTP_PORTS = (80, 8080)
HTTPS_PORT = 443
PROXY_PORT = 3128
ECHO_PORT = 9000
UNLOGGED = "127.0.0.1"      # whence Fleet.point asks: its questions are no test's
SERVFAIL_PORT = 5300        # on loopback: the "upstream" of the broken name
FETCH_TIMEOUT = 3
RELAY_TIMEOUT = 30          # seconds of silence


class Log:
    def __init__(self, service: str) -> None:
        self.service = service

    def write(self, event: str, client: tuple, **facts) -> None:
        line = {"time": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
                "service": self.service, "event": event, "client": client[0], "client_port": client[1],
                **facts}
        # one write(2) of one line: threads and a truncating test can't tear it
        os.write(1, (json.dumps(line) + "\n").encode())


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def fetch_github(own_address: str) -> tuple[int, str]:
    """The transitive dependency: this service's answer is only as good as github.com's."""
    try:
        info = socket.getaddrinfo("github.com", 80, socket.AF_INET, socket.SOCK_STREAM)
        # Both services live on one node: without a source address github.com would log itself as client
        connection = http.client.HTTPConnection(info[0][4][0], 80, timeout=FETCH_TIMEOUT,
                                                source_address=(own_address, 0))
        connection.request("GET", "/", headers={"Host": "github.com"})
        answer = connection.getresponse().read().decode().strip()
        connection.close()
    except OSError as error:
        return 502, f"migration impossible: fetching http://github.com/ failed: {error}\n"
    return 200, f"migrated with: {answer}\n"


class Site:
    """What a service answers to HTTP requests."""

    def __init__(self, service: str, names: list[str], addresses: list[str], pages: str) -> None:
        self.service = service
        self.names = names
        self.own_address = addresses[0]
        self.pages = Path(pages)

    def answer(self, host: str, path: str) -> tuple[int, str | bytes]:
        path = path.partition("?")[0]
        if path == "/":
            return 200, f"this is {host if host in self.names else self.service}\n"
        if self.service == "api.internal" and path == "/migrate":
            return fetch_github(self.own_address)
        file = (self.pages / path.lstrip("/")).resolve()
        if file.is_relative_to(self.pages) and file.is_file():
            return 200, file.read_bytes()
        return 404, f"{self.service} has no {path}\n"


def web_handler(log: Log, site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            host = self.headers.get("Host")
            # written before the answer: who has the answer finds the line
            log.write("request", self.client_address, **self.server.where, method=self.command,
                      path=self.path, host=host, **tls_facts(self.connection))
            status, text = site.answer((host or "").partition(":")[0].lower(), self.path)
            body = text if isinstance(text, bytes) else text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, *args) -> None:
            """Nothing on standard error: the JSON log has it."""

    return Handler


def tls_facts(connection: socket.socket) -> dict:
    if isinstance(connection, ssl.SSLSocket):
        return {"tls": True, "sni": connection.sni}
    return {"tls": False}


def tls_context(certificate: str, log: Log) -> ssl.SSLContext:
    def hello(connection: ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        connection.sni = name
        address, port = connection.getsockname()[:2]
        log.write("hello", connection.getpeername(), protocol="tcp", address=address, port=port, sni=name)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = hello
    return context


class Server(ThreadingHTTPServer):
    request_queue_size = 256

    def __init__(self, address: str, port: int, log: Log, handler: type[BaseHTTPRequestHandler],
                 tls: ssl.SSLContext | None = None) -> None:
        self.address_family = family_of(address)
        self.log = log
        self.tls = tls
        self.where = {"protocol": "tcp", "address": address, "port": port}
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        # not HTTPServer's: it asks the resolver for this machine's name
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address

    def get_request(self):
        connection, client = super().get_request()
        self.log.write("accept", client, **self.where)
        if self.tls:
            # the handshake comes with the handler's first read: a slow client keeps only its own thread
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, client

    def shutdown_request(self, request) -> None:
        if self.tls:
            request.settimeout(1)
            with contextlib.suppress(OSError, ValueError):
                request.unwrap()        # says goodbye, or TLS clients take the end for an attack
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        """A client that goes away in the middle is an ordinary thing in these tests."""


def serve(server: Server) -> None:
    # it ends with the process: nothing to wake up for and look
    in_thread(server.serve_forever, 3600)


def proxy_handler(log: Log, addresses: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30
        rbufsize = 0        # what follows the head stays in the socket, for the relay

        def parse_request(self) -> bool:
            parsed = super().parse_request()
            if parsed:
                log.write("request", self.client_address, **self.server.where, method=self.command,
                          target=self.path, host=self.headers.get("Host"))
            return parsed

        def do_CONNECT(self) -> None:
            self.relay_to(f"//{self.path}", HTTPS_PORT, answer=b"HTTP/1.0 200 Connection established\r\n\r\n")

        def forward(self) -> None:
            if self.path.startswith("http://"):
                self.relay_to(self.path, 80, question=self.head_for_server())
            else:
                self.send_error(400, "this proxy takes http://... and CONNECT")

        do_GET = do_HEAD = do_POST = do_PUT = forward

        def head_for_server(self) -> bytes:
            url = urlsplit(self.path)
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            kept = [f"{name}: {value}" for name, value in self.headers.items()
                    if not name.lower().startswith(("proxy-", "connection"))]
            lines = [f"{self.command} {path} HTTP/1.0", *kept, "Connection: close", "", ""]
            return "\r\n".join(lines).encode("latin-1")

        def relay_to(self, url: str, default_port: int, question: bytes = b"", answer: bytes = b"") -> None:
            try:
                target = urlsplit(url)
                server = connect_from(addresses, target.hostname, target.port or default_port)
            except (OSError, ValueError) as error:
                self.send_error(502, str(error))
                return
            with server:
                self.connection.sendall(answer)
                server.sendall(question)
                in_thread(pump, self.connection, server)
                pump(server, self.connection)

        def log_message(self, *args) -> None:
            """Nothing on standard error: the JSON log has it."""

    return Handler


def connect_from(own_addresses: list[str], host: str | None, port: int) -> socket.socket:
    """Like socket.create_connection, from one of these addresses: all services live on one node, and the
    kernel would take the server's own address for the client's."""
    failure = OSError(f"no way to {host}")
    for family, _kind, _protocol, _name, peer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        own = [address for address in own_addresses if family_of(address) == family]
        try:
            server = socket.create_connection(peer[:2], FETCH_TIMEOUT, source_address=(own[0], 0))
            server.settimeout(RELAY_TIMEOUT)
            return server
        except OSError as error:
            failure = error
    raise failure


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def echo(sock: socket.socket, log: Log) -> None:
    address, port = sock.getsockname()[:2]
    while True:
        data, client = sock.recvfrom(65535)
        log.write("datagram", client, protocol="udp", address=address, port=port, bytes=len(data))
        try:
            sock.sendto(data, client)
        except OSError:
            pass    # the client is gone; the next one is not to suffer for it


def udp_socket(address: str, port: int) -> socket.socket:
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def in_thread(function, *args) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def serve_web(log: Log, site: Site, addresses: list[str], certificate: str) -> None:
    handler = web_handler(log, site)
    tls = tls_context(certificate, log)
    for address in addresses:
        for port in HTTP_PORTS:
            serve(Server(address, port, log, handler))
        serve(Server(address, HTTPS_PORT, log, handler, tls))
        in_thread(echo, udp_socket(address, ECHO_PORT), log)


def serve_proxy(log: Log, addresses: list[str]) -> None:
    for address in addresses:
        serve(Server(address, PROXY_PORT, log, proxy_handler(log, addresses)))


def answer_servfail(sock: socket.socket) -> None:
    """Sends each question back as a response with code 2."""
    while True:
        query, client = sock.recvfrom(4096)
        if len(query) >= 12:
            flags = (int.from_bytes(query[2:4], "big") & 0x7900) | 0x8082   # QR, RA, SERVFAIL
            sock.sendto(query[:2] + flags.to_bytes(2, "big") + query[4:], client)


def resolver_command(addresses: list[str], broken_name: str, records: list[str]) -> list[str]:
    return ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root",
            "--no-resolv", "--no-hosts", "--no-poll", "--no-negcache", "--local-ttl=30", "--bind-interfaces",
            *[f"--listen-address={address}" for address in addresses], *records,
            f"--server=/{broken_name}/127.0.0.1#{SERVFAIL_PORT}",
            "--address=/#/",                    # every other name: NXDOMAIN
            "--log-queries=extra", "--log-facility=-"]


_QUERY = re.compile(r"dnsmasq\[(\d+)\]: \d+ (\S+)/(\d+) query\[(\S+)\] (\S+) from ")


def serve_names(log: Log, addresses: list[str], broken_name: str, records: list[str], ready) -> None:
    in_thread(answer_servfail, udp_socket("127.0.0.1", SERVFAIL_PORT))
    command = resolver_command(addresses, broken_name, records)
    dnsmasq = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in dnsmasq.stderr:
        question = _QUERY.search(line)
        if question:
            pid, client, port, kind, name = question.groups()
            if client != UNLOGGED:
                # dnsmasq has a process of its own for each TCP connection
                protocol = "udp" if int(pid) == dnsmasq.pid else "tcp"
                log.write("query", (client, int(port)), protocol=protocol, type=kind, name=name)
        elif ": started, version" in line:
            ready()
        elif "FAILED" in line or "failed" in line:
            sys.stderr.write(line)
    sys.exit(f"dnsmasq ended with status {dnsmasq.wait()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--name", action="append", help="web server: a name that it serves")
    parser.add_argument("--certificate", help="web server: a file with key and certificate")
    parser.add_argument("--pages", help="web server: a directory")
    parser.add_argument("--broken-name", help="resolver: answer SERVFAIL for this name")
    parser.add_argument("--record", action="append", default=[], help="resolver: an option for dnsmasq")
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()

    def ready() -> None:
        os.write(options.ready_fd, b"1")
        os.close(options.ready_fd)

    log = Log(options.service)
    if options.service == "resolver":
        serve_names(log, options.address, options.broken_name, options.record, ready)
    elif options.service == "proxy":
        serve_proxy(log, options.address)
    else:
        site = Site(options.service, options.name, options.address, options.pages)
        serve_web(log, site, options.address, options.certificate)
    ready()
    threading.Event().wait()


if __name__ == "__main__":
    main()
