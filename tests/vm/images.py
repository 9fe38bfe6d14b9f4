# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the virtual machines boot: kernels and root file systems, made of Debian packages, kept below build/vm.

Each is made once for what it is made of: its directory's name has a hash of the files in `guest/` and of this one.
`python tests/vm/images.py` makes what is missing. To have newer packages: remove build/vm.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "vm"
KEY, HOST_KEY = BUILD / "id_ed25519", BUILD / "host_ed25519"
MIRROR = "http://deb.debian.org"
OWN = "amd64"     # the architecture whose packages can be installed; those of others are only unpacked
KERNEL_PACKAGES = r"^linux-(base|binary|image|modules|headers)-\d\S*-(%s|common)$"
IN_INITRAMFS = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4")
DISK = "3G"     # sparse: it takes what is in it

# The support promise: what is tested is what is supported. {name: (suite that has the kernel, userland)}
KERNELS = {"5.10": ("bullseye", "bookworm"), "6.1": ("bookworm", "bookworm"), "6.12": ("trixie", "trixie"),
           "sid": ("sid", "trixie")}
ARM64 = {"arm64-6.1": ("bookworm", "bookworm"), "arm64-6.12": ("trixie", "trixie")}    # the same
# The same of hosts with a security module: guest/confined.sh makes their userland. What the kernel is told: machines.py
CONFINED = {name: ("bookworm", "bookworm+confined") for name in ("selinux", "apparmor", "lockdown")}
# whole releases of Debian: what differs for a guard is libbpf and Python, and the kernel that comes with them
USERLANDS = {"debian-11": ("bullseye", "bullseye"), "debian-12": ("bookworm", "bookworm"), "debian-13": ("trixie", "trixie"),
             "debian-sid": ("sid", "sid")}
ENDED = {"bullseye"}    # Debian does not keep all files of the security updates of these
MACHINES = {**KERNELS, **ARM64, **CONFINED, **USERLANDS}
HEADERS = {suite for suite, userland in KERNELS.values() if suite == userland}    # BCC can compile there
TOOLS = ("qemu-system-x86_64", "qemu-system-aarch64", "mmdebstrap", "mke2fs", "busybox", "cpio", "depmod", "setpriv", "ssh-keygen")

Image = namedtuple("Image", "release vmlinuz initramfs disk architecture")    # release: what `uname -r` says
# a root file system, and how it is made: of packages that are only unpacked, or installed
Root = namedtuple("Root", "userland architecture unpacked")


class VmError(Exception):
    """A whole sentence: what could not be done, why, and what to do."""


def images(*names: str) -> dict[str, Image]:
    """{kernel: Image} of these kernels, of all of KERNELS without names. Makes what is missing, which takes minutes."""
    if platform.machine() != "x86_64":
        raise VmError(f"The virtual machines are made of packages for x86-64; this machine is {platform.machine()}.")
    missing = [tool for tool in TOOLS if not shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    if missing:
        raise VmError(f"This machine has no {', '.join(missing)}: run `tests/install-packages.sh tests/packages.txt`.")
    BUILD.mkdir(parents=True, exist_ok=True)
    with _lock(), ThreadPoolExecutor() as pool:
        for key in (KEY, HOST_KEY):
            if not key.exists():
                _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "loopbreak-vm", "-f", key)
        # a root file system has the modules of all kernels that it runs under
        needs = {_root(name): sorted({_sort(other) for other in MACHINES if _root(other) == _root(name)}) for name in names or KERNELS}
        sorts = sorted({sort for its in needs.values() for sort in its})
        kernels = dict(zip(sorts, pool.map(lambda sort: _kernel(*sort), sorts)))
        disks = dict(zip(needs, pool.map(lambda root: (_unpacked_disk if root.unpacked else _disk)(
            root.userland, root.architecture, [kernels[sort] for sort in needs[root]]), needs)))
        return {name: Image((kernels[_sort(name)] / "release").read_text(), kernels[_sort(name)] / "vmlinuz",
                            kernels[_sort(name)] / "initramfs", disks[_root(name)], _sort(name)[1])
                for name in names or KERNELS}


def _sort(name: str) -> tuple[str, str]:
    """Of a machine's kernel: the suite that has it, and the architecture."""
    return MACHINES[name][0], "arm64" if name in ARM64 else OWN


def _root(name: str) -> Root:
    return Root(MACHINES[name][1], _sort(name)[1], name in ARM64 or name in USERLANDS)


def _kernel(suite: str, architecture: str) -> Path:
    """A directory with the suite's newest kernel: vmlinuz, initramfs, lib/modules/RELEASE, release; src with its headers."""
    headers = suite in HEADERS and architecture == OWN

    def make(draft):
        flavour = f"cloud-{architecture}"
        apt = Apt(suite, architecture, draft / "apt")
        needed = apt.cache("depends", "--recurse", "--no-recommends", "--no-suggests", "--no-enhances", "--no-conflicts",
                           "--no-breaks", "--no-replaces", f"linux-image-{flavour}",
                           *([f"linux-headers-{flavour}"] if headers else []))
        names = sorted({match.group() for match in re.finditer(KERNEL_PACKAGES % flavour, needed, re.M)})
        for package in apt.download(*names):
            _run("dpkg-deb", "-x", package, draft / ("headers" if "-headers-" in package.name else "files"))
        busybox = Path(shutil.which("busybox"))
        if architecture != OWN:
            [package] = apt.download("busybox-static")
            _run("dpkg-deb", "-x", package, draft / "busybox")
            busybox = next(path for path in (draft / "busybox").glob("**/busybox") if path.is_file() and path.parent.name == "bin")
        shutil.rmtree(draft / "apt")
        modules = next((draft / "files").glob("**/lib/modules/*"))
        vmlinuz = next((draft / "files").glob("**/vmlinuz*"))
        vmlinuz.rename(draft / "vmlinuz")
        (draft / "lib/modules").mkdir(parents=True)
        modules = modules.rename(draft / "lib/modules" / modules.name)
        shutil.rmtree(draft / "files")
        _run("depmod", "-b", draft, modules.name)
        _initramfs(draft, modules.name, busybox)
        if headers:
            _headers(draft, modules)
        (draft / "release").write_text(modules.name)
    return _made(f"kernel-{suite}-{architecture}", make, HERE / "images.py", HERE / "guest/init")


def _headers(kernel: Path, modules: Path) -> None:
    """Those that the packages have in /usr/src, and build and source in lib/modules/RELEASE, which lead there."""
    for link in (kernel / "headers").glob(f"**/lib/modules/{modules.name}/*"):
        (modules / link.name).symlink_to(f"/usr/src/{link.readlink().name}")
    if not {"build", "source"} <= {entry.name for entry in modules.iterdir()}:
        raise VmError(f"Debian has no headers of its kernel {modules.name}: it is about to get a new one. Try again later.")
    (kernel / "headers/usr/src").rename(kernel / "src")
    shutil.rmtree(kernel / "headers")


class Apt:
    """An apt that has lists of its own, in a directory, and thinks that nothing is installed."""

    def __init__(self, suite: str, architecture: str, directory: Path, security: bool = True) -> None:
        """`security`: with the security updates."""
        self.directory = directory
        for needed in ("lists/partial", "cache/archives/partial"):
            (directory / needed).mkdir(parents=True)
        (directory / "sources.list").write_text("".join(f"{line}\n" for line in _sources(suite, security)))
        (directory / "status").touch()
        self.options = [f"-o={option}" for option in (
            f"Dir::Etc::SourceList={directory}/sources.list", "Dir::Etc::SourceParts=/dev/null",
            f"Dir::State::Lists={directory}/lists", f"Dir::Cache={directory}/cache", f"Dir::State::Status={directory}/status",
            "Acquire::Languages=none", "APT::Sandbox::User=root", "APT::Install-Recommends=false",
            f"APT::Architecture={architecture}", f"APT::Architectures={architecture}")]
        _run("apt-get", *self.options, "-qq", "--error-on=any", "update")

    def cache(self, *command: str) -> str:
        return _run("apt-cache", *self.options, *command)

    def download(self, *names: str) -> list[Path]:
        """The files of these packages."""
        target = self.directory / f"of-{names[0]}"
        target.mkdir()
        _run("apt-get", *self.options, "-qq", "download", *names, cwd=target)
        return list(target.glob("*.deb"))

    def download_all(self, *names: str) -> list[Path]:
        """The files of these packages and of what they need."""
        _run("apt-get", *self.options, "-qq", "-y", "--download-only", "install", *names)
        return list((self.directory / "cache/archives").glob("*.deb"))


def _sources(suite: str, security: bool = True) -> list[str]:
    sources = [f"deb {MIRROR}/debian {suite} main"]
    if security and suite != "sid":
        sources.append(f"deb {MIRROR}/debian-security {suite}-security main")
    return sources


def _initramfs(kernel: Path, release: str, busybox: Path) -> None:
    """busybox and the modules for the disk and the network, in the order in which they are to be loaded."""
    tree = kernel / "tree"
    (tree / "bin").mkdir(parents=True)
    for directory in ("dev", "proc", "sys", "new", "modules"):
        (tree / directory).mkdir()
    shutil.copy(busybox, tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    shutil.copy(HERE / "guest/init", tree / "init")
    order = []
    for name in IN_INITRAMFS:
        for line in _run("modprobe", "-d", kernel, "-S", release, "--show-depends", name).splitlines():
            verb, path = line.split()[:2]
            if verb == "insmod" and path not in order:
                order.append(path)
    for number, path in enumerate(order):
        unpack = {".xz": ("xz", "-dc"), ".zst": ("zstd", "-dcq")}.get(Path(path).suffix, ("cat",))
        with open(tree / "modules" / f"{number:02}-{Path(path).name.partition('.')[0]}.ko", "wb") as module:
            subprocess.run([*unpack, path], stdout=module, check=True)
    _run("sh", "-ec", 'cd "$0"; find . | cpio -o -H newc --quiet | gzip -1 > ../initramfs', tree)
    shutil.rmtree(tree)


def _disk(userland: str, architecture: str, kernels: list[Path]) -> Path:
    """An ext4 file system with Debian, the users, and the modules and headers of these kernels.

    `userland`: a suite, or with "+MORE" one with the packages of guest/MORE-packages.txt, finished by guest/MORE.sh.
    """
    suite, _plus, more = userland.partition("+")
    packages = [name for part in ("packages.txt", f"{more}-packages.txt") if (HERE / "guest" / part).exists()
                for name in re.sub(r"#.*", "", (HERE / "guest" / part).read_text()).split()]

    def make(draft):
        root = draft / "root"
        _run("mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(packages),
             *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("man", "doc", "locale", "info")),
             '--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"',
             f'--customize-hook={HERE}/guest/customize.sh "$1" {KEY}.pub {HOST_KEY}', suite, root, *_sources(suite))
        _finish(root, kernels, draft / "disk", *([HERE / f"guest/{more}.sh"] if more else []))
    return _made(f"disk-{userland}-{architecture}", make, HERE / "images.py", *sorted((HERE / "guest").iterdir()),
                 KEY.with_suffix(".pub"), HOST_KEY, *(kernel / "release" for kernel in kernels)) / "disk"


def _unpacked_disk(userland: str, architecture: str, kernels: list[Path]) -> Path:
    """The same of packages that are unpacked and not configured: of an architecture whose programs can't be run here, or fast.

    There is no systemd: guest/unpacked-init starts the SSH server.
    """
    packages = re.sub(r"#.*", "", (HERE / "guest/unpacked-packages.txt").read_text()).split()

    def make(draft):
        root = draft / "root"
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for package in Apt(userland, architecture, draft / "apt", security=userland not in ENDED).download_all(*packages):
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
                subprocess.run(["tar", "-x", "-C", root, "--keep-directory-symlink", *(
                    f"--exclude=./usr/share/{unread}/*" for unread in ("man", "doc", "locale", "info"))], stdin=files.stdout, check=True)
        shutil.rmtree(draft / "apt")
        _run("sh", HERE / "guest/configure.sh", root, f"{KEY}.pub", HOST_KEY, HERE / "guest/unpacked-init")
        if architecture == OWN:     # a package does this when it is configured; without it each start of Python takes seconds there
            _run("chroot", root, "sh", "-c", "python3 -m compileall -q -x lib2to3/tests /usr/lib/python3*")
        _finish(root, kernels, draft / "disk")
    return _made(f"unpacked-{userland}-{architecture}", make, HERE / "images.py", *sorted((HERE / "guest").iterdir()),
                 KEY.with_suffix(".pub"), HOST_KEY, *(kernel / "release" for kernel in kernels)) / "disk"


def _finish(root: Path, kernels: list[Path], disk: Path, *scripts: Path) -> None:
    """Makes the disk of a root directory, which goes. `scripts`: what is done to it last."""
    (root / "usr/lib/modules").mkdir(exist_ok=True)
    for kernel in kernels:
        _run("cp", "-a", f"{kernel}/lib/modules/.", root / "usr/lib/modules")
        if (kernel / "src").exists():
            _run("cp", "-a", f"{kernel}/src/.", root / "usr/src")
    for script in scripts:
        _run("sh", script, root)
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "root", "-d", root, disk, DISK)
    shutil.rmtree(root)


def _made(name: str, make, *sources: Path) -> Path:
    """build/vm/NAME-HASH, made by `make(draft directory)` unless it is there; those of other hashes go."""
    content = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    finished = BUILD / f"{name}-{content}"
    if not finished.exists():
        draft = BUILD / f"{name}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        began = time.monotonic()
        make(draft)
        for old in BUILD.glob(f"{name}-*"):
            shutil.rmtree(old)
        draft.rename(finished)
        print(f"made {finished.name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return finished


def _run(*command, cwd: Path | None = None) -> str:
    """What a command prints."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise VmError(f"`{' '.join(map(str, command))[:200]}` failed ({done.returncode}): {said}")
    return done.stdout


@contextlib.contextmanager
def _lock():
    """One process at a time makes images; the others wait and find them made."""
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        for kernel, image in images(*sys.argv[1:]).items():
            print(kernel, image.release, image.disk)
    except VmError as error:
        sys.exit(str(error))
