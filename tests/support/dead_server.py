# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system (FUSE) whose server reads what it is asked, and never answers: what waits for it hangs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import sys

FUSE_INIT = struct.pack('=IIIIHHIIHHI', 7, 31, 0, 0, 12, 10, 4096, 1, 0, 0, 0) + bytes(28)  # struct fuse_init_out


@contextlib.contextmanager
def dead(directory):
    directory.mkdir()
    with subprocess.Popen([sys.executable, __file__, str(directory)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout.readline() == b'mounted\n'
            yield
        finally:
            server.kill()  # the kernel then answers for it
            subprocess.run(['umount', '-l', str(directory)], check=True)


def serve(directory):
    fuse = os.open('/dev/fuse', os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b'dead', directory.encode(), b'fuse', 0, b'fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other' % fuse):
        raise OSError(ctypes.get_errno(), 'mount')
    unique = struct.unpack_from('=IIQ', os.read(fuse, 1 << 20))[2]
    os.write(fuse, struct.pack('=IiQ', 16 + len(FUSE_INIT), 0, unique) + FUSE_INIT)
    print('mounted', flush=True)
    while True:
        os.read(fuse, 1 << 20)


if __name__ == '__main__':
    serve(sys.argv[1])
