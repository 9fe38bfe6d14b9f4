#!/bin/sh
# A root file system on which SELinux enforces, where the kernel has it: confined.sh ROOT
set -eu
root=$1 policy=/etc/selinux/default

sed -i 's/^SELINUX=.*/SELINUX=enforcing/; s/^SELINUXTYPE=.*/SELINUXTYPE=default/' "$root/etc/selinux/config"
# the login user 'other' is a confined one, also as root; all others are not
echo 'other:staff_u:s0-s0:c0.c1023' >> "$root$policy/seusers"
echo 'other ALL=(ALL) TYPE=sysadm_t ROLE=sysadm_r NOPASSWD: ALL' > "$root/etc/sudoers.d/other"
chmod 440 "$root/etc/sudoers.d/other"
rm -f "$root/.autorelabel"
mount -t proc proc "$root/proc" # setfiles goes by file descriptors
trap 'umount "$root/proc"' EXIT
chroot "$root" setfiles -q -F -e /proc -e /sys -e /dev "$policy/contexts/files/file_contexts" /
chroot "$root" chcon -R -u staff_u /home/other
