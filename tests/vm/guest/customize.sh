#!/bin/sh
# Users, keys and network of a virtual machine's root file system: customize.sh ROOT PUBLIC_KEY HOST_KEY
set -eu
root=$1 public_key=$2 host_key=$3

echo target > "$root/etc/hostname"
printf '127.0.0.1 localhost target\n::1 localhost\n' > "$root/etc/hosts"
rm -f "$root/etc/resolv.conf"
echo 'nameserver 127.0.0.1' > "$root/etc/resolv.conf"
: > "$root/etc/fstab"
printf '%s\n' 5a1f6f0f0c8e4f7fb0d3f2f5b8e5c9aa > "$root/etc/machine-id"

# deploypw's password is its name
for user in deploy deploypw other; do
  chroot "$root" useradd --create-home --shell /bin/bash "$user"
  echo "$user:$user" | chroot "$root" chpasswd
done
echo 'deploy ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/deploy"
echo 'deploypw ALL=(ALL) ALL' > "$root/etc/sudoers.d/deploypw"
chmod 440 "$root"/etc/sudoers.d/deploy*
for home in "$root/root" "$root"/home/*; do
  install -d -m 700 "$home/.ssh"
  install -m 600 "$public_key" "$home/.ssh/authorized_keys"
  user=${home##*/}
  chroot "$root" chown -R "$user:$user" "/${home#"$root/"}/.ssh"
done
rm -f "$root"/etc/ssh/ssh_host_*
install -m 600 "$host_key" "$root/etc/ssh/ssh_host_ed25519_key"
printf 'UseDNS no\nPermitRootLogin prohibit-password\n' > "$root/etc/ssh/sshd_config.d/vm.conf"

# 10.0.2.15 is what QEMU's user network gives a guest
cat > "$root/etc/systemd/system/vm-network.service" <<'UNIT'
[Unit]
DefaultDependencies=no
Before=network.target ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set eth0 up
ExecStart=ip address add 10.0.2.15/24 dev eth0
ExecStart=ip route add default via 10.0.2.2
[Install]
WantedBy=sysinit.target
UNIT
chroot "$root" systemctl --quiet enable vm-network.service ssh.service
# what makes a boot slower and no test needs; NFS, cron and at are started by the tests that need them
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer getty@tty1.service serial-getty@ttyS0.service man-db.timer systemd-timesyncd.service \
  systemd-pstore.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for unit in nfs-server.service nfs-client.target rpcbind.service rpcbind.socket cron.service atd.service; do
  chroot "$root" systemctl --quiet disable "$unit" 2> /dev/null
done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
