# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What is known to lead out of every host: the one list of sockets and files, with what is behind each.

Who listens at these sockets starts processes for others, fetches for them, or has that done. A policy names more with
`ways_out`.
"""

from __future__ import annotations

import os
import re
import stat

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import file_servers

BUS = '/run/dbus/system_bus_socket'
# (the path of a socket, who listens)
SOCKETS = (
    ('/run/docker.sock', 'docker'),
    ('/run/containerd/containerd.sock', 'containerd'),
    ('/run/k3s/containerd/containerd.sock', "k3s' containerd"),
    ('/var/snap/microk8s/common/run/containerd.sock', "microk8s' containerd"),
    ('/run/podman/podman.sock', 'podman'),
    ('/run/crio/crio.sock', 'CRI-O'),
    ('/run/cri-dockerd.sock', 'docker, for Kubernetes'),
    ('/run/buildkit/buildkitd.sock', 'BuildKit'),
    ('/var/lib/incus/unix.socket', 'Incus'),
    ('/var/lib/incus/unix.socket.user', 'Incus, for users'),
    ('/run/incus/unix.socket', 'Incus'),
    ('/var/lib/lxd/unix.socket', 'LXD'),
    ('/var/snap/lxd/common/lxd/unix.socket', 'LXD, as a snap'),
    ('/var/snap/lxd/common/lxd-user/unix.socket', 'LXD, for users'),
    ('/run/snapd.socket', 'snapd'),
    ('/run/snapd-snap.socket', 'snapd, for snaps'),
    ('/nix/var/nix/daemon-socket/socket', 'the Nix daemon'),
    ('/var/guix/daemon-socket/socket', 'the Guix daemon'),
    ('/run/libvirt/libvirt-sock', 'libvirt'),
    *(('/run/libvirt/virt%sd-sock' % part, 'libvirt, a daemon of its own')
      for part in ('qemu', 'lxc', 'xen', 'vbox', 'bhyve', 'ch', 'vz', 'network', 'storage', 'secret', 'interface', 'nodedev',
                   'nwfilter', 'proxy')),
    ('/run/systemd/private', 'systemd'),
    *(('/run/systemd/%s' % name, 'a service of systemd') for name in (
        'io.systemd.Manager', 'io.systemd.Login', 'machine/io.systemd.Machine', 'machine/io.systemd.MachineImage',
        'io.systemd.Import', 'io.systemd.PortableD', 'io.systemd.sysext', 'io.systemd.Hostname', 'io.systemd.Repart',
        'io.systemd.MountFileSystem', 'io.systemd.NamespaceResource', 'io.systemd.BootControl', 'io.systemd.SysUpdate',
        'netif/io.systemd.Network')),
    (BUS, 'the system bus'),
    ('/run/tailscale/tailscaled.sock', 'Tailscale, which connects for others'),
    ('/run/supervisor.sock', 'supervisord'),
)
# (what a path ends with, who listens): these lie in a directory of each user, or where a setting says. One part of a path, or two
ENDINGS = (
    ('docker.sock', "docker, a user's"),
    ('podman.sock', "podman, a user's"),
    ('containerd.sock', "containerd, a user's"),
    ('buildkitd.sock', "BuildKit, a user's"),
    ('systemd/private', "systemd, a user's"),
    ('systemd/io.systemd.Manager', "systemd, a user's"),
    ('bus', "a user's bus"),
    ('libvirt/libvirt-sock', "libvirt, a user's"),
    ('libvirt/virtqemud-sock', "libvirt, a user's"),
    ('S.dirmngr', "dirmngr, which fetches keys for gpg"),
)
# Files in these directories say what cron and at are to run.
SPOOLS = ('/var/spool/cron', '/var/spool/cron/crontabs', '/var/spool/cron/atjobs', '/var/spool/at',
          '/var/spool/atjobs', '/var/spool/anacron', '/etc/crontab', '/etc/anacrontab', '/etc/cron.d',
          '/etc/cron.hourly', '/etc/cron.daily', '/etc/cron.weekly', '/etc/cron.monthly')
# Programs that have another process of theirs act (the ControlMaster of ssh), by a socket wherever they are told to
PROGRAMS = ('ssh',)
# What such a program asks besides: agents, which only sign, and what the C library asks for names and users
INNOCENT = re.compile(r"/(agent\.\d+|s\.[^/]+\.(agent|sshd)\.[^/]+|(ssh-)?agent(\.sock(et)?)?|openssh_agent|S\.gpg-agent[^/]*|"
                      r'keyring/[^/]*ssh|nscd/socket|io\.systemd\.(Resolve|Multiplexer|NameServiceSwitch|DynamicUser|DropIn|'
                      r'Home|Machine)|winbindd/pipe|sss/pipes/[^/]+|dev-log|log|pcscd\.comm)$')


def leads_out(record, named, since, sockets=None):
    """Was what the kernel recorded a way out? Of what a program of PROGRAMS asks, only the end tells.

    Its other process was there before the guard. So it asked a socket that is still there, and older: nobody listens where
    it is the first to come, and what it then starts is inside. `named`: the policy's `ways_out`. `since`: when the guard
    began, in seconds since the epoch. `sockets`: what was found at the paths.
    """
    if not _is_asked(record, named):
        return True
    path = record['path']
    sockets = file_servers.ask(_look_at, [path]) if sockets is None else sockets
    if path not in sockets:  # nobody can tell, so it is told
        return True
    found, _opened = sockets[path]
    if found is None:
        return False
    is_socket, changed = found
    return not is_socket or (changed < since and not INNOCENT.search(path))


def ways_out(records, named, since):
    """Those of the records that were ways out; `named`, `since`: as below."""
    sockets = file_servers.ask(_look_at, sorted({record['path'] for record in records if _is_asked(record, named)}))
    return [record for record in records if leads_out(record, named, since, sockets)]


def _is_asked(record, named):
    """Does only the end tell, and not the path alone?"""
    path, program = record['path'], (record['command'] or '').partition(' ')[0].rpartition('/')[2]
    if record['kind'] != 'unix' or record['rule'] or program not in PROGRAMS or not path.startswith('/'):
        return False
    return not (path in named or path in dict(SOCKETS) or any(path.endswith('/' + ending) for ending, _who in ENDINGS))


def _look_at(path):
    """(is it a socket, since when), None where nothing is there. It may be in a home that is mounted from a dead server."""
    try:
        found = os.stat(path)
    except OSError:
        return None, []
    return (stat.S_ISSOCK(found.st_mode), found.st_ctime), []
