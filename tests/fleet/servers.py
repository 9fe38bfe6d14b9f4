# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of the fleet: an HTTP server with a UDP echo, or the resolver.

In: name and addresses on the command line. Out: on standard output, one JSON line for everything that
reached the service; one byte on --ready-fd when it is up.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTTP_PORTS = (80, 8080)
ECHO_PORT = 9000
SERVFAIL_PORT = 5300        # on loopback: the "upstream" of the broken name
FETCH_TIMEOUT = 3


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


def page(service: str, path: str, own_address: str) -> tuple[int, str]:
    path = path.partition("?")[0]
    if path == "/":
        return 200, f"this is {service}\n"
    if service == "github.com" and path == "/install.sh":
        return 200, "#!/bin/sh\necho tool 1.2.3 installed\n"
    if service == "api.internal" and path == "/migrate":
        return fetch_github(own_address)
    return 404, f"{service} has no {path}\n"


def http_handler(log: Log, own_address: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # written before the answer: who has the answer finds the line
            log.write("request", self.client_address, protocol="tcp", port=self.server.server_port,
                      method=self.command, path=self.path, host=self.headers.get("Host"))
            status, text = page(log.service, self.path, own_address)
            body = text.encode()
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


class HttpServer(ThreadingHTTPServer):
    request_queue_size = 256

    def __init__(self, address: str, port: int, log: Log, own_address: str) -> None:
        self.address_family = family_of(address)
        self.log = log
        super().__init__((address, port), http_handler(log, own_address))

    def server_bind(self) -> None:
        # not HTTPServer's: it asks the resolver for this machine's name
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address

    def get_request(self):
        connection, client = super().get_request()
        self.log.write("accept", client, protocol="tcp", port=self.server_port)
        return connection, client

    def handle_error(self, request, client_address) -> None:
        """A client that goes away in the middle is an ordinary thing in these tests."""


def echo(sock: socket.socket, log: Log) -> None:
    while True:
        data, client = sock.recvfrom(65535)
        log.write("datagram", client, protocol="udp", port=ECHO_PORT, bytes=len(data))
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


def serve_http(service: str, addresses: list[str], ready) -> None:
    log = Log(service)
    for address in addresses:
        for port in HTTP_PORTS:
            in_thread(HttpServer(address, port, log, addresses[0]).serve_forever)
        in_thread(echo, udp_socket(address, ECHO_PORT), log)
    ready()
    threading.Event().wait()


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


_QUERY = re.compile(r"dnsmasq(?:\[\d+\])?: \d+ (\S+)/(\d+) query\[(\S+)\] (\S+) from ")


def serve_names(addresses: list[str], broken_name: str, records: list[str], ready) -> None:
    log = Log("resolver")
    in_thread(answer_servfail, udp_socket("127.0.0.1", SERVFAIL_PORT))
    command = resolver_command(addresses, broken_name, records)
    dnsmasq = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in dnsmasq.stderr:
        question = _QUERY.search(line)
        if question:
            client, port, kind, name = question.groups()
            log.write("query", (client, int(port)), type=kind, name=name)
        elif ": started, version" in line:
            ready()
        elif "FAILED" in line or "failed" in line:
            sys.stderr.write(line)
    sys.exit(f"dnsmasq ended with status {dnsmasq.wait()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--broken-name", help="resolver: answer SERVFAIL for this name")
    parser.add_argument("--record", action="append", default=[], help="resolver: an option for dnsmasq")
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()

    def ready() -> None:
        os.write(options.ready_fd, b"1")
        os.close(options.ready_fd)

    if options.service == "resolver":
        serve_names(options.address, options.broken_name, options.record, ready)
    else:
        serve_http(options.service, options.address, ready)


if __name__ == "__main__":
    main()
