# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines with kernels of their own, under QEMU's software emulation: booted, reached over SSH, ended.

`python tests/vm/machines.py 6.12` gives a root shell on one (`make vm KERNEL=6.12`).
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from images import BUILD, HOST_KEY, KERNELS, KEY, MACHINES, Image, VmError, images

BOOTS_WITHIN = 600      # seconds: several machines share few cores
KERNEL_SILENT = 60      # seconds, before systemd has taken over
HANDED_OVER = "loopbreak-vm: systemd takes over"    # as guest/init says
ALIAS = "loopbreak-vm"  # every machine has the same host key
X86 = ("qemu-system-x86_64", "-machine", "q35",
       "-cpu", "Nehalem")    # without AVX, which libraries take where it is, and which is slow to emulate
ARM = ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57")
CHECKOUT = Path(__file__).resolve().parents[2]
# no_timer_check: on a busy machine the emulated timer is late, and the kernel would give up
KERNEL_ARGUMENTS = "net.ifnames=0 panic=-1 mitigations=off no_timer_check systemd.show_status=0"

# what the kernels of these are told besides; Debian's takes AppArmor where nothing else is said
SECURITY = {"selinux": " security=selinux", "lockdown": " lockdown=confidentiality"}


class Machine:
    """One virtual machine. Its disk is thrown away when it ends; it ends with the process that started it.

    Start it in the main thread: the kernel ends it with the thread that did. It reaches nothing but itself.
    """

    def __init__(self, kernel: str, image: Image, directory: Path, memory: int = 512, counting: bool = False, cpus: int = 2) -> None:
        """directory: where known_hosts is; memory: in MB; counting: its clock counts instructions, 2 ns each, of one CPU."""
        self.kernel, self.image, self.directory, self.memory, self.key = kernel, image, directory, memory, KEY
        self.arm = image.architecture == "arm64"
        # one CPU: what a second one does would count, too
        self.clock = ["-smp", "1", "-icount", "shift=1"] if counting else ["-smp", str(cpus)]
        self.port = _free_port()
        self.console = BUILD / f"console-{kernel}-{self.port}.log"    # of a machine that has ended: without the port
        self.process = self._start()

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *(ARM if self.arm else X86),
             "-accel", "tcg,thread=single", *self.clock,
             "-m", str(self.memory),
             "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
             "-kernel", str(self.image.vmlinuz), "-initrd", str(self.image.initramfs),
             "-append", f"console={'ttyAMA0' if self.arm else 'ttyS0'} {KERNEL_ARGUMENTS}{SECURITY.get(self.kernel, '')}",
             "-drive", f"if=none,id=disk,file={self.image.disk},format=raw,snapshot=on,cache=unsafe",
             "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci",
             "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22",
             "-device", "virtio-net-pci,netdev=net,romfile="],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait(self) -> Machine:
        """Until it answers over SSH; VmError with the end of its console when it does not."""
        deadline = time.monotonic() + BOOTS_WITHIN
        may_start_again = True
        while not self._answers():
            ended = self.process.poll() is not None
            if may_start_again and (ended or self._hangs()):
                print(f"The machine {self.kernel} {'ended' if ended else 'hangs'} in its emulated kernel, so it is started "
                      f"again.\n{self._last_words()}", file=sys.stderr)
                may_start_again = False
                self.end()
                self.process = self._start()
            elif ended:
                raise VmError(f"The machine {self.kernel} ended while it booted: {self.process.stderr.read().strip()}"
                              f"\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise VmError(f"The machine {self.kernel} did not answer over SSH within {BOOTS_WITHIN} seconds."
                              f"\n{self._last_words()}")
            time.sleep(0.5)
        return self

    def _hangs(self) -> bool:
        """QEMU's emulation of two CPUs now and then stops for good, early: a kernel that boots says something."""
        with contextlib.suppress(OSError):
            silent = time.time() - self.console.stat().st_mtime
            return silent > KERNEL_SILENT and HANDED_OVER not in self.console.read_text(errors="replace")
        return False

    def _answers(self) -> bool:
        # QEMU itself takes the connection; only sshd says something
        with contextlib.suppress(OSError, subprocess.TimeoutExpired), \
                socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            if connection.recv(4) == b"SSH-":
                return self.exec("true", check=False).returncode == 0
        return False

    def _last_words(self) -> str:
        lines = self.console.read_text(errors="replace").splitlines() if self.console.exists() else []
        return f"The end of its console ({self.console}):\n" + "\n".join(lines[-30:])

    def ssh(self, user: str = "root") -> list[str]:
        """The command line that reaches it; connections are shared, since a new one takes seconds."""
        return ["ssh", *self.options(), "-o", f"ControlPath={self.directory}/{self.port}-%r", "-o",
                "ControlMaster=auto", "-o", "ControlPersist=60", "-p", str(self.port), f"{user}@127.0.0.1"]

    def options(self) -> list[str]:
        return ["-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
                "LogLevel=ERROR", "-o", f"HostKeyAlias={ALIAS}",
                "-o", f"UserKnownHostsFile={self.directory}/known_hosts"]

    def exec(self, *command: str, user: str = "root", check: bool = True, timeout: float = 120,
             input: str | bytes = "") -> subprocess.CompletedProcess:
        """Runs a command (no shell, unless it is one) and returns its output, text as the input is; with check,
        VmError when it fails."""
        done = subprocess.run([*self.ssh(user), shlex.join(command)], input=input, text=isinstance(input, str),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        if check and done.returncode:
            raise VmError(f"`{shlex.join(command)}` on the machine {self.kernel} failed ({done.returncode}): "
                          f"{done.stderr or done.stdout}")
        return done

    def put(self, *paths: Path | str, to: str = "/root") -> None:
        """Copies files and directories into a directory there."""
        packed = subprocess.run(["tar", "-c", *(part for path in map(Path, paths)
                                                for part in ("-C", str(path.parent.resolve()), path.name))],
                                stdout=subprocess.PIPE, check=True).stdout
        self.exec("mkdir", "-p", to)
        self.exec("tar", "-x", "-C", to, "--no-same-owner", input=packed)

    def end(self) -> None:
        self.process.kill()     # nothing on its disk is to be kept
        self.process.wait()
        self.process.stderr.close()
        if self.console.exists():
            self.console.replace(BUILD / f"console-{self.kernel}.log")


class Machines(dict):
    """{kernel: Machine} of several that boot side by side, with an inventory for Ansible; ended on exit."""

    def __init__(self, *kernels: str, **options: int) -> None:
        """options: as of Machine."""
        super().__init__()
        self.kernels, self.options = kernels or tuple(KERNELS), options
        unknown = [kernel for kernel in self.kernels if kernel not in MACHINES]
        if unknown:
            raise VmError(f"There is no machine {', '.join(unknown)}; there are {', '.join(MACHINES)}.")

    def __enter__(self) -> Machines:
        found = images(*self.kernels)
        self.directory = Path(tempfile.mkdtemp(prefix="loopbreak-vm-"))
        public = HOST_KEY.with_suffix(".pub").read_text().strip()
        (self.directory / "known_hosts").write_text(f"{ALIAS} {public}\n")
        try:
            for kernel in self.kernels:
                self[kernel] = Machine(kernel, found[kernel], self.directory, **self.options)
            for machine in self.values():
                machine.wait()
        except BaseException:
            self.__exit__()
            raise
        self.inventory = self.directory / "inventory.yml"
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": {
            kernel: {"ansible_host": "127.0.0.1", "ansible_port": machine.port, "ansible_user": "root",
                     "ansible_ssh_common_args": shlex.join(machine.options()),
                     "ansible_python_interpreter": "/usr/bin/python3"}
            for kernel, machine in self.items()}}}))
        return self

    def __exit__(self, *_exception) -> None:
        for machine in self.values():
            machine.end()
        shutil.rmtree(self.directory)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> int:
    """A root shell on one machine, or one command, with a copy of the checkout and of the built collection."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kernel, *command = sys.argv[1:]
    with Machines(kernel, memory=1024) as machines:
        machine = machines[kernel]
        collections = CHECKOUT / "build/collections"
        machine.put(*(CHECKOUT / part for part in ("plugins", "roles", "bpf", "tests")),
                    *([collections] if collections.exists() else []), to="/root/loopbreak")
        print(f"Linux {machine.image.release}; the checkout is in /root/loopbreak; from another terminal:\n"
              f"  {shlex.join(machine.ssh())}", file=sys.stderr)
        return subprocess.call(machine.ssh() + (command or ["-t"]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VmError as error:
        sys.exit(str(error))
