# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accesses to a denied file: what test_files.py has tried on each kernel, and expects of it.

Runs on the machine, and is imported by the tests for its tables. `accesses.py prepare` makes the files, before there is a
guard; `accesses.py outside` then does what other processes of the host do, and stays as one; `accesses.py inside` tries each
one in a process of its own and prints {access: {"outcome", "pids"}} as JSON, `outcome` being `passes`, the name of an errno
or a sentence; `accesses.py loop` opens a denied file until it is told to stop.
"""

from __future__ import annotations

import array
import ctypes
import errno
import json
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import namedtuple

DENIED = ["/srv/denied", "/srv/single", "/srv/alias", "/srv/replaced", "/srv/moved", "/srv/mounted", "/opt/none/yet",
          "/opt/late"]
# one tree, over NFS and over SFTP: the servers run on the machine itself
SHARED, NFS, FUSE = "/var/accesses", "/mnt/nfs", "/mnt/fuse"
ALLOWED = ["/srv/denied/ok", NFS + "/open", FUSE + "/open"]
FILESYSTEMS = ["squashfs", "nfs4", "fuse.*"]
REMOTE = [NFS + "/open/file", FUSE + "/open/file"]      # what is allowed, and comes over a network
PROCESSES, OPENS = 200, 50      # of the access that counts
STOP, LOOPING = "/run/accesses.stop", "/run/accesses.looping"
PID = "/run/accesses.pid"
SERVER = "\0ways"
PART = "n" * 240

# What is tried. `records`: what stands in the report, as "kind path", each once; none: it passes. `in_monitor`: what
# stands there in addition where nothing is denied, because then the way goes on. `limit`: why it passes; the rules do
# not mean it, or can't see it. `differs`: {kernel: records} where that is another story, with `because`.
Access = namedtuple("Access", "title attempt records in_monitor undo limit differs because")
ACCESSES = {}
NO_LAYERS = {"5.10": (), "6.1": ()}
LAYERS = "there the kernel does not show the file of the layer; the path or the type of the overlay can be denied"


def access(title, *records, in_monitor=(), undo=None, limit=None, differs=None, because=None):
    def keep(attempt):
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        assert name not in ACCESSES, name
        ACCESSES[name] = Access(title, attempt, records, in_monitor, undo, limit, differs or {}, because)
        return attempt
    return keep


# The kernel's calls that Python has no words for

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
OPENAT2, OPEN_TREE, IO_URING_SETUP, IO_URING_ENTER, EXECVEAT, RENAMEAT2 = 437, 428, 425, 426, 322, 316
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, CLONE_NEWNS = 0x1000, 0x2000, 0x4000, 1 << 18, 0x20000


def call(number, *arguments):
    """A system call: text as bytes, numbers as long."""
    result = libc.syscall(ctypes.c_long(number), *(
        argument if not isinstance(argument, (int, str)) else ctypes.c_long(argument) if isinstance(argument, int)
        else ctypes.c_char_p(os.fsencode(argument)) for argument in arguments))
    return checked(result)


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def mount(source, target, kind="none", flags=0, data=None):
    checked(libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags),
                       data and os.fsencode(data)))


def bind(source, target):
    os.makedirs(target, exist_ok=True) if os.path.isdir(source) else touch(target)
    mount(source, target, flags=MS_BIND)


def own_mounts():
    checked(libc.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def touch(path, content="content\n"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(content)


def read(path, **options):
    """What a reader does; nothing that is denied gets as far as to have an empty file."""
    fd = os.open(path, os.O_RDONLY, **options)
    try:
        if not os.read(fd, 1):
            raise ValueError("read nothing")
    finally:
        os.close(fd)


EXECUTED = []   # the processes of an attempt that ran programs


def execute(*arguments, run=os.execv):
    """Runs a program; raises the OSError of the execution, or of what it complains about."""
    receive, send = os.pipe()
    wrong, said = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(said, 2)
        try:
            run(arguments[0], arguments)
        except OSError as error:
            os.write(send, str(error.errno).encode())
        finally:
            os._exit(1)
    EXECUTED.append(child)
    os.close(send)
    os.close(said)
    failed = os.read(receive, 16)
    with os.fdopen(wrong) as words:
        complaint = words.read()
    _pid, status = os.waitpid(child, 0)
    if failed:
        raise OSError(int(failed), "execve")
    if "Permission denied" in complaint:
        raise PermissionError(errno.EACCES, complaint)
    if status:
        raise ValueError(f"status {status}: {complaint}")


def uring(path, flags=0, sqpoll=False):
    """Opens by io_uring: IORING_OP_OPENAT, with the flags of a submission."""
    parameters = bytearray(120)
    struct.pack_into("IIII", parameters, 0, 4, 0, 2 if sqpoll else 0, 0)
    ring = call(IO_URING_SETUP, 4, (ctypes.c_char * 120).from_buffer(parameters))
    entries, = struct.unpack_from("I", parameters, 0)
    sq = struct.unpack_from("8I", parameters, 40)
    cq = struct.unpack_from("8I", parameters, 80)
    submit = mmap.mmap(ring, sq[6] + 4 * entries, offset=0)
    complete = mmap.mmap(ring, cq[5] + 16 * 8, offset=0x8000000)
    requests = mmap.mmap(ring, 64 * entries, offset=0x10000000)
    name = ctypes.create_string_buffer(os.fsencode(path))
    struct.pack_into("=BBHiQQIIQ", requests, 0, 18, flags, 0, AT_FDCWD, 0, ctypes.addressof(name), 0, os.O_RDONLY, 7)
    struct.pack_into("I", submit, sq[6], 0)
    struct.pack_into("I", submit, sq[1], 1)
    call(IO_URING_ENTER, ring, 0 if sqpoll else 1, 1, 1 | (2 if sqpoll else 0), 0, 0)
    _data, result, _flags = struct.unpack_from("=QiI", complete, cq[5])
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    os.read(result, 1)
    os.close(result)


class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]


def by_handle(path, forget=False):
    """Opens by what an NFS server would call the file; `forget`: when the kernel no longer knows where it is."""
    handle, unused = Handle(size=128), ctypes.c_int()
    checked(libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(unused), 0))
    place = os.open("/", os.O_RDONLY)
    if forget:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("2")
    fd = checked(libc.open_by_handle_at(place, ctypes.byref(handle), os.O_RDONLY))
    os.read(fd, 1)
    os.close(fd)


def from_outside(path):
    """A file descriptor that another process opened, outside the guard."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(SERVER)
        client.sendall(path.encode())
        _data, told, _flags, _address = client.recvmsg(1, socket.CMSG_SPACE(4))
    return array.array("i", told[0][2])[0]


def rename_outside(old, new):
    """By another process, outside the guard."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(SERVER)
        client.sendall(f"{old} {new}".encode())
        client.recv(1)


def missing(path):
    if os.path.lexists(path):
        raise ValueError(f"{path} is there all the same")


# The files, as they are before there is a guard

OWN = ("unlinked", "renamed-out", "renamed-within", "exchanged", "linked-out", "truncated", "emptied", "looped",
       "counted", "handle", "forgotten", "chmod", "passed", "mapped")


def share():
    """Once on a machine: a tree that comes over a network, in two accesses."""
    for path in (SHARED + "/file", SHARED + "/open/file"):
        touch(path)
    touch("/etc/nfs.conf.d/accesses.conf", "[nfsd]\nvers3=n\ngrace-time=10\nthreads=1\n")
    subprocess.run(["systemctl", "start", "nfs-server"], check=True)
    subprocess.run(["exportfs", "-o", "rw,no_root_squash,insecure,fsid=0,no_subtree_check", "127.0.0.1:" + SHARED],
                   check=True)
    for place in (NFS, FUSE):
        os.makedirs(place)
    subprocess.run(["mount", "-t", "nfs4", "127.0.0.1:/", NFS], check=True)
    server, client = socket.socketpair()
    for end, command in ((server, ["/usr/lib/openssh/sftp-server"]),
                         (client, ["sshfs", ":" + SHARED, FUSE, "-o", "passive"])):
        subprocess.Popen(command, stdin=end, stdout=end, stderr=subprocess.DEVNULL, start_new_session=True)
    while not os.path.ismount(FUSE):
        time.sleep(0.1)


def prepare():
    clear()
    if not os.path.ismount(FUSE):
        share()
    for name in ("file", "sub/file", "sub/deeper/file", "ok/file", "ok/deeper/file", "removed-directory/", *OWN):
        path = os.path.join("/srv/denied", name)
        if name.endswith("/"):
            os.makedirs(path)
        else:
            touch(path)
    for path in ("/srv/single", "/srv/replaced", "/srv/moved/file", "/srv/mounted/below", "/srv/target/file",
                 "/srv/denied2", "/srv/denie", "/srv/denied.txt", "/srv/plain/file", "/srv/plain/linked-in",
                 "/srv/plain/renamed-in", "/srv/plain/exchanged", "/srv/elsewhere/denied/file", "/srv/single2",
                 "/opt/none/other", "/opt/parent/file"):
        touch(path)
    os.symlink("target", "/srv/alias")
    os.symlink("/srv/denied/file", "/srv/link-to-file")
    os.symlink("denied", "/srv/link-to-tree")
    os.symlink("/srv/link-to-tree/sub", "/srv/chain1")
    os.symlink("chain1/deeper", "/srv/chain2")
    os.symlink("/srv/chain2/file", "/srv/chain3")
    os.symlink("/srv/plain/file", "/srv/denied/link-out")
    os.link("/srv/single", "/srv/single-link")
    touch("/srv/denied/hard")
    os.link("/srv/denied/hard", "/srv/tree-link")
    for name in (b"new\nline", "\u00e9t\u00e9 \u6f22".encode(), b"\xff\xfe"):
        for tree in (b"/srv/denied/", b"/srv/plain/"):
            with open(tree + name, "w") as file:
                file.write("content")
    for path in ("/srv/denied/program", "/srv/plain/program"):
        shutil.copy("/bin/true", path)
    for path in ("/srv/denied/script", "/srv/plain/script"):
        touch(path, "#!/bin/sh\nexit 0\n")
        os.chmod(path, 0o755)
    touch("/srv/plain/interpreted", "#!/srv/denied/program\n")
    os.chmod("/srv/plain/interpreted", 0o755)
    library = os.path.realpath(next(path for path in ("/lib/x86_64-linux-gnu/libz.so.1", "/lib64/libz.so.1")
                                    if os.path.exists(path)))
    shutil.copy(library, "/srv/denied/library.so")
    os.mkfifo("/srv/denied/fifo")
    for tree in ("denied", "plain"):
        deep(f"/srv/{tree}/long", [PART] * 12)
        deep(f"/srv/{tree}/longer", [PART] * 20)
    deep("/srv/plain/deep", ["d"] * 70)
    touch("/srv/plain/deep" + "/d" * 57 + "/file")
    os.makedirs("/srv/jail/inside")
    bind("/srv/denied", "/srv/bound/tree")
    bind("/srv/denied/sub", "/srv/bound/sub")
    bind("/srv/single", "/srv/bound/single")
    bind("/srv/denied/file", "/srv/bound/file")
    bind("/srv/denied", "/srv/jail/inside")
    touch("/srv/image/file")
    subprocess.run(["mksquashfs", "/srv/image", "/srv/image.squashfs", "-quiet", "-no-progress"], check=True,
                   stdout=subprocess.DEVNULL)
    os.makedirs("/srv/squashed")
    subprocess.run(["mount", "-t", "squashfs", "-o", "loop", "/srv/image.squashfs", "/srv/squashed"], check=True)
    subprocess.run(["modprobe", "overlay"], check=True)
    for name, lower in (("tree", "/srv/denied"), ("plain", "/srv/plain"), ("above", "/srv")):
        for part in ("upper", "work", "merged"):
            os.makedirs(f"/run/accesses/{name}/{part}")
        mount("overlay", f"/run/accesses/{name}/merged", "overlay",
              data=f"lowerdir={lower},upperdir=/run/accesses/{name}/upper,workdir=/run/accesses/{name}/work")
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("2")


def deep(start, parts):
    """A file below more directories than a path can name."""
    os.makedirs(start)
    here = os.open("/", os.O_RDONLY)
    os.chdir(start)
    for part in parts:
        os.mkdir(part)
        os.chdir(part)
    with open("file", "w") as file:
        file.write("content\n")
    os.fchdir(here)
    os.close(here)


def enter(start, parts):
    os.chdir(start)
    for part in parts:
        os.chdir(part)


def clear():
    """Whatever an earlier run has left."""
    if os.path.exists(PID):
        with open(PID) as file:
            os.kill(int(file.read()), signal.SIGTERM)
    with open("/proc/self/mounts") as file:
        mounted = [line.split()[1].encode().decode("unicode_escape") for line in file]
    for place in reversed(mounted):
        if place.startswith(("/srv/", "/opt/", "/run/accesses/")):
            subprocess.run(["umount", "-l", place], check=True)
    for place in ("/srv", "/opt/none", "/opt/parent", "/opt/renamed", "/opt/early", "/opt/late", "/run/accesses", PID, STOP, LOOPING):
        subprocess.run(["rm", "-rf", place], check=True)
    os.makedirs("/srv")


# What happens outside, while the guard is up

def outside():
    """Prints {file: outcome}, then stays in the background and opens what it is asked to."""
    touch("/opt/none/yet/file")
    touch("/srv/plain/replacing")
    os.rename("/srv/plain/replacing", "/srv/replaced")
    os.rename("/srv/moved", "/srv/moved-away")
    os.makedirs("/srv/renewed")
    mount("none", "/srv/mounted", "tmpfs")
    touch("/srv/mounted/file")
    touch("/srv/denied/later")
    bind("/srv/denied/sub", "/srv/bound/later")
    outcomes = {}
    for path in ("/srv/denied/file", "/srv/single", "/srv/replaced", "/srv/moved-away/file", "/srv/mounted/file",
                 "/opt/none/yet/file", "/srv/squashed/file", "/srv/target/file"):
        outcomes[path] = outcome_of(lambda path=path: read(path))
    for path in ("/srv/denied/made", "/srv/single.made"):
        outcomes[f"make and remove {path}"] = outcome_of(lambda path=path: (touch(path), os.unlink(path)))
    outcomes["execute /srv/denied/program"] = outcome_of(lambda: execute("/srv/denied/program"))
    server = socket.socket(socket.AF_UNIX)
    server.bind(SERVER)
    server.listen(8)
    print(json.dumps(outcomes), flush=True)
    child = os.fork()
    if child:
        touch(PID, str(child))
        os._exit(0)
    os.setsid()
    for fd in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    while True:
        client, _address = server.accept()
        with client:
            asked, _space, new = client.recv(4096).decode().partition(" ")
            if new:
                os.rename(asked, new)
                continue
            fd = os.open(asked, os.O_RDONLY)
            client.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            os.close(fd)


# The accesses

@access("open a file for reading", "file /srv/denied/file")
def try_open_a_file_for_reading():
    read("/srv/denied/file")


@access("open for writing", "file /srv/denied/emptied")
def try_open_for_writing():
    os.close(os.open("/srv/denied/emptied", os.O_WRONLY))


@access("open with O_TRUNC: the size stays", "file /srv/denied/emptied", in_monitor=("file /srv/denied/emptied",))
def try_open_with_o_trunc_the_size_stays():
    try:
        os.close(os.open("/srv/denied/emptied", os.O_WRONLY | os.O_TRUNC))
    except OSError:
        if not os.stat("/srv/denied/emptied").st_size:
            raise ValueError("denied, and empty all the same") from None
        raise


@access("open with O_CREAT: nothing is left behind", "file /srv/denied/created")
def try_open_with_o_creat_nothing_is_left_behind():
    try:
        os.close(os.open("/srv/denied/created", os.O_WRONLY | os.O_CREAT))
    except OSError:
        missing("/srv/denied/created")
        raise


@access("open with O_TMPFILE", "file /srv/denied/#N")
def try_open_with_o_tmpfile():
    os.close(os.open("/srv/denied", os.O_WRONLY | os.O_TMPFILE))


@access("list the directory", "file /srv/denied")
def try_list_the_directory():
    os.listdir("/srv/denied")


@access("a relative path with ..", "file /srv/denied/file")
def try_a_relative_path_with():
    os.chdir("/srv/plain")
    read("../plain/../denied/sub/../file")


@access("the working directory is inside", "file /srv/denied/sub/file")
def try_the_working_directory_is_inside():
    os.chdir("/srv/denied/sub")
    read("file")


@access("a symbolic link to the file", "file /srv/denied/file")
def try_a_symbolic_link_to_the_file():
    read("/srv/link-to-file")


@access("a symbolic link to the directory", "file /srv/denied/sub/file")
def try_a_symbolic_link_to_the_directory():
    read("/srv/link-to-tree/sub/file")


@access("a chain of symbolic links", "file /srv/denied/sub/deeper/file")
def try_a_chain_of_symbolic_links():
    read("/srv/chain3")


@access("a symbolic link in the tree that leads out of it", limit="what is opened lies outside")
def try_a_symbolic_link_in_the_tree_that_leads_out_of_it():
    read("/srv/denied/link-out")


@access("the target of a rule's path that is a symbolic link", "file /srv/target/file")
def try_the_target_of_a_rule_s_path_that_is_a_symbolic_lin():
    read("/srv/target/file")


@access("through the rule's path that is a symbolic link", "file /srv/target/file")
def try_through_the_rule_s_path_that_is_a_symbolic_link():
    read("/srv/alias/file")


@access("remove the rule's path that is a symbolic link", "file /srv/alias",
        undo=lambda: os.symlink("target", "/srv/alias"))
def try_remove_the_rule_s_path_that_is_a_symbolic_link():
    os.unlink("/srv/alias")


@access("an earlier hard link of a denied file", "file /srv/single-link")
def try_an_earlier_hard_link_of_a_denied_file():
    read("/srv/single-link")


@access("an earlier hard link of a file in the tree",
        limit="only the paths of rules are known by their inodes, and this name lies outside")
def try_an_earlier_hard_link_of_a_file_in_the_tree():
    read("/srv/tree-link")


@access("link(2) out of the tree", "file /srv/denied/linked-out")
def try_link_2_out_of_the_tree():
    os.link("/srv/denied/linked-out", "/srv/plain/linked-out")


@access("link(2) into the tree", "file /srv/denied/linked-in")
def try_link_2_into_the_tree():
    os.link("/srv/plain/linked-in", "/srv/denied/linked-in")


@access("link(2) of a denied file", "file /srv/single")
def try_link_2_of_a_denied_file():
    os.link("/srv/single", "/srv/plain/single")


@access("an earlier bind mount of the tree", "file /srv/bound/tree/file")
def try_an_earlier_bind_mount_of_the_tree():
    read("/srv/bound/tree/file")


@access("an earlier bind mount of a directory in the tree", "file /srv/bound/sub/file")
def try_an_earlier_bind_mount_of_a_directory_in_the_tree():
    read("/srv/bound/sub/file")


@access("an earlier bind mount of a file in the tree", "file /srv/bound/file")
def try_an_earlier_bind_mount_of_a_file_in_the_tree():
    read("/srv/bound/file")


@access("an earlier bind mount of a denied file", "file /srv/bound/single")
def try_an_earlier_bind_mount_of_a_denied_file():
    read("/srv/bound/single")


@access("a later bind mount of a directory in the tree", "file /srv/bound/later/file")
def try_a_later_bind_mount_of_a_directory_in_the_tree():
    read("/srv/bound/later/file")


@access("a bind mount made inside, in a mount namespace of its own", "file /srv/jail/file")
def try_a_bind_mount_made_inside_in_a_mount_namespace_of_i():
    own_mounts()
    mount("/srv/denied", "/srv/jail", flags=MS_BIND)
    read("/srv/jail/file")


@access("a bind mount of a directory in the tree, in a mount namespace of its own", "file /srv/jail/file")
def try_a_bind_mount_of_a_directory_in_the_tree_in_a_mount():
    own_mounts()
    mount("/srv/denied/sub", "/srv/jail", flags=MS_BIND)
    read("/srv/jail/file")


@access("another root by pivot_root(2)", "file /srv/denied/file")
def try_another_root_by_pivot_root_2():
    own_mounts()
    mount("/", "/mnt", flags=MS_BIND | MS_REC)
    os.chdir("/mnt")
    call(155, ".", ".")
    checked(libc.umount2(b".", 2))
    read("/srv/denied/file")


@access("open_tree(2): a mount that hangs nowhere", "file /file")
def try_open_tree_2_a_mount_that_hangs_nowhere():
    tree = call(OPEN_TREE, AT_FDCWD, "/srv/denied", 1)
    read("file", dir_fd=tree)


@access("open_tree(2) of a directory in the tree", "file /file")
def try_open_tree_2_of_a_directory_in_the_tree():
    tree = call(OPEN_TREE, AT_FDCWD, "/srv/denied/sub", 1)
    read("file", dir_fd=tree)


@access("/proc/self/root", "file /srv/denied/file")
def try_proc_self_root():
    read("/proc/self/root/srv/denied/file")


@access("/proc/self/cwd", "file /srv/denied/file")
def try_proc_self_cwd():
    os.chdir("/srv/denied")
    read("/proc/self/cwd/file")


@access("/proc/1/root", "file /srv/denied/file")
def try_proc_1_root():
    read("/proc/1/root/srv/denied/file")


@access("chroot(2) above the tree", "file /srv/denied/file")
def try_chroot_2_above_the_tree():
    os.chroot("/srv")
    read("/denied/file")


@access("chroot(2) with a bind mount of the tree", "file /srv/jail/inside/file")
def try_chroot_2_with_a_bind_mount_of_the_tree():
    os.chroot("/srv/jail")
    read("/inside/file")


@access("chroot(2) into the tree", "file /srv/denied/file")
def try_chroot_2_into_the_tree():
    os.chroot("/srv/denied")
    read("/file")


@access("openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS", "file /srv/denied/sub/file")
def try_openat2_2_with_resolve_beneath_and_resolve_no_syml():
    how = struct.pack("QQQ", os.O_RDONLY, 0, 0x08 | 0x04)
    os.close(call(OPENAT2, os.open("/srv", os.O_PATH), "denied/sub/file", ctypes.c_char_p(how), 24))


@access("openat2(2) with RESOLVE_IN_ROOT", "file /srv/denied/sub/file")
def try_openat2_2_with_resolve_in_root():
    how = struct.pack("QQQ", os.O_RDONLY, 0, 0x10)
    os.close(call(OPENAT2, os.open("/srv", os.O_PATH), "/denied/sub/file", ctypes.c_char_p(how), 24))


@access("open with O_PATH", limit="it gives no data")
def try_open_with_o_path():
    fd = os.open("/srv/denied/file", os.O_PATH)
    try:
        os.read(fd, 1)
    except OSError as error:
        if error.errno == errno.EBADF:
            return
    raise ValueError("O_PATH gives data")


@access("O_PATH, opened again through /proc/self/fd", "file /srv/denied/file")
def try_o_path_opened_again_through_proc_self_fd():
    read(f"/proc/self/fd/{os.open('/srv/denied/file', os.O_PATH)}")


@access("io_uring", "file /srv/denied/file")
def try_io_uring():
    uring("/srv/denied/file")


@access("io_uring with IOSQE_ASYNC", "file /srv/denied/file")
def try_io_uring_with_iosqe_async():
    uring("/srv/denied/file", flags=1 << 4)


@access("io_uring with IORING_SETUP_SQPOLL", "file /srv/denied/file")
def try_io_uring_with_ioring_setup_sqpoll():
    uring("/srv/denied/file", sqpoll=True)


@access("open_by_handle_at(2)", "file /srv/denied/handle")
def try_open_by_handle_at_2():
    by_handle("/srv/denied/handle")


@access("open_by_handle_at(2), of a file that the kernel has forgotten", "file -")
def try_open_by_handle_at_2_of_a_file_that_the_kernel_has():
    by_handle("/srv/denied/forgotten", forget=True)


@access("open_by_handle_at(2), of a denied file that the kernel has forgotten", "file /srv/single")
def try_open_by_handle_at_2_of_a_denied_file_that_the_kern():
    by_handle("/srv/single", forget=True)


@access("an overlay above the tree", "file -", differs=NO_LAYERS, because=LAYERS)
def try_an_overlay_above_the_tree():
    read("/run/accesses/tree/merged/file")


@access("an overlay above the directory with the tree", "file -", differs=NO_LAYERS, because=LAYERS)
def try_an_overlay_above_the_directory_with_the_tree():
    read("/run/accesses/above/merged/denied/file")


@access("an overlay above a denied file", "file -", differs=NO_LAYERS, because=LAYERS)
def try_an_overlay_above_a_denied_file():
    read("/run/accesses/above/merged/single")


@access("list an overlay above the tree", "file -")
def try_list_an_overlay_above_the_tree():
    os.listdir("/run/accesses/tree/merged")


@access("an overlay above another directory")
def try_an_overlay_above_another_directory():
    read("/run/accesses/plain/merged/file")


@access("a file descriptor that came from outside", limit="it was opened outside")
def try_a_file_descriptor_that_came_from_outside():
    os.read(from_outside("/srv/denied/passed"), 1)


@access("such a file descriptor, opened again", "file /srv/denied/passed")
def try_such_a_file_descriptor_opened_again():
    read(f"/proc/self/fd/{from_outside('/srv/denied/passed')}")


@access("from a directory's file descriptor that came from outside", "file /srv/denied/sub/file")
def try_from_a_directory_s_file_descriptor_that_came_from():
    read("file", dir_fd=from_outside("/srv/denied/sub"))


@access("the block device below the file system", limit="the rules mean files, not what holds them")
def try_the_block_device_below_the_file_system():
    with open("/proc/self/mounts") as file:
        read(next(line.split()[0] for line in file if line.split()[1] == "/"))


@access("mmap(2) of a file", "file /srv/denied/mapped")
def try_mmap_2_of_a_file():
    with open("/srv/denied/mapped", "rb") as file:
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@access("a shared library", "file /srv/denied/library.so")
def try_a_shared_library():
    try:
        ctypes.CDLL("/srv/denied/library.so")
    except OSError as error:
        if "Permission denied" in str(error):
            raise PermissionError(errno.EACCES, "dlopen") from None
        raise


@access("open a FIFO", "file /srv/denied/fifo")
def try_open_a_fifo():
    os.close(os.open("/srv/denied/fifo", os.O_RDWR))


@access("truncate(2)", "file /srv/denied/truncated")
def try_truncate_2():
    os.truncate("/srv/denied/truncated", 0)


@access("unlink(2)", "file /srv/denied/unlinked")
def try_unlink_2():
    os.unlink("/srv/denied/unlinked")


@access("rmdir(2)", "file /srv/denied/removed-directory")
def try_rmdir_2():
    os.rmdir("/srv/denied/removed-directory")


@access("mkdir(2)", "file /srv/denied/new-directory")
def try_mkdir_2():
    os.mkdir("/srv/denied/new-directory")


@access("mknod(2) of a FIFO", "file /srv/denied/new-fifo")
def try_mknod_2_of_a_fifo():
    os.mkfifo("/srv/denied/new-fifo")


@access("bind(2) of a unix socket", "file /srv/denied/new-socket")
def try_bind_2_of_a_unix_socket():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("/srv/denied/new-socket")


@access("symlink(2)", "file /srv/denied/new-link")
def try_symlink_2():
    os.symlink("/srv/plain/file", "/srv/denied/new-link")


@access("rename out of the tree", "file /srv/denied/renamed-out")
def try_rename_out_of_the_tree():
    os.rename("/srv/denied/renamed-out", "/srv/plain/renamed-out")


@access("rename into the tree", "file /srv/denied/renamed-in")
def try_rename_into_the_tree():
    os.rename("/srv/plain/renamed-in", "/srv/denied/renamed-in")


@access("rename within the tree", "file /srv/denied/renamed-within", in_monitor=("file /srv/denied/renamed-there",))
def try_rename_within_the_tree():
    os.rename("/srv/denied/renamed-within", "/srv/denied/renamed-there")


@access("rename the tree itself", "file /srv/denied", undo=lambda: os.rename("/srv/renamed", "/srv/denied"))
def try_rename_the_tree_itself():
    os.rename("/srv/denied", "/srv/renamed")


@access("RENAME_EXCHANGE with a file of the tree", "file /srv/denied/exchanged")
def try_rename_exchange_with_a_file_of_the_tree():
    call(RENAMEAT2, AT_FDCWD, "/srv/plain/exchanged", AT_FDCWD, "/srv/denied/exchanged", 2)


@access("rename the directory above the tree", undo=lambda: os.rename("/opt/renamed", "/opt/none"),
        limit="the tree is still known by its inode; what a rule knows by its path alone is not")
def try_rename_the_directory_above_the_tree():
    os.rename("/opt/none", "/opt/renamed")


@access("execute a program", "exec /srv/denied/program")
def try_execute_a_program():
    execute("/srv/denied/program")


@access("execute a script", "exec /srv/denied/script", in_monitor=("file /srv/denied/script",))
def try_execute_a_script():
    execute("/srv/denied/script")


@access("execute a script whose interpreter is denied", "exec /srv/denied/program")
def try_execute_a_script_whose_interpreter_is_denied():
    execute("/srv/plain/interpreted")


@access("sh SCRIPT", "file /srv/denied/script")
def try_sh_script():
    execute("/bin/sh", "/srv/denied/script")


@access("the dynamic loader with the program", "file /srv/denied/program")
def try_the_dynamic_loader_with_the_program():
    execute("/lib64/ld-linux-x86-64.so.2", "/srv/denied/program")


@access("execveat(2) with the directory's file descriptor", "exec /srv/denied/program")
def try_execveat_2_with_the_directory_s_file_descriptor():
    directory = os.open("/srv/denied", os.O_PATH)
    execute("program", run=lambda path, _arguments: execveat(directory, path, 0))


@access("fexecve(3) of an O_PATH file descriptor", "exec /srv/denied/program")
def try_fexecve_3_of_an_o_path_file_descriptor():
    program = os.open("/srv/denied/program", os.O_PATH)
    execute("", run=lambda _path, _arguments: execveat(program, "", AT_EMPTY_PATH))


@access("fexecve(3) of a file descriptor that came from outside", "exec /srv/denied/program")
def try_fexecve_3_of_a_file_descriptor_that_came_from_outs():
    program = from_outside("/srv/denied/program")
    execute("", run=lambda _path, _arguments: execveat(program, "", AT_EMPTY_PATH))


def execveat(directory, path, flags):
    call(EXECVEAT, directory, path, (ctypes.c_char_p * 2)(b"program", None), (ctypes.c_char_p * 1)(None), flags)


@access("stat(2)", limit="what is about a file, and not in it, is not judged")
def try_stat_2():
    os.stat("/srv/denied/file")


@access("access(2)", limit="as stat(2)")
def try_access_2():
    if not os.access("/srv/denied/file", os.R_OK):
        raise PermissionError(errno.EACCES, "access")


@access("chmod(2), chown(2), utime(2)", limit="as stat(2)")
def try_chmod_2_chown_2_utime_2():
    os.chmod("/srv/denied/chmod", 0o600)
    os.chown("/srv/denied/chmod", 0, 0)
    os.utime("/srv/denied/chmod")


@access("setxattr(2)", limit="as stat(2)")
def try_setxattr_2():
    os.setxattr("/srv/denied/chmod", "user.test", b"value")


@access("chdir(2), and readlink(2)", limit="as stat(2)")
def try_chdir_2_and_readlink_2():
    os.chdir("/srv/denied")
    os.readlink("link-out")


@access("a path that was not there, made outside after the start", "file /opt/none/yet/file")
def try_a_path_that_was_not_there_made_outside_after_the_s():
    read("/opt/none/yet/file")


@access("beside a path that was not there")
def try_beside_a_path_that_was_not_there():
    read("/opt/none/other")


@access("a path that was not there, through a bind mount", limit="it is known by its path alone")
def try_a_path_that_was_not_there_through_a_bind_mount():
    own_mounts()
    mount("/opt/none", "/srv/jail", flags=MS_BIND)
    read("/srv/jail/yet/file")


@access("a denied file that another took the place of, outside", "file /srv/replaced")
def try_a_denied_file_that_another_took_the_place_of_outsi():
    read("/srv/replaced")


@access("a tree that was moved, outside", "file /srv/moved-away/file")
def try_a_tree_that_was_moved_outside():
    read("/srv/moved-away/file")


@access("a mount above a denied directory, made outside", "file /srv/mounted/file")
def try_a_mount_above_a_denied_directory_made_outside():
    read("/srv/mounted/file")


@access("a mount whose directory is renamed outside, after it was read", "file /opt/late/mount/file")
def try_a_mount_whose_directory_is_renamed_outside_after_it_was_read():
    os.makedirs("/opt/early/mount")
    mount("none", "/opt/early/mount", "tmpfs")
    touch("/opt/early/mount/file")
    read("/opt/early/mount/file")
    rename_outside("/opt/early", "/opt/late")
    read("/opt/late/mount/file")


@access("a mount that is moved into the tree, after it was read", "file /srv/denied/sub/file")
def try_a_mount_that_is_moved_into_the_tree_after_it_was_read():
    own_mounts()
    mount("none", "/srv/jail", "tmpfs")
    touch("/srv/jail/file")
    read("/srv/jail/file")
    mount("/srv/jail", "/srv/denied/sub", flags=MS_MOVE)
    read("/srv/denied/sub/file")


@access("a file that was made in the tree, outside", "file /srv/denied/later")
def try_a_file_that_was_made_in_the_tree_outside():
    read("/srv/denied/later")


@access("below the allow rule")
def try_below_the_allow_rule():
    read("/srv/denied/ok/file")
    read("/srv/denied/ok/deeper/file")


@access("list and make below the allow rule")
def try_list_and_make_below_the_allow_rule():
    os.listdir("/srv/denied/ok")
    touch("/srv/denied/ok/new")
    os.rename("/srv/denied/ok/new", "/srv/denied/ok/newer")
    os.unlink("/srv/denied/ok/newer")


@access("from below the allow rule upwards", "file /srv/denied/file")
def try_from_below_the_allow_rule_upwards():
    read("/srv/denied/ok/../file")


@access("rename out of the allowed directory into the tree", "file /srv/denied/from-ok")
def try_rename_out_of_the_allowed_directory_into_the_tree():
    touch("/srv/denied/ok/from-ok")
    os.rename("/srv/denied/ok/from-ok", "/srv/denied/from-ok")


@access("a directory of the tree, mounted above the allowed one", "file /srv/denied/ok/file")
def try_a_directory_of_the_tree_mounted_above_the_allowed():
    own_mounts()
    mount("/srv/denied/sub", "/srv/denied/ok", flags=MS_BIND)
    read("/srv/denied/ok/file")


@access("similar names: /srv/denied2, /srv/denie, /srv/denied.txt, /srv/single2")
def try_similar_names_srv_denied2_srv_denie_srv_denied_txt():
    for path in ("/srv/denied2", "/srv/denie", "/srv/denied.txt", "/srv/single2", "/srv/elsewhere/denied/file"):
        read(path)


@access("a file on a denied type of file system", "file /srv/squashed/file")
def try_a_file_on_a_denied_type_of_file_system():
    read("/srv/squashed/file")


@access("list a directory on a denied type of file system", "file /srv/squashed")
def try_list_a_directory_on_a_denied_type_of_file_system():
    os.listdir("/srv/squashed")


@access("a file on NFS, which is a denied type of file system", f"file {NFS}/file")
def try_a_file_on_nfs_which_is_a_denied_type_of_file_system():
    read(NFS + "/file")


@access("a file on a FUSE file system, of which every type is denied", f"file {FUSE}/file")
def try_a_file_on_a_fuse_file_system_of_which_every_type_is_denied():
    read(FUSE + "/file")


@access("below an allow rule, on a denied type of file system")
def try_below_an_allow_rule_on_a_denied_type_of_file_system():
    for path in REMOTE:
        read(path)


@access("below 60 directories")
def try_below_60_directories():
    read("/srv/plain/deep" + "/d" * 57 + "/file")


@access("below 73 directories", "file /srv/plain/deep" + "/d" * 70 + "/file")
def try_below_73_directories():
    read("/srv/plain/deep" + "/d" * 70 + "/file")


@access("a path of 3000 bytes, in the tree", "file ...tail")
def try_a_path_of_3000_bytes_in_the_tree():
    read("/srv/denied/long" + ("/" + PART) * 12 + "/file")


@access("a path of 3000 bytes, elsewhere")
def try_a_path_of_3000_bytes_elsewhere():
    read("/srv/plain/long" + ("/" + PART) * 12 + "/file")


@access("a path of 5000 bytes, in the tree", "file -")
def try_a_path_of_5000_bytes_in_the_tree():
    enter("/srv/denied/longer", [PART] * 20)
    read("file")


@access("a path of 5000 bytes, elsewhere")
def try_a_path_of_5000_bytes_elsewhere():
    enter("/srv/plain/longer", [PART] * 20)
    read("file")


@access("a name with a line feed", "file /srv/denied/new\\nline")
def try_a_name_with_a_line_feed():
    read(b"/srv/denied/new\nline")


@access("a name that is not ASCII", "file /srv/denied/\u00e9t\u00e9 \u6f22")
def try_a_name_that_is_not_ascii():
    read("/srv/denied/\u00e9t\u00e9 \u6f22".encode())


@access("a name that is no text", "file /srv/denied/\\xff\\xfe")
def try_a_name_that_is_no_text():
    read(b"/srv/denied/\xff\xfe")


@access("such names elsewhere")
def try_such_names_elsewhere():
    for name in (b"new\nline", "\u00e9t\u00e9 \u6f22".encode(), b"\xff\xfe"):
        read(b"/srv/plain/" + name)


@access("a thread", "file /srv/denied/file")
def try_a_thread():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(outcome_of(lambda: read("/srv/denied/file"))))
    thread.start()
    thread.join()
    if outcomes != ["passes"]:
        raise OSError(getattr(errno, outcomes[0]), "in a thread")


@access("a user who is not root", "file /srv/denied/file")
def try_a_user_who_is_not_root():
    os.setuid(65534)
    read("/srv/denied/file")


@access("a cgroup of its own below the guard's", "file /srv/denied/file")
def try_a_cgroup_of_its_own_below_the_guard_s():
    with open("/proc/self/cgroup") as file:
        own = "/sys/fs/cgroup" + file.read().strip().rpartition(":")[2]
    os.makedirs(own + "/below", exist_ok=True)
    with open(own + "/below/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
    read("/srv/denied/file")


@access(f"{PROCESSES} processes, {OPENS} opens each", "file /srv/denied/counted")
def try_processes_processes_opens_opens_each():
    children = []
    for _number in range(PROCESSES):
        child = os.fork()
        if not child:
            try:
                outcomes = {outcome_of(lambda: read("/srv/denied/counted")) for _open in range(OPENS)}
                os._exit({frozenset(["EACCES"]): 1, frozenset(["passes"]): 0}.get(frozenset(outcomes), 2))
            finally:
                os._exit(3)
        children.append(child)
    ended = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
    if ended == {1}:
        raise PermissionError(errno.EACCES, "all of them")
    if ended != {0}:
        raise ValueError(f"they ended with {ended}")


# How they are tried

def outcome_of(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "passes"


def in_a_process(attempt):
    """(outcome, pids) of a child process, and of those that ran programs for it."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        signal.alarm(60)
        outcome = outcome_of(attempt)
        os.write(send, json.dumps([outcome, EXECUTED]).encode())
        os._exit(0)
    os.close(send)
    told = b""
    while part := os.read(receive, 4096):
        told += part
    os.close(receive)
    os.waitpid(child, 0)
    outcome, executed = json.loads(told or '["it ended without a word", []]')
    return outcome, [child, *executed]


def inside():
    results = {}
    for name, its in ACCESSES.items():
        outcome, pids = in_a_process(its.attempt)
        results[name] = {"outcome": outcome, "pids": pids}
        if outcome == "passes" and its.undo:
            undone, _pids = in_a_process(its.undo)
            if undone != "passes":
                results[name]["outcome"] = f"passes, and can't be undone: {undone}"
    print(json.dumps(results))


def loop():
    """Opens a file that is denied by every policy, until it is told to stop."""
    outcomes = {}
    touch(LOOPING)
    while not os.path.exists(STOP):
        for _number in range(100):
            outcome = outcome_of(lambda: read("/srv/denied/looped"))
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        time.sleep(0.01)    # the rules are to be exchanged in the meantime
    print(json.dumps({"pid": os.getpid(), "outcomes": outcomes}))


def programs():
    """{kind: [what BPF there is in the kernel, by its id]}."""
    told = {}
    for kind in ("prog", "map", "link"):
        listed = json.loads(subprocess.run(["bpftool", "-j", kind, "show"], check=True, stdout=subprocess.PIPE).stdout)
        told[kind] = sorted(f"{entry['id']} {entry.get('name', entry['type'])}" for entry in listed)
    print(json.dumps(told))


if __name__ == "__main__":
    {act.__name__: act for act in (prepare, outside, inside, loop, programs)}[sys.argv[1]]()
