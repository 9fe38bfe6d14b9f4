# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GnuTLS as a server: the name that it reads in a first message. See <gnutls/gnutls.h>."""

from __future__ import annotations

import ctypes
import errno

SERVER, DNS_NAME, CERTIFICATE = 1, 1, 1
STOP = -9  # any error ends the handshake
PULL = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
PUSH = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
POLL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
HELLO = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Server:
    """One for all messages; each gets a session of its own."""

    def __init__(self):
        self.library = ctypes.CDLL('libgnutls.so.30')
        self.credentials = ctypes.c_void_p()
        self.library.gnutls_certificate_allocate_credentials(ctypes.byref(self.credentials))
        self.callbacks = PULL(self._pull), PUSH(lambda _handle, _data, size: size), POLL(self._poll), HELLO(self._hello)
        self.left, self.name = b'', None

    def _pull(self, _handle, data, size):
        part, self.left = self.left[:size], self.left[size:]
        if not part:
            self.library.gnutls_transport_set_errno(self.session, errno.EAGAIN)
            return -1
        ctypes.memmove(data, part, len(part))
        return len(part)

    def _poll(self, _handle, _milliseconds):
        return 1 if self.left else 0

    def _hello(self, session):
        data, size, kind = ctypes.create_string_buffer(1024), ctypes.c_size_t(1024), ctypes.c_uint()
        result = self.library.gnutls_server_name_get(
            ctypes.c_void_p(session), data, ctypes.byref(size), ctypes.byref(kind), 0)
        if result == 0 and kind.value == DNS_NAME:
            self.name = data.raw[:size.value].rstrip(b'\0').decode('latin-1')
        return STOP

    def sees(self, message):
        self.left, self.name = message, None
        self.session = ctypes.c_void_p()
        self.library.gnutls_init(ctypes.byref(self.session), SERVER)
        try:
            self.library.gnutls_set_default_priority(self.session)
            self.library.gnutls_credentials_set(self.session, CERTIFICATE, self.credentials)
            pull, push, poll, hello = self.callbacks
            self.library.gnutls_transport_set_pull_function(self.session, pull)
            self.library.gnutls_transport_set_push_function(self.session, push)
            self.library.gnutls_transport_set_pull_timeout_function(self.session, poll)
            self.library.gnutls_handshake_set_post_client_hello_function(self.session, hello)
            for _time in range(600):  # a piece of a hello, or a warning, ends the call, and the server goes on
                result = self.library.gnutls_handshake(self.session)
                if not self.left or self.library.gnutls_error_is_fatal(result):
                    break
        finally:
            self.library.gnutls_deinit(self.session)
        return self.name
