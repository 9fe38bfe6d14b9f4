#!/bin/sh
# Users, keys and an init for packages that were only unpacked: configure.sh ROOT PUBLIC_KEY HOST_KEY INIT
set -eu
root=$1 public_key=$2 host_key=$3 init=$4

for directory in proc sys dev run tmp root opt etc/ssh/sshd_config.d var/log var/lib var/tmp home; do
  mkdir -p "$root/$directory"
done
chmod 1777 "$root/var/tmp"
: > "$root/var/log/lastlog" # without it sshd complains at each login
rm -rf "$root/var/run"
ln -s /run "$root/var/run"
[ -e "$root/usr/bin/sh" ] || ln -s dash "$root/usr/bin/sh"

echo target > "$root/etc/hostname"
printf '127.0.0.1 localhost target\n::1 localhost\n' > "$root/etc/hosts"
echo 'nameserver 127.0.0.1' > "$root/etc/resolv.conf"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
printf '%s\n' 5a1f6f0f0c8e4f7fb0d3f2f5b8e5c9aa > "$root/etc/machine-id"
{
  echo 'root:x:0:0::/root:/bin/bash'
  echo 'nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin'
  echo 'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin'
  echo 'deploy:x:1000:1000::/home/deploy:/bin/bash'
} > "$root/etc/passwd"
printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\ndeploy:x:1000:\n' > "$root/etc/group"
printf '%s:*:20000:0:99999:7:::\n' root nobody sshd deploy > "$root/etc/shadow"
chmod 600 "$root/etc/shadow"
for kind in auth account session password; do
  echo "$kind required pam_permit.so" > "$root/etc/pam.d/common-$kind"
  echo "$kind required pam_permit.so" > "$root/etc/pam.d/common-$kind-noninteractive"
done
echo 'deploy ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/deploy"
chmod 440 "$root/etc/sudoers.d/deploy"

for owner in 0:root 1000:home/deploy; do
  home=$root/${owner#*:}
  mkdir -p "$home/.ssh"
  cp "$public_key" "$home/.ssh/authorized_keys"
  chmod 700 "$home" "$home/.ssh"
  chmod 600 "$home/.ssh/authorized_keys"
  chown -R "${owner%%:*}:${owner%%:*}" "$home"
done
install -m 600 "$host_key" "$root/etc/ssh/ssh_host_ed25519_key"
printf '%s\n' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'UseDNS no' 'UsePAM no' 'PermitRootLogin prohibit-password' \
  'Subsystem sftp /usr/lib/openssh/sftp-server' 'PasswordAuthentication no' > "$root/etc/ssh/sshd_config"
rm -f "$root/usr/sbin/init"
install -m 755 "$init" "$root/usr/sbin/init"
