#!/bin/sh
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Turns the calling process' fresh mount, UTS and cgroup namespaces into a node of the fleet.
# In:  arguments below; standard input: a tar archive of the node's private files.
# Out: the pid of the process that keeps the namespaces, when the node is ready.
set -eu
work=$1             # any directory: a tmpfs goes over it, in this mount namespace only
cgroup2=$2          # where the machine has cgroup2: the node gets it at the same place
node=$3
sshd=$4             # yes | no

hostname "$node"
mount -t tmpfs -o mode=755 fleet "$work"
cd "$work"
mkdir upper overlay root
# Relative paths: the directory's name may hold characters that mean something among mount options
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=overlay fleet root
cd root
tar -xp --no-overwrite-dir

mount -t proc proc proc
mount -t sysfs sysfs sys        # a new one: sysfs shows the network namespace that mounted it
for name in security tracing debug; do
    if mountpoint -q /sys/kernel/$name; then mount --rbind /sys/kernel/$name sys/kernel/$name; fi
done
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs run      # as on a Debian host
mkdir -p run/sshd run/lock run/machine
chmod 1777 run/lock

case $cgroup2 in
    /sys/fs/cgroup) ;;
    /sys/fs/cgroup/*) mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup ;;    # hybrid
esac
mkdir -p ".$cgroup2"
mount -t cgroup2 cgroup2 ".$cgroup2"

pivot_root . run/machine
# shellcheck disable=SC2016 # the inner shell expands it
exec chroot . /bin/sh -euc '
    umount -l /run/machine
    rmdir /run/machine
    if [ "$1" = yes ]; then /usr/sbin/sshd -E /var/log/sshd.log; fi
    setsid sleep infinity </dev/null >/dev/null 2>&1 &
    echo $!
' node "$sshd"
