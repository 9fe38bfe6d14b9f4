# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests look at on a host of the fleet, and where a guard's things are there."""

from __future__ import annotations

from pathlib import Path

LAUNCHER = "/run/ebpf_guard/deploy/launcher"
CGROUP = "/sys/fs/cgroup/unified/ebpf_guard/deploy"
PINS = "/sys/fs/bpf/ebpf_guard/deploy"
AT_DESK = f"{CGROUP}.agent/cgroup.procs"
# the agent and its standby, so that nobody takes its place
KILL_AGENT = f"kill -9 $(cat {AT_DESK}); while grep -q . {AT_DESK}; do :; done"
REMAINS = "for d in /run/ebpf_guard /sys/fs/bpf/ebpf_guard $(find /sys/fs/cgroup -type d -name ebpf_guard); do " \
          "find $d 2> /dev/null; done; true"


def remains(fleet, host="web1"):
    """What of any guard is on a host."""
    return fleet.exec(host, "sh", "-c", REMAINS).stdout.split()


def remembering(**changes):
    """A shell command on a host: from now on the guard remembers this as well, as if it had written it."""
    code = ("import hashlib, json; path = '/run/ebpf_guard/deploy/state.json'; kept = json.load(open(path)); kept.pop('seal'); "
            f"kept.update({changes!r}); seal = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest(); "
            "open(path, 'w').write(json.dumps(dict(kept, seal=seal)))")
    return f'/usr/bin/python3 -c "{code}"'


OVER = remembering(expires_at=1)  # the shell command with which the ttl of a guard is over


def inside(fleet, *command, name="deploy", host="web1", **options):
    """Run a command on a host inside a guard."""
    return fleet.exec(host, f"/run/ebpf_guard/{name}/launcher", "-c", 'exec "$@"', "sh", *command, **options)


def denied(fleet, host="web1", name="deploy", address="192.0.2.10"):
    return inside(fleet, "curl", "-s", "-o", "/dev/null", "--max-time", "5", f"http://{address}/", check=False,
                  name=name, host=host).returncode != 0


def listing(fleet):
    """Everything a guard could leave: cgroups, pins, files, mounts, and its agent. A call that was killed before it had started
    an agent leaves the file of its lock to the next one.
    """
    return fleet.exec("web1", "sh", "-c",
                      "find /sys/fs/cgroup -type d; find /sys/fs/bpf /run -not -path '*/sudo/*' -not -path '/run/ebpf_guard.lock*'; ls /var/log;"
                      "cut -d' ' -f5 /proc/self/mountinfo | grep -v '^/sys/fs/bpf$'").stdout + str(agents(fleet))


def agents(fleet):
    """The pids of this host's agents. Its processes are those of its cgroup: pids are the machine's."""
    found = fleet.exec("web1", "sh", "-c", "cat $(find /sys/fs/cgroup -name cgroup.procs)").stdout.split()
    return [int(pid) for pid in found if " ebpf_guard agent " in command_of(pid)]


def command_of(pid):
    try:
        return Path("/proc", pid, "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
